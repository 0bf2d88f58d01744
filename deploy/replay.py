"""What Cordon would have done: streams and controller composed in one process, without Kafka, over recorded input.

The parts are the ones that run live (Combiner, Scorer, Decider, ledger); only the topics between them are left out.
Event time comes from the records, so a replay of a day takes seconds and gives the same decisions each time.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controller.clerk import Clerk, EventTime
from controller.decider import Decider
from controller.domain.address import subject_text
from controller.domain.errors import ConfigError
from controller.domain.estate import Estate, Source, SourceFormat
from controller.domain.record import Decision
from controller.domain.rulebook import Rulebook
from controller.domain.verdict import Level, Verdict
from controller.domain.wire import DecisionNote
from controller.effect import Effects
from controller.ledger import Ledger
from controller.planning import Holds
from controller.surroundings import Surroundings
from deploy.recordings import Piece
from streams.activity import Combiner
from streams.score import Scorer

AFTERMATH_S = 1.0
"""Time goes on so long after the last record, so that the last ticks close."""


class Stopped:
    """The clock of a replay: it stands where the records are."""

    def __init__(self, time: EventTime) -> None:
        self._time = time

    def now_ns(self) -> int:
        """Event time."""
        return self._time.now_ns()

    def monotonic(self) -> float:
        """Event time in seconds."""
        return self._time.now_ns() / 1e9

    def pause(self, seconds: float) -> None:
        """Nothing has to be waited for."""


@dataclass(slots=True)
class Notices:
    """What would have been said to people, in order."""

    said: list[str] = field(default_factory=list)

    def page(self, *, what: str, about: str) -> None:
        """Remember a page."""
        self.said.append(f"{about}: {what}")

    def keep(self, decisions: Sequence[Decision]) -> None:
        """No undo sheet is needed where nothing is done."""


@dataclass(slots=True)
class Voice:
    """What was said of one subject over the whole replay."""

    worst: Verdict
    first_ns: int
    count: int = 1

    def hear(self, verdict: Verdict) -> None:
        """Keep the worst."""
        self.count += 1
        if (verdict.level, verdict.score) > (self.worst.level, self.worst.score):
            self.worst = verdict


@dataclass(slots=True)
class Report:
    """The outcome. For every source received = scored + dead + skipped, exactly."""

    received: int = 0
    scored: int = 0
    dead: int = 0
    skipped: int = 0
    why_dead: Counter[str] = field(default_factory=Counter)
    voices: dict[str, Voice] = field(default_factory=dict)
    decisions: tuple[Decision, ...] = ()
    notices: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    held_back: int = 0  # records that were not replayed, for an emulated device would have stopped their packets
    changed: dict[str, list[str]] = field(default_factory=dict)  # device → lines that it holds now and did not before

    def hear(self, verdicts: Iterable[Verdict]) -> None:
        """Take in verdicts. One that accuses nobody counts where it says why: no cause found, or not yet judged."""
        for verdict in verdicts:
            subject = subject_text(verdict.subject)
            if subject in self.voices:
                self.voices[subject].hear(verdict)
            elif verdict.level > Level.CLEAR or verdict.evidence:
                self.voices[subject] = Voice(verdict, verdict.tick_end_ns)


def source_of(estate: Estate, kind: SourceFormat) -> Source:
    """The first source of the site that speaks a format. Raises ConfigError."""
    for source in estate.site.sources:
        if source.format is kind:
            return source
    raise ConfigError(file="site.toml", key="sources", expected=f"a source with format {kind.value!r}")


class Streams:
    """Combine and score, one partition, without topics."""

    def __init__(self, estate: Estate, rules: Rulebook, kinds: Iterable[SourceFormat]) -> None:
        self._sources = {kind: source_of(estate, kind) for kind in kinds}
        self._inputs = {kind: f"{source.topic}/0" for kind, source in self._sources.items()}
        inputs = tuple(dict.fromkeys(self._inputs.values()))
        self._combiner = Combiner(estate, rules, partitions=1)
        self._memories = {kind: self._combiner.memory(source) for kind, source in self._sources.items()}
        self._scorer = Scorer(estate, rules, partition=0, partitions=1, inputs=inputs)
        self._last_ns = 0

    def take(self, piece: Piece, report: Report) -> list[Verdict]:
        """Score one frame, and let time come as far as its last record."""
        source = self._sources[piece.format]
        memory = self._memories[piece.format]
        combined = self._combiner.frame(piece.value, source=source, kafka_ns=piece.at_ns, memory=memory)
        report.received += combined.received
        report.skipped += combined.skipped
        report.dead += combined.dead
        for reject in combined.rejects:
            report.why_dead[reject.reason] += reject.count
        for body in combined.bodies:
            if body:
                self._scorer.apply(body, origin=self._inputs[piece.format])
        return self.mark(piece.at_ns)

    def mark(self, at_ns: int) -> list[Verdict]:
        """Nothing earlier will follow."""
        self._last_ns = max(self._last_ns, at_ns)
        return [verdict for one in dict.fromkeys(self._inputs.values()) for verdict in self._scorer.mark(one, at_ns)]

    def watch(self, note: DecisionNote) -> None:
        """A subject is under watch: its rates are reported."""
        self._scorer.watch(note)

    @property
    def event_ns(self) -> int:
        """End of the last closed tick."""
        return self._scorer.event_ns

    def close(self, report: Report) -> list[Verdict]:
        """Let the last ticks close, and count."""
        verdicts = self.mark(self._last_ns + int(AFTERMATH_S * 1e9))
        report.scored = sum(counts.get("scored", 0) for counts in self._scorer.counts().values())
        report.silent = self._scorer.silent()
        return verdicts


@dataclass(frozen=True, slots=True)
class Reasoning:
    """The controller up to the decision: nothing is sent anywhere."""

    decider: Decider
    effects: Effects
    clerk: Clerk
    around: Surroundings
    notices: Notices


def reasoning(estate: Estate, rules: Rulebook, *, ledger: Ledger, holds: Holds) -> Reasoning:
    """Compose policy, limits, locating and planning around a ledger."""
    time = EventTime()
    notices = Notices()
    clerk = Clerk(ledger=ledger, pager=notices, sheet=notices, clock=Stopped(time), time=time)
    around = Surroundings(estate=estate, rules=rules, ledger=ledger, time=time)
    effects = Effects(clerk, rules.effect)
    decider = Decider(clerk=clerk, around=around, holds=holds, effects=effects)
    return Reasoning(decider, effects, clerk, around, notices)


def replay(
    pieces: Iterable[Piece], *, streams: Streams, mind: Reasoning, act: Callable[[list[Verdict]], None] | None = None
) -> Report:
    """Run recorded frames through streams and controller. `act` takes verdicts instead of the decider alone."""
    report = Report()

    def think(verdicts: list[Verdict]) -> None:
        report.hear(verdicts)
        if act is not None:
            mind.clerk.time.advance(streams.event_ns)
            act(verdicts)
        elif verdicts:
            mind.decider.hear(verdicts)

    for piece in pieces:
        think(streams.take(piece, report))
    think(streams.close(report))
    return concluded(report, mind)


def concluded(report: Report, mind: Reasoning) -> Report:
    """The report with what stands in the ledger in the end."""
    report.decisions = mind.clerk.ledger.recent(since_ns=0)
    report.notices = tuple(mind.notices.said)
    return report


def document(report: Report) -> dict[str, Any]:
    """The report as a JSON-ready mapping."""
    return {
        "version": 1,
        "received": report.received,
        "scored": report.scored,
        "dead": report.dead,
        "skipped": report.skipped,
        "why_dead": dict(report.why_dead),
        "verdicts": [_voice(subject, voice) for subject, voice in loudest(report.voices)],
        "decisions": [_decision(one) for one in report.decisions],
        "notices": list(report.notices),
        "silent": list(report.silent),
        "held_back": report.held_back,
        "changed": report.changed,
    }


def loudest(voices: Mapping[str, Voice]) -> list[tuple[str, Voice]]:
    """Subjects, the worst first."""
    return sorted(voices.items(), key=lambda one: (-one[1].worst.level, -one[1].worst.score, one[0]))


def _voice(subject: str, voice: Voice) -> dict[str, Any]:
    worst = voice.worst
    return {
        "subject": subject,
        "finding": worst.finding.value,
        "level": worst.level.name.lower(),
        "score": round(worst.score, 1),
        "first_ns": voice.first_ns,
        "evidence": [{"detector": one.detector, "text": one.text, "facts": dict(one.facts)} for one in worst.evidence],
        "explains": list(worst.explains),
    }


def _decision(decision: Decision) -> dict[str, Any]:
    return {
        "subject": decision.subject,
        "host": decision.attachment.host,
        "state": decision.state.value,
        "mode": decision.mode,
        "simulated": decision.simulated,
        "score": round(decision.score, 1),
        "at_ns": decision.created_ns,
        "fences": [
            {
                "kind": record.fence.kind.value,
                "where": [str(leg.slot) for leg in record.legs],
                "legs": [leg.state.value for leg in record.legs],
                "lines": [line for leg in record.legs if leg.change for line in leg.change.apply],
            }
            for record in decision.fences
        ],
        "reasons": [{"rule": one.rule, "allows": one.allows, "text": one.text} for one in decision.reasons],
        "evidence": [one.text for one in decision.evidence],
    }
