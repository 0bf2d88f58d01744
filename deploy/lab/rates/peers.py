"""What others need for the same traffic: FastNetMon for flows, fail2ban for the log lines of sshd."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.lab.race.fastnetmon import DEFAULT_AVERAGE_S, PROGRAM, FastNetMon, Guard
from deploy.lab.rates.crowd import EXPORTERS, NETWORK
from deploy.lab.rates.meter import cpu_s, dropped_at
from deploy.lab.rates.stencils import DRAWN, stencils
from deploy.ports import free_port
from deploy.supervisor import python

FAIL2BAN = "fail2ban-regex"
LINES = 100_000
NEVER_PPS = 2_000_000_000
STARTS_S = 20.0
STILL_S = 0.5


@dataclass(frozen=True, slots=True)
class PeerStep:
    """Traffic at one rate, all figures in records."""

    sent_per_s: float
    sent: int
    dropped: int
    cpu_s: float

    @property
    def per_cpu_s(self) -> int:
        """Records that a CPU-second took in."""
        return round((self.sent - self.dropped) / self.cpu_s)


def fastnetmon_there() -> bool:
    """True when it is installed."""
    return Path(PROGRAM).exists()


def by_fastnetmon(
    kind: str, home: Path, *, rates: Sequence[float], seconds: float, again: bool = False
) -> list[PeerStep]:
    """FastNetMon as it is shipped, with this crowd to guard and nobody to ban, at each rate in turn.

    It keeps connections, and much depends on whether it meets the same ones `again` and again.

    Raises TimeoutError when it does not listen, ChildProcessError when sending failed.
    """
    netflow, sflow = free_port(), free_port()
    port = sflow if kind == "sflow" else netflow
    guard = Guard((str(NETWORK),), NEVER_PPS, DEFAULT_AVERAGE_S, "127.0.0.1", sflow, ":")
    one = FastNetMon(guard, home)
    with (home / "settings").open("a") as more:
        more.write(f"netflow = on\nnetflow_host = 127.0.0.1\nnetflow_port = {netflow}\nnetflow_sampling_ratio = 1\n")
    steps = []
    with one:
        _await_port(one, port)
        sent = _send(kind, port, rate=rates[0] / 4, seconds=1.0, before=0, again=again)
        for rate in rates:
            _pause()
            cpu, dropped = cpu_s([one.pid]), dropped_at(port) or 0
            said = _send(kind, port, rate=rate, seconds=seconds, before=int(sent["datagrams"]), again=again)
            _pause()
            sent["datagrams"] += said["datagrams"]
            lost = ((dropped_at(port) or 0) - dropped) * DRAWN[kind].records
            rate = said["records"] / said["seconds"]
            steps.append(PeerStep(rate, int(said["records"]), lost, cpu_s([one.pid]) - cpu))
    return steps


def _await_port(one: FastNetMon, port: int) -> None:
    end = time.monotonic() + STARTS_S
    while dropped_at(port) is None:
        if not one.running or time.monotonic() > end:
            raise TimeoutError(f"FastNetMon does not listen on {port}: {one.log[-500:]}")
        _pause()


def _send(kind: str, port: int, *, rate: float, seconds: float, before: int, again: bool) -> dict[str, float]:
    said = (kind, str(port), str(rate), str(seconds), str(before), *(["again"] if again else []))
    command = python("-m", "deploy.lab.rates.sender", *said)
    done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    if done.returncode:
        raise ChildProcessError(f"the sender of {kind} ended with status {done.returncode}")
    told: dict[str, float] = json.loads(done.stdout)
    return told


def fail2ban_there() -> bool:
    """True when it is installed."""
    return shutil.which(FAIL2BAN) is not None


def by_fail2ban(folder: Path, *, lines: int = LINES) -> int:
    """Lines that a CPU-second of fail2ban-regex with its shipped filter for sshd takes in, its start left out.

    Raises ChildProcessError when it has not read every line.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return round((lines - 1) / (_fail2ban(folder, lines) - _fail2ban(folder, 1)))


def _fail2ban(folder: Path, count: int) -> float:
    """Seconds of CPU for so many lines."""
    file = folder / f"auth-{count}.log"
    file.write_bytes(b"\n".join(sshd_lines(count)) + b"\n")
    before = os.times()
    done = subprocess.run([FAIL2BAN, str(file), "sshd"], capture_output=True, check=False, stdin=subprocess.DEVNULL)
    after = os.times()
    if done.returncode or f"Lines: {count} lines".encode() not in done.stdout:
        raise ChildProcessError(f"{FAIL2BAN}: {done.stdout[-300:].decode()} {done.stderr[-300:].decode()}")
    return after.children_user + after.children_system - before.children_user - before.children_system


def sshd_lines(count: int) -> list[bytes]:
    """What exporters send of sshd as syslog, as a file holds it: without the priority."""
    lines = (
        bytes(row[: int(length)]).partition(b">")[2]
        for stencil in stencils("syslog", len(EXPORTERS))
        for row, length in zip(stencil.octets, stencil.lengths, strict=True)
    )
    pool = [line for line in lines if b"sshd[" in line]
    return [pool[number % len(pool)] for number in range(count)]


def _pause() -> None:
    time.sleep(STILL_S)
