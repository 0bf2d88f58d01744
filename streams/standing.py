"""How a subject stands: the evidence in force against it, what it was last said to be, and the score that follows."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from controller.domain.rulebook import Attribution, Detectors, LogRule, Scoring
from controller.domain.verdict import Evidence, Fact, Finding, Level, TrafficClass, Witness, score_of

FAINT = 0.02
"""Force below which evidence is forgotten."""

NOTE_S = 10.0


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


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a standing comes to at one moment."""

    score: float
    level: Level
    finding: Finding
    entries: tuple[Entry, ...]


class Judge:
    """Weighs entries by the rules."""

    def __init__(self, scoring: Scoring, detectors: Detectors) -> None:
        self._scoring = scoring
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
        rule = self.rule(entry.detector)
        return rule.weight * entry.strength * math.exp2(-max(now_ns - entry.at_ns, 0) / 1e9 / rule.half_life_s)

    def fade(self, standing: Standing, now_ns: int) -> None:
        """Forget what has faded."""
        if any(not self._lives(entry, now_ns) for entry in standing.entries):
            standing.entries = [entry for entry in standing.entries if self._lives(entry, now_ns)]
            standing.news = True
        witnesses = {entry.witness for entry in standing.entries if entry.strength > 0}
        if Witness.FLOW.value not in witnesses:
            standing.first_bad_ns = 0
        if not witnesses - {Witness.FLOW.value}:
            standing.first_line_ns = 0

    def _lives(self, entry: Entry, now_ns: int) -> bool:
        if entry.note:
            return now_ns - entry.at_ns < NOTE_S * 1e9
        return self.force(entry, now_ns) >= FAINT

    def judge(self, standing: Standing, now_ns: int) -> Judgement:
        """Score, level and finding. What is excused counts only where nothing else passes *watch*."""
        weighed = [(self.force(entry, now_ns), entry) for entry in standing.entries]
        plain = [one for one in weighed if not one[1].excuse]
        score = score_of([force for force, _ in plain])
        finding, entries = Finding.OFFENDER, plain
        if score < self._scoring.watch:
            excused = [one for one in weighed if one[1].excuse]
            other = score_of([force for force, _ in excused])
            if other > score:
                _, strongest = max(excused, key=lambda one: (one[0], one[1].detector, one[1].source))
                score, finding, entries = other, Finding(strongest.excuse), excused
        order = sorted(entries, key=lambda one: (-one[0], one[1].detector, one[1].source))
        return Judgement(score, self._level(score), finding, tuple(entry for _, entry in order))

    def _level(self, score: float) -> Level:
        return next((level for threshold, level in self._steps if score >= threshold), Level.CLEAR)

    def put(self, standing: Standing, entry: Entry) -> None:
        """Add evidence, in place of weaker or older evidence of the same detector and source."""
        old = found(standing, entry.detector, entry.source)
        if old is None:
            standing.entries.append(entry)
            standing.entries.sort(key=lambda one: (one.detector, one.source))
            standing.news = True
            return
        serious = bool(old.excuse) and not entry.excuse and not entry.note
        if serious or self.rule(entry.detector).weight * entry.strength >= self.force(old, entry.at_ns):
            standing.entries[standing.entries.index(old)] = entry
            standing.news = True

    def evidence(self, entry: Entry) -> Evidence:
        """An entry as the verdict carries it."""
        rule = self.rule(entry.detector)
        facts: Mapping[str, Fact] = entry.facts
        return Evidence(
            detector=entry.detector,
            witness=Witness(entry.witness),
            source=entry.source,
            strength=entry.strength,
            weight=rule.weight,
            half_life_s=rule.half_life_s,
            at_ns=entry.at_ns,
            text=entry.text,
            facts=facts,
            traffic=TrafficClass(entry.traffic),
            compromise=entry.compromise,
        )


def found(standing: Standing, detector: str, source: str) -> Entry | None:
    """The entry of a detector and source."""
    for one in standing.entries:
        if one.detector == detector and one.source == source:
            return one
    return None
