"""OpenFlow matches as Open vSwitch reads, normalises, prints and applies them. Source: ovs-fields(7), ovs-ofctl(8)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType

ARP, IPV4, IPV6, VLAN = 0x0806, 0x0800, 0x86DD, 0x8100
TCP, UDP, ICMP, ICMP6, SCTP = 6, 17, 1, 58, 132
LOCAL = 65534
FRAGMENT, LATER = 1, 2  # bits of nw_frag
NAMED_PORTS: Mapping[str, int] = MappingProxyType({"LOCAL": LOCAL, "local": LOCAL})

Masked = tuple[int, int]  # value under mask, and the mask
Ports = Mapping[str, int]


class FlowError(Exception):
    """What ovs-ofctl says of a flow that it cannot read."""


SHORTHANDS: Mapping[str, dict[str, int]] = MappingProxyType(
    {
        "ip": {"dl_type": IPV4},
        "ipv6": {"dl_type": IPV6},
        "arp": {"dl_type": ARP},
        "rarp": {"dl_type": 0x8035},
        "icmp": {"dl_type": IPV4, "nw_proto": ICMP},
        "icmp6": {"dl_type": IPV6, "nw_proto": ICMP6},
        "tcp": {"dl_type": IPV4, "nw_proto": TCP},
        "tcp6": {"dl_type": IPV6, "nw_proto": TCP},
        "udp": {"dl_type": IPV4, "nw_proto": UDP},
        "udp6": {"dl_type": IPV6, "nw_proto": UDP},
        "sctp": {"dl_type": IPV4, "nw_proto": SCTP},
        "sctp6": {"dl_type": IPV6, "nw_proto": SCTP},
    }
)
ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "ip_src": "nw_src",
        "ip_dst": "nw_dst",
        "eth_src": "dl_src",
        "eth_dst": "dl_dst",
        "eth_type": "dl_type",
        "ip_proto": "nw_proto",
        "ip_frag": "nw_frag",
        "ip_dscp": "nw_tos",
        "ip_ecn": "nw_ecn",
        "tcp_src": "tp_src",
        "tcp_dst": "tp_dst",
        "udp_src": "tp_src",
        "udp_dst": "tp_dst",
        "sctp_src": "tp_src",
        "sctp_dst": "tp_dst",
        "icmpv6_type": "icmp_type",
        "icmpv6_code": "icmp_code",
    }
)
OXM: Mapping[str, str] = MappingProxyType({"dl_type": "eth_type", "tp_src": "tcp_src", "tp_dst": "tcp_dst"})
FRAGMENTS: Mapping[str, Masked] = MappingProxyType(
    {
        "no": (0, FRAGMENT),
        "yes": (FRAGMENT, FRAGMENT),
        "first": (FRAGMENT, FRAGMENT | LATER),
        "later": (LATER, LATER),
        "not_later": (0, LATER),
    }
)
BITS: Mapping[str, int] = MappingProxyType(
    {
        "in_port": 32,
        "dl_vlan": 12,
        "dl_vlan_pcp": 3,
        "dl_src": 48,
        "dl_dst": 48,
        "dl_type": 16,
        "nw_src": 32,
        "nw_dst": 32,
        "ipv6_src": 128,
        "ipv6_dst": 128,
        "arp_spa": 32,
        "arp_tpa": 32,
        "arp_op": 16,
        "nw_proto": 8,
        "nw_tos": 8,
        "nw_ecn": 2,
        "nw_ttl": 8,
        "nw_frag": 2,
        "icmp_type": 8,
        "icmp_code": 8,
        "tp_src": 16,
        "tp_dst": 16,
        "tcp_flags": 12,
    }
)
ORDER = tuple(BITS)
WHOLE_ONLY = frozenset(
    {"dl_type", "nw_proto", "nw_tos", "nw_ecn", "nw_ttl", "icmp_type", "icmp_code", "arp_op", "dl_vlan_pcp"}
)
TCP_FLAGS: Mapping[str, int] = MappingProxyType(
    {name: 1 << bit for bit, name in enumerate(("fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns"))}
)
PACKET_TYPE = "packet_type"  # 0: Ethernet; never printed


@dataclass(frozen=True, slots=True)
class Match:
    """What a flow matches: field → (value, mask). Fields whose prerequisite is missing are not in it."""

    fields: Mapping[str, Masked] = field(default_factory=dict)

    def covers(self, packet: Mapping[str, int]) -> bool:
        """Say whether a packet matches; a field that the packet does not have matches nothing."""
        return all(name in packet and packet[name] & mask == value for name, (value, mask) in self.fields.items())

    def contains(self, other: "Match") -> bool:
        """Say whether everything that `other` matches is matched by this: the rule for loose deletion."""
        for name, (value, mask) in self.fields.items():
            theirs = other.fields.get(name)
            if theirs is None or theirs[1] & mask != mask or theirs[0] & mask != value:
                return False
        return True

    def overlaps(self, other: "Match") -> bool:
        """Say whether one packet could match both."""
        for name, (value, mask) in self.fields.items():
            theirs = other.fields.get(name, (0, 0))
            both = mask & theirs[1]
            if value & both != theirs[0] & both:
                return False
        return True

    def text(self, names: Mapping[int, str]) -> str:
        """Give the match as Open vSwitch prints it; ports by name where `names` has one."""
        hidden: set[str] = set()
        parts = []
        word = self._shorthand()
        if word:
            hidden = set(SHORTHANDS[word])
            parts.append(word)
        for name in ORDER:
            if name in self.fields and name not in hidden:
                value, mask = self.fields[name]
                parts.append(f"{name}={_show(name, value, mask, names)}")
        return ",".join(parts)

    def _shorthand(self) -> str:
        have = {name: value for name, (value, mask) in self.fields.items() if name in BITS and mask == _full(name)}
        found = [word for word, needs in SHORTHANDS.items() if needs.items() <= have.items()]
        return max(found, key=lambda word: len(SHORTHANDS[word]), default="")


def read(words: Mapping[str, str | None], ports: Ports) -> tuple[Match, Match]:
    """Build the match as it was typed and as it stands after normalisation: equal, or ovs-ofctl warns."""
    fields: dict[str, Masked] = {}
    for name, text in words.items():
        if name in SHORTHANDS:
            if text is not None:
                raise FlowError(f"unknown keyword {name}")
            fields |= {key: (value, _full(key)) for key, value in SHORTHANDS[name].items()}
            continue
        canonical = ALIASES.get(name, name)
        if text is None or text == "":
            raise FlowError(f"field {name} missing value")
        if canonical == "vlan_tci":
            fields |= _tag(text)
        else:
            fields[canonical] = _parse(name, canonical, text, ports)
    if fields.get("dl_type", (0, 0))[0] == ARP:
        spoken = {"nw_src": "arp_spa", "nw_dst": "arp_tpa", "nw_proto": "arp_op"}
        fields = {spoken.get(name, name): pair for name, pair in fields.items()}
    if not _allowed("tcp_flags", fields):
        fields.pop("tcp_flags", None)  # goes without the warning that others get
    typed = Match({name: pair for name, pair in fields.items() if pair[1]} | _ethernet(fields))
    return typed, Match({name: pair for name, pair in typed.fields.items() if _allowed(name, typed.fields)})


def _ethernet(fields: Mapping[str, Masked]) -> dict[str, Masked]:
    """Whoever matches anything of the packet itself matches, unseen, that it is an Ethernet frame.

    It stays when normalisation takes the field away: deleting "nw_src=…" deletes all flows but those on a port alone.
    """
    return {PACKET_TYPE: (0, 1)} if fields.keys() - {"in_port"} else {}


def known(name: str) -> bool:
    """Say whether a word is a field or a shorthand."""
    return ALIASES.get(name, name) in BITS or name in SHORTHANDS or name == "vlan_tci"


@lru_cache(maxsize=65_536)
def mac(text: str) -> int:
    """Read a MAC address; FlowError in ovs-ofctl's words."""
    if not re.fullmatch(r"[0-9a-fA-F]{1,2}(:[0-9a-fA-F]{1,2}){5}", text):
        raise FlowError(f"{text}: invalid Ethernet address")
    return int("".join(part.zfill(2) for part in text.split(":")), 16)


