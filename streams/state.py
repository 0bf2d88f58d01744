"""The worker's own place in Kafka: the positions it reads from, and the log of its checkpoints.

Faust's group only deals out partitions. Where to read, and what has been counted, is known from here.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import cast

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from controller.domain import wire
from controller.domain.errors import BadInput, BrokerUnavailable
from streams.broker import Access
from streams.checkpoint import CLAIM, DELTA, FULL, Checkpoint, Fold, pieces
from streams.lessons import NOWHERE, Lesson, Snapshot, lesson_from
from streams.producing import PATIENCE_MS
from streams.producing import Producer as Producer  # beside what it writes

PIECE = 500_000
"""Octets of what was learned that go into one message."""

READS = 20
"""Attempts of a second each to read a record that is known to be there."""


class Superseded(BrokerUnavailable):
    """Another worker has taken this partition of the state over: nothing that we write into it counts any more."""


class Positions:
    """From where to read each partition: plain offset commits of a group that nobody joins, so that tools show them."""

    def __init__(self, access: Access, group: str) -> None:
        self._access, self._group = access, group

    async def start(self) -> None:
        """Connect."""
        self._consumer = AIOKafkaConsumer(
            **self._access.client(), group_id=self._group, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        await self._consumer.start()

    async def stop(self) -> None:
        """Leave."""
        await self._consumer.stop()

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """The partitions that may be asked for and committed from now on; nothing of them is fetched."""
        chosen = sorted(partitions)
        self._consumer.assign(chosen)
        self._consumer.pause(*chosen)

    async def committed(self, partition: TopicPartition) -> int | None:
        """The offset to read from, or None where nothing was ever committed."""
        async with _answer(f"position of {partition}"):
            return cast("int | None", await self._consumer.committed(partition))

    async def beginnings(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Offsets of the oldest messages that are still there."""
        async with _answer("oldest messages"):
            return cast("Mapping[TopicPartition, int]", await self._consumer.beginning_offsets(list(partitions)))

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Note from where a successor has to read."""
        if offsets:
            async with _answer("commit of positions"):  # aiokafka would try for ever
                await self._consumer.commit(dict(offsets))


@asynccontextmanager
async def _answer(what: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(PATIENCE_MS / 1000):
            yield
    except TimeoutError:
        raise BrokerUnavailable(f"{what}: no answer in {PATIENCE_MS // 1000} s") from None


class StateLog:
    """The log of checkpoints of one activity partition, as its owner.

    The owner knows every offset that it wrote. A hole in them means that somebody else wrote; if it was a claim, the
    owner is no owner any more.
    """

    def __init__(self, access: Access, producer: Producer, positions: Positions, *, partition: int) -> None:
        self._access, self._producer, self._positions = access, producer, positions
        self._at = TopicPartition(wire.STATE, partition)
        self._epoch = -1
        self._next = 0
        self._number = 0
        self._bytes_since_full = 0
        self._whole: Checkpoint | None = None

    async def claim(self, worker: str) -> Checkpoint | None:
        """Take the partition, and return the last checkpoint that counts. A former owner's later writes do not."""
        claimed = await self._producer.post(wire.STATE, self._at.partition, worker.encode(), CLAIM)
        self._epoch = (await claimed).offset
        self._next, self._number, self._whole = self._epoch + 1, 0, None
        start = await self._positions.committed(self._at) or 0
        oldest = (await self._positions.beginnings([self._at]))[self._at]
        fold = Fold()
        async for record in _records(self._access, self._at, max(start, oldest), self._epoch + 1):
            fold.record(record.offset, record.key, record.value or b"")
        self._whole = fold.checkpoint
        return fold.checkpoint

    def forget(self) -> None:
        """Begin anew: the next checkpoint rests on nothing that was read."""
        self._whole = None

    async def write(self, delta: Checkpoint) -> None:
        """Add a checkpoint. Raises Superseded; then it does not count, and no later one will."""
        self._whole = self._whole.then(delta) if self._whole is not None else delta
        full = self._number == 0 or self._bytes_since_full > _size(self._whole)
        kind, checkpoint = (FULL, self._whole) if full else (DELTA, delta)
        sent = [
            await self._producer.post(wire.STATE, self._at.partition, piece, kind)
            for piece in pieces(checkpoint, epoch=self._epoch, number=self._number)
        ]
        offsets = [metadata.offset for metadata in await asyncio.gather(*sent)]
        await self._own(offsets)
        self._number += 1
        self._bytes_since_full = 0 if full else self._bytes_since_full + _size(delta)
        if full:
            await self._positions.commit({self._at: offsets[0]})

    async def _own(self, offsets: list[int]) -> None:
        if offsets != list(range(self._next, self._next + len(offsets))):
            async with aclosing(_records(self._access, self._at, self._next, offsets[-1] + 1)) as records:
                claims = [record.value async for record in records if record.key == CLAIM]
            if claims:
                raise Superseded(f"{self._at.topic}/{self._at.partition} was claimed by {claims[-1]!r}")
        self._next = offsets[-1] + 1


