"""What was learned of a source: a successor begins with exactly what had been learned before its first message."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from controller.domain import wire
from controller.domain.address import packed
from controller.domain.errors import BadInput
from controller.domain.estate import Estate, Source, SourceFormat
from controller.domain.rulebook import Rulebook
from deploy.broker import EmbeddedBroker
from streams.activity import Combiner
from streams.decode.datagrams import frame
from streams.lessons import NOWHERE, REFRESH_NS, SPARE_NS, Learning, Snapshot, lesson_from
from streams.state import PIECE, LessonLog, Positions, Producer
from tests.streams.export_cases import AT, PLAIN, a_set, ipfix, plain, template
from tests.streams.world import EDGE, site

SECOND = 1_000_000_000


@dataclass
class Heap:
    """A memory that learns from every message that is not empty."""

    learned: list[int] = field(default_factory=list)
    changes: int = 0

    def saved(self) -> bytes:
        return bytes(self.learned)

    def hear(self, lesson: int) -> None:
        if lesson:
            self.learned.append(lesson)
            self.changes += 1


@dataclass
class Log:
    """Records by place, and what is committed: the place of the last record, and the position."""

    records: list[Snapshot] = field(default_factory=list)
    place: int = NOWHERE
    position: int = 0

    def write(self, snapshot: Snapshot) -> int:
        self.records.append(snapshot)
        self.place = len(self.records) - 1
        return self.place

    def successor(self) -> tuple[Learning, Heap]:
        place = self.place
        while place != NOWHERE and self.records[place].offset > self.position:
            place = self.records[place].before
        kept = self.records[place] if place != NOWHERE else Snapshot(0, 0, NOWHERE, b"")
        heap = Heap(list(kept.memory))
        return Learning(heap, kept=place, kept_ns=kept.at_ns), heap


STEPS = st.lists(st.sampled_from(("message", "told", "arrive", "commit", "write", "die")), max_size=120)


@given(st.lists(st.integers(0, 3), min_size=40, max_size=40), STEPS)
def test_whenever_a_worker_dies_its_successor_knows_what_was_known_there(lessons: list[int], steps: list[str]) -> None:
    log = Log()
    learning, heap = log.successor()
    offset = told = arrived = 0
    snapshot: Snapshot | None = None
    for step in steps:
        if step == "message" and offset < len(lessons):
            heap.hear(lessons[offset])
            offset += 1
        elif step == "told" and offset > told:
            learning.heard(offset - 1, offset * SPARE_NS, first=told)
            told = offset
            snapshot = snapshot or learning.snapshot()
        elif step == "arrive":
            arrived = told
        elif step == "commit":
            log.position = learning.position(arrived)
        elif step == "write" and snapshot is not None:
            learning.written(log.write(snapshot))
            snapshot = None
        elif step == "die":
            learning, heap = log.successor()
            offset = told = arrived = log.position
            snapshot = None
            assert heap.learned == [lesson for lesson in lessons[:offset] if lesson]


def test_a_position_waits_for_what_was_learned_and_then_follows() -> None:
    heap = Heap()
    learning = Learning(heap)
    for offset, lesson in enumerate((0, 7, 0, 0)):
        heap.hear(lesson)
        learning.heard(offset, offset, first=offset)
    assert learning.position(4) == 1
    snapshot = learning.snapshot()
    assert snapshot == Snapshot(4, 3, NOWHERE, b"\x07")
    assert learning.position(4) == 1
    learning.written(0)
    assert (learning.position(4), learning.kept) == (4, 0)
    assert learning.snapshot() is None


def test_one_that_learns_all_the_time_is_kept_now_and_then() -> None:
    heap = Heap()
    learning = Learning(heap, kept=5, kept_ns=SECOND)
    heap.hear(1)
    learning.heard(0, SECOND + SPARE_NS - 1, first=0)
    assert learning.snapshot() is None
    learning.heard(1, SECOND + SPARE_NS, first=1)
    assert learning.snapshot() is not None


def test_a_record_is_written_again_before_it_expires() -> None:
    learning = Learning(Heap([3]), kept=5, kept_ns=SECOND)
    learning.heard(0, SECOND + REFRESH_NS, first=0)
    assert learning.snapshot() is None
    learning.heard(1, SECOND + REFRESH_NS + 1, first=1)
    snapshot = learning.snapshot()
    assert snapshot is not None
    assert (snapshot.offset, snapshot.before, snapshot.memory) == (2, 5, b"\x03")


def test_a_template_of_one_message_is_what_a_successor_reads_the_next_by() -> None:
    source = Source("exports", SourceFormat.DATAGRAMS, exporters=(ip_address(EDGE),))
    combiner = Combiner(Estate(replace(site(), sources=(source,))), Rulebook(1), partitions=1)
    first, then = (
        frame([packed(ip_address(EDGE))], [0], [AT], [ipfix(one)])
        for one in (a_set(2, template(256, PLAIN)), a_set(256, plain()))
    )
    memory = combiner.memory(source)
    assert memory is not None
    combiner.frame(first, source=source, kafka_ns=AT, memory=memory)
    successors = combiner.memory(source, memory.saved())
    told = [combiner.frame(then, source=source, kafka_ns=AT, memory=one) for one in (memory, successors)]
    assert told[0] == told[1]
    assert (told[0].received, told[0].rejects) == (1, ())
    assert combiner.frame(then, source=source, kafka_ns=AT).dead == 1


@pytest.mark.parametrize("value", [b"", b"x", b"\x91\x01"])
def test_a_record_that_nobody_wrote_is_refused(value: bytes) -> None:
    with pytest.raises(BadInput):
        lesson_from(value)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(tmp_path_factory.mktemp("broker")) as running:
        running.topics([wire.TopicPlan(wire.LESSONS, 1, 86_400_000), wire.TopicPlan("flows", 2, 86_400_000)])
        yield running


def test_what_is_kept_is_found_by_the_position_that_arrived(broker: EmbeddedBroker) -> None:
    one, other = TopicPartition("flows", 0), TopicPartition("flows", 1)
    large = bytes(range(256)) * (PIECE // 100)

    async def run() -> None:
        producer = Producer(broker.access)
        log = LessonLog(broker.access, producer, Positions(broker.access, "test-lessons"))
        await producer.start()
        await log.start()
        try:
            log.assign([one, other])
            assert await log.last(one, 99) is None
            first = await log.write(one, Snapshot(10, 1, NOWHERE, b""))
            await log.write(other, Snapshot(5, 1, NOWHERE, b"other"))
            second = await log.write(one, Snapshot(20, 2, first, large))
            for position, place, memory in ((20, second, large), (19, first, b""), (10, first, b"")):
                found = await log.last(one, position)
                assert found is not None
                assert (found[0], found[1].piece) == (place, memory)
            assert await log.last(one, 9) is None
        finally:
            await log.stop()
            await producer.stop()

    asyncio.run(run())
