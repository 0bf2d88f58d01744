"""What larger frames save, what a second worker adds, and what is left when one of two is killed."""

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from deploy.apache import ApacheKafka
from deploy.lab.rates import figures
from deploy.lab.rates.crowd import EXPORTERS
from deploy.lab.rates.lines import FRAME_RECORDS
from deploy.lab.rates.meter import cpu_s
from deploy.lab.rates.rig import NotMeasured, Rig, rig
from deploy.lab.rates.stencils import RECORDS

FRAMES_MS = (10, 25, 50, 100, 250)
FRAMES_PER_S = 60_000.0
"""Records a second for the question of frames: what comes in the longest of FRAMES_MS has to fit one of them."""

FILLED_PER_S = 300_000.0
KILLED_AFTER_S = 6.0
TAKES_OVER_S = 60.0
DRAINS_S = 240.0
SHARED = 4
"""Partitions that workers share, however many they are: one and two are compared on the same work."""


def by_frame(kafka: ApacheKafka, folder: Path, *, seconds: float) -> dict[str, Any]:
    """NetFlow v5 at one rate, gathered for longer and longer: records a CPU-second by milliseconds of gathering."""
    found: dict[str, Any] = {}
    for ms in FRAMES_MS:
        with rig(kafka, folder / f"frames-{ms}", "netflow5", frame_ms=ms) as one:
            one.step("netflow5", rate=FRAMES_PER_S / 4, seconds=2.0)
            step = one.step("netflow5", rate=FRAMES_PER_S, seconds=seconds)
            of = figures.of_steps([step])
            names = ("records_per_cpu_s", "listener_records_per_cpu_s", "worker_records_per_cpu_s")
            found[str(ms)] = {"records_per_frame": round(FRAMES_PER_S * ms / 1_000 / one.partitions)} | {
                n: of[n] for n in names
            }
    return found


@dataclass(frozen=True, slots=True)
class Drained:
    """What workers did with what was piled up for them."""

    per_s: float  # records a second, all together
    shares: Sequence[float]  # CPU-seconds of each worker for a million records that they took in together


def drained(kafka: ApacheKafka, folder: Path, *, workers: int, records: int) -> Drained:
    """How many workers take NetFlow v5 off a topic that was filled before they came.

    Raises NotMeasured when they are done between two heartbeats, or not at all.
    """
    with rig(kafka, folder / f"drained-{workers}", "netflow5", workers=0, partitions=SHARED) as one:
        _fill(one, records)
        for number in range(workers):
            one.worker(f"w{number}")
        seen: list[tuple[int, int]] = []  # when, and how many records were taken in
        spent: list[list[float]] = []  # CPU-seconds of each worker by then

        def done() -> bool:
            held = len(one.beats) == workers and one.on_shift()
            if held:
                seen.append((max(beat.at_ns for beat in one.beats), one.scored()))
                spent.append([cpu_s([pid]) for pid in one.workers])
            return held and one.scored() >= records

        one.until(done, deadline_s=DRAINS_S, of=f"{workers} workers to take in {records} records")
    found = figures.pace(seen, wanted=records)
    if found is None:
        raise NotMeasured(f"{workers} workers were done with {records} records at once")
    taken = (seen[-1][1] - seen[0][1]) / 1e6
    return Drained(found, [round((end - begin) / taken, 3) for begin, end in zip(spent[0], spent[-1], strict=True)])


def _fill(one: Rig, records: int) -> None:
    subprocess.run(one.sender("netflow5", FILLED_PER_S, records / FILLED_PER_S), check=True, stdout=subprocess.DEVNULL)
    one.until(lambda: one.heard().get("received", 0) * RECORDS >= records, deadline_s=30.0, of="the listener")


def killed(kafka: ApacheKafka, folder: Path, *, rate: float, seconds: float) -> dict[str, Any]:
    """Two workers, one of them killed in the midst of traffic: how soon the other has all of it, and what is amiss.

    Frames bear one exporter's records each, and are counted by exporter.
    """
    kind = "pmacct_json"
    with rig(kafka, folder / "killed", kind, workers=2, partitions=SHARED) as one:
        process = subprocess.Popen(one.sender(kind, rate, seconds), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        begun = time.monotonic()
        one.until(lambda: time.monotonic() > begun + KILLED_AFTER_S, deadline_s=60.0, of="a moment")
        one.kill("w0")
        at = time.monotonic()
        one.until(one.on_shift, deadline_s=TAKES_OVER_S, of="the other worker to take over")
        took = time.monotonic() - at
        one.until(lambda: process.poll() is not None, deadline_s=seconds + 30.0, of="the sender")
        said, _ = process.communicate()
        if process.returncode:
            raise NotMeasured(f"the sender ended with status {process.returncode}")
        frames = int(json.loads(said)["datagrams"])
        one.rest(wanted=frames * FRAME_RECORDS)
        got = {address: beat.exporters[address]["records"] for beat in one.beats for address in beat.exporters}
    return {"failover_s": round(took, 2), "frames": frames} | balance(frames, got)


def balance(frames: int, records: Mapping[str, int]) -> dict[str, int]:
    """Frames that are missing, and that were counted twice, where the exporters took turns; each frame is full."""
    lost = doubled = 0
    for number, address in enumerate(EXPORTERS):
        sent = len(range(number, frames, len(EXPORTERS)))
        amiss = records.get(address, 0) / FRAME_RECORDS - sent
        lost, doubled = lost + max(0, ceil(-amiss)), doubled + max(0, ceil(amiss))
    return {"frames_lost": lost, "frames_doubled": doubled}
