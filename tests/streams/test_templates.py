"""NetFlow v9 and IPFIX: records by their templates, in every shape that the specifications allow."""

import os
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain.address import unpacked
from controller.domain.errors import BadInput
from streams.decode.templates import REPEATED, Bounds, Templates
from tests.streams.export_cases import (
    AT,
    DST,
    EXPORT_S,
    INPUT,
    OCTETS,
    OTHER,
    PACKETS,
    PLAIN,
    PROTOCOL,
    ROUTER,
    SRC,
    UPTIME_MS,
    a_set,
    columns,
    heard,
    ipfix,
    netflow9,
    number,
    options9,
    options10,
    plain,
    reasons,
    template,
)

Packet = Callable[..., bytes]
CORPUS = Path(os.environ.get("CORDON_CORPUS", "../shared/data"))
BOTH = pytest.mark.parametrize(("packet", "templates", "options"), [(netflow9, 0, 1), (ipfix, 2, 3)])
SMALL = (SRC, DST, PACKETS, OCTETS)


def small(packets: int = 1) -> bytes:
    return plain(packets=packets)[:8] + struct.pack("!II", packets, packets * 100)


@BOTH
def test_a_record_is_told_by_its_template(packet: Packet, templates: int, options: int) -> None:
    one = columns(packet(a_set(templates, template(256, PLAIN)), a_set(256, plain() + plain(packets=7), padding=2)))
    assert [str(unpacked(raw)) for raw in one.addresses] == ["198.18.1.2", "192.0.2.9"]
    assert (one.packets.tolist(), one.bytes.tolist(), one.protocol.tolist()) == ([10, 7], [1000, 700], [6, 6])
    assert (one.src_port[0], one.dst_port[0], one.receipt_ns[0], one.sampling[0]) == (4000, 80, AT, 1)


@BOTH
def test_a_template_is_remembered_from_frame_to_frame_and_over_a_restart(
    packet: Packet, templates: int, options: int
) -> None:
    known = Templates()
    heard(packet(a_set(templates, template(256, PLAIN))), known=known)
    again = Templates.restored(known.saved())
    assert len(columns(packet(a_set(256, plain())), known=again)) == 1
    assert (known.changes, again.changes) == (1, 0)


@BOTH
def test_data_before_its_template_is_counted_and_read_when_that_comes(
    packet: Packet, templates: int, options: int
) -> None:
    known = Templates()
    early = heard(packet(a_set(256, plain() * 3)), known=known, at=AT - 10**9)
    assert (early.received, reasons(early)) == (1, {"data before its template": 1})
    known = Templates.restored(known.saved())
    one = columns(packet(a_set(templates, template(256, PLAIN)), a_set(256, plain())), known=known)
    assert sorted(one.receipt_ns.tolist()) == [AT - 10**9] * 3 + [AT]
    assert len(columns(packet(a_set(templates, template(256, PLAIN)), a_set(256, plain())), known=known)) == 1


@BOTH
def test_data_before_its_template_in_one_frame_is_read(packet: Packet, templates: int, options: int) -> None:
    assert len(columns(packet(a_set(256, plain())), packet(a_set(templates, template(256, PLAIN))))) == 1


def test_what_waits_is_bounded_and_the_oldest_goes_first() -> None:
    known = Templates(Bounds(waiting=100))
    for packets in range(1, 9):
        heard(ipfix(a_set(256, plain(packets=packets))), known=known)
    one = columns(ipfix(a_set(2, template(256, PLAIN))), known=known)
    assert one.packets.tolist() == [5, 6, 7, 8]


@BOTH
def test_a_template_that_changes_is_read_as_it_was_before_and_is_after(
    packet: Packet, templates: int, options: int
) -> None:
    one = columns(
        packet(a_set(templates, template(256, PLAIN)), a_set(256, plain(packets=3))),
        packet(a_set(templates, template(256, SMALL)), a_set(256, small(packets=4))),
        packet(a_set(256, small(packets=5))),
    )
    assert one.packets.tolist() == [3, 4, 5]


@pytest.mark.parametrize(("sender", "domain"), [(ROUTER, 2), (OTHER, 1)])
def test_a_template_means_nothing_in_another_domain_or_of_another_exporter(sender: str, domain: int) -> None:
    known = Templates()
    heard(ipfix(a_set(2, template(256, PLAIN))), known=known)
    flows = heard(ipfix(a_set(256, plain()), domain=domain), known=known, sender=sender)
    assert reasons(flows) == {"data before its template": 1}


