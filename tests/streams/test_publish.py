"""Topics are created once, then left alone; what is published arrives once and in order, or is counted as lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaConsumer, TopicPartition

from controller.domain import wire
from controller.domain.errors import ConfigError
from deploy.broker import EmbeddedBroker
from streams.broker import CLUSTER, Mechanism, Security, access
from streams.publish import Publisher, create_topics


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(tmp_path_factory.mktemp("broker")) as running:
        yield running


def plan(name: str, partitions: int = 2) -> wire.TopicPlan:
    return wire.TopicPlan(name, partitions, 3_600_000)


def messages(broker: EmbeddedBroker, topic: str, partition: int, count: int) -> list[tuple[int, bytes | None, bytes]]:
    consumer = KafkaConsumer(**broker.access.client(), auto_offset_reset="earliest", consumer_timeout_ms=10_000)
    consumer.assign([TopicPartition(topic, partition)])
    found = [(one.timestamp, one.key, one.value) for _, one in zip(range(count), consumer, strict=False)]
    consumer.close()
    return found


def test_topics_are_created_once_and_then_left_alone(broker: EmbeddedBroker) -> None:
    first = create_topics(broker.access, [plan("once")])
    again = create_topics(broker.access, [plan("once"), plan("new", 3)])
    assert (first.created, first.partitions) == (("once",), {"once": 2})
    assert (again.created, again.partitions) == (("new",), {"once": 2, "new": 3})
    assert not again.differs


def test_a_topic_of_another_size_is_reported_and_not_changed(broker: EmbeddedBroker) -> None:
    create_topics(broker.access, [plan("sized", 2)])
    again = create_topics(broker.access, [plan("sized", 5)])
    assert again.partitions == {"sized": 2}
    assert again.differs == ("sized: 2 partitions where 5 are planned",)


def test_messages_stay_in_order_on_their_partition_with_the_event_time_as_timestamp(broker: EmbeddedBroker) -> None:
    partitions = broker.topics([plan("ordered")])
    with Publisher(broker.access, partitions) as publisher:
        for number in range(200):
            assert publisher.send("ordered", b"%d" % number, partition=1, at_ns=number * 1_000_000)
        publisher.mark(["ordered"], 77)
        assert publisher.flush()
        assert publisher.sent == {"ordered": 202}
        assert not publisher.lost
    found = messages(broker, "ordered", 1, 201)
    assert [value for _, _, value in found[:200]] == [b"%d" % number for number in range(200)]
    assert [stamp for stamp, _, _ in found[:200]] == list(range(200))
    assert found[200][1:] == (wire.MARK_KEY, b"77")
    assert messages(broker, "ordered", 0, 1)[0][1:] == (wire.MARK_KEY, b"77")


def test_dead_letters_are_kept_under_their_source(broker: EmbeddedBroker) -> None:
    partitions = broker.topics([plan(wire.DEAD, 1)])
    letter = wire.dead_letter(b"\xff{", source="cordon.flows/0@7", reason="not JSON", at_ns=5)
    with Publisher(broker.access, partitions) as publisher:
        assert publisher.dead(letter)
    [(_, key, value)] = messages(broker, wire.DEAD, 0, 1)
    assert (key, wire.dead_letter_from(value)) == (b"cordon.flows/0@7", letter)


def test_what_finds_no_room_or_no_partition_is_lost_and_counted(broker: EmbeddedBroker) -> None:
    partitions = broker.topics([plan("narrow", 1)])
    with Publisher(broker.access, partitions, buffer_bytes=64, patience_s=0.0) as publisher:
        assert not publisher.send("narrow", b"x", partition=9)
        assert not publisher.send("narrow", b"x" * 2_000_000)
        taken = [publisher.send("narrow", b"y" * 60) for _ in range(50)]
        assert publisher.flush()
        assert publisher.sent["narrow"] == taken.count(True)
        assert publisher.lost["narrow"] == taken.count(False) + 2
        assert publisher.why_lost


def test_tls_and_sasl_settings_are_passed_through(tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_text(
        'bootstrap = "kafka1:9093,[2001:db8::1]:9093"\nsecurity = "SASL_SSL"\nmechanism = "SCRAM-SHA-512"\n'
        'username = "cordon-streams"\npassword_env = "SECRET"\n'
    )
    found = access("", file=file, environment={"SECRET": "s3cret"})
    assert found.settings.mechanism is Mechanism.SCRAM_SHA_512
    assert found.settings.security is Security.SASL_SSL
    assert found.settings.tempo == CLUSTER
    options = found.client()
    assert options["bootstrap_servers"] == ["kafka1:9093", "[2001:db8::1]:9093"]
    assert options["ssl_context"].check_hostname
    assert options["sasl_plain_password"] == "s3cret"
    assert access("other:1", file=file, environment={"SECRET": "x"}).settings.servers == ["other:1"]


def test_a_missing_password_names_the_variable(tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_text('bootstrap = "kafka1:9093"\nsecurity = "SASL_SSL"\nusername = "u"\n')
    with pytest.raises(ConfigError, match="CORDON_BROKER_PASSWORD"):
        access("", file=file, environment={})


def test_a_bootstrap_without_a_port_is_refused() -> None:
    with pytest.raises(ConfigError, match="host:port"):
        access("kafka1", file=None, environment={})
