"""`make bench-isolation`: floods in the lab, Cordon and FastNetMon in turn against them; writes bench/isolation.json.

Exits 1 only when it could not measure. QUICK=1 takes two minutes and few runs.
"""

import hashlib
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from controller.domain import wire
from deploy.apache import ApacheKafka, fetch, missing
from deploy.broker import BrokerDidNotStart
from deploy.lab.measured import said_version, write
from deploy.lab.net.aside import Attack
from deploy.lab.net.floods import KINDS
from deploy.lab.net.lab import Lab, Wishes
from deploy.lab.net.namespaces import LabError
from deploy.lab.net.sites import FLOW_TOPIC, LOG_TOPIC, TICK_MS
from deploy.lab.race import figures
from deploy.lab.race.fastnetmon import DEFAULT_AVERAGE_S, PROGRAM
from deploy.lab.race.runs import Run, by_cordon, by_fastnetmon, cordon
from deploy.supervisor import DidNotStart
from streams.broker import Access, BrokerSettings
from streams.publish import delete_topics

OURS, THEIRS = 6343, 6344
ORIGINS = ("d1", "d2", "d3", "d4")
QUICKLY, FULLY = 2, 20
LIMIT_S = 3_000.0
QUICK_S = 110.0
FINE, COARSE = 4, 1_024
LOW, NORMAL_PPS = "low-rate", 5.0
LEARNED_S, LEARNING_S = 30.0, 60.0
"""How old a normal has to be in that race (elsewhere four hours), and how long the host behaves as usual."""


@dataclass(slots=True)
class Race:
    """One race: a folder for what the contestants write, a draw for the phases, an end.

    `broker` is where Cordon's streams run, made empty before each run: HOST:PORT, or nothing for the embedded one.
    """

    folder: Path
    broker: str
    draw: random.Random
    end_s: float
    ours: list[Run] = field(default_factory=list)
    shipped: list[Run] = field(default_factory=list)
    tuned: list[Run] = field(default_factory=list)
    _count: int = 0

    @property
    def over(self) -> bool:
        """True when the time is up."""
        return time.monotonic() > self.end_s

    def place(self) -> Path:
        """A fresh folder."""
        self._count += 1
        return self.folder / str(self._count)

    def cordon(self, lab: Lab, *, attack: str, origin: str) -> Run:
        """One run of Cordon, started for it and stopped after it: nothing is known of before."""
        with cordon(lab, self.place(), broker=self.broker) as one:
            run = by_cordon(lab, one, attack=attack, origin=origin, draw=self.draw)
            one.release(lab.plan.by_name[origin])
        if self.broker:
            forget(self.broker)
        return self._told(f"cordon {attack}", run)

    def low_rate(self, lab: Lab) -> Run:
        """One run against a host that stays below every fixed limit; its normal is learned first."""
        with cordon(lab, self.place(), broker=self.broker) as one:
            with Attack(lab, LOW, pps=NORMAL_PPS, seconds=LEARNING_S) as normal:
                normal.wait()
            run = by_cordon(lab, one, attack=LOW, origin=KINDS[LOW].origin, draw=self.draw)
            one.release(lab.plan.by_name[KINDS[LOW].origin])
        return self._told(f"cordon {LOW}", run)

    def peer(self, lab: Lab, *, average_s: int, origin: str) -> Run:
        """One run of FastNetMon."""
        run = by_fastnetmon(lab, self.place(), average_s=average_s, origin=origin, port=THEIRS, draw=self.draw)
        return self._told(f"fastnetmon {average_s} s", run)

    def rounds(self, lab: Lab, *, wanted: int, peers: bool) -> None:
        """Paired runs, the contestants in turn, until there are enough or the time is up."""
        for number in range(wanted):
            if self.over:
                return
            origin = ORIGINS[number % len(ORIGINS)]
            self.ours.append(self.cordon(lab, attack="saturation", origin=origin))
            if peers:
                self.shipped.append(self.peer(lab, average_s=DEFAULT_AVERAGE_S, origin=origin))
                self.tuned.append(self.peer(lab, average_s=1, origin=origin))

    def _told(self, who: str, run: Run) -> Run:
        took = "not stopped" if run.stopped_s is None else f"{run.stopped_s:.2f} s"
        _say(f"{who:<22} {took:>12}  {run.through:>6} packets through  {dict(run.stages_ms) or ''}")
        return run


