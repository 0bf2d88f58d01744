"""How a subject stands: the evidence in force against it, what it was last said to be, and the score that follows."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from controller.domain.rulebook import Attribution, Detectors, LogRule, Scoring
from controller.domain.verdict import Evidence, Fact, Finding, Level, TrafficClass, Witness, score_of

FAINT = 0.02
"""Force below which evidence is forgotten."""

NOTE_NS = 60_000_000_000
"""How long a note is in force after it was last put on record."""

NOTED_AGAIN_NS = 30_000_000_000
"""A note that still holds is put on record again, and said, no sooner: it asks nobody to do anything."""

FLOW = Witness.FLOW.value

# To look an enum's member up by its value takes as long as to weigh evidence.
_WITNESSES = {one.value: one for one in Witness}
_CLASSES = {one.value: one for one in TrafficClass}
_FINDINGS = {one.value: one for one in Finding}


class Entry(msgspec.Struct):
    """Evidence in force. `amount` counts log lines, fading; `excuse` is what takes the blame off the subject."""

    detector: str
    witness: str
    source: str
    strength: float
    at_ns: int
    said_ns: int  # when `text` was made
    text: str
    facts: dict[str, str | int | float | bool]
    traffic: str = "all"
    compromise: bool = False
    excuse: str = ""
    amount: float = 0.0
    note: bool = False  # says why something is not held against the subject


class Standing(msgspec.Struct):
    """One subject's."""

    entries: list[Entry] = []
    first_bad_ns: int = 0  # receipt of the first record of the traffic that flow evidence in force speaks of
    first_line_ns: int = 0  # receipt of the first log line in force
    said_ns: int = 0  # end of the tick of its last verdict
    said_score: float = 0.0
    said_level: int = 0
    said_finding: str = ""
    news: bool = False  # something happened since its last verdict
    exporter: str = ""  # where its traffic was last seen to enter
    interface: int = 0
    mac: str = ""
    peers: list[str] = []


class Judgement(NamedTuple):
    """What a standing comes to at one moment."""

    score: float
    level: Level
    finding: Finding
    entries: tuple[Entry, ...]


class Judge:
    """Weighs entries by the rules."""

    def __init__(self, scoring: Scoring, detectors: Detectors) -> None:
        self._watch = scoring.watch
        self._steps = (
            (scoring.isolate, Level.ISOLATE),
            (scoring.contain, Level.CONTAIN),
            (scoring.watch, Level.WATCH),
        )
        self._weighing = {name: getattr(detectors, name) for name in Detectors.__slots__}
        self._weighing["victim"] = detectors.flood_ratio

    def rule(self, detector: str) -> LogRule | Attribution:
        """Weight and half-life of a detector's evidence."""
        return self._weighing[detector]  # type: ignore[no-any-return]  # each has weight and half_life_s

    def force(self, entry: Entry, now_ns: int) -> float:
        """Weighted strength that is left."""
        rule, age_ns = self.rule(entry.detector), now_ns - entry.at_ns
        force = rule.weight * entry.strength
        return force * math.exp2(-age_ns / 1e9 / rule.half_life_s) if age_ns > 0 else force

    def judge(self, standing: Standing, now_ns: int) -> Judgement:
        """Forget what has faded, and weigh the rest: score, level and finding.

        What is excused counts only where nothing else passes *watch*.
        """
        plain: list[tuple[float, Entry]] = []
        excused: list[tuple[float, Entry]] = []
        flow = lines = False
        for entry in standing.entries:
            force = self.force(entry, now_ns)
            if force >= FAINT if not entry.note else now_ns - entry.at_ns < NOTE_NS:
                (excused if entry.excuse else plain).append((force, entry))
                if entry.strength > 0:
                    flow, lines = flow or entry.witness == FLOW, lines or entry.witness != FLOW
        if len(plain) + len(excused) < len(standing.entries):
            living = [entry for _, entry in (*plain, *excused)]
            standing.entries, standing.news = [entry for entry in standing.entries if entry in living], True
        # Traffic, or lines, of which no evidence is left began at no time.
        if not flow:
            standing.first_bad_ns = 0
        if not lines:
            standing.first_line_ns = 0
        score = score_of([force for force, _ in plain])
        finding, chosen = Finding.OFFENDER, plain
        if excused and score < self._watch:
            other = score_of([force for force, _ in excused])
            if other > score:
                _, strongest = max(excused, key=lambda one: (one[0], one[1].detector, one[1].source))
                score, finding, chosen = other, _FINDINGS[strongest.excuse], excused
        if len(chosen) > 1:
            chosen = sorted(chosen, key=lambda one: (-one[0], one[1].detector, one[1].source))
        return Judgement(score, self._level(score), finding, tuple([entry for _, entry in chosen]))

    def rests(self, standing: Standing, now_ns: int) -> bool:
        """Whether nothing is to be said of a subject, by a look that costs little: all there is is a note in force."""
        if standing.news or standing.said_level or len(standing.entries) != 1:
            return False
        (only,) = standing.entries
        return only.note and now_ns - only.at_ns < NOTE_NS

    def _level(self, score: float) -> Level:
        for threshold, level in self._steps:
            if score >= threshold:
                return level
        return Level.CLEAR

    def yields(self, old: Entry, strength: float, now_ns: int, *, serious: bool) -> bool:
        """Whether evidence gives way to later one of its detector and source: to what is stronger by now.

        What was excused gives way to what is `serious`, however weak.
        """
        if serious and old.excuse:
            return True
        return self.rule(old.detector).weight * strength >= self.force(old, now_ns)

    def put(self, standing: Standing, entry: Entry) -> None:
        """Add evidence, in place of weaker or older evidence of the same detector and source."""
        old = found(standing, entry.detector, entry.source)
        if old is None:
            standing.entries.append(entry)
            standing.entries.sort(key=lambda one: (one.detector, one.source))
            standing.news = True
            return
        serious = not entry.excuse and not entry.note
        if self.yields(old, entry.strength, entry.at_ns, serious=serious):
            standing.entries[standing.entries.index(old)] = entry
            standing.news = True

    def evidence(self, entry: Entry) -> Evidence:
        """An entry as the verdict carries it."""
        rule = self.rule(entry.detector)
        facts: Mapping[str, Fact] = entry.facts
        return Evidence(
            detector=entry.detector,
            witness=_WITNESSES[entry.witness],
            source=entry.source,
            strength=entry.strength,
            weight=rule.weight,
            half_life_s=rule.half_life_s,
            at_ns=entry.at_ns,
            text=entry.text,
            facts=facts,
            traffic=_CLASSES[entry.traffic],
            compromise=entry.compromise,
        )


def noted(standing: Standing | None, detector: str, now_ns: int) -> bool:
    """Whether a note of this detector's was put on record so lately that it need not be again."""
    if standing is None:
        return False
    for one in standing.entries:
        if one.note and one.detector == detector and now_ns - one.at_ns < NOTED_AGAIN_NS:
            return True
    return False


def found(standing: Standing, detector: str, source: str) -> Entry | None:
    """The entry of a detector and source."""
    for one in standing.entries:
        if one.detector == detector and one.source == source:
            return one
    return None
