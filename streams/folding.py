"""What a tick brought, added up once more: one contribution for each view and span, however many frames told of it.

Rows are taken as the messages brought them, one message after the other: to put all of them together first would cost
as much as to add them up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from streams.amounts import Counts, Ints, summed
from streams.decode.compiled import borrowing, compiled
from streams.decode.interning import empty_slots, place_of, seat_of_pair
from streams.rows import Arrivals, Col, Flag

_COUNTED = 32
"""Numbers are sorted by counting each where there are not more than so many for each that is sorted."""

_LATE = int(Flag.LATE)
_INTERFACE, _MAC, _FIRST_NS, _SPAN, _FLAGS, _FACTS = range(2, 8)
"""Where a group's facts stand behind what names it: together, for groups are met in no order."""


@dataclass(frozen=True, slots=True)
class Groups:
    """Whose rows there are, over how many ticks they spread, and what is known of them but counts. Late are apart."""

    place: NDArray[np.int32]  # the group of each row, one message behind the other
    slot: Ints
    exporter: Ints
    vantage: Ints
    span: Ints
    flags: NDArray[np.int8]
    interface: Ints
    mac: Ints
    first_ns: Ints

    def __len__(self) -> int:
        return len(self.slot)


@dataclass(frozen=True, slots=True)
class Additions:
    """n contributions: the shortest spans first, of equal ones by view. Late ones are apart: they teach no baseline."""

    view: Ints
    span: Ints  # ticks
    flags: NDArray[np.int8]
    interface: Ints  # largest of those that sent; 0 where nothing was sent
    mac: Ints
    first_ns: Ints
    counts: Counts
    peer_row: NDArray[np.int32]  # ascending
    peer: NDArray[np.bytes_]  # S16; each once for a row
    peer_bytes: Ints
    bit_row: NDArray[np.int32]  # ascending
    bit: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.view)

    @property
    def brief(self) -> int:
        """How many, of the first, lie within one tick."""
        return int(np.searchsorted(self.span, 1, side="right"))


def grouped(parts: Sequence[Arrivals], slots: Ints, exporters: Ints) -> Groups:
    """The groups of the rows of one tick: `slots` has the subject of each key, one part's behind the other's."""
    total = sum(map(len, parts))
    seats, table, place = empty_slots(total), np.empty((total, _FACTS), np.uint64), np.empty(total, np.int32)
    groups, key, row = 0, 0, 0
    for one in parts:
        sent = one.columns.get(Col.PACKETS)
        groups = _grouped(
            one.who, one.exporter, one.vantage, one.span, one.flags, one.interface, one.mac, one.first_ns,
            np.zeros(len(one), np.bool_) if sent is None else sent > 0,
            slots[key : key + len(one.keys)], exporters, seats, table, groups, place[row : row + len(one)],
        )  # fmt: skip
        key, row = key + len(one.keys), row + len(one)
    slot, exporter, vantage, *facts = _taken_apart(table, groups)
    interface, mac, first_ns, span, flags = facts
    return Groups(place, slot, exporter, vantage, span, flags.astype(np.int8), interface, mac, first_ns)


def folded(parts: Sequence[Arrivals], groups: Groups, view: Ints, *, below: int) -> Additions:
    """Add up the rows of one tick, of whose groups these are the views; all views' numbers are `below` that."""
    order = _ascending(view, below)
    order = order[np.argsort(_short(groups.span[order]), kind="stable")]
    _ranked(groups.place, order)
    cuts = np.cumsum([0, *map(len, parts)]).tolist()
    places = [groups.place[low:high] for low, high in pairwise(cuts)]
    peer_row, peer, peer_bytes = _peers(parts, places, len(groups))
    bit_row, bit = _bits(parts, places, len(groups))
    return Additions(
        view=view[order],
        span=groups.span[order],
        flags=groups.flags[order],
        interface=groups.interface[order],
        mac=groups.mac[order],
        first_ns=groups.first_ns[order],
        counts=summed([one.counts for one in parts], places, len(groups)),
        peer_row=peer_row,
        peer=peer,
        peer_bytes=peer_bytes,
        bit_row=bit_row,
        bit=bit,
    )


def _ascending(view: Ints, below: int) -> Ints:
    """Where they stand when sorted: tables are then gone through from their beginning to their end."""
    return by_row(view.astype(np.int32), below) if _COUNTED * len(view) > below else np.argsort(view, kind="stable")


def _short(spans: Ints) -> NDArray[np.unsignedinteger] | Ints:
    """The same numbers, where they can be so short that sorting them takes one pass each octet."""
    return spans.astype(np.uint16) if len(spans) and int(spans.max()) < 1 << 16 else spans


def _peers(
    parts: Sequence[Arrivals], places: Sequence[NDArray[np.int32]], rows: int
) -> tuple[NDArray[np.int32], NDArray[np.bytes_], Ints]:
    total = sum(len(one.peer) for one in parts)
    seats, row = empty_slots(total), np.empty(total, np.int32)
    words, octets, count = np.empty((total, 2), np.uint64), np.empty(total, np.int64), 0
    for one, place in zip(parts, places, strict=True):
        told = np.frombuffer(one.peer.tobytes(), np.uint64).reshape(-1, 2)
        count = _met(told, one.peer_row, one.peer_bytes, place, seats, row, words, octets, count)
    row, words, octets = _peers_by_row(row, words, octets, count, rows)
    return row, words.view("S16").reshape(-1), octets


