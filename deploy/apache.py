"""Apache Kafka on loopback, by `deploy/kafka/run.sh`: one node, or three that stand in for each other.

For tests, demonstration and lab. What a node holds lies in its folder and outlives its process, so a node can be killed
and started again.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from controller.domain.wire import TopicPlan
from deploy.broker import BrokerDidNotStart
from deploy.parts import listens
from deploy.ports import free_port
from deploy.supervisor import Part, die_with_parent
from streams.broker import Access, BrokerSettings, Tempo
from streams.publish import create_topics

SCRIPT = Path(__file__).parent / "kafka" / "run.sh"
CLUSTER_ID = "Y29yZG9uLWNvcmRvbi0tLQ"  # 16 bytes in URL-safe Base64, as the storage tool wants it
READY = b"Kafka Server started"
NEAR = Tempo(fetch_wait_ms=100, session_s=6.0, rebalance_s=10.0, heartbeat_s=1.0)
"""Times for a group on this machine: 6 s is the shortest session that a broker allows unless told otherwise."""


def missing() -> str:
    """What this machine lacks to run Apache Kafka; empty when it lacks nothing."""
    for program, package in (("java", "openjdk-17-jre-headless"), ("mvn", "maven")):
        if shutil.which(program) is None:
            return f"Apache Kafka needs {program}, which is not installed (Debian: apt install {package})"
    return ""


def fetch(*, deadline_s: float = 300.0) -> str:
    """Have Maven bring the class path, unless it is there; why that failed, or nothing."""
    done = subprocess.run(
        ["bash", str(SCRIPT), "fetch"], check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=deadline_s
    )
    return "" if done.returncode == 0 else f"Maven did not bring Apache Kafka: {done.stdout[-500:].decode()}"


@dataclass(frozen=True, slots=True)
class Node:
    """One server, broker and controller in one process. Its ports stay its own over restarts."""

    number: int
    directory: Path
    port: int  # for clients
    internal: int  # for other brokers
    quorum: int  # for controllers


def settings(node: Node, nodes: Sequence[Node], more: Mapping[str, str]) -> dict[str, str]:
    """server.properties of a node: https://kafka.apache.org/documentation/#configuration. `more` wins."""
    replicas = str(len(nodes))
    return {
        "process.roles": "broker,controller",
        "node.id": str(node.number),
        "controller.quorum.voters": ",".join(f"{one.number}@127.0.0.1:{one.quorum}" for one in nodes),
        "listeners": (
            f"CLIENTS://127.0.0.1:{node.port},INTERNAL://127.0.0.1:{node.internal},CONTROLLER://127.0.0.1:{node.quorum}"
        ),
        "advertised.listeners": f"CLIENTS://127.0.0.1:{node.port},INTERNAL://127.0.0.1:{node.internal}",
        "listener.security.protocol.map": "CLIENTS:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "INTERNAL",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(node.directory / "data"),
        "auto.create.topics.enable": "false",
        "default.replication.factor": replicas,
        "min.insync.replicas": str(len(nodes) // 2 + 1),
        "offsets.topic.replication.factor": replicas,
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        **more,
    }


def command(node: Node, values: Mapping[str, str]) -> tuple[str, ...]:
    """Write a node's settings, and give the command line that runs it, for whoever keeps the process."""
    node.directory.mkdir(parents=True, exist_ok=True)
    file = node.directory / "server.properties"
    file.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
    return ("bash", str(SCRIPT), "broker", str(file), CLUSTER_ID)


def node(directory: Path, number: int = 1) -> Node:
    """A node with free ports, whose things lie below a folder."""
    return Node(number, (directory / f"kafka-{number}").resolve(), free_port(), free_port(), free_port())


def part(directory: Path) -> tuple[Part, str]:
    """A single node for a supervisor, and where it listens for clients."""
    one = node(directory)
    line = command(one, settings(one, [one], {}))
    return Part("broker", line, ready=lambda: listens(one.port), deadline_s=180.0), f"127.0.0.1:{one.port}"


@dataclass(slots=True)
class ApacheKafka:
    """A cluster of this many nodes. Use as a context manager, or call `start` and `stop`."""

    directory: Path
    count: int = 1
    more: Mapping[str, str] = field(default_factory=dict)  # settings on top of ours
    nodes: tuple[Node, ...] = ()
    _processes: dict[int, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.nodes = tuple(node(self.directory, number) for number in range(1, self.count + 1))

    @property
    def bootstrap(self) -> str:
        """HOST:PORT of every node, with commas."""
        return ",".join(f"127.0.0.1:{one.port}" for one in self.nodes)

    @property
    def pids(self) -> list[int]:
        """Process ids of the nodes that run."""
        return [process.pid for process in self._processes.values() if process.poll() is None]

    @property
    def access(self) -> Access:
        """How to reach it without a name."""
        return Access(BrokerSettings(self.bootstrap, replication=self.count, tempo=NEAR))

    def topics(self, plans: Sequence[TopicPlan]) -> Mapping[str, int]:
        """Create what is missing; partitions by topic as they are."""
        return create_topics(self.access, plans).partitions

    def start(self) -> None:
        """Run all nodes and return when each takes requests. Raises BrokerDidNotStart."""
        try:
            for one in self.nodes:
                self.launch(one.number)
            for one in self.nodes:
                self.await_ready(one.number)
        except BaseException:
            self.stop()
            raise

    def launch(self, number: int) -> None:
        """Run one node that does not run."""
        one = self.nodes[number - 1]
        line = command(one, settings(one, self.nodes, self.more))
        with _log(one).open("wb") as out:
            self._processes[number] = subprocess.Popen(
                line,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL) if sys.platform == "linux" else None,
            )

    def await_ready(self, number: int, *, deadline_s: float = 180.0) -> None:
        """Wait until a launched node takes requests. Raises BrokerDidNotStart."""
        log, process = _log(self.nodes[number - 1]), self._processes[number]
        end = time.monotonic() + deadline_s
        while READY not in log.read_bytes():
            if process.poll() is not None or time.monotonic() > end:
                raise BrokerDidNotStart(f"Kafka node {number}: {log.read_bytes()[-2000:].decode(errors='replace')}")
            time.sleep(0.05)

    def kill(self, number: int) -> None:
        """End a node at once, as a power cut would."""
        process = self._processes.pop(number)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """End all nodes, as by a power cut: a cluster whose nodes leave one by one would wait for its own quorum."""
        for number in tuple(self._processes):
            if self._processes[number].poll() is None:
                self.kill(number)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _log(node: Node) -> Path:
    return node.directory / "kafka.log"
