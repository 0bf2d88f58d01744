"""A worker's shift: what it does with the partitions that it has been dealt, from taking them over to leaving them.

Nothing here knows Faust. A shift is opened for one assignment and closed for good when that ends; the next assignment
starts from the checkpoints and positions again, so nothing can leak from one into the other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from aiokafka import TopicPartition

from controller.domain import wire
from controller.domain.address import subject_text
from controller.domain.errors import BadInput
from streams.agents import Combine, Message, Stretch
from streams.broker import Access
from streams.lanes import ActivityScorer, Lane
from streams.lessons import Learning, Snapshot
from streams.relay import Relay
from streams.state import LessonLog, Positions, Producer, StateLog

HEAL_EVERY_S = 0.25
HEALS = 12
"""Seeks back to one offset until it is taken for granted that nothing stands there."""

STALLED_S = 3.0
"""Time without progress anywhere, after which partitions that have messages are read again."""


@dataclass(frozen=True, slots=True)
class Crew:
    """What all shifts of one worker share."""

    access: Access
    producer: Producer
    positions: Positions
    lessons: LessonLog
    combine: Combine[Any]
    scorer: Callable[[int], ActivityScorer]  # a fresh one for an activity partition
    inputs: tuple[str, ...]  # every source partition, "topic/partition"
    worker: str
    log: Callable[[str], None]
    monotonic: Callable[[], float]


class Turn(Enum):
    """What to do with a message that was delivered."""

    TAKE = "take"
    DROP = "drop"
    SEEK = "seek"  # messages before it are missing: read from `expected` again


@dataclass(slots=True)
class Course:
    """Where one partition is being read. Faust may leave messages out around a rebalance; they are asked for again."""

    expected: int
    progressed: float
    healed: float = 0.0
    heals: int = 0
    holes: int = 0  # offsets at which there was nothing

    def turn(self, offset: int, now: float) -> Turn:
        """Judge the next message delivered."""
        if offset < self.expected:
            return Turn.DROP
        if offset > self.expected:
            if self.heals < HEALS:
                if now - self.healed < HEAL_EVERY_S:
                    return Turn.DROP
                self.healed, self.heals = now, self.heals + 1
                return Turn.SEEK
            self.holes += offset - self.expected
        self.expected, self.progressed, self.heals = offset + 1, now, 0
        return Turn.TAKE


@dataclass(slots=True)
class Shift:
    """One assignment; `begin` opens it. `relay` sends as long as it lasts."""

    crew: Crew
    relay: Relay
    courses: dict[TopicPartition, Course] = field(default_factory=dict)
    lanes: dict[int, Lane] = field(default_factory=dict)
    learnings: dict[str, Learning] = field(default_factory=dict)  # source partitions whose messages build on each other
    _stretches: dict[str, Stretch[Any]] = field(default_factory=dict)
    _lessons: dict[str, Snapshot] = field(default_factory=dict)  # to be kept
    notes: list[str] = field(default_factory=list)
    _logs: dict[int, StateLog] = field(default_factory=dict)
    _saved: dict[int, int] = field(default_factory=dict)  # activity partition → offset of the last checkpoint
    _said: dict[int, list["asyncio.Future[Any]"]] = field(default_factory=dict)  # verdicts and letters on their way
    _taking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _saving: asyncio.Lock = field(default_factory=asyncio.Lock)
    _noting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _sending: "asyncio.Task[None] | None" = None

    @classmethod
    async def begin(
        cls, crew: Crew, assigned: Iterable[TopicPartition], *, crash: Callable[[BaseException], Awaitable[None]]
    ) -> "Shift":
        """Take over partitions: claim their state, restore their lanes, and find where to read.

        `crash` is called when sending fails later on: what is not sent must not be passed over.
        """
        partitions = [TopicPartition(one.topic, one.partition) for one in assigned]
        lanes = sorted(one.partition for one in partitions if one.topic == wire.ACTIVITY)
        crew.positions.assign([*partitions, *(TopicPartition(wire.STATE, partition) for partition in lanes)])
        crew.lessons.assign(one for one in partitions if one.topic != wire.ACTIVITY)
        oldest = await crew.positions.beginnings(partitions)
        origins = [f"{one.topic}/{one.partition}" for one in partitions if one.topic != wire.ACTIVITY]
        shift = cls(crew, Relay(crew.producer.post, partitions=crew.combine.partitions, origins=origins))
        await asyncio.gather(*(shift._open(partition, oldest) for partition in lanes))
        for one in partitions:
            start = await shift._start(one)
            if start is not None and start < oldest[one]:
                shift.remark(f"{one.topic}/{one.partition}: {oldest[one] - start} messages expired unread")
            shift.courses[one] = Course(max(start or 0, oldest[one]), crew.monotonic())
            if one.topic != wire.ACTIVITY:
                await shift._remember(one, start or 0)
        shift._sending = asyncio.create_task(_send(shift.relay, crash), name="relay")
        return shift

    async def _start(self, one: TopicPartition) -> int | None:
        if one.topic != wire.ACTIVITY:
            return await self.crew.positions.committed(one)
        last = self.lanes[one.partition].last
        return last + 1 if last >= 0 else None

    async def _remember(self, one: TopicPartition, position: int) -> None:
        """Have in mind what was learned of a source partition before the message at `position`."""
        combine = self.crew.combine
        fresh = combine.memory(one.topic)
        if fresh is None:
            return
        origin = f"{one.topic}/{one.partition}"
        self.learnings[origin] = Learning(fresh)
        try:
            found = await self.crew.lessons.last(one, position)
            if found is not None:
                place, lesson = found
                memory = combine.memory(one.topic, lesson.piece)
                self.learnings[origin] = Learning(memory or fresh, kept=place, kept_ns=lesson.at_ns)
        except BadInput as error:
            self.remark(f"{origin}: what was learned of it is not usable ({error}); learning anew")

    async def _open(self, partition: int, oldest: Mapping[TopicPartition, int]) -> None:
        crew = self.crew
        log = StateLog(crew.access, crew.producer, crew.positions, partition=partition)
        saved = await log.claim(crew.worker)
        start = oldest[TopicPartition(wire.ACTIVITY, partition)]
        try:
            lane = Lane(crew.scorer(partition), partition=partition, inputs=crew.inputs, start=start, saved=saved)
        except BadInput as error:
            self.remark(f"{wire.STATE}/{partition}: checkpoint not usable ({error}); learning anew from what is left")
            log.forget()
            lane = Lane(crew.scorer(partition), partition=partition, inputs=crew.inputs, start=start)
        self.lanes[partition], self._logs[partition] = lane, log
        self._saved[partition], self._said[partition] = lane.last, []

    def remark(self, what: str) -> None:
        """Say something that an operator has to know, in the log and in the heartbeats of this shift."""
        self.crew.log(what)
        self.notes.append(what)

    async def source(self, message: Message) -> None:
        """Combine one message of a flow or log topic, and wait while too much of the like is waiting to be sent."""
        origin, learning = message.origin, self.learnings.get(message.origin)
        if origin not in self._stretches:
            self._stretches[origin] = self.crew.combine.stretch(message.topic)
        combination = self.crew.combine.message(
            message, self._stretches[origin], None if learning is None else learning.memory
        )
        if learning is not None and combination.parts:
            learning.heard(message.offset, message.kafka_ns, first=combination.first)
            if (snapshot := learning.snapshot()) is not None:
                self._lessons[origin] = snapshot
        self.relay.put(origin, message.offset, combination)
        await asyncio.sleep(0)
        await self.relay.room()

    async def activity(self, partition: int, offset: int, value: bytes, *, kafka_ns: int) -> None:
        """Score one activity message, and put on its way what comes of it."""
        lane, said = self.lanes[partition], self._said[partition]
        post = self.crew.producer.post
        async with self._taking:  # a checkpoint may not include a message whose verdicts it does not wait for
            outcome = lane.message(offset, value, kafka_ns=kafka_ns)
            for verdict in outcome.verdicts:
                signed = replace(verdict, worker=self.crew.worker)
                key = subject_text(verdict.subject).encode()
                said.append(await post(wire.VERDICTS, 0, wire.verdict_json(signed), key))
            if outcome.canary is not None:
                said.append(await post(wire.VERDICTS, 0, wire.canary_json(outcome.canary), wire.CANARY_KEY))
            said += [
                await post(wire.DEAD, 0, wire.dead_letter_json(letter), letter.source.encode())
                for letter in outcome.letters
            ]
        if len(said) > 256:
            for sent in said:
                if sent.done():
                    sent.result()
            self._said[partition] = [sent for sent in said if not sent.done()]

    def watch(self, note: wire.DecisionNote) -> None:
        """Tell every lane whose rates somebody wants to know."""
        try:
            for lane in self.lanes.values():
                lane.scorer.watch(note)
        except BadInput as error:
            self.remark(f"decision {note.decision_id} names no subject that can be watched: {error}")

    async def checkpoint(self) -> None:
        """Save every lane that moved. What was said before is safe at the broker first. Raises Superseded."""
        async with self._saving:
            for partition, lane in self.lanes.items():
                async with self._taking:
                    if lane.last <= self._saved[partition]:
                        continue
                    delta, said = lane.save(), self._said[partition]
                    self._said[partition] = []
                await asyncio.gather(*said)
                await self._logs[partition].write(delta)
                self._saved[partition] = delta.offset
            await self.crew.positions.commit(
                {TopicPartition(wire.ACTIVITY, p): offset + 1 for p, offset in self._saved.items() if offset >= 0}
            )

    async def note_positions(self) -> None:
        """Commit how far combine's work has arrived, and keep what it learned."""
        async with self._noting:
            arrived = {
                origin: self.learnings[origin].position(offset) if origin in self.learnings else offset
                for origin, offset in self.relay.arrived().items()
            }
            await self.crew.positions.commit({_partition(origin): offset for origin, offset in arrived.items()})
            lessons, self._lessons = self._lessons, {}
            for origin, snapshot in lessons.items():
                self.learnings[origin].written(await self.crew.lessons.write(_partition(origin), snapshot))

    def stalled(self, highwater: Callable[[TopicPartition], int | None]) -> list[tuple[TopicPartition, int]]:
        """When nothing moves: partitions that have messages, and where to read them again.

        While anything moves, the next message of a partition shows by its offset what was left out before it.
        """
        now = self.crew.monotonic()
        if any(now - course.progressed < STALLED_S for course in self.courses.values()):
            return []
        behind = [(at, course) for at, course in self.courses.items() if (highwater(at) or 0) > course.expected]
        for _, course in behind:
            course.progressed = now
        return [(at, course.expected) for at, course in behind]

    def remarks(self) -> list[str]:
        """What an operator has to know of this shift; empty when all is well."""
        holes = [
            f"{at.topic}/{at.partition}: {course.holes} offsets without a message"
            for at, course in self.courses.items()
            if course.holes
        ]
        lost = [
            f"{origin}: {count} messages never reached scoring"
            for lane in self.lanes.values()
            for origin, count in lane.faults.lost.items()
        ]
        refused = sum(lane.faults.refused for lane in self.lanes.values())
        return [*self.notes, *holes, *lost, *([f"{refused} pieces of activity not scored"] if refused else [])]

    async def end(self) -> None:
        """Leave: nothing is sent any more, and what was being saved has arrived."""
        await self.abandon()
        async with self._saving, self._noting:
            pass

    async def abandon(self) -> None:
        """Leave without waiting for anything."""
        if self._sending is not None:
            self._sending.cancel()
            with suppress(asyncio.CancelledError):
                await self._sending


