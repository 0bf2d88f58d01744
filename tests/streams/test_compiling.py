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
from tests.streams.world import EDGE, FLOWS, MINUTE, PMACCT, SECOND, START, flood, frame, inbound, record, site, warm

DATAGRAMS = Source("cordon.flows.wire", SourceFormat.DATAGRAMS)
LOGS = Source("cordon.syslog", SourceFormat.SYSLOG)
DROPPED = "<4>Nov 30 10:00:0{} gw kernel: drop IN=eth1 OUT=eth0 SRC=198.18.4.{} DST=203.0.113.9 PROTO=TCP DPT=445"

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


def datagrams() -> tuple[bytes, ...]:
    """One or more of each kind, also such as need to be picked apart: sampling beside traffic, packets beside flows."""
    header = samples.ethernet(samples.ipv4(samples.udp()))
    flowset = cases.template(256, cases.PLAIN)
    sampled = cases.options9(258, [(1, 4)], [(34, 4)])
    return (
        cases.netflow5(cases.Five(src="198.18.4.7", dst="203.0.113.9", src_port=7)),
        cases.netflow9(cases.a_set(0, flowset), cases.a_set(256, cases.plain())),
        cases.netflow9(cases.a_set(1, sampled), cases.a_set(258, bytes(7) + b"\x08"), cases.a_set(256, cases.plain())),
        cases.ipfix(cases.a_set(2, flowset), cases.a_set(256, cases.plain() * 3)),
        cases.ipfix(
            cases.a_set(2, cases.template(257, [(315, 0xFFFF), (312, 2)])),
            cases.a_set(257, bytes([len(header)]) + header + cases.number(len(header), 2)),
        ),
        samples.datagram(samples.sample(samples.raw(header)), samples.counters(samples.interface(7))),
        samples.datagram(samples.expanded(samples.raw(samples.ethernet(samples.ipv6(samples.udp()), 0x86DD)))),
    )


def collected() -> tuple[tuple[Source, bytes], ...]:
    """Frames of each collector's JSON, with and without what only a parser reads, and with what is skipped."""
    said = {"peer_ip_src": EDGE, "ip_src": "198.18.4.7", "ip_dst": "2001:db8::1", "packets": 1, "bytes": 60}
    theirs = [{"event_type": "purge_init"}, said, said | {"timestamp_arrival": "2023-11-14 22:13:20"}]
    plain = [record(START, "198.18.4.7"), record(START, "198.18.4.8", src_mac="x"), record(START, "2001:db8::7")]
    other = {"source_ip": "198.18.4.7", "destination_ip": "203.0.113.9", "agent_address": EDGE, "packets": 1}
    return (
        (FLOWS, frame(plain)),
        (FLOWS, frame(plain).replace(b'"bytes"', b'"bytes" ')),
        (PMACCT, frame(theirs)),
        (PMACCT, frame(theirs).replace(b'"bytes"', b'"bytes" ')),
        (Source("fastnetmon", SourceFormat.FASTNETMON_JSON), frame([other | {"length": 60}] * 3)),
    )


def test_after_compiling_ahead_nothing_of_a_frames_way_makes_anything_compile() -> None:
    compile_all()
    before = signatures()
    assert len(before) > 5
    combiner = Combiner(Estate(replace(site(), sources=(*site().sources, DATAGRAMS, LOGS))), Rulebook(1), partitions=4)
    known = combiner.memory(DATAGRAMS)
    sender = packed(ip_address(EDGE))
    alone = [[one] for one in datagrams()]
    for some in (*alone, list(datagrams())):
        wire = frame_of([sender], [0] * len(some), [START] * len(some), some)
        made = combiner.frame(wire, source=DATAGRAMS, kafka_ns=START, memory=known)
        assert made.received > made.skipped, "every kind was read"
        assert made.rejects == ()
    assert combiner.frame(frame([record(START, "198.18.4.7")]), source=FLOWS, kafka_ns=START).received == 1
    for source, wire in collected():
        made = combiner.frame(wire, source=source, kafka_ns=START)
        assert (made.received, made.dead) == (3, 0)
    for count in (1, 2, 3):
        lines = [DROPPED.format(number, number).encode() for number in range(count)]
        wire = frame_of([sender], [0] * count, [START] * count, lines)
        assert combiner.frame(wire, source=LOGS, kafka_ns=START).rows == count
    bench = warm(partitions=2)
    bench.run([*flood("198.18.0.7"), inbound(START, "198.18.0.8", time_flow_start_ns=START - MINUTE)], until_ns=LATER)
    bench.become(bench.saved()).mark(LATER + MINUTE)
    assert bench.verdicts
    assert signatures() == before
