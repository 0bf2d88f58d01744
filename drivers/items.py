"""What a slot holds, taken apart into items: the units in which a device is read and written.

An entry may need several items (a rule for IP and one for ARP, a list, its binding to the port); an item may serve
several entries. Wanted and held are two sets of items, and the work to do is their difference.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import TypeAlias

from controller.domain.address import Prefix, Vlan
from controller.domain.crossing import Passage, Separation
from controller.domain.fence import Action, Entry, SlotKind, SlotState
from controller.domain.verdict import TrafficClass
from drivers.dialect import SEPARATES, Dialect, Family, Holds, Row, Scope

Value: TypeAlias = Prefix | int | str | None

_CHANGEABLE = frozenset({"vlan", "rate"})


@dataclass(frozen=True, slots=True)
class Item:
    """One row, filled in. Two items are equal when they stand for the same thing, wherever the device seated them.

    `left_s` is how long it stays on the device: None for ever.
    """

    row: str
    values: tuple[tuple[str, Value], ...] = ()
    seat: int | None = field(default=None, compare=False)
    left_s: int | None = field(default=None, compare=False)

    @property
    def key(self) -> tuple[str, tuple[tuple[str, Value], ...]]:
        """What stays the same when a value is changed in place."""
        return (self.row, tuple(pair for pair in self.values if pair[0] not in _CHANGEABLE))


def family_of(source: Prefix | None) -> Family:
    """The address family of an entry's source."""
    if source is None:
        return Family.ANY
    return Family.IPV4 if isinstance(source, IPv4Network) else Family.IPV6


def applies(row: Row, entry: Entry) -> bool:
    """True when holding this entry takes an item of this row."""
    return (
        row.holds is Holds.ENTRIES
        and (row.frame or row.action is entry.action)
        and (not row.traffic or entry.traffic in row.traffic)
        and family_of(entry.source) in row.families
        and (Scope.SEGMENT if entry.segment else Scope.SUBJECT) in row.scopes
    )


def lets_pass(dialect: Dialect, row: Row, passage: Passage) -> bool:
    """True when holding this passage takes an item of this row."""
    return (
        row.holds is Holds.PASSAGE
        and row.transport is passage.transport
        and family_of(passage.source) in row.families
        and ("ports" in dialect.identity_of(row)) == bool(passage.ports)
    )


def items_of(dialect: Dialect, kind: SlotKind, state: SlotState) -> tuple[Item, ...]:
    """The items that a state is made of, each once, in the order in which they are set."""
    entries = sorted(state.entries, key=Entry.sort_key)
    found: dict[Item, None] = {}
    for row in dialect.rows_of(kind):
        match row.holds:
            case Holds.VLAN if state.vlan is not None:
                found[Item(row.name, (("vlan", int(state.vlan)),))] = None
            case Holds.SHUT if state.enabled is False:
                found[Item(row.name)] = None
            case Holds.ISOLATED if state.isolated is True:
                found[Item(row.name)] = None
            case Holds.RATE if state.rate_bps is not None:
                found[Item(row.name, (("rate", state.rate_bps),))] = None
            case Holds.GUARD if state.rate_bps is not None or entries:
                found[Item(row.name)] = None
            case Holds.ENTRIES:
                for entry in entries:
                    if applies(row, entry):
                        found[_entry_item(dialect, row, entry)] = None
            case _ if row.holds in SEPARATES and state.separation is not None:
                found |= dict.fromkeys(_separating(dialect, row, state.separation))
            case _:
                pass
    return tuple(found)


def _separating(dialect: Dialect, row: Row, wanted: Separation) -> Iterator[Item]:
    """The items of one row that a separation is made of."""
    if row.holds is Holds.WALL:
        yield Item(row.name)
    elif row.holds is Holds.PREFIX:
        for prefix in sorted(wanted.prefixes, key=lambda one: (one.version, int(one.network_address), one.prefixlen)):
            if family_of(prefix) in row.families:
                yield _item(dialect, row, {"source": prefix, "family": family_of(prefix).value})
    elif row.holds is Holds.INSIDE:
        yield from (_item(dialect, row, {"inside": name}) for name in sorted(wanted.inside))
    else:
        for passage in sorted(wanted.passages, key=Passage.sort_key):
            if lets_pass(dialect, row, passage):
                known = {"source": passage.source, "target": passage.target, "ports": passage.ports}
                yield _item(dialect, row, {**known, "family": family_of(passage.source).value})


