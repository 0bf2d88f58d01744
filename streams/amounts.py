"""Counts of many rows by column, as narrow as they came, and the loops that add them up, compiled.

Most columns of a tick's rows are zero everywhere and most figures are small: a row of twenty-eight columns of eight
octets comes down to some twenty octets. Nothing is rounded, and what was added is taken off again exactly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.decode.compiled import compiled

Ints = NDArray[np.int64]

MILLI = 1000
"""What is scaled is kept in thousandths."""

MOST = 1 << 58
"""Largest scaled figure: sixteen of them can be added up. A terabyte a second, in thousandths of an octet, is 2^50."""

_MOST = float(MOST)
_KINDS: dict[int, Any] = {1: np.dtype(np.uint8), 2: np.dtype(np.uint16), 4: np.dtype(np.uint32), 8: np.dtype(np.int64)}


def narrow(column: NDArray[Any]) -> NDArray[Any]:
    """The same whole numbers in the least width."""
    if column.size and int(column.min()) >= 0:
        high = int(column.max())
        for size in (1, 2, 4):
            if high < 1 << 8 * size:
                found: NDArray[Any] = column.astype(_KINDS[size])
                return found
    return column.astype(np.int64)


@dataclass(frozen=True, slots=True)
class Counts:
    """n rows of counts by column; a column that is zero everywhere is left out."""

    length: int
    octets: NDArray[np.uint8]
    pieces: Ints  # k × 3: number of the column, octets of a figure, where the first one stands

    @staticmethod
    def of(columns: Mapping[int, NDArray[Any]], length: int) -> "Counts":
        """From columns by number, each of `length` whole numbers: unsigned ones of any width, or of 64 bits."""
        octets: list[Any] = []
        pieces, at = [], 0
        for number, column in sorted(columns.items()):
            size = column.dtype.itemsize
            if column.dtype != _KINDS.get(size):
                column, size = column.astype(np.int64), 8
            pieces.append((number, size, at))
            # So that every column stands where numbers of its width may.
            octets += (np.ascontiguousarray(column), bytes(-length * size % 8))
            at += (length * size + 7) // 8 * 8
        joined = np.frombuffer(bytearray().join(octets), np.uint8) if at else np.zeros(0, np.uint8)
        return Counts(length, joined, np.array(pieces, np.int64).reshape(-1, 3))

    @staticmethod
    def dense(table: Ints) -> "Counts":
        """From a table of n × columns."""
        spoken = np.flatnonzero(table.any(axis=0)).tolist()
        return Counts.of({number: narrow(table[:, number]) for number in spoken}, len(table))

    @staticmethod
    def joined(parts: Sequence["Counts"]) -> "Counts":
        """All rows, in this order."""
        if len(parts) == 1:
            return parts[0]
        columns = [part.columns() for part in parts]
        numbers = {number for one in columns for number in one}
        none = [np.zeros(part.length, np.uint8) for part in parts]
        return Counts.of(
            {
                number: np.concatenate([one.get(number, zeros) for one, zeros in zip(columns, none, strict=True)])
                for number in numbers
            },
            sum(part.length for part in parts),
        )

    def columns(self) -> dict[int, NDArray[Any]]:
        """The columns by number."""
        return {
            number: self.octets[at : at + size * self.length].view(_KINDS[size])
            for number, size, at in self.pieces.tolist()
        }

    def some(self, number: int) -> NDArray[Any]:
        """One column in some width."""
        found = self.columns().get(number)
        return np.zeros(self.length, np.uint8) if found is None else found

    def pick(self, chosen: Ints) -> "Counts":
        """These rows only, in this order."""
        octets, pieces = _picked(self.octets, self.pieces, self.length, chosen)
        return Counts(len(chosen), octets, pieces)

    def cut(self, low: int, high: int) -> "Counts":
        """The rows from `low` up to, not with, `high`."""
        octets, pieces = _cut(self.octets, self.pieces, low, high)
        return Counts(high - low, octets, pieces)

    def table(self, across: int) -> Ints:
        """N × `across`."""
        made = np.zeros((self.length, across), np.int64)
        for number, column in self.columns().items():
            made[:, number] = column
        return made

    def put(self, table: Ints, rows: NDArray[np.int32], places: Ints, by: int) -> None:
        """Add to rows of a table, `by` times, the columns that have a place in it: `places` by column, -1 for none."""
        _put(self.octets, self.pieces, self.length, table, rows, places, by)

    def collect(self, table: Ints, rows: NDArray[np.int32], place: NDArray[np.int32]) -> None:
        """Add all columns to a table, n × columns, in which a row has a place or, below 0, none."""
        _collect(self.octets, self.pieces, self.length, table, rows, place)

    def put_scaled(
        self, table: Ints, rows: NDArray[np.int32], places: Ints, weights: NDArray[np.float64], by: int = 1
    ) -> None:
        """Add them, each times the weight of its row and rounded down, `by` times; at most MOST each."""
        _put_scaled(self.octets, self.pieces, self.length, table, rows, places, weights, by)


def summed(parts: Sequence[Counts], place: Sequence[NDArray[np.int32]], places: int) -> Counts:
    """The sums of the rows that belong to each of so many places; `place` says of each part's rows where they do."""
    spoken = sorted({number for part in parts for number in part.pieces[:, 0].tolist()})
    into = np.full(spoken[-1] + 1 if spoken else 0, -1, np.int64)
    into[spoken] = np.arange(len(spoken))
    sums = np.zeros((len(spoken), places), np.int64)
    for part, where in zip(parts, place, strict=True):
        _sum(part.octets, part.pieces, part.length, where, into, sums)
    octets, pieces = _narrowed(sums, np.array(spoken, np.int64))
    return Counts(places, octets, pieces)


