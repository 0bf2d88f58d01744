"""Addresses of hosts, interfaces and tenants in one canonical form."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NewType, TypeAlias

from controller.domain.errors import BadInput

Address: TypeAlias = IPv4Address | IPv6Address
Prefix: TypeAlias = IPv4Network | IPv6Network

Mac = NewType("Mac", str)
Vlan = NewType("Vlan", int)

_HEX = re.compile(r"[^0-9a-fA-F]")
MAPPED = int(IPv6Address("::ffff:0:0"))


def address_of(text: str) -> Address:
    """Read an address; IPv4-mapped IPv6 (RFC 4291, 2.5.5.2) becomes IPv4. Raises BadInput."""
    try:
        address = ip_address(text.strip())
    except ValueError:
        raise BadInput(f"not an IP address: {text[:60]!r}") from None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise BadInput(f"an address with a zone has no place in flow records: {text[:60]!r}")
        return address.ipv4_mapped or address
    return address


def prefix_of(text: str) -> Prefix:
    """Read a prefix; host bits must be zero. Raises BadInput."""
    try:
        return ip_network(text.strip())
    except ValueError:
        raise BadInput(f"not a prefix: {text[:60]!r}") from None


def packed(address: Address) -> bytes:
    """The 16 bytes under which an address is stored and hashed: IPv4 stands in its mapped form."""
    if isinstance(address, IPv4Address):
        return (MAPPED | int(address)).to_bytes(16, "big")
    return address.packed


def unpacked(raw: bytes) -> Address:
    """The address that `packed` stored."""
    address = IPv6Address(raw)
    return address.ipv4_mapped or address


def mac_of(text: str) -> Mac:
    """Read a MAC in any vendor's spelling (aa:bb:…, aabb.ccdd.eeff, AA-BB-…). Raises BadInput."""
    digits = _HEX.sub("", text).lower()
    if len(digits) != 12 or not set(text) <= set("0123456789abcdefABCDEF:.- "):
        raise BadInput(f"not a MAC address: {text[:60]!r}")
    return Mac(":".join(digits[i : i + 2] for i in range(0, 12, 2)))


def vlan_of(number: int) -> Vlan:
    """A VLAN id that may carry traffic (IEEE 802.1Q: 1 to 4094). Raises BadInput."""
    if not 1 <= number <= 4094:
        raise BadInput(f"not a VLAN id: {number}")
    return Vlan(number)


def covering_block(address: Address) -> Prefix:
    """What a fence on this address has to cover: one IPv4 host, or the IPv6 /64 out of which a host picks freely."""
    if isinstance(address, IPv4Address):
        return IPv4Network(address)
    return IPv6Network((address, 64), strict=False)


def lies_in(address: Address, prefixes: Iterable[Prefix]) -> bool:
    """True when one of the prefixes holds the address."""
    return any(address.version == prefix.version and address in prefix for prefix in prefixes)


@dataclass(frozen=True, slots=True, order=True)
class Port:
    """One interface of one device, in the device's own spelling."""

    device: str
    interface: str

    def __str__(self) -> str:
        return f"{self.device}/{self.interface}"


@dataclass(frozen=True, slots=True)
class HostKey:
    """A host as flow records see it. `scope` tells overlapping address spaces (VRF, tenant) apart; usually empty."""

    address: Address
    scope: str = ""

    def __str__(self) -> str:
        return f"{self.scope}%{self.address}" if self.scope else str(self.address)


@dataclass(frozen=True, slots=True)
class AttachmentKey:
    """Where traffic entered, as an edge exporter saw it: the best witness of who sends.

    `exporter` is the address that exports; `interface` its ifIndex; `mac` is empty where the format shows none.
    """

    exporter: Address
    interface: int
    mac: str = ""

    def __str__(self) -> str:
        tail = f"/{self.mac}" if self.mac else ""
        return f"{self.exporter}#{self.interface}{tail}"


SubjectKey: TypeAlias = HostKey | AttachmentKey


def subject_text(key: SubjectKey) -> str:
    """The name under which verdicts, decisions and people speak of a subject: host:… or attachment:…."""
    return f"host:{key}" if isinstance(key, HostKey) else f"attachment:{key}"


def subject_of(text: str) -> SubjectKey:
    """Read what `subject_text` wrote; a bare address means the host. Raises BadInput."""
    kind, colon, rest = text.partition(":")
    if colon and kind == "attachment":
        exporter, mark, tail = rest.partition("#")
        number, _, mac = tail.partition("/")
        if not mark or not number.isdecimal():
            raise BadInput(f"not a subject: {text[:80]!r}")
        return AttachmentKey(address_of(exporter), int(number), mac_of(mac) if mac else "")
    body = rest if colon and kind == "host" else text
    scope, mark, plain = body.rpartition("%")
    return HostKey(address_of(plain), scope if mark else "")
