"""Evidence is put on record: what log lines claim, what traffic shows, what devices suffer from."""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby, islice
from typing import NamedTuple, cast

import numpy as np

from controller.domain.address import unpacked
from controller.domain.rulebook import LogRule
from controller.domain.verdict import Witness
from streams import keys, retracing
from streams.detecting import Hits
from streams.looking import Look
from streams.register import Register
from streams.retracing import Talk
from streams.rows import Claim
from streams.sensors import DOUBTED, Sensors
from streams.standing import FLOW, Entry, Judge, Standing, found, noted
from streams.subjects import Subjects
from streams.suffering import Blame
from streams.windows import Views

SAID_FOR_NS = 1_000_000_000
"""A sentence stands so long, if what it tells of stays about the same."""

TOP_PEERS = 5
_SAID_AGAIN = 0.05
_REMEMBERED = 1 << 14
"""Addresses that need not be spelled again."""

_CROWD = 5
_CROWD_SHARE = 0.25
_NO_TALK = Talk([], 0, 0)

Facts = dict[str, str | int | float | bool]


class Accused(NamedTuple):
    """A subject that flow evidence speaks of, and who saw it."""

    standing: Standing
    talk: Talk
    view: int  # the loudest, -1 none
    number: int  # of its exporter, -1 none
    source: str
    doubted: bool


