"""sFlow version 5: what was sampled is told as it was, what is broken is counted, nothing makes it fall."""

import os
import struct
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain.address import packed, unpacked
from streams.decode.columns import Columns, Flows
from streams.decode.datagrams import frame
from streams.decode.flows import Trust
from streams.decode.received import decode
from tests.streams.sflow_cases import (
    counters,
    cut,
    datagram,
    ethernet,
    expanded,
    flipped,
    ipv4,
    ipv6,
    raw,
    sample,
    tcp,
    udp,
)

SWITCH, OTHER, STRANGER = "198.18.255.12", "2001:db8::12", "192.0.2.1"
AT = 1_700_000_000_000_000_000
TRUST = Trust(frozenset({SWITCH, OTHER}), "topic", AT + 5, 10**12)
CORPUS = Path(os.environ.get("CORDON_CORPUS", "../shared/data"))


def heard(*datagrams: bytes, sender: str = SWITCH) -> Flows:
    exporter = packed(ip_address(sender))
    return decode(frame([exporter], [0] * len(datagrams), [AT] * len(datagrams), datagrams), TRUST)


def columns(*datagrams: bytes) -> Columns:
    flows = heard(*datagrams)
    assert flows.columns is not None
    assert (flows.rejects, flows.received) == ((), len(flows.columns) + flows.skipped)
    return flows.columns


def told(one: Columns, at: int = 0) -> dict[str, Any]:
    named = {"src": one.src, "dst": one.dst}
    places = {name: str(unpacked(one.addresses[index[at]])) if index[at] >= 0 else "" for name, index in named.items()}
    rest = ("protocol", "src_port", "dst_port", "fragment", "malformed", "ip", "discarded", "in_if")
    return places | {name: getattr(one, name)[at].item() for name in rest}


def test_a_sample_is_told_with_addresses_ports_interface_mac_and_rate() -> None:
    one = columns(datagram(sample(raw(ethernet(ipv4(udp(octets=470)))))))
    assert told(one) == {
        "src": "198.18.2.11",
        "dst": "203.0.113.9",
        "protocol": 17,
        "src_port": 40_000,
        "dst_port": 9,
        "fragment": False,
        "malformed": False,
        "ip": True,
        "discarded": False,
        "in_if": 7,
    }
    assert (one.exporters, one.bytes.tolist(), one.sampling.tolist()) == ((SWITCH,), [516], [64])
    assert one.macs[one.src_mac[0]] == 0x02005E000211
    assert one.receipt_ns.tolist() == [AT]


@pytest.mark.parametrize(
    "tags",
    [struct.pack("!HH", 0x8100, 110), struct.pack("!HHHH", 0x88A8, 5, 0x8100, 110)],
    ids=["802.1Q", "QinQ"],
)
def test_tags_are_looked_through(tags: bytes) -> None:
    assert told(columns(datagram(sample(raw(ethernet(ipv4(udp()), tags=tags))))))["src"] == "198.18.2.11"


def test_labels_are_looked_through() -> None:
    labels = struct.pack("!II", 16 << 12, 17 << 12 | 0x100)
    assert told(columns(datagram(sample(raw(ethernet(labels + ipv6(udp()), 0x8847))))))["src"] == "2001:db8:2:11::1"


def test_ipv4_options_do_not_shift_the_ports() -> None:
    assert told(columns(datagram(sample(raw(ethernet(ipv4(udp(53, 54), options=bytes(8))))))))["src_port"] == 53


def test_ipv6_extension_headers_are_looked_through() -> None:
    hops = bytes([17, 0]) + bytes(6)
    one = told(
        columns(datagram(sample(raw(ethernet(ipv6(bytes([60, 0]) + bytes(6) + hops + udp(53, 54), 0), 0x86DD)))))
    )
    assert (one["protocol"], one["src_port"], one["malformed"]) == (17, 53, False)


@pytest.mark.parametrize(("place", "port"), [(0x2000, 40_000), (0x2005, 0), (0x0005, 0)])
def test_fragments_are_told_and_only_the_first_has_ports(place: int, port: int) -> None:
    one = told(columns(datagram(sample(raw(ethernet(ipv4(udp(), place=place)))))))
    assert (one["fragment"], one["src_port"], one["malformed"]) == (True, port, False)


def test_fragments_of_ipv6_are_told() -> None:
    header = struct.pack("!BBHI", 17, 0, 8 | 1, 1)
    one = told(columns(datagram(sample(raw(ethernet(ipv6(header + bytes(40), 44), 0x86DD))))))
    assert (one["fragment"], one["protocol"], one["src_port"]) == (True, 17, 0)


@pytest.mark.parametrize(
    "broken",
    [
        ethernet(ipv4(udp(), length=4_000)),
        ethernet(ipv4(udp(), length=19)),
        ethernet(ipv4(udp())[:12]),
        ethernet(ipv4(tcp(0x03), 6)),
        ethernet(ipv4(tcp(0x02, head=4), 6)),
        ethernet(ipv4(tcp(0x10)[:10], 6)),
        ethernet(ipv4(struct.pack("!HHHH", 1, 2, 4, 0))),
        ethernet(ipv6(b"", 17), 0x86DD),
    ],
    ids=["too long", "too short", "cut", "SYN and FIN", "data offset", "cut TCP", "UDP length", "no UDP"],
)
def test_what_contradicts_itself_is_malformed(broken: bytes) -> None:
    assert told(columns(datagram(sample(raw(broken)))))["malformed"]


def test_a_header_that_only_the_sample_cuts_short_is_sound() -> None:
    long = ethernet(ipv4(udp(octets=1_400)))
    assert not told(columns(datagram(sample(raw(long, kept=36)))))["malformed"]


