"""`make bench-streams`: what a CPU-second does, format by format, beside its peers; writes bench/streams.json.

Exits 1 only when it could not measure. QUICK=1 takes less than two minutes and leaves out what takes long.
"""

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from deploy.apache import ApacheKafka, fetch, missing
from deploy.broker import BrokerDidNotStart
from deploy.lab.measured import write
from deploy.lab.rates import figures, peers
from deploy.lab.rates.figures import Step
from deploy.lab.rates.rig import NotMeasured, Rig, rig
from deploy.supervisor import DidNotStart

FIRST = {
    "netflow5": 600_000.0,
    "netflow9": 500_000.0,
    "ipfix": 500_000.0,
    "sflow": 150_000.0,
    "goflow2_json": 50_000.0,
    "pmacct_json": 50_000.0,
    "syslog": 20_000.0,
}
"""Records a second of the first step."""

RIGS = (("netflow5", "netflow9", "ipfix", "sflow"), ("goflow2_json",), ("pmacct_json",), ("syslog",))
"""Formats that one topic carries are measured one after the other on the same processes."""

PEERS = ("netflow5", "netflow9", "sflow")

WARM_S = 3.0


@dataclass(frozen=True, slots=True)
class Extent:
    """How thoroughly to measure."""

    seconds: float  # of a step
    most: int  # steps of a format
    peer: tuple[float, ...]  # steps of FastNetMon, in first steps
    limit_s: float


FULL, QUICK = Extent(8.0, 8, (1.0, 1.5, 2.0), 3_000.0), Extent(3.0, 2, (1.0,), 110.0)


@dataclass(frozen=True, slots=True)
class Bench:
    """One run."""

    kafka: ApacheKafka
    folder: Path
    extent: Extent
    end_s: float

    def formats(self, kinds: Sequence[str]) -> dict[str, Any]:
        """Rates of formats that share a topic."""
        found: dict[str, Any] = {}
        with rig(self.kafka, self.folder / kinds[0], kinds[0]) as one:
            for kind in kinds:
                one.step(kind, rate=FIRST[kind] / 4, seconds=WARM_S)
                measure = partial(self._step, one, kind)
                steps = figures.ramp(measure, first=FIRST[kind], most=self.extent.most)
                found[kind] = figures.of_steps(steps, peer=self._peer(kind))
        return found

    def _peer(self, kind: str) -> int | None:
        """Records of a kind that a CPU-second of FastNetMon takes in; None where it does not know them."""
        if kind not in PEERS or not peers.fastnetmon_there():
            return None
        rates = [FIRST[kind] * factor for factor in self.extent.peer]
        steps = peers.by_fastnetmon(kind, self.folder / f"fastnetmon-{kind}", rates=rates, seconds=self.extent.seconds)
        for step in steps:
            _say(f"{'fastnetmon':<14} {kind} {step}")
        return max(step.per_cpu_s for step in steps)

    def _step(self, one: Rig, kind: str, rate: float) -> Step:
        if time.monotonic() > self.end_s:
            raise NotMeasured("the time is up")
        step = one.step(kind, rate=rate, seconds=self.extent.seconds)
        _say(f"{kind:<14} {figures.told(step)}")
        return step


def main(chosen: Sequence[str]) -> int:
    """Measure, and say where the figures are."""
    extent = QUICK if os.environ.get("QUICK") else FULL
    end_s = time.monotonic() + extent.limit_s
    document: dict[str, Any] = {}
    try:
        with tempfile.TemporaryDirectory(prefix="cordon-rates-") as name, _kafka(Path(name) / "kafka") as kafka:
            bench = Bench(kafka, Path(name), extent, end_s)
            for kinds in RIGS:
                wanted = [kind for kind in kinds if not chosen or kind in chosen]
                if wanted:
                    document |= bench.formats(wanted)
    except (NotMeasured, DidNotStart, BrokerDidNotStart, OSError) as error:
        sys.stderr.write(f"not measured: {error}\n")
        return 1
    path = write("streams", document, at=datetime.fromtimestamp(time.time(), UTC))  # noqa: TID251 - dated by the wall
    _say(f"{path}")
    return 0


def _kafka(folder: Path) -> ApacheKafka:
    """An Apache Kafka that was not started yet. Raises NotMeasured where this machine cannot run one."""
    if why := missing() or fetch():
        raise NotMeasured(why)
    return ApacheKafka(folder)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