def main() -> int:
    """Measure, and say where the figures are."""
    quick = bool(os.environ.get("QUICK"))
    began = time.monotonic()
    end_s = began + (QUICK_S if quick else LIMIT_S)
    wanted = QUICKLY if quick else FULLY
    draw = random.Random(7)
    peers = Path(PROGRAM).exists()
    if not peers:
        _say(f"{PROGRAM} is not there: Cordon runs alone")
    document: dict[str, Any] = {}
    try:
        with tempfile.TemporaryDirectory(prefix="cordon-race-") as name:
            folder = Path(name)
            with Lab(Wishes(sflow_ports=(OURS, THEIRS))) as lab, apache(folder / "kafka") as broker:
                main_race = Race(folder / "apache", broker, draw, end_s)
                main_race.rounds(lab, wanted=wanted, peers=peers)
                alone = {} if quick else _alone(main_race, lab)
            if not quick:
                with Lab(Wishes(sflow_ports=(OURS, THEIRS), sampling=FINE, learned_s=LEARNED_S)) as lab:
                    alone["low_rate_s"] = Race(folder / "normal", "", draw, end_s).low_rate(lab).stopped_s
            with Lab(Wishes(sflow_ports=(OURS, THEIRS))) as lab:
                near = Race(folder / "embedded", "", draw, end_s)
                near.rounds(lab, wanted=1 if quick else wanted, peers=False)
                digest = hashlib.sha256(lab.policy.read_bytes()).hexdigest()
            coarse = Race(folder / "coarse", "", draw, end_s)
            if not quick:
                with Lab(Wishes(sflow_ports=(OURS, THEIRS), sampling=COARSE)) as lab:
                    coarse.rounds(lab, wanted=wanted // 2, peers=False)
            document = _document(main_race, near, coarse, alone) | {"policy_sha256": digest}
    except (LabError, DidNotStart, BrokerDidNotStart, TimeoutError, OSError) as error:
        sys.stderr.write(f"not measured: {error}\n")
        return 1
    versions = {"fastnetmon": said_version((PROGRAM, "--version")), "openvswitch": said_version(("ovs-vsctl", "-V"))}
    path = write("isolation", document, at=datetime.fromtimestamp(_wall_s(), UTC), versions=versions)
    _say(f"{path}: median {document['cordon']['median_s']} s")
    return 0


@contextmanager
def apache(folder: Path) -> Iterator[str]:
    """An Apache Kafka, told by where it answers. Raises DidNotStart where this machine cannot run one."""
    if why := missing() or fetch():
        raise DidNotStart(why)
    with ApacheKafka(folder) as kafka:
        yield kafka.access.settings.bootstrap


def forget(broker: str) -> None:
    """Delete all of Cordon's topics."""
    topics = wire.topics((FLOW_TOPIC, LOG_TOPIC))
    delete_topics(Access(BrokerSettings(broker)), [plan.name for plan in topics])


def _alone(race: Race, lab: Lab) -> dict[str, float | None]:
    """What a peer that looks at bits and packets of the outside alone never sees."""
    return {
        "east_west_s": race.cordon(lab, attack="east-west", origin="d1").stopped_s,
        "fragments_s": race.cordon(lab, attack="fragments", origin="s2").stopped_s,
    }


def _document(race: Race, near: Race, coarse: Race, alone: dict[str, float | None]) -> dict[str, Any]:
    return {
        "low_rate_learned_s": LEARNED_S,
        "low_rate_sampling": FINE,
        "tick_ms": TICK_MS,
        "runs": len(race.ours),
        "broker": "apache",
        "cordon": figures.of_cordon(race.ours),
        "fastnetmon_default": figures.spread(race.shipped),
        "fastnetmon_tuned": figures.spread(race.tuned),
        "ratio_median_default": figures.ratio(race.ours, race.shipped),
        "ratio_median_tuned": figures.ratio(race.ours, race.tuned),
        "ratios_default": figures.pairs(race.ours, race.shipped),
        "ratios_tuned": figures.pairs(race.ours, race.tuned),
        "bystander_packets_lost": figures.lost({"apache": race.ours, "embedded": near.ours, "coarse": coarse.ours}),
        "only_cordon": alone,
        "embedded": figures.of_cordon(near.ours),
        "sampling_1024": figures.of_cordon(coarse.ours),
    }


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _wall_s() -> float:
    return time.time()  # noqa: TID251 - a measurement is dated by the wall clock


if __name__ == "__main__":
    sys.exit(main())
