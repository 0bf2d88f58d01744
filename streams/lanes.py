"""One activity partition: parts of activity in, verdicts out, each stretch once and in order.

A fault in scoring costs a part, which becomes a dead letter with its reason, and the next one is taken.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from controller.domain import wire
from controller.domain.errors import BadInput
from controller.domain.verdict import Verdict
from streams.checkpoint import Checkpoint
from streams.envelope import Kind, Part, pack, unpack
from streams.messages import records
from streams.tally import Counts, Tally, tally_from


class ActivityScorer(Protocol):
    """What this module needs of `streams.score.Scorer`, which says what each promises."""

    def apply(self, body: bytes, *, origin: str = "") -> None:
        """Take in activity."""

    def mark(self, source_partition: str, at_ns: int) -> list[Verdict]:
        """Hear a clock mark."""

    def watch(self, note: wire.DecisionNote) -> None:
        """Watch a subject."""

    def changed(self) -> list[tuple[int, bytes]]:
        """Buckets changed since the last call."""

    def meta(self) -> bytes:
        """What belongs to no bucket."""

    def restore(self, buckets: Iterable[tuple[int, bytes]], meta: bytes) -> None:
        """Become the scorer that was saved."""

    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """Records scored and late, by source topic."""

    def silent(self) -> tuple[str, ...]:
        """Exporters that fell silent."""

    @property
    def event_ns(self) -> int:
        """End of the last closed tick."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one activity message leads to."""

    verdicts: tuple[Verdict, ...] = ()
    letters: tuple[wire.DeadLetter, ...] = ()
    canary: wire.Canary | None = None  # to be said after the verdicts


@dataclass(slots=True)
class Faults:
    """What went wrong on a lane since it was opened. Repeats are harmless; the other two are alarms."""

    repeats: int = 0  # parts that had been taken in before
    lost: dict[str, int] = field(
        default_factory=dict
    )  # origin → source messages that never came, or came cut otherwise
    refused: int = 0  # parts that the scorer could not take


class Lane:
    """Takes each stretch once, in order, and can be saved after any message."""

    def __init__(
        self,
        scorer: ActivityScorer,
        *,
        partition: int,
        inputs: Sequence[str],
        start: int,
        saved: Checkpoint | None = None,
    ) -> None:
        """Open at a checkpoint, or at offset `start` without one. Raises BadInput when it cannot be restored."""
        self.scorer = scorer
        self.partition = partition
        self.faults = Faults()
        self.marks: dict[str, int] = {}  # origin → last mark taken in, ns, since the lane was opened
        self._inputs = frozenset(inputs)
        self.last = start - 1
        self._canaries = 0  # event time of the last one, in CANARY_NS
        self._seen: dict[str, int] = {}
        self._waiting: dict[str, list[Part]] = {}  # by origin, pieces of a stretch that has not come whole
        self.tally = Tally()
        if saved is not None:
            scorer.restore(saved.buckets.items(), saved.meta)
            self.last = saved.offset
            self._seen = dict(saved.seen)
            self.tally = tally_from(saved.tally)
            for part in unpack(saved.waiting) if saved.waiting else ():
                self._waiting.setdefault(part.origin, []).append(part)

    def message(self, offset: int, value: bytes, *, kafka_ns: int) -> Said:
        """Take in the activity message at `offset`, which must be later than `last`."""
        self.last = offset
        verdicts: list[Verdict] = []
        letters: list[wire.DeadLetter] = []
        where = f"{wire.ACTIVITY}/{self.partition}@{offset}"
        try:
            parts = unpack(value)
        except BadInput as error:
            self.faults.refused += 1
            return Said((), (wire.dead_letter(value, source=where, reason=error.reason, at_ns=kafka_ns),))
        for part in parts:
            for piece in self._whole(part):
                try:
                    verdicts += self._take(piece)
                except Exception as error:  # a fault in scoring costs one part, which is kept, and not the worker
                    self.faults.refused += 1
                    reason = f"score: {type(error).__name__}: {error}"[:200]
                    letters.append(self._refused(piece, reason, where=where, at_ns=kafka_ns))
        return Said(tuple(verdicts), tuple(letters), self._canary())

    def _canary(self) -> wire.Canary | None:
        """One where event time has come so far again. A lane that is opened anew says it once more, at the most."""
        event_ns = self.scorer.event_ns
        if event_ns // wire.CANARY_NS <= self._canaries:
            return None
        self._canaries = event_ns // wire.CANARY_NS
        return wire.Canary(self.partition, event_ns)

    def _refused(self, part: Part, reason: str, *, where: str, at_ns: int) -> wire.DeadLetter:
        """A part that the scorer could not take: its records are dead, here where they would have been scored."""
        lost = records(part.body)
        topic = part.origin.rpartition("/")[0]
        self.tally.add(Tally({topic: Counts(dead=lost)}))
        source = f"{where} from {part.origin}@{part.offset}"
        return wire.dead_letter(part.body, source=source, reason=reason, at_ns=at_ns, count=lost)

    def _whole(self, part: Part) -> Sequence[Part]:
        """All pieces of a stretch, where this is the last of them and the stretch is the next one of its origin.

        Pieces come one after the other. Where their sender dies among them, another sends all of them again.
        """
        last = self._seen.get(part.origin)
        if last is not None and part.offset <= last:
            self.faults.repeats += 1
            return ()
        if part.pieces > 1:
            waiting = self._waiting.setdefault(part.origin, [])
            if part.piece == 0:
                waiting.clear()
            elif len(waiting) != part.piece or waiting[0].first != part.first or waiting[0].offset != part.offset:
                self.faults.repeats += 1
                return ()
            waiting.append(part)
            if len(waiting) < part.pieces:
                return ()
        pieces = self._waiting.pop(part.origin, ()) if part.pieces > 1 else (part,)
        self._waiting.pop(part.origin, None)  # pieces of a stretch that its sender told otherwise in the end
        self._seen[part.origin] = part.offset
        overlaps = last is not None and part.first <= last
        if last is not None and part.first != last + 1:
            lost = part.offset - last if overlaps else part.first - last - 1
            self.faults.lost[part.origin] = self.faults.lost.get(part.origin, 0) + lost
        if overlaps:
            return ()
        return pieces

    def _take(self, part: Part) -> list[Verdict]:
        if part.tally:
            self.tally.add(tally_from(part.tally))
        if part.kind is Kind.FRAME and part.body:
            self.scorer.apply(part.body, origin=part.origin)
        if part.kind is Kind.MARK and part.origin in self._inputs:
            at_ns = wire.mark_time(part.body)
            self.marks[part.origin] = at_ns
            return self.scorer.mark(part.origin, at_ns)
        return []

    def save(self) -> Checkpoint:
        """What changed since the last call, as a delta; the first call after opening gives what changed since then."""
        return Checkpoint(
            offset=self.last,
            seen=dict(self._seen),
            tally=self.tally.encode(),
            meta=self.scorer.meta(),
            buckets=dict(self.scorer.changed()),
            waiting=pack(part for parts in self._waiting.values() for part in parts),
        )
