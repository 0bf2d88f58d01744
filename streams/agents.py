"""What combine does to one message, without Faust, without a clock, without waiting.

`Combine` gathers messages of a flow or log topic into parts of activity. An exception on a message becomes a dead
letter with its reason, and the next message is read.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

from controller.domain import wire
from controller.domain.errors import BadInput
from controller.domain.estate import Source
from streams.activity import Combined
from streams.decode import Reject
from streams.envelope import Kind, Part
from streams.lessons import Memory
from streams.tally import Counts, Tally, tally_of

LETTERS_A_MESSAGE = 16
"""Dead letters kept of one message; the records of further rejects are added to the letter before with their reason."""

LONGEST = 64
"""Messages of a stretch that no clock mark ends."""

MARK_AHEAD_NS = 60 * 1_000_000_000
"""How far a clock mark may be ahead of the Kafka timestamp of its own message: clocks differ a little, not a year."""


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


class Gathered(Protocol):
    """What this module needs of `streams.gathering.Gathered`."""

    def told(self) -> Sequence[Sequence[bytes]]:
        """The bodies for each activity partition, none where there is nothing to say; what follows is gathered anew."""


G = TypeVar("G", bound=Gathered)


class FrameCombiner(Protocol[G]):
    """What this module needs of `streams.activity.Combiner`."""

    def gathered(self, source: Source) -> G:
        """Where messages of a partition of the source are gathered."""

    def take(
        self, value: bytes, gathered: G, *, source: Source, kafka_ns: int, memory: Memory | None = None
    ) -> Combined:
        """Add a frame to what is gathered; nothing where it raises."""

    def memory(self, source: Source, saved: bytes | None = None) -> Memory | None:
        """What reading a partition of the source has to remember: nothing, anew or as it was saved."""


@dataclass(slots=True)
class Stretch(Generic[G]):
    """The messages of a source partition that were combined and are not told yet. It ends at each clock mark."""

    gathered: G
    first: int = 0
    messages: int = 0
    tally: Tally = field(default_factory=Tally)


@dataclass(frozen=True, slots=True)
class Combination:
    """What is to be sent on after a message: parts for each activity partition, and what becomes dead letters."""

    parts: tuple[tuple[Part, ...], ...] = ()  # () while the stretch goes on
    letters: tuple[wire.DeadLetter, ...] = ()
    first: int = 0  # offset of the first message that the parts tell of

    @property
    def marks(self) -> bool:
        """Whether a clock mark stands in it."""
        return bool(self.parts) and self.parts[0][-1].kind is Kind.MARK


class Combine(Generic[G]):
    """Combines messages one by one; what has to be remembered of them is the caller's.

    Where stretches end depends on the messages alone, so that whoever begins where one began comes to the same.
    """

    def __init__(self, combiner: FrameCombiner[G], sources: Sequence[Source], *, partitions: int) -> None:
        self._combiner, self.partitions = combiner, partitions
        self._sources = {source.topic: source for source in sources}

    def memory(self, topic: str, saved: bytes | None = None) -> Memory | None:
        """What reading a partition of a topic has to remember, or None. Raises BadInput for what was never saved."""
        return self._combiner.memory(self._sources[topic], saved)

    def stretch(self, topic: str) -> Stretch[G]:
        """Where messages of a partition of a topic are gathered."""
        return Stretch(self._combiner.gathered(self._sources[topic]))

    def message(self, message: Message, stretch: Stretch[G], memory: Memory | None = None) -> Combination:
        """Combine the next message of a partition. What comes of a stretch depends on its messages and the memory."""
        if stretch.messages == 0:
            stretch.first = message.offset
        stretch.messages += 1
        if message.key == wire.MARK_KEY:
            return self._mark(message, stretch)
        letters = self._gather(message, stretch, memory)
        parts: tuple[tuple[Part, ...], ...] = ()
        first = stretch.first
        if stretch.messages == LONGEST:
            parts = tuple(map(tuple, self._told(stretch, message, message.offset)))
        return Combination(parts, letters, first)

    def _gather(self, message: Message, stretch: Stretch[G], memory: Memory | None) -> tuple[wire.DeadLetter, ...]:
        source = self._sources[message.topic]
        try:
            combined = self._combiner.take(
                message.value, stretch.gathered, source=source, kafka_ns=message.kafka_ns, memory=memory
            )
        except Exception as error:  # a fault in decoding costs the frame, which is kept, and not the worker
            lost = max(1, len(message.value.splitlines()))
            stretch.tally.add(Tally({message.topic: Counts(received=lost, dead=lost)}))
            return (_letter(message, f"combine: {type(error).__name__}: {error}"[:200], count=lost),)
        stretch.tally.add(tally_of(combined, message.topic))
        return tuple(_letters(combined.rejects, message))

    def _mark(self, message: Message, stretch: Stretch[G]) -> Combination:
        try:
            fault = "clock mark from the future" if _ahead(message) else ""
        except BadInput as error:
            fault = error.reason
        first, before = stretch.first, stretch.messages > 1
        told = self._told(stretch, message, message.offset - 1) if before else [[] for _ in range(self.partitions)]
        stretch.messages = 0
        kind, body = (Kind.VOID, b"") if fault else (Kind.MARK, message.value)
        mark = Part(kind, message.origin, message.offset, b"", body)
        letters = (_letter(message, fault, count=0),) if fault else ()
        return Combination(tuple((*parts, mark) for parts in told), letters, first)

    def _told(self, stretch: Stretch[G], message: Message, last: int) -> list[list[Part]]:
        """Parts of the stretch up to the message at `last`; what follows is another."""
        counts_here = message.partition % self.partitions
        tally = stretch.tally.encode()
        made = []
        for partition, bodies in enumerate(stretch.gathered.told()):
            many = bodies or [b""]
            counted = tally if partition == counts_here else b""
            made.append(
                [
                    Part(
                        Kind.FRAME,
                        message.origin,
                        last,
                        b"" if piece else counted,
                        body,
                        last - stretch.first,
                        piece,
                        len(many),
                    )
                    for piece, body in enumerate(many)
                ]
            )
        stretch.tally, stretch.messages = Tally(), 0
        return made


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
