"""A real broker, worker processes on it, and what must come out, computed by the same plain parts without both."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from kafka import KafkaConsumer, TopicPartition

from controller.domain import wire
from controller.domain.estate import Source, SourceFormat
from controller.domain.verdict import Verdict
from deploy.broker import EmbeddedBroker
from streams.agents import Combine, Message, Stretch
from streams.broker import Access
from streams.envelope import pack
from streams.lanes import Lane
from streams.lessons import Memory
from streams.publish import Publisher
from streams.shift import inputs_of, scored
from tests.streams.fakes import SECOND, CountingCombiner, CountingScorer

ROOT = Path(__file__).parents[2]
TOPICS = ("cordon.flows", "cordon.syslog")
PARTITIONS = 4


@dataclass(frozen=True, slots=True)
class Input:
    """One message of a source topic."""

    topic: str
    partition: int
    value: bytes
    key: bytes | None = None
    kafka_ns: int = 0  # its Kafka timestamp; 0: when it is sent


TAUGHT_EVERY = 16
"""Seconds for which a partition's lesson holds: twice what it takes a host to be spoken of."""


def story(seconds: int, *, hosts: int = 20, bad_every: int = 7) -> list[Input]:
    """Seconds of event time: a frame on each flow partition, a log line, marks behind them, bad lines between.

    Now and then a frame teaches a partition what its later lines mean.
    """
    said: list[Input] = []
    for second in range(1, seconds + 1):
        at = second * SECOND + 5
        for partition in range(PARTITIONS):
            lines = [b"198.18.%d.%d %d" % (partition, host, at + host) for host in range(1, hosts + 1)]
            if second % TAUGHT_EVERY == 1:
                lines.insert(0, b"teach 198.18.%d.%d" % (100 + partition, second % 250))
            lines.append(b"it %d" % at)
            if second % bad_every == 0:
                lines += [b"nonsense", b"skip", b"198.18.0.1 yesterday"]
            said.append(Input("cordon.flows", partition, b"\n".join(lines)))
        said.append(Input("cordon.syslog", second % PARTITIONS, b"198.18.9.9 %d" % at))
        said += marks((second + 1) * SECOND)
    return said