class Recorder:
    """Keeps evidence in the register's standings."""

    def __init__(self, judge: Judge, register: Register, subjects: Subjects, sensors: Sensors, views: Views) -> None:
        self._judge, self._register = judge, register
        self._subjects, self._sensors, self._views = subjects, sensors, views
        # Who is attacked is attacked in tick after tick.
        self._spelled = lru_cache(_REMEMBERED)(lambda raw: str(unpacked(raw)))
        self._outsider = lru_cache(_REMEMBERED)(self._foreign)

    def claim(self, claims: Sequence[Claim]) -> None:
        """Put what log lines claim on record; lines of one kind and sender add up and fade.

        `claims` are those of a tick, by key, detector, source and time.
        """
        if not claims:
            return
        slots = self._subjects.slots(keys.key_array([claim.key for claim in claims])).tolist()
        told = zip(self._register.moving(slots), slots, claims, strict=True)
        for (_, detector, source), alike in groupby(told, lambda one: (one[1], one[2].detector, one[2].source)):
            lines = list(alike)
            self._claim(lines[0][0], detector, source, [claim for _, _, claim in lines])

    def _claim(self, standing: Standing, detector: str, source: str, claims: list[Claim]) -> None:
        rule = cast("LogRule", self._judge.rule(detector))
        old = found(standing, detector, source)
        amount, at_ns = (old.amount, old.at_ns) if old is not None else (0.0, claims[0].at_ns)
        for claim in claims:
            now_ns = max(claim.at_ns, at_ns)
            amount = amount * math.exp2(-(now_ns - at_ns) / 1e9 / rule.half_life_s) + claim.count
            at_ns = now_ns
        last = claims[-1]
        entry = Entry(
            detector=detector,
            witness=last.witness,
            source=source,
            strength=min(1.0, amount / rule.full_at),
            at_ns=at_ns,
            said_ns=at_ns,
            text=f"{last.text} ({amount:,.0f} lines of late)" if amount >= 2 else last.text,
            facts={**last.facts, "lines": round(amount, 1), **({"peer": last.peer} if last.peer else {})},
            traffic=last.traffic,
            compromise=any(claim.compromise for claim in claims) or (old is not None and old.compromise),
            amount=amount,
        )
        self._judge.put(standing, entry)
        standing.first_line_ns = standing.first_line_ns or min(claim.first_ns or claim.at_ns for claim in claims)

    def accuse(self, seen: Look, hits: list[Hits], *, end_ns: int, tick: int) -> set[int]:
        """Put hits on record; returns the subjects whose traffic is not normal."""
        hits = [left for one in hits if (left := self._unsaid(one, seen, end_ns) if one.note else one).at]
        if not hits:
            return set()
        accused = self._accused(seen, sorted({at for one in hits for at in one.at}), tick)
        crowds = _crowds(seen, hits, self._views)
        for one in hits:
            for at, strength, excuse in zip(one.at, one.strengths, one.excuses, strict=True):
                self._put(one, at, strength, excuse, accused[at], crowds, end_ns, tick)
        for whom in accused.values():
            whom.standing.peers = self._outside(whom.talk.peers)
        return set(seen.reading.slots[sorted({at for one in hits if not one.note for at in one.at})].tolist())

    def _unsaid(self, notes: Hits, seen: Look, end_ns: int) -> Hits:
        """Of notes those that are not on record, or were put there a while ago: of many subjects nothing else is."""
        held, slots = self._register.standings, seen.reading.slots[notes.at].tolist()
        left = [place for place, slot in enumerate(slots) if not noted(held.get(slot), notes.detector, end_ns)]
        return notes.pick(left)

    def _accused(self, seen: Look, places: list[int], tick: int) -> dict[int, Accused]:
        """By place in the reading."""
        slots = seen.reading.slots[places]
        talks = retracing.talks(self._views, self._views.of(slots))
        view = seen.loudest[places]
        number = np.where(view >= 0, self._views.exporter[view], -1)
        sources = {one: (self._sensors.name(one), self._doubted(one, tick)) for one in set(number.tolist()) - {-1}}
        sources[-1] = "", False
        columns = zip(
            places, slots.tolist(), self._register.moving(slots.tolist()), view.tolist(), number.tolist(), strict=True
        )
        return {
            at: Accused(standing, talks.get(slot, _NO_TALK), view, number, *sources[number])
            for at, slot, standing, view, number in columns
        }

    def _doubted(self, number: int, tick: int) -> bool:
        return self._sensors.doubted(number, tick, self._views.slow_ticks)

    def _put(
        self,
        hits: Hits,
        at: int,
        strength: float,
        excuse: str,
        accused: Accused,
        crowds: dict[int, tuple[int, int]],
        end_ns: int,
        tick: int,
    ) -> None:
        standing, serious = accused.standing, not hits.note and not excuse
        if accused.doubted:
            strength = min(strength, DOUBTED)
        if serious and not standing.first_bad_ns:
            view = accused.view
            standing.first_bad_ns = retracing.onset(self._views, view, tick) if view >= 0 else end_ns
        old = found(standing, hits.detector, accused.source)
        if old is not None:
            if not self._judge.yields(old, strength, end_ns, serious=serious):
                return
            alike = old.excuse == excuse and old.note == hits.note and abs(old.strength - strength) < _SAID_AGAIN
            if alike and end_ns - old.said_ns < SAID_FOR_NS:
                old.strength, old.at_ns, standing.news = strength, end_ns, True
                return
        text, facts = self._told(hits, at, accused, crowds)
        entry = Entry(
            detector=hits.detector,
            witness=FLOW,
            source=accused.source,
            strength=strength,
            at_ns=end_ns,
            said_ns=end_ns,
            text=text,
            facts=facts,
            traffic=hits.traffic.value,
            excuse=excuse,
            note=hits.note,
        )
        self._judge.put(standing, entry)

    def _told(self, hits: Hits, at: int, accused: Accused, crowds: dict[int, tuple[int, int]]) -> tuple[str, Facts]:
        """The sentence, with whom it is addressed to and what is to be said of who saw it."""
        text, told = hits.told(at)
        facts = {name: _plain(fact) for name, fact in told.items()}
        text += self._addressed(accused.talk, facts)
        if accused.doubted:
            text += f"; {accused.source} has just changed its sampling rate"
        if accused.number in crowds:
            loud, among = crowds[accused.number]
            text += f"; {accused.source} accuses {loud} of {among} subjects at once"
            facts |= {"exporter_accuses": loud, "exporter_subjects": among}
        return text, facts

    def _addressed(self, talk: Talk, facts: Facts) -> str:
        if not talk.total:
            return ""
        address, share = self._spelled(talk.peers[0]), talk.octets / talk.total
        facts |= {"to": address, "to_share": round(share, 3)}
        return f"; to {address} {share:.0%}" if share >= _CROWD_SHARE else f"; to many, {address} {share:.0%} of it"

    def _outside(self, peers: list[bytes]) -> list[str]:
        return list(islice(filter(None, map(self._outsider, peers)), TOP_PEERS))

    def _foreign(self, raw: bytes) -> str:
        """The text of an address that is none of ours; "" for one that is."""
        return "" if self._subjects.is_ours(unpacked(raw)) else self._spelled(raw)

    def attribute(self, seen: Look, blames: list[Blame], *, end_ns: int) -> set[int]:
        """Put attributions on record; returns the subjects that are blamed."""
        slots = [int(seen.reading.slots[blame.at]) for blame in blames]
        for blame, standing in zip(blames, self._register.moving(slots), strict=True):
            text, facts = blame.told(seen.reading)
            entry = Entry(
                detector="attribution",
                witness=Witness.DEVICE.value,
                source=blame.device,
                strength=blame.strength,
                at_ns=end_ns,
                said_ns=end_ns,
                text=text,
                facts={name: _plain(fact) for name, fact in facts.items()},
            )
            self._judge.put(standing, entry)
        return set(slots)


def _crowds(seen: Look, hits: list[Hits], views: Views) -> dict[int, tuple[int, int]]:
    """Exporters that accuse many of their subjects at once: (accused, all active), by number."""
    loud = {at for one in hits if not one.note for at, excuse in zip(one.at, one.excuses, strict=True) if not excuse}
    found: dict[int, tuple[int, int]] = {}
    if len(loud) < _CROWD:
        return found
    view = seen.loudest[sorted(loud)]
    accused, active = views.exporter[view[view >= 0]], views.active()
    for number, count in zip(*(one.tolist() for one in np.unique(accused, return_counts=True)), strict=True):
        among = len(np.unique(views.slot[active[views.exporter[active] == number]]))
        if count >= max(_CROWD, _CROWD_SHARE * among):
            found[number] = count, among
    return found


def _plain(fact: object) -> str | int | float | bool:
    return fact if isinstance(fact, str | int | float | bool) else str(fact)
