"""The way to Kafka where there is no Kafka: nothing waits, memory is bounded, and what is lost is told once."""

import socket
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from controller.domain.errors import BrokerUnavailable
from streams.broker import BESIDE, Access, BrokerSettings, Mechanism, Security
from streams.listen.bundles import FRAME
from streams.listen.outlet import AT_ONCE, HOLD_S, ROOM, Outlet

DEADLINE_S = 20.0


def nowhere() -> Access:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return Access(BrokerSettings(f"127.0.0.1:{one.getsockname()[1]}"))


def test_without_a_broker_there_is_room_up_to_a_bound_and_every_loss_is_told() -> None:
    outlet = Outlet(nowhere(), room=1024 * 1024, patience_s=0.2)
    told: list[int] = []
    taken = [outlet.send("flows", bytes(300_000), lost=partial(told.append, at)) for at in range(10)]
    assert taken == [True] * 3 + [False] * 7
    assert outlet.room == 1024 * 1024 - 3 * (300_000 + BESIDE)
    end = time.monotonic() + DEADLINE_S
    # What librdkafka has to say of its attempts takes room too, until it has been heard.
    while (len(told) < taken.count(True) or outlet.room < 1024 * 1024) and time.monotonic() < end:
        outlet.settle()
        threading.Event().wait(0.02)
    assert told == [at for at, one in enumerate(taken) if one]
    assert outlet.lost == {"flows": 10}
    assert outlet.why_lost
    assert outlet.room == 1024 * 1024


@dataclass
class Client:
    """In place of librdkafka: what it was given, and how much of that it still has."""

    settings: object = None
    given: list[tuple[int, int]] = field(default_factory=list)  # length, partition
    has: int = 0

    def produce(self, _: str, value: bytes, *, partition: int, **__: object) -> None:
        self.given.append((len(value), partition))
        self.has += 1

    def poll(self, _: float) -> None:
        """Nothing is heard of anything."""

    def flush(self, _: float) -> int:
        return 0

    def __len__(self) -> int:
        return self.has


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    one = Client()
    monkeypatch.setattr("streams.listen.outlet.Producer", lambda *_, **__: one)
    return one


def test_librdkafka_holds_no_more_frames_than_a_broker_takes_at_once_and_they_keep_their_order(client: Client) -> None:
    """More make it ask without rest whether they may go."""
    outlet = Outlet(nowhere())
    assert all(outlet.send("flows", bytes(FRAME), partition=at) for at in range(9))
    assert outlet.send("flows", b"a mark", partition=9), "which may not overtake a frame"
    assert [at for _, at in client.given] == list(range(AT_ONCE))
    outlet.settle()
    assert len(client.given) == AT_ONCE
    client.has -= 2
    outlet.settle()
    assert [at for _, at in client.given] == list(range(AT_ONCE + 2))
    assert outlet.room == ROOM - 7 * (FRAME + BESIDE) - len(b"a mark") - BESIDE
    client.has = 0
    outlet.settle()
    assert [at for _, at in client.given] == list(range(10))


def test_small_messages_need_not_wait_for_each_other(client: Client) -> None:
    outlet = Outlet(nowhere())
    for at in range(3 * AT_ONCE):
        outlet.send("syslog", bytes(1_000), partition=at)
    assert len(client.given) == 3 * AT_ONCE


def test_who_waits_for_a_broker_that_is_gone_makes_others_wait_for_a_moment_only(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    outlet, now = Outlet(nowhere()), time.monotonic()
    for at in range(AT_ONCE + 2):
        outlet.send("flows", bytes(FRAME), partition=at)
    assert len(client.given) == AT_ONCE
    monkeypatch.setattr("streams.listen.outlet.time.monotonic", lambda: now + HOLD_S + 1.0)
    outlet.settle()
    assert len(client.given) == AT_ONCE + 2


def test_what_waits_is_sent_before_the_end(client: Client) -> None:
    outlet = Outlet(nowhere())
    for _ in range(AT_ONCE + 2):
        outlet.send("flows", bytes(FRAME))
    assert outlet.flush(1.0)
    assert len(client.given) == AT_ONCE + 2


def test_a_message_that_no_broker_would_take_is_lost_at_once() -> None:
    outlet = Outlet(nowhere(), patience_s=0.2)
    assert not outlet.send("flows", bytes(2_000_000))
    assert outlet.lost == {"flows": 1}


def test_settings_reach_librdkafka_in_its_own_names(tmp_path: Path) -> None:
    settings = BrokerSettings(
        "a:1,b:2",
        security=Security.SASL_SSL,
        ca_file="ca",
        cert_file="cert",
        mechanism=Mechanism.SCRAM_SHA_512,
        username="listener",
    )
    assert Access(settings, password="secret").librdkafka() == {
        "bootstrap.servers": "a:1,b:2",
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": "ca",
        "ssl.certificate.location": "cert",
        "ssl.key.location": "cert",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "listener",
        "sasl.password": "secret",
    }
    with pytest.raises(BrokerUnavailable, match="ca"):
        Outlet(Access(BrokerSettings("a:1", security=Security.SSL, ca_file=str(tmp_path / "no-ca"))))
