"""The intake over a real broker, the embedded one."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from controller.domain import wire
from controller.domain.errors import BrokerUnavailable
from controller.domain.wire import DecisionNote, Heartbeat, TopicPlan
from controller.intake import Batch, Intake, KafkaAnnouncer
from controller.settings import EMBEDDED, Access, Broker
from deploy.broker import EmbeddedBroker
from streams.publish import create_topics
from tests.controller.network_cases import NOON_NS, verdict

PATIENCE_S = 20.0
PLANS = tuple(TopicPlan(name, 1, 3_600_000) for name in (wire.VERDICTS, wire.HEALTH, wire.DEAD, wire.DECISIONS))


class Wall:
    def now_ns(self) -> int:
        return NOON_NS

    def monotonic(self) -> float:
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("broker")


@pytest.fixture
def broker(folder: Path) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(folder) as running:
        yield running


@pytest.fixture
def way(broker: EmbeddedBroker) -> Access:
    create_topics(broker.access, PLANS)
    return Access(Broker(broker.bootstrap, tempo=EMBEDDED))


class Post:
    def __init__(self, bootstrap: str) -> None:
        self._producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")

    def __call__(self, topic: str, *values: bytes) -> None:
        for value in values:
            self._producer.send(topic, value, partition=0)
        self._producer.flush(PATIENCE_S)

    def close(self) -> None:
        self._producer.close()


@pytest.fixture
def post(way: Access) -> Iterator[Post]:
    made = Post(way.broker.bootstrap)
    yield made
    made.close()


def until(intake: Intake, enough: Callable[[list[Batch]], bool]) -> list[Batch]:
    batches: list[Batch] = []
    end = time.monotonic() + PATIENCE_S
    while not enough(batches):
        assert time.monotonic() < end, batches
        batches.append(intake.poll(20))
    return batches


def said(at: int, subject: str = "198.18.1.7") -> bytes:
    return wire.verdict_json(verdict(subject, at_ns=NOON_NS + at))


def test_verdicts_health_and_dead_letters_come_in_with_the_next_offsets(way: Access, post: Post) -> None:
    intake = Intake(way, {}, clock=Wall())
    post(wire.VERDICTS, said(1), said(2, "198.18.1.8"))
    post(wire.HEALTH, wire.heartbeat_json(Heartbeat("streams", "w1", NOON_NS, event_ns=NOON_NS)))
    post(wire.DEAD, wire.dead_letter_json(wire.dead_letter(b"x", source="a", reason="b", at_ns=1)))
    batches = until(intake, lambda seen: {name for one in seen for name in one.offsets} == set(_places()))
    assert sum(len(one.verdicts) for one in batches) == 2
    assert [one.subject for batch in batches for one in batch.fresh] == [
        one.subject for batch in batches for one in batch.verdicts
    ]
    assert [beat.instance for batch in batches for beat in batch.heartbeats] == ["w1"]
    assert [letter.reason for batch in batches for letter in batch.dead] == ["b"]
    offsets = {name: number for batch in batches for name, number in batch.offsets.items()}
    assert offsets == {f"{wire.VERDICTS}/0": 2, f"{wire.HEALTH}/0": 1, f"{wire.DEAD}/0": 1}
    intake.close()


def _places() -> list[str]:
    return [f"{topic}/0" for topic in (wire.VERDICTS, wire.HEALTH, wire.DEAD)]


def test_what_cannot_be_read_is_a_dead_letter_and_the_rest_goes_on(way: Access, post: Post) -> None:
    intake = Intake(way, {}, clock=Wall())
    post(wire.VERDICTS, b"not json", b'{"v":9}', b"", said(1))
    post(wire.HEALTH, b'{"v":1}')
    batches = until(intake, lambda seen: sum(len(one.dead) for one in seen) == 4 and any(one.verdicts for one in seen))
    reasons = [letter.reason for batch in batches for letter in batch.dead]
    assert any("not JSON" in reason for reason in reasons)
    assert any("version" in reason for reason in reasons)
    assert {letter.at_ns for batch in batches for letter in batch.dead} == {NOON_NS}
    intake.close()


def test_a_controller_that_was_away_decides_on_the_newest_verdict_of_each_subject_only(way: Access, post: Post) -> None:
    post(wire.VERDICTS, *(said(n) for n in range(5)), said(9, "198.18.1.8"))
    intake = Intake(way, {f"{wire.VERDICTS}/0": 1}, clock=Wall())
    assert intake.behind
    batches = until(intake, lambda seen: any(one.fresh for one in seen))
    assert not any(one.fresh for one in batches[:-1])
    assert sum(len(one.verdicts) for one in batches) == 5
    fresh = [one for batch in batches for one in batch.fresh]
    assert {(str(one.subject), one.tick_end_ns - NOON_NS) for one in fresh} == {("198.18.1.7", 4), ("198.18.1.8", 9)}
    assert not intake.behind
    post(wire.VERDICTS, said(20))
    (last,) = [one for batch in until(intake, lambda seen: any(b.fresh for b in seen)) for one in batch.fresh]
    assert last.tick_end_ns == NOON_NS + 20
    intake.close()


def test_offsets_of_a_broker_that_was_made_anew_are_forgotten(way: Access, post: Post) -> None:
    post(wire.VERDICTS, said(1))
    intake = Intake(way, {f"{wire.VERDICTS}/0": 99_999}, clock=Wall())
    batches = until(intake, lambda seen: any(one.fresh for one in seen))
    assert batches[-1].fresh[0].tick_end_ns == NOON_NS + 1
    intake.close()


def test_without_its_topics_it_says_which_are_missing(broker: EmbeddedBroker) -> None:
    bare = Access(Broker(broker.bootstrap, tempo=EMBEDDED))
    create_topics(broker.access, [one for one in PLANS if one.name != wire.DEAD])
    with pytest.raises(BrokerUnavailable, match=wire.DEAD):
        Intake(bare, {}, clock=Wall(), patience_s=0.3)


def test_notes_reach_the_decisions_topic_keyed_by_subject(way: Access) -> None:
    announcer = KafkaAnnouncer(way)
    note = DecisionNote("d1", "host:198.18.1.7", "enforced", NOON_NS)
    announcer.announce(note)
    announcer.announce(replace(note, state="released"))
    announcer.close()
    consumer = KafkaConsumer(bootstrap_servers=way.broker.servers, fetch_max_wait_ms=20)
    place = TopicPartition(wire.DECISIONS, 0)
    consumer.assign([place])
    consumer.seek_to_beginning(place)
    read: list[tuple[bytes, DecisionNote]] = []
    end = time.monotonic() + PATIENCE_S
    while len(read) < 2:
        assert time.monotonic() < end
        for records in consumer.poll(timeout_ms=20).values():
            read += [(record.key, wire.decision_from(record.value)) for record in records]
    consumer.close()
    assert read == [(b"host:198.18.1.7", note), (b"host:198.18.1.7", replace(note, state="released"))]
