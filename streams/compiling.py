"""Compiles ahead what a worker would otherwise compile at its first start; how long that takes is in decision 0010.

What is compiled is kept beside the modules, or where NUMBA_CACHE_DIR says, and found there by every later start.
"""

from ipaddress import ip_address, ip_network

import msgspec

from controller.domain.estate import Estate, Host, HostRole, Site, Source, SourceFormat
from controller.domain.rulebook import Rulebook
from streams.activity import Combiner
from streams.score import Scorer

_HOST = ip_address("192.0.2.1")  # RFC 5737

_RECORD = {"type": "NETFLOW_V5", "bytes": 10**12, "packets": 10**9, "src_addr": str(_HOST), "dst_addr": str(_HOST)}
"""Loud enough to be looked at twice, and accused."""

_SECOND = 1_000_000_000
_LASTING = 60 * _SECOND


def compile_all() -> None:
    """Make a combiner that reads every format, and a scorer; harmless when all of it is there already."""
    Combiner(_estate(*(Source(f"compiling.{one}", one) for one in SourceFormat)), Rulebook(version=1), partitions=1)
    load_scoring()


def load_scoring() -> None:
    """Accuse a host that is made up, and save it, so that no live tick waits for compiled code to be loaded."""
    source = Source("compiling", SourceFormat.GOFLOW2_JSON)
    estate, rules, begin = _estate(source), Rulebook(version=1), 1_000 * _SECOND
    records = [_RECORD | {"time_flow_start_ns": begin - ago, "time_flow_end_ns": begin} for ago in (0, _LASTING)]
    frame = b"\n".join(map(msgspec.json.encode, records))
    (body,) = Combiner(estate, rules, partitions=1).frame(frame, source=source, kafka_ns=begin).bodies
    scorer = Scorer(estate, rules, partition=0, partitions=1, inputs=("",))
    scorer.apply(body)
    scorer.mark("", begin + round(2 * rules.scoring.baseline_window_s) * _SECOND)
    scorer.mark("", begin + 2 * _LASTING)
    scorer.changed()


def _estate(*sources: Source) -> Estate:
    host = Host(name="compiling", addresses=(_HOST,), tenant="none", role=HostRole.DEDICATED)
    prefixes = (ip_network("192.0.2.0/24"),)
    return Estate(Site(version=1, name="compiling", prefixes=prefixes, hosts=(host,), sources=sources))
