"""The standing of every subject that something is said about, and which of them something happened to."""

import numpy as np

from streams.standing import FLOW, Standing
from streams.subjects import Subjects
from streams.windows import Ints


class Register:
    """By slot. It remembers whom something happened to since this was asked last, and their buckets."""

    def __init__(self, subjects: Subjects) -> None:
        self._subjects = subjects
        self.standings: dict[int, Standing] = {}
        self._moved: set[int] = set()
        self._touched: set[int] = set()  # slots

    def moving(self, slots: list[int]) -> list[Standing]:
        """The standings of subjects that something happens to; made where there are none."""
        self._moved.update(slots)
        self._touched.update(slots)
        held = self.standings
        return [held.get(slot) or held.setdefault(slot, Standing(entries=[])) for slot in slots]

    def touch(self, slot: int) -> None:
        """Note that a standing changes without anything having happened to its subject."""
        self._touched.add(slot)

    def drop(self, slot: int) -> None:
        """Nothing is said about a subject any more."""
        del self.standings[slot]
        self._touched.add(slot)

    def moved(self) -> set[int]:
        """Subjects that something happened to since this was asked last."""
        moved, self._moved = self._moved, set()
        return moved

    def touched(self) -> set[int]:
        """Buckets of standings that changed since this was asked last."""
        slots, self._touched = self._touched, set()
        if not slots:
            return set()
        return set(self._subjects.bucket[np.fromiter(slots, np.int64, len(slots))].tolist())

    def slots(self) -> Ints:
        """Subjects that something is said about, ascending."""
        return np.sort(np.fromiter(self.standings, np.int64, len(self.standings)))

    @property
    def lasting(self) -> bool:
        """True while flow evidence is in force: the traffic may go on without a new record."""
        return any(
            entry.strength > 0 and entry.witness == FLOW
            for standing in self.standings.values()
            for entry in standing.entries
        )

    @property
    def news(self) -> bool:
        """True while there is something that was not said."""
        return any(one.news for one in self.standings.values())
