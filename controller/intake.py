"""The controller's ears and voice on Kafka: verdicts, health and dead letters in, decision notes out.

It assigns itself every partition (no consumer group decides who is active) and starts from the offsets that the ledger
kept with what was taken in. It only ever reads three topics and writes one: that is all its principal is allowed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from controller.domain import wire
from controller.domain.errors import BadInput, BrokerUnavailable
from controller.domain.verdict import Verdict
from controller.domain.wire import Canary, DeadLetter, DecisionNote, Heartbeat
from controller.ports import Clock
from controller.settings import Access

TOPICS = (wire.VERDICTS, wire.HEALTH, wire.DEAD)
BOOTSTRAP_MS = 10_000


@dataclass(frozen=True, slots=True)
class Batch:
    """What came in one poll. `offsets` ("topic/partition" → next) go into the ledger with the rest.

    `fresh` are the verdicts to decide on: none while the intake is catching up with what it missed, then the newest of
    each subject. `canaries` are none meanwhile either: they would tell of the past.
    """

    verdicts: tuple[Verdict, ...] = ()
    heartbeats: tuple[Heartbeat, ...] = ()
    dead: tuple[DeadLetter, ...] = ()
    offsets: Mapping[str, int] = field(default_factory=dict)
    fresh: tuple[Verdict, ...] = ()
    canaries: tuple[Canary, ...] = ()


class Intake:
    """Reads every partition of verdicts, health and dead letters from where the ledger left off."""

    def __init__(self, access: Access, offsets: Mapping[str, int], *, clock: Clock, patience_s: float = 30.0) -> None:
        """Wait for the topics, up to `patience_s`. Raises BrokerUnavailable."""
        self._clock = clock
        self._server = access.broker.bootstrap
        try:
            self._consumer = KafkaConsumer(
                **access.client(),
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                allow_auto_create_topics=False,
                bootstrap_timeout_ms=BOOTSTRAP_MS,
                fetch_max_wait_ms=access.broker.tempo.fetch_wait_ms,
                reconnect_backoff_max_ms=1_000,
                max_poll_records=2_000,
            )
        except KafkaError as error:
            raise BrokerUnavailable(f"{self._server}: {error!r}") from error
        try:
            partitions = self._wait_for_topics(patience_s)
            self._consumer.assign(partitions)
            begins = self._consumer.beginning_offsets(partitions)
            for partition in partitions:
                kept = offsets.get(f"{partition.topic}/{partition.partition}", 0)
                self._consumer.seek(partition, max(kept, begins[partition]))
        except KafkaError as error:
            self._consumer.close()
            raise BrokerUnavailable(f"{self._server}: {error!r}") from error
        except BrokerUnavailable:
            self._consumer.close()
            raise
        self._begins: dict[TopicPartition, int] = begins
        self._ends: dict[TopicPartition, int | None] = dict.fromkeys(
            partitions
        )  # where catching up is over, once known
        self._held: dict[str, Verdict] = {}

    def poll(self, timeout_ms: int) -> Batch:
        """What is there now; waits up to `timeout_ms` for something. Raises BrokerUnavailable."""
        try:
            polled = self._consumer.poll(timeout_ms=timeout_ms)
        except KafkaError as error:
            raise BrokerUnavailable(f"{self._server}: {error!r}") from error
        taken = _Taken()
        offsets: dict[str, int] = {}
        for partition, records in polled.items():
            for record in records:
                source = f"{partition.topic}/{partition.partition}@{record.offset}"
                taken.take(partition.topic, record.key, record.value or b"", source, self._clock.now_ns)
                offsets[f"{partition.topic}/{partition.partition}"] = record.offset + 1
        self._catch_up()
        return Batch(
            verdicts=tuple(taken.verdicts),
            heartbeats=tuple(taken.heartbeats),
            dead=tuple(taken.dead),
            offsets=offsets,
            fresh=self._fresh(taken.verdicts),
            canaries=() if self.behind else tuple(taken.canaries),
        )

    def close(self) -> None:
        """Hang up."""
        self._consumer.close()

    @property
    def behind(self) -> bool:
        """True until all that was there at the start has been read."""
        return bool(self._ends)

    def _fresh(self, verdicts: list[Verdict]) -> tuple[Verdict, ...]:
        for verdict in verdicts:
            self._held[verdict.id.rpartition("@")[0]] = verdict
        if self.behind:
            return ()
        fresh, self._held = tuple(self._held.values()), {}
        return fresh

    def _wait_for_topics(self, patience_s: float) -> list[TopicPartition]:
        deadline = self._clock.monotonic() + patience_s
        while True:
            known = {topic: self._consumer.partitions_for_topic(topic) for topic in TOPICS}
            if all(known.values()):
                return [TopicPartition(topic, number) for topic in TOPICS for number in sorted(known[topic] or ())]
            if self._clock.monotonic() > deadline:
                missing = ", ".join(topic for topic, numbers in known.items() if not numbers)
                raise BrokerUnavailable(f"{self._server}: no topic {missing}")
            self._clock.pause(0.1)

    def _catch_up(self) -> None:
        """See which partitions have been read to where they ended when they were first heard of.

        The end is the high watermark of a fetch: the embedded broker's answer to ListOffsets is the start of its last
        batch. A position beyond the end means that the broker was made anew: its partition is read from its beginning.
        """
        for partition, end in tuple(self._ends.items()):
            high = self._consumer.highwater(partition)
            if high is None:
                continue
            if self._consumer.position(partition) > high:
                self._consumer.seek(partition, self._begins[partition])
            self._ends[partition] = end = high if end is None else end
            if self._consumer.position(partition) >= end:
                del self._ends[partition]


class KafkaAnnouncer:
    """Writes decision notes. What the broker does not take is lost: the next note repeats it."""

    def __init__(self, access: Access) -> None:
        try:
            self._producer = KafkaProducer(
                **access.client(),
                bootstrap_timeout_ms=BOOTSTRAP_MS,
                acks=1,
                linger_ms=0,
                max_block_ms=1_000,
                reconnect_backoff_max_ms=1_000,
            )
        except KafkaError as error:
            raise BrokerUnavailable(f"{access.broker.bootstrap}: {error!r}") from error
        self.lost = 0

    def announce(self, note: DecisionNote) -> None:
        """Put a note on its way."""
        try:
            self._producer.send(wire.DECISIONS, wire.decision_json(note), key=note.subject.encode(), partition=0)
        except KafkaError:
            self.lost += 1

    def close(self) -> None:
        """Send what is on its way, for a second, and hang up; what the broker did not take by then is lost."""
        try:
            self._producer.close(timeout=1)
        except KafkaError:
            self.lost += 1


@dataclass(slots=True)
class _Taken:
    """What was read."""

    verdicts: list[Verdict] = field(default_factory=list)
    heartbeats: list[Heartbeat] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    canaries: list[Canary] = field(default_factory=list)

    def take(self, topic: str, key: bytes | None, value: bytes, source: str, now_ns: Callable[[], int]) -> None:
        """Read one message; one that cannot be read becomes a dead letter."""
        try:
            if topic == wire.VERDICTS and key == wire.CANARY_KEY:
                self.canaries.append(wire.canary_from(value))
            elif topic == wire.VERDICTS:
                self.verdicts.append(wire.verdict_from(value))
            elif topic == wire.HEALTH:
                self.heartbeats.append(wire.heartbeat_from(value))
            else:
                self.dead.append(wire.dead_letter_from(value))
        except BadInput as error:
            self.dead.append(wire.dead_letter(value, source=source, reason=error.reason, at_ns=now_ns()))
