"""Contributions that wait for their end in the sliding windows, as narrow as their figures are.

Most columns of a tick's rows are zero everywhere and most figures are small: a row of twenty-eight columns of eight
octets comes down to some twenty octets. Nothing is rounded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.rows import NCOL

Ints = NDArray[np.int64]

_KINDS = (np.uint8, np.uint16, np.uint32)


def narrow(column: NDArray[Any]) -> NDArray[Any]:
    """The same whole numbers in the least width."""
    if column.size and int(column.min()) >= 0:
        high = int(column.max())
        for kind in _KINDS:
            if high <= np.iinfo(kind).max:
                return column.astype(kind)
    return column.astype(np.int64)


@dataclass(frozen=True, slots=True)
class Counts:
    """n rows of counts by column; a column that is zero everywhere is left out."""

    length: int
    columns: dict[int, NDArray[Any]]

    @staticmethod
    def of(dense: NDArray[np.int64]) -> "Counts":
        """From n × NCOL."""
        spoken = ((number, dense[:, number]) for number in range(NCOL))
        return Counts(len(dense), {number: narrow(column) for number, column in spoken if column.any()})

    @staticmethod
    def joined(parts: Sequence["Counts"]) -> "Counts":
        """All rows, in this order."""
        numbers = sorted({number for part in parts for number in part.columns})
        columns = {number: np.concatenate([part.some(number) for part in parts]) for number in numbers}
        return Counts(sum(part.length for part in parts), columns)

    def some(self, number: int) -> NDArray[Any]:
        """One column in some width."""
        found = self.columns.get(number)
        return np.zeros(self.length, np.uint8) if found is None else found

    def pick(self, chosen: Ints) -> "Counts":
        """These rows only."""
        return Counts(len(chosen), {number: column[chosen] for number, column in self.columns.items()})

    def dense(self, chosen: Ints) -> Ints:
        """These rows, n × NCOL."""
        counts = np.zeros((len(chosen), NCOL), np.int64)
        for number, column in self.columns.items():
            counts[:, number] = column[chosen]
        return counts


@dataclass(slots=True)
class Lot:
    """Contributions that leave a window together: rows of one tick, or flows that end in one."""

    start: Ints  # first tick of each
    end: Ints  # tick in which each has no more part
    view: NDArray[Any]
    amounts: Counts  # of a tick, or thousandths a second for flows that last
    first_ns: Ints
    peer_of: NDArray[Any]  # index into `view`
    peer: NDArray[np.bytes_]
    peer_bytes: NDArray[Any]
    learns: NDArray[np.bool_]  # late ones teach no baseline

    def __len__(self) -> int:
        return len(self.view)

    def part(self, chosen: Ints) -> "Lot":
        """These contributions only."""
        place = np.full(len(self), -1, np.int64)
        place[chosen] = np.arange(len(chosen))
        mine = place[self.peer_of] >= 0
        return Lot(
            self.start[chosen], self.end[chosen], self.view[chosen], self.amounts.pick(chosen), self.first_ns[chosen],
            place[self.peer_of[mine]], self.peer[mine], self.peer_bytes[mine], self.learns[chosen],
        )  # fmt: skip


def together(lots: Sequence[Lot]) -> Lot:
    """Several lots as one, in this order."""
    starts = np.cumsum([0, *(len(lot) for lot in lots)])[:-1]

    def column(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(lot, name) for lot in lots])

    peer_of = np.concatenate([lot.peer_of.astype(np.int64) + at for lot, at in zip(lots, starts, strict=True)])
    return Lot(
        column("start"), column("end"), column("view"), Counts.joined([lot.amounts for lot in lots]),
        column("first_ns"), peer_of, column("peer"), column("peer_bytes"), column("learns"),
    )  # fmt: skip


def no_lot() -> Lot:
    """A lot without contributions."""
    none = np.zeros(0, np.int64)
    return Lot(none, none, none, Counts(0, {}), none, none, np.zeros(0, "S16"), none, none > 0)


def distinct(values: Ints, below: int) -> tuple[Ints, Ints]:
    """Each value once, in no order that means anything, and of every value its place among them; without sorting."""
    place = np.empty(below, np.int64)
    every = np.arange(len(values))
    place[values] = every
    unique = values[place[values] == every]
    place[unique] = np.arange(len(unique))
    return unique, place[values]
