"""What each subject did over minutes, however slowly: counts that fade by half in a given time.

A guessed password every few seconds, or a reply a second to somebody who never asked, stays below every rate. Added up
over minutes it stands out.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.decode.compiled import compiled
from streams.rows import Col

HABITS = [Col.PACKETS, Col.VARIANCE, Col.PROBES, Col.REPLIES, Col.LOGINS, Col.TALK_IN]
"""The columns of activity that are remembered; what the subject received stands last."""


class Habits:
    """Columnar, by slot. Growable. Ticks are given in order; `half_life` is in ticks."""

    COLUMNS = ("habit", "habit_tick")

    def __init__(self, half_life: float) -> None:
        self.half_life = half_life
        self.habit = np.zeros((0, len(HABITS)))
        self.habit_tick = np.zeros(0, np.int64)

    def grow(self, room: int) -> None:
        """Make room for slots below `room`."""
        for name in self.COLUMNS:
            old: NDArray[Any] = getattr(self, name)
            new = np.zeros((room, *old.shape[1:]), old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)

    def clear(self, slots: NDArray[np.int64]) -> None:
        """Forget subjects."""
        self.habit[slots] = 0.0
        self.habit_tick[slots] = 0

    def add(self, slots: NDArray[np.int64], counts: NDArray[np.int64], tick: int) -> None:
        """Add counts (n × HABITS) to distinct slots."""
        _faded(self.habit, self.habit_tick, slots, counts, tick, self.half_life)

    def now(self, slots: NDArray[np.int64], tick: int) -> NDArray[np.float64]:
        """What is left of everything at `tick` (n × HABITS)."""
        left = np.exp2(-np.maximum(tick - self.habit_tick[slots], 0) / self.half_life)
        amounts: NDArray[np.float64] = self.habit[slots] * left[:, None]
        return amounts


@compiled
def _faded(
    habit: NDArray[np.float64],
    habit_tick: NDArray[np.int64],
    slots: NDArray[np.int64],
    counts: NDArray[np.int64],
    tick: int,
    half_life: float,
) -> None:
    """Let what there is fade until `tick`, and add what came."""
    before, left = tick, 1.0
    for at in range(len(slots)):
        slot = slots[at]
        if habit_tick[slot] != before:  # most were heard together
            before = habit_tick[slot]
            left = 2.0 ** (-max(tick - before, 0) / half_life)
        for place in range(counts.shape[1]):
            habit[slot, place] = habit[slot, place] * left + counts[at, place]
        habit_tick[slot] = tick
