"""Flows that last: how fast each view sends by them, from the tick in which they are heard of until each ends."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.amounts import MILLI, add_scaled
from streams.decode.compiled import compiled
from streams.lots import Ints, Lot
from streams.rows import NCOL, Col

SPARSE = 4
"""What is left of a lot is put by itself when so many times as much has been there."""

_VARIANCE = int(Col.VARIANCE)


@dataclass(slots=True)
class Ending:
    """A lot in the order in which its flows end. Those before `gone` have ended."""

    lot: Lot
    ends: list[int]  # ticks in which some end that have not, the last one first
    cuts: list[int]  # by tick of `ends`: how many have ended then
    gone: int = 0
    told: int = 0  # where the peers of those that have not ended begin

    def rest(self) -> Lot:
        """Those that have not ended."""
        return self.lot.cut(self.gone, len(self.lot)) if self.gone else self.lot


class Lasting:
    """Sums of what lasts. A view has a row of `rate` while it has such flows; `lane` says by view which, 0 none."""

    def __init__(self, tick_ms: int) -> None:
        self._tick_s = tick_ms / 1000
        self.lots: list[Ending] = []
        self.rate = np.zeros((1, NCOL), np.int64)  # row 0 stays zero
        self._flows = np.zeros(1, np.int64)  # by row of `rate`
        self._free = np.zeros(1, np.int32)  # rows of `rate` that are free, as many as `_spare`
        self._spare = 0

    def put(self, lot: Lot, lane: NDArray[np.int32], refs: NDArray[np.int32]) -> None:
        """Count flows, each until its end."""
        if not len(lot):
            return
        lot = lot.by_end()
        self._widen(_wanted(lane, lot.view))
        self._spare = _begun(lot.view, lane, refs, self._flows, self._free, self._spare)
        self._sum(lot, 0, len(lot), lane, 1)
        last = np.append(np.flatnonzero(np.diff(lot.end)), len(lot) - 1)[::-1]
        self.lots.append(Ending(lot, lot.end[last].tolist(), (last + 1).tolist()))

    def advance(self, tick: int, lane: NDArray[np.int32], refs: NDArray[np.int32]) -> None:
        """Let go of what has ended by the start of `tick`."""
        for one in self.lots:
            if one.ends[-1] > tick:
                continue
            low = one.gone
            while one.ends and one.ends[-1] <= tick:
                one.ends.pop()
                one.gone = one.cuts.pop()
            one.told = int(one.lot.peer_of.searchsorted(one.gone))
            self._sum(one.lot, low, one.gone, lane, -1)
            self._spare = _ended(one.lot.view[low : one.gone], lane, refs, self._flows, self._free, self._spare)
        self.lots = [_lighter(one) for one in self.lots if one.ends]

    def next_end(self) -> int | None:
        """The next tick in which one ends."""
        return min((one.ends[-1] for one in self.lots), default=None)

    def rests(self) -> Iterator[Lot]:
        """What has not ended."""
        return (one.rest() for one in self.lots)

    def _widen(self, wanted: int) -> None:
        """See to it that so many rows of `rate` are free."""
        while self._spare < wanted:
            room = len(self.rate)
            self.rate = np.concatenate((self.rate, np.zeros_like(self.rate)))
            self._flows = np.concatenate((self._flows, np.zeros_like(self._flows)))
            self._free = np.concatenate((self._free, np.zeros_like(self._free)))
            self._free[self._spare : self._spare + room] = np.arange(2 * room - 1, room - 1, -1)
            self._spare += room

    def _sum(self, lot: Lot, low: int, high: int, lane: NDArray[np.int32], by: int) -> None:
        ticks, counts = lot.end[low:high] - lot.start[low:high], lot.amounts
        _sum(
            counts.octets, counts.pieces, counts.length, low,
            ticks, self._tick_s, lane[lot.view[low:high]], self.rate, by,
        )  # fmt: skip


def _lighter(one: Ending) -> Ending:
    """The same without those that have ended, where they are most of it."""
    if SPARSE * (len(one.lot) - one.gone) > len(one.lot):
        return one
    return Ending(one.rest(), one.ends, [cut - one.gone for cut in one.cuts])


@compiled
def _wanted(lane: NDArray[np.int32], view: NDArray[np.int32]) -> int:
    """How many of these views have no row of rates; they are marked, so that each counts once."""
    wanted = 0
    for one in view:
        if lane[one] == 0:
            lane[one] = -1
            wanted += 1
    return wanted


@compiled
def _begun(
    view: NDArray[np.int32],
    lane: NDArray[np.int32],
    refs: NDArray[np.int32],
    flows: Ints,
    free: NDArray[np.int32],
    spare: int,
) -> int:
    for one in view:
        if lane[one] < 0:
            spare -= 1
            lane[one] = free[spare]
        flows[lane[one]] += 1
        refs[one] += 1
    return spare


@compiled
def _ended(
    view: NDArray[np.int32],
    lane: NDArray[np.int32],
    refs: NDArray[np.int32],
    flows: Ints,
    free: NDArray[np.int32],
    spare: int,
) -> int:
    for one in view:
        flows[lane[one]] -= 1
        refs[one] -= 1
        if flows[lane[one]] == 0:
            free[spare] = lane[one]
            spare += 1
            lane[one] = 0
    return spare


@compiled
def _sum(
    octets: NDArray[np.uint8],
    pieces: Ints,
    length: int,
    low: int,
    ticks: Ints,
    tick_s: float,
    lane: NDArray[np.int32],
    rate: Ints,
    by: int,
) -> None:
    """Add counts of rows from `low` on to rates, in thousandths, spread over so many ticks each."""
    plain, squared = np.empty(len(ticks), np.float64), np.empty(len(ticks), np.float64)
    for at in range(len(ticks)):
        seconds = ticks[at] * tick_s
        plain[at], squared[at] = MILLI / seconds, MILLI / (seconds * seconds)
    for piece in range(len(pieces)):
        number, size, at = pieces[piece, 0], pieces[piece, 1], pieces[piece, 2]
        told = octets[at + size * low : at + size * (low + len(ticks))]
        # The variance of a rate falls with the square of time.
        add_scaled(told, size, rate, lane, number, squared if number == _VARIANCE else plain, by)