@pytest.mark.parametrize("withdrawal", [struct.pack("!HH", 256, 0), struct.pack("!HH", 2, 0)])
def test_a_template_that_is_withdrawn_is_forgotten(withdrawal: bytes) -> None:
    taught = ipfix(a_set(2, template(256, PLAIN)), a_set(256, plain()), a_set(2, withdrawal))
    flows = heard(taught, ipfix(a_set(256, plain())))
    assert flows.columns is not None
    assert (len(flows.columns), reasons(flows)) == (1, {"data before its template": 1})


def test_what_a_time_means_does_not_depend_on_what_else_is_in_the_frame() -> None:
    """A flow that began as its exporter did, beside a record of which the times are written in another way."""
    began, seconds = (*PLAIN, (22, 4), (21, 4)), (*PLAIN, (150, 4), (151, 4))
    lasted = netflow9(a_set(0, template(256, began)), a_set(256, plain() + struct.pack("!II", 0, 2_000)), uptime=3_000)
    other = ipfix(a_set(2, template(256, seconds)), a_set(256, plain() + struct.pack("!II", EXPORT_S - 5, EXPORT_S)))
    assert columns(lasted).duration_ns.tolist() == [2 * 10**9]
    assert columns(lasted, other).duration_ns.tolist() == [2 * 10**9, 5 * 10**9]


def test_a_template_that_is_repeated_and_then_withdrawn_is_learned_anew_when_it_comes_again() -> None:
    known, taught = Templates(), ipfix(a_set(2, template(256, PLAIN)), a_set(256, plain()))
    for _ in range(3):
        assert len(columns(taught, known=known)) == 1
    assert known.changes == 1
    heard(ipfix(a_set(2, struct.pack("!HH", 256, 0))), known=known)
    assert reasons(heard(ipfix(a_set(256, plain())), known=known)) == {"data before its template": 1}
    assert len(columns(taught, known=known)) == 2, "what waited, and what came with it"


@BOTH
def test_sets_that_are_repeated_are_remembered_up_to_a_bound(packet: Packet, templates: int, options: int) -> None:
    """The same template with ever other ones beside it, as somebody would say it who wants to fill memory."""
    known = Templates(Bounds(templates=4))
    heard(packet(a_set(templates, template(256, PLAIN))), known=known)
    for at in range(64):
        many = b"".join(template(256 + one, PLAIN) for one in range(at % 4, 600))
        heard(packet(a_set(templates, many)), known=known)
        assert known.remembered <= REPEATED + (1 << 16)
    assert len(columns(packet(a_set(templates, template(256, PLAIN)), a_set(256, plain())), known=known)) == 1


@BOTH
@pytest.mark.parametrize("octets", [1, 2, 3, 4, 5, 6, 7, 8])
def test_a_number_may_have_any_length(packet: Packet, templates: int, options: int, octets: int) -> None:
    fields = (SRC, DST, (2, octets), (1, octets))
    record = plain()[:8] + number(200, octets) + number(201, octets)
    one = columns(packet(a_set(templates, template(300, fields)), a_set(300, record * 2)))
    assert (one.packets.tolist(), one.bytes.tolist()) == ([200, 200], [201, 201])


@pytest.mark.parametrize("length", [0, 3, 254, 255, 300])
def test_fields_of_variable_length_are_passed_over_whole(length: int) -> None:
    head = bytes([length]) if length < 255 else b"\xff" + struct.pack("!H", length)
    fields = (SRC, (95, 0xFFFF), DST, (7, 0xFFFF, 9), PACKETS, OCTETS)
    record = plain()[:4] + head + b"x" * length + plain()[4:8] + head + b"y" * length + struct.pack("!II", 4, 400)
    one = columns(ipfix(a_set(2, template(256, fields)), a_set(256, record * 3)))
    assert (one.packets.tolist(), one.bytes.tolist()) == ([4] * 3, [400] * 3)
    assert [str(unpacked(raw)) for raw in one.addresses] == ["198.18.1.2", "192.0.2.9"]


