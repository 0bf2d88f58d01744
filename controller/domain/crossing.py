"""What may cross the firewall of a segment, as its owner declares it and as a firewall holds it.

A crossing speaks of connections by who begins them: their answers belong to them, and so does the ICMP error that one
of their packets draws. What no crossing names is dropped in both directions.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network

from controller.domain.address import Prefix

_PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")


class Side(StrEnum):
    """On which side of the firewall somebody is."""

    INSIDE = "inside"
    OUTSIDE = "outside"


class Transport(StrEnum):
    """What a connection is carried by; ICMP means that of the addresses' family."""

    ANY = "any"
    TCP = "tcp"
    UDP = "udp"
    ICMP = "icmp"


PORTED = frozenset({Transport.TCP, Transport.UDP})


@dataclass(frozen=True, slots=True)
class Crossing:
    """Connections that may cross a segment's firewall: who begins them, with whom outside, towards which ports.

    `hosts` are the prefixes within the segment that it is for; empty: all of it. `why` is for the person who approves.
    """

    begins: Side
    peers: tuple[Prefix, ...]
    transport: Transport = Transport.ANY
    ports: tuple[str, ...] = ()  # of whoever does not begin: "443" or "8000-8099"; empty: all
    hosts: tuple[Prefix, ...] = ()
    why: str = ""

    def __post_init__(self) -> None:
        if not self.peers:
            raise ValueError("peers, of which 0.0.0.0/0 and ::/0 are everybody")
        if self.ports and self.transport not in PORTED:
            raise ValueError("ports with transport 'tcp' or 'udp' only")
        for text in self.ports:
            ports_of(text)


@dataclass(frozen=True, slots=True)
class Passage:
    """One rule of a separation: connections that `source` begins with `target`. `ports` is canonical; empty: all."""

    source: Prefix
    target: Prefix
    transport: Transport = Transport.ANY
    ports: str = ""

    def sort_key(self) -> tuple[int, int, int, int, int, str, str]:
        """A stable order for rendering and showing: by address."""
        source, target = self.source, self.target
        places = (int(source.network_address), source.prefixlen, int(target.network_address), target.prefixlen)
        return (source.version, *places, self.transport, self.ports)

    def __str__(self) -> str:
        to = f" {self.transport}" if self.transport is not Transport.ANY else ""
        return f"{self.source} to {self.target}{to}{f' port {self.ports}' if self.ports else ''}"


@dataclass(frozen=True, slots=True)
class Separation:
    """What stands between a segment and everybody else: of what its prefixes send or hear, only the passages cross.

    `inside` are the firewall's own interfaces towards the segment: what enters there is the segment's, whatever
    source it bears.
    """

    prefixes: frozenset[Prefix]
    passages: frozenset[Passage] = frozenset()
    inside: frozenset[str] = frozenset()


def ports_of(text: str) -> str:
    """A port or range in its one spelling. Raises ValueError saying what is expected."""
    found = _PORTS.fullmatch(text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= first <= last <= 65_535:
        raise ValueError(f"ports as '443' or '8000-8099', from 1 to 65535, not {text!r}")
    return str(first) if first == last else f"{first}-{last}"


def passages(crossing: Crossing, prefixes: Iterable[Prefix]) -> Iterator[Passage]:
    """The rules of one crossing of a segment with these prefixes: each pair of one address family, each port range."""
    ports = [ports_of(text) for text in crossing.ports] or [""]
    for ours in crossing.hosts or tuple(prefixes):
        for peer in crossing.peers:
            source, target = (ours, peer) if crossing.begins is Side.INSIDE else (peer, ours)
            if source.version == target.version:
                yield from (Passage(source, target, crossing.transport, one) for one in ports)


def separation(prefixes: Iterable[Prefix], crossings: Iterable[Crossing], inside: Iterable[str]) -> Separation:
    """What a segment's firewall shall hold. What the segment sends to itself by way of its firewall passes."""
    ours = tuple(prefixes)
    crossing = {one for each in crossings for one in passages(each, ours)}
    within = {Passage(one, other) for one in ours for other in ours if one.version == other.version}
    return Separation(frozenset(ours), frozenset(crossing | within), frozenset(inside))


def within(prefix: Prefix, others: Iterable[Prefix]) -> bool:
    """True when one of the others holds the whole prefix."""
    return any(
        (isinstance(prefix, IPv4Network) and isinstance(other, IPv4Network) and prefix.subnet_of(other))
        or (isinstance(prefix, IPv6Network) and isinstance(other, IPv6Network) and prefix.subnet_of(other))
        for other in others
    )
