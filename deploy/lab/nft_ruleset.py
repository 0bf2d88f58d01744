"""The kernel's ruleset of an emulated firewall: tables, chains, sets, rules, with handles as the kernel gives them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from deploy.lab.nft_values import Range, Type

FAMILIES = ("ip", "ip6", "inet", "arp", "bridge", "netdev")
HOOKS = ("ingress", "prerouting", "input", "forward", "output", "postrouting", "egress")
PRIORITIES: Mapping[str, int] = MappingProxyType(
    {"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "security": 50, "srcnat": 100}
)


class Part(Protocol):
    """One expression or statement of a rule."""

    def text(self, *, stateless: bool) -> str:
        """Print it as nft lists it; `stateless` leaves counts out."""
        ...

    def json(self) -> object:
        """Give it as libnftables-json(5) writes it."""
        ...


@dataclass(slots=True)
class Rule:
    """One rule."""

    handle: int
    parts: list[Part]
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Base:
    """What hangs a chain into the packets' way."""

    kind: str
    hook: str
    priority: int
    device: str = ""


@dataclass(slots=True)
class Chain:
    """A chain; only a base chain sees packets by itself."""

    name: str
    handle: int
    base: Base | None = None
    policy: str = "accept"
    rules: list[Rule] = field(default_factory=list)
    comment: str = ""


@dataclass(slots=True)
class Element:
    """A member of a set; times in seconds, `ends` since the epoch."""

    value: Range
    timeout: int = 0
    ends: float | None = None
    comment: str = ""


@dataclass(slots=True)
class Set:
    """A named set."""

    name: str
    kind: Type
    handle: int
    flags: tuple[str, ...] = ()
    timeout: int = 0
    size: int = 0
    auto_merge: bool = False
    comment: str = ""
    elements: list[Element] = field(default_factory=list)

    def holds(self, value: int | str, *, now: float) -> bool:
        """Say whether a value is in it at `now`."""
        return any(value in element.value and (element.ends is None or element.ends > now) for element in self.elements)

    def settle(self, *, now: float) -> None:
        """Drop members whose time is over."""
        self.elements = [element for element in self.elements if element.ends is None or element.ends > now]

    @property
    def ordered(self) -> list[Element]:
        """Members as they are listed: by value."""
        return sorted(self.elements, key=lambda element: (str(type(element.value.low)), element.value.low))


@dataclass(slots=True)
class Table:
    """A table; its chains, sets and rules take their handles from one count."""

    family: str
    name: str
    handle: int
    chains: dict[str, Chain] = field(default_factory=dict)
    sets: dict[str, Set] = field(default_factory=dict)
    last_handle: int = 0
    comment: str = ""

    def next_handle(self) -> int:
        """Give the next handle."""
        self.last_handle += 1
        return self.last_handle

    def rules(self) -> Iterator[tuple[Chain, Rule]]:
        """All rules with their chains."""
        for chain in self.chains.values():
            for rule in chain.rules:
                yield chain, rule


@dataclass(slots=True)
class Ruleset:
    """All tables, by family and name, in the order in which they were made."""

    tables: dict[tuple[str, str], Table] = field(default_factory=dict)
    last_handle: int = 0
    generation: int = 0

    def chains_at(self, hook: str) -> list[tuple[Table, Chain]]:
        """Base chains of a hook by priority; equal ones in the order in which they were made."""
        found = [
            (table, chain)
            for table in self.tables.values()
            for chain in table.chains.values()
            if chain.base and chain.base.hook == hook
        ]
        return sorted(found, key=lambda pair: pair[1].base.priority if pair[1].base else 0)

    def settle(self, *, now: float) -> None:
        """Drop set members whose time is over."""
        for table in self.tables.values():
            for members in table.sets.values():
                members.settle(now=now)
