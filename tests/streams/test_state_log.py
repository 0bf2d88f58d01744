"""The log of checkpoints on a real broker: claimed, written, taken over, and never written by two."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
from aiokafka import TopicPartition

from controller.domain import wire
from deploy.broker import EmbeddedBroker
from streams.checkpoint import Checkpoint
from streams.state import Positions, Producer, StateLog, Superseded


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(tmp_path_factory.mktemp("broker")) as running:
        running.topics([wire.TopicPlan(wire.STATE, 8, 86_400_000)])
        yield running


class Desk:
    """Connections of one worker."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        self.access = broker.access
        self.producer, self.positions = Producer(broker.access), Positions(broker.access, "test-positions")

    def log(self, partition: int) -> StateLog:
        return StateLog(self.access, self.producer, self.positions, partition=partition)


def at_the_desk(broker: EmbeddedBroker, act: Callable[[Desk], Awaitable[None]]) -> None:
    async def run() -> None:
        desk = Desk(broker)
        await desk.producer.start()
        await desk.positions.start()
        desk.positions.assign(TopicPartition(wire.STATE, partition) for partition in range(8))
        try:
            await act(desk)
        finally:
            await desk.positions.stop()
            await desk.producer.stop()

    asyncio.run(run())


def saved(offset: int, buckets: dict[int, bytes]) -> Checkpoint:
    return Checkpoint(offset, {"t/0": offset}, b"tally", b"meta", buckets)


def test_the_next_owner_reads_what_the_last_one_saved(broker: EmbeddedBroker) -> None:
    async def act(desk: Desk) -> None:
        first = desk.log(0)
        assert await first.claim("first") is None
        await first.write(saved(3, {1: b"a", 2: b"b"}))
        await first.write(saved(4, {2: b"c"}))
        assert await desk.log(0).claim("second") == saved(4, {1: b"a", 2: b"c"})
        assert await desk.log(0).claim("third") == saved(4, {1: b"a", 2: b"c"})

    at_the_desk(broker, act)


def test_who_was_superseded_is_told_at_the_next_checkpoint_which_does_not_count(broker: EmbeddedBroker) -> None:
    async def act(desk: Desk) -> None:
        old, new = desk.log(1), desk.log(1)
        await old.claim("old")
        await old.write(saved(3, {1: b"a"}))
        await new.claim("new")
        with pytest.raises(Superseded, match="b'new'"):
            await old.write(saved(9, {1: b"late"}))
        await new.write(saved(5, {1: b"mine"}))
        assert await desk.log(1).claim("next") == saved(5, {1: b"mine"})

    at_the_desk(broker, act)


def test_a_late_writers_record_in_between_does_not_unseat_the_owner(broker: EmbeddedBroker) -> None:
    async def act(desk: Desk) -> None:
        old, new = desk.log(2), desk.log(2)
        await old.claim("old")
        await new.claim("new")
        with pytest.raises(Superseded):
            await old.write(saved(9, {1: b"late"}))
        await new.write(saved(5, {1: b"mine"}))
        await new.write(saved(6, {2: b"more"}))
        assert await desk.log(2).claim("next") == saved(6, {1: b"mine", 2: b"more"})

    at_the_desk(broker, act)


def test_a_state_of_several_megabytes_goes_in_messages_that_a_cluster_accepts(broker: EmbeddedBroker) -> None:
    async def act(desk: Desk) -> None:
        log = desk.log(3)
        await log.claim("big")
        whole = saved(1, {bucket: bytes([bucket % 251]) * 1500 for bucket in range(2048)})
        await log.write(whole)
        assert await desk.log(3).claim("next") == whole

    at_the_desk(broker, act)


def test_reading_back_stays_short_however_long_the_log_grows(broker: EmbeddedBroker) -> None:
    async def act(desk: Desk) -> None:
        log = desk.log(4)
        await log.claim("steady")
        for number in range(100):
            await log.write(saved(number, {number % 10: b"%d" % number * 20}))
        start = await desk.positions.committed(TopicPartition(wire.STATE, 4))
        assert start is not None
        assert start > 50
        found = await desk.log(4).claim("next")
        assert found is not None
        assert found.offset == 99
        assert found.buckets == {n % 10: b"%d" % n * 20 for n in range(90, 100)}

    at_the_desk(broker, act)


def test_beginning_anew_leaves_nothing_of_the_old_state(broker: EmbeddedBroker) -> None:
    async def act(desk: Desk) -> None:
        log = desk.log(5)
        await log.claim("first")
        await log.write(saved(3, {1: b"unreadable"}))
        again = desk.log(5)
        assert await again.claim("second") is not None
        again.forget()
        await again.write(saved(4, {2: b"new"}))
        assert await desk.log(5).claim("third") == saved(4, {2: b"new"})

    at_the_desk(broker, act)
