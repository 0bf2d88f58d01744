"""What a tick brought, added up once more: one contribution for each view and span, however many frames told of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.amounts import Counts, Ints
from streams.decode.compiled import compiled
from streams.decode.interning import interned, place_of
from streams.rows import Arrivals, Col, Flag

_COUNTED = 32
"""Numbers are sorted by counting each where there are not more than so many for each that is sorted."""


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


def folded(rows: Arrivals, view: Ints, *, below: int) -> Additions:
    """Add up the rows of one tick, whose views these are; all views' numbers are `below` that."""
    late = (rows.flags & Flag.LATE) > 0
    place, first = _grouped(view, rows.span, late)
    order = _ascending(view[first], below)
    order = order[np.argsort(_short(rows.span[first[order]]), kind="stable")]
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    place, first = rank[place], first[order]
    counts = rows.counts
    sent = counts.some(Col.PACKETS) > 0
    flags, interface, mac, first_ns = _gathered(
        place, rows.flags, rows.interface, rows.mac, rows.first_ns, sent, len(first)
    )
    peer_row, peer, peer_bytes = _peers(rows, place, len(first))
    bit_row = place[rows.bit_row]
    bits = _by_row(bit_row, len(first))
    return Additions(
        view=view[first],
        span=rows.span[first],
        flags=flags,
        interface=interface,
        mac=mac,
        first_ns=first_ns,
        counts=counts.summed(place, len(first)),
        peer_row=peer_row,
        peer=peer,
        peer_bytes=peer_bytes,
        bit_row=bit_row[bits],
        bit=rows.bit[bits],
    )


def _ascending(view: Ints, below: int) -> Ints:
    """Where they stand when sorted: tables are then gone through from their beginning to their end."""
    return _by_row(view.astype(np.int32), below) if _COUNTED * len(view) > below else np.argsort(view, kind="stable")


def _short(spans: Ints) -> NDArray[np.unsignedinteger] | Ints:
    """The same numbers, where they can be so short that sorting them takes one pass each octet."""
    return spans.astype(np.uint16) if len(spans) and int(spans.max()) < 1 << 16 else spans


def _peers(rows: Arrivals, place: NDArray[np.int32], count: int) -> tuple[NDArray[np.int32], NDArray[np.bytes_], Ints]:
    words = np.frombuffer(rows.peer.tobytes(), ">u8").reshape(-1, 2).astype(np.uint64)
    known, which = interned(words[:, 0], words[:, 1])
    pairs, pair = interned(place[rows.peer_row].astype(np.uint64), which.astype(np.uint64))
    octets = np.zeros(len(pairs), np.int64)
    np.add.at(octets, pair, rows.peer_bytes)
    row = pairs[:, 0].astype(np.int32)
    order = _by_row(row, count)
    peer = known[pairs[order, 1].astype(np.int64)].astype(">u8").view("S16").reshape(-1)
    return row[order], peer, octets[order]


@compiled
def _grouped(view: Ints, span: Ints, late: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The group of each row, and the first row of each group."""
    count = len(view)
    room = 16
    while room < 2 * count:
        room *= 2
    slots, table = np.full(room, -1, np.int32), np.empty((count, 2), np.uint64)
    place, first = np.empty(count, np.int32), np.empty(count, np.int32)
    groups = 0
    for at in range(count):
        one = place_of(np.uint64(view[at]), np.uint64(span[at] << 1 | late[at]), slots, table, groups)
        if one == groups:
            first[one] = at
            groups += 1
        place[at] = one
    return place, first[:groups].copy()


@compiled
def _gathered(
    place: NDArray[np.int32],
    flags: NDArray[np.int8],
    interface: Ints,
    mac: Ints,
    first_ns: Ints,
    sent: NDArray[np.bool_],
    groups: int,
) -> tuple[NDArray[np.int8], Ints, Ints, Ints]:
    all_flags, first = np.zeros(groups, np.int8), np.full(groups, np.int64(2**63 - 1), np.int64)
    interfaces, macs = np.zeros(groups, np.int64), np.zeros(groups, np.int64)
    for at in range(len(place)):
        one = place[at]
        all_flags[one] |= flags[at]
        first[one] = min(first[one], first_ns[at])
        if sent[at]:
            interfaces[one] = max(interfaces[one], interface[at])
            macs[one] = max(macs[one], mac[at])
    return all_flags, interfaces, macs, first


@compiled
def _by_row(row: NDArray[np.int32], rows: int) -> Ints:
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
