"""Exporters as witnesses: which are heard, which have fallen silent, and which have just changed their measure."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.rows import Sighting

_GAPS = 2.5
_FADE = 0.9
DOUBTED = 0.6
"""Strength that evidence of an exporter has at most while its windows mix two sampling rates."""


@dataclass(slots=True)
class Sensor:
    """One exporter, as it is by event time."""

    name: str
    last_tick: int = -1  # -1: never heard
    last_ns: int = 0
    gap: float = 0.0  # ticks between sightings, its largest of late, fading
    sampling: int = 0
    changed_tick: int = -1  # when its sampling rate changed last
    records: int = 0


class Sensors:
    """All exporters that one partition knows of, by number. Numbers are given in order of appearance and not kept."""

    def __init__(self, *, tick_ms: int, silent_after_s: float) -> None:
        self._tick_s, self._silent_after_s = tick_ms / 1000, silent_after_s
        self._numbers: dict[str, int] = {}
        self._sensors: list[Sensor] = []

    def number(self, name: str) -> int:
        """The number of an exporter."""
        found = self._numbers.get(name)
        if found is None:
            found = self._numbers[name] = len(self._sensors)
            self._sensors.append(Sensor(name))
        return found

    def name(self, number: int) -> str:
        """The exporter's address, or its topic where records name none."""
        return self._sensors[number].name

    def hear(self, sightings: list[Sighting], tick: int) -> None:
        """Take in what was heard in a tick. Ticks come in order, sightings of a tick in any."""
        for name, group in _by_name(sightings).items():
            sensor = self._sensors[self.number(name)]
            sampling = max(one.sampling for one in group)
            if sensor.last_tick >= 0:
                sensor.gap = max(float(tick - sensor.last_tick), sensor.gap * _FADE)
                if sampling != sensor.sampling:
                    sensor.changed_tick = tick
            sensor.last_tick, sensor.sampling = max(sensor.last_tick, tick), sampling
            sensor.last_ns = max(sensor.last_ns, *(one.last_ns for one in group))
            sensor.records += sum(one.records for one in group)

    def heard(self, tick: int) -> NDArray[np.bool_]:
        """By number: is it heard at this tick, or at least not longer silent than it is wont to be."""
        return np.array([self._is_heard(sensor, tick) for sensor in self._sensors] or [False], np.bool_)

    def ranks(self) -> NDArray[np.int64]:
        """By number: the place of its name in alphabetical order."""
        ranks = np.empty(len(self._sensors), np.int64)
        ranks[sorted(range(len(ranks)), key=lambda number: self._sensors[number].name)] = np.arange(len(ranks))
        return ranks

    def doubted(self, number: int, tick: int, ticks: int) -> bool:
        """True while a change of its sampling rate lies less than `ticks` back."""
        sensor = self._sensors[number]
        return sensor.changed_tick >= 0 and tick - sensor.changed_tick < ticks

    def silent(self, tick: int) -> tuple[str, ...]:
        """Exporters that were heard before and are not at this tick."""
        return tuple(sorted(one.name for one in self._sensors if one.last_tick >= 0 and not self._is_heard(one, tick)))

    def _is_heard(self, sensor: Sensor, tick: int) -> bool:
        if sensor.last_tick < 0:
            return False
        wont = max(self._silent_after_s, _GAPS * sensor.gap * self._tick_s)
        return (tick - sensor.last_tick) * self._tick_s <= wont

    def saved(self) -> list[tuple[Any, ...]]:
        """Everything, in an order that does not depend on the order of appearance."""
        heard = sorted((one for one in self._sensors if one.last_tick >= 0), key=lambda one: one.name)
        return [tuple(getattr(one, name) for name in Sensor.__slots__) for one in heard]

    def restore(self, saved: list[tuple[Any, ...]]) -> None:
        """Become what was saved; numbers that were given stay."""
        for row in saved:
            self._sensors[self.number(row[0])] = Sensor(*row)


def _by_name(sightings: list[Sighting]) -> dict[str, list[Sighting]]:
    groups: dict[str, list[Sighting]] = {}
    for one in sightings:
        groups.setdefault(one.exporter, []).append(one)
    return groups
