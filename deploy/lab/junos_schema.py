"""The statements that an emulated EX switch knows, and how it reads a path of them.

Sources: Junos OS configuration statements for EX/QFX switches with Enhanced Layer 2 Software (interfaces, vlans), the
routing policies, firewall filters and traffic policers guide (match conditions and actions for EX and QFX switches),
and the CLI user guide (abbreviation, quoting, value lists in brackets).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import ip_interface

from deploy.lab.ios_tree import natural


class Kind(Enum):
    """How a statement is written and what may stand below it."""

    CONTAINER = "container"  # goes when the last statement below it goes
    ENTRY = "entry"  # one of many, told apart by a name; stays when it is empty
    ORDERED = "ordered"  # an entry whose place among its like matters
    LEAF = "leaf"  # one value
    VALUES = "values"  # several values, one statement each
    FLAG = "flag"  # no value


@dataclass(frozen=True, slots=True)
class Node:
    """One kind of statement: its values, and the statements below it by their keyword ("*": any name)."""

    kind: Kind
    value: str = ""
    below: Mapping[str, "Node"] = field(default_factory=dict)


@dataclass(slots=True)
class Misread(Exception):
    """A path that the switch does not understand, from the word at `index` on; `missing` when a word is lacking."""

    index: int
    missing: bool = False


NAME = r'"[^"]*"|[A-Za-z0-9_.:/-]+'
INTERFACE = r"(?:(?:ge|xe|et|mge)-\d+/\d+/\d+|ae\d+|irb|lo0|vme|me0|em\d+|fxp0)"
NUMBER = r"\d+"
RATE = r"\d+[kmg]?"
PROTOCOL = r"\d+|icmp6?|igmp|tcp|udp|gre|esp|ah|ospf|sctp|ipip"
_FLAG = Node(Kind.FLAG)


def _leaf(value: str) -> Node:
    return Node(Kind.LEAF, value)


def _values(value: str) -> Node:
    return Node(Kind.VALUES, value)


def _container(below: Mapping[str, Node]) -> Node:
    return Node(Kind.CONTAINER, "", below)


_LAYER4 = {
    "source-port": _values(r"\d+(?:-\d+)?"),
    "destination-port": _values(r"\d+(?:-\d+)?"),
}
_FRAGMENTS = {"fragment-flags": _values("is-fragment|more-fragments|dont-fragment"), "is-fragment": _FLAG}
_ADDRESSES = {"source-address": _values("prefix"), "destination-address": _values("prefix")}
_THEN = _container(
    {
        "accept": _FLAG,
        "discard": _FLAG,
        "count": _leaf(NAME),
        "policer": _leaf(NAME),
        "log": _FLAG,
    }
)


def _filter(match: Mapping[str, Node]) -> Node:
    term = Node(Kind.ORDERED, NAME, {"from": _container(match), "then": _THEN})
    return _container({"filter": Node(Kind.ENTRY, NAME, {"interface-specific": _FLAG, "term": term})})


_ETHERNET = {
    "source-mac-address": _values("mac"),
    "destination-mac-address": _values("mac"),
    "ether-type": _values(r"arp|ipv4|ipv6|0x[0-9a-fA-F]{4}|\d+"),
    "ip-source-address": _values("prefix4"),
    "ip-destination-address": _values("prefix4"),
    "ip-protocol": _values(PROTOCOL),
    "ip-version ipv4": _container({**_ADDRESSES, "ip-protocol": _values(PROTOCOL), **_LAYER4}),
    "ip-version ipv6": _container({**_ADDRESSES, "next-header": _values(PROTOCOL), **_LAYER4}),
    **_FRAGMENTS,
    **_LAYER4,
    "user-vlan-id": _values(NUMBER),
}
_INET = {**_ADDRESSES, "protocol": _values(PROTOCOL), **_FRAGMENTS, **_LAYER4}
_INET6 = {**_ADDRESSES, "next-header": _values(PROTOCOL), **_LAYER4}
_BOUND = _container({"input": _leaf(NAME), "output": _leaf(NAME)})


def _routed(address: str) -> Node:
    return Node(Kind.ENTRY, "", {"filter": _BOUND, "address": Node(Kind.ENTRY, address)})


_UNIT = Node(
    Kind.ENTRY,
    NUMBER,
    {
        "description": _leaf(NAME),
        "disable": _FLAG,
        "family ethernet-switching": Node(
            Kind.ENTRY,
            "",
            {
                "interface-mode": _leaf("access|trunk"),
                "vlan": _container({"members": _values(rf"{NAME}")}),
                "filter": _BOUND,
            },
        ),
        "family inet": _routed("prefix4"),
        "family inet6": _routed("prefix"),
    },
)
ROOT = _container(
    {
        "version": _leaf(NAME),
        "system": _container({"host-name": _leaf(NAME), "services": _container({"ssh": _FLAG, "netconf": _FLAG})}),
        "interfaces": _container(
            {
                "*": Node(
                    Kind.ENTRY,
                    INTERFACE,
                    {
                        "description": _leaf(NAME),
                        "disable": _FLAG,
                        "mtu": _leaf(NUMBER),
                        "native-vlan-id": _leaf(NUMBER),
                        "ether-options": _container({"802.3ad": _leaf(r"ae\d+")}),
                        "unit": _UNIT,
                    },
                )
            }
        ),
        "firewall": _container(
            {
                "family inet": _filter(_INET),
                "family inet6": _filter(_INET6),
                "family ethernet-switching": _filter(_ETHERNET),
                "policer": Node(
                    Kind.ENTRY,
                    NAME,
                    {
                        "if-exceeding": _container({"bandwidth-limit": _leaf(RATE), "burst-size-limit": _leaf(RATE)}),
                        "then": _container({"discard": _FLAG}),
                    },
                ),
            }
        ),
        "vlans": _container(
            {
                "*": Node(
                    Kind.ENTRY,
                    NAME,
                    {
                        "description": _leaf(NAME),
                        "vlan-id": _leaf(NUMBER),
                        "l3-interface": _leaf(r"irb\.\d+"),
                        "forwarding-options": _container({"filter": _BOUND}),
                    },
                )
            }
        ),
    }
)

Path = tuple[str, ...]


def split(text: str) -> list[tuple[str, int]]:
    """Words with their columns; a quoted string is one word, brackets stand alone."""
    return [(found.group(), found.start()) for found in re.finditer(r'"[^"]*"|[\[\]]|[^\s\[\]]+', text)]


def value_fits(kind: str, text: str) -> str | None:
    """The value as the switch keeps it, None where it is not one; addresses get their prefix length."""
    if kind in ("prefix", "prefix4"):
        try:
            address = ip_interface(text)
        except ValueError:
            return None
        return str(address) if kind == "prefix" or address.version == 4 else None
    if kind == "mac":
        found = re.fullmatch(r"([0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5})(/\d+)?", text)
        return f"{found.group(1).lower()}{found.group(2) or '/48'}" if found else None
    if not re.fullmatch(kind, text):
        return None
    bare = text.strip('"')
    return bare if re.fullmatch(r"[A-Za-z0-9_.:/-]+", bare) else f'"{bare}"'


def keyword(node: Node, words: list[str], at: int) -> tuple[str, int] | None:
    """The statement that the words at `at` name, shortened or not, and how many they are; raises Misread."""
    firsts = {key.split()[0] for key in node.below if key != "*"}
    first = words[at]
    fitting = {first} if first in firsts else {one for one in firsts if one.startswith(first)}
    if len(fitting) > 1:
        raise Misread(at)
    if not fitting:
        return None
    name = fitting.pop()
    if name in node.below:
        return name, 1
    seconds = [key for key in node.below if key.startswith(f"{name} ")]
    if at + 1 >= len(words):
        raise Misread(at + 1, missing=True)
    chosen = [key for key in seconds if key.split()[1] == words[at + 1]]
    chosen = chosen or [key for key in seconds if key.split()[1].startswith(words[at + 1])]
    if len(chosen) != 1:
        raise Misread(at + 1)
    return chosen[0], 2


def read(words: list[str], start: Path = ()) -> list[tuple[Path, Node]]:
    """The statements that a line names below `start`, several where values stand in brackets; raises Misread.

    A path may end at any statement; a value that is lacking makes the last element the bare keyword.
    """
    node, path, at = descend(start), list(start), 0
    while at < len(words):
        if node.kind in (Kind.LEAF, Kind.VALUES, Kind.FLAG):
            raise Misread(at)
        named = keyword(node, words, at)
        if named is None:
            child = node.below.get("*")
            entry = value_fits(child.value, words[at]) if child else None
            if child is None or entry is None:
                raise Misread(at)
            node, at = child, at + 1
            path.append(entry)
            continue
        name, used = named
        node, at = node.below[name], at + used
        if not node.value:
            path.append(name)
        elif at == len(words):
            return [((*path, name), node)]
        elif words[at] == "[" and node.kind is Kind.VALUES:
            return _bracketed(words, at, path, name, node)
        else:
            value = value_fits(node.value, words[at])
            if value is None:
                raise Misread(at)
            path.append(f"{name} {value}")
            at += 1
    return [(tuple(path), node)]


def _bracketed(words: list[str], at: int, path: list[str], name: str, node: Node) -> list[tuple[Path, Node]]:
    if words[-1] != "]":
        raise Misread(len(words), missing=True)
    found: list[tuple[Path, Node]] = []
    for place in range(at + 1, len(words) - 1):
        value = value_fits(node.value, words[place])
        if value is None:
            raise Misread(place)
        found.append(((*path, f"{name} {value}"), node))
    return found


def descend(path: Path) -> Node:
    """The node of a path that `read` has made."""
    node = ROOT
    for step in path:
        node = node_of(node, step)
    return node


def node_of(node: Node, step: str) -> Node:
    """The node of one step of a path."""
    if step in node.below:
        return node.below[step]
    word = step.split()[0]
    return node.below[word] if word in node.below and node.below[word].value else node.below["*"]


def place(node: Node, step: str) -> tuple[int, list[tuple[int, str]]]:
    """Sort key of a statement among its like: the schema's order, then the names'; ordered entries keep theirs."""
    order = list(node.below)
    key = step if step in order else step.split()[0] if step.split()[0] in order else "*"
    child = node_of(node, step)
    return order.index(key), [] if child.kind in (Kind.ORDERED, Kind.VALUES) else natural(step)
