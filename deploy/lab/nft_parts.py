"""What rules are made of: matches, limits, counters, verdicts; how each is printed and what it does to packets.

Source: nft(8), libnftables-json(5).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from deploy.lab.bucket import Bucket
from deploy.lab.nft_ruleset import Part, Set
from deploy.lab.nft_values import NUMBER, Range, Type, merged, show, to_json

PERIODS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
UNITS = {"bytes": 1, "kbytes": 1024, "mbytes": 1024 * 1024}

Packet = Mapping[str, int | str]


@dataclass(frozen=True, slots=True)
class Amount:
    """So many packets with so many octets, over so many seconds."""

    packets: int
    octets: int
    seconds: float = 0.25

    def part(self, packets: int) -> "Amount":
        """So many of these packets, with their share of the octets."""
        octets = self.octets * packets // self.packets if self.packets else 0
        return Amount(packets, octets, self.seconds)

    def less(self, other: "Amount") -> "Amount":
        """What is left when `other` is taken away."""
        return Amount(self.packets - other.packets, self.octets - other.octets, self.seconds)

    def plus(self, other: "Amount") -> "Amount":
        """Both together."""
        return Amount(self.packets + other.packets, self.octets + other.octets, self.seconds)


class Filters(Protocol):
    """A part that lets some packets go on along the rule."""

    def take(self, packet: Packet, amount: Amount, *, now: float) -> Amount:
        """Give those that go on."""
        ...


@dataclass(frozen=True, slots=True)
class Field:
    """Something of a packet that can be compared: how it is written, its type, and under what name packets carry it."""

    text: str
    kind: Type
    key: str
    json: object
    needs: Mapping[str, int] = field(default_factory=dict)  # nothing else carries it: {"nfproto": 2}, {"l4proto": 6}
    family: str = ""  # ip or ip6, when only that family has it

    def __deepcopy__(self, _: object) -> "Field":
        """A copy of what never changes is itself."""
        return self


@dataclass(frozen=True, slots=True)
class Match:
    """A comparison of one field with a value, a set written out, or a named set."""

    field: Field
    operator: str  # "", "!=", "<", ">", "<=", ">="; "" is equality, or membership of bits
    values: tuple[Range, ...] = ()
    braces: bool = False
    named: Set | None = None
    mask: int | None = None
    written: str = ""  # "tcp flags" with a mask are printed in a way of their own

    def text(self, *, stateless: bool) -> str:
        """Print it."""
        operator = f"{self.operator} " if self.operator else ""
        if self.mask is not None and self.field.kind.flags:
            bits = show(Range(self.mask, self.mask), self.field.kind)
            return f"{self.field.text} {operator}{show(self.values[0], self.field.kind)} / {bits}"
        if self.mask is not None:
            return f"{self.field.text} & {self.mask} {self.operator or '=='} {self._right()}"
        return f"{self.field.text} {operator}{self._right()}"

    def json(self) -> object:
        """Give it as JSON."""
        left = self.field.json
        operator = self.operator or "=="
        if self.mask is not None:
            bits: object = self.mask
            if self.field.kind.flags:
                bits = [name for name, bit in self.field.kind.names.items() if self.mask & bit]
            left = {"&": [left, bits]}
        right: object
        if self.named:
            right = f"@{self.named.name}"
        elif self.braces:
            right = {"set": [to_json(value, self.field.kind) for value in self.values]}
        else:
            right = to_json(self.values[0], self.field.kind)
            if self.field.kind.flags and isinstance(right, str):
                operator = operator if self.mask is not None or self.operator else "in"
                right = right.split(",") if "," in right else right
        return {"match": {"op": operator, "left": left, "right": right}}

    def take(self, packet: Packet, amount: Amount, *, now: float) -> Amount:
        """All of like packets go on, or none."""
        return amount if self._holds(packet, now) else amount.part(0)

    def _right(self) -> str:
        if self.named:
            return f"@{self.named.name}"
        shown = ", ".join(show(value, self.field.kind) for value in self.values)
        return f"{{ {shown} }}" if self.braces else shown

    def _holds(self, packet: Packet, now: float) -> bool:
        value = packet.get(self.field.key)
        if value is None or any(packet.get(name) != wanted for name, wanted in self.field.needs.items()):
            return False
        if self.mask is not None and isinstance(value, int):
            value &= self.mask
        if self.named:
            return self.named.holds(value, now=now) == (self.operator != "!=")
        first = self.values[0].low
        if self.operator in ("<", ">", "<=", ">=") and isinstance(value, int) and isinstance(first, int):
            return {"<": value < first, ">": value > first, "<=": value <= first, ">=": value >= first}[self.operator]
        if self.field.kind.flags and not self.braces and self.mask is None and isinstance(value, int):
            found = bool(isinstance(first, int) and value & first)
        else:
            found = any(value in wanted for wanted in self.values)
        return found == (self.operator != "!=")


@dataclass(frozen=True, slots=True)
class Exists:
    """Whether a packet has an IPv6 extension header."""

    header: str
    present: bool

    def text(self, *, stateless: bool) -> str:
        """Print it."""
        return f"exthdr {self.header} {'exists' if self.present else 'missing'}"

    def json(self) -> object:
        """Give it as JSON."""
        return {"match": {"op": "==", "left": {"exthdr": {"name": self.header}}, "right": self.present}}

    def take(self, packet: Packet, amount: Amount, *, now: float) -> Amount:
        """Only IPv6 packets have extension headers."""
        has = packet.get(f"exthdr {self.header}") == 1
        return amount if packet.get("nfproto") == 10 and has == self.present else amount.part(0)


@dataclass(slots=True)
class Counter:
    """Counts what comes by."""

    packets: int = 0
    octets: int = 0

    def text(self, *, stateless: bool) -> str:
        """Print it."""
        return "counter" if stateless else f"counter packets {self.packets} bytes {self.octets}"

    def json(self) -> object:
        """Give it as JSON."""
        return {"counter": {"packets": self.packets, "bytes": self.octets}}

    def take(self, packet: Packet, amount: Amount, *, now: float) -> Amount:
        """All go on."""
        self.packets += amount.packets
        self.octets += amount.octets
        return amount


@dataclass(slots=True)
class Limit:
    """A token bucket; `over` lets those go on that exceed it. Without a burst the kernel takes 5 packets, or none."""

    rate: int
    unit: str  # "", bytes, kbytes, mbytes
    per: str
    burst: int
    burst_unit: str
    over: bool
    bucket: Bucket = field(init=False)

    def __post_init__(self) -> None:
        """Fill the bucket: the burst in packets, or one period's octets and the burst (nft_limit.c of Linux)."""
        per_period = self.rate * UNITS.get(self.unit, 1)
        burst = self.burst * UNITS.get(self.burst_unit, 1)
        self.bucket = Bucket(per_period / PERIODS[self.per], float(burst + per_period if self.unit else burst))

    def text(self, *, stateless: bool) -> str:
        """Print it."""
        unit = f" {self.unit}" if self.unit else ""
        plain = self.burst == (0 if self.unit else 5)
        burst = "" if plain else f" burst {self.burst} {self.burst_unit or 'packets'}"
        return f"limit rate {'over ' if self.over else ''}{self.rate}{unit}/{self.per}{burst}"

    def json(self) -> object:
        """Give it as JSON."""
        shown: dict[str, object] = {"rate": self.rate, "burst": self.burst, "per": self.per}
        if self.over:
            shown["inv"] = True
        if self.unit:
            shown |= {"rate_unit": self.unit, "burst_unit": self.burst_unit or "bytes"}
        return {"limit": shown}

    def take(self, packet: Packet, amount: Amount, *, now: float) -> Amount:
        """Give those within the rate, or with `over` those beyond it."""
        size = amount.octets if self.unit else amount.packets
        within = amount.part(int(amount.packets * self.bucket.take(size, now=now, seconds=amount.seconds)))
        return amount.less(within) if self.over else within


