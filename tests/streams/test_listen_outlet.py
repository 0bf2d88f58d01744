"""The way to Kafka where there is no Kafka: nothing waits, memory is bounded, and what is lost is told once."""

import socket
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from controller.domain.errors import BrokerUnavailable
from streams.broker import Access, BrokerSettings, Mechanism, Security
from streams.listen.outlet import Outlet

DEADLINE_S = 20.0


def nowhere() -> Access:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return Access(BrokerSettings(f"127.0.0.1:{one.getsockname()[1]}"))


def test_without_a_broker_there_is_room_up_to_a_bound_and_every_loss_is_told() -> None:
    outlet = Outlet(nowhere(), room=1024 * 1024, patience_s=0.2)
    told: list[int] = []
    taken = [outlet.send("flows", bytes(300_000), lost=partial(told.append, at)) for at in range(10)]
    assert taken.count(True) in (3, 4)
    assert outlet.room <= 0
    end = time.monotonic() + DEADLINE_S
    # What librdkafka has to say of its attempts takes room too, until it has been heard.
    while (len(told) < taken.count(True) or outlet.room < 1024 * 1024) and time.monotonic() < end:
        outlet.settle()
        threading.Event().wait(0.02)
    assert told == [at for at, one in enumerate(taken) if one]
    assert outlet.lost == {"flows": 10}
    assert outlet.why_lost
    assert outlet.room == 1024 * 1024


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
