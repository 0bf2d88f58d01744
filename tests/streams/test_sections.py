"""Packets that exporters of IPFIX sampled: what an sFlow agent would have told of them is told of them."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain.address import unpacked
from streams.decode.templates import Templates
from tests.streams import test_sflow
from tests.streams.export_cases import INPUT, OCTETS, PACKETS, a_set, columns, heard, ipfix, options10, plain, template
from tests.streams.sflow_cases import datagram, ethernet, ipv4, ipv6, raw, sample, tcp, udp

FRAME, PACKET, SIZE, LENGTH, EVERY = 315, 313, 312, 0xFFFF, (305, 4)
"""dataLinkFrameSection, ipHeaderPacketSection, dataLinkFrameSize, a variable length, samplingPacketInterval."""

FRAMES = {
    "udp": ethernet(ipv4(udp(octets=470))),
    "first fragment": ethernet(ipv4(udp(), place=0x2000)),
    "later fragment": ethernet(ipv4(bytes(40), place=0x00B9)),
    "syn": ethernet(ipv4(tcp(2), 6)),
    "flags that cannot be": ethernet(ipv4(tcp(3), 6)),
    "tagged": ethernet(ipv4(udp()), tags=bytes.fromhex("8100000a")),
    "labelled": ethernet(b"\x00\x01\x01\x40" + ipv4(udp()), 0x8847),
    "ipv6": ethernet(ipv6(tcp(0x12), 6), 0x86DD),
    "ipv6 fragment": ethernet(ipv6(bytes.fromhex("1100000100000001") + udp(), 44), 0x86DD),
    "arp": ethernet(bytes(28), 0x0806),
    "header longer than the packet": ethernet(ipv4(udp(), length=12)),
}
COLUMNS = (
    "bytes", "packets", "flows", "protocol", "src_port", "dst_port", "tcp_flags", "icmp_type", "fragment", "malformed",
    "ip", "fragments_visible",
)  # fmt: skip


def var(octets: bytes) -> bytes:
    """A field of variable length."""
    head = struct.pack("!B", len(octets)) if len(octets) < 255 else struct.pack("!BH", 255, len(octets))
    return head + octets


def framed(frame: bytes, *, whole: int | None = None) -> bytes:
    """An IPFIX message with one sampled frame, of `whole` octets, which entered by interface 7."""
    body = struct.pack("!HH", 7, len(frame) if whole is None else whole) + var(frame)
    return ipfix(a_set(2, template(256, (INPUT, (SIZE, 2), (FRAME, LENGTH)))), a_set(256, body))


@pytest.mark.parametrize("frame", FRAMES.values(), ids=list(FRAMES))
def test_a_sampled_frame_is_told_as_sflow_would_have_it(frame: bytes) -> None:
    mine, sflows = columns(framed(frame)), test_sflow.columns(datagram(sample(raw(frame, stripped=0))))
    assert test_sflow.told(mine) == test_sflow.told(sflows)
    for name in COLUMNS:
        assert getattr(mine, name).tolist() == getattr(sflows, name).tolist(), name
    assert [mine.macs[one.item()] for one in (mine.src_mac[0], mine.dst_mac[0])] == [
        sflows.macs[one.item()] for one in (sflows.src_mac[0], sflows.dst_mac[0])
    ]


def test_a_template_of_nothing_but_the_section_is_read() -> None:
    said = columns(
        ipfix(a_set(2, template(256, ((FRAME, LENGTH),))), a_set(256, var(FRAMES["udp"]) + var(FRAMES["syn"])))
    )
    assert said.protocol.tolist() == [17, 6]


def test_a_frame_of_which_the_first_octets_came_counts_as_long_as_it_was() -> None:
    one = columns(framed(ethernet(ipv4(udp(octets=1400)))[:128], whole=1442))
    assert (one.bytes.tolist(), one.packets.tolist(), one.malformed.tolist()) == ([1442], [1], [False])


def test_a_frame_without_its_size_is_as_long_as_its_packet_says() -> None:
    cut = var(ethernet(ipv4(udp(octets=1400)))[:64])
    one = columns(
        ipfix(a_set(2, template(256, (INPUT, (14, 2), (FRAME, LENGTH)))), a_set(256, struct.pack("!HH", 7, 8) + cut))
    )
    assert (one.bytes.tolist(), one.malformed.tolist()) == ([14 + 20 + 8 + 1400], [False])


@pytest.mark.parametrize(("packet", "source"), [(ipv4(udp()), "198.18.2.11"), (ipv6(udp()), "2001:db8:2:11::1")])
def test_a_section_that_begins_with_the_ip_header_is_read_from_there(packet: bytes, source: str) -> None:
    sets = a_set(2, template(256, (INPUT, (PACKET, 48)))), a_set(256, struct.pack("!H", 7) + packet[:48])
    one = columns(ipfix(*sets))
    assert (str(unpacked(one.addresses[one.src[0]])), one.dst_port.tolist()) == (source, [9])
    assert (one.bytes.tolist(), one.malformed.tolist(), one.in_if.tolist()) == ([len(packet)], [False], [7])


def test_each_packet_stands_for_as_many_as_the_options_say() -> None:
    known = Templates()
    told = a_set(3, options10(300, [(149, 4)], [EVERY, (306, 4)])), a_set(300, struct.pack("!III", 1, 1, 999))
    heard(ipfix(*told), known=known)
    assert columns(framed(FRAMES["udp"]), known=known).sampling.tolist() == [1000]


def test_where_a_record_counts_its_section_is_an_example_and_no_packet() -> None:
    fields = ((8, 4), (12, 4), (7, 2), (11, 2), (4, 1), PACKETS, OCTETS, (FRAME, LENGTH))
    one = columns(ipfix(a_set(2, template(256, fields)), a_set(256, plain(packets=10) + var(FRAMES["ipv6"])), domain=3))
    assert (one.packets.tolist(), one.bytes.tolist()) == ([10], [1000])
    assert str(unpacked(one.addresses[one.src[0]])) == "198.18.1.2"


def test_frames_that_waited_for_their_template_are_told_when_it_comes() -> None:
    known = Templates()
    learn = a_set(2, template(256, (INPUT, (SIZE, 2), (FRAME, LENGTH))))
    body = struct.pack("!HH", 7, 512) + var(FRAMES["udp"])
    early = heard(ipfix(a_set(256, body)), known=known)
    assert (early.columns, early.received) == (None, 1)
    one = columns(ipfix(learn, a_set(256, body * 2)), known=known)
    assert one.bytes.tolist() == [512, 512, 512]
    assert one.dst_port.tolist() == [9, 9, 9]


@given(
    st.lists(st.binary(max_size=80), min_size=1, max_size=4),
    st.integers(0, 65_535),
    st.sampled_from([FRAME, PACKET, 104]),
)
@settings(deadline=None, derandomize=True)
def test_whatever_a_section_holds_is_one_record(sections: list[bytes], size: int, element: int) -> None:
    body = b"".join(struct.pack("!HH", 7, size) + var(one) for one in sections)
    flows = heard(ipfix(a_set(2, template(256, (INPUT, (SIZE, 2), (element, LENGTH)))), a_set(256, body)))
    assert flows.columns is not None
    assert (flows.rejects, len(flows.columns), flows.columns.packets.sum()) == ((), len(sections), len(sections))
