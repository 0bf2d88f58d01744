"""How Faust's consumer hands over what an inlet reads: all of it, and again what was asked for again."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import faust
from faust.types import TP

from deploy.ports import free_port
from streams.broker import Access, BrokerSettings
from streams.membership import transport

AT = TP("flows", 0)
DEADLINE_S = 10.0


def test_what_is_asked_for_again_while_a_message_is_handed_over_comes_again() -> None:
    """Faust notes a message when it was handed over: what was asked for meanwhile lies before it."""

    async def run() -> list[int]:
        where = f"127.0.0.1:{free_port()}"
        app = faust.App("test-membership", broker=f"kafka://{where}", store="memory://", web_enabled=False)
        app.finalize()
        app.transport = transport(app, Access(BrokerSettings(where)))
        stop, heard = asyncio.Event(), list[int]()

        async def hear(message: Any) -> None:
            heard.append(message.offset)
            if message.offset == 108:
                await consumer.seek(AT, 104)
            if message.offset == 105:
                stop.set()

        async def dealt(*_: Any) -> None:
            """Nothing is dealt here."""

        consumer = app.transport.create_consumer(hear, on_partitions_revoked=dealt, on_partitions_assigned=dealt)
        batches = iter([[108], [104, 105]])

        async def getmany(timeout: float) -> AsyncIterator[tuple[TP, Any]]:
            for offset in next(batches, []):
                yield AT, SimpleNamespace(topic="flows", offset=offset, key=None, value=b"")

        consumer.getmany = getmany
        async with asyncio.timeout(DEADLINE_S):
            await consumer._drain_messages(SimpleNamespace(_stopped=stop))
        consumer._thread.inlet.close()
        consumer._thread.thread_loop.close()
        return heard

    assert asyncio.run(run()) == [108, 104, 105]
