"""What a host costs a scorer: octets that it keeps of it, and CPU time of a tick in which many are active.

Writes bench/state.json; asserts no speed and no size. Medians of CPU time of this process, which has one thread; octets
are the growth of its resident memory from before the first host was heard, divided by hosts: allocator, tables that
have room to grow and whatever else is held are in it. CORDON_QUICK leaves the million hosts out.

A host is heard at its own port with traffic out and in, one peer and one port a tick. `active` of all hosts are heard
in each tick, drawn anew each time: in four seconds most of a million are heard once or twice. The checkpoint is of all
that were ever heard: the largest there can be.
"""

import gc
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from numpy.typing import NDArray

from controller.domain.address import HostKey
from controller.domain.estate import Estate
from controller.domain.rulebook import Rulebook, Scoring
from streams import keys
from streams.messages import Body, encode
from streams.rows import NCOL, Col, Rows
from streams.score import Scorer
from tests.streams.world import EDGE, START, TICK, site

BENCH = Path(__file__).parents[2] / "bench" / "state.json"
ORIGIN, TICKS = "flows/0", 20
SIZES = ((1_000, 1_000), (10_000, 10_000), (100_000, 100_000), (1_000_000, 0), (1_000_000, 100_000))


def host_keys(count: int) -> NDArray[np.bytes_]:
    """Keys of hosts, and every fourth an attachment, as a site has both."""
    exporter = ip_address(EDGE)
    return keys.key_array(
        keys.attachment_key(exporter, number)
        if number % 4 == 3
        else keys.key_of_subject(HostKey(ip_address(0x0A00_0000 + number)))
        for number in range(count)
    )


class Site:
    """Activity of some hosts in one tick after another, and the scorer that hears it."""

    def __init__(self, hosts: int) -> None:
        self.keys = host_keys(hosts)
        self.draw = np.random.default_rng(1)
        rules = Rulebook(1, scoring=replace(Scoring(), max_hosts=hosts))
        self.scorer = Scorer(Estate(site()), rules, partition=0, partitions=1, inputs=(ORIGIN,))
        self.tick = START // TICK

    def heard(self, chosen: NDArray[np.int64]) -> tuple[float, float]:
        """Let these hosts be heard in a tick; CPU seconds of taking it in and of closing it."""
        body = self._body(chosen)
        begin = time.process_time()
        self.scorer.apply(body, origin=ORIGIN)
        middle = time.process_time()
        self.scorer.mark(ORIGIN, (self.tick + 1) * TICK)
        end = time.process_time()
        self.tick += 1
        return middle - begin, end - middle

    def _body(self, chosen: NDArray[np.int64]) -> bytes:
        some, draw = len(chosen), self.draw
        counts = np.zeros((some, NCOL), np.int64)
        counts[:, Col.PACKETS] = counts[:, Col.SAMPLES] = draw.integers(1, 100, some)
        counts[:, Col.BYTES] = counts[:, Col.PACKETS] * draw.integers(60, 1500, some)
        counts[:, Col.FLOWS] = 1
        counts[:, Col.PROBES] = draw.integers(0, 2, some)
        counts[:, Col.SMALL] = counts[:, Col.PACKETS] // 3
        counts[:, Col.PACKETS_IN] = counts[:, Col.TALK_IN] = counts[:, Col.PACKETS] // 2
        counts[:, Col.BYTES_IN] = counts[:, Col.PACKETS_IN] * 200
        each = np.arange(some, dtype=np.int32)
        rows = Rows(
            key=self.keys[chosen],
            exporter=np.zeros(some, np.int32),
            tick=np.full(some, self.tick),
            span=np.ones(some, np.int32),
            vantage=np.full(some, 2, np.int8),
            flags=np.zeros(some, np.int8),
            interface=chosen % 4096,
            mac=np.zeros(some, np.int64),
            first_ns=self.tick * TICK + draw.integers(0, TICK, some),
            counts=counts,
            peer_row=each,
            peer=draw.integers(0, 256, (some, 16)).astype(np.uint8).view("S16")[:, 0],
            peer_bytes=counts[:, Col.BYTES],
            bit_row=np.repeat(each, 2),
            bit=np.stack((draw.integers(0, 256, some), draw.integers(256, 512, some)), axis=1).ravel().astype(np.int16),
        )
        return encode(Body("flows", [(self.tick, some)], [EDGE]), rows)


def resident() -> int:
    """Octets of this process that are in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measured(hosts: int, active: int) -> dict[str, float]:
    """Figures of one size, in a process of its own."""
    scene = Site(hosts)
    before = resident()
    for first in range(0, hosts, 100_000):
        scene.heard(np.arange(first, min(first + 100_000, hosts)))
    spent = [scene.heard(np.sort(scene.draw.choice(hosts, active, replace=False))) for _ in range(TICKS * (active > 0))]
    if not active:
        # Silent for two windows of baselines: what is left is what is kept of an idle host.
        scene.tick += 80
        scene.heard(np.arange(1))
    figures = {"octets_per_host": (resident() - before) / hosts}
    if spent:
        begin = time.process_time()
        saved = scene.scorer.changed()
        figures |= {
            "apply_ms": median(one for one, _ in spent) * 1e3,
            "close_ms": median(one for _, one in spent) * 1e3,
            "checkpoint_ms": (time.process_time() - begin) * 1e3,
            "checkpoint_octets": sum(len(state) for _, state in saved),
        }
    return {name: round(figure, 1) for name, figure in figures.items()}


@pytest.mark.parametrize(("hosts", "active"), SIZES)
def test_cpu_time_and_memory_of_hosts(hosts: int, active: int) -> None:
    if hosts > 100_000 and os.environ.get("CORDON_QUICK"):
        pytest.skip("a million hosts: CORDON_QUICK is set")
    # Memory of one size must not be what another has left behind.
    ran = subprocess.run(
        [sys.executable, "-m", "tests.perf.test_state", str(hosts), str(active)],
        capture_output=True, text=True, check=True, cwd=BENCH.parents[1],
    )  # fmt: skip
    told = json.loads(BENCH.read_text()) if BENCH.exists() else {}
    told[f"{hosts} hosts, {active} active"] = json.loads(ran.stdout)
    BENCH.parent.mkdir(exist_ok=True)
    BENCH.write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measured(*map(int, sys.argv[1:]))))
