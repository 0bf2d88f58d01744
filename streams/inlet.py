"""The worker's way out of Kafka: librdkafka, which reads a frame to where it stays, and sums it up by the processor.

aiokafka copies what it fetches six times, and sums it up in plain C
(`docs/decisions/0020-a-worker-reads-and-writes-through-librdkafka.md`).
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

from aiokafka import ConsumerRecord, TopicPartition
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as Place

from controller.domain.errors import BrokerUnavailable
from streams.broker import Access

log = logging.getLogger("cordon.streams")

Record: TypeAlias = ConsumerRecord[bytes | None, bytes | None]

FETCH = 2 * 1024 * 1024
"""Octets fetched at once of a partition; a single larger message is still delivered."""

AHEAD_KIB = 8 * 1024
"""What is fetched before it is asked for: a tenth of a second of what a worker can do."""

FULL_MS = 10
"""How long fetching rests when so much waits; librdkafka would rest for a second."""

AT_ONCE = 1000
"""Messages handed over together."""

LOOK_S = 0.2
"""How long to wait at once, and so for the end of it."""

REFUSED = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED)


class Inlet:
    """Messages of chosen partitions, each from an offset on, and from another one when that is wanted."""

    def __init__(self, access: Access, *, group: str) -> None:
        """Raises BrokerUnavailable when settings cannot be used. The group is never joined: librdkafka wants a name."""
        self._read: set[TopicPartition] = set()
        self._closed = False
        self.faults: Counter[str] = Counter()  # what the broker said that librdkafka gets over by itself, and how often
        try:
            self._consumer = Consumer(
                {
                    **access.librdkafka(),
                    "group.id": group,
                    "enable.auto.commit": False,
                    "enable.auto.offset.store": False,
                    "auto.offset.reset": "earliest",
                    "check.crcs": True,
                    "fetch.message.max.bytes": FETCH,
                    "fetch.wait.max.ms": access.settings.tempo.fetch_wait_ms,
                    "fetch.queue.backoff.ms": FULL_MS,
                    "queued.max.messages.kbytes": AHEAD_KIB,
                    "error_cb": self._heard,
                },
                logger=log,
            )
        except KafkaException as error:
            raise BrokerUnavailable(f"{access.settings.bootstrap}: {error}") from error
        self._waiting = ThreadPoolExecutor(1, "inlet")

    def read(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read these partitions and no others, each from its offset on."""
        self._consumer.assign([Place(at.topic, at.partition, offset) for at, offset in offsets.items()])
        self._read = set(offsets)

    def seek(self, at: TopicPartition, offset: int) -> None:
        """Read on from elsewhere in a partition that is being read; no other is touched."""
        if at in self._read:  # librdkafka's own seek fails while it has not yet begun to fetch
            self._consumer.incremental_unassign([Place(at.topic, at.partition)])
            self._consumer.incremental_assign([Place(at.topic, at.partition, offset)])

    def highwater(self, at: TopicPartition) -> int | None:
        """The offset behind the last message, as last heard."""
        if at not in self._read:
            return None
        known = self._consumer.get_watermark_offsets(Place(at.topic, at.partition), cached=True)
        return None if known is None or known[1] == OFFSET_INVALID else int(known[1])

    async def take(self, wait_s: float) -> Mapping[TopicPartition, Sequence[Record]]:
        """What has come, by partition in order; waits for the first of it. Raises what does not get better."""
        return await asyncio.get_running_loop().run_in_executor(self._waiting, self._take, wait_s)

    def close(self) -> None:
        """Disconnect."""
        self._closed = True
        self._waiting.shutdown(wait=True)
        self._consumer.close()

    def _take(self, wait_s: float) -> Mapping[TopicPartition, Sequence[Record]]:
        taken: dict[TopicPartition, list[Record]] = {}
        while wait_s > 0 and not taken and not self._closed:
            first = self._consumer.poll(LOOK_S)
            wait_s -= LOOK_S
            if first is None:
                continue
            for message in (first, *self._consumer.consume(AT_ONCE, 0)):
                if (error := message.error()) is not None:
                    self._wrong(message, error)
                else:
                    record = _record(message)
                    taken.setdefault(TopicPartition(record.topic, record.partition), []).append(record)
        return taken

    def _wrong(self, message: Message, error: KafkaError) -> None:
        if error.fatal() or error.code() in REFUSED:
            raise BrokerUnavailable(f"{message.topic()}: {error.str()}")
        log.warning("%s/%s: %s", message.topic(), message.partition(), error.str())
        self.faults[f"{message.topic()}/{message.partition()}: {error.name()}"] += 1

    def _heard(self, error: KafkaError) -> None:
        self.faults[f"reading: {error.name()}"] += 1


def _record(message: Message) -> Record:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None  # noqa: S101 - what is no error has a place
    assert partition is not None  # noqa: S101
    assert offset is not None  # noqa: S101
    key, value = message.key(), message.value()
    _, at_ms = message.timestamp()
    return ConsumerRecord(
        topic, partition, offset, timestamp=at_ms, timestamp_type=0, key=key, value=value, checksum=None,
        serialized_key_size=len(key or b""), serialized_value_size=len(value or b""), headers=(),
    )  # fmt: skip
