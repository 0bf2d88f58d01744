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


def heard(columns: Columns, home: NDArray[np.int64], counted: NDArray[np.int32], *, tick_ns: int) -> Heard:
    """Count a frame; `home` is each row's partition, `counted` each record's row. Partition 0 has what has none."""
    named = {name: np.ascontiguousarray(getattr(columns, name)) for name in _Marks._fields}
    return _heard(_Marks(**named), home, counted, len(columns.exporters), tick_ns)


@compiled
def _heard(marks: _Marks, home: NDArray[np.int64], counted: NDArray[np.int32], exporters: int, tick_ns: int) -> Heard:
    count = len(counted)
    room = 16
    while room < 2 * count:
        room *= 2
    seen = np.zeros((exporters, 6), np.int64)
    slots, idents, sightings = (
        np.full(room, -1, np.int32),
        np.empty((count, 2), np.uint64),
        np.zeros((count, 5), np.int64),
    )
    other_slots, others, shares = (
        np.full(room, -1, np.int32),
        np.empty((count, 2), np.uint64),
        np.zeros((count, 3), np.int64),
    )
    sighted, shared = 0, 0
    exporter, partition, tick, stamp = np.int64(-1), np.int64(-1), np.int64(-1), np.int64(-1)
    sighting, share = 0, 0
    # Columns are named here once: to take one out of a tuple costs more than to read from it.
    owns, receipts, rates, visible = marks.exporter, marks.receipt_ns, marks.sampling, marks.fragments_visible
    skewed, skews = marks.skewed, marks.skew_ns
    for at in range(count):
        own, last = np.int64(owns[at]), receipts[at]
        place = home[counted[at]] if counted[at] >= 0 else np.int64(0)
        now = tick if last == stamp else last // tick_ns
        if own != exporter or now != tick:
            sighting = place_of(np.uint64(own), np.uint64(now), slots, idents, sighted)
            sighted = max(sighted, sighting + 1)
            sightings[sighting, 0], sightings[sighting, 1] = own, now
        if place != partition or now != tick:
            share = place_of(np.uint64(place), np.uint64(now), other_slots, others, shared)
            shared = max(shared, share + 1)
            shares[share, 0], shares[share, 1] = place, now
        exporter, partition, tick, stamp = own, place, now, last
        shares[share, 2] += 1
        rate = rates[at]
        sightings[sighting, 2] += 1
        sightings[sighting, 3] = max(sightings[sighting, 3], last)
        sightings[sighting, 4] = max(sightings[sighting, 4], rate)
        seen[own, 0] += 1
        seen[own, 1] = max(seen[own, 1], last)
        seen[own, 2] |= visible[at]
        seen[own, 3] += skewed[at]
        seen[own, 4] = max(seen[own, 4], skews[at])
        seen[own, 5] = max(seen[own, 5], rate)
    return Heard(seen, sightings[:sighted].copy(), shares[:shared].copy())
