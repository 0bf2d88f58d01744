"""Frames made by hand are what stacks and other decoders take them for."""

import socket
import struct
from ipaddress import IPv4Address, IPv4Network, IPv6Address

import pytest

from controller.domain.address import Mac
from deploy.lab.net import frames
from deploy.lab.net.floods import KINDS, ODD, flood
from deploy.lab.net.frames import ALL, ETHERNET, IPV4, TAIL, Way, checksum, numbered_at, stamp_of
from deploy.lab.net.plan import GATEWAY_MAC, network

NETWORK = network()
FOUR = Way(Mac("02:00:00:00:00:01"), Mac("02:00:00:00:00:02"), IPv4Address("198.18.1.1"), IPv4Address("203.0.113.1"))
SIX = Way(FOUR.src_mac, FOUR.dst_mac, IPv6Address("2001:db8::1"), IPv6Address("2001:db8::2"))
FLOODS = {name: flood(NETWORK, name) for name in KINDS}


def renumbered(frame: bytes, number: int) -> bytes:
    changed = bytearray(frame)
    TAIL.pack_into(changed, numbered_at(frame), number, ALL - number)
    return bytes(changed)


@pytest.mark.parametrize("number", [0, 1, 65_535, 65_536, 1 << 40, ALL])
def test_checksum_stays_true_whatever_number_a_frame_bears(number: int) -> None:
    frame = renumbered(frames.udp(SIX, frames.payload(1, 64)), number)
    segment = frame[ETHERNET + 40 :]
    pseudo = SIX.src.packed + SIX.dst.packed + struct.pack("!II", len(segment), socket.IPPROTO_UDP)
    assert checksum(pseudo + segment) == 0
    assert stamp_of(frame) == (1, number)


def test_header_of_a_packet_sums_to_nothing_and_tells_its_length() -> None:
    frame = frames.udp(FOUR, frames.payload(1, 470))
    header = frame[ETHERNET : ETHERNET + IPV4]
    assert checksum(header) == 0
    assert struct.unpack("!H", header[2:4])[0] == len(frame) - ETHERNET


def test_fragments_follow_each_other_and_none_is_the_last_or_the_first() -> None:
    pieces = frames.fragments(FOUR, 3, identity=7, pieces=4, octets=40)
    words = [struct.unpack("!H", piece[ETHERNET + 6 : ETHERNET + 8])[0] for piece in pieces]
    assert [word & 0x1FFF for word in words] == [5, 10, 15, 20]
    assert all(word & 0x2000 for word in words)


@pytest.mark.parametrize("name", KINDS)
def test_every_frame_of_a_flood_is_known_by_its_mark_and_is_long_enough_for_a_card(name: str) -> None:
    for frame in FLOODS[name].frames:
        assert 60 <= len(frame) <= 1514
        stamp, number = stamp_of(frame) or (0, -1)
        assert stamp % ODD == KINDS[name].stamp
        assert number == 0


def test_stamps_of_floods_differ() -> None:
    assert len({kind.stamp for kind in KINDS.values()}) == len(KINDS)


def test_error_that_quotes_a_frame_is_not_taken_for_it() -> None:
    quoted = frames.ip(FOUR, 1, bytes(8) + frames.udp(FOUR, frames.payload(1, 40))[ETHERNET:])
    assert frames.MARK in quoted
    assert stamp_of(quoted) is None


def test_other_traffic_and_cut_marks_are_not_counted() -> None:
    assert stamp_of(b"") is None
    assert stamp_of(bytes(60)) is None
    frame = frames.udp(FOUR, frames.payload(1, 40))
    assert stamp_of(frame[: frame.index(frames.MARK) + 8]) is None


def test_forgers_forge_what_they_are_named_for() -> None:
    def sources(name: str) -> set[IPv4Address]:
        return {IPv4Address(frame[ETHERNET + 12 : ETHERNET + 16]) for frame in FLOODS[name].frames}

    hosts = NETWORK.by_name
    own = hosts["c3"]
    assert len(sources("forged-a")) > 1000
    assert not any(
        NETWORK.segment["vps"].ipv4.supernet(new_prefix=16).overlaps(IPv4Network(one)) for one in sources("forged-a")
    )
    assert sources("forged-b") == {hosts["c4"].ipv4}
    assert hosts["c4"].port == own.port
    assert sources("forged-c") == {hosts["d3"].ipv4}
    assert sources("forged-d") == {hosts["dns1"].ipv4}
    assert {frame[6:12] for frame in FLOODS["forged-e"].frames}.isdisjoint(
        bytes.fromhex(machine.mac.replace(":", "")) for machine in NETWORK.machines
    )
    assert {frame[12:14] for frame in FLOODS["forged-f"].frames} == {b"\x88\xb5"}
    assert {frame[:6] for frame in FLOODS["saturation"].frames} == {bytes.fromhex(GATEWAY_MAC.replace(":", ""))}
