"""Compiles ahead what a worker would otherwise compile at its first start; how long that takes is in decision 0010.

What is compiled is kept beside the modules, or where NUMBA_CACHE_DIR says, and found there by every later start.
"""

from ipaddress import ip_address, ip_network

from controller.domain.estate import Estate, Host, HostRole, Site, Source, SourceFormat
from controller.domain.rulebook import Rulebook
from streams.activity import Combiner

_HOST = ip_address("192.0.2.1")  # RFC 5737


def compile_all() -> None:
    """Make a combiner that reads every format; harmless when all of it is there already."""
    sources = tuple(Source(f"compiling.{one}", one) for one in SourceFormat)
    host = Host(name="compiling", addresses=(_HOST,), tenant="none", role=HostRole.DEDICATED)
    site = Site(version=1, name="compiling", prefixes=(ip_network("192.0.2.0/24"),), hosts=(host,), sources=sources)
    Combiner(Estate(site), Rulebook(version=1), partitions=1)
