"""`make bench-streams`: what a CPU-second does, format by format, beside its peers; writes bench/streams.json.

Exits 1 only when it could not measure. QUICK=1 takes less than two minutes: some formats, few rates, small
crowds, and what the time does not suffice for is left out. ARGS="netflow5 syslog" measures these formats alone,
ARGS="state scale frames" these questions.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from deploy.apache import ApacheKafka, fetch, missing
from deploy.broker import BrokerDidNotStart
from deploy.lab.measured import BENCH, said_version, write
from deploy.lab.race.fastnetmon import PROGRAM
from deploy.lab.rates import figures, peers, plots, scaling
from deploy.lab.rates.crowd import HOSTS
from deploy.lab.rates.figures import Step
from deploy.lab.rates.rig import NotMeasured, Rig, rig
from deploy.supervisor import DidNotStart, python

FIRST: Mapping[str, float] = MappingProxyType(
    {
        "netflow5": 500_000.0,
        "netflow9": 500_000.0,
        "ipfix": 500_000.0,
        "sflow": 150_000.0,
        "goflow2_json": 50_000.0,
        "pmacct_json": 50_000.0,
        "syslog": 20_000.0,
    }
)
"""Records a second that FastNetMon begins with; a fifth of it for us, who find out what is held."""

RIGS = (("netflow5", "netflow9", "ipfix", "sflow"), ("goflow2_json",), ("pmacct_json",), ("syslog",))
"""Formats that one topic carries are measured one after the other on the same processes."""

QUESTIONS = ("frames", "scale", "state")
GUARDED = ("netflow5", "netflow9", "sflow")
"""What FastNetMon hears too."""

KEPT = ("netflow5", "netflow9")
"""Of these, formats whose flows it keeps: it is given the same ones again and again as well, which costs it least."""

QUICKLY = ("netflow5", "sflow", "goflow2_json", "syslog")

WARM_S, IDLE_S = 2.0, 3.0
DRAINED_S = 15.0
"""How long one worker should take for what was piled up for it."""

MOST_DRAINED = 10_000_000
"""Records that are piled up at most: half a gigabyte."""

ACTIVE = 100_000
"""Hosts that speak in one tick, at most: the others of a million are known, and silent."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How thoroughly to measure."""

    seconds: float  # of a step
    most: int  # steps of a format
    peer: tuple[float, ...]  # rates for FastNetMon, in first steps
    lines: int  # for fail2ban
    kinds: tuple[str, ...]
    hosts: tuple[int, ...]
    questions: tuple[str, ...]
    warm_s: float  # of traffic before anything is measured
    limit_s: float  # after which nothing more is begun


CROWDS = (1_000, 10_000, 100_000, 1_000_000)
FULL = Extent(8.0, 10, (1.0, 1.5, 2.0), 100_000, tuple(FIRST), CROWDS, QUESTIONS, 20.0, 2_700.0)
QUICK = Extent(2.5, 2, (1.0,), 20_000, QUICKLY, (1_000, 10_000), ("state",), 0.0, 75.0)


