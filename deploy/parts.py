"""The processes that Cordon is made of, each as a command line with its sign of readiness.

`cordon up` and the demonstration start the same parts: what runs in one runs in the other.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploy import broker as embedded
from deploy.supervisor import Part, python


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a run of Cordon keeps its things, and what it is started with."""

    run: Path
    site: Path
    policy: Path
    broker: str  # HOST:PORT
    ledger: str  # database URL
    known_hosts: Path
    mode: str = ""  # stricter than the policy's, when given
    broker_file: Path | None = None
    embedded: bool = True
    partitions: int = 4  # of topics that are still to be created: as many workers can share the work
    listeners: int = 1  # processes that share what comes in, at most one for each partition

    @property
    def connection(self) -> Path:
        """The file that tells other commands where the API is."""
        return self.run / "connection.toml"

    def common(self) -> tuple[str, ...]:
        """Options of every process that reads Kafka."""
        more = ("--broker-file", str(self.broker_file)) if self.broker_file else ()
        near = ("--embedded",) if self.embedded else ()
        return ("--site", str(self.site), "--policy", str(self.policy), "--broker", self.broker, *more, *near)

    def streams(self, what: str) -> tuple[str, ...]:
        """The command line of a process of the streams."""
        return python("-m", "streams", what, *self.common(), "--partitions", str(self.partitions))


def broker(port: int) -> Part:
    """The embedded broker; memory only."""
    return Part("broker", tuple(embedded.command(port)), ready=lambda: listens(port), deadline_s=20.0)


def worker(layout: Layout, *, ready: Callable[[], bool], alive: Callable[[], bool] | None = None) -> Part:
    """The streams worker. It is ready when its heartbeat was heard, which only others can tell."""
    command = layout.streams("worker")
    return Part(
        "streams", (*command, "--data-dir", str(layout.run / "worker")), ready=ready, alive=alive, deadline_s=60.0
    )


def clock(layout: Layout) -> Part:
    """Clock marks for collectors that write none."""
    return Part("clock", layout.streams("clock"))


def listener(layout: Layout) -> Part:
    """Our own ears, where the site declares `[[listeners]]`."""
    return Part("listen", (*layout.streams("listen"), "--workers", str(layout.listeners)))


def controller(layout: Layout, *, ready: Callable[[], bool]) -> Part:
    """The controller: the only process with a way to the devices."""
    mode = ("--mode", layout.mode) if layout.mode else ()
    command = python(
        "-m", "controller", *layout.common(), "--ledger", layout.ledger,
        "--known-hosts", str(layout.known_hosts), "--run-dir", str(layout.run), *mode,
    )  # fmt: skip
    return Part("controller", command, ready=ready, deadline_s=60.0)


def api(layout: Layout, *, host: str, port: int, ready: Callable[[], bool]) -> Part:
    """The HTTP interface."""
    command = python(
        "-m", "api", "--ledger", layout.ledger, "--site", str(layout.site), "--host", host, "--port", str(port),
        "--connection", str(layout.connection),
    )  # fmt: skip
    return Part("api", command, ready=ready, deadline_s=30.0)


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """True when somebody accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=0.2):
            return True
    except OSError:
        return False
