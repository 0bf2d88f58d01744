"""The relay sends in order, gathers under load, and calls nothing arrived that is not."""

import asyncio
from typing import Any

import pytest

from controller.domain import wire
from streams.agents import Combination
from streams.envelope import Kind, Part, unpack
from streams.relay import WAITING, Relay


class Broker:
    """Keeps what is posted; acknowledges when told to."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, int, bytes]] = []
        self.waiting: list[asyncio.Future[Any]] = []

    async def post(self, topic: str, partition: int, value: bytes, key: bytes | None) -> "asyncio.Future[Any]":
        self.posted.append((topic, partition, value))
        self.waiting.append(asyncio.get_running_loop().create_future())
        return self.waiting[-1]

    def acknowledge(self) -> None:
        for future in self.waiting:
            if not future.done():
                future.set_result(None)

    def offsets(self, partition: int) -> list[int]:
        activity = [value for topic, at, value in self.posted if topic == wire.ACTIVITY and at == partition]
        return [part.offset for value in activity for part in unpack(value)]


def combination(offset: int, *, body: bytes = b"x") -> Combination:
    return Combination(tuple((Part(Kind.FRAME, "t/0", offset, b"", body),) for _ in range(2)))


async def until(what: Any) -> None:
    async with asyncio.timeout(5):
        while not what():
            await asyncio.sleep(0)


async def test_parts_arrive_in_order_on_every_partition_in_few_messages() -> None:
    broker = Broker()
    relay = Relay(broker.post, partitions=2)
    sending = asyncio.create_task(relay.run())
    for offset in range(100):
        relay.put("t/0", offset, combination(offset))
    await until(lambda: len(broker.offsets(1)) == 100)
    sending.cancel()
    assert broker.offsets(0) == broker.offsets(1) == list(range(100))
    assert len(broker.posted) == 2


async def test_nothing_has_arrived_before_it_is_acknowledged() -> None:
    broker = Broker()
    relay = Relay(broker.post, partitions=2)
    sending = asyncio.create_task(relay.run())
    relay.put("t/0", 4, combination(4))
    await until(lambda: broker.posted)
    assert relay.arrived() == {}
    broker.waiting[0].set_result(None)
    await asyncio.sleep(0)
    assert relay.arrived() == {}
    broker.acknowledge()
    await until(relay.arrived)
    assert relay.arrived() == {"t/0": 5}
    sending.cancel()


async def test_dead_letters_have_to_arrive_as_well() -> None:
    broker = Broker()
    relay = Relay(broker.post, partitions=2)
    sending = asyncio.create_task(relay.run())
    letter = wire.dead_letter(b"?", source="t/0@4", reason="bad", at_ns=1)
    relay.put("t/0", 4, Combination(combination(4).parts, (letter,)))
    await until(lambda: len(broker.posted) == 3)
    for future in broker.waiting[:2]:
        future.set_result(None)
    await asyncio.sleep(0)
    assert relay.arrived() == {}
    broker.acknowledge()
    await until(relay.arrived)
    sending.cancel()


async def test_while_a_stretch_goes_on_its_letters_are_sent_and_nothing_of_it_has_arrived() -> None:
    broker = Broker()
    relay = Relay(broker.post, partitions=2)
    sending = asyncio.create_task(relay.run())
    relay.put("t/0", 4, combination(4))
    await until(lambda: broker.posted)
    relay.put("t/0", 5, Combination())
    relay.put("t/0", 6, Combination((), (wire.dead_letter(b"?", source="t/0@6", reason="bad", at_ns=1),)))
    await until(lambda: len(broker.posted) == 3)
    broker.acknowledge()
    await until(relay.arrived)
    assert relay.arrived() == {"t/0": 5}
    sending.cancel()


async def test_what_the_broker_refuses_is_raised_and_never_passed_over() -> None:
    broker = Broker()
    relay = Relay(broker.post, partitions=2)
    sending = asyncio.create_task(relay.run())
    relay.put("t/0", 4, combination(4))
    await until(lambda: len(broker.posted) == 2)
    broker.waiting[1].set_exception(ConnectionError("gone"))
    broker.waiting[0].set_result(None)
    with pytest.raises(ConnectionError):
        await until(relay.arrived)
    sending.cancel()


async def test_who_puts_faster_than_the_broker_takes_has_to_wait() -> None:
    broker = Broker()
    relay = Relay(broker.post, partitions=2)
    relay.put("t/0", 0, combination(0, body=b"x" * WAITING))
    waiting = asyncio.create_task(relay.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    sending = asyncio.create_task(relay.run())
    await until(waiting.done)
    sending.cancel()


async def test_a_batch_goes_out_when_the_marks_of_all_origins_stand_in_it() -> None:
    broker = Broker()
    relay = Relay(broker.post, partitions=1, origins=("t/0", "t/1"), gather_s=3_600.0)
    sending = asyncio.create_task(relay.run())
    for offset in range(40):
        broker.acknowledge()
        relay.put("t/0", offset, Combination(((Part(Kind.MARK, "t/0", offset, b"", b"1"),),)))
        relay.put("t/1", offset, Combination(((Part(Kind.MARK, "t/1", offset, b"", b"1"),),)))
        await until(lambda: len(broker.offsets(0)) == 2 * (offset + 1))  # noqa: B023 - awaited before the next turn
    sending.cancel()
    assert len(broker.posted) == 40
