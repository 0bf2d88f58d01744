"""Topics are created here, and adapters publish from here: frames, clock marks, log lines, dead letters.

The worker does not publish with this; it has its own producer, whose acknowledgements are tied to its positions.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from kafka import KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError, TopicAuthorizationFailedError

from controller.domain import wire
from controller.domain.errors import BrokerUnavailable
from streams.broker import Access, BrokerSettings

__all__ = ["Access", "BrokerSettings", "Publisher", "Topics", "create_topics"]

# https://kafka.apache.org/protocol#protocol_error_codes
EXISTS = 36  # TOPIC_ALREADY_EXISTS
BARRED = 29  # TOPIC_AUTHORIZATION_FAILED
BOOTSTRAP_MS = 10_000


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics as they are on the broker, and in what they differ from the plan. What exists is never changed.

    A topic that this client may neither see nor create is not among them.
    """

    partitions: Mapping[str, int]
    created: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()


def create_topics(access: Access, plans: Sequence[wire.TopicPlan]) -> Topics:
    """Create the topics that are missing, leave the others alone, and say what differs. Raises BrokerUnavailable."""
    wanted = {
        plan.name: {
            "num_partitions": plan.partitions,
            "replication_factor": access.settings.replication,
            "configs": _configs(plan),
        }
        for plan in plans
    }
    try:
        with KafkaAdminClient(**access.client(), bootstrap_timeout_ms=BOOTSTRAP_MS) as admin:
            answers = admin.create_topics(wanted, raise_errors=False)["topics"]
            refused = [one for one in answers if one["error_code"] not in (0, EXISTS, BARRED)]
            if refused:
                words = ", ".join(f"{one['name']}: {one['error_message']}" for one in refused)
                raise BrokerUnavailable(f"topics were not created: {words}")
            created = tuple(one["name"] for one in answers if one["error_code"] == 0)
            partitions = _settled(admin, plans, created)
            present = [plan for plan in plans if plan.name in partitions and plan.name not in created]
            return Topics(partitions, created, tuple(_differences(admin, present, partitions)))
    except KafkaError as error:
        raise BrokerUnavailable(f"{access.settings.bootstrap}: {error!r}") from error


def _settled(admin: KafkaAdminClient, plans: Sequence[wire.TopicPlan], created: Sequence[str]) -> Mapping[str, int]:
    """Partitions by topic, once the broker that we ask has heard of those that the controller has just created."""
    end = time.monotonic() + BOOTSTRAP_MS / 1000
    while True:
        said = admin.describe_topics([plan.name for plan in plans])
        found = {one["name"]: len(one["partitions"]) for one in said if one["partitions"]}
        awaited = [plan.name for plan in plans if plan.name in created and found.get(plan.name, 0) < plan.partitions]
        if not awaited:
            return found
        if time.monotonic() > end:
            raise BrokerUnavailable(f"topics were created and are not there: {', '.join(awaited)}")
        time.sleep(0.05)


def delete_topics(access: Access, names: Sequence[str]) -> None:
    """Delete topics with all that is in them. Raises BrokerUnavailable."""
    if not names:
        return
    try:
        with KafkaAdminClient(**access.client(), bootstrap_timeout_ms=BOOTSTRAP_MS) as admin:
            admin.delete_topics(list(names))
    except KafkaError as error:
        raise BrokerUnavailable(f"{access.settings.bootstrap}: {error!r}") from error


def _configs(plan: wire.TopicPlan) -> dict[str, str]:
    return {
        "retention.ms": str(plan.retention_ms),
        "max.message.bytes": str(plan.max_message_bytes),
        "cleanup.policy": "compact" if plan.compact else "delete",
    }


def _differences(
    admin: KafkaAdminClient, plans: Sequence[wire.TopicPlan], partitions: Mapping[str, int]
) -> Iterable[str]:
    if not plans:
        return
    resources = [ConfigResource(ConfigResourceType.TOPIC, plan.name) for plan in plans]
    try:
        held = admin.describe_configs(resources).get("topic", {})
    except TopicAuthorizationFailedError:  # a principal of ours may use its topics and not look into their settings
        held = {}
    for plan in plans:
        if partitions[plan.name] != plan.partitions:
            yield f"{plan.name}: {partitions[plan.name]} partitions where {plan.partitions} are planned"
        for key, value in _configs(plan).items():
            found = held.get(plan.name, {}).get(key)
            found = found.get("value") if isinstance(found, dict) else found
            if found is not None and str(found) != value:
                yield f"{plan.name}: {key} is {found} where {value} is planned"