def _bits(
    parts: Sequence[Arrivals], places: Sequence[NDArray[np.int32]], rows: int
) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
    row = np.concatenate([place[one.bit_row] for one, place in zip(parts, places, strict=True)])
    return _bits_by_row(row, np.concatenate([one.bit for one in parts]), rows)


@borrowing
def _grouped(
    who: Ints,
    exporter: Ints,
    vantage: NDArray[np.int8],
    span: Ints,
    flags: NDArray[np.int8],
    interface: Ints,
    mac: Ints,
    first_ns: Ints,
    sent: NDArray[np.bool_],
    slots: Ints,
    exporters: Ints,
    seats: NDArray[np.int32],
    table: NDArray[np.uint64],
    groups: int,
    place: NDArray[np.int32],
) -> int:
    """Put rows into groups, of which there are so many already; returns how many there are then."""
    for at in range(len(who)):
        late = np.uint64(flags[at] & _LATE)
        high = np.uint64(slots[who[at]]) | np.uint64(exporters[exporter[at]]) << np.uint64(32)
        low = np.uint64(span[at]) << np.uint64(9) | (np.uint64(vantage[at]) & np.uint64(255)) << np.uint64(1) | late
        one = place_of(high, low, seats, table, groups)
        place[at] = one
        if one == groups:
            groups += 1
            table[one, _INTERFACE] = table[one, _MAC] = table[one, _FLAGS] = np.uint64(0)
            table[one, _FIRST_NS], table[one, _SPAN] = np.uint64(first_ns[at]), np.uint64(span[at])
        table[one, _FLAGS] |= np.uint64(flags[at]) & np.uint64(255)
        table[one, _FIRST_NS] = np.uint64(min(np.int64(table[one, _FIRST_NS]), first_ns[at]))
        if sent[at]:
            table[one, _INTERFACE] = np.uint64(max(np.int64(table[one, _INTERFACE]), interface[at]))
            table[one, _MAC] = np.uint64(max(np.int64(table[one, _MAC]), mac[at]))
    return groups


@compiled
def _taken_apart(table: NDArray[np.uint64], groups: int) -> Ints:
    """By row: subject, exporter and vantage, then the facts."""
    made = np.empty((_FACTS + 1, groups), np.int64)
    for at in range(groups):
        made[0, at] = np.int64(table[at, 0] & np.uint64(0xFFFFFFFF))
        made[1, at] = np.int64(table[at, 0] >> np.uint64(32))
        made[2, at] = np.int8(np.uint8(table[at, 1] >> np.uint64(1) & np.uint64(255)))
        for fact in range(2, _FACTS):
            made[fact + 1, at] = np.int64(table[at, fact])
    return made


@compiled
def _ranked(place: NDArray[np.int32], order: Ints) -> None:
    """Name groups by where they stand in this order."""
    rank = np.empty(len(order), np.int32)
    for at in range(len(order)):
        rank[order[at]] = at
    for at in range(len(place)):
        place[at] = rank[place[at]]


@compiled
def by_row(row: NDArray[np.int32], rows: int) -> Ints:
    """Where they stand when sorted by row; those of one row stay as they stood."""
    start = np.zeros(rows + 1, np.int64)
    for one in row:
        start[one + 1] += 1
    for one in range(rows):
        start[one + 1] += start[one]
    order = np.empty(len(row), np.int64)
    for at in range(len(row)):
        order[start[row[at]]] = at
        start[row[at]] += 1
    return order


@borrowing
def _met(
    told: NDArray[np.uint64],
    peer_row: Ints,
    peer_bytes: Ints,
    place: NDArray[np.int32],
    seats: NDArray[np.int32],
    row: NDArray[np.int32],
    words: NDArray[np.uint64],
    octets: Ints,
    count: int,
) -> int:
    """Add up octets by row and address, of which so many are known already; returns how many are then."""
    for at in range(len(told)):
        one, first, last = place[peer_row[at]], told[at, 0], told[at, 1]
        seat = seat_of_pair(one, first, last, seats, row, words)
        known = seats[seat]
        if known < 0:
            seats[seat] = known = count
            row[known], words[known, 0], words[known, 1], octets[known] = one, first, last, 0
            count += 1
        octets[known] += peer_bytes[at]
    return count


@compiled
def _peers_by_row(
    row: NDArray[np.int32], words: NDArray[np.uint64], octets: Ints, count: int, rows: int
) -> tuple[NDArray[np.int32], NDArray[np.uint64], Ints]:
    order = by_row(row[:count], rows)
    ascending, into, amounts = np.empty(count, np.int32), np.empty((count, 2), np.uint64), np.empty(count, np.int64)
    for at in range(count):
        one = order[at]
        ascending[at], amounts[at] = row[one], octets[one]
        into[at, 0], into[at, 1] = words[one, 0], words[one, 1]
    return ascending, into, amounts


@compiled
def _bits_by_row(
    row: NDArray[np.int32], bit: NDArray[np.int16], rows: int
) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
    order = by_row(row, rows)
    ascending, bits = np.empty(len(row), np.int32), np.empty(len(row), np.int16)
    for at in range(len(row)):
        ascending[at], bits[at] = row[order[at]], bit[order[at]]
    return ascending, bits
