"""How many lines a CPU-second takes to be sought for words, and to be read, beside RE2 line by line. Writes JSON.

No speed is asserted: what else the machine does shows in it.
"""

import json
import time
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from statistics import median

import re2

from controller.domain.address import address_of, packed
from deploy.lab.rates.crowd import EXPORTERS, NETWORK
from deploy.lab.rates.stencils import stencils
from streams.decode.datagrams import frame, unframed
from streams.decode.logs import LogReader, ranges
from streams.decode.phrasebook import shipped

RUNS = 9
BENCH = Path(__file__).parents[2] / "bench" / "logs.json"


def per_cpu_s(lines: int, work: Callable[[], object]) -> int:
    work()
    took = []
    for _ in range(RUNS):
        begun = time.process_time()
        work()
        took.append(time.process_time() - begun)
    return round(lines / median(took))


def test_lines_are_told_and_read_as_the_bench_records() -> None:
    drawn = stencils("syslog", len(EXPORTERS))
    said = [
        (who, bytes(row[: int(size)]))
        for who, one in enumerate(drawn)
        for row, size in zip(one.octets, one.lengths, strict=True)
    ]
    lines = [line for _, line in said]
    peers = [packed(address_of(one)) for one in EXPORTERS]
    value = frame(peers, [who for who, _ in said], [1 + at for at in range(len(said))], lines)
    book, reader, heard = shipped(), LogReader(ours=ranges([ip_network(NETWORK)])), unframed(value)
    patterns = re2.Set.SearchSet()
    for _, phrase in book.entries:
        patterns.Add(phrase.pattern)
    patterns.Compile()
    read = reader.frame(value, kafka_ns=1)
    assert (read.received, read.rejects) == (len(lines), ())
    assert sum(claim.count for claim in read.claims) == len(lines) / 16
    figures = {
        "lines": len(lines),
        "sought_per_cpu_s": per_cpu_s(len(lines), lambda: book.words.sought(heard.payload, heard.offset)),
        "re2_set_per_cpu_s": per_cpu_s(len(lines), lambda: [patterns.Match(line) for line in lines]),
        "read_per_cpu_s": per_cpu_s(len(lines), lambda: reader.frame(value, kafka_ns=1)),
    }
    assert all(figures.values())
    BENCH.parent.mkdir(exist_ok=True)
    BENCH.write_text(json.dumps(figures, indent=2) + "\n")
