"""What the two agents do to one message, without Faust, without a clock, without waiting.

`Combine` turns a message of a flow or log topic into parts of activity; `Lane` is one activity partition and turns
parts into verdicts. An exception on a message becomes a dead letter with its reason, and the next message is read.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from controller.domain import wire
from controller.domain.errors import BadInput
from controller.domain.estate import Source
from controller.domain.verdict import Verdict
from streams.activity import Combined
from streams.checkpoint import Checkpoint
from streams.decode import Reject
from streams.envelope import Kind, Part, unpack
from streams.lessons import Memory
from streams.messages import records
from streams.tally import Counts, Tally, tally_from, tally_of

LETTERS_A_MESSAGE = 16
"""Dead letters kept of one message; the records of further rejects are added to the letter before with their reason."""

MARK_AHEAD_NS = 60 * 1_000_000_000
"""How far a clock mark may be ahead of the Kafka timestamp of its own message: clocks differ a little, not a year."""


class FrameCombiner(Protocol):
    """What this module needs of `streams.activity.Combiner`."""

    def frame(self, value: bytes, *, source: Source, kafka_ns: int, memory: Memory | None = None) -> Combined:
        """Combine one frame."""

    def memory(self, source: Source, saved: bytes | None = None) -> Memory | None:
        """What reading a partition of the source has to remember: nothing, anew or as it was saved."""


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
class Message:
    """One message of a source topic."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    kafka_ns: int

    @property
    def origin(self) -> str:
        """The partition's name in activity and checkpoints."""
        return f"{self.topic}/{self.partition}"

    @property
    def place(self) -> str:
        """Where a dead letter was found."""
        return f"{self.origin}@{self.offset}"


@dataclass(frozen=True, slots=True)
class Combination:
    """What comes of one message: a part for each activity partition, and what has to be kept as dead letters."""

    parts: tuple[Part, ...]
    letters: tuple[wire.DeadLetter, ...] = ()


class Combine:
    """Combines messages one by one; what has to be remembered of them is the caller's."""

    def __init__(self, combiner: FrameCombiner, sources: Sequence[Source], *, partitions: int) -> None:
        self._combiner, self.partitions = combiner, partitions
        self._sources = {source.topic: source for source in sources}

    def memory(self, topic: str, saved: bytes | None = None) -> Memory | None:
        """What reading a partition of a topic has to remember, or None. Raises BadInput for what was never saved."""
        return self._combiner.memory(self._sources[topic], saved)

    def message(self, message: Message, memory: Memory | None = None) -> Combination:
        """Combine one message. What comes of it depends on it and on the memory, so that it may be done again."""
        if message.key == wire.MARK_KEY:
            return self._mark(message)
        try:
            combined = self._combiner.frame(
                message.value, source=self._sources[message.topic], kafka_ns=message.kafka_ns, memory=memory
            )
        except Exception as error:  # a fault in decoding costs the frame, which is kept, and not the worker
            return self._unreadable(message, f"combine: {type(error).__name__}: {error}"[:200])
        tally = tally_of(combined, message.topic).encode()
        parts = self._parts(Kind.FRAME, message, tally, combined.bodies)
        return Combination(parts, tuple(_letters(combined.rejects, message)))

    def _mark(self, message: Message) -> Combination:
        try:
            fault = "clock mark from the future" if _ahead(message) else ""
        except BadInput as error:
            fault = error.reason
        if fault:
            return Combination(self._parts(Kind.VOID, message), (_letter(message, fault, count=0),))
        return Combination(self._parts(Kind.MARK, message, b"", (message.value,) * self.partitions))

    def _unreadable(self, message: Message, reason: str) -> Combination:
        lost = max(1, len(message.value.splitlines()))
        tally = Tally({message.topic: Counts(received=lost, dead=lost)}).encode()
        return Combination(self._parts(Kind.VOID, message, tally), (_letter(message, reason, count=lost),))

    def _parts(
        self, kind: Kind, message: Message, tally: bytes = b"", bodies: Sequence[bytes] = ()
    ) -> tuple[Part, ...]:
        counts_here = message.partition % self.partitions
        return tuple(
            Part(
                kind,
                message.origin,
                message.offset,
                tally if partition == counts_here else b"",
                bodies[partition] if bodies else b"",
            )
            for partition in range(self.partitions)
        )


def _ahead(mark: Message) -> bool:
    return wire.mark_time(mark.value) > mark.kafka_ns + MARK_AHEAD_NS


def _letters(rejects: Sequence[Reject], message: Message) -> Iterable[wire.DeadLetter]:
    kept: dict[str, wire.DeadLetter] = {}  # the last letter of each reason
    out: list[wire.DeadLetter] = []
    for reject in rejects:
        if len(out) < LETTERS_A_MESSAGE or reject.reason not in kept:
            where = f"{message.place} {reject.where}".rstrip()
            letter = wire.dead_letter(
                reject.raw, source=where, reason=reject.reason, at_ns=message.kafka_ns, count=reject.count
            )
            kept[reject.reason] = letter
            out.append(letter)
        else:
            letter = kept[reject.reason]
            more = replace(letter, count=letter.count + reject.count)
            out[out.index(letter)] = kept[reject.reason] = more
    return out


def _letter(message: Message, reason: str, *, count: int) -> wire.DeadLetter:
    return wire.dead_letter(message.value, source=message.place, reason=reason, at_ns=message.kafka_ns, count=count)


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
    lost: dict[str, int] = field(default_factory=dict)  # origin → source messages that never came
    refused: int = 0  # parts that the scorer could not take


class Lane:
    """One activity partition: takes each part once, in order, and can be saved after any message."""

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
        self.tally = Tally()
        if saved is not None:
            scorer.restore(saved.buckets.items(), saved.meta)
            self.last = saved.offset
            self._seen = dict(saved.seen)
            self.tally = tally_from(saved.tally)

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
            if self._is_next(part):
                try:
                    verdicts += self._take(part)
                except Exception as error:  # a fault in scoring costs one part, which is kept, and not the worker
                    self.faults.refused += 1
                    reason = f"score: {type(error).__name__}: {error}"[:200]
                    letters.append(self._refused(part, reason, where=where, at_ns=kafka_ns))
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

    def _is_next(self, part: Part) -> bool:
        last = self._seen.get(part.origin)
        if last is not None and part.offset <= last:
            self.faults.repeats += 1
            return False
        if last is not None and part.offset > last + 1:
            self.faults.lost[part.origin] = self.faults.lost.get(part.origin, 0) + part.offset - last - 1
        self._seen[part.origin] = part.offset
        return True

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
        )
