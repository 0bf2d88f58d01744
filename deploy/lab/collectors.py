"""The provider's collectors: what devices and machines report becomes frames on the flow and log topics.

A frame holds many records; frames go to the partitions in turn; clock marks follow what was written, so that time on
the topics is the collectors' time, in the day that is made at full speed as in the live hours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

import numpy as np

from deploy.lab.journeys import Journey, chatter
from deploy.lab.live import Heard, Sampler
from deploy.lab.provider import FLOW_TOPIC, LOG_TOPIC, Provider
from deploy.lab.records import LogLine, rsyslog
from deploy.lab.traffic import MINUTE_NS, Normal

SECOND_NS = 1_000_000_000
LINES_PER_MINUTE = 2
BLOCKS_PER_MARK = 4
MOST_LINES = 1_400  # of one frame: below 900 kB


class Sink(Protocol):
    """Where collectors write."""

    partitions: int

    def frame(self, topic: str, partition: int, value: bytes, *, at_ns: int) -> None:
        """Write one message."""
        ...

    def mark(self, at_ns: int) -> None:
        """Tell every partition of both topics that nothing earlier will follow."""
        ...


@dataclass
class Written:
    """What was written so far."""

    records: int = 0
    messages: int = 0


@dataclass
class Collectors:
    """Puts records and lines into frames and these onto partitions in turn."""

    sink: Sink
    written: Written = field(default_factory=Written)
    _turn: int = 0

    def flows(self, value: bytes, records: int, *, at_ns: int) -> None:
        """Write one frame of flow records."""
        self._write(FLOW_TOPIC, value, records, at_ns=at_ns)

    def lines(self, lines: Sequence[LogLine], *, at_ns: int) -> None:
        """Write log lines in frames of many."""
        for first in range(0, len(lines), MOST_LINES):
            some = lines[first : first + MOST_LINES]
            self._write(LOG_TOPIC, b"".join(rsyslog(line) for line in some), len(some), at_ns=at_ns)

    def heard(self, heard: Heard, *, at_ns: int) -> None:
        """Write what was heard in one tick, and that it is all."""
        for first in range(0, len(heard.records), MOST_LINES):
            some = heard.records[first : first + MOST_LINES]
            self.flows(b"".join(some), len(some), at_ns=at_ns)
        self.lines(heard.lines, at_ns=at_ns)
        self.sink.mark(at_ns)

    def _write(self, topic: str, value: bytes, records: int, *, at_ns: int) -> None:
        self.sink.frame(topic, self._turn % self.sink.partitions, value, at_ns=at_ns)
        self._turn += 1
        self.written.records += records
        self.written.messages += 1


def warm_up(
    source: Provider, normal: Normal, journeys: Sequence[Journey], out: Collectors, *, start_ns: int, end_ns: int
) -> Iterator[float]:
    """Write the day before, with what the journeys did in it; gives the share that is written, now and then."""
    draw, sampler = Random(f"{source.seed} day"), Sampler(np.random.default_rng([source.seed, 3]))
    waiting = sorted(
        (line for one in journeys for line in one.history(start_ns=start_ns, end_ns=end_ns)), key=lambda one: one.at_ns
    )
    said_ns, lines = start_ns, list[LogLine]()
    for number, block in enumerate(normal.day(start_ns=start_ns, end_ns=end_ns), 1):
        minutes = range(said_ns, block.until_ns, MINUTE_NS)
        for value, records in block.frames:
            out.flows(value, records, at_ns=block.until_ns)
        extra = [
            line
            for minute in minutes
            for one in journeys
            for flow in one.yesterday(at_ns=minute, seconds=60.0)
            for line in sampler.whole(flow, start_ns=minute, end_ns=minute + MINUTE_NS - SECOND_NS)
        ]
        if extra:
            out.flows(b"".join(extra), len(extra), at_ns=block.until_ns)
        lines += [
            chatter(source, draw, at_ns=minute + draw.randrange(MINUTE_NS))
            for minute in minutes
            for _ in range(LINES_PER_MINUTE)
        ]
        while waiting and waiting[0].at_ns < block.until_ns:
            lines.append(waiting.pop(0))
        said_ns = block.until_ns
        if number % BLOCKS_PER_MARK == 0 or block.until_ns >= end_ns:
            out.lines(sorted(lines, key=lambda one: one.at_ns), at_ns=block.until_ns)
            lines.clear()
            out.sink.mark(block.until_ns)
            yield (block.until_ns - start_ns) / (end_ns - start_ns)
