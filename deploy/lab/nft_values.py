"""Values of nft expressions: types, how they are read and printed, and sets of them. Source: nft(8), DATA TYPES."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv6Address, NetmaskValueError, ip_address
from types import MappingProxyType

from deploy.lab.nft_words import NftError, Place, Word, Words

PROTOCOLS: Mapping[str, int] = MappingProxyType(
    {"icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "ah": 51, "ipv6-icmp": 58, "sctp": 132,
     "ipv6-frag": 44, "ipv6-nonxt": 59, "udplite": 136}
)  # fmt: skip
SERVICES: Mapping[str, int] = MappingProxyType(
    {"ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "domain": 53, "http": 80, "pop3": 110, "ntp": 123, "imap2": 143,
     "snmp": 161, "https": 443, "submission": 587, "imaps": 993}
)  # fmt: skip
CT_STATES: Mapping[str, int] = MappingProxyType(
    {"invalid": 1, "established": 2, "related": 4, "new": 8, "untracked": 64}
)
TCP_FLAGS: Mapping[str, int] = MappingProxyType(
    {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "cwr": 128}
)
ICMP_TYPES: Mapping[str, int] = MappingProxyType(
    {"echo-reply": 0, "destination-unreachable": 3, "redirect": 5, "echo-request": 8, "time-exceeded": 11}
)
ICMPV6_TYPES: Mapping[str, int] = MappingProxyType(
    {"destination-unreachable": 1, "packet-too-big": 2, "time-exceeded": 3, "parameter-problem": 4, "echo-request": 128,
     "echo-reply": 129, "nd-router-solicit": 133, "nd-router-advert": 134, "nd-neighbor-solicit": 135,
     "nd-neighbor-advert": 136}
)  # fmt: skip

Json = object


@dataclass(frozen=True, slots=True)
class Type:
    """A data type: its name in set declarations and in messages, its width, and names of its values."""

    name: str
    title: str
    bits: int
    names: Mapping[str, int] = field(default_factory=dict)
    shows_names: bool = True
    text: bool = False  # values are strings
    flags: bool = False  # values are sets of bits

    def __deepcopy__(self, _: object) -> "Type":
        """A copy of what never changes is itself."""
        return self


IPV4 = Type("ipv4_addr", "IPv4 address", 32)
IPV6 = Type("ipv6_addr", "IPv6 address", 128)
ETHER = Type("ether_addr", "Ethernet address", 48)
PROTOCOL = Type("inet_proto", "Internet protocol", 8, PROTOCOLS)
SERVICE = Type("inet_service", "internet network service", 16, SERVICES, shows_names=False)
MARK = Type("mark", "packet mark", 32)
NAME = Type("ifname", "network interface name", 0, text=True)
NUMBER = Type("integer", "integer", 16)
STATE = Type("ct_state", "conntrack state", 32, CT_STATES, flags=True)
FLAGS = Type("tcp_flag", "TCP flag", 8, TCP_FLAGS, flags=True)
ICMP = Type("icmp_type", "ICMP type", 8, ICMP_TYPES)
ICMPV6 = Type("icmpv6_type", "ICMPv6 type", 8, ICMPV6_TYPES)
FAMILY = Type("nf_proto", "netfilter protocol", 8, {"ipv4": 2, "ipv6": 10})
ETHERTYPE = Type("ether_type", "Ethernet protocol", 16, {"ip": 0x0800, "arp": 0x0806, "ip6": 0x86DD, "vlan": 0x8100})
PACKET = Type("pkt_type", "packet type", 8, {"host": 0, "unicast": 0, "broadcast": 1, "multicast": 2, "other": 3})
SET_TYPES: Mapping[str, Type] = MappingProxyType(
    {kind.name: kind for kind in (IPV4, IPV6, ETHER, PROTOCOL, SERVICE, MARK, NAME, STATE, ICMP, ICMPV6, ETHERTYPE)}
)

Point = int | str


@dataclass(frozen=True, slots=True)
class Range:
    """All values from low to high; equal for a single one. Strings are always single."""

    low: Point
    high: Point

    def __contains__(self, value: Point) -> bool:
        """Say whether a value lies in it; an interface name may end in `*`."""
        if isinstance(self.low, str):
            return isinstance(value, str) and (
                value.startswith(self.low[:-1]) if self.low.endswith("*") else value == self.low
            )
        return isinstance(value, int) and isinstance(self.high, int) and self.low <= value <= self.high


def read(words: Words, kind: Type) -> Range:
    """Read one value, prefix or range of a type; NftError as nft puts it."""
    word = words.here
    if word.kind not in ("word", "string"):
        words.unexpected()
    words.take()
    text = word.text
    if kind.text or word.kind == "string":
        if not kind.text:
            raise NftError("syntax error, unexpected quoted string", word.place)
        return Range(text, text)
    address, slash, length = text.partition("/")
    if slash and kind.name in ("ipv4_addr", "ipv6_addr"):
        value = point(address, kind, word)
        if not length.isdigit() or int(length) > kind.bits:
            raise NftError(f"Prefix length {length} is invalid for type of {kind.bits} bits width", word.place)
        size = 1 << (kind.bits - int(length))
        return Range(value & ~(size - 1), value | (size - 1))
    low, dash, high = _halves(text, kind)
    first = point(low, kind, word)
    last = point(high, kind, word) if dash else first
    if last < first:
        raise NftError("Range has zero or negative size", word.place)
    return Range(first, last)


def _halves(text: str, kind: Type) -> tuple[str, str, str]:
    if text in kind.names:
        return text, "", ""
    return text.partition("-")


def point(text: str, kind: Type, word: Word) -> int:
    """Read one number of a type."""
    if kind.name in ("ipv4_addr", "ipv6_addr"):
        return _address(text, kind, word.place)
    if kind.name == "ether_addr":
        if not re.fullmatch(r"[0-9a-fA-F]{1,2}(:[0-9a-fA-F]{1,2}){5}", text):
            raise NftError("invalid MAC address", word.place)
        return int("".join(part.zfill(2) for part in text.split(":")), 16)
    if text in kind.names:
        return kind.names[text]
    try:
        value = int(text, 0)
    except ValueError:
        raise NftError(_unknown(kind), word.place) from None
    if value >= 1 << kind.bits:
        message = "Service out of range" if kind is SERVICE else "Protocol out of range" if kind is PROTOCOL else ""
        raise NftError(message or f"Value {value} exceeds valid range 0-{(1 << kind.bits) - 1}", word.place)
    return value


def _address(text: str, kind: Type, place: Place) -> int:
    try:
        return int((IPv4Address if kind is IPV4 else IPv6Address)(text))
    except (AddressValueError, NetmaskValueError):
        try:
            ip_address(text)
        except ValueError:
            raise NftError("Could not resolve hostname: Name or service not known", place) from None
        raise NftError("Could not resolve hostname: Address family for hostname not supported", place) from None


def _unknown(kind: Type) -> str:
    if kind is SERVICE:
        return "Could not resolve service: Servname not supported for ai_socktype"
    if kind is PROTOCOL:
        return "Could not resolve protocol name"
    return "Could not parse " + kind.title


def show(value: Range, kind: Type) -> str:
    """Print a value, prefix or range."""
    if value.low == value.high:
        return _one(value.low, kind)
    length = prefix(value, kind)
    if length is not None:
        return f"{_one(value.low, kind)}/{length}"
    return f"{_one(value.low, kind)}-{_one(value.high, kind)}"


def to_json(value: Range, kind: Type) -> Json:
    """Give a value as libnftables-json(5) writes it."""
    if value.low == value.high:
        return _json_point(value.low, kind)
    length = prefix(value, kind)
    if length is not None:
        return {"prefix": {"addr": _one(value.low, kind), "len": length}}
    return {"range": [_json_point(value.low, kind), _json_point(value.high, kind)]}


def _json_point(value: Point, kind: Type) -> Json:
    if isinstance(value, str):
        return value
    text = _one(value, kind)
    return value if text.isdigit() or text.startswith("0x") else text


def prefix(value: Range, kind: Type) -> int | None:
    """Give the prefix length of a range of addresses that is one."""
    if kind.name not in ("ipv4_addr", "ipv6_addr") or not isinstance(value.low, int) or not isinstance(value.high, int):
        return None
    size = value.high - value.low + 1
    return kind.bits - size.bit_length() + 1 if size & (size - 1) == 0 and value.low % size == 0 else None


def _one(value: Point, kind: Type) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if kind is IPV4:
        return str(IPv4Address(value))
    if kind is IPV6:
        return str(IPv6Address(value))
    if kind is ETHER:
        return ":".join(f"{value:012x}"[at : at + 2] for at in range(0, 12, 2))
    if kind is MARK:
        return f"0x{value:08x}"
    if kind.flags:
        return ",".join(name for name, bit in kind.names.items() if value & bit) or "0x0"
    if kind.shows_names:
        return next((name for name, number in kind.names.items() if number == value), str(value))
    return str(value)


def merged(values: Iterable[Range]) -> list[Range]:
    """Sort ranges and join those that overlap: what nft makes of a set written out in a rule."""
    joined: list[Range] = []
    for value in sorted(set(values), key=lambda item: (str(item.low) if isinstance(item.low, str) else "", _key(item))):
        last = joined[-1] if joined else None
        if last and isinstance(last.high, int) and isinstance(value.low, int) and value.low <= last.high:
            joined[-1] = Range(last.low, max(last.high, value.high))
        else:
            joined.append(value)
    return joined


def _key(value: Range) -> int:
    return value.low if isinstance(value.low, int) else 0


def duration(words: Words) -> int:
    """Read a time like 1d2h3m4s, in seconds; milliseconds are dropped."""
    word = words.take()
    match = re.fullmatch(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?(?:(\d+)ms)?", word.text)
    if not match or not word.text:
        words.at -= word.kind != "end"
        words.unexpected()
        raise AssertionError
    days, hours, minutes, seconds, _ = (int(part or 0) for part in match.groups())
    return days * 86_400 + hours * 3600 + minutes * 60 + seconds


def show_duration(milliseconds: int) -> str:
    """Print a time as nft does, largest unit first."""
    text = ""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, milliseconds = divmod(milliseconds, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"