@compiled
def _narrowed(sums: Ints, numbers: Ints) -> tuple[NDArray[np.uint8], Ints]:
    """Columns, which stand as rows here, in the least width each; see `narrow`."""
    count = sums.shape[1]
    pieces, at = np.empty((len(numbers), 3), np.int64), 0
    for piece in range(len(numbers)):
        low, high = 0, 0
        for figure in sums[piece]:
            low, high = min(low, figure), max(high, figure)
        size = 8
        if low >= 0 and count > 0:
            size = 1 if high < 1 << 8 else 2 if high < 1 << 16 else 4 if high < 1 << 32 else 8
        pieces[piece, 0], pieces[piece, 1], pieces[piece, 2] = numbers[piece], size, at
        at += (size * count + 7) // 8 * 8
    octets = np.zeros(at, np.uint8)
    for piece in range(len(numbers)):
        size, at = pieces[piece, 1], pieces[piece, 2]
        into = octets[at : at + size * count]
        if size == 1:
            _fill(into, sums[piece])
        elif size == 2:
            _fill(into.view(np.uint16), sums[piece])
        elif size == 4:
            _fill(into.view(np.uint32), sums[piece])
        else:
            _fill(into.view(np.int64), sums[piece])
    return octets, pieces


@compiled
def _fill(into: NDArray[Any], figures: Ints) -> None:
    for at in range(len(figures)):
        into[at] = figures[at]


@compiled
def _room(pieces: Ints, rows: int) -> tuple[NDArray[np.uint8], Ints]:
    """Room for rows of the same columns, each beginning where numbers of its width may; what is left is zero."""
    others, at = pieces.copy(), 0
    for piece in range(len(pieces)):
        others[piece, 2] = at
        at += (pieces[piece, 1] * rows + 7) // 8 * 8
    return np.zeros(at, np.uint8), others


@compiled
def _cut(octets: NDArray[np.uint8], pieces: Ints, low: int, high: int) -> tuple[NDArray[np.uint8], Ints]:
    made, others = _room(pieces, high - low)
    for piece in range(len(pieces)):
        size, at, to = pieces[piece, 1], pieces[piece, 2], others[piece, 2]
        made[to : to + size * (high - low)] = octets[at + size * low : at + size * high]
    return made, others


@compiled
def _picked(octets: NDArray[np.uint8], pieces: Ints, length: int, chosen: Ints) -> tuple[NDArray[np.uint8], Ints]:
    count = len(chosen)
    made, others = _room(pieces, count)
    for piece in range(len(pieces)):
        size, at, to = pieces[piece, 1], pieces[piece, 2], others[piece, 2]
        told, into = octets[at : at + size * length], made[to : to + size * count]
        if size == 1:
            _take(told, chosen, into)
        elif size == 2:
            _take(told.view(np.uint16), chosen, into.view(np.uint16))
        elif size == 4:
            _take(told.view(np.uint32), chosen, into.view(np.uint32))
        else:
            _take(told.view(np.int64), chosen, into.view(np.int64))
    return made, others


@compiled
def _take(column: NDArray[Any], chosen: Ints, into: NDArray[Any]) -> None:
    for at in range(len(chosen)):
        into[at] = column[chosen[at]]


@compiled
def raised(table: Ints, rows: Ints, figures: Ints) -> None:
    """Raise rows of a table to these figures, column by column, where they are lower."""
    for at in range(len(rows)):
        for column in range(figures.shape[1]):
            table[rows[at], column] = max(table[rows[at], column], figures[at, column])


