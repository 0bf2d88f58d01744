"""What reading a source has to remember from message to message, and how a successor comes to the same.

Combining must come to the same result when a message is combined again after a take-over. Where a source's messages
build on each other (templates of NetFlow v9 and IPFIX), a successor therefore begins with exactly what had been learned
before the first message that it reads. So a partition's position never moves past a message that taught something
until what was learned is kept, and what is kept names what was kept before it: whichever of the two is right for the
position that arrived is found.
"""

from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from controller.domain.errors import BadInput

SPARE_NS = 2_000_000_000
"""Time between two records of one partition: one that learns all the time is kept now and then."""

REFRESH_NS = 24 * 3600 * 1_000_000_000
"""Age at which a record is written again, long before the topic's retention ends."""

NOWHERE = -1


class Memory(Protocol):
    """What was learned of one source partition, as `streams.decode.templates.Templates` has it."""

    @property
    def changes(self) -> int:
        """Rises whenever `saved` would no longer give the same."""

    def saved(self) -> bytes:
        """All of it."""


class Lesson(msgspec.Struct, array_like=True, frozen=True):
    """One record of what was learned before the message at `offset`."""

    origin: str
    offset: int
    at_ns: int  # event time
    before: int  # where the record before it stands, NOWHERE for the first
    earlier: list[int]  # where pieces stand that did not fit in; `piece` is the last
    piece: bytes

    def encode(self) -> bytes:
        """The value of its message."""
        return msgspec.msgpack.encode(self)


def lesson_from(value: bytes) -> Lesson:
    """The record in a message. Raises BadInput."""
    try:
        return msgspec.msgpack.decode(value, type=Lesson)
    except msgspec.MsgspecError as error:
        raise BadInput(f"lesson: {error}") from None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is to be kept: the memory as it was before the message at `offset`."""

    offset: int
    at_ns: int
    before: int
    memory: bytes


@dataclass(slots=True)
class Learning:
    """One partition's memory during one assignment, and how far its position may move."""

    memory: Memory
    kept: int = NOWHERE  # where the record stands that is right for the position
    kept_ns: int = 0
    _seen: int = field(init=False)  # changes of the memory that were noticed
    _now_ns: int = 0
    _next: int = 0
    _held: int | None = None  # where the stretch begins that first taught what is not kept
    _again: int | None = None  # the same, since the snapshot
    _taken: Snapshot | None = None
    _place: int = NOWHERE  # where the snapshot was written

    def __post_init__(self) -> None:
        self._seen = self.memory.changes

    def heard(self, offset: int, at_ns: int, *, first: int) -> None:
        """The messages from `first` to `offset` have been told; `at_ns` is the last one's Kafka timestamp."""
        self._next, self._now_ns = offset + 1, max(self._now_ns, at_ns)
        old = self.kept != NOWHERE and self._taken is None and self._now_ns - self.kept_ns > REFRESH_NS
        if self.memory.changes == self._seen and not old:
            return
        self._seen = self.memory.changes
        if self._taken is not None:
            self._again = first if self._again is None else self._again
        elif self._held is None:
            self._held = first

    def snapshot(self) -> Snapshot | None:
        """What has to be kept now; None while there is nothing, or the one before is not settled.

        To be asked when a stretch has been told: within one, the memory is that of no message that anybody begins with.
        """
        if self._held is None or self._taken is not None:
            return None
        if self.kept != NOWHERE and self._now_ns - self.kept_ns < SPARE_NS:
            return None
        self._taken = Snapshot(self._next, self._now_ns, self.kept, self.memory.saved())
        return self._taken

    def written(self, place: int) -> None:
        """The snapshot is safe."""
        self._place = place

    def position(self, arrived: int) -> int:
        """From where a successor has to read, when what came of all messages before `arrived` has arrived."""
        taken = self._taken
        if taken is not None and self._place != NOWHERE and arrived >= taken.offset:
            self.kept, self.kept_ns = self._place, taken.at_ns
            self._held, self._again, self._taken, self._place = self._again, None, None, NOWHERE
        return arrived if self._held is None else min(arrived, self._held)
