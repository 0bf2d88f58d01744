"""Look-ups over the estate in the numbers that records carry: who owns an address, what an interface is, who may send.

The rule that everything rests on: a flood's source address is the attacker's free choice. An address is charged only
with traffic that enters by a port to which the estate ties it; other traffic is charged to the port of entry.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import numpy as np
from numpy.typing import NDArray

from controller.domain.address import MAPPED, Address, Port, Prefix, packed, unpacked
from controller.domain.estate import GATEWAYS, Estate, Host, HostRole, Interface, PortRole
from streams.keys import attachment_key, host_key
from streams.ranges import ranges, within
from streams.rows import Flag, Vantage

_MULTICAST4, _MULTICAST6 = IPv4Network("224.0.0.0/4"), IPv6Network("ff00::/8")
_BROADCAST4 = IPv4Address("255.255.255.255")
_HALF = 64
_FULL = 128

SPEAKS_FOR_OTHERS = GATEWAYS | {HostRole.FIREWALL, HostRole.ANYCAST}
"""Roles on whose ports traffic with many sources is no lie."""


@dataclass(frozen=True, slots=True)
class Owner:
    """What the estate says of one address."""

    ours: bool
    key: bytes  # the host's; b"" when the address is not ours
    host: Host | None
    group: bool  # multicast or broadcast


STRANGER = Owner(ours=False, key=b"", host=None, group=False)


class Charged(Enum):
    """Who pays for a record."""

    HOST = auto()
    ATTACHMENT = auto()
    NOBODY = auto()


@dataclass(frozen=True, slots=True)
class Charge:
    """Who pays for what enters by one interface with one source, and how sure that is."""

    who: Charged
    key: bytes = b""
    vantage: Vantage = Vantage.UNPLACED
    flags: int = 0
    interface: int = 0
    mac: int = 0
    stray: bool = False  # the source lives behind another port


NOBODY = Charge(Charged.NOBODY)


class Prefixes:
    """Longest-prefix membership over packed addresses, as one set of numbers for each prefix length."""

    def __init__(self, pairs: Iterable[tuple[Prefix, int]]) -> None:
        tables: dict[int, dict[int, int]] = {}
        for prefix, value in pairs:
            mapped = isinstance(prefix, IPv4Network)
            length = prefix.prefixlen + 96 if mapped else prefix.prefixlen
            number = int(prefix.network_address) | (MAPPED if mapped else 0)
            tables.setdefault(length, {}).setdefault(number >> (_FULL - length), value)
        self._tables = sorted(tables.items(), reverse=True)

    def find(self, number: int) -> tuple[int, int]:
        """(value, prefix length in 128 bits) of the longest match; (-1, 0) for none."""
        for length, table in self._tables:
            value = table.get(number >> (_FULL - length), -1)
            if value >= 0:
                return value, length
        return -1, 0


class Places:
    """The estate as records see it. Built once; every answer depends on its arguments alone."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._hosts = tuple(estate.hosts.values())
        self._by_address = {
            packed(address): index for index, host in enumerate(self._hosts) for address in host.addresses
        }
        self.prefixes = _prefixes(estate)
        """All that is ours; an address outside of them has no owner."""
        self._ours = Prefixes((prefix, 1) for prefix in estate.site.prefixes)
        self._routed = Prefixes((prefix, index) for index, host in enumerate(self._hosts) for prefix in host.prefixes)
        self._broadcasts = {
            packed(prefix.broadcast_address)
            for segment in estate.site.segments
            for prefix in segment.prefixes
            if isinstance(prefix, IPv4Network) and prefix.prefixlen < 31
        }
        self._told_of = ranges(
            (
                *self.prefixes,
                *(ip_network(raw) for raw in (_BROADCAST4, *map(unpacked, self._broadcasts))),
                _MULTICAST4,
                _MULTICAST6,
            )
        )
        self._macs = {int(mac.replace(":", ""), 16): host for mac, host in estate.by_mac.items()}
        self._edge_exporters = {
            host.name: frozenset(
                str(exporter) for port in _ports(host) if (exporter := estate.devices[port.device].exporter) is not None
            )
            for host in self._hosts
        }

    def told_of(self, words: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which of n addresses, two words each, need be asked about: the owner of all others is STRANGER.

        Senders that lie choose a new one for each packet.
        """
        return within(np.ascontiguousarray(words), self._told_of)

    def owner(self, raw: bytes, scope: bytes) -> Owner:
        """Who owns a packed address."""
        number = int.from_bytes(raw, "big")
        address = unpacked(raw)
        group = (
            address in _MULTICAST4 or address == _BROADCAST4 or raw in self._broadcasts
            if isinstance(address, IPv4Address)
            else address.is_multicast
        )
        index = self._by_address.get(raw, -1)
        exact = index >= 0
        if not exact:
            index, _ = self._routed.find(number)
        host = self._hosts[index] if index >= 0 else None
        ours = host is not None or self._ours.find(number)[0] >= 0
        if not ours or group:
            return Owner(ours, b"", host, group)
        # An IPv6 host picks freely out of its /64: addresses that nobody wrote down are one subject by /64.
        loose = isinstance(address, IPv6Address) and not exact
        base = (number >> _HALF << _HALF).to_bytes(16, "big") if loose else raw
        return Owner(True, host_key(base, scope), host, group)

    def edge_exporters(self, host: Host) -> frozenset[str]:
        """Exporters that stand at the host's own ports."""
        return self._edge_exporters[host.name]

    def charge(self, *, exporter: str, in_if: int, source: Owner | None, mac: int) -> Charge:
        """Who pays for traffic that `exporter` saw enter by `in_if`; `source` is None for what is not IP."""
        address = _exporter_address(exporter)
        interface = self._estate.by_if_index.get((address, in_if)) if address is not None and in_if else None
        if interface is None or address is None:
            return self._unplaced(exporter, address, in_if, source)
        if interface.role is PortRole.UPLINK:
            return NOBODY
        tenants = self._estate.by_port.get(Port(interface.device, interface.name), ())
        if interface.role is not PortRole.EDGE and not tenants:
            if source is None or not source.key:
                return NOBODY
            return Charge(Charged.HOST, source.key, Vantage.CROSSING, interface=in_if)
        return self._at_edge(address, interface, tenants, source, mac)

    def _unplaced(self, exporter: str, address: Address | None, in_if: int, source: Owner | None) -> Charge:
        if source is None:
            if address is None or not in_if:
                return NOBODY
            return Charge(Charged.ATTACHMENT, attachment_key(address, in_if), interface=in_if)
        if not source.key:
            return NOBODY
        at_home = bool(in_if) and source.host is not None and exporter in self._edge_exporters[source.host.name]
        return Charge(Charged.HOST, source.key, Vantage.EDGE if at_home else Vantage.UNPLACED, interface=in_if)

    def _at_edge(
        self, exporter: Address, interface: Interface, tenants: tuple[Host, ...], source: Owner | None, mac: int
    ) -> Charge:
        index = interface.if_index
        guest = self._macs.get(mac) if mac else None
        true_mac = mac if guest is not None and any(guest is one for one in tenants) else 0
        shared = interface.shared or len(tenants) > 1
        if any(host.role in SPEAKS_FOR_OTHERS for host in tenants):
            flags = int(Flag.GATEWAY)
            if source is not None and source.host is not None and any(source.host is one for one in tenants):
                return Charge(Charged.HOST, source.key, Vantage.EDGE, flags, index, mac)
            return Charge(Charged.ATTACHMENT, attachment_key(exporter, index), Vantage.EDGE, flags, index, mac)
        owner = source.host if source is not None and source.key else None
        if owner is not None and any(owner is one for one in tenants):
            known = {one.mac for one in tenants if one.mac}
            if not shared or (true_mac == 0 and (not mac or not known)):
                # One owner behind the port; or nothing tells its guests apart, and the verdict has to say so.
                flags = int(Flag.SHARED_NO_MAC) if shared else 0
                return Charge(Charged.HOST, source.key if source else b"", Vantage.EDGE, flags, index, mac)
            if guest is owner or (guest is None and owner.mac is None):
                return Charge(Charged.HOST, source.key if source else b"", Vantage.EDGE, 0, index, mac)
        key = attachment_key(exporter, index, true_mac)
        stray = (guest is not None and not true_mac) or (not mac and source is not None and source.host is not None)
        return Charge(Charged.ATTACHMENT, key, Vantage.EDGE, int(Flag.SPOOFED), index, true_mac, stray)


def _prefixes(estate: Estate) -> tuple[Prefix, ...]:
    """What the site names as its own, what is routed to its hosts, and their addresses."""
    hosts = estate.hosts.values()
    return (
        *estate.site.prefixes,
        *(prefix for host in hosts for prefix in host.prefixes),
        *(ip_network(address) for host in hosts for address in host.addresses),
    )


def _ports(host: Host) -> tuple[Port, ...]:
    return (*host.ports, *((host.guest,) if host.guest else ()))


def _exporter_address(exporter: str) -> Address | None:
    """The address of an exporter; None for records that name none and stand under their topic."""
    try:
        return ip_address(exporter)
    except ValueError:
        return None