@dataclass(frozen=True, slots=True)
class Bench:
    """One run."""

    kafka: ApacheKafka
    folder: Path
    extent: Extent
    end_s: float

    def warm(self) -> None:
        """Let the broker become as fast as it is: its code is compiled while it runs, on the cores that others need."""
        if self.extent.warm_s:
            with rig(self.kafka, self.folder / "warm", "netflow5") as one:
                one.step("netflow5", rate=2 * FIRST["netflow5"], seconds=self.extent.warm_s)

    def formats(self, kinds: Sequence[str]) -> dict[str, Any]:
        """Rates of formats that share a topic; of the first one at least."""
        found: dict[str, Any] = {}
        with rig(self.kafka, self.folder / kinds[0], kinds[0]) as one:
            for kind in kinds:
                if found and self.over:
                    break
                one.step(kind, rate=FIRST[kind] / 10, seconds=WARM_S)
                idle = one.idle(IDLE_S)
                measure = partial(self._step, one, kind)
                steps = figures.ramp(measure, first=FIRST[kind] / 5, most=self.extent.most)
                found[kind] = figures.of_steps(steps) | {"idle_cores": idle}
        for kind, one in found.items():
            if kind != "syslog":
                one["fastnetmon_records_per_cpu_s"] = self._peer(kind)
            if kind in KEPT:
                one["fastnetmon_same_flows_records_per_cpu_s"] = self._peer(kind, again=True)
        return found

    def syslog(self) -> dict[str, Any]:
        """Lines of sshd and of a firewall, a datagram each, beside fail2ban-regex, which reads sshd's from a file."""
        of = self.formats(("syslog",))["syslog"]
        there = peers.fail2ban_there()
        theirs = peers.by_fail2ban(self.folder / "fail2ban", lines=self.extent.lines) if there else None
        _say(f"{'fail2ban':<14} {theirs} lines a CPU-second")
        lines = {name.replace("records", "lines"): value for name, value in of.items()}
        return {"lines_per_cpu_s": lines.pop("lines_per_cpu_s"), "fail2ban_lines_per_cpu_s": theirs} | lines

    def _peer(self, kind: str, *, again: bool = False) -> int | None:
        """Records of a kind that a CPU-second of FastNetMon takes in; None where it does not know them."""
        if kind not in GUARDED or not peers.fastnetmon_there():
            return None
        rates = [FIRST[kind] * factor for factor in self.extent.peer]
        flows = "the same flows" if again or kind not in KEPT else "new flows"
        home = self.folder / f"fastnetmon-{kind}-{again}"
        steps = peers.by_fastnetmon(kind, home, rates=rates, seconds=self.extent.seconds, again=again)
        for step in steps:
            _say(f"{'fastnetmon':<14} {kind}, {flows}: {step}")
        return max(step.per_cpu_s for step in steps)

    def _step(self, one: Rig, kind: str, rate: float) -> Step:
        step = one.step(kind, rate=rate, seconds=self.extent.seconds)
        _say(f"{kind:<14} {figures.told(step)}")
        return step

    @property
    def over(self) -> bool:
        """True when nothing more should be begun."""
        return time.monotonic() > self.end_s

    def state(self) -> dict[str, Any]:
        """What hosts cost: the figures of `hosts`, by how many there are."""
        ticks: dict[str, float] = {}
        each = everyone = 0
        for count in self.extent.hosts:
            if self.over:
                break
            command = python("-m", "deploy.lab.rates.hosts", str(count), str(min(count, ACTIVE)))
            done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            if done.returncode:
                raise NotMeasured(f"{count} hosts: status {done.returncode}")
            said = json.loads(done.stdout)
            ticks[str(count)], each, everyone = said["tick_ms"], said["bytes_per_key"], said["bytes_per_key_all"]
            _say(f"{'state':<14} {count} hosts {said}")
        return {
            "hosts": int(max(ticks, key=int, default="0")),
            "active_at_most": ACTIVE,
            "bytes_per_key": each,
            "bytes_per_key_all": everyone,
            "bytes_per_host": 2 * each,
            "tick_ms": ticks,
        }

    def frames(self) -> dict[str, Any]:
        """What frames of several sizes cost."""
        return scaling.by_frame(self.kafka, self.folder, seconds=self.extent.seconds)

    def scale(self, capacity: float) -> dict[str, Any]:
        """One worker and two, and one of two killed; one worker can do about so many records a second."""
        found: dict[str, Any] = {}
        for workers, name in ((1, "one_worker"), (2, "two_workers")):
            records = int(min(MOST_DRAINED, capacity * DRAINED_S))
            taken = scaling.drained(self.kafka, self.folder, workers=workers, records=records)
            found[name] = round(taken.per_s)
            found[f"{name}_cpu_s_a_million"] = list(taken.shares)
            _say(f"{name:<14} {taken.per_s:.0f} records a second, {taken.shares} CPU-seconds a million")
        return found | scaling.killed(self.kafka, self.folder, rate=FIRST["pmacct_json"] / 4, seconds=25.0)


def main(chosen: Sequence[str]) -> int:
    """Measure, and say where the figures are."""
    extent = QUICK if os.environ.get("QUICK") else FULL
    end_s = time.monotonic() + extent.limit_s
    document: dict[str, Any] = {}
    try:
        with tempfile.TemporaryDirectory(prefix="cordon-rates-") as name, _kafka(Path(name) / "kafka") as kafka:
            _measure(Bench(kafka, Path(name), extent, end_s), document, chosen)
    except (NotMeasured, DidNotStart, BrokerDidNotStart, ChildProcessError, TimeoutError, OSError) as error:
        sys.stderr.write(f"not measured: {error}\n")
        if not document:
            return 1
        document["incomplete"] = str(error)
    versions = {
        "fastnetmon": said_version((PROGRAM, "--version")),
        "fail2ban": said_version((peers.FAIL2BAN, "--version")),
    }
    document["crowd"] = {"hosts": HOSTS, "seconds_a_step": extent.seconds}
    path = write("streams", document, at=datetime.fromtimestamp(_wall_s(), UTC), versions=versions)
    _say(f"{path}, and {', '.join(one.name for one in plots.draw(document, BENCH))}")
    return 1 if "incomplete" in document else 0


def _measure(bench: Bench, document: dict[str, Any], chosen: Sequence[str]) -> None:
    """Fill the document part by part, so that what was measured stands in it whatever comes after."""
    wanted = set(chosen or (*bench.extent.kinds, *bench.extent.questions))
    if "state" in wanted:
        document["state"] = bench.state()
    if wanted.intersection(FIRST):
        bench.warm()
    for kinds in RIGS:
        asked = [kind for kind in kinds if kind in wanted]
        if asked and not bench.over:
            document |= {"syslog": bench.syslog()} if asked == ["syslog"] else bench.formats(asked)
    five = document.get("netflow5", {}).get("loss_free_records_per_s") or FIRST["netflow5"] / 5
    capacity = document.get("netflow5", {}).get("worker_records_per_cpu_s")
    questions: Mapping[str, Callable[[], dict[str, Any]]] = {
        "scale": partial(bench.scale, capacity or five),
        "frames": bench.frames,
    }
    for name, ask in questions.items():
        if name in wanted and not bench.over:
            document[name] = ask()
    if left := sorted(wanted - document.keys()):
        document["left_out"] = left
        _say(f"the time was up before {', '.join(left)}")


def _kafka(folder: Path) -> ApacheKafka:
    """An Apache Kafka that was not started yet. Raises NotMeasured where this machine cannot run one."""
    if why := missing() or fetch():
        raise NotMeasured(why)
    return ApacheKafka(folder)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _wall_s() -> float:
    return time.time()  # noqa: TID251 - a measurement is dated by the wall clock


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
