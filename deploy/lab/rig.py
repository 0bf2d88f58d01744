"""Puts the demonstration on its feet: emulated devices, broker, Cordon itself, and the provider at work."""

import json
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import asyncssh
import msgspec

from controller.domain import wire
from deploy import apache, parts
from deploy.lab.provider import FLOW_TOPIC, LOG_TOPIC, Provider
from deploy.lab.sitefile import Listening, policy_text, site
from deploy.ports import free_port
from deploy.supervisor import DidNotStart, Part, Supervisor, python
from deploy.tomlwriting import toml_text
from streams.broker import Access
from streams.publish import create_topics, delete_topics

TOPICS = wire.topics((FLOW_TOPIC, LOG_TOPIC))


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the demonstration keeps its things."""

    run: Path
    journal: Path

    @property
    def emulators(self) -> Path:
        """Addresses, host keys and control socket of the emulated devices."""
        return self.run / "emulators"

    @property
    def key(self) -> Path:
        """The private key with which Cordon logs in."""
        return self.run / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """Host keys of the emulated devices."""
        return self.emulators / "known_hosts"

    @property
    def control(self) -> Path:
        """The emulators' control socket."""
        return self.emulators / "control.sock"


def emulate(provider: Provider, folders: Folders, supervisor: Supervisor, *, mode: str) -> None:
    """Start the emulated devices and write the site and policy files that describe them."""
    folders.emulators.mkdir(parents=True, exist_ok=True)
    _make_key(folders)
    plan = folders.run / "provider.json"
    plan.write_bytes(msgspec.json.encode(provider.devices))
    directory = folders.emulators / "devices.json"
    supervisor.start(
        Part(
            "emulators",
            python(
                "-m", "deploy.lab.emulators", "--plan", str(plan), "--run", str(folders.emulators),
                "--journal", str(folders.journal),
            ),
            ready=lambda: directory.exists() and folders.control.exists(),
        )
    )  # fmt: skip
    listening = {
        name: Listening(str(where["host"]), int(where["port"]), str(where["user"]))
        for name, where in json.loads(directory.read_text()).items()
    }
    described = site(provider, listening, key_file=folders.key)
    (folders.run / "site.toml").write_text(toml_text(described))
    (folders.run / "policy.toml").write_text(policy_text(mode=mode, kill_file=folders.run / "stop"))


def _make_key(folders: Folders) -> None:
    """A fresh key pair; every emulated device lets its owner in."""
    key = asyncssh.generate_private_key("ssh-ed25519", comment="cordon demonstration")
    folders.key.touch(mode=0o600)
    folders.key.write_bytes(key.export_private_key("openssh"))
    (folders.emulators / "authorized_keys").write_bytes(key.export_public_key("openssh"))


def embedded_broker(supervisor: Supervisor) -> str:
    """Start the embedded broker; where it listens."""
    port = free_port()
    supervisor.start(parts.broker(port))
    return f"127.0.0.1:{port}"


def apache_broker(supervisor: Supervisor, folders: Folders) -> str:
    """Start Apache Kafka, brought by Maven unless it is there; where it listens. Raises DidNotStart."""
    if why := apache.missing() or apache.fetch():
        raise DidNotStart(why)
    part, address = apache.part(folders.run)
    supervisor.start(part)
    return address


def make_topics(reach: Access) -> tuple[str, ...]:
    """Create all topics; those that were not there before."""
    return create_topics(reach, TOPICS).created


@contextmanager
def guest_topics(reach: Access) -> Iterator[None]:
    """Create all topics on a broker of somebody else's, and delete them in the end.

    Raises DidNotStart where one is there already: what somebody keeps in it is neither to be read nor deleted here.
    """
    made = make_topics(reach)
    kept = sorted({plan.name for plan in TOPICS} - set(made))
    try:
        if kept:
            where = reach.settings.bootstrap
            raise DidNotStart(f"{where} holds {', '.join(kept)} already: the demonstration needs a broker without them")
        yield
    finally:
        delete_topics(reach, made)


def connection(path: Path) -> tuple[str, str] | None:
    """URL and token from connection.toml; None until it is there."""
    try:
        found = tomllib.loads(path.read_text())
        return str(found["url"]), str(found["token"])
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return None


class Play:
    """The generator's process: commands in, truths out."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self._told: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="generator's truths", daemon=True)
        self._reader.start()

    def order(self, **order: object) -> None:
        """Send one command; a generator that has ended hears nothing."""
        if self._process.stdin is not None and self._process.poll() is None:
            try:
                self._process.stdin.write(json.dumps(order).encode() + b"\n")
                self._process.stdin.flush()
            except BrokenPipeError:
                return

    def told(self) -> Iterator[dict[str, Any]]:
        """What it has said since the last call."""
        while True:
            try:
                yield self._told.get_nowait()
            except Empty:
                return

    @property
    def ended(self) -> bool:
        """True when its process is gone."""
        return self._process.poll() is not None

    def _read(self) -> None:
        if self._process.stdout is None:
            return
        for line in self._process.stdout:
            self._told.put(json.loads(line))


def play(
    provider: Provider,
    folders: Folders,
    supervisor: Supervisor,
    *,
    broker: str,
    broker_file: Path | None,
    scenarios: tuple[int, ...],
    with_a_past: tuple[str, ...],
) -> Play:
    """Set the provider to work; `with_a_past` holds the generator's option for a day that is left out."""
    command = python(
        "-m", "deploy.lab.generator", "--seed", str(provider.seed), "--broker", broker,
        "--run", str(folders.emulators), *with_a_past,
        *(("--broker-file", str(broker_file)) if broker_file else ()),
        *(part for number in scenarios for part in ("--scenario", str(number))),
    )  # fmt: skip
    return Play(supervisor.launch(Part("generator", command, talks=True, mortal=True)))
