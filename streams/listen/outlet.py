"""The listener's way to Kafka: librdkafka, which copies a frame once and sums it up in C.

Of the three clients it takes the least: a nanosecond an octet where kafka-python and aiokafka take more than three
(`docs/decisions/0011-the-listener-writes-through-librdkafka.md`).
"""

import ctypes
import logging
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from controller.domain.errors import BrokerUnavailable
from streams.broker import BESIDE, TOGETHER, Access
from streams.listen.bundles import FRAME, Octets

log = logging.getLogger("cordon.streams")

ROOM = 32 * 1024 * 1024
"""Octets on their way at most; what then finds no room is lost and counted."""

AT_ONCE = 5
"""Messages that a broker has from one idempotent producer at a time. While librdkafka holds more it asks without rest
whether the next may go: that takes half a core from the broker beside it, just when it does not keep up.
"""

HOLD_S = 0.5
"""How long a message is kept from it for that: whoever waits for a broker that is gone must not make others wait."""

TOO_SLOW = "the broker takes messages more slowly than they come"


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


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A message that librdkafka does not have yet."""

    topic: str
    value: Octets
    partition: int
    key: bytes | None
    lost: Callable[[], None]
    until_s: float

    @property
    def size(self) -> int:
        """Octets that it takes."""
        return len(self.value) + BESIDE


class Outlet:
    """Writes messages to given partitions, in order, each acknowledged by all replicas and written once.

    Nothing here waits but `open`, `flush` and `close`. Not for more than one thread.
    """

    def __init__(self, access: Access, *, room: int = ROOM, patience_s: float = 120.0) -> None:
        """Raises BrokerUnavailable when the settings cannot be used."""
        self._room = room
        self._waiting: deque[_Waiting] = deque()
        self._given: deque[int] = deque()  # sizes of messages that librdkafka has, in order
        self._waits = self._has = 0  # octets of both
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
        one = _Waiting(topic, value, partition, key, lost, time.monotonic() + HOLD_S)
        if one.size > self.room:
            return self._lose(topic, TOO_SLOW)
        if not self._waiting and self._may(one.size):
            return self._give(one)
        self._waiting.append(one)
        self._waits += one.size
        return True

    def _hear_out(self) -> None:
        """Forget what is at the broker: of what librdkafka was given it has what came last."""
        while len(self._given) > len(self._producer):
            self._has -= self._given.popleft()

    def _may(self, octets: int) -> bool:
        """Whether librdkafka should get so many more. Small messages cost nobody much."""
        return len(self._given) < AT_ONCE or self._has + octets <= FRAME

    def _hand_over(self, *, now_s: float) -> None:
        """Give librdkafka what it should have by now."""
        self._hear_out()
        while self._waiting and (self._waiting[0].until_s <= now_s or self._may(self._waiting[0].size)):
            one = self._waiting.popleft()
            self._waits -= one.size
            if not self._give(one):
                one.lost()

    def _give(self, one: _Waiting) -> bool:
        def told(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                self._lose(one.topic, error.str())
                one.lost()

        try:
            octets = cast("bytes", one.value)  # of an array, too, librdkafka copies what lies there
            self._producer.produce(one.topic, octets, key=one.key, partition=one.partition, on_delivery=told)
        except BufferError:
            return self._lose(one.topic, TOO_SLOW)
        except KafkaException as error:
            return self._lose(one.topic, str(error))
        self._given.append(one.size)
        self._has += one.size
        return True

    def _lose(self, topic: str, why: str) -> bool:
        self._lost[topic] += 1
        self.why_lost = why
        return False

    @property
    def room(self) -> int:
        """Octets that can be sent now."""
        self._hear_out()
        return self._room - self._waits - self._has

    @property
    def lost(self) -> Mapping[str, int]:
        """Messages lost, by topic; `why_lost` holds the last reason."""
        return self._lost

    def settle(self) -> None:
        """Hear what became of messages, and give librdkafka more of them."""
        self._producer.poll(0)
        self._hand_over(now_s=time.monotonic())

    def flush(self, deadline_s: float = 30.0) -> bool:
        """Wait until everything sent so far is acknowledged or lost; False when the time did not suffice."""
        self._hand_over(now_s=math.inf)
        return self._producer.flush(deadline_s) == 0
