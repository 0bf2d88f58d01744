"""How a worker belongs to its group: aiokafka's consumer keeps the membership, in Faust's thread, and fetches nothing.

What it is dealt is fetched by an inlet, and handed to Faust where Faust asks aiokafka.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from faust.auth import SASLCredentials, SSLCredentials
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP

from streams.broker import Access
from streams.inlet import Inlet

ALIVE_S = 10.0
"""How often aiokafka is told that messages are asked for: it leaves the group where nobody did for very long."""


class _Thread(AIOKafkaConsumerThread):
    """The thread in which aiokafka lives. Where Faust wants messages and places in them, the inlet answers."""

    _inlet: Inlet | None = None
    _told_s = 0.0

    @property
    def inlet(self) -> Inlet:
        """Where messages come from, once the thread has begun."""
        if self._inlet is None:
            self._inlet = Inlet(cast("_Link", self.transport).access, group=self.app.conf.id)
        return self._inlet

    def _create_worker_consumer(self, transport: Transport) -> AIOKafkaConsumer:
        access, conf = cast("_Link", transport).access, self.app.conf
        tempo = access.settings.tempo
        self._assignor = RoundRobinPartitionAssignor
        return AIOKafkaConsumer(
            **access.client(),
            client_id=conf.broker_client_id,
            group_id=conf.id,
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=int(tempo.session_s * 1000),
            rebalance_timeout_ms=int(tempo.rebalance_s * 1000),
            heartbeat_interval_ms=int(tempo.heartbeat_s * 1000),
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
        )

    async def on_thread_stop(self) -> None:
        await super().on_thread_stop()
        if self._inlet is not None:
            await asyncio.to_thread(self._inlet.close)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        self._ensure_consumer().pause(*(TopicPartition(*one) for one in assigned))
        await super().on_partitions_assigned(assigned, generation_id)

    async def getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        now_s = asyncio.get_running_loop().time()
        if now_s > self._told_s + ALIVE_S:
            self._told_s = now_s
            await self.call_thread(self._ask)
        return await self.inlet.take(timeout)

    async def _ask(self) -> None:
        if self.consumer.flow_active:  # else aiokafka would wait for an assignment that waits for this
            await self._ensure_consumer().getmany(timeout_ms=0)

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        self.inlet.read({TopicPartition(*one): offset for one, offset in partitions.items()})

    def seek(self, partition: TP, offset: int) -> None:
        self.inlet.seek(TopicPartition(*partition), offset)

    def highwater(self, tp: TP) -> Any:
        return self.inlet.highwater(TopicPartition(*tp))

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Nothing: Faust looks here for fetches of aiokafka's; a shift looks itself for partitions that stall."""


class _Unread(dict[TP, int | None]):
    """Where Faust would note how far it read a partition, and drops what comes from before it without a word.

    It notes a message when it has been handed over, which may be after somebody asked to read from before it: all that
    was asked for again would be dropped. A shift counts for itself what it takes (`streams.shift.Course`).
    """

    def __missing__(self, _: TP) -> None:
        return None

    def __setitem__(self, _: TP, __: int | None) -> None:
        """Keep nothing."""

    def update(self, *_: Any, **__: Any) -> None:
        """Keep nothing."""


class _Consumer(Consumer):
    """Lives in the thread above, and hands over whatever is read."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = _Unread()

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    @property
    def faults(self) -> Mapping[str, int]:
        """What the broker said that reading got over, and how often."""
        return cast("_Thread", self._thread).inlet.faults


class _Link(Transport):
    """Faust's transport with the consumer above."""

    Consumer = _Consumer
    access: Access


def transport(app: faust.App, access: Access) -> Transport:
    """What an app takes for its transport, so that the broker's settings and tempo are kept and librdkafka fetches."""
    link = _Link(app.conf.broker_consumer, app)
    link.access = access
    return link


def faults(app: faust.App) -> list[str]:
    """What was wrong with reading so far and did not end it, as an operator should hear it."""
    return [f"{what} ({times} times)" for what, times in cast("_Consumer", app.consumer).faults.items()]


def credentials(access: Access) -> SASLCredentials | SSLCredentials | None:
    """The same access in Faust's terms; its admin calls need it, though its consumer does not."""
    settings = access.settings
    if settings.authenticated:
        return SASLCredentials(
            username=settings.username,
            password=access.password,
            ssl_context=settings.context(),
            mechanism=settings.mechanism.value,
        )
    context = settings.context()
    return SSLCredentials(context) if context is not None else None
