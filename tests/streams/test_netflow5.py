"""NetFlow version 5: each record as it was, broken datagrams counted."""

import pytest

from streams.decode.columns import packed_address
from tests.streams.export_cases import AT, UPTIME_MS, Five, columns, heard, netflow5, reasons


def test_a_record_is_told_with_addresses_ports_counts_interface_and_duration() -> None:
    one = columns(netflow5(Five()))
    assert one.addresses[one.src[0]] == packed_address("198.18.1.2")
    assert one.addresses[one.dst[0]] == packed_address("192.0.2.9")
    assert (one.src_port[0], one.dst_port[0], one.protocol[0], one.tcp_flags[0]) == (4000, 80, 6, 0x1B)
    assert (one.bytes[0], one.packets[0], one.flows[0], one.in_if[0], one.sampling[0]) == (5000, 10, 1, 3, 1)
    assert (one.receipt_ns[0], one.duration_ns[0]) == (AT, 8_000_000_000)
    flags = (one.fragments_visible, one.fragment, one.malformed, one.skewed)
    assert [bool(flag[0]) for flag in flags] == [False] * 4


def test_records_of_many_datagrams_are_told_in_their_order() -> None:
    one = columns(*(netflow5(*(Five(packets=1 + 30 * gram + each) for each in range(30))) for gram in range(5)))
    assert one.packets.tolist() == list(range(1, 151))


@pytest.mark.parametrize(("header", "rate"), [(0, 1), (0x4000 | 100, 100), (64, 64)])
def test_the_sampling_rate_is_the_headers_without_its_mode(header: int, rate: int) -> None:
    assert columns(netflow5(Five(), sampling=header)).sampling[0] == rate


def test_a_flow_that_began_before_the_uptime_counter_did_anew_has_its_duration() -> None:
    one = columns(netflow5(Five(first=2**32 - 2000, last=1000), uptime=2000))
    assert one.duration_ns[0] == 3_000_000_000
    assert not one.skewed[0]


def test_the_type_of_an_icmp_flow_stands_where_its_port_would() -> None:
    one = columns(netflow5(Five(protocol=1, src_port=0, dst_port=0x0301)))
    assert (one.icmp_type[0], one.src_port[0], one.dst_port[0], one.tcp_flags[0]) == (3, 0, 0, 0)


def test_records_that_are_missing_are_counted_and_the_others_kept() -> None:
    flows = heard(netflow5(Five(), Five(), count=3))
    assert flows.columns is not None
    assert (len(flows.columns), reasons(flows)) == (2, {"datagram cut short": 1})


@pytest.mark.parametrize("octets", [4, 23, 24 + 47])
def test_a_datagram_that_ends_early_counts_as_one(octets: int) -> None:
    flows = heard(netflow5(Five())[:octets])
    assert (flows.received, flows.columns, reasons(flows)) == (1, None, {"datagram cut short": 1})


def test_octets_behind_the_records_are_nobodys() -> None:
    assert len(columns(netflow5(Five()) + b"\xff" * 48)) == 1


def test_uptimes_that_contradict_each_other_cost_the_duration_only() -> None:
    one = columns(netflow5(Five(first=UPTIME_MS, last=UPTIME_MS - 5000)))
    assert (one.duration_ns[0], one.packets[0]) == (0, 10)
