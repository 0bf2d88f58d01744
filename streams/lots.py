"""Contributions that wait for their end in the sliding windows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.amounts import Counts

Ints = NDArray[np.int64]


@dataclass(slots=True)
class Lot:
    """Contributions that leave a window together: rows of one tick, or flows that end in one."""

    start: Ints  # first tick of each
    end: Ints  # tick in which each has no more part
    view: NDArray[np.int32]
    amounts: Counts  # of a tick, or of all ticks from start to end for flows that last
    first_ns: Ints
    peer_of: NDArray[np.int32]  # index into `view`
    peer: NDArray[np.bytes_]
    peer_bytes: NDArray[Any]
    learns: NDArray[np.bool_]  # late ones teach no baseline

    def __len__(self) -> int:
        return len(self.view)

    def part(self, chosen: Ints) -> "Lot":
        """These contributions only, in this order."""
        place = np.full(len(self), -1, np.int64)
        place[chosen] = np.arange(len(chosen))
        of = place[self.peer_of]
        mine = np.flatnonzero(of >= 0)
        mine = mine[np.argsort(of[mine], kind="stable")]
        return Lot(
            self.start[chosen], self.end[chosen], self.view[chosen], self.amounts.pick(chosen), self.first_ns[chosen],
            of[mine].astype(np.int32), self.peer[mine], self.peer_bytes[mine], self.learns[chosen],
        )  # fmt: skip

    def by_end(self) -> "Lot":
        """The same in the order in which they end, in memory of its own."""
        if (np.diff(self.end) >= 0).all() and (np.diff(self.peer_of) >= 0).all():
            return self.cut(0, len(self))
        return self.part(np.argsort(self.end, kind="stable"))

    def cut(self, low: int, high: int) -> "Lot":
        """Contributions from `low` up to, not with, `high`, in memory of their own; `peer_of` ascends."""
        first, last = np.searchsorted(self.peer_of, (low, high)).tolist()
        rows, peers = slice(low, high), slice(first, last)
        return Lot(
            _alike(self.start[rows]), _alike(self.end[rows]), self.view[rows].copy(), self.amounts.cut(low, high),
            self.first_ns[rows].copy(), self.peer_of[peers] - np.int32(low), self.peer[peers].copy(),
            self.peer_bytes[peers].copy(), self.learns[rows].copy(),
        )  # fmt: skip


def _alike(ticks: Ints) -> Ints:
    """The same ticks, in no more room than they need."""
    if len(ticks) and ticks.strides == (0,):
        return ticks
    answer: Ints = np.broadcast_to(ticks[0], len(ticks)) if (ticks == ticks[0]).all() else ticks.copy()
    return answer


def together(lots: Sequence[Lot]) -> Lot:
    """Several lots as one, in this order."""
    if len(lots) == 1:
        return lots[0]
    starts = np.cumsum([0, *(len(lot) for lot in lots)])[:-1]

    def column(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(lot, name) for lot in lots])

    peer_of = np.concatenate([lot.peer_of + np.int32(at) for lot, at in zip(lots, starts, strict=True)])
    return Lot(
        column("start"), column("end"), column("view"), Counts.joined([lot.amounts for lot in lots]),
        column("first_ns"), peer_of, column("peer"), column("peer_bytes"), column("learns"),
    )  # fmt: skip


def no_lot() -> Lot:
    """A lot without contributions."""
    none = np.zeros(0, np.int64)
    return Lot(
        none,
        none,
        none.astype(np.int32),
        Counts.of({}, 0),
        none,
        none.astype(np.int32),
        np.zeros(0, "S16"),
        none,
        none > 0,
    )


def distinct(values: Ints, below: int) -> tuple[Ints, Ints]:
    """Each value once, in no order that means anything, and of every value its place among them; without sorting."""
    place = np.empty(below, np.int64)
    every = np.arange(len(values))
    place[values] = every
    unique = values[place[values] == every]
    place[unique] = np.arange(len(unique))
    return unique, place[values]