def ipv4(text: str) -> int:
    """Read an IPv4 address. Each part is taken modulo 256, as the scanf of ovs-ofctl 3.1 takes it."""
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9}){3}", text):
        raise FlowError(f"{text}: invalid IP address")
    return int.from_bytes(bytes(int(part) % 256 for part in text.split(".")))


def number(name: str, text: str, bits: int) -> int:
    """Read an unsigned number of so many bits; FlowError in ovs-ofctl's words for a field."""
    shown = OXM.get(name, name)
    try:
        value = int(text, 0)
    except ValueError:
        raise FlowError(f"{text}: bad syntax for {shown} value") from None
    if not 0 <= value < 1 << bits:
        raise FlowError(f"{text}: value too large for {(bits + 7) // 8}-byte field {shown}")
    return value


def setting(name: str, text: str, bits: int) -> int:
    """Read a number that is no field: priority, timeouts, cookie, table."""
    if not text:
        raise FlowError(f"field {name} missing value")
    try:
        value = int(text, 0)
    except ValueError:
        raise FlowError(f"invalid numeric format {text}" if name == "cookie" else f'invalid {name} "{text}"') from None
    if not 0 <= value < 1 << bits:
        raise FlowError(f'invalid {name} "{text}"')
    return value


def _parse(typed: str, name: str, text: str, ports: Ports) -> Masked:
    if name == "in_port":
        return _port(text, ports), _full(name)
    if name == "nw_frag":
        if text not in FRAGMENTS:
            raise FlowError(
                f'{text}: unknown fragment type (valid types are "no", "yes", "first", "later", "not_later"'
            )
        return FRAGMENTS[text]
    if name == "tcp_flags" and re.match(r"[+-]|[a-z]", text):
        return _flags(text)
    if name == "dl_vlan":
        return number(typed, text, 16) % 4096, _full(name)

    def plain(word: str) -> int:
        return number(typed, word, BITS[name])

    reader = _READERS.get(name, plain)
    address, slash, mask_text = text.partition("/")
    if slash and name in WHOLE_ONLY:
        raise FlowError(f"{text}: invalid mask for field {OXM.get(name, name)}")
    value = reader(address)
    if name == "nw_tos":
        value = value << 2 if typed == "ip_dscp" else value & 0xFC
    if not slash:
        return value, _full(name)
    mask = _mask(name, text, mask_text, reader)
    return value & mask, mask


