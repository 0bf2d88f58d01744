"""The worker's way into Kafka: librdkafka, which copies a message once and sums it up by the processor.

Its own thread hears what became of messages and tells the loop, however many there are, once.
"""

import asyncio
import logging
import threading
from dataclasses import dataclass

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, Message

from controller.domain.errors import BrokerUnavailable
from streams.broker import BESIDE, TOGETHER, Access

log = logging.getLogger("cordon.streams")

PATIENCE_MS = 20_000
"""Time for the broker to answer, elections of leaders included; then the worker gives up and is restarted."""

ROOM = 16 * 1024 * 1024
"""Octets on their way at most; a checkpoint of a large estate is more, and waits."""

HEAR_S = 0.2
"""How long to listen at once, and so to wait for the end of it."""


@dataclass(frozen=True, slots=True)
class Written:
    """A message that all replicas have."""

    offset: int


@dataclass(frozen=True, slots=True)
class _Told:
    future: "asyncio.Future[Written]"
    size: int
    offset: int | None
    error: str


class Producer:
    """The one producer of a worker: ordered per partition, acknowledged by all replicas, written once."""

    def __init__(self, access: Access, *, patience_ms: int = PATIENCE_MS) -> None:
        self._access, self._patience_ms = access, patience_ms
        self._on_the_way = 0
        self._told: list[_Told] = []
        self._ended = threading.Event()

    async def start(self) -> None:
        """Begin to connect. Raises BrokerUnavailable when the settings cannot be used."""
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Event()
        try:
            self._producer = confluent_kafka.Producer(
                {
                    **self._access.librdkafka(),
                    "enable.idempotence": True,
                    "acks": "all",
                    "linger.ms": 0,
                    "batch.size": TOGETHER,
                    "message.max.bytes": 1_048_576,
                    "message.timeout.ms": self._patience_ms,
                },
                logger=log,
            )
        except KafkaException as error:
            raise BrokerUnavailable(f"{self._access.settings.bootstrap}: {error}") from error
        self._hearing = threading.Thread(target=self._hear, name="producer", daemon=True)
        self._hearing.start()

    async def stop(self) -> None:
        """Send what is left and leave."""
        self._ended.set()
        await asyncio.to_thread(self._hearing.join)
        await asyncio.to_thread(self._producer.flush, self._patience_ms / 1000)
        self._settle(self._told)

    async def post(self, topic: str, partition: int, value: bytes, key: bytes | None) -> "asyncio.Future[Written]":
        """Put a message on its way, when there is room; the future holds its offset once it is safe."""
        while self._on_the_way > ROOM:
            self._room.clear()
            await self._room.wait()
        future: asyncio.Future[Written] = self._loop.create_future()
        size = len(value) + BESIDE

        def told(error: KafkaError | None, message: Message) -> None:
            why = "" if error is None else f"{topic}/{partition}: {error.str()}"
            self._told.append(_Told(future, size, message.offset(), why))

        try:
            self._producer.produce(topic, value, key=key, partition=partition, on_delivery=told)
        except (BufferError, KafkaException) as error:
            raise BrokerUnavailable(f"{topic}/{partition}: {error}") from error
        self._on_the_way += size
        return future

    def _hear(self) -> None:
        while not self._ended.is_set():
            self._producer.poll(HEAR_S)
            if self._told:
                told, self._told = self._told, []
                try:
                    self._loop.call_soon_threadsafe(self._settle, told)
                except RuntimeError:  # the loop is closed: nobody wants to know
                    return

    def _settle(self, told: list[_Told]) -> None:
        for one in told:
            self._on_the_way -= one.size
            if one.future.done():  # who waited for it was cancelled
                continue
            if one.error:
                one.future.set_exception(BrokerUnavailable(one.error))
            elif one.offset is None or one.offset < 0:
                one.future.set_exception(BrokerUnavailable("a message was written, and the broker does not say where"))
            else:
                one.future.set_result(Written(one.offset))
        self._room.set()