@compiled
def _put(
    octets: NDArray[np.uint8],
    pieces: Ints,
    length: int,
    table: Ints,
    rows: NDArray[np.int32],
    places: Ints,
    by: int,
) -> None:
    for piece in range(len(pieces)):
        place, size, at = places[pieces[piece, 0]], pieces[piece, 1], pieces[piece, 2]
        if place < 0:
            continue
        told = octets[at : at + size * length]
        if size == 1:
            _add(told, table, rows, place, by)
        elif size == 2:
            _add(told.view(np.uint16), table, rows, place, by)
        elif size == 4:
            _add(told.view(np.uint32), table, rows, place, by)
        else:
            _add(told.view(np.int64), table, rows, place, by)


@compiled
def _collect(
    octets: NDArray[np.uint8],
    pieces: Ints,
    length: int,
    table: Ints,
    rows: NDArray[np.int32],
    place: NDArray[np.int32],
) -> None:
    found, chosen, count = np.empty(length, np.int32), np.empty(length, np.int32), 0
    for at in range(length):
        if place[rows[at]] >= 0:
            found[count], chosen[count] = at, place[rows[at]]
            count += 1
    for piece in range(len(pieces)):
        number, size, at = pieces[piece, 0], pieces[piece, 1], pieces[piece, 2]
        told = octets[at : at + size * length]
        if size == 1:
            _add_some(told, found, chosen, count, table, number)
        elif size == 2:
            _add_some(told.view(np.uint16), found, chosen, count, table, number)
        elif size == 4:
            _add_some(told.view(np.uint32), found, chosen, count, table, number)
        else:
            _add_some(told.view(np.int64), found, chosen, count, table, number)


@compiled
def _add_some(
    column: NDArray[Any],
    found: NDArray[np.int32],
    chosen: NDArray[np.int32],
    count: int,
    table: Ints,
    number: int,
) -> None:
    for at in range(count):
        table[chosen[at], number] += np.int64(column[found[at]])


@compiled
def _sum(
    octets: NDArray[np.uint8], pieces: Ints, length: int, place: NDArray[np.int32], into: Ints, sums: Ints
) -> None:
    for piece in range(len(pieces)):
        size, at = pieces[piece, 1], pieces[piece, 2]
        row = sums[into[pieces[piece, 0]]]
        told = octets[at : at + size * length]
        if size == 1:
            _add_up(told, place, row)
        elif size == 2:
            _add_up(told.view(np.uint16), place, row)
        elif size == 4:
            _add_up(told.view(np.uint32), place, row)
        else:
            _add_up(told.view(np.int64), place, row)


@compiled
def _add_up(column: NDArray[Any], place: NDArray[np.int32], sums: Ints) -> None:
    for at in range(len(place)):
        sums[place[at]] += np.int64(column[at])


@compiled
def _add(column: NDArray[Any], table: Ints, rows: NDArray[np.int32], place: int, by: int) -> None:
    for at in range(len(rows)):
        table[rows[at], place] += by * np.int64(column[at])


@compiled
def _put_scaled(
    octets: NDArray[np.uint8],
    pieces: Ints,
    length: int,
    table: Ints,
    rows: NDArray[np.int32],
    places: Ints,
    weights: NDArray[np.float64],
    by: int,
) -> None:
    for piece in range(len(pieces)):
        place, size, at = places[pieces[piece, 0]], pieces[piece, 1], pieces[piece, 2]
        if place < 0:
            continue
        add_scaled(octets[at : at + size * length], size, table, rows, place, weights, by)


@compiled
def add_scaled(
    told: NDArray[np.uint8],
    size: int,
    table: Ints,
    rows: NDArray[np.int32],
    place: int,
    weights: NDArray[np.float64],
    by: int,
) -> None:
    """Add figures of so many octets to a column of a table, each times its weight and rounded down, `by` times."""
    if size == 1:
        _add_scaled(told, table, rows, place, weights, by)
    elif size == 2:
        _add_scaled(told.view(np.uint16), table, rows, place, weights, by)
    elif size == 4:
        _add_scaled(told.view(np.uint32), table, rows, place, weights, by)
    else:
        _add_scaled(told.view(np.int64), table, rows, place, weights, by)


@compiled
def _add_scaled(
    column: NDArray[Any],
    table: Ints,
    rows: NDArray[np.int32],
    place: int,
    weights: NDArray[np.float64],
    by: int,
) -> None:
    for at in range(len(rows)):
        if column[at]:
            table[rows[at], place] += by * np.int64(min(column[at] * weights[at], _MOST))
