"""FastNetMon's records, whole and broken: each is read or refused with its reason, and counted."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from controller.domain.estate import Estate, Source, SourceFormat
from controller.domain.rulebook import Rulebook
from deploy.recordings import recording
from streams.activity import Combiner
from streams.decode import fastnetmon
from streams.decode.columns import Columns, Flows, packed_address
from streams.decode.flows import Trust
from streams.keys import subject_of_key
from streams.messages import decode
from streams.rows import Col
from tests.streams.world import EDGE, SECOND, START, TICK, frame, site

TRUST = Trust(frozenset({EDGE, "2001:db8::1"}), "topic", START, 2 * 86_400 * SECOND)
SOURCE = Source("fastnetmon", SourceFormat.FASTNETMON_JSON)


def record(**over: Any) -> dict[str, Any]:
    plain = {
        "timestamp": START // SECOND, "ip_version": "ipv4", "source_ip": "198.18.0.7", "destination_ip": "203.0.113.9",
        "source_asn": 0, "destination_asn": 0, "input_interface": 7, "output_interface": 9, "source_port": 4000,
        "destination_port": 53, "agent_address": EDGE, "forwarding_status": "unknown", "fragmentation": False,
        "packets": 3, "length": 300, "ip_length": 86, "ttl": 63, "sample_ratio": 1000, "protocol": "udp",
    }  # fmt: skip
    return plain | over


def reasons(flows: Flows) -> dict[str, int]:
    found: dict[str, int] = {}
    for reject in flows.rejects:
        found[reject.reason] = found.get(reject.reason, 0) + reject.count
    return found


def balanced(flows: Flows) -> bool:
    kept = 0 if flows.columns is None else len(flows.columns)
    return flows.received == kept + flows.skipped + sum(reject.count for reject in flows.rejects)


def columns(flows: Flows) -> Columns:
    assert flows.columns is not None, flows.rejects
    assert balanced(flows)
    return flows.columns


def read(*, without: tuple[str, ...] = (), **over: Any) -> Columns:
    told = {name: value for name, value in record(**over).items() if name not in without}
    return columns(fastnetmon.decode(frame([told]), TRUST))


def test_record_is_read_field_by_field() -> None:
    one = read()
    assert (one.exporters[one.exporter[0]], one.receipt_ns[0], one.in_if[0]) == (EDGE, START, 7)
    assert one.addresses[one.src[0]] == packed_address("198.18.0.7")
    assert one.addresses[one.dst[0]] == packed_address("203.0.113.9")
    assert (one.bytes[0], one.packets[0], one.flows[0], one.sampling[0]) == (300, 3, 1, 1000)
    assert (one.protocol[0], one.src_port[0], one.dst_port[0]) == (17, 4000, 53)
    assert (one.macs[one.src_mac[0]], one.macs[one.dst_mac[0]]) == (0, 0)
    assert [bool(flag[0]) for flag in (one.ip, one.fragment, one.malformed, one.discarded)] == [True] + [False] * 3


def test_octets_are_the_exporters_and_not_the_ip_headers() -> None:
    assert read(length=1514, ip_length=1500).bytes[0] == 1514
    assert read(length=1514, without=("ip_length",)).bytes[0] == 1514


def test_sampling_is_the_records_then_the_sources_and_never_twice() -> None:
    def rate(trust: Trust, ratio: int) -> int:
        return int(columns(fastnetmon.decode(frame([record(sample_ratio=ratio)]), trust)).sampling[0])

    def trust(*, renormalised: bool = False) -> Trust:
        return Trust(TRUST.exporters, "t", START, TRUST.oldest_ns, sampling_rate=512, renormalised=renormalised)

    assert [rate(trust(), 64), rate(trust(), 0), rate(TRUST, 0), rate(trust(renormalised=True), 64)] == [64, 512, 1, 1]


def test_ipv6_is_read() -> None:
    one = read(ip_version="ipv6", source_ip="2001:db8:1:7::1", destination_ip="2001:db8::9", protocol="ipv6_icmp")
    assert one.addresses[one.src[0]] == packed_address("2001:db8:1:7::1")
    assert (one.protocol[0], bool(one.ip[0])) == (58, True)


@pytest.mark.parametrize(
    ("told", "visible", "fragment"), [(True, True, True), (False, True, False), (None, False, False)]
)
def test_fragments_are_visible_where_the_record_tells_of_them(told: bool | None, visible: bool, fragment: bool) -> None:
    one = read(fragmentation=told)
    assert (bool(one.fragments_visible[0]), bool(one.fragment[0])) == (visible, fragment)
    assert not read(without=("fragmentation",)).fragments_visible[0]


@pytest.mark.parametrize(
    ("flags", "read_as"), [("syn", 2), ("syn,ack", 18), ("fin,syn,rst,psh,ack,urg", 63), ("-", 0), ("", 0), ("xyz", 0)]
)
def test_flags_are_names_between_commas(flags: str, read_as: int) -> None:
    assert read(protocol="tcp", tcp_flags=flags).tcp_flags[0] == read_as


def test_flags_belong_to_tcp_alone() -> None:
    assert read(protocol="udp", tcp_flags="syn").tcp_flags[0] == 0


@pytest.mark.parametrize(
    ("fields", "flows"),
    [
        ({"protocol": "tcp", "tcp_flags": "syn", "packets": 1}, 1),
        ({"protocol": "tcp", "tcp_flags": "psh,ack", "packets": 1}, 0),
        ({"protocol": "tcp", "tcp_flags": "syn,ack", "packets": 1}, 0),
        ({"protocol": "tcp", "tcp_flags": "psh,ack", "packets": 2}, 1),
        ({"protocol": "udp", "packets": 1}, 1),
    ],
)
def test_sample_from_the_midst_of_a_connection_is_no_new_flow(fields: dict[str, Any], flows: int) -> None:
    assert read(**fields).flows[0] == flows


@pytest.mark.parametrize("proto", ["icmp", "gre", "esp"])
def test_protocols_without_ports_have_none(proto: str) -> None:
    one = read(protocol=proto, without=("source_port", "destination_port"))
    assert (one.src_port[0], one.dst_port[0], one.tcp_flags[0]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("proto", "number"),
    [
        ("tcp", 6), ("UDP", 17), ("ospfigp", 89), ("ipv6_frag", 44), ("ipv4", 4), ("ipip", 94), ("unknown_61", 61),
        ("unassigned_200", 200), ("unassigned_999", 255), ("unknown_", 255), ("unknown", 255), ("nonsense", 255),
        (47, 47), ("47", 47), ("", -1),
    ],
)  # fmt: skip
def test_protocol_is_read_by_every_name_that_it_has_there(proto: str | int, number: int) -> None:
    assert read(protocol=proto).protocol[0] == number


@pytest.mark.parametrize(("in_if", "known"), [(0, 0), (0x3FFFFFFF, 0), (5, 5)])
def test_interface_that_is_not_known_is_zero(in_if: int, known: int) -> None:
    assert read(input_interface=in_if).in_if[0] == known


@pytest.mark.parametrize(
    ("fields", "discarded"),
    [
        ({"forwarding_status": "dropped"}, True),
        ({"forwarding_status": "forwarded"}, False),
        ({"output_interface": 1 << 30}, False),
    ],
)
def test_dropped_traffic_is_told_by_its_status_alone(fields: dict[str, Any], discarded: bool) -> None:
    assert bool(read(**fields).discarded[0]) is discarded


@pytest.mark.parametrize("agent", ["", "0.0.0.0"])  # noqa: S104 - mirrored traffic has no agent
def test_record_without_an_agent_stands_under_its_topic(agent: str) -> None:
    assert read(agent_address=agent).exporters == ("topic",)


@pytest.mark.parametrize("stamp", [START // SECOND, str(START // SECOND), START / SECOND])
def test_stamp_is_a_whole_second_and_the_record_counts_over_it(stamp: Any) -> None:
    one = read(timestamp=stamp)
    assert (one.receipt_ns[0], one.duration_ns[0], bool(one.skewed[0]), one.skew_ns[0]) == (START, SECOND, False, 0)


def test_record_without_a_stamp_takes_the_brokers_time() -> None:
    assert read(without=("timestamp",)).receipt_ns[0] == START


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"length": "many"}, "wrong type or range: length"),
        ({"packets": -1}, "wrong type or range: packets"),
        ({"source_port": 70_000}, "wrong type or range: source_port"),
        ({"fragmentation": "no"}, "wrong type or range: fragmentation"),
        ({"timestamp": -1}, "wrong type or range: timestamp"),
        ({"source_ip": "198.18.0.300"}, "bad address"),
        ({"agent_address": "192.0.2.66"}, "unknown exporter"),
    ],
)
def test_wrong_record_is_refused_with_a_reason_and_its_neighbours_are_read(fields: dict[str, Any], reason: str) -> None:
    records = [record(), record(**fields), record()]
    flows = fastnetmon.decode(frame(records), TRUST)
    assert (reasons(flows), len(columns(flows))) == ({reason: 1}, 2)
    assert json.loads(flows.rejects[0].raw) == records[1]


def test_bad_lines_are_counted_by_reason() -> None:
    good, countless = frame([record()]), frame([{"source_ip": "198.18.0.7"}])
    flows = fastnetmon.decode(b"\n".join([good, b"{half", countless, b"[1]", b"", good]), TRUST)
    assert (flows.received, len(columns(flows))) == (5, 2)
    assert reasons(flows) == {"not JSON": 1, "no counts": 1, "not a record": 1}
    assert reasons(fastnetmon.decode(b"\n", TRUST)) == {"empty frame": 1}


anything = st.one_of(
    st.integers(-5, 2**70),
    st.text(max_size=12),
    st.none(),
    st.booleans(),
    st.floats(),
    st.lists(st.text(max_size=4), max_size=3),
    st.sampled_from(["198.18.0.7", "2001:db8::1", EDGE, "tcp", "ipv6", "syn,ack", "unassigned_²", "unknown_9"]),
)
lines = st.one_of(
    st.binary(max_size=60).filter(lambda raw: b"\n" not in raw),
    st.dictionaries(st.sampled_from(fastnetmon.Record.__struct_fields__), anything, max_size=12).map(
        lambda over: json.dumps(record(**over)).encode()
    ),
    st.dictionaries(st.sampled_from(fastnetmon.Record.__struct_fields__), anything, max_size=12).map(
        lambda bare: json.dumps(bare).encode()
    ),
)


@given(st.lists(lines, max_size=8))
@settings(deadline=None, derandomize=True, max_examples=300)
@example([b"[" * 5000])
@example([b'{"length":1,"packets":1,"timestamp":1e300}'])
@example([b'{"length":1,"packets":1,"timestamp":' + b"9" * 5000 + b"}"])
@example([b'{"length":1,"packets":1,"protocol":' + b"9" * 400 + b"}"])
@example([json.dumps(record(protocol="9" * 5000)).encode()])
@example([json.dumps(record(protocol="²")).encode()])
def test_decoder_never_raises_and_every_line_is_accounted_for(parts: list[bytes]) -> None:
    assert balanced(fastnetmon.decode(b"\n".join(parts), TRUST))


def test_host_is_charged_by_the_port_that_it_is_tied_to_and_over_the_whole_second() -> None:
    combiner = Combiner(Estate(site()), Rulebook(1), partitions=1)
    value = frame([record(length=600, packets=6), record(length=400, packets=4), record(agent_address="192.0.2.66")])
    combined = combiner.frame(value, source=SOURCE, kafka_ns=START)
    assert (combined.received, combined.dead, list(combined.exporters)) == (3, 1, [EDGE])
    assert combined.exporters[EDGE].sampling == 1000
    _, some = decode(combined.bodies[0])
    assert some is not None
    host = some.pick(np.flatnonzero([str(subject_of_key(key, {})).endswith("198.18.0.7") for key in some.key.tolist()]))
    assert (host.tick.tolist(), host.span.tolist()) == ([START // TICK], [SECOND // TICK])
    assert [int(host.counts.some(one).sum()) for one in (Col.BYTES, Col.PACKETS)] == [1_000_000, 10_000]


def test_recording_is_known_by_its_fields_and_timed_by_its_seconds(tmp_path: Path) -> None:
    path = tmp_path / "traffic.json"
    path.write_bytes(frame([record(timestamp=START // SECOND + 1), record()]))
    found = recording(path)
    assert found.format is SourceFormat.FASTNETMON_JSON
    assert [at_ns for at_ns, _ in found.lines] == [START, START + SECOND]
