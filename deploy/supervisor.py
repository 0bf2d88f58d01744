"""Starts processes, waits until each is ready, keeps them running, and ends them all in reverse order.

Every process has a process group of its own, a log file in the run directory, and, on Linux, dies with its supervisor.
One that exits or stalls is started again, later each time. Nothing here knows what the processes do.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

PR_SET_PDEATHSIG = 1
LOG_TAIL = 2_000
LAST_WORDS = 300
LOOK_S = 0.02


class DidNotStart(RuntimeError):
    """A process ended before it was ready, or was not ready in time; the message holds the end of its log."""


@dataclass(frozen=True, slots=True)
class Part:
    """One process. `ready` is asked until it says yes; `alive`, when given, must go on saying yes."""

    name: str
    command: tuple[str, ...]
    ready: Callable[[], bool] = lambda: True
    deadline_s: float = 30.0
    alive: Callable[[], bool] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    talks: bool = False  # its standard input and output belong to the caller
    mortal: bool = False  # its end is in order, and it is not started again


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds before the n-th restart in a row; a process that has run for `healed_s` begins anew."""

    first_s: float = 0.5
    factor: float = 2.0
    most_s: float = 30.0
    healed_s: float = 60.0

    def wait_s(self, failures: int) -> float:
        """How long to wait after so many failures in a row, the first being 1."""
        return float(min(self.most_s, self.first_s * self.factor ** (failures - 1)))


@dataclass(slots=True)
class _Kept:
    part: Part
    process: "subprocess.Popen[bytes]"
    log: Path
    started_s: float
    failures: int = 0
    again_s: float | None = None  # when to start it again; None: it runs


class Supervisor:
    """Keeps parts running. `start` them in order, `tend` now and then, and `stop` in the end, whatever happened."""

    def __init__(
        self,
        logs: Path,
        *,
        backoff: Backoff | None = None,
        say: Callable[[str], None] = lambda _: None,
        grace_s: float = 5.0,
    ) -> None:
        self._logs, self._backoff, self._say, self._grace = logs, backoff or Backoff(), say, grace_s
        self._kept: dict[str, _Kept] = {}
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, part: Part) -> "subprocess.Popen[bytes]":
        """Run a part and return when it is ready. Raises DidNotStart."""
        kept = self.launch(part)
        self.await_ready(part.name)
        return kept

    def launch(self, part: Part) -> "subprocess.Popen[bytes]":
        """Run a part without waiting for it; `await_ready` does that."""
        log = self._logs / f"{part.name}.log"
        process = _spawn(part, log)
        self._kept[part.name] = _Kept(part, process, log, time.monotonic())
        return process

    def await_ready(self, name: str) -> None:
        """Wait for a launched part. Raises DidNotStart."""
        kept = self._kept[name]
        end = kept.started_s + kept.part.deadline_s
        while not kept.part.ready():
            if kept.process.poll() is not None:
                raise DidNotStart(f"{name} ended with status {kept.process.returncode}: {_tail(kept.log)}")
            if time.monotonic() > end:
                raise DidNotStart(f"{name} was not ready after {kept.part.deadline_s:.0f} s: {_tail(kept.log)}")
            time.sleep(LOOK_S)

    def tend(self) -> None:
        """Look at every part once: start again what has ended or stalled, when its time has come."""
        for kept in self._kept.values():
            if kept.again_s is not None:
                if time.monotonic() >= kept.again_s:
                    self._restart(kept)
            elif kept.process.poll() is not None:
                if not kept.part.mortal:
                    self._fail(kept, f"ended with status {kept.process.returncode}{_last_words(kept.log)}")
            elif kept.part.alive is not None and not kept.part.alive():
                _end(kept.process, self._grace)
                self._fail(kept, "stalled")

    def running(self, name: str) -> bool:
        """True while the part's process lives."""
        return self._kept[name].process.poll() is None

    def pids(self) -> dict[str, int]:
        """Process ids of what runs, by name."""
        return {name: kept.process.pid for name, kept in self._kept.items() if kept.process.poll() is None}

    def log(self, name: str) -> Path:
        """Where a part writes."""
        return self._kept[name].log

    def end(self, name: str) -> None:
        """Stop one part for good."""
        kept = self._kept.pop(name, None)
        if kept is not None:
            _end(kept.process, self._grace)

    def stop(self) -> None:
        """Stop everything, the last started first. Harmless when nothing runs."""
        while self._kept:
            name, _ = next(reversed(self._kept.items()))
            self.end(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _fail(self, kept: _Kept, why: str) -> None:
        now = time.monotonic()
        kept.failures = 1 if now - kept.started_s > self._backoff.healed_s else kept.failures + 1
        wait = self._backoff.wait_s(kept.failures)
        kept.again_s = now + wait
        self._say(f"{kept.part.name} {why}; starting it again in {wait:.1f} s")

    def _restart(self, kept: _Kept) -> None:
        kept.process = _spawn(kept.part, kept.log)
        kept.started_s, kept.again_s = time.monotonic(), None


def _spawn(part: Part, log: Path) -> "subprocess.Popen[bytes]":
    pipe_in: int | IO[bytes] = subprocess.PIPE if part.talks else subprocess.DEVNULL
    with log.open("ab") as out:
        return subprocess.Popen(
            part.command,
            stdin=pipe_in,
            stdout=subprocess.PIPE if part.talks else out,
            stderr=out,
            env={**os.environ, **part.environment},
            start_new_session=True,
            preexec_fn=die_with_parent() if sys.platform == "linux" else None,
        )


def die_with_parent(number: signal.Signals = signal.SIGTERM) -> Callable[[], None]:
    """What a child does between fork and exec, so that the kernel ends it with us; the library is loaded before."""
    libc, parent = ctypes.CDLL(None, use_errno=True), os.getpid()

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it died before the kernel was asked
            os._exit(1)

    return ask


def _end(process: "subprocess.Popen[bytes]", grace_s: float) -> None:
    """End a process and all of its group: asked first, killed after the grace. A group outlives its leader."""
    _signal(process, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(grace_s)
    _signal(process, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _signal(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _tail(log: Path) -> str:
    text = log.read_bytes()[-LOG_TAIL:].decode(errors="replace").strip()
    return text or "its log is empty"


def _last_words(log: Path) -> str:
    """The last line of a log, which says why a process went, as the end of a sentence."""
    lines = [line for line in log.read_bytes()[-LOG_TAIL:].decode(errors="replace").splitlines() if line.strip()]
    return f" ({lines[-1].strip()[:LAST_WORDS]})" if lines else ""


def python(*arguments: str) -> tuple[str, ...]:
    """A command line for one of our own modules, in this interpreter."""
    return (sys.executable, *arguments)