def _entry_item(dialect: Dialect, row: Row, entry: Entry) -> Item:
    known: dict[str, Value] = {
        "source": entry.source,
        "family": family_of(entry.source).value,
        "length": entry.source.prefixlen if entry.source is not None else None,
        "traffic": entry.traffic.value,
        "segment": entry.segment,
        "rate": entry.rate_bps,
    }
    return _item(dialect, row, known)


def _item(dialect: Dialect, row: Row, known: Mapping[str, Value]) -> Item:
    return Item(row.name, tuple((name, known[name]) for name in dialect.identity_of(row)))


def state_of(dialect: Dialect, kind: SlotKind, items: Iterable[Item]) -> SlotState:
    """The state that these items amount to.

    A limit, an entry or a separation counts only when every item that it needs is there.
    """
    held = frozenset(items)
    rows = {row.name: row for row in dialect.rows_of(kind)}
    vlan: Vlan | None = None
    rate: int | None = None
    enabled = True if any(row.holds is Holds.SHUT for row in rows.values()) else None
    isolated = False if any(row.holds is Holds.ISOLATED for row in rows.values()) else None
    candidates: set[Entry] = set()
    for item in held:
        row, values = rows[item.row], dict(item.values)
        match row.holds:
            case Holds.VLAN:
                vlan = Vlan(_number(values["vlan"]))
            case Holds.SHUT:
                enabled = False
            case Holds.ISOLATED:
                isolated = True
            case Holds.RATE:
                rate = _number(values["rate"])
            case Holds.ENTRIES if not row.frame:
                candidates.add(_candidate(row, values))
            case _:
                pass

    def is_whole(part: SlotState) -> bool:
        return held >= set(items_of(dialect, kind, part))

    whole = frozenset(entry for entry in candidates if is_whole(SlotState(entries=frozenset({entry}))))
    if not is_whole(SlotState(rate_bps=rate)):
        rate = None
    wall = _separation(rows, held)
    if not is_whole(SlotState(separation=wall)):
        wall = None
    left = [item.left_s for item in held if item.left_s is not None]
    return SlotState(
        vlan=vlan,
        enabled=enabled,
        rate_bps=rate,
        entries=whole,
        separation=wall,
        isolated=isolated,
        expires_s=min(left, default=None),
    )


def _separation(rows: Mapping[str, Row], held: Iterable[Item]) -> Separation | None:
    """All that stands of a wall, with whatever passes it; None where nothing does."""
    found: dict[Holds, list[tuple[Row, dict[str, Value]]]] = {}
    for item in held:
        found.setdefault(rows[item.row].holds, []).append((rows[item.row], dict(item.values)))
    if Holds.WALL not in found:
        return None
    return Separation(
        prefixes=frozenset(_prefix(values["source"]) for _, values in found.get(Holds.PREFIX, ())),
        passages=frozenset(
            Passage(_prefix(values["source"]), _prefix(values["target"]), row.transport, str(values.get("ports", "")))
            for row, values in found.get(Holds.PASSAGE, ())
        ),
        inside=frozenset(str(values["inside"]) for _, values in found.get(Holds.INSIDE, ())),
    )


def _candidate(row: Row, values: Mapping[str, Value]) -> Entry:
    source = values.get("source")
    rate = values.get("rate")
    return Entry(
        action=row.action,
        source=None if source is None or isinstance(source, int | str) else source,
        traffic=TrafficClass(str(values["traffic"])) if "traffic" in values else row.traffic[0],
        rate_bps=_number(rate) if row.action is Action.LIMIT else None,
        segment=str(values.get("segment", "")),
    )


def _prefix(value: Value) -> Prefix:
    if value is None or isinstance(value, int | str):
        message = f"not a prefix: {value!r}"
        raise TypeError(message)
    return value


def _number(value: Value) -> int:
    if not isinstance(value, int):
        message = f"not a number: {value!r}"
        raise TypeError(message)
    return value
