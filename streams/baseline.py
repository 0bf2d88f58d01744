"""What is normal for each subject: level and spread of the logarithm of its bits, packets and mail sessions.

Each window in which a subject is heard teaches one value, by event time. The mean is plain until `memory` windows have
been heard and exponentially weighted from then on (West 1979; Finch 2009, "Incremental calculation of weighted mean and
variance"). In the logarithm a flood of a thousand times weighs as much as a lull of a thousandth, and the mean is the
typical day rather than the worst hour. The hour-of-week shape belongs to the role, as sums of whole numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

QUANTITIES = 3  # bits, packets, mail sessions, all a second
HOURS = 168
_UNIT = float(1 << 20)
_SHAPE_FROM = 200
_STEEPEST = 20.0  # of a logarithm: sums of whole numbers below 2^53 stay exact
_LEAST_WINDOWS = 30
_HOUR_NS = 3_600_000_000_000
_EPOCH_HOUR = 72  # 1 January 1970 was a Thursday: hour 72 of a week that begins on Monday


class Baselines:
    """Columnar, by slot. Growable; zeros mean that nothing was learned."""

    def __init__(self) -> None:
        self.mean = np.zeros((0, QUANTITIES))
        self.variance = np.zeros((0, QUANTITIES))
        self.windows = np.zeros(0, np.int32)
        self.since_ns = np.zeros(0, np.int64)
        self.until_ns = np.zeros(0, np.int64)

    COLUMNS = ("mean", "variance", "windows", "since_ns", "until_ns")

    def grow(self, room: int) -> None:
        """Make room for slots below `room`."""
        for name in self.COLUMNS:
            old = getattr(self, name)
            new = np.zeros((room, *old.shape[1:]), old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)

    def clear(self, slots: Ints) -> None:
        """Forget subjects."""
        for name in self.COLUMNS:
            getattr(self, name)[slots] = 0

    def learn(self, slots: Ints, per_second: Floats, *, begins_ns: int, ends_ns: int, memory: int) -> Floats:
        """Teach one window to distinct slots; returns by how much the logarithm of bits lay off the level before."""
        value = np.log1p(per_second)
        count = self.windows[slots] + 1
        first = count == 1
        weight = np.maximum(1.0 / count, 1.0 / memory)[:, None]
        off = value - self.mean[slots]
        step = weight * off
        self.mean[slots] += step
        self.variance[slots] = np.where(first[:, None], 0.0, (1.0 - weight) * (self.variance[slots] + off * step))
        self.since_ns[slots] = np.where(first, begins_ns, self.since_ns[slots])
        self.until_ns[slots] = ends_ns
        self.windows[slots] = count
        return np.where(first, 0.0, off[:, 0])

    def normal(self, slots: Ints) -> Floats:
        """Typical bits, packets and mail sessions a second (n × 3); 0 where nothing was learned."""
        normal: Floats = np.where(self.windows[slots][:, None] > 0, np.expm1(self.mean[slots]), 0.0)
        return normal

    def spread(self, slots: Ints) -> Floats:
        """Standard deviation of the logarithm of bits."""
        spread: Floats = np.sqrt(np.maximum(self.variance[slots, 0], 0.0))
        return spread

    def age_s(self, slots: Ints) -> Floats:
        """Seconds of event time from the first window heard to the last."""
        age: Floats = (self.until_ns[slots] - self.since_ns[slots]) / 1e9
        return age

    def mature(self, slots: Ints, min_age_s: float) -> NDArray[np.bool_]:
        """Old enough, and heard often enough, to be held against the subject."""
        grown: NDArray[np.bool_] = (self.age_s(slots) >= min_age_s) & (self.windows[slots] >= _LEAST_WINDOWS)
        return grown


@dataclass(slots=True)
class Shape:
    """How a role's bits go up and down over the week: mean deviation of the logarithm by hour, in 2^-20."""

    total: Ints
    count: Ints

    def lift(self, hour: int) -> float:
        """Factor on a subject's level in this hour, at least 1: a busy hour excuses, a quiet one accuses nobody."""
        if self.count[hour] < _SHAPE_FROM:
            return 1.0
        return float(np.exp(max(self.total[hour] / _UNIT / self.count[hour], 0.0)))


def learn_shapes(shapes: Mapping[int, Shape], roles: Ints, off: Floats, hour: int) -> None:
    """Teach each role what its subjects deviated by in a window; role -1 is nobody's."""
    known = roles >= 0
    units = np.rint(np.clip(off[known], -_STEEPEST, _STEEPEST) * _UNIT)
    totals = np.bincount(roles[known], weights=units).astype(np.int64)
    for role, (total, count) in enumerate(zip(totals.tolist(), np.bincount(roles[known]).tolist(), strict=True)):
        if count:
            shapes[role].total[hour] += total
            shapes[role].count[hour] += count


def empty_shape() -> Shape:
    """A shape of which nothing is known."""
    return Shape(np.zeros(HOURS, np.int64), np.zeros(HOURS, np.int64))


def hour_of_week(at_ns: int) -> int:
    """The hour of the UTC week that begins on Monday."""
    return (at_ns // _HOUR_NS + _EPOCH_HOUR) % HOURS
