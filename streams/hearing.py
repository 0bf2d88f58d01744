"""What a frame told of its exporters and ticks, counted in one loop, compiled."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.decode.columns import Columns
from streams.decode.compiled import compiled
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
    # Columns are named here once: to take one out of a tuple costs more than to read from it.
    owns, receipts, rates, visible = marks.exporter, marks.receipt_ns, marks.sampling, marks.fragments_visible
    skewed, skews = marks.skewed, marks.skew_ns
    runs = _runs(owns, receipts)
    room = 16
    while room < 2 * runs:
        room *= 2
    seen = np.zeros((exporters, 6), np.int64)
    slots, idents, sightings = (
        np.full(room, -1, np.int32),
        np.empty((runs, 2), np.uint64),
        np.zeros((runs, 5), np.int64),
    )
    tick_slots, ticks = np.full(room, -1, np.int32), np.empty((runs, 2), np.uint64)
    shares = np.zeros((runs, partitions), np.int64)
    sighted, ticked, sighting, tick = 0, 0, 0, 0
    for at in range(len(owns)):
        own, rate = owns[at], rates[at]
        if at == 0 or own != owns[at - 1] or receipts[at] != receipts[at - 1]:
            now = receipts[at] // tick_ns
            sighting = place_of(np.uint64(own), np.uint64(now), slots, idents, sighted)
            sighted = max(sighted, sighting + 1)
            tick = place_of(np.uint64(0), np.uint64(now), tick_slots, ticks, ticked)
            ticked = max(ticked, tick + 1)
            sightings[sighting, 0], sightings[sighting, 1] = own, now
            sightings[sighting, 3] = max(sightings[sighting, 3], receipts[at])
            seen[own, 1] = max(seen[own, 1], receipts[at])
        shares[tick, home[at]] += 1
        sightings[sighting, 2] += 1
        sightings[sighting, 4] = max(sightings[sighting, 4], rate)
        seen[own, 0] += 1
        seen[own, 2] |= visible[at]
        seen[own, 3] += skewed[at]
        seen[own, 4] = max(seen[own, 4], skews[at])
        seen[own, 5] = max(seen[own, 5], rate)
    return Heard(seen, sightings[:sighted].copy(), _listed(shares, ticks, ticked))


@compiled
def _runs(exporter: NDArray[np.int32], receipt_ns: NDArray[np.int64]) -> int:
    """How often records of one exporter and receipt follow each other: those of one datagram do."""
    runs = 1
    for at in range(1, len(exporter)):
        runs += exporter[at] != exporter[at - 1] or receipt_ns[at] != receipt_ns[at - 1]
    return runs


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