def test_an_enterprises_fields_are_passed_over() -> None:
    fields = ((1, 4, 35632), SRC, DST, (2, 8, 9), PACKETS, OCTETS)
    record = b"\xff" * 4 + plain()[:8] + b"\xff" * 8 + struct.pack("!II", 4, 400)
    assert columns(ipfix(a_set(2, template(256, fields)), a_set(256, record))).packets.tolist() == [4]


def test_ciscos_own_fields_in_netflow9_have_no_enterprise_number() -> None:
    fields = ((40005, 1), SRC, DST, PACKETS, OCTETS)
    assert len(columns(netflow9(a_set(0, template(256, fields)), a_set(256, b"\x02" + small())))) == 1


def test_ipv6_is_told_and_a_template_for_both_families_tells_which() -> None:
    six = bytes.fromhex("20010db8000000000000000000000001"), bytes.fromhex("20010db8000000000000000000000002")
    fields = (SRC, DST, (27, 16), (28, 16), PACKETS, OCTETS)
    counts = struct.pack("!II", 1, 100)
    records = bytes(8) + b"".join(six) + counts + plain()[:8] + bytes(32) + counts
    one = columns(ipfix(a_set(2, template(256, fields)), a_set(256, records)))
    assert [str(unpacked(one.addresses[at])) for at in one.src] == ["2001:db8::1", "198.18.1.2"]
    assert [str(unpacked(one.addresses[at])) for at in one.dst] == ["2001:db8::2", "192.0.2.9"]


