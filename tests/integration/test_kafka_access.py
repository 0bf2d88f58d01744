"""On Apache Kafka with an authorizer: the shipped processes work with what the table grants them, and no more."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from controller.domain import wire
from controller.ledger import Ledger
from controller.ledger_reading import Reading
from streams.broker import Access, BrokerSettings, Mechanism, Security
from streams.grants import Role, collector
from streams.publish import Publisher
from tests.integration.apache import apache_kafka

ROOT = Path(__file__).parents[2]
PATIENCE_S = 90.0
FED = "cordon.flows.goflow2"
SITE = f"""
version = 1
name = "one collector"
prefixes = ["198.18.0.0/16"]
[[sources]]
topic = "{FED}"
format = "goflow2-json"
"""
USERS = {
    name.removeprefix("User:"): f"secret of {name.removeprefix('User:')}"
    for name in ("cordon-admin", "cordon-api", *(role.principal for role in Role), collector(FED))
}

ACCUSERS = {
    ("cordon-streams", wire.VERDICTS): True,
    ("cordon-api", wire.VERDICTS): False,
    ("cordon-controller", wire.VERDICTS): False,
    ("cordon-clock", wire.VERDICTS): False,
    ("cordon-listen", wire.VERDICTS): False,
    (collector(FED).removeprefix("User:"), wire.VERDICTS): False,
    (collector(FED).removeprefix("User:"), wire.STATE): False,
    (collector(FED).removeprefix("User:"), FED): True,
    ("cordon-api", FED): False,
}
"""Who may write what."""


def guarded() -> dict[str, str]:
    """Settings of a broker that knows its clients by name and asks an authorizer."""
    users = " ".join(f'user_{name}="{secret}"' for name, secret in USERS.items())
    return {
        "listener.security.protocol.map": "CLIENTS:SASL_PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "listener.name.clients.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.clients.plain.sasl.jaas.config": (
            f"org.apache.kafka.common.security.plain.PlainLoginModule required {users};"
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:cordon-admin;User:ANONYMOUS",
    }


class Door:
    """The broker as each principal meets it."""

    def __init__(self, directory: Path, bootstrap: str) -> None:
        self._directory, self._bootstrap = directory, bootstrap
        (directory / "site.toml").write_text(SITE)
        (directory / "policy.toml").write_text('version = 1\nmode = "dry-run"\n')

    def access(self, name: str) -> Access:
        settings = BrokerSettings(
            self._bootstrap, Security.SASL_PLAINTEXT, mechanism=Mechanism.PLAIN, username=name, replication=1
        )
        return Access(settings, USERS[name])

    def command(self, name: str, *arguments: str) -> tuple[list[str], Mapping[str, str]]:
        file = self._directory / f"{name}.toml"
        file.write_text(
            f'bootstrap = "{self._bootstrap}"\nsecurity = "SASL_PLAINTEXT"\nmechanism = "PLAIN"\nusername = "{name}"\n'
        )
        common = ("--site", "site.toml", "--policy", "policy.toml", "--broker-file", str(file))
        environment = {**os.environ, "CORDON_BROKER_PASSWORD": USERS[name], "PYTHONPATH": str(ROOT)}
        return [sys.executable, "-m", *arguments, *common], environment

    def done(self, name: str, *arguments: str) -> tuple[int, str]:
        command, environment = self.command(name, *arguments)
        done = subprocess.run(
            command, cwd=self._directory, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        return done.returncode, done.stdout + done.stderr

    def start(self, stack: ExitStack, name: str, *arguments: str) -> "subprocess.Popen[bytes]":
        command, environment = self.command(name, *arguments)
        with (self._directory / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=self._directory, env=environment, stdout=log, stderr=log)
        stack.callback(process.wait)
        stack.callback(process.kill)
        return process

    def said(self) -> str:
        return "\n".join(one.read_text() for one in sorted(self._directory.glob("cordon-*.log")))

    def may_write(self, name: str, topic: str) -> bool:
        with Publisher(self.access(name), {topic: 1}, patience_s=5.0) as publisher:
            publisher.send(topic, b"x")
            publisher.flush()
            assert publisher.sent.get(topic, 0) or "Authorization" in publisher.why_lost, publisher.why_lost
            return bool(publisher.sent.get(topic, 0))


@pytest.mark.timeout(300)
def test_every_process_works_with_its_own_rights_and_nobody_else_can_accuse(tmp_path: Path) -> None:
    with apache_kafka(tmp_path / "kafka", more=guarded()) as kafka, ExitStack() as stack:
        door = Door(tmp_path, kafka.bootstrap)
        status, said = door.done("cordon-clock", "streams", "clock")
        assert (status, "not ours to create" in said) == (1, True), said
        status, said = door.done("cordon-admin", "streams", "access")
        assert (status, "missing: User:cordon-streams may WRITE topic cordon.verdicts" in said) == (1, True), said
        status, said = door.done("cordon-admin", "streams", "access", "--grant")
        assert status == 0, said

        with ThreadPoolExecutor(len(ACCUSERS)) as pool:
            assert list(pool.map(lambda one: door.may_write(*one), ACCUSERS)) == list(ACCUSERS.values())

        url = f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
        reading = Reading(stack.enter_context(closing(Ledger.open(url))).database)
        running = [
            door.start(stack, "cordon-streams", "streams", "worker", "--data-dir", "worker"),
            door.start(stack, "cordon-clock", "streams", "clock"),
            door.start(stack, "cordon-controller", "controller", "--ledger", url, "--run-dir", "run"),
        ]

        def until(holds: Callable[[], object]) -> None:
            end = time.monotonic() + PATIENCE_S
            while not holds():
                assert all(process.poll() is None for process in running), door.said()
                assert time.monotonic() < end, door.said()
                threading.Event().wait(0.1)

        until(lambda: {beat.process for beat in reading.heartbeats()} == {"streams", "clock", "controller"})
        until(lambda: any(beat.process == "streams" and beat.event_ns for beat in reading.heartbeats()))
        for process in running:
            process.terminate()
            assert process.wait(PATIENCE_S) == 0, door.said()  # a last checkpoint is written on the way
        assert "Authorization" not in door.said()
        assert door.done("cordon-admin", "streams", "access")[0] == 0