class Publisher:
    """Writes messages to given partitions, in order, each acknowledged by all replicas and written once.

    At most `buffer_bytes` are on their way. A caller that is faster waits, up to `patience_s`; what then finds no room,
    and what the broker refuses, is lost and counted by topic.
    """

    def __init__(
        self,
        access: Access,
        partitions: Mapping[str, int],
        *,
        buffer_bytes: int = 32 * 1024 * 1024,
        patience_s: float = 30.0,
    ) -> None:
        self._partitions = dict(partitions)
        self._room, self._patience = buffer_bytes, patience_s
        self._waiting = threading.Condition()
        self._on_the_way = 0
        self._sent: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self.why_lost = ""
        try:
            self._producer = KafkaProducer(
                **access.client(),
                bootstrap_timeout_ms=BOOTSTRAP_MS,
                acks="all",
                enable_idempotence=True,
                max_request_size=1_048_576,
                batch_size=256 * 1024,
                reconnect_backoff_max_ms=1_000,
                max_block_ms=int(max(patience_s, 1.0) * 1000),
            )
        except KafkaError as error:
            raise BrokerUnavailable(f"{access.settings.bootstrap}: {error!r}") from error

    def send(
        self, topic: str, value: bytes, *, partition: int = 0, key: bytes | None = None, at_ns: int | None = None
    ) -> bool:
        """Put one message on its way; False when it is lost already. `at_ns` becomes the message's Kafka timestamp."""
        size = len(value) + len(key or b"")
        with self._waiting:
            fits = self._waiting.wait_for(lambda: self._fits(size), self._patience)
            if not fits:
                return self._lose(topic, "the broker takes messages more slowly than they come")
            self._on_the_way += size
        try:
            future = self._producer.send(
                topic, value, key=key, partition=partition, timestamp_ms=None if at_ns is None else at_ns // 1_000_000
            )
        except (KafkaError, ValueError) as error:  # kafka-python calls an unknown partition a ValueError
            self._leave(size)
            return self._lose(topic, repr(error))
        future.add_callback(self._arrived, topic, size)
        future.add_errback(self._failed, topic, size)
        return True

    def mark(self, topics: Iterable[str], at_ns: int) -> None:
        """Tell every partition of these topics that no record with an earlier receipt stamp will follow."""
        value = wire.mark(at_ns)
        for topic in topics:
            for partition in range(self._partitions[topic]):
                self.send(topic, value, partition=partition, key=wire.MARK_KEY)

    def dead(self, letter: wire.DeadLetter) -> bool:
        """Keep input that could not be used."""
        return self.send(wire.DEAD, wire.dead_letter_json(letter), key=letter.source.encode())

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has."""
        return self._partitions[topic]

    @property
    def sent(self) -> Mapping[str, int]:
        """Messages acknowledged, by topic."""
        with self._waiting:
            return dict(self._sent)

    @property
    def lost(self) -> Mapping[str, int]:
        """Messages lost, by topic; `why_lost` holds the last reason."""
        with self._waiting:
            return dict(self._lost)

    def flush(self, deadline_s: float = 30.0) -> bool:
        """Wait until everything sent so far is acknowledged or lost; False when the time did not suffice."""
        with self._waiting:
            return self._waiting.wait_for(lambda: self._on_the_way == 0, deadline_s)

    def close(self) -> None:
        """Send what is left, up to the patience, and leave."""
        self._producer.close(timeout=self._patience)

    def __enter__(self) -> "Publisher":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _fits(self, size: int) -> bool:
        return self._on_the_way == 0 or self._on_the_way + size <= self._room

    def _lose(self, topic: str, why: str) -> bool:
        with self._waiting:
            self._lost[topic] += 1
            self.why_lost = why
        return False

    def _leave(self, size: int) -> None:
        with self._waiting:
            self._on_the_way -= size
            self._waiting.notify_all()

    def _arrived(self, topic: str, size: int, metadata: Any) -> None:
        with self._waiting:
            self._sent[topic] += 1
        self._leave(size)

    def _failed(self, topic: str, size: int, error: BaseException) -> None:
        self._lose(topic, repr(error))
        self._leave(size)