def marks(at_ns: int) -> list[Input]:
    """A clock mark for every partition."""
    return [Input(t, p, wire.mark(at_ns), wire.MARK_KEY) for t in TOPICS for p in range(PARTITIONS)]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run says: each verdict by its id, and the counts of each source."""

    verdicts: Mapping[str, tuple[object, ...]]
    counts: Mapping[str, Mapping[str, int]]


def undisturbed(inputs: Iterable[Input]) -> Outcome:
    """The same messages through the counting parts, in one go."""
    names = inputs_of(dict.fromkeys(TOPICS, PARTITIONS))
    sources = [Source(topic, SourceFormat.GOFLOW2_JSON) for topic in TOPICS]
    combine = Combine(CountingCombiner(partitions=PARTITIONS), sources, partitions=PARTITIONS)
    lanes = [Lane(CountingScorer(inputs=names), partition=p, inputs=names, start=0) for p in range(PARTITIONS)]
    return through(inputs, combine, lanes)


def through(inputs: Iterable[Input], combine: Combine[Any], lanes: Sequence[Lane]) -> Outcome:
    """What comes of messages by the plain parts alone: no Kafka, no Faust, nothing that dies."""
    offsets: dict[tuple[str, int], int] = {}
    memories: dict[tuple[str, int], Memory | None] = {}
    stretches: dict[tuple[str, int], Stretch[Any]] = {}
    found: list[Verdict] = []
    for number, one in enumerate(inputs):
        at = one.topic, one.partition
        offset = offsets[at] = offsets.get(at, -1) + 1
        if at not in memories:
            memories[at], stretches[at] = combine.memory(one.topic), combine.stretch(one.topic)
        message = Message(*at, offset, one.key, one.value, kafka_ns=one.kafka_ns or 2**62)
        if told := combine.message(message, stretches[at], memories[at]).parts:
            for lane, parts in zip(lanes, told, strict=True):
                found += lane.message(number, pack(parts), kafka_ns=0).verdicts
    return Outcome(_by_id(found), scored(lanes))


def _by_id(verdicts: Iterable[Verdict]) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for one in verdicts:
        texts = tuple(evidence.text for evidence in one.evidence)
        says = round(one.score, 3), one.level, one.finding, round(one.rates.flows, 3), one.first_bad_ns, texts
        assert found.setdefault(one.id, says) == says, f"{one.id} said twice, and not the same"
    return found


class Broker(Protocol):
    """A broker that runs while it is entered."""

    @property
    def bootstrap(self) -> str: ...
    @property
    def access(self) -> Access: ...
    def topics(self, plans: Sequence[wire.TopicPlan]) -> Mapping[str, int]: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(slots=True)
class Bench:
    """A broker and what runs on it."""

    broker: Broker
    directory: Path
    sources: Mapping[str, int]
    publisher: Publisher
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def worker(self, name: str, *, group: str, checkpoint_s: float = 0.5) -> None:
        """Start a worker that counts."""
        asked = {
            "broker": self.broker.bootstrap,
            "tempo": asdict(self.broker.access.settings.tempo),
            "topics": TOPICS,
            "name": name,
            "group": group,
            "directory": str(self.directory / name),
            "checkpoint_s": checkpoint_s,
        }
        self.start(name, str(ROOT / "tests/integration/counting_worker.py"), json.dumps(asked))

    def start(self, name: str, *command: str) -> None:
        """Start a Python process whose heartbeats bear this name."""
        (self.directory / name).mkdir(exist_ok=True)
        with (self.directory / f"{name}.log").open("ab") as log:
            self.workers[name] = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def end(self, name: str, number: signal.Signals) -> int:
        """Signal a worker and wait until it is gone."""
        process = self.workers.pop(name)
        process.send_signal(number)
        return process.wait(30)

    def publish(self, inputs: Sequence[Input]) -> None:
        """Send messages, in order."""
        for one in inputs:
            at_ns = one.kafka_ns or None
            assert self.publisher.send(one.topic, one.value, partition=one.partition, key=one.key, at_ns=at_ns)

    def heartbeats(self) -> Iterator[wire.Heartbeat | None]:
        """Heartbeats from now on, None where there was none for a moment."""
        consumer = KafkaConsumer(**self.broker.access.client(), fetch_max_wait_ms=20)
        try:
            consumer.assign([TopicPartition(wire.HEALTH, 0)])
            consumer.seek_to_end()
            while True:
                records = consumer.poll(timeout_ms=100)
                yield from (wire.heartbeat_from(one.value) for batch in records.values() for one in batch)
                yield None
        finally:
            consumer.close()

    def wait(
        self, what: Callable[[dict[str, wire.Heartbeat]], bool], *, deadline_s: float = 120.0
    ) -> list[wire.Heartbeat]:
        """Wait until the last heartbeats of the workers that run are as wanted."""
        end = time.monotonic() + deadline_s
        last: dict[str, wire.Heartbeat] = {}
        beats = self.heartbeats()
        try:
            for beat in beats:
                if beat is not None and beat.instance in self.workers:
                    last[beat.instance] = beat
                if last.keys() == self.workers.keys() and what(last):
                    return list(last.values())
                if time.monotonic() > end:
                    raise AssertionError(f"not reached: {last}\n{self.log()}")
        finally:
            beats.close()  # type: ignore[attr-defined]  # it is a generator
        raise AssertionError

    def drained(self, event_ns: int, **more: float) -> list[wire.Heartbeat]:
        """Wait until everything is scored up to an event time, by workers that hold all partitions between them."""
        every = sum(self.sources.values()) + PARTITIONS

        def done(last: dict[str, wire.Heartbeat]) -> bool:
            lags = [lag for beat in last.values() for lag in beat.lag.values()]
            return len(lags) == every and not any(lags) and all(beat.event_ns >= event_ns for beat in last.values())

        return self.wait(done, **more)

    def outcome(self, beats: Iterable[wire.Heartbeat]) -> Outcome:
        """What stands on the verdicts topic, and the counts of all workers together."""
        counts: dict[str, dict[str, int]] = {}
        for beat in beats:
            for topic, numbers in beat.sources.items():
                into = counts.setdefault(topic, dict.fromkeys(numbers, 0))
                for name, number in numbers.items():
                    into[name] += number
        return Outcome(_by_id(wire.verdict_from(value) for value in self.read(wire.VERDICTS)), counts)

    def read(self, topic: str, partition: int = 0) -> list[bytes]:
        """All values of a partition, but for canaries."""
        consumer = KafkaConsumer(**self.broker.access.client(), auto_offset_reset="earliest", fetch_max_wait_ms=20)
        at = TopicPartition(topic, partition)
        consumer.assign([at])
        end = consumer.end_offsets([at])[at]
        found: list[bytes] = []
        while consumer.position(at) < end:
            polled = consumer.poll(timeout_ms=200).values()
            found += [one.value for batch in polled for one in batch if one.key != wire.CANARY_KEY]
        consumer.close()
        return found

    def log(self) -> str:
        """What the workers wrote last."""
        return "\n".join(f"{one.name}: {one.read_text()[-3000:]}" for one in sorted(self.directory.glob("*.log")))


@contextmanager
def bench(directory: Path, *, sources: tuple[str, ...] = TOPICS, on: Broker | None = None) -> Iterator[Bench]:
    """A bench that is cleared in the end; on the embedded broker unless another is given, which it starts and stops."""
    with on or EmbeddedBroker(directory) as broker:
        topics = broker.topics(wire.topics(sources, partitions=PARTITIONS))
        with Publisher(broker.access, topics) as publisher:
            made = Bench(broker, directory, {name: topics[name] for name in sources}, publisher)
            try:
                yield made
            finally:
                for process in made.workers.values():
                    process.kill()
                    process.wait()


def publish_slowly(desk: Bench, inputs: Sequence[Input], *, seconds: float) -> threading.Thread:
    """Publish in the background, spread over this time."""

    def run() -> None:
        step = max(1, len(inputs) // 200)
        pause = threading.Event()
        for start in range(0, len(inputs), step):
            desk.publish(inputs[start : start + step])
            pause.wait(seconds / 200)

    thread = threading.Thread(target=run)
    thread.start()
    return thread
