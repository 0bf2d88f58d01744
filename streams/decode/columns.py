"""Flow records as columns: one array for each field, whatever format they came in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from controller.domain.address import address_of, packed
from controller.domain.errors import BadInput
from streams.decode import Reject
from streams.decode.counters import Link

Packed: TypeAlias = bytes
IPV4, IPV6, ARP, OTHER = 4, 6, 1, 0

TCP, UDP, ICMP, ICMP6, FRAGMENT6 = 6, 17, 1, 58, 44
NO_PROTOCOL = -1
UNKNOWN_PROTOCOL = 255

PROTOCOLS: Mapping[str, int] = MappingProxyType(
    {
        "icmp": 1, "igmp": 2, "ipv4": 4, "ipencap": 4, "ipip": 4, "tcp": 6, "egp": 8, "igp": 9, "udp": 17, "dccp": 33,
        "ipv6": 41, "ipv6-route": 43, "ipv6-frag": 44, "rsvp": 46, "gre": 47, "esp": 50, "ah": 51, "ipv6-icmp": 58,
        "icmp6": 58, "ipv6-nonxt": 59, "ipv6-opts": 60, "eigrp": 88, "ospf": 89, "ospfigp": 89, "etherip": 97,
        "pim": 103, "ipcomp": 108, "vrrp": 112, "l2tp": 115, "sctp": 132, "udplite": 136, "hopopt": 0,
    }
)  # fmt: skip
"""IANA protocol names as goflow2 and pmacct print them, in lower case. Names that do not stand here are rare."""

TAME = frozenset({1, 2, 4, 6, 17, 33, 41, 43, 44, 46, 47, 50, 51, 58, 60, 88, 89, 97, 103, 108, 112, 115, 132, 136})
"""Protocols that healthy hosts, routers and tunnels send."""

UNKNOWN_INTERFACE = 0x3FFFFFFF
"""sFlow v5, section 5: the interface is not known. Exporters of NetFlow write 0."""


@dataclass(frozen=True, slots=True)
class Columns:
    """n flow records. Counts are as the record has them; `sampling` is not multiplied in. Times are ns."""

    exporters: tuple[str, ...]
    words: NDArray[np.uint64]  # two of each address, the higher first; IPv4 mapped into IPv6
    macs: NDArray[np.uint64]  # the first is 0: none
    exporter: NDArray[np.int32]  # index
    src: NDArray[np.int32]  # index, -1 where there is none
    dst: NDArray[np.int32]
    src_mac: NDArray[np.int32]  # index
    dst_mac: NDArray[np.int32]
    receipt_ns: NDArray[np.int64]
    duration_ns: NDArray[np.int64]
    bytes: NDArray[np.int64]
    packets: NDArray[np.int64]
    flows: NDArray[np.int64]
    sampling: NDArray[np.int64]  # at least 1
    protocol: NDArray[np.int16]
    src_port: NDArray[np.int32]  # 0 for fragments without a transport header
    dst_port: NDArray[np.int32]
    tcp_flags: NDArray[np.int16]
    icmp_type: NDArray[np.int16]
    in_if: NDArray[np.int64]  # 0 unknown
    discarded: NDArray[np.bool_]
    ip: NDArray[np.bool_]
    fragment: NDArray[np.bool_]
    malformed: NDArray[np.bool_]
    fragments_visible: NDArray[np.bool_]
    skewed: NDArray[np.bool_]
    skew_ns: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.bytes)

    @property
    def addresses(self) -> tuple[Packed, ...]:
        """The addresses, packed."""
        return tuple(self.words.astype(">u8").view("V16").reshape(-1).tolist())


@dataclass(frozen=True, slots=True)
class Flows:
    """What a frame of flow records came to. received = len(columns) + reject counts + skipped."""

    received: int
    skipped: int
    rejects: tuple[Reject, ...]
    columns: Columns | None
    links: tuple[Link, ...] = ()  # what counters told of interfaces, which `linked` names the exporters of
    linked: tuple[str, ...] = ()


def interned(column: Sequence[Any]) -> tuple[list[Any], NDArray[np.int32]]:
    """Distinct values in order of appearance, and each one's index."""
    places = dict.fromkeys(column)
    values = list(places)
    for index, value in enumerate(values):
        places[value] = index
    return values, np.fromiter(map(places.__getitem__, column), np.int32, len(column))


@lru_cache(maxsize=1 << 16)
def packed_address(text: str) -> bytes | None:
    """The 16 bytes of an address in text, mapped IPv4 as IPv4; None when it is none."""
    try:
        return packed(address_of(text))
    except BadInput:
        return None


def canonical_address(text: str) -> str | None:
    """An address in one spelling; None when it is none."""
    raw = packed_address(text)
    return None if raw is None else str(_shown(raw))


def _shown(raw: bytes) -> object:
    address = ip_address(raw)
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(maxsize=1 << 14)
def mac_number(text: str) -> int | None:
    """A MAC (aa:bb:cc:dd:ee:ff) as a number; 0 for an absent one, None for what is no MAC."""
    if not text:
        return 0
    digits = text.replace(":", "").replace("-", "").replace(".", "")
    try:
        return int(digits, 16) if len(digits) == 12 else None
    except ValueError:
        return None


def protocol_number(name: str | int) -> int:
    """A protocol's number from its IANA name in any case, or from digits."""
    if isinstance(name, int):
        return name if 0 <= name <= 255 else UNKNOWN_PROTOCOL
    if name.isdecimal():
        return protocol_number(int(name[:4]))
    return PROTOCOLS.get(name.lower(), UNKNOWN_PROTOCOL) if name else NO_PROTOCOL


def looked_up(values: Sequence[Any], index: NDArray[np.int32], kind: Any) -> NDArray[Any]:
    """values[index] for small tables."""
    return np.array(values, kind)[index]
