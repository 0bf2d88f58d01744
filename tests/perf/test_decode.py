"""How many records a CPU-second takes from datagrams to columns, to rows, and to bodies. Writes bench/decode.json.

`spoofed` is a flood of NetFlow v5 in which each record names a source that nobody has named before.

No speed is asserted: what else the machine does shows in it.
"""

import json
import random
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from statistics import median

import pytest

from controller.domain.address import packed
from controller.domain.estate import Estate, Source, SourceFormat
from controller.domain.rulebook import Rulebook
from streams.activity import Combiner
from streams.decode import received
from streams.decode.columns import Flows
from streams.decode.datagrams import frame
from streams.decode.templates import Templates
from tests.streams import export_cases as cases
from tests.streams.world import site

DATAGRAMS, RECORDS, RUNS = 500, 30, 7
BENCH = Path(__file__).parents[2] / "bench" / "decode.json"
FIELDS = (
    cases.SRC, cases.DST, (15, 4), cases.INPUT, (14, 2), cases.PACKETS, cases.OCTETS, (22, 4), (21, 4), cases.SPORT,
    cases.DPORT, (6, 1), cases.PROTOCOL, (5, 1), (61, 1),
)  # fmt: skip


def address(of: random.Random) -> str:
    return f"198.18.{of.randrange(16)}.{of.randrange(256)}"


def five(of: random.Random) -> bytes:
    made = (cases.Five(src=address(of), dst=address(of), src_port=of.randrange(65536)) for _ in range(RECORDS))
    return cases.netflow5(*made)


def spoofed(of: random.Random) -> bytes:
    made = (cases.Five(src=str(ip_address(of.randrange(1 << 24, 192 << 24))), dst=address(of)) for _ in range(RECORDS))
    return cases.netflow5(*made)


def by_template(packet: Callable[..., bytes], templates: int) -> Callable[[random.Random], bytes]:
    def made(of: random.Random) -> bytes:
        records = b"".join(_record(of) for _ in range(RECORDS))
        return packet(cases.a_set(templates, cases.template(256, FIELDS)), cases.a_set(256, records))

    return made


def _record(of: random.Random) -> bytes:
    ends = ip_address(address(of)).packed + ip_address(address(of)).packed
    times = cases.UPTIME_MS - 9000, cases.UPTIME_MS - 1000
    return (
        ends
        + bytes(4)
        + struct.pack("!HHIIII", 3, 4, 5, 500, *times)
        + struct.pack("!HHBBBB", of.randrange(65536), 80, 27, 6, 0, 0)
    )


KINDS = {
    "netflow5": five,
    "spoofed": spoofed,
    "netflow9": by_template(cases.netflow9, 0),
    "ipfix": by_template(cases.ipfix, 2),
}


def counted(flows: Flows) -> int:
    return 0 if flows.columns is None else len(flows.columns)


def cpu_s(run: Callable[[bytes], int], values: Sequence[bytes]) -> float:
    spent = []
    for value in values:
        start = time.process_time()
        records = run(value)
        spent.append(time.process_time() - start)
        assert records == DATAGRAMS * RECORDS
    return median(spent)


@pytest.mark.parametrize("kind", KINDS)
def test_records_per_cpu_second(kind: str) -> None:
    of = random.Random(7)
    names, senders, times = [packed(ip_address(cases.ROUTER))], [0] * DATAGRAMS, [cases.AT] * DATAGRAMS
    values = [frame(names, senders, times, [KINDS[kind](of) for _ in range(DATAGRAMS)]) for _ in range(RUNS)]
    received.prepare()
    source = Source("flows", SourceFormat.DATAGRAMS, exporters=(ip_address(cases.ROUTER),))
    combiner, other = (
        Combiner(Estate(replace(site(), sources=(source,))), Rulebook(1), partitions=4) for _ in range(2)
    )
    known, memory, gathered = Templates(), combiner.memory(source), combiner.gathered(source)

    def decoded(value: bytes) -> int:
        return counted(received.decode(value, cases.TRUST, known))

    def grouped(value: bytes) -> int:
        return combiner.take(value, gathered, source=source, kafka_ns=cases.AT, memory=memory).received

    def combined(value: bytes) -> int:
        return other.frame(value, source=source, kafka_ns=cases.AT, memory=memory).received

    runs = {"decode": decoded, "decode_and_group": grouped, "combine": combined}
    figures = {name: cpu_s(run, values) for name, run in runs.items()}
    told = json.loads(BENCH.read_text()) if BENCH.exists() else {}
    told[kind] = {f"{name}_records_per_cpu_s": round(DATAGRAMS * RECORDS / spent) for name, spent in figures.items()}
    BENCH.parent.mkdir(exist_ok=True)
    BENCH.write_text(json.dumps(told, indent=2) + "\n")
