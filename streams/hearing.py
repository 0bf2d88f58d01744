"""What a frame told of its exporters and ticks, counted in one loop, compiled."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.decode.columns import Columns
from streams.decode.compiled import borrowing, compiled, inlined
from streams.decode.interning import place_of


class Heard(NamedTuple):
    """Counts of a frame."""

    exporters: NDArray[np.int64]  # × 6: records, last receipt, fragments visible, skewed, skew in ns, sampling
    sightings: NDArray[np.int64]  # × 5: exporter, tick, records, last receipt, sampling
    shares: NDArray[np.int64]  # × 3: partition, tick, records that count there and in no other


class _Marks(NamedTuple):
    exporter: NDArray[np.int32]
    receipt_ns: NDArray[np.int64]
    sampling: NDArray[np.int64]
    skew_ns: NDArray[np.int64]
    skewed: NDArray[np.bool_]
    fragments_visible: NDArray[np.bool_]


def heard(columns: Columns, home: NDArray[np.int16], *, partitions: int, tick_ns: int) -> Heard:
    """Count a frame; `home` is the activity partition that counts each record."""
    named = {name: np.ascontiguousarray(getattr(columns, name)) for name in _Marks._fields}
    return _heard(_Marks(**named), home, partitions, len(columns.exporters), tick_ns)


@compiled
def _heard(marks: _Marks, home: NDArray[np.int16], partitions: int, exporters: int, tick_ns: int) -> Heard:
    ends = np.empty(len(home), np.int64)
    runs = _runs(marks.exporter, marks.receipt_ns, ends)
    room = 16
    while room < 2 * runs:
        room *= 2
    seen, sightings = np.zeros((exporters, 6), np.int64), np.zeros((runs, 5), np.int64)
    slots, idents = np.full((2, room), -1, np.int32), np.empty((2, runs, 2), np.uint64)
    shares = np.zeros((runs, partitions), np.int64)
    sighted, ticked = _count(marks, home, tick_ns, ends[:runs], slots, idents, seen, sightings, shares)
    return Heard(seen, sightings[:sighted].copy(), _listed(shares, idents[1], ticked))


@borrowing
def _count(
    marks: _Marks,
    home: NDArray[np.int16],
    tick_ns: int,
    ends: NDArray[np.int64],
    slots: NDArray[np.int32],
    idents: NDArray[np.uint64],
    seen: NDArray[np.int64],
    sightings: NDArray[np.int64],
    shares: NDArray[np.int64],
) -> tuple[int, int]:
    """Fill the last three, run by run; how many sightings and how many ticks there are."""
    sighted, ticked, begin, own, now = 0, 0, 0, -1, -1
    sighting, tick, nothing = 0, 0, np.uint64(0)
    for end in ends:
        came = marks.receipt_ns[begin]
        if marks.exporter[begin] != own or not 0 <= came - now * tick_ns < tick_ns:
            own, now = marks.exporter[begin], came // tick_ns
            sighting = place_of(np.uint64(own), np.uint64(now), slots[0], idents[0], sighted)
            sighted = max(sighted, sighting + 1)
            tick = place_of(nothing, np.uint64(now), slots[1], idents[1], ticked)
            ticked = max(ticked, tick + 1)
        for place in home[begin:end]:
            shares[tick, np.uint64(place)] += 1
        rate, skew = _largest(marks.sampling[begin:end]), _largest(marks.skew_ns[begin:end])
        one, whole = sightings[sighting], seen[own]
        one[0], one[1], one[2] = own, now, one[2] + end - begin
        one[3], one[4] = max(one[3], came), max(one[4], rate)
        whole[0], whole[1] = whole[0] + end - begin, max(whole[1], came)
        whole[2] |= _true(marks.fragments_visible[begin:end]) > 0
        whole[3] += _true(marks.skewed[begin:end])
        whole[4], whole[5] = max(whole[4], skew), max(whole[5], rate)
        begin = end
    return sighted, ticked


@inlined
def _largest(column: NDArray[np.int64]) -> int:
    """The largest of a column: a loop that does nothing else takes many of its numbers at once."""
    most = column[0]
    for one in column:
        most = max(most, one)
    return int(most)


@inlined
def _true(column: NDArray[np.bool_]) -> int:
    """How many of a column are true."""
    count = 0
    for one in column:
        count += one
    return count


@borrowing
def _runs(exporter: NDArray[np.int32], receipt_ns: NDArray[np.int64], ends: NDArray[np.int64]) -> int:
    """Where records end that follow each other and have one exporter and receipt, as those of one datagram do."""
    runs = 0
    for at in range(1, len(exporter)):
        ends[runs] = at
        runs += exporter[at] != exporter[at - 1] or receipt_ns[at] != receipt_ns[at - 1]
    ends[runs] = len(exporter)
    return runs + 1


@compiled
def _listed(shares: NDArray[np.int64], ticks: NDArray[np.uint64], count: int) -> NDArray[np.int64]:
    """Partition, tick and records of what is not zero in the first `count` rows."""
    listed, found = np.empty((count * shares.shape[1], 3), np.int64), 0
    for tick in range(count):
        for partition in range(shares.shape[1]):
            if shares[tick, partition]:
                listed[found, 0], listed[found, 1] = partition, np.int64(ticks[tick, 1])
                listed[found, 2] = shares[tick, partition]
                found += 1
    return listed[:found].copy()
