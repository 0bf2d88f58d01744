"""What a worker writes: in order, with its offset once it is safe, and refused aloud where it is not."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from controller.domain import wire
from controller.domain.errors import BrokerUnavailable
from deploy.broker import EmbeddedBroker
from streams.broker import Access, BrokerSettings
from streams.producing import ROOM, Producer


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(tmp_path_factory.mktemp("broker")) as running:
        running.topics([wire.TopicPlan("written", 2, 86_400_000)])
        yield running


def nowhere() -> Access:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return Access(BrokerSettings(f"127.0.0.1:{one.getsockname()[1]}"))


def test_more_than_there_is_room_for_is_written_in_order(broker: EmbeddedBroker) -> None:
    count = 2 * ROOM // 900_000

    async def run() -> None:
        producer = Producer(broker.access)
        await producer.start()
        sent = [await producer.post("written", 0, bytes(900_000), None) for _ in range(count)]
        assert [one.offset for one in await asyncio.gather(*sent)] == list(range(count))
        await producer.stop()

    asyncio.run(run())


def test_what_is_on_its_way_when_a_worker_leaves_arrives(broker: EmbeddedBroker) -> None:
    async def run() -> None:
        producer = Producer(broker.access)
        await producer.start()
        sent = [await producer.post("written", 1, b"last", b"key") for _ in range(3)]
        await producer.stop()
        assert [one.result().offset for one in sent] == [0, 1, 2]

    asyncio.run(run())


def test_whoever_no_longer_waits_is_left_alone(broker: EmbeddedBroker) -> None:
    async def run() -> None:
        producer = Producer(broker.access)
        await producer.start()
        (await producer.post("written", 1, b"forgotten", None)).cancel()
        assert (await (await producer.post("written", 1, b"wanted", None))).offset > 0
        await producer.stop()

    asyncio.run(run())


def test_a_message_that_no_broker_would_take_is_refused_at_once() -> None:
    async def run() -> None:
        producer = Producer(nowhere(), patience_ms=100)
        await producer.start()
        with pytest.raises(BrokerUnavailable, match="written/0"):
            await producer.post("written", 0, bytes(2_000_000), None)
        await producer.stop()

    asyncio.run(run())


def test_where_nobody_answers_the_message_fails_in_the_end() -> None:
    async def run() -> None:
        producer = Producer(nowhere(), patience_ms=100)
        await producer.start()
        sent = await producer.post("written", 0, b"unheard", None)
        with pytest.raises(BrokerUnavailable, match="written/0"):
            await sent
        await producer.stop()

    asyncio.run(run())
