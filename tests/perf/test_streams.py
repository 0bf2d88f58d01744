"""How many records one CPU-second takes from bytes to verdicts. Writes bench/verdicts.json; asserts no speed.

Machines differ, and so does one machine from hour to hour: the time that the standard library's JSON decoder takes for
the same lines stands beside every figure, so that two runs can be compared.
"""

import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streams.decode import goflow2
from streams.decode.flows import Trust
from tests.streams.world import EDGE, EVERYBODY, FLOWS, START, TICK, Bench, frame, inbound, record

RECORDS = 1500
FRAMES = 20
BENCH = Path(__file__).parents[2] / "bench"


def frames() -> list[bytes]:
    """Samples of everybody's traffic, in and out, as goflow2 writes them with twenty-odd fields."""
    draw = random.Random(1)
    made = []
    for number in range(FRAMES):
        records: list[dict[str, Any]] = []
        for _ in range(RECORDS):
            at = START + number * TICK + draw.randrange(TICK)
            one = draw.choice(EVERYBODY[:20])
            peer = f"203.0.113.{draw.randrange(1, 250)}"
            fields = {"proto": "TCP", "tcp_flags": 24, "sampling_rate": 64, "dst_port": draw.randrange(1024, 65_000)}
            make: Callable[..., dict[str, Any]] = record if draw.random() < 0.6 else inbound
            records.append(make(at, one, peer, **fields))
        made.append(frame(records))
    return made


def per_record_us(work: Callable[[], object], records: int) -> float:
    """CPU time of the best of three runs."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best / records * 1e6


def test_records_per_cpu_second_from_bytes_to_verdicts() -> None:
    made = frames()
    total = RECORDS * FRAMES
    bench = Bench(partitions=4)
    trust = Trust(frozenset({EDGE}), "t", START, 86_400 * 10**9)
    combine = bench.combiner.frame
    lines = [line for one in made[:4] for line in one.split(b"\n")]
    figures = {
        "reference_json_us": per_record_us(lambda: [json.loads(line) for line in lines], len(lines)),
        "decode_us": per_record_us(lambda: [goflow2.decode(one, trust) for one in made], total),
        "combine_us": per_record_us(lambda: [combine(one, source=FLOWS, kafka_ns=START) for one in made], total),
    }
    bodies = [bench.combiner.frame(one, source=FLOWS, kafka_ns=START).bodies for one in made]

    def score() -> None:
        fresh = Bench(partitions=4)
        for number, parts in enumerate(bodies):
            for scorer, body in zip(fresh.scorers, parts, strict=True):
                scorer.apply(body, origin="flows/0")
            fresh.mark(START + (number + 1) * TICK)

    figures["score_us"] = per_record_us(score, total)
    figures["records_per_cpu_second"] = 1e6 / (figures["combine_us"] + figures["score_us"])
    figures["combine_records_per_cpu_second"] = 1e6 / figures["combine_us"]
    figures["bytes_per_record"] = sum(map(len, made)) / total
    BENCH.mkdir(exist_ok=True)
    rounded = {name: round(one, 2) for name, one in figures.items()}
    (BENCH / "verdicts.json").write_text(json.dumps(rounded, indent=2) + "\n")
    assert sum(len(part) for parts in bodies for part in parts) > 0
