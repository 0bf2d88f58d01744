"""What a worker reads of a real broker: from where it is told, in order, and from elsewhere when that is wanted."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from controller.domain import wire
from controller.domain.errors import BrokerUnavailable
from deploy.broker import EmbeddedBroker
from deploy.ports import free_port
from streams.broker import Access, BrokerSettings, Security
from streams.inlet import Inlet
from streams.publish import Publisher

DEADLINE_S = 20.0
ONE, OTHER = TopicPartition("flows", 0), TopicPartition("flows", 1)
COUNT = 6


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(tmp_path_factory.mktemp("broker")) as running:
        running.topics([wire.TopicPlan("flows", 2, 86_400_000)])
        with Publisher(running.access, {"flows": 2}) as publisher:
            for at in (ONE, OTHER):
                for number in range(COUNT):
                    publisher.send("flows", b"%d/%d" % (at.partition, number), partition=at.partition, at_ns=10**18)
            assert publisher.flush()
        yield running


def with_an_inlet(broker: EmbeddedBroker, act: Callable[[Inlet], Awaitable[None]]) -> None:
    inlet = Inlet(broker.access, group="test-inlet")
    try:
        asyncio.run(_run(act, inlet))
    finally:
        inlet.close()


async def _run(act: Callable[[Inlet], Awaitable[None]], inlet: Inlet) -> None:
    async with asyncio.timeout(DEADLINE_S):
        await act(inlet)


async def taken(inlet: Inlet, counts: dict[TopicPartition, int]) -> dict[TopicPartition, list[int]]:
    """Offsets that came, until so many came of each partition."""
    found: dict[TopicPartition, list[int]] = {at: [] for at in counts}
    while any(len(found[at]) < count for at, count in counts.items()):
        for at, records in (await inlet.take(1.0)).items():
            found[at] += [record.offset for record in records]
    return found


def test_each_partition_is_read_from_its_own_offset(broker: EmbeddedBroker) -> None:
    async def act(inlet: Inlet) -> None:
        inlet.read({ONE: 2, OTHER: 5})
        assert await taken(inlet, {ONE: 4, OTHER: 1}) == {ONE: [2, 3, 4, 5], OTHER: [5]}
        assert (inlet.highwater(ONE), inlet.highwater(OTHER)) == (COUNT, COUNT)

    with_an_inlet(broker, act)


def test_a_message_comes_with_what_was_sent(broker: EmbeddedBroker) -> None:
    async def act(inlet: Inlet) -> None:
        inlet.read({ONE: 5})
        while not (records := (await inlet.take(1.0)).get(ONE)):
            pass
        (record,) = records
        assert (record.topic, record.partition, record.offset) == ("flows", 0, 5)
        assert (record.key, record.value, record.timestamp) == (None, b"0/5", 10**12)

    with_an_inlet(broker, act)


def test_reading_again_begins_at_the_new_offset_and_touches_no_other_partition(broker: EmbeddedBroker) -> None:
    async def act(inlet: Inlet) -> None:
        inlet.read({ONE: 0, OTHER: 3})
        await taken(inlet, {ONE: COUNT, OTHER: 3})
        inlet.seek(ONE, 4)
        assert await taken(inlet, {ONE: 2, OTHER: 0}) == {ONE: [4, 5], OTHER: []}

    with_an_inlet(broker, act)


def test_what_is_not_read_is_neither_sought_nor_known(broker: EmbeddedBroker) -> None:
    async def act(inlet: Inlet) -> None:
        inlet.read({ONE: 0})
        inlet.read({OTHER: 4})
        inlet.seek(ONE, 0)
        assert await taken(inlet, {OTHER: 2}) == {OTHER: [4, 5]}
        assert inlet.highwater(ONE) is None

    with_an_inlet(broker, act)


def test_a_broker_that_is_away_is_counted_and_waited_for() -> None:
    inlet = Inlet(Access(BrokerSettings(f"127.0.0.1:{free_port()}")), group="test-inlet")

    async def run() -> None:
        async with asyncio.timeout(DEADLINE_S):
            inlet.read({ONE: 0})
            while "reading: _ALL_BROKERS_DOWN" not in inlet.faults:
                assert await inlet.take(0.3) == {}

    try:
        asyncio.run(run())
    finally:
        inlet.close()


def test_nothing_comes_of_nothing_and_closing_ends_the_waiting(broker: EmbeddedBroker) -> None:
    inlet = Inlet(broker.access, group="test-inlet")

    async def run() -> None:
        assert await inlet.take(0.3) == {}
        waiting = asyncio.ensure_future(inlet.take(3600.0))
        await asyncio.sleep(0)
        await asyncio.to_thread(inlet.close)
        assert await waiting == {}

    begun = time.monotonic()
    asyncio.run(run())
    assert time.monotonic() < begun + DEADLINE_S


def test_settings_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    settings = BrokerSettings("a:1", security=Security.SSL, ca_file=str(tmp_path / "no-ca"))
    with pytest.raises(BrokerUnavailable, match="ca"):
        Inlet(Access(settings), group="test-inlet")