@pytest.mark.parametrize(
    "back", [((2, 4, 29305), (1, 4, 29305)), ((86, 8, 29305), (85, 8, 29305)), ((299, 4), (232, 4))]
)
def test_a_record_of_both_directions_comes_to_two(back: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    counts = [(number(packets, back[0][1]) + number(packets * 50, back[1][1])) for packets in (3, 0)]
    records = b"".join(plain() + number(5, 2) + number(6, 2) + count for count in counts)
    fields = (*PLAIN, INPUT, (14, 2), *back)
    one = columns(ipfix(a_set(2, template(256, fields)), a_set(256, records)))
    assert (one.packets.tolist(), one.bytes.tolist()) == ([10, 10, 3], [1000, 1000, 150])
    assert [str(unpacked(one.addresses[at])) for at in (one.src[2], one.dst[2])] == ["192.0.2.9", "198.18.1.2"]
    assert (one.src_port[2], one.dst_port[2], one.in_if.tolist()) == (80, 4000, [5, 5, 6])


NTP = EXPORT_S + 2_208_988_800


@pytest.mark.parametrize(
    ("start", "end", "length", "values"),
    [
        (152, 153, 8, (EXPORT_S * 1000 - 9000, EXPORT_S * 1000 - 1000)),
        (150, 151, 4, (EXPORT_S - 9, EXPORT_S - 1)),
        (154, 155, 8, ((NTP - 9) << 32, (NTP - 1) << 32)),
        (156, 157, 8, ((NTP - 9) << 32 | 1 << 31, (NTP - 1) << 32 | 1 << 31)),
        (158, 159, 4, (9_000_000, 1_000_000)),
    ],
)
def test_times_of_every_unit_give_the_same_duration(start: int, end: int, length: int, values: tuple[int, int]) -> None:
    record = small() + b"".join(number(value, length) for value in values)
    fields = (*SMALL, (start, length), (end, length))
    one = columns(ipfix(a_set(2, template(256, fields)), a_set(256, record)))
    assert (one.duration_ns[0], bool(one.skewed[0])) == (8_000_000_000, False)


def test_netflow9_counts_times_since_the_exporter_started() -> None:
    fields = (*SMALL, (22, 4), (21, 4))
    record = small() + struct.pack("!II", UPTIME_MS - 9000, UPTIME_MS - 1000)
    one = columns(netflow9(a_set(0, template(256, fields)), a_set(256, record)))
    assert (one.duration_ns[0], bool(one.skewed[0])) == (8_000_000_000, False)


def test_ipfix_may_count_times_since_a_start_that_each_record_tells() -> None:
    fields = (*SMALL, (22, 4), (21, 4), (160, 8))
    record = small() + struct.pack("!IIQ", 1000, 9000, EXPORT_S * 1000 - 10_000)
    one = columns(ipfix(a_set(2, template(256, fields)), a_set(256, record)))
    assert (one.duration_ns[0], bool(one.skewed[0])) == (8_000_000_000, False)


@pytest.mark.parametrize(
    ("field", "value", "fragment", "ports"),
    [
        ((88, 2), 0, False, (4000, 80)),
        ((88, 2), 185, True, (0, 0)),
        ((197, 1), 0x20, True, (4000, 80)),
        ((197, 1), 0x40, False, (4000, 80)),
    ],
)
def test_fragments_are_told_where_the_template_has_room_for_them(
    field: tuple[int, int], value: int, fragment: bool, ports: tuple[int, int]
) -> None:
    packet = ipfix(a_set(2, template(256, (*PLAIN, field))), a_set(256, plain() + number(value, field[1])))
    one = columns(packet)
    assert (bool(one.fragment[0]), (one.src_port[0], one.dst_port[0])) == (fragment, ports)
    assert one.fragments_visible[0]
    assert not columns(ipfix(a_set(2, template(256, PLAIN)), a_set(256, plain()))).fragments_visible[0]


@pytest.mark.parametrize(
    ("status", "discarded"), [(0x40, False), (0x42, False), (0x80, True), (0x84, True), (0, False)]
)
def test_what_the_router_dropped_is_told(status: int, discarded: bool) -> None:
    one = columns(netflow9(a_set(0, template(256, (*SMALL, (89, 1)))), a_set(256, small() + bytes([status]))))
    assert bool(one.discarded[0]) is discarded


def test_macs_and_frames_that_are_not_ip_are_told() -> None:
    fields = ((56, 6), (80, 6), INPUT, PACKETS, OCTETS)
    record = bytes.fromhex("020000000007") + bytes.fromhex("020000000008") + struct.pack("!HII", 5, 1, 100)
    one = columns(netflow9(a_set(0, template(256, fields)), a_set(256, record)))
    assert (one.macs[one.src_mac[0]], one.macs[one.dst_mac[0]], one.in_if[0]) == (0x020000000007, 0x020000000008, 5)
    assert (one.src[0], one.dst[0], one.protocol[0], bool(one.ip[0])) == (-1, -1, -1, False)


# sampling


@pytest.mark.parametrize(
    ("fields", "values"), [(((34, 4),), (100,)), (((305, 4), (306, 4)), (1, 99)), (((309, 4), (310, 4)), (2, 200))]
)
def test_a_domains_rate_is_told_by_its_options(fields: tuple[tuple[int, int], ...], values: tuple[int, ...]) -> None:
    known = Templates()
    words = b"".join(number(value, 4) for value in values)
    told = ipfix(a_set(3, options10(400, [(149, 4)], fields)), a_set(400, number(1, 4) + words))
    assert heard(told, known=known).skipped == 1
    known = Templates.restored(known.saved())
    one = columns(ipfix(a_set(2, template(256, PLAIN)), a_set(256, plain())), known=known)
    assert one.sampling[0] == 100
    other = columns(ipfix(a_set(2, template(256, PLAIN)), a_set(256, plain()), domain=2), known=known)
    assert other.sampling[0] == 1


def test_records_that_name_their_sampler_have_its_rate() -> None:
    options = options9(257, [(1, 4)], [(48, 1), (50, 4)])
    told = a_set(257, b"".join(number(0, 4) + number(one, 1) + number(one * 100, 4) for one in (1, 2)))
    records = b"".join(small() + bytes([one]) for one in (1, 2, 3))
    data = a_set(0, template(256, (*SMALL, (48, 1)))), a_set(256, records)
    flows = heard(netflow9(a_set(1, options), told, *data))
    assert flows.columns is not None
    assert (flows.columns.sampling.tolist(), flows.skipped) == ([100, 200, 1], 2)


def test_an_interfaces_rate_holds_for_what_came_in_by_it() -> None:
    rates = number(7, 2) + number(50, 4) + number(8, 2) + number(60, 4)
    told = a_set(1, options9(257, [(2, 2)], [(34, 4)])), a_set(257, rates)
    data = a_set(0, template(256, (*SMALL, INPUT))), a_set(256, b"".join(small() + number(one, 2) for one in (7, 8, 9)))
    flows = heard(netflow9(*told, *data))
    assert flows.columns is not None
    assert flows.columns.sampling.tolist() == [50, 60, 1]


def test_a_rate_that_the_record_itself_tells_is_the_one() -> None:
    one = columns(netflow9(a_set(0, template(256, (*SMALL, (34, 4)))), a_set(256, small() + number(33, 4))))
    assert one.sampling[0] == 33


# what is broken


def test_records_without_counts_are_skipped() -> None:
    flows = heard(netflow9(a_set(0, template(256, (SRC, DST, PROTOCOL))), a_set(256, (plain()[:8] + b"\x06") * 3)))
    assert (flows.received, flows.skipped, flows.columns) == (3, 3, None)


@pytest.mark.parametrize(
    "packet",
    [
        netflow9(a_set(0, template(256, PLAIN)[:-2])),
        netflow9(a_set(0, struct.pack("!HH", 256, 0))),
        netflow9(a_set(0, template(256, [(1, 0)]))),
        netflow9(a_set(0, template(7, PLAIN))),
        netflow9(a_set(1, options9(256, [(1, 4)], [(34, 4)])[:-4])),
        ipfix(a_set(2, template(256, [(1, 4, 99)])[:-4])),
        netflow9(struct.pack("!HH", 256, 3)),
        netflow9(struct.pack("!HH", 256, 400) + b"x"),
        netflow9()[:19],
        ipfix(a_set(300, b"x" * 8))[:-1],
        ipfix()[:15],
    ],
)
def test_what_cannot_be_is_refused_and_counted(packet: bytes) -> None:
    assert reasons(heard(packet))["datagram cut short"] == 1


def test_counts_that_cannot_be_are_refused_one_by_one() -> None:
    fields = (SRC, DST, (2, 8), (1, 8))
    records = b"".join(plain()[:8] + number(1, 8) + number(one, 8) for one in (5, 2**63, 2**48, 7))
    flows = heard(ipfix(a_set(2, template(256, fields)), a_set(256, records)))
    assert flows.columns is not None
    assert (flows.columns.bytes.tolist(), reasons(flows)) == ([5, 7], {"counts that cannot be": 2})


def test_a_record_of_variable_length_that_ends_early_is_refused() -> None:
    fields = (SRC, DST, PACKETS, OCTETS, (95, 0xFFFF))
    flows = heard(ipfix(a_set(2, template(256, fields)), a_set(256, small() + b"\x01x" + small() + b"\x09x")))
    assert flows.columns is not None
    assert (len(flows.columns), reasons(flows)) == (1, {"datagram cut short": 1})


def test_templates_are_bounded_for_each_exporter() -> None:
    known = Templates(Bounds(templates=10))
    heard(ipfix(a_set(2, template(256, PLAIN))), known=known, sender=OTHER)
    for one in range(300, 400):
        heard(ipfix(a_set(2, template(one, PLAIN))), known=known)
    assert len(heard(ipfix(a_set(256, plain())), known=known, sender=OTHER).columns or ()) == 1
    assert len(columns(ipfix(a_set(399, plain())), known=known)) == 1
    assert reasons(heard(ipfix(a_set(300, plain())), known=known)) == {"data before its template": 1}


@pytest.mark.parametrize("raw", [b"", b"\x00", b"\x92\x07\x90", b"\x92\x01\xa1x"])
def test_templates_that_cannot_be_restored_are_refused(raw: bytes) -> None:
    with pytest.raises(BadInput):
        Templates.restored(raw)


SETS = st.lists(
    st.one_of(
        st.builds(a_set, st.integers(0, 400), st.binary(max_size=60)),
        st.just(a_set(2, template(256, PLAIN))),
        st.just(a_set(0, template(257, (*SMALL, (95, 0xFFFF))))),
        st.just(a_set(3, options10(258, [(149, 4)], [(34, 4)]))),
        st.binary(max_size=30),
    ),
    max_size=6,
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([netflow9, ipfix]), SETS, st.integers(0, 3)), max_size=6))
def test_whatever_comes_is_counted_and_nothing_falls(packets: list[tuple[Packet, list[bytes], int]]) -> None:
    known = Templates()
    datagrams = [packet(*sets)[: -left or None] for packet, sets, left in packets]
    heard(*datagrams, known=known)
    heard(*datagrams, known=Templates.restored(known.saved()))


