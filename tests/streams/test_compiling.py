"""What is compiled ahead is all that reading, grouping and scoring frames needs."""

import sys
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from controller.domain.address import packed
from controller.domain.estate import Estate, Source, SourceFormat
from controller.domain.rulebook import Rulebook
from streams.activity import Combiner
from streams.compiling import compile_all
from streams.decode.datagrams import frame as frame_of
from tests.streams import export_cases as cases
from tests.streams import sflow_cases as samples
from tests.streams.world import EDGE, FLOWS, MINUTE, SECOND, START, flood, frame, inbound, record, site, warm

DATAGRAMS = Source("cordon.flows.wire", SourceFormat.DATAGRAMS)


LATER = START + 6 * SECOND


def signatures() -> dict[str, int]:
    """How many versions of each compiled loop of ours there are."""
    found: dict[str, int] = {}
    for name, module in list(sys.modules.items()):
        for loop in vars(module).values() if name.startswith("streams.") else ():
            versions: Any = getattr(loop, "signatures", None)
            if hasattr(loop, "py_func") and loop.py_func.__module__ == name:
                found[f"{name}.{loop.__name__}"] = len(versions)
    return found


def test_after_compiling_ahead_nothing_of_a_frames_way_makes_anything_compile() -> None:
    compile_all()
    before = signatures()
    assert len(before) > 5
    combiner = Combiner(Estate(replace(site(), sources=(*site().sources, DATAGRAMS))), Rulebook(1), partitions=4)
    known = combiner.memory(DATAGRAMS)
    flowset = cases.template(256, cases.PLAIN)
    datagrams = (
        cases.netflow5(cases.Five(src="198.18.4.7", dst="203.0.113.9", src_port=7)),
        cases.netflow9(cases.a_set(0, flowset), cases.a_set(256, cases.plain())),
        cases.ipfix(cases.a_set(2, flowset), cases.a_set(256, cases.plain())),
        samples.datagram(
            samples.sample(samples.raw(samples.ethernet(samples.ipv4(samples.udp())))),
            samples.counters(samples.interface(7)),
        ),
    )
    sender = packed(ip_address(EDGE))
    received = 0
    for one in datagrams:
        wire = frame_of([sender], [0], [START], [one])
        received += combiner.frame(wire, source=DATAGRAMS, kafka_ns=START, memory=known).rows
    assert received >= len(datagrams), "every kind was read"
    assert combiner.frame(frame([record(START, "198.18.4.7")]), source=FLOWS, kafka_ns=START).received == 1
    bench = warm(partitions=2)
    bench.run([*flood("198.18.0.7"), inbound(START, "198.18.0.8", time_flow_start_ns=START - MINUTE)], until_ns=LATER)
    bench.become(bench.saved()).mark(LATER + MINUTE)
    assert bench.verdicts
    assert signatures() == before
