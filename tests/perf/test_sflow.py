"""How many sampled packets a CPU-second takes from datagrams to columns, and on to bodies. Writes bench/sflow.json.

No speed is asserted: what else the machine does shows in it.
"""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from statistics import median

from controller.domain.address import packed
from controller.domain.estate import Estate, Source, SourceFormat
from controller.domain.rulebook import Rulebook
from streams.activity import Combiner
from streams.decode import received
from streams.decode.datagrams import frame
from streams.decode.flows import Trust
from tests.streams.sflow_cases import datagram, ethernet, ipv4, raw, sample, udp
from tests.streams.world import site

SWITCH = "198.18.255.12"
SAMPLES = 6
SIZES = (20, 200, 2_000)
RUNS = 5
BENCH = Path(__file__).parents[2] / "bench"


def datagrams(count: int) -> list[bytes]:
    """Six samples each, of as many senders as there are samples, up to 65,536."""
    made = []
    for number in range(count):
        samples = []
        for at in range(SAMPLES):
            place = number * SAMPLES + at
            source = bytes([198, 18, place >> 8 & 255, place & 255])
            packet = ethernet(ipv4(udp(1_000 + place % 1_000, 53, 470), source=source))
            samples.append(sample(raw(packet), sequence=place + 1))
        made.append(datagram(*samples, sequence=number))
    return made


def test_sampled_packets_per_cpu_second() -> None:
    source = Source("flows", SourceFormat.DATAGRAMS, exporters=(ip_address(SWITCH),))
    combiner = Combiner(Estate(replace(site(), sources=(source,))), Rulebook(1), partitions=4)
    trust = Trust(frozenset({SWITCH}), "t", 0, 10**18)
    all_of_them = datagrams(max(SIZES))
    figures: dict[str, float] = {}
    for size in SIZES:
        value = frame([packed(ip_address(SWITCH))], [0] * size, [10**18] * size, all_of_them[:size])
        runs: dict[str, Callable[[], int]] = {
            "": partial(decoded, value, trust),
            "_combined": partial(combined, combiner, source, value),
        }
        for name, run in runs.items():
            figures[f"samples_per_cpu_s{name}_in_frames_of_{size * SAMPLES}"] = per_cpu_s(run, size * SAMPLES)
    BENCH.mkdir(exist_ok=True)
    (BENCH / "sflow.json").write_text(json.dumps(figures, indent=2) + "\n")


def decoded(value: bytes, trust: Trust) -> int:
    flows = received.decode(value, trust)
    return 0 if flows.columns is None else len(flows.columns)


def combined(combiner: Combiner, source: Source, value: bytes) -> int:
    return combiner.frame(value, source=source, kafka_ns=10**18).received


def per_cpu_s(run: Callable[[], int], samples: int) -> int:
    spent = []
    for _ in range(RUNS):
        start = time.process_time()
        assert run() == samples
        spent.append(time.process_time() - start)
    return round(samples / median(spent))
