"""Flow records of every kind, whole and broken: each is read, skipped or refused with its reason, and counted."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams.decode import goflow2, pmacct
from streams.decode.columns import Columns, Flows, mac_number, packed_address, protocol_number
from streams.decode.flows import Trust
from streams.decode.lines import LONGEST_LINE, SAMPLES_PER_REASON
from streams.decode.stamps import stamp_ns
from tests.streams.world import EDGE, SECOND, START, frame, record

TRUST = Trust(frozenset({EDGE, "2001:db8::1"}), "topic", START, 2 * 86_400 * SECOND)
DAY = 86_400 * SECOND


def balanced(flows: Flows) -> bool:
    kept = 0 if flows.columns is None else len(flows.columns)
    return flows.received == kept + flows.skipped + sum(reject.count for reject in flows.rejects)


def columns(flows: Flows) -> Columns:
    assert flows.columns is not None, flows.rejects
    assert balanced(flows)
    return flows.columns


def go(**over: Any) -> Columns:
    return columns(goflow2.decode(frame([record(START, "198.18.0.7", **over)]), TRUST))


def reasons(flows: Flows) -> dict[str, int]:
    found: dict[str, int] = {}
    for reject in flows.rejects:
        found[reject.reason] = found.get(reject.reason, 0) + reject.count
    return found


# goflow2


def test_record_is_read_field_by_field() -> None:
    one = go(sampling_rate=100, in_if=7, out_if=9, proto="TCP", tcp_flags=18, src_port=80, dst_port=4000)
    assert one.exporters[one.exporter[0]] == EDGE
    assert one.addresses[one.src[0]] == packed_address("198.18.0.7")
    assert (one.bytes[0], one.packets[0], one.sampling[0]) == (1400, 1, 100)
    assert (one.protocol[0], one.tcp_flags[0], one.src_port[0], one.dst_port[0], one.in_if[0]) == (6, 18, 80, 4000, 7)
    assert one.macs[one.src_mac[0]] == 0x020000000007
    assert [bool(flag[0]) for flag in (one.fragment, one.malformed, one.discarded)] == [False] * 3
    assert one.receipt_ns[0] == START


@pytest.mark.parametrize(
    ("fields", "fragment"),
    [
        ({"ip_flags": 2}, False),  # DF
        ({"ip_flags": 1}, True),  # MF: a first fragment
        ({"ip_flags": 3}, True),
        ({"ip_flags": 0, "fragment_offset": 185}, True),
        ({"ip_flags": 2, "fragment_id": 4711}, False),  # identification is on nearly every packet
        ({"etype": "IPv6", "proto": "IPv6-Frag", "src_addr": "2001:db8::7", "ip_flags": 0}, True),
        ({"etype": "ARP", "proto": "", "ip_flags": 1}, False),
    ],
)
def test_fragments_are_told_by_offset_and_more_flag_alone(fields: dict[str, Any], fragment: bool) -> None:
    assert bool(go(**fields).fragment[0]) is fragment


def test_ports_and_flags_of_a_later_fragment_are_payload_and_are_not_read() -> None:
    one = go(proto="TCP", fragment_offset=185, src_port=25, dst_port=25, tcp_flags=2)
    assert (one.src_port[0], one.dst_port[0], one.tcp_flags[0]) == (0, 0, 0)
    assert not one.malformed[0]


@pytest.mark.parametrize(
    ("fields", "malformed"),
    [
        ({"proto": "UDP", "layer_stack": ["Ethernet", "IPv4"]}, True),
        ({"proto": "UDP", "layer_stack": ["Ethernet", "IPv4", "UDP"]}, False),
        ({"proto": "UDP", "layer_stack": []}, False),  # NetFlow has no layers
        ({"proto": "ESP", "layer_stack": ["Ethernet", "IPv4"]}, False),  # goflow2 has no parser for it
        ({"proto": "TCP", "layer_stack": ["Ethernet"]}, True),
        ({"proto": "TCP", "tcp_flags": 3, "layer_stack": ["Ethernet", "IPv4", "TCP"]}, True),  # SYN and FIN
        ({"proto": "TCP", "tcp_flags": 3, "type": "NETFLOW_V5", "layer_stack": []}, False),  # flags are OR-ed there
        ({"proto": "TCP", "fragment_offset": 9, "layer_stack": ["Ethernet", "IPv4"]}, False),
    ],
)
def test_headers_that_end_early_are_malformed(fields: dict[str, Any], malformed: bool) -> None:
    assert bool(go(**fields).malformed[0]) is malformed


@pytest.mark.parametrize(
    ("proto", "number"),
    [("TCP", 6), ("IPv6-ICMP", 58), ("OSPFIGP", 89), ("unassigned", 255), ("experimental", 255), (47, 47), ("GRE", 47)],
)
def test_protocol_is_read_by_name_or_number(proto: str | int, number: int) -> None:
    assert go(proto=proto, layer_stack=[]).protocol[0] == number


def test_frame_that_is_not_ip_has_no_protocol_and_no_addresses() -> None:
    one = go(etype="", proto="", src_addr="", dst_addr="")
    assert (one.protocol[0], one.src[0], one.dst[0], bool(one.ip[0])) == (-1, -1, -1, False)


def test_mapped_address_is_its_ipv4() -> None:
    assert go(src_addr="::ffff:198.18.0.7").addresses[0] == packed_address("198.18.0.7")


@pytest.mark.parametrize(("in_if", "read"), [(0, 0), (0x3FFFFFFF, 0), (5, 5)])
def test_interface_that_is_not_known_is_zero(in_if: int, read: int) -> None:
    assert go(in_if=in_if).in_if[0] == read


@pytest.mark.parametrize(
    ("out_if", "discarded"), [(9, False), (0x40000000 | 258, True), (0x80000003, False), (0x3FFFFFFF, False)]
)
def test_sample_of_a_packet_that_a_rule_drops_is_marked(out_if: int, discarded: bool) -> None:
    assert bool(go(out_if=out_if).discarded[0]) is discarded


def test_sampling_is_the_records_then_the_sources_then_one_and_never_twice() -> None:
    def rate(trust: Trust, sampling: int) -> int:
        raw = frame([record(START, "198.18.0.7", sampling_rate=sampling)])
        return int(columns(goflow2.decode(raw, trust)).sampling[0])

    assert rate(TRUST, 0) == 1
    assert rate(Trust(TRUST.exporters, "t", START, DAY, sampling_rate=512), 0) == 512
    assert rate(Trust(TRUST.exporters, "t", START, DAY, sampling_rate=512), 64) == 64
    assert rate(Trust(TRUST.exporters, "t", START, DAY, sampling_rate=512, renormalised=True), 64) == 1


# times


@pytest.mark.parametrize(
    ("stamp", "read"),
    [
        (START, START),
        ("2023-11-14T22:13:20Z", START),
        ("2023-11-14T22:13:20.123456789Z", START + 123_456_000),
        ("2023-11-14 22:13:20.500000", START + 500_000_000),
        ("2023-11-15T00:13:20+02:00", START),
        ("1700000000.250000", START + 250_000_000),
        ("1700000000", START),
        (str(START), START),
        ("", 0),
        ("yesterday", 0),
        (-5, 0),
        (1 << 80, 0),
    ],
)
def test_stamps_are_read_in_every_spelling(stamp: Any, read: int) -> None:
    assert stamp_ns(stamp) == read


@pytest.mark.parametrize("stamp", [1, 315_532_800 * SECOND, 4_102_444_800 * SECOND, START + 400 * SECOND])
def test_receipt_in_1970_or_2100_is_void_and_the_record_is_not(stamp: int) -> None:
    one = go(time_received_ns=stamp, time_flow_start_ns=max(stamp - SECOND, 0), time_flow_end_ns=stamp)
    assert (one.receipt_ns[0], one.duration_ns[0], bool(one.skewed[0])) == (START, 0, True)


def test_receipt_of_a_day_ago_stands_for_a_warm_up_is_published_late() -> None:
    assert go(time_received_ns=START - DAY).receipt_ns[0] == START - DAY


def test_record_without_a_receipt_takes_the_brokers_time() -> None:
    one = go(time_received_ns=0)
    assert (one.receipt_ns[0], bool(one.skewed[0])) == (START, False)


def test_record_without_any_time_is_refused() -> None:
    raw = frame([record(0, "198.18.0.7")])
    flows = goflow2.decode(raw, Trust(TRUST.exporters, "t", 0, DAY))
    assert reasons(flows) == {"no time": 1}


def test_senders_skewed_clock_keeps_its_durations() -> None:
    one = go(time_flow_start_ns=START - 3700 * SECOND, time_flow_end_ns=START - 3640 * SECOND)
    assert (one.duration_ns[0], bool(one.skewed[0]), one.skew_ns[0]) == (60 * SECOND, True, 3640 * SECOND)


# what cannot be used


def test_one_bad_line_never_costs_the_frame() -> None:
    good = frame([record(START, "198.18.0.7")])
    flows = goflow2.decode(b"\n".join([good, b'{"type":"SFL', good, b"", good]), TRUST)
    assert (flows.received, len(columns(flows)), reasons(flows)) == (4, 3, {"not JSON": 1})
    assert flows.rejects[0].raw == b'{"type":"SFL'


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"bytes": "many"}, "wrong type or range: bytes"),
        ({"packets": -1}, "wrong type or range: packets"),
        ({"src_port": 70_000}, "wrong type or range: src_port"),
        ({"bytes": 1 << 60}, "wrong type or range: bytes"),
        ({"src_addr": None}, "wrong type or range: src_addr"),
        ({"src_addr": "198.18.0.300"}, "bad address"),
        ({"dst_addr": "fe80::1%eth0"}, "bad address"),
        ({"sampler_address": "192.0.2.66"}, "unknown exporter"),
        ({"sampler_address": "nobody"}, "unknown exporter"),
    ],
)
def test_wrong_record_is_refused_with_a_reason_that_can_be_counted(fields: dict[str, Any], reason: str) -> None:
    records = [record(START, "198.18.0.7"), record(START, "198.18.0.7") | fields, record(START, "198.18.0.8")]
    flows = goflow2.decode(frame(records), TRUST)
    assert reasons(flows) == {reason: 1}
    assert len(columns(flows)) == 2
    assert json.loads(flows.rejects[0].raw) == records[1]


def test_object_without_counts_is_no_record() -> None:
    assert reasons(goflow2.decode(b"{}\n" + frame([record(START, "198.18.0.7")]), TRUST))["no counts"] == 1


@pytest.mark.parametrize("raw", [b"", b"\n\n", b"   "])
def test_empty_frame_is_counted_and_kept(raw: bytes) -> None:
    for decode in (goflow2.decode, pmacct.decode):
        flows = decode(raw, TRUST)
        assert (flows.received, flows.columns, reasons(flows)) == (1, None, {"empty frame": 1})


def test_line_of_ten_megabytes_is_refused_and_its_neighbours_are_read() -> None:
    long = b'{"type":"' + b"x" * (10 * LONGEST_LINE) + b'"}'
    flows = goflow2.decode(long + b"\n" + frame([record(START, "198.18.0.7")]), TRUST)
    assert reasons(flows) == {"line over 1 MiB": 1}
    assert len(columns(flows)) == 1


def test_many_bad_lines_are_kept_as_samples_and_a_count() -> None:
    flows = goflow2.decode(b"\n".join([b"{bad"] * 1000), TRUST)
    assert len(flows.rejects) == SAMPLES_PER_REASON
    assert reasons(flows) == {"not JSON": 1000}


lines = st.one_of(
    st.binary(max_size=60).filter(lambda raw: b"\n" not in raw),
    st.dictionaries(
        st.sampled_from([*goflow2.Record.__struct_fields__, *pmacct.Record.__struct_fields__]),
        st.one_of(
            st.integers(-5, 2**70),
            st.text(max_size=20),
            st.none(),
            st.booleans(),
            st.floats(allow_nan=False, allow_infinity=False),
            st.lists(st.text(max_size=4), max_size=3),
            st.sampled_from(["198.18.0.7", "::ffff:1.2.3.4", "2001:db8::1", EDGE, "TCP", "800", "1677577599.5"]),
        ),
        max_size=12,
    ).map(lambda one: json.dumps(one).encode()),
)


@given(st.lists(lines, max_size=8))
@settings(deadline=None, derandomize=True, max_examples=300)
@example([b"[" * 5000])
@example([b'{"bytes":1,"packets":1}', b"\xff\xfe"])
@example(['{"bytes":1,"packets":1,"ip_src":"198.18.0.7","ip_proto":"²","tcp_flags":"²","frag_off":"²"}'.encode()])
@example(['{"bytes":1,"packets":1,"src_addr":"198.18.0.7","proto":"²"}'.encode()])
@example(['{"bytes":1,"packets":1,"icmp_type":"²","stamp_updated":"²","stamp_inserted":"1.²"}'.encode()])
@example([b'{"bytes":1,"packets":1,"ip_src":"198.18.0.7","ip_proto":"' + b"9" * 5000 + b'"}'])
@example([b'{"bytes":1,"packets":1,"stamp_updated":"' + b"9" * 5000 + b'"}'])
@example([b'{"bytes":1,"packets":1,"time_received_ns":"' + b"9" * 5000 + b'.5"}'])
@example([b'{"bytes":1,"packets":1,"timestamp_arrival":1e300}'])
@example([b'{"bytes":1,"packets":1,"time_received_ns":"9999-12-31T23:59:59Z"}'])
def test_decoder_never_raises_and_every_line_is_accounted_for(parts: list[bytes]) -> None:
    raw = b"\n".join(parts)
    for decode in (goflow2.decode, pmacct.decode):
        assert balanced(decode(raw, TRUST))


# pmacct


def pm(**over: Any) -> Columns:
    plain = {
        "event_type": "purge", "ip_src": "198.18.0.7", "ip_dst": "203.0.113.9", "port_src": 4000, "port_dst": 53,
        "ip_proto": "udp", "packets": 10, "bytes": 1000, "peer_ip_src": EDGE,
    }  # fmt: skip
    return columns(pmacct.decode(frame([plain | over]), TRUST))


def test_pmacct_record_is_read() -> None:
    one = pm(iface_in=7, mac_src="02:00:00:00:00:07", stamp_inserted="1700000000.0", stamp_updated="1700000060.0")
    assert (one.exporters, one.protocol[0], one.dst_port[0], one.in_if[0]) == ((EDGE,), 17, 53, 7)
    assert (one.receipt_ns[0], one.duration_ns[0]) == (START, 60 * SECOND)
    assert not one.fragments_visible[0]


def test_pmacct_stamps_of_whole_seconds_are_seconds() -> None:
    one = pm(stamp_inserted="1700000000", stamp_updated="1700000060", timestamp_arrival="1700000000")
    assert (one.receipt_ns[0], one.duration_ns[0], bool(one.skewed[0])) == (START, 60 * SECOND, False)


def test_pmacct_stamps_with_a_fraction_are_seconds_as_numbers_too() -> None:
    assert pm(timestamp_arrival=1700000000.25).receipt_ns[0] == START + SECOND // 4


def test_purge_markers_are_skipped_and_counted() -> None:
    markers = [{"event_type": "purge_init", "writer_id": "a"}, {"event_type": "purge_close", "purged_entries": 2}]
    plain = {"event_type": "purge", "ip_src": "198.18.0.7", "ip_dst": "1.1.1.1", "packets": 1, "bytes": 60}
    flows = pmacct.decode(frame([markers[0], plain, markers[1]]), TRUST)
    assert (flows.received, flows.skipped, len(columns(flows))) == (3, 2, 1)


@pytest.mark.parametrize(("proto", "number"), [("tcp", 6), ("6", 6), (6, 6), ("ipv6-icmp", 58), ("", -1), ("foo", 255)])
def test_pmacct_protocol_is_text_or_digits(proto: Any, number: int) -> None:
    assert pm(ip_proto=proto).protocol[0] == number


@pytest.mark.parametrize(("flags", "read"), [(18, 18), (["SYN", "ACK"], 18), ("18", 18), ([], 0), (["XYZ"], 0)])
def test_pmacct_flags_are_a_number_or_names(flags: Any, read: int) -> None:
    assert pm(ip_proto="tcp", tcp_flags=flags).tcp_flags[0] == read


@pytest.mark.parametrize(
    ("fields", "fragment", "visible"),
    [
        ({}, False, False),
        ({"frag_off": "0"}, False, True),
        ({"frag_off": "185"}, True, True),
        ({"frag_off": 0, "frag_flags": 0x20}, True, True),
        ({"frag_off": 0, "frag_flags": "64"}, False, True),  # DF
        ({"frag_off": 0x2000}, True, True),  # the raw field of a packet, MF on top
        ({"frag_off": 0x4000}, False, True),
    ],
)
def test_pmacct_shows_fragments_through_custom_primitives_alone(
    fields: dict[str, Any], fragment: bool, visible: bool
) -> None:
    one = pm(**fields)
    assert (bool(one.fragment[0]), bool(one.fragments_visible[0])) == (fragment, visible)


def test_pmacct_without_an_exporter_stands_under_its_topic() -> None:
    assert pm(peer_ip_src="").exporters == ("topic",)


@pytest.mark.parametrize("etype", ["800", "0x0800", "86dd", ""])
def test_pmacct_etype_is_hex_or_absent(etype: str) -> None:
    assert pm(etype=etype).ip[0]


def test_pmacct_frame_that_is_not_ip_is_none() -> None:
    assert not pm(etype="88cc", ip_src="", ip_dst="", ip_proto="").ip[0]


# small readers


@pytest.mark.parametrize(
    ("text", "number"),
    [("02:00:00:00:00:0a", 0x02000000000A), ("0200.0000.000a", 0x02000000000A), ("", 0), ("zz", None), ("1:2", None)],
)
def test_macs_are_read_in_every_spelling(text: str, number: int | None) -> None:
    assert mac_number(text) == number


def test_numbers_out_of_range_are_an_unknown_protocol() -> None:
    assert [protocol_number(one) for one in (300, -1, "999", "tcp")] == [255, 255, 255, 6]


def test_columns_hold_one_value_a_record() -> None:
    one = columns(goflow2.decode(frame([record(START, f"198.18.0.{n}") for n in range(1, 9)]), TRUST))
    tables = {"exporters", "words", "macs"}
    assert {len(getattr(one, name)) for name in Columns.__slots__ if name not in tables} == {8}
    assert np.all(one.sampling == 1)
