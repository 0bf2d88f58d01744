"""Ports for what is started beside others on one machine: the demonstration, benches, tests."""

import errno
import random
import socket
from pathlib import Path

LOWEST = 20_000
RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
USUAL = 32_768
"""Where Linux begins to give ports to whoever asks for any (ip(7), ip_local_port_range)."""
KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM)

_given: set[int] = set()


class NoPortIsFree(RuntimeError):
    """Every port of the range is held by somebody."""


def free_port() -> int:
    """A port that nobody holds, TCP or UDP, at any address of this machine, and that was not given before.

    It lies below those that the system itself gives to connections and to whoever binds port 0: between this
    answer and the moment its owner binds it, nothing comes upon it by chance. Raises NoPortIsFree.
    """
    ports = range(LOWEST, _system_begins())
    for port in random.sample(ports, len(ports)):
        if port not in _given and all(_is_free(port, kind) for kind in KINDS):
            _given.add(port)
            return port
    raise NoPortIsFree(f"no port from {ports.start} to {ports.stop - 1} is free")


def _system_begins() -> int:
    try:
        begins = int(RANGE.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return USUAL
    return begins if begins > LOWEST else USUAL


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    family, everywhere = (socket.AF_INET6, "::") if socket.has_dualstack_ipv6() else (socket.AF_INET, "")
    with socket.socket(family, kind) as probe:
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            probe.bind((everywhere, port))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            return False
    return True
