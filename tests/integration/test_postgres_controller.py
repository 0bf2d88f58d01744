"""The controller on Apache Kafka and PostgreSQL, each of which is killed under it and comes back."""

import gc
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from controller.domain import wire
from controller.domain.decision import first_break
from controller.ledger import Ledger
from controller.ledger_reading import Reading
from deploy import postgres
from deploy.postgres import Postgres
from tests.controller.network_cases import verdict
from tests.controller.test_intake import Post
from tests.integration.apache import SOCKETS_MAY_BE_LEFT, apache_kafka, without

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
HOSTS = ("198.18.1.7", "198.18.1.8", "198.18.1.9")
SITE = """
version = 1
name = "ports that no device of ours has"
prefixes = ["198.18.0.0/16"]
""" + "".join(f'[[hosts]]\nname = "vps-{one}"\naddresses = ["{one}"]\ntenant = "t"\nrole = "vps"\n' for one in HOSTS)

pytestmark = [SOCKETS_MAY_BE_LEFT, pytest.mark.full]


@pytest.fixture(autouse=True)
def sockets_that_are_left() -> Iterator[None]:
    """End them once nothing in the test holds them, while their warnings are still allowed."""
    yield
    gc.collect()


@contextmanager
def controller(directory: Path, *, broker: str, ledger: str) -> Iterator["subprocess.Popen[bytes]"]:
    """The process, whose words go to controller.log."""
    (directory / "site.toml").write_text(SITE)
    (directory / "policy.toml").write_text('version = 1\nmode = "enforce"\n')
    command = [
        *(sys.executable, "-m", "controller", "--broker", broker, "--ledger", ledger, "--run-dir", directory),
        *("--site", directory / "site.toml", "--policy", directory / "policy.toml"),
    ]
    with (directory / "controller.log").open("wb") as log:
        process = subprocess.Popen([str(one) for one in command], cwd=ROOT, stdout=log, stderr=log, env=os.environ)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.timeout(240)
def test_kafka_and_postgresql_may_die_under_the_controller_and_every_verdict_is_decided_on_once(tmp_path: Path) -> None:
    without(postgres.missing())
    with (
        tempfile.TemporaryDirectory(prefix="cordon-pg-") as where,
        Postgres(Path(where)) as server,
        apache_kafka(tmp_path) as kafka,
        ExitStack() as stack,
    ):
        kafka.topics(wire.topics(()))
        url = server.create("ledger")
        with controller(tmp_path, broker=kafka.bootstrap, ledger=url) as process:

            def until(holds: Callable[[], object]) -> None:
                end = time.monotonic() + PATIENCE_S
                while not holds():
                    assert process.poll() is None, said()
                    assert time.monotonic() < end, said()
                    threading.Event().wait(0.05)

            def said() -> str:
                return (tmp_path / "controller.log").read_text()

            ledger = stack.enter_context(closing(Ledger.open(url)))
            until(lambda: any(beat.process == "controller" for beat in Reading(ledger.database).heartbeats()))
            tell(kafka.bootstrap, HOSTS[0])
            until(lambda: len(ledger.live()) == 1)

            server.kill()
            tell(kafka.bootstrap, HOSTS[1])
            until(lambda: "page: controller: the controller cannot work: the ledger" in said())
            server.start()
            until(lambda: len(ledger.live()) == 2)

            kafka.kill(1)
            threading.Event().wait(2.0)  # long enough for the controller to notice
            kafka.launch(1)
            kafka.await_ready(1)
            tell(kafka.bootstrap, HOSTS[2])
            until(lambda: len(ledger.live()) == 3)
            until(lambda: ledger.offsets()[f"{wire.VERDICTS}/0"] == len(HOSTS))

            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0, said()
            # What the library says of a connection that broke, it may say with a trace.
            ours = [line for line in said().splitlines() if '"name": "kafka.' not in line]
            assert not [line for line in ours if "Traceback" in line], said()
            proposed = [move.decision_id for move in ledger.moves() if move.before is None]
            assert len(proposed) == len(set(proposed)) == len(HOSTS)
            assert first_break(ledger.moves()) is None


def tell(bootstrap: str, host: str) -> None:
    """Accuse a host."""
    post = Post(bootstrap)
    post(wire.VERDICTS, wire.verdict_json(verdict(host, exporter="", interface=0, mac="")))
    post.close()