class LessonLog:
    """Where it is kept what was learned of source partitions: a topic, and the place of each partition's last record.

    That place is what `places` holds for the source partition, as an offset of cordon.lessons.
    """

    def __init__(self, access: Access, producer: Producer, places: Positions) -> None:
        self._access, self._producer, self._places = access, producer, places
        self._at = TopicPartition(wire.LESSONS, 0)

    async def start(self) -> None:
        """Connect."""
        await self._places.start()

    async def stop(self) -> None:
        """Leave."""
        await self._places.stop()

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """The source partitions that may be asked for and written from now on."""
        self._places.assign([*partitions, self._at])

    async def last(self, one: TopicPartition, position: int) -> tuple[int, Lesson] | None:
        """What was learned of a partition before the message at `position`, all in one piece, and where it stands.

        Raises BadInput where it is no longer there, or cannot be read.
        """
        place = await self._places.committed(one)
        oldest = (await self._places.beginnings([self._at]))[self._at]
        while place is not None and place != NOWHERE:
            lesson = await self._read(place, oldest)
            if lesson.offset <= position:
                earlier = [(await self._read(at, oldest)).piece for at in lesson.earlier]
                return place, msgspec.structs.replace(lesson, earlier=[], piece=b"".join([*earlier, lesson.piece]))
            place = lesson.before
        return None

    async def write(self, one: TopicPartition, snapshot: Snapshot) -> int:
        """Keep what was learned, and return where."""
        cuts = range(0, max(1, len(snapshot.memory)), PIECE)
        whole = [snapshot.memory[at : at + PIECE] for at in cuts]
        origin = f"{one.topic}/{one.partition}"
        of = (origin, snapshot.offset, snapshot.at_ns)
        earlier = [await self._write(Lesson(*of, NOWHERE, [], piece)) for piece in whole[:-1]]
        place = await self._write(Lesson(*of, snapshot.before, earlier, whole[-1]))
        await self._places.commit({one: place})
        return place

    async def _write(self, lesson: Lesson) -> int:
        sent = await self._producer.post(wire.LESSONS, 0, lesson.encode(), lesson.origin.encode())
        return int((await sent).offset)

    async def _read(self, place: int, oldest: int) -> Lesson:
        if place < oldest:
            raise BadInput(f"{wire.LESSONS}@{place} is no longer there")
        async with aclosing(_records(self._access, self._at, place, place + 1)) as records:
            return lesson_from((await anext(records)).value or b"")


async def _records(access: Access, at: TopicPartition, start: int, end: int) -> AsyncGenerator[ConsumerRecord, None]:
    """Every record from `start` up to, not with, `end`: all of them are known to be there."""
    consumer = AIOKafkaConsumer(
        **access.client(),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=access.settings.tempo.fetch_wait_ms,
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    await consumer.start()
    try:
        consumer.assign([at])
        consumer.seek(at, start)
        wanted, patience = start, READS
        while wanted < end:
            records = (await consumer.getmany(at, timeout_ms=1000)).get(at, ())
            for record in records:
                if record.offset == wanted < end:
                    yield record
                    wanted, patience = wanted + 1, READS
            if wanted < end and (not records or records[-1].offset >= wanted):
                # A fetch that overlaps another producer's write may leave records out, or come back empty.
                patience -= 1
                if not patience:
                    raise BrokerUnavailable(f"{at.topic}/{at.partition}@{wanted} cannot be read")
                consumer.seek(at, wanted)
    finally:
        await consumer.stop()


def _size(checkpoint: Checkpoint) -> int:
    return len(checkpoint.meta) + len(checkpoint.tally) + sum(map(len, checkpoint.buckets.values()))