def test_what_is_not_ip_has_neither_addresses_nor_protocol() -> None:
    one = told(columns(datagram(sample(raw(ethernet(bytes(40), 0x88B5))))))
    assert (one["ip"], one["protocol"], one["src"]) == (False, -1, "")


def test_a_packet_that_a_rule_dropped_is_told_as_discarded() -> None:
    assert told(columns(datagram(sample(raw(ethernet(ipv4(udp()))), out=0x40000000 | 258))))["discarded"]
    assert told(columns(datagram(expanded(raw(ethernet(ipv4(udp()))), out=(1, 258)))))["discarded"]


def test_expanded_samples_name_interfaces_beyond_what_the_short_form_holds() -> None:
    assert told(columns(datagram(expanded(raw(ethernet(ipv4(udp()))), entry=1 << 31))))["in_if"] == 1 << 31


def test_an_unknown_interface_is_none() -> None:
    assert told(columns(datagram(sample(raw(ethernet(ipv4(udp()))), entry=0x3FFFFFFF))))["in_if"] == 0


def test_records_that_an_agent_read_itself_are_taken_too() -> None:
    body = struct.pack("!2I4B4B4I", 516, 6, 198, 18, 2, 11, 203, 0, 113, 9, 40_000, 443, 2, 0)
    one = columns(datagram(sample(struct.pack("!2I", 3, len(body)) + body)))
    assert (told(one)["src"], told(one)["dst_port"], one.tcp_flags[0], one.flows[0]) == ("198.18.2.11", 443, 2, 1)


def test_counters_are_passed_over_and_counted() -> None:
    flows = heard(datagram(counters(), sample(raw(ethernet(ipv4(udp())))), counters()))
    assert (flows.received, flows.skipped, flows.rejects) == (3, 2, ())


def test_each_sample_stands_for_those_that_its_agent_had_to_drop() -> None:
    samples = [sample(raw(ethernet(ipv4(udp()))), sequence=n, drops=9 * n) for n in (1, 2, 3)]
    assert columns(datagram(*samples)).sampling.tolist() == [640, 640, 640]
    elsewhere = sample(raw(ethernet(ipv4(udp()))), source=9, sequence=50)
    assert columns(datagram(*samples, elsewhere)).sampling.tolist() == [640, 640, 640, 64]


def test_a_stranger_is_refused_and_others_in_the_frame_are_not() -> None:
    made = datagram(sample(raw(ethernet(ipv4(udp())))))
    senders = [packed(ip_address(one)) for one in (SWITCH, STRANGER, OTHER)]
    flows = decode(frame(senders, [0, 1, 2], [AT] * 3, [made] * 3), TRUST)
    assert flows.columns is not None
    assert [flows.columns.exporters[one] for one in flows.columns.exporter] == [SWITCH, OTHER]
    assert [(one.reason, one.raw, one.count) for one in flows.rejects] == [("unknown exporter", made, 1)]
    assert flows.received == 3


def test_what_came_before_the_cut_is_kept_and_the_rest_is_one_dead_letter() -> None:
    made = datagram(sample(raw(ethernet(ipv4(udp())))), sample(raw(ethernet(ipv4(udp())))))
    flows = heard(cut(made, 30))
    assert flows.columns is not None
    assert (len(flows.columns), [one.reason for one in flows.rejects]) == (1, ["datagram cut short"])
    assert flows.received == 2


SOUND = datagram(
    sample(raw(ethernet(ipv4(udp())))), counters(), expanded(raw(ethernet(ipv6(udp()), 0x86DD))), sample(raw(b"\x01"))
)


@settings(deadline=None)  # what is compiled at the first call takes seconds
@given(st.integers(0, len(SOUND)), st.lists(st.tuples(st.integers(0, len(SOUND)), st.integers(0, 255)), max_size=6))
def test_no_datagram_makes_it_fall_and_all_are_accounted_for(left: int, places: list[tuple[int, int]]) -> None:
    flows = heard(flipped(SOUND, places), cut(SOUND, left), SOUND)
    scored = len(flows.columns) if flows.columns is not None else 0
    assert flows.received == scored + flows.skipped + sum(one.count for one in flows.rejects)
    assert scored >= 2


@settings(deadline=None)  # what is compiled at the first call takes seconds
@given(st.binary(max_size=300))
def test_noise_after_a_version_is_counted(noise: bytes) -> None:
    flows = heard(struct.pack("!I", 5) + noise)
    scored = len(flows.columns) if flows.columns is not None else 0
    assert flows.received == scored + flows.skipped + sum(one.count for one in flows.rejects)


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no captures in {CORPUS}")
class TestRecorded:
    def test_an_echo_request_that_a_switch_sampled(self) -> None:
        made = (CORPUS / "netsampler__goflow2/decoders/sflow/extracted/sflow.TestSFlowDecode.data1.bin").read_bytes()
        one = columns(made)
        assert (told(one)["src"], told(one)["dst"], told(one)["protocol"]) == ("172.16.32.254", "172.16.32.241", 1)
        assert (one.bytes.tolist(), one.sampling.tolist(), told(one)["in_if"]) == ([82], [2048], 1194)

    def test_recorded_datagrams_of_this_version_are_read_to_their_end(self) -> None:
        files = sorted(CORPUS.glob("*/**/*[sS][fF]low*.bin"))
        of_version = [made for made in (file.read_bytes() for file in files) if made[:4] == b"\0\0\0\5"]
        assert len(of_version) >= 5
        for made in of_version:
            assert not [one.reason for one in heard(made).rejects]
