"""Access lists of a Catalyst: the grammar of one entry, and what the entry does to packets.

Sources: IOS command reference "permit/deny (IP)", "permit/deny (IPv6)", "permit/deny (MAC access-list)", and Cisco
document 8014, "Access Control Lists and IP Fragments". First and later fragments come in one traffic class; ports 0 and
0 mark the later ones, as flow exporters do, for a later fragment carries no layer 4 header.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Network, ip_address

from deploy.lab.device import Packets, Traffic
from deploy.lab.ios_grammar import Ambiguous, Incomplete, Invalid, Word, mac_dotted, words

PROTOCOLS = {
    "icmp": 1,
    "igmp": 2,
    "ipinip": 4,
    "tcp": 6,
    "udp": 17,
    "gre": 47,
    "esp": 50,
    "ahp": 51,
    "eigrp": 88,
    "ospf": 89,
    "pim": 103,
    "sctp": 132,
}
_PORTS = {
    "ftp-data": 20,
    "ftp": 21,
    "telnet": 23,
    "smtp": 25,
    "domain": 53,
    "bootps": 67,
    "bootpc": 68,
    "tftp": 69,
    "www": 80,
    "pop3": 110,
    "sunrpc": 111,
    "ntp": 123,
    "snmp": 161,
    "snmptrap": 162,
    "bgp": 179,
    "isakmp": 500,
    "syslog": 514,
}
_NEIGHBOUR_DISCOVERY = (135, 136)


@dataclass(frozen=True, slots=True)
class Entry:
    """One permit or deny line, understood."""

    action: str
    text: str
    protocol: int | None = None
    source: tuple[int, int] = (0, 0)  # value and care bits
    target: tuple[int, int] = (0, 0)
    source_ports: tuple[tuple[int, int], ...] = ()
    target_ports: tuple[tuple[int, int], ...] = ()
    fragments: bool = False

    @property
    def layer4(self) -> bool:
        """True when the entry looks past the IP header."""
        return bool(self.source_ports or self.target_ports)


class _Reader:
    """A line's words, taken one by one, with the device's way of refusing them."""

    def __init__(self, typed: str, line: Sequence[Word]) -> None:
        self.typed = typed
        self.line = line
        self.at = 0

    @property
    def more(self) -> bool:
        return self.at < len(self.line)

    def peek(self) -> Word:
        if not self.more:
            raise Incomplete
        return self.line[self.at]

    def take(self) -> str:
        word = self.peek()
        self.at += 1
        return word.text

    def refuse(self) -> Invalid:
        return Invalid(self.line[self.at - 1].column)

    def keyword(self, choices: Sequence[str]) -> str | None:
        """The keyword that the next word stands for; None, and nothing taken, when it stands for none."""
        if not self.more:
            return None
        word = self.line[self.at]
        lower = word.text.lower()
        fitting = [lower] if lower in choices else [one for one in choices if one.startswith(lower)]
        if len(fitting) > 1:
            raise Ambiguous(self.typed[: word.column + len(word.text)])
        if fitting:
            self.at += 1
            return fitting[0]
        return None


def sequence(typed: str) -> tuple[int | None, str]:
    """The sequence number before or behind an entry, where there is one, and the entry with blanks in its place."""
    before = re.match(r"\s*(?:sequence\s+)?(\d+)\s+(?=\S)", typed)
    if before:
        return int(before.group(1)), " " * before.end() + typed[before.end() :]
    behind = re.search(r"\s+sequence\s+(\d+)\s*$", typed)
    if behind:
        return int(behind.group(1)), typed[: behind.start()]
    return None, typed


def read_entry(typed: str, kind: str) -> Entry:
    """One entry of an `extended`, `standard`, `ipv6` or `mac` list; raises what the device would answer."""
    reader = _Reader(typed, words(typed))
    action = reader.keyword(("permit", "deny"))
    if action is None:
        raise Invalid(reader.peek().column)
    if kind == "mac":
        return _mac_entry(reader, action)
    if kind == "standard":
        side, text = _side4(reader, bare=True)
        return Entry(action, f"{action} {text}{_tail(reader, ('log',))}", source=side)
    return _ip_entry(reader, action, kind)


def _ip_entry(reader: _Reader, action: str, kind: str) -> Entry:
    name, number = _protocol(reader, kind)
    side: Callable[[_Reader], tuple[tuple[int, int], str]] = _side6 if kind == "ipv6" else _side4
    ported = number in (6, 17, 132)
    source, source_text = side(reader)
    source_ports, source_port_text = _ports(reader) if ported else ((), "")
    target, target_text = side(reader)
    target_ports, target_port_text = _ports(reader) if ported else ((), "")
    options = ["fragments", "log", "log-input"] + (["established"] if number == 6 else [])
    options += ["echo", "echo-reply", "unreachable"] if number == 1 else []
    tail = _tail(reader, options)
    text = f"{action} {name} {source_text}{source_port_text} {target_text}{target_port_text}{tail}"
    fragments = "fragments" in tail.split()
    entry = Entry(action, text, number, source, target, source_ports, target_ports, fragments)
    if entry.fragments and entry.layer4:
        raise Invalid(reader.line[-1].column)
    return entry


def _protocol(reader: _Reader, kind: str) -> tuple[str, int | None]:
    whole = "ipv6" if kind == "ipv6" else "ip"
    word = reader.peek()
    if word.text.isdigit() and int(word.text) < 256:
        reader.at += 1
        return word.text, int(word.text)
    known = {**PROTOCOLS, "icmp": 58} if kind == "ipv6" else PROTOCOLS
    if word.text.lower() == whole:
        reader.at += 1
        return whole, None
    name = reader.keyword((whole, *known))
    if name is None:
        raise Invalid(word.column)
    return name, known[name] if name != whole else None


def _side4(reader: _Reader, *, bare: bool = False) -> tuple[tuple[int, int], str]:
    word = reader.keyword(("any", "host"))
    if word == "any":
        return (0, 0), "any"
    try:
        address = IPv4Address(reader.take())
        if word == "host" or (bare and not reader.more):
            return (int(address), 0xFFFFFFFF), f"{'' if bare else 'host '}{address}"
        wildcard = IPv4Address(reader.take())
    except ValueError as error:
        raise reader.refuse() from error
    care = int(wildcard) ^ 0xFFFFFFFF
    kept = IPv4Address(int(address) & care)
    if care == 0:
        return (0, 0), "any"
    return (int(kept), care), f"host {kept}" if care == 0xFFFFFFFF else f"{kept} {wildcard}"


def _side6(reader: _Reader) -> tuple[tuple[int, int], str]:
    word = reader.keyword(("any", "host"))
    if word == "any":
        return (0, 0), "any"
    text = reader.take()
    try:
        if word != "host" and "/" not in text:
            raise reader.refuse()
        network = IPv6Network(text, strict=False)
    except ValueError as error:
        raise reader.refuse() from error
    shown = str(network.network_address).upper()
    if word == "host":
        return (int(network.network_address), int(network.netmask)), f"host {shown}"
    return (int(network.network_address), int(network.netmask)), f"{shown}/{network.prefixlen}"


def _ports(reader: _Reader) -> tuple[tuple[tuple[int, int], ...], str]:
    word = reader.keyword(("eq", "neq", "gt", "lt", "range"))
    if word is None:
        return (), ""
    low, text = _port(reader)
    if word == "range":
        high, last = _port(reader)
        return ((low, high),), f" range {text} {last}"
    spans = {
        "eq": ((low, low),),
        "neq": ((0, low - 1), (low + 1, 65535)),
        "gt": ((low + 1, 65535),),
        "lt": ((0, low - 1),),
    }
    return spans[word], f" {word} {text}"


def _port(reader: _Reader) -> tuple[int, str]:
    word = reader.peek()
    if word.text.isdigit() and int(word.text) < 65536:
        reader.at += 1
        names = [name for name, number in _PORTS.items() if number == int(word.text)]
        return int(word.text), names[0] if names else word.text
    name = reader.keyword(tuple(_PORTS))
    if name is None:
        raise Invalid(word.column)
    return _PORTS[name], name


def _tail(reader: _Reader, options: Sequence[str]) -> str:
    taken = ""
    while reader.more:
        column = reader.peek().column
        word = reader.keyword(options)
        if word is None:
            raise Invalid(column)
        taken += f" {word}"
    return taken


def _mac_entry(reader: _Reader, action: str) -> Entry:
    sides: list[tuple[tuple[int, int], str]] = []
    for _ in range(2):
        word = reader.keyword(("any", "host"))
        if word == "any":
            sides.append(((0, 0), "any"))
            continue
        try:
            mac = mac_dotted(reader.take())
        except ValueError as error:
            raise reader.refuse() from error
        if word is None:
            raise Invalid(reader.line[reader.at - 1].column)
        sides.append(((int(mac.replace(".", ""), 16), 0xFFFFFFFFFFFF), f"host {mac}"))
    _tail(reader, ())
    return Entry(action, f"{action} {sides[0][1]} {sides[1][1]}", source=sides[0][0], target=sides[1][0])


def permitted(entries: Sequence[Entry], burst: Packets, kind: str) -> str:
    """Name the line that stops the burst, the silent one at the end included; empty when the list lets it pass.

    An empty list permits everything, as one that does not exist does.
    """
    if not entries:
        return ""
    for entry in entries:
        if _matches(entry, burst, kind):
            return "" if entry.action == "permit" else entry.text
    if kind == "ipv6" and burst.protocol == 58 and _icmp_type(burst) in _NEIGHBOUR_DISCOVERY:
        return ""
    return "implicit deny"


def _icmp_type(burst: Packets) -> int:
    """ICMP type as flow records carry it: in the destination port, times 256, plus the code."""
    return burst.dst_port >> 8


def _matches(entry: Entry, burst: Packets, kind: str) -> bool:
    if kind == "mac":
        sides = (int(burst.src_mac.replace(":", ""), 16), int(burst.dst_mac.replace(":", ""), 16))
    else:
        if entry.protocol is not None and entry.protocol != burst.protocol:
            return False
        sides = (int(ip_address(burst.src)), int(ip_address(burst.dst)))
    if (sides[0] ^ entry.source[0]) & entry.source[1] or (sides[1] ^ entry.target[0]) & entry.target[1]:
        return False
    later = burst.traffic is Traffic.FRAGMENT and burst.src_port == 0 and burst.dst_port == 0
    if entry.fragments:
        return later
    if later and entry.layer4:
        return entry.action == "permit"
    return _in(burst.src_port, entry.source_ports) and _in(burst.dst_port, entry.target_ports)


def _in(port: int, spans: tuple[tuple[int, int], ...]) -> bool:
    return not spans or any(low <= port <= high for low, high in spans)
