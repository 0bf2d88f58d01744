"""On Apache Kafka: the broker itself is killed under its workers, and nothing is lost or counted twice."""

import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.domain import wire
from tests.integration.apache import SOCKETS_MAY_BE_LEFT, apache_kafka
from tests.integration.bench import PARTITIONS, SECOND, bench, publish_slowly, story, undisturbed

pytestmark = [SOCKETS_MAY_BE_LEFT, pytest.mark.full]


@pytest.fixture(autouse=True)
def sockets_that_are_left() -> Iterator[None]:
    """End them once nothing in the test holds them, while their warnings are still allowed."""
    yield
    gc.collect()


@pytest.mark.timeout(300)
def test_the_only_broker_killed_and_started_again_costs_no_record(tmp_path: Path) -> None:
    inputs = story(200)
    kafka = apache_kafka(tmp_path)
    with bench(tmp_path, on=kafka) as desk:
        desk.worker("w", group="g")
        publishing = publish_slowly(desk, inputs, seconds=15)
        desk.wait(lambda last: last["w"].event_ns > 20 * SECOND)
        kafka.kill(1)
        threading.Event().wait(2.0)  # long enough for every client to notice
        kafka.launch(1)
        kafka.await_ready(1)
        publishing.join()
        beats = desk.drained(201 * SECOND)
        found, wanted = desk.outcome(beats), undisturbed(inputs)
    assert found.counts == wanted.counts
    assert found.verdicts == wanted.verdicts


@pytest.mark.full
@pytest.mark.timeout(600)
def test_each_of_three_brokers_killed_in_turn_costs_no_record(tmp_path: Path) -> None:
    inputs = story(900)
    kafka = apache_kafka(tmp_path, nodes=3)
    with bench(tmp_path, on=kafka) as desk:
        for name in ("one", "two"):
            desk.worker(name, group="g")
        desk.wait(lambda last: all(beat.lag for beat in last.values()))
        publishing = publish_slowly(desk, inputs, seconds=90)
        for number in (1, 2, 3):
            threading.Event().wait(8.0)  # some of the story is told before each
            kafka.kill(number)
            threading.Event().wait(8.0)  # and some with two brokers
            kafka.launch(number)
            kafka.await_ready(number)
        publishing.join()
        beats = desk.drained(901 * SECOND)
        found, wanted = desk.outcome(beats), undisturbed(inputs)
    assert found.counts == wanted.counts
    assert found.verdicts == wanted.verdicts


@pytest.mark.timeout(180)
def test_topics_are_as_planned_and_take_the_largest_message_that_we_send(tmp_path: Path) -> None:
    plans = wire.topics(("cordon.flows",), partitions=PARTITIONS)
    with bench(tmp_path, on=apache_kafka(tmp_path)) as desk:
        assert desk.broker.topics(plans) == {plan.name: plan.partitions for plan in plans}
        largest = plans[0].max_message_bytes - 1_000
        assert desk.publisher.send("cordon.flows", bytes(largest))
        assert desk.publisher.flush()
        assert len(desk.read("cordon.flows")[0]) == largest