@settings(deadline=None)
@given(st.sampled_from([5, 9, 10]), st.binary(max_size=400))
def test_noise_behind_a_version_is_counted(version: int, noise: bytes) -> None:
    assert heard(struct.pack("!H", version) + noise).received >= 0


LOGSTASH = "logstash-plugins__logstash-codec-netflow/spec/codecs"
GRAYLOG = "Graylog2__graylog-plugin-netflow/src/test/resources/netflow-data"
RECORDED = [  # datagrams in order, records kept and skipped, and what is told of the first: figures counted by hand
    ([f"{LOGSTASH}/ipfix_test_netscaler_tpl.dat", f"{LOGSTASH}/ipfix_test_netscaler_data.dat"], 3, 0,
     "192.168.0.1 10.0.0.1 51053 443 6 1 40"),
    ([f"{LOGSTASH}/ipfix_test_viptela_tpl257.dat", f"{LOGSTASH}/ipfix_test_viptela_data257.dat"], 1, 0,
     "10.113.7.54 172.16.21.27 41717 443 6 8 775"),
    ([f"{LOGSTASH}/netflow9_test_cisco_asa_1_tpl.dat", f"{LOGSTASH}/netflow9_test_cisco_asa_1_data.dat"], 14, 0,
     "192.168.14.1 2.2.2.11 0 0 1 0 56"),
    ([f"{LOGSTASH}/netflow9_test_cisco_nbar_tpl262.dat", f"{LOGSTASH}/netflow9_test_cisco_nbar_data262.dat"], 5, 0,
     "10.30.18.62 10.30.19.180 0 0 1 1 44"),
    ([f"{LOGSTASH}/netflow9_test_macaddr_tpl.dat", f"{LOGSTASH}/netflow9_test_macaddr_data.dat"], 0, 30, ""),
    ([f"{GRAYLOG}/netflow-v5-2.dat"], 30, 0, "14.63.211.15 192.168.124.20 80 47994 6 110 317221"),
    ([f"{GRAYLOG}/netflow-v9-2-1.dat", f"{GRAYLOG}/netflow-v9-2-2.dat"], 1, 1,
     "192.168.124.1 239.255.255.250 3072 1900 17 8 2818"),
    (["bitkeks__python-netflow-v9-softflowd/tests/extracted/PACKET_V9_TEMPLATE_MIXED.bin"], 8, 0,
     "127.0.0.1 127.0.0.1 80 37932 6 75 102416"),
]  # fmt: skip


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no captures in {CORPUS}")
@pytest.mark.parametrize(("files", "kept", "skipped", "first"), RECORDED)
def test_what_real_exporters_sent_is_told(files: list[str], kept: int, skipped: int, first: str) -> None:
    known = Templates()
    flows = [heard((CORPUS / file).read_bytes(), known=known) for file in files]
    one = flows[-1].columns
    assert (0 if one is None else len(one), sum(each.skipped for each in flows)) == (kept, skipped)
    if one is not None:
        ends = [str(unpacked(one.addresses[side[0]])) for side in (one.src, one.dst)]
        figures = (one.src_port, one.dst_port, one.protocol, one.packets, one.bytes)
        assert " ".join([*ends, *(str(column[0]) for column in figures)]) == first


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no captures in {CORPUS}")
def test_yafs_records_agree_with_what_telegraf_read_in_them() -> None:
    folder = CORPUS / "influxdata__telegraf/plugins/inputs/netflow/testcases/ipfix_example"
    known = Templates()
    read: list[tuple[str, ...]] = []
    for file in sorted(folder.glob("*.bin")):
        one = heard(file.read_bytes(), known=known).columns
        for at in range(0 if one is None else len(one)):
            assert one is not None
            src, dst = (str(unpacked(one.addresses[side[at]])) for side in (one.src, one.dst))
            read.append(
                (src, dst, str(one.src_port[at]), str(one.dst_port[at]), str(one.packets[at]), str(one.bytes[at]))
            )
    golden = []
    for line in (folder / "expected.out").read_text().splitlines():
        said = dict(re.findall(r'(\w+)="?([^",]*?)"?u?(?=[, ])', line))
        if "in_total_bytes" not in said:
            continue
        ends, ports = (said["src"], said["dst"]), (said.get("src_port", "0"), said.get("dst_port", "0"))
        golden.append((*ends, *ports, said["in_total_packets"], said["in_total_bytes"]))
        if "type_29305_85" in said:
            back = (str(int(said["type_29305_86"], 16)), str(int(said["type_29305_85"], 16)))
            golden.append((*ends[::-1], *ports[::-1], *back))
    assert len(golden) > 29
    assert sorted(read) == sorted(golden)