@dataclass(frozen=True, slots=True)
class Verdict:
    """Ends a rule: accept, drop, reject, return, continue, jump or goto."""

    kind: str
    target: str = ""
    detail: str = ""  # of a reject, as printed after "with"

    def text(self, *, stateless: bool) -> str:
        """Print it."""
        with_ = f" with {self.detail}" if self.detail else ""
        return self.kind + (f" {self.target}" if self.target else "") + with_

    def json(self) -> object:
        """Give it as JSON."""
        if self.target:
            return {self.kind: {"target": self.target}}
        if self.kind != "reject" or not self.detail:
            return {self.kind: None}
        family, _, reason = self.detail.partition(" ")
        return {"reject": {"type": "tcp reset"} if family == "tcp" else {"type": family, "expr": reason}}


@dataclass(frozen=True, slots=True)
class Said:
    """A statement that changes nothing about who passes: log, notrack, setting a mark."""

    words: str
    shown: object

    def text(self, *, stateless: bool) -> str:
        """Print it."""
        return self.words

    def json(self) -> object:
        """Give it as JSON."""
        return self.shown

    def take(self, packet: Packet, amount: Amount, *, now: float) -> Amount:
        """All go on."""
        return amount


def written_out(values: list[Range], kind: Type) -> tuple[Range, ...]:
    """Give the members of a set in braces as nft lists them."""
    return tuple(merged(values)) if kind is not NUMBER else tuple(dict.fromkeys(values))


def rule_text(parts: list[Part], comment: str, *, stateless: bool) -> str:
    """Print a rule."""
    words = [part.text(stateless=stateless) for part in parts]
    return " ".join([*words, *([f'comment "{comment}"'] if comment else [])])