def _flags(text: str) -> Masked:
    """Read `+syn-ack`, or `syn|ack` for exactly these."""
    value = mask = 0
    signed = text[0] in "+-"
    for sign, name in re.findall(r"([+-]|)([^+|-]+)", text):
        if name not in TCP_FLAGS:
            raise FlowError(f"{name}: unknown TCP flag(s)")
        if mask & TCP_FLAGS[name]:
            raise FlowError(f"{name}: Each TCP flag can be specified only once")
        mask |= TCP_FLAGS[name]
        value |= TCP_FLAGS[name] if sign != "-" else 0
    return value, mask if signed else _full("tcp_flags")


def _port(text: str, ports: Ports) -> int:
    known_ports = {**ports, **NAMED_PORTS}
    if text in known_ports:
        return known_ports[text]
    if not text.isdigit() or not 0 <= int(text) <= LOCAL:
        raise FlowError(f"{text}: invalid or unknown port for in_port")
    return int(text)


def _mask(name: str, whole: str, text: str, reader: Callable[[str], int]) -> int:
    bits = BITS[name]
    if name in ("nw_src", "nw_dst", "arp_spa", "arp_tpa", "ipv6_src", "ipv6_dst") and text.isdigit():
        if not 0 <= int(text) <= bits:
            family = "IPv4" if bits == 32 else "IPv6"
            raise FlowError(f"{whole}: {family} network prefix bits not between 0 and {bits}, inclusive")
        return ((1 << int(text)) - 1) << (bits - int(text))
    return reader(text)


