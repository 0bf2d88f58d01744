"""What hosts cost the scorer: memory of each, and the time of a tick, by how many there are. A process of its own.

`python -m deploy.lab.rates.hosts HOSTS ACTIVE` says on standard output, as JSON, `bytes_per_key` (growth of this
process's resident memory by subject, when ACTIVE of them, always the same, have spoken in every tick for longer than
the windows last), `bytes_per_key_all` (the same when it is others in every tick, so that most stand in a window), and
`tick_ms` (CPU time of taking in the activity of a tick in which ACTIVE of the hosts, drawn anew, speak, and of closing
it; the median of some). Traffic is charged to a host or to its attachment, never to both: a
host of which both were heard has two keys, and costs twice what one does.
"""

import ctypes
import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from ipaddress import IPv4Network, ip_address
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from controller.domain.address import packed
from controller.domain.estate import Device, Estate, Site, Source, SourceFormat
from controller.domain.rulebook import Rulebook
from deploy.lab.rates.stencils import RECORDS, five_from
from streams.activity import Combiner
from streams.decode import received
from streams.decode.datagrams import frame
from streams.score import Scorer

FIRST = "10.0.0.0"
SOURCE = Source("rates", SourceFormat.DATAGRAMS)
TICK_NS = 250_000_000
START_NS = 1_700_000_000_000_000_000
TICKS = 20
SETTLED = 60
"""Ticks: more than a window of baselines, at whose end views that have fallen silent make room."""

ORIGIN = "rates/0"
SWITCHES = 64
AT_ONCE = 500
"""Datagrams of a frame, which then is no larger than a message may be."""


def address(switch: int) -> str:
    """Where a switch exports from."""
    return f"192.0.2.{switch + 1}"


def resident() -> int:
    """Octets of memory that this process holds, without what is free in it and kept for later."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Crowd:
    """A scorer, and hosts of whom each tick some speak, each in one record of NetFlow v5 by its own port."""

    def __init__(self) -> None:
        devices = tuple(
            Device(f"sw{at}", "cisco_ios", ip_address(address(at)), exporter=ip_address(address(at)))
            for at in range(SWITCHES)
        )
        site = Site(
            version=1,
            name="rates",
            prefixes=(IPv4Network("10.0.0.0/8"),),
            devices=devices,
            sources=(SOURCE,),
        )
        estate, rules = Estate(site), Rulebook(1)
        self._combiner = Combiner(estate, rules, partitions=1)
        self._scorer = Scorer(estate, rules, partition=0, partitions=1, inputs=(ORIGIN,), digest="rates")
        self._now = START_NS

    def tick(self, hosts: NDArray[np.int64]) -> float:
        """Let these speak; seconds of CPU that the scorer took."""
        bodies = [self._combiner.frame(one, source=SOURCE, kafka_ns=self._now).bodies[0] for one in self._frames(hosts)]
        self._now += TICK_NS
        before = time.process_time()
        for body in bodies:
            self._scorer.apply(body, origin=ORIGIN)
        self._scorer.mark(ORIGIN, self._now)
        return time.process_time() - before

    def _frames(self, hosts: NDArray[np.int64]) -> Iterator[bytes]:
        """Host n is on port n // SWITCHES + 1 of switch n % SWITCHES; a datagram that is not full says some twice."""
        senders: list[int] = []
        data: list[bytes] = []
        for switch in np.unique(hosts % SWITCHES).tolist():
            mine = hosts[hosts % SWITCHES == switch]
            full = np.resize(mine, -(-len(mine) // RECORDS) * RECORDS)
            octets = five_from(full + int(ip_address(FIRST)), full // SWITCHES + 1, seconds=self._now // 1_000_000_000)
            data += [row.tobytes() for row in octets]
            senders += [switch] * len(octets)
        names = [packed(ip_address(address(switch))) for switch in range(SWITCHES)]
        for start in range(0, len(data), AT_ONCE):
            some = data[start : start + AT_ONCE]
            yield frame(names, senders[start : start + AT_ONCE], [self._now] * len(some), some)


def main() -> None:
    """Make all hosts known, then measure ticks."""
    count, active = int(sys.argv[1]), int(sys.argv[2])
    received.prepare()
    everybody = np.arange(count, dtype=np.int64)
    draw = np.random.default_rng(1)
    crowd = Crowd()
    crowd.tick(everybody[:RECORDS])
    before = resident()
    for start in range(0, count, active):
        crowd.tick(everybody[start : start + active])
    some = np.sort(draw.choice(everybody, active, replace=False))
    for _ in range(SETTLED):
        crowd.tick(some)
    each = (resident() - before) / count
    spent = [crowd.tick(np.sort(draw.choice(everybody, active, replace=False))) for _ in range(TICKS)]
    everyone = (resident() - before) / count
    said = {"bytes_per_key": each, "bytes_per_key_all": everyone, "tick_ms": median(spent[2:]) * 1_000}
    json.dump({name: round(figure, 2) for name, figure in said.items()}, sys.stdout)


if __name__ == "__main__":
    main()
