"""Ticks that are not closed: what has been heard of them so far."""

from dataclasses import dataclass, field

import numpy as np

from controller.domain.errors import BadInput
from streams.messages import Body, decode, encode
from streams.rows import Arrivals, Claim, Flag, Sighting, Symptom, joined


@dataclass(slots=True)
class Tick:
    """All that was heard of one tick; `rows.exporter` indexes `names`."""

    parts: list[Arrivals] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    symptoms: list[Symptom] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)

    def rows(self) -> Arrivals | None:
        """All rows, put together anew at each call."""
        return joined(self.parts) if self.parts else None


class Pending:
    """Open ticks by number."""

    def __init__(self) -> None:
        self._ticks: dict[int, Tick] = {}

    def first(self) -> int | None:
        """The earliest tick of which something was heard."""
        return min(self._ticks, default=None)

    def take(self, tick: int) -> Tick | None:
        """Hand over a tick that closes, claims in an order that does not depend on arrival."""
        found = self._ticks.pop(tick, None)
        if found is not None:
            found.claims.sort(key=lambda one: (one.key, one.detector, one.source, one.at_ns, one.text))
            found.symptoms.sort(key=lambda one: (one.device, one.kind, one.at_ns, one.text))
        return found

    def put(self, raw: bytes, *, floor: int, tick_ns: int) -> tuple[str, int, int]:
        """Take in a body; returns (topic, records, late records). What is older than tick `floor` is late.

        Late rows stand in the first open tick, marked: they are evidence and never teach a baseline.
        Raises BadInput.
        """
        body, rows = decode(raw)
        if rows is not None:
            if len(rows.exporter) and int(rows.exporter.max()) >= len(body.names):
                raise BadInput("activity: an exporter without a name")
            late = rows.tick < floor
            if late.any():
                rows.flags = np.where(late, rows.flags | Flag.LATE, rows.flags).astype(np.int8)
                rows.tick = np.maximum(rows.tick, floor)
            alike = len(rows) > 0 and bool((rows.tick == rows.tick[0]).all())
            for tick in [int(rows.tick[0])] if alike else np.unique(rows.tick).tolist():
                self._add_rows(tick, rows if alike else rows.pick(np.flatnonzero(rows.tick == tick)), body.names)
        for claim in body.claims:
            self._tick(max(claim.at_ns // tick_ns, floor)).claims.append(claim)
        for symptom in body.symptoms:
            self._tick(max(symptom.at_ns // tick_ns, floor)).symptoms.append(symptom)
        for sighting in body.sightings:
            self._tick(max(sighting.tick, floor)).sightings.append(sighting)
        heard = sum(count for _, count in body.heard)
        return body.topic, heard, sum(count for tick, count in body.heard if tick < floor)

    def _tick(self, tick: int) -> Tick:
        return self._ticks.setdefault(tick, Tick())

    def _add_rows(self, tick: int, rows: Arrivals, names: list[str]) -> None:
        open_tick = self._tick(tick)
        places = {name: place for place, name in enumerate(open_tick.names)}
        for name in names:
            if name not in places:
                places[name] = len(open_tick.names)
                open_tick.names.append(name)
        rows.exporter = np.array([places[name] for name in names], np.int64)[rows.exporter]
        open_tick.parts.append(rows)

    def saved(self) -> list[tuple[int, bytes]]:
        """All open ticks as bytes."""
        return [
            (
                tick,
                encode(
                    Body("", [], one.names, claims=one.claims, symptoms=one.symptoms, sightings=one.sightings),
                    one.rows(),
                ),
            )
            for tick, one in sorted(self._ticks.items())
        ]

    def restore(self, saved: list[tuple[int, bytes]]) -> None:
        """Become what was saved. Raises BadInput."""
        self._ticks = {}
        for tick, raw in saved:
            body, rows = decode(raw)
            self._ticks[tick] = Tick(
                [rows] if rows is not None else [], body.names, body.claims, body.symptoms, body.sightings
            )
