"""The listener's way to Kafka: librdkafka, which copies a frame once and sums it up in C.

Of the three clients it takes the least: a nanosecond an octet where kafka-python and aiokafka take more than three
(`docs/decisions/0011-the-listener-writes-through-librdkafka.md`).
"""

import ctypes
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import cast

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from controller.domain.errors import BrokerUnavailable
from streams.broker import Access
from streams.listen.bundles import FRAME, Octets

log = logging.getLogger("cordon.streams")

ROOM = 32 * 1024 * 1024
"""Octets on their way at most; what then finds no room is lost and counted."""

TOGETHER = 950_000
"""Octets of messages that librdkafka may join: less than a topic's max.message.bytes."""


def _nothing() -> None:
    """What there is to do about a lost mark: the next one says more."""


def keep_freed_memory() -> None:
    """Let this process keep what it frees, for frames to come: to ask the kernel anew for each costs a fault a page.

    M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of mallopt(3); another C library than glibc may know neither, which is well.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(-1, 2 * ROOM)
        libc.mallopt(-3, ROOM)


class Outlet:
    """Writes messages to given partitions, in order, each acknowledged by all replicas and written once.

    Nothing here waits but `open`, `flush` and `close`. Not for more than one thread.
    """

    def __init__(self, access: Access, *, room: int = ROOM, patience_s: float = 120.0) -> None:
        """Raises BrokerUnavailable when the settings cannot be used."""
        self._room = room
        self._lost: Counter[str] = Counter()
        self.why_lost = ""
        try:
            self._producer = Producer(
                {
                    **access.librdkafka(),
                    "enable.idempotence": True,
                    "acks": "all",
                    "linger.ms": 0,
                    "batch.size": TOGETHER,
                    "message.max.bytes": 1_048_576,
                    "queue.buffering.max.kbytes": room // 1024,
                    "delivery.report.only.error": True,  # the others cost a copy of the message each
                    "message.timeout.ms": int(patience_s * 1000),
                },
                logger=log,
            )
        except KafkaException as error:
            raise BrokerUnavailable(f"{access.settings.bootstrap}: {error}") from error

    def send(
        self,
        topic: str,
        value: Octets,
        *,
        partition: int = 0,
        key: bytes | None = None,
        lost: Callable[[], None] = _nothing,
    ) -> bool:
        """Put a message on its way; False when there is no room for it. `lost` is called by `settle` if it fails."""

        def told(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                self._lose(topic, error.str())
                lost()

        try:
            octets = cast("bytes", value)  # of an array, too, librdkafka copies what lies there
            self._producer.produce(topic, octets, key=key, partition=partition, on_delivery=told)
        except BufferError:
            return self._lose(topic, "the broker takes messages more slowly than they come")
        except KafkaException as error:
            return self._lose(topic, str(error))
        return True

    def _lose(self, topic: str, why: str) -> bool:
        self._lost[topic] += 1
        self.why_lost = why
        return False

    @property
    def room(self) -> int:
        """Octets that can be sent now, at least."""
        return self._room - len(self._producer) * FRAME

    @property
    def lost(self) -> Mapping[str, int]:
        """Messages lost, by topic; `why_lost` holds the last reason."""
        return self._lost

    def settle(self) -> None:
        """Hear what became of messages."""
        self._producer.poll(0)

    def flush(self, deadline_s: float = 30.0) -> bool:
        """Wait until everything sent so far is acknowledged or lost; False when the time did not suffice."""
        return self._producer.flush(deadline_s) == 0
