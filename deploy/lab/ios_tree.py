"""A Catalyst's configuration: statements in a tree, one statement to a slot, printed in a fixed order."""

import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field

_SECTIONS = (
    "version",
    "hostname",
    "vtp",
    "mls qos",
    "archive",
    "vlan",
    "class-map",
    "policy-map",
    "interface Port-channel",
    "interface",
    "ip access-list",
    "mac access-list",
    "ipv6 access-list",
    "mac address-table",
)
_PORT = (
    "description",
    "no switchport",
    "switchport access vlan",
    "switchport trunk native vlan",
    "switchport trunk allowed vlan",
    "switchport mode",
    "switchport nonegotiate",
    "switchport protected",
    "switchport block",
    "ip address",
    "ip access-group",
    "load-interval",
    "ipv6 traffic-filter",
    "mac access-group",
    "shutdown",
    "storm-control",
    "channel-group",
    "spanning-tree",
    "service-policy",
)


@dataclass(slots=True)
class Statement:
    """One line and what stands below it."""

    line: str
    body: dict[str, "Statement"] = field(default_factory=dict)


def _rank(key: str, order: tuple[str, ...]) -> int:
    best = len(order)
    for place, start in enumerate(order):
        if key.startswith(start) and (best == len(order) or len(start) > len(order[best])):
            best = place
    return best


def natural(text: str) -> list[tuple[int, str]]:
    """Sort key that puts Gi1/0/2 before Gi1/0/10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", text)]


@dataclass(slots=True)
class Tree:
    """The whole configuration. `revision` grows with every change that makes a difference, and only then."""

    top: dict[str, Statement] = field(default_factory=dict)
    revision: int = 0

    def body(self, path: tuple[str, ...]) -> dict[str, Statement]:
        """The statements below a path of slots; empty, and not attached, when the path does not exist."""
        level = self.top
        for slot in path:
            statement = level.get(slot)
            if statement is None:
                return {}
            level = statement.body
        return level

    def value(self, path: tuple[str, ...], slot: str) -> str:
        """What follows the slot's keywords in its line; "" when unset."""
        statement = self.body(path).get(slot)
        return statement.line[len(slot) :].strip() if statement else ""

    def has(self, path: tuple[str, ...], slot: str) -> bool:
        """True when the slot below the path is set."""
        return slot in self.body(path)

    def put(self, path: tuple[str, ...], slot: str, line: str) -> None:
        """Set one slot; what stands below it stays. The path is created where it is missing."""
        level = self.top
        for step in path:
            if step not in level:
                level[step] = Statement(step)
                self.revision += 1
            level = level[step].body
        if slot not in level:
            level[slot] = Statement(line)
            self.revision += 1
        elif level[slot].line != line:
            level[slot].line = line
            self.revision += 1

    def drop(self, path: tuple[str, ...], slot: str) -> bool:
        """Unset one slot with all below it; False when it was not set."""
        if self.body(path).pop(slot, None) is None:
            return False
        self.revision += 1
        return True

    def replace(self, other: "Tree") -> None:
        """Become a copy of another configuration."""
        if self.lines() != other.lines():
            self.revision += 1
        self.top = deepcopy(other.top)

    def copy(self) -> "Tree":
        """An independent copy at the same revision."""
        return Tree(deepcopy(self.top), self.revision)

    def names(self, start: str) -> list[str]:
        """Top-level slots that begin with the given words, in natural order."""
        return sorted((slot for slot in self.top if slot.startswith(start)), key=natural)

    def lines(self) -> list[str]:
        """All lines, indented, in the device's order, without separators."""
        return [line for slot in self.ordered() for line in render(self.top[slot], 0)]

    def ordered(self) -> list[str]:
        """Top-level slots in the order in which the device prints them."""
        return sorted(self.top, key=lambda slot: (_rank(slot, _SECTIONS), natural(slot)))


def render(statement: Statement, depth: int) -> Iterator[str]:
    """One statement and its body, each level one blank further in."""
    yield " " * depth + statement.line
    below = list(statement.body)
    if statement.line.startswith("interface "):
        below.sort(key=lambda slot: (_rank(slot, _PORT), slot))
    elif " access-list " in statement.line:
        below.sort(key=natural)
    for slot in below:
        yield from render(statement.body[slot], depth + 1)