async def _send(relay: Relay, crash: Callable[[BaseException], Awaitable[None]]) -> None:
    try:
        await relay.run()
    except Exception as error:  # whatever it is, nothing may be read past what was not sent
        await crash(error)


def _partition(origin: str) -> TopicPartition:
    topic, _, number = origin.rpartition("/")
    return TopicPartition(topic, int(number))


def inputs_of(sources: Mapping[str, int]) -> tuple[str, ...]:
    """The names of all source partitions, given how many each topic has."""
    return tuple(f"{topic}/{partition}" for topic, count in sorted(sources.items()) for partition in range(count))


def scored(lanes: Iterable[Lane]) -> Mapping[str, Mapping[str, int]]:
    """Counts by source topic over some lanes: received = scored + dead + skipped, once everything is read."""
    total: dict[str, dict[str, int]] = {}
    for lane in lanes:
        for topic, counts in lane.tally.sources.items():
            _add(total, topic, {"received": counts.received, "dead": counts.dead, "skipped": counts.skipped})
        for topic, more in lane.scorer.counts().items():
            _add(total, topic, more)
    return total


def _add(total: dict[str, dict[str, int]], topic: str, more: Mapping[str, int]) -> None:
    counts = total.setdefault(topic, {"received": 0, "scored": 0, "dead": 0, "skipped": 0, "late": 0})
    for name, number in more.items():
        counts[name] = counts.get(name, 0) + number


def silent(lanes: Sequence[Lane]) -> tuple[str, ...]:
    """Exporters that no lane hears any more."""
    return tuple(sorted(set().union(*(lane.scorer.silent() for lane in lanes))))