def _ipv6(text: str) -> int:
    try:
        return int(IPv6Address(text))
    except ValueError:
        raise FlowError(f"{text}: invalid IPv6 address") from None


_READERS: Mapping[str, Callable[[str], int]] = MappingProxyType(
    {
        **dict.fromkeys(("dl_src", "dl_dst"), mac),
        **dict.fromkeys(("nw_src", "nw_dst", "arp_spa", "arp_tpa"), ipv4),
        **dict.fromkeys(("ipv6_src", "ipv6_dst"), _ipv6),
    }
)


def _tag(text: str) -> dict[str, Masked]:
    """Read vlan_tci, whose bit 12 says that there is a tag at all."""
    tci = number("vlan_tci", text.partition("/")[0], 16)
    if not tci & 0x1000:
        return {}
    return {"dl_vlan": (tci & 0xFFF, 0xFFF), "dl_vlan_pcp": (tci >> 13, 7)}


def _allowed(name: str, fields: Mapping[str, Masked]) -> bool:
    """Say whether the fields that `name` depends on are matched, exactly: OpenFlow's prerequisites."""
    kind = fields.get("dl_type", (0, 0))[0]
    protocol = fields.get("nw_proto", (0, 0))[0] if "nw_proto" in fields else None
    match name:
        case "nw_src" | "nw_dst":
            return kind == IPV4
        case "ipv6_src" | "ipv6_dst":
            return kind == IPV6
        case "arp_spa" | "arp_tpa" | "arp_op":
            return kind == ARP
        case "nw_proto":
            return kind in (IPV4, IPV6, ARP)
        case "nw_tos" | "nw_ecn" | "nw_ttl" | "nw_frag":
            return kind in (IPV4, IPV6)
        case "tp_src" | "tp_dst":
            return kind in (IPV4, IPV6) and protocol in (TCP, UDP, SCTP)
        case "tcp_flags":
            return kind in (IPV4, IPV6) and protocol == TCP
        case "icmp_type" | "icmp_code":
            return (kind, protocol) in ((IPV4, ICMP), (IPV6, ICMP6))
    return True


def _full(name: str) -> int:
    return (1 << BITS[name]) - 1


def _show(name: str, value: int, mask: int, names: Mapping[int, str]) -> str:
    if name == "in_port":
        return "LOCAL" if value == LOCAL else names.get(value, str(value))
    if name == "nw_frag":
        return next(word for word, pair in FRAGMENTS.items() if pair == (value, mask))
    if name == "tcp_flags":
        if mask == _full(name):
            return "|".join(flag for flag, bit in TCP_FLAGS.items() if value & bit) or "0"
        return "".join(f"{'+' if value & bit else '-'}{flag}" for flag, bit in TCP_FLAGS.items() if mask & bit)
    if name in ("dl_src", "dl_dst"):
        text = _mac(value)
        return text if mask == _full(name) else f"{text}/{_mac(mask)}"
    if name in ("nw_src", "nw_dst", "arp_spa", "arp_tpa", "ipv6_src", "ipv6_dst"):
        bits = BITS[name]
        address = IPv4Address if bits == 32 else IPv6Address
        if mask == _full(name):
            return str(address(value))
        ones = mask.bit_count()
        plain = mask == ((1 << ones) - 1) << (bits - ones)
        return f"{address(value)}/{ones if plain else address(mask)}"
    if name == "dl_type":
        return f"0x{value:04x}"
    return str(value) if mask == _full(name) else f"0x{value:x}/0x{mask:x}"


def _mac(value: int) -> str:
    return ":".join(f"{value:012x}"[at : at + 2] for at in range(0, 12, 2))
