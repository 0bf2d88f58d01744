"""How a Catalyst reads a line: abbreviations, the caret, and its three ways to say no.

Source: "Using the Cisco IOS Command-Line Interface" (command abbreviation, error messages). A keyword may be
shortened as long as no other keyword of that place begins alike; a keyword that is typed whole always wins. Junos and
Gaia read keywords by the same rule, so their emulators use `Grammar` too, with refusals of their own.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import Protocol

_TYPES = (
    "FastEthernet",
    "GigabitEthernet",
    "TenGigabitEthernet",
    "TwentyFiveGigE",
    "FortyGigabitEthernet",
    "HundredGigE",
    "Port-channel",
    "Vlan",
    "Loopback",
)
_SHORT = {"TwentyFiveGigE": "Twe", "Vlan": "Vl", "Port-channel": "Po", "Loopback": "Lo"}


@dataclass(slots=True)
class Invalid(Exception):
    """Nothing in the grammar goes on like this; `column` counts from the first character typed."""

    column: int

    def text(self, typed: str, prompt: str) -> str:
        """The caret line and sentence as the device prints them below the echoed line."""
        return f"{' ' * (len(prompt) + min(self.column, len(typed)))}^\n% Invalid input detected at '^' marker.\n\n"


@dataclass(slots=True)
class Incomplete(Exception):
    """The line ends before the command does."""

    def text(self, typed: str, prompt: str) -> str:
        """The sentence as printed; the line itself is not repeated."""
        return "% Incomplete command.\n\n"


@dataclass(slots=True)
class Ambiguous(Exception):
    """A shortened keyword fits more than one."""

    upto: str

    def text(self, typed: str, prompt: str) -> str:
        """The sentence as printed, with the line up to the keyword that could be two."""
        return f'% Ambiguous command:  "{self.upto}"\n'


class Rejected(Exception):
    """The line is well formed and the device will not have it; the argument is its sentence."""

    def text(self, typed: str, prompt: str) -> str:
        """The sentence as printed."""
        return str(self)


@dataclass(frozen=True, slots=True)
class Word:
    """One blank-separated word and the column at which it was typed."""

    text: str
    column: int


class World(Protocol):
    """What the grammar must ask the device: only which interfaces exist."""

    def has_interface(self, name: str) -> bool:
        """True when that interface, in its long spelling, can be named in a command."""
        ...


@dataclass(frozen=True, slots=True)
class Match:
    """A line understood: the canonical line, its leading keywords (the slot that it fills) and the typed values."""

    verb: str
    line: str
    slot: str
    values: dict[str, str]


def words(text: str) -> list[Word]:
    """The words of a line with their columns."""
    return [Word(found.group(), found.start()) for found in re.finditer(r"\S+", text)]


def interface_name(text: str) -> str | None:
    """The long spelling of an interface (`gi1/0/7` is GigabitEthernet1/0/7), or None where no type begins so."""
    found = re.fullmatch(r"([A-Za-z][A-Za-z-]*)\s*(\d+(?:/\d+)*)", text)
    if not found:
        return None
    kinds = [kind for kind in _TYPES if kind.lower().startswith(found.group(1).lower())]
    return f"{kinds[0]}{found.group(2)}" if len(kinds) == 1 else None


def short_interface(name: str) -> str:
    """The two-letter spelling that tables use: GigabitEthernet1/0/7 is Gi1/0/7."""
    found = re.match(r"[A-Za-z-]+", name)
    kind = found.group() if found else ""
    return _SHORT.get(kind, kind[:2]) + name[len(kind) :]


def mac_dotted(mac: str) -> str:
    """aabb.ccdd.eeff from any common spelling of 48 bits; ValueError for anything else."""
    digits = re.sub(r"[.:-]", "", mac).lower()
    if not re.fullmatch(r"[0-9a-f]{12}", digits):
        message = f"not a MAC address: {mac}"
        raise ValueError(message)
    return ".".join(digits[at : at + 4] for at in (0, 4, 8))


def expand(pattern: str) -> Iterator[tuple[str, ...]]:
    """All plain token sequences of a pattern with `(a|b)` choices and `[c]` options."""
    parts = re.findall(r"[()|\[\]]|<[^>]*>|[^\s()|\[\]]+", pattern)

    def choice(at: int, closing: str) -> tuple[list[tuple[str, ...]], int]:
        branches: list[tuple[str, ...]] = []
        current: list[tuple[str, ...]] = [()]
        while at < len(parts):
            part = parts[at]
            at += 1
            if part in ("(", "["):
                inner, at = choice(at, ")" if part == "(" else "]")
                inner = [*inner, ()] if part == "[" else inner
                current = [left + right for left in current for right in inner]
            elif part == "|":
                branches += current
                current = [()]
            elif part == closing:
                break
            else:
                current = [(*left, part) for left in current]
        return branches + current, at

    yield from choice(0, "")[0]


def _accepts(element: str, text: str) -> str | None:
    """The canonical value when `text` can stand for a typed element like `<n:1-4094>`, else None."""
    kind = element[1:-1].partition(":")[2] or element[1:-1]
    if span := re.fullmatch(r"(\d+)-(\d+)", kind):
        fits = text.isdigit() and int(span.group(1)) <= int(text) <= int(span.group(2))
        return str(int(text)) if fits else None
    if kind == "ip":
        try:
            return str(IPv4Address(text))
        except AddressValueError:
            return None
    if kind == "mac":
        try:
            return mac_dotted(text)
        except ValueError:
            return None
    if kind == "level":
        return text if re.fullmatch(r"\d+(\.\d+)?[kmgKMG]?", text) else None
    if kind == "vlans":
        return text if re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", text) else None
    return text


@dataclass(slots=True)
class _Branch:
    verb: str
    elements: tuple[str, ...]
    canonical: tuple[str, ...] = ()
    values: tuple[tuple[str, str], ...] = ()

    @property
    def next(self) -> str:
        return self.elements[len(self.canonical)] if len(self.canonical) < len(self.elements) else ""

    def step(self, canonical: str) -> "_Branch":
        element = self.next
        named = ((element[1:-1].partition(":")[0], canonical),) if element.startswith("<") else ()
        return _Branch(self.verb, self.elements, (*self.canonical, canonical), self.values + named)

    def done(self) -> Match:
        keywords = []
        for element in self.elements:
            if element.startswith("<"):
                break
            keywords.append(element)
        return Match(self.verb, " ".join(self.canonical), " ".join(keywords), dict(self.values))


class Grammar:
    """The commands of one mode, each pattern with the verb that it stands for."""

    def __init__(self, commands: Sequence[tuple[str, str]]) -> None:
        """`commands` holds (pattern, verb); `<name:kind>` is a value, `<name:line>` takes the rest of the line."""
        self._start = [_Branch(verb, elements) for pattern, verb in commands for elements in expand(pattern)]

    def match(self, typed: str, world: World) -> Match:
        """What the line means; raises Invalid, Incomplete or Ambiguous as the device would."""
        alive = self._start
        line = words(typed)
        at = 0
        while at < len(line):
            word = line[at]
            alive, used, rest = self._advance(alive, line, at, typed, world)
            if rest:
                return alive[0].done()
            if not alive:
                raise Invalid(word.column)
            at += used
        for branch in alive:
            if not branch.next:
                return branch.done()
        raise Incomplete

    def _advance(
        self, alive: list[_Branch], line: list[Word], at: int, typed: str, world: World
    ) -> tuple[list[_Branch], int, bool]:
        word = line[at]
        lower = word.text.lower()
        keywords = {branch.next for branch in alive if branch.next and not branch.next.startswith("<")}
        fitting = {lower} if lower in keywords else {keyword for keyword in keywords if keyword.startswith(lower)}
        if len(fitting) > 1:
            raise Ambiguous(typed[: word.column + len(word.text)])
        if fitting:
            keyword = fitting.pop()
            return [branch.step(keyword) for branch in alive if branch.next == keyword], 1, False
        values = [branch for branch in alive if branch.next.startswith("<")]
        if not values and keywords:
            raise Invalid(word.column + max(_common(lower, keyword) for keyword in keywords))
        last = at == len(line) - 1
        taken = [(branch, _accepts(branch.next, word.text)) for branch in values]
        fits = [branch.step(value) for branch, value in taken if value is not None and _plain(branch.next)]
        for branch in values:
            if branch.next.endswith(":line>") and not (last and fits):
                return [branch.step(typed[word.column :].rstrip())], len(line) - at, True
        interfaces = [branch for branch in values if branch.next.endswith(":interface>")]
        if interfaces:
            name, used = _interface_at(line, at, world)
            return [branch.step(name) for branch in interfaces], used, False
        return fits, 1, False


def _interface_at(line: list[Word], at: int, world: World) -> tuple[str, int]:
    word = line[at]
    two = at + 1 < len(line) and word.text.isascii() and not any(letter.isdigit() for letter in word.text)
    text, used = (f"{word.text}{line[at + 1].text}", 2) if two else (word.text, 1)
    name = interface_name(text)
    if name is None:
        if not two and interface_name(f"{word.text}0"):
            raise Incomplete
        raise Invalid(word.column)
    if not world.has_interface(name):
        digits = re.search(r"\d", word.text)
        raise Invalid(line[at + 1].column if two else word.column + (digits.start() if digits else 0))
    return name, used


def _plain(element: str) -> bool:
    return not element.endswith((":line>", ":interface>"))


def _common(left: str, right: str) -> int:
    """Length of the common beginning: the device marks the first character that does not fit."""
    length = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        length += 1
    return length
