"""What we read in flow exports is what others read in them: the netflow package, and tshark, record for record.

Both readers get the same octets. Fields compared are those that the format gives and both can tell.
"""

import os
import shutil
import struct
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import netflow
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain.address import unpacked
from deploy.lab.rates.stencils import Stencil, stencils
from streams.decode.columns import Columns
from streams.decode.counters import Told as Counted
from streams.decode.counters import readings
from streams.decode.datagrams import frame, unframed
from streams.decode.templates import Templates
from tests.streams import sflow_cases as sampled
from tests.streams.export_cases import (
    AT,
    EXPORT_S,
    UPTIME_MS,
    Five,
    a_set,
    columns,
    heard,
    ipfix,
    netflow5,
    netflow9,
    number,
    template,
)

CORPUS = Path(os.environ.get("CORDON_CORPUS", "../shared/data"))
TCP, UDP, ICMP, ICMP6, GRE, SCTP = 6, 17, 1, 58, 47, 132
MS = 1_000_000
SHARK = "tshark"
needs_shark = pytest.mark.skipif(shutil.which(SHARK) is None, reason=f"{SHARK} is not installed (deploy/apt.txt)")


@dataclass(frozen=True)
class Told:
    """One record as a reader tells it."""

    src: str
    dst: str
    figures: tuple[int, ...]  # both ports, protocol, packets, octets, entry, TCP flags
    times: tuple[int, ...] = ()  # ns from its end to the export, and from its start to its end


def ours(one: Columns, *, timed: bool) -> list[Told]:
    """What we read. Our records keep their end as its distance from the receipt, which is the export's second here."""
    assert np.all(one.receipt_ns == AT)
    told = []
    for at in range(len(one)):
        src, dst = (str(unpacked(one.addresses[side[at]])) for side in (one.src, one.dst))
        figures = (one.src_port, one.dst_port, one.protocol, one.packets, one.bytes, one.in_if, one.tcp_flags)
        times = (int(one.skew_ns[at]), int(one.duration_ns[at])) if timed else ()
        told.append(Told(src, dst, tuple(int(column[at]) for column in figures), times))
    return told


# NetFlow and IPFIX, by the netflow package

_V5 = ("IPV4_SRC_ADDR", "IPV4_DST_ADDR", "SRC_PORT", "DST_PORT", "PROTO", "IN_PACKETS", "IN_OCTETS", "INPUT")
_V9 = ("_SRC_ADDR", "_DST_ADDR", "L4_SRC_PORT", "L4_DST_PORT", "PROTOCOL", "IN_PKTS", "IN_BYTES", "INPUT_SNMP")
_TEN = (
    "sourceIP", "destinationIP", "sourceTransportPort", "destinationTransportPort", "protocolIdentifier",
    "packetDeltaCount", "octetDeltaCount", "ingressInterface",
)  # fmt: skip


def theirs(datagrams: Sequence[bytes], *, timed: bool) -> list[Told]:
    """What the netflow package reads."""
    known: dict[str, dict[int, Any]] = {"netflow": {}, "ipfix": {}}
    told = []
    for datagram in datagrams:
        packet = netflow.parse_packet(datagram, known)
        for flow in packet.flows:
            told.append(_theirs(flow.data, packet.header, timed=timed))
    return told


def _theirs(flow: dict[str, Any], header: Any, *, timed: bool) -> Told:
    version = header.version
    names = {5: _V5, 9: _V9, 10: _TEN}[version]
    src, dst = (_address(flow, name) for name in names[:2])
    figures = [flow.get(name, 0) for name in names[2:]]
    if figures[2] in (ICMP, ICMP6):
        figures[:2] = 0, 0  # exporters put type and code there, or what tells echoes apart: these are no ports
    figures[4] = flow.get("IN_PERMANENT_BYTES", figures[4])
    flags = flow.get("tcpControlBits" if version == 10 else "TCP_FLAGS", 0) if figures[2] == TCP else 0
    times: tuple[int, ...] = ()
    if timed:
        first, last = _times(flow, header)
        times = (-last, last - first)
    return Told(src, dst, (*figures, flags), times)


def _address(flow: dict[str, Any], name: str) -> str:
    if name in flow:
        return str(IPv4Address(flow[name]))
    found = next(
        value for key, value in flow.items() if key in (f"IPV4{name}", f"IPV6{name}") or key.startswith(f"{name}v")
    )
    if isinstance(found, str):
        return found
    six = any(key.startswith(f"{name}v6") for key in flow)
    return str(IPv6Address(found) if six else IPv4Address(found))


def _times(flow: dict[str, Any], header: Any) -> tuple[int, int]:
    """First and last packet, ns from the export's second on."""
    if header.version != 10:
        assert header.timestamp == EXPORT_S
        first, last = (int(flow[f"{end}_SWITCHED"]) - int(header.uptime) for end in ("FIRST", "LAST"))
        return first * MS, last * MS
    if "flowStartMilliseconds" in flow:
        first, last = (int(flow[f"flow{end}Milliseconds"]) - EXPORT_S * 1_000 for end in ("Start", "End"))
        return first * MS, last * MS
    first, last = (-int(flow[f"flow{end}DeltaMicroseconds"]) for end in ("Start", "End"))
    return first * 1_000, last * 1_000


four = st.ip_addresses(v=4).map(str)
six = st.integers(1 << 64, (1 << 128) - 1).map(lambda value: str(IPv6Address(value)))
ports = st.integers(0, 65_535)
lasted_ms = st.integers(1, 3_600_000)
ended_ms = st.integers(0, 299_000)
protocols = st.sampled_from([TCP, UDP, ICMP, ICMP6, GRE, SCTP])
wide = st.integers(1, (1 << 31) - 1)


@st.composite
def fives(draw: st.DrawFn) -> Five:
    last = UPTIME_MS - draw(ended_ms)
    return Five(
        src=draw(four), dst=draw(four), input=draw(ports), packets=draw(wide), octets=draw(wide),
        first=last - draw(lasted_ms), last=last, src_port=draw(ports), dst_port=draw(ports),
        flags=draw(st.integers(0, 255)), protocol=draw(protocols),
    )  # fmt: skip


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(st.lists(fives(), min_size=1, max_size=30), min_size=1, max_size=3))
def test_netflow5_is_read_as_the_netflow_package_reads_it(packets: list[list[Five]]) -> None:
    datagrams = [netflow5(*records) for records in packets]
    assert ours(columns(*datagrams), timed=True) == theirs(datagrams, timed=True)


_SIZES = {
    7: (2,), 11: (2,), 4: (1,), 2: (4, 8), 1: (4, 8), 10: (2, 4), 6: (1,), 5: (1,), 14: (2, 4), 22: (4,), 21: (4,),
    152: (8,), 153: (8,),
}  # fmt: skip


@st.composite
def exports(draw: st.DrawFn, *, v9: bool) -> tuple[bytes, bytes]:
    """A template set and a set of its data."""
    family = draw(st.sampled_from([4, 6]))
    elements = [7, 11, 4, 2, 1, 10, 6, 5, 14, *((22, 21) if v9 else (152, 153))]
    sizes = [(element, draw(st.sampled_from(_SIZES[element]))) for element in elements]
    sides = [(8, 4), (12, 4)] if family == 4 else [(27, 16), (28, 16)]
    fields = draw(st.permutations([*sides, *sizes]))
    address = four if family == 4 else six
    body = b""
    for _ in range(draw(st.integers(1, 20))):
        ended, lasted = draw(ended_ms), draw(lasted_ms)
        values = {4: draw(protocols), 6: draw(st.integers(0, 255)), 5: draw(st.integers(0, 255))}
        last = UPTIME_MS - ended if v9 else EXPORT_S * 1_000 - ended
        values |= {22: last - lasted, 21: last, 152: last - lasted, 153: last}
        values |= {7: draw(ports), 11: draw(ports), 10: draw(ports), 14: draw(ports)}
        values |= {2: draw(wide), 1: draw(wide)}
        for element, size in fields:
            body += ip_address(draw(address)).packed if element in (8, 12, 27, 28) else number(values[element], size)
    number_of = draw(st.integers(256, 65_535))
    return a_set(0 if v9 else 2, template(number_of, fields)), a_set(number_of, body, padding=-len(body) % 4)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(exports(v9=True))
def test_netflow9_is_read_as_the_netflow_package_reads_it(sets: tuple[bytes, bytes]) -> None:
    datagrams = [netflow9(sets[0]), netflow9(sets[1])]
    known = Templates()
    heard(datagrams[0], known=known)
    assert ours(columns(datagrams[1], known=known), timed=True) == theirs(datagrams, timed=True)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(exports(v9=False))
def test_ipfix_is_read_as_the_netflow_package_reads_it(sets: tuple[bytes, bytes]) -> None:
    datagrams = [ipfix(*sets)]
    assert ours(columns(*datagrams), timed=True) == theirs(datagrams, timed=True)


def _datagrams(made: Stencil) -> Iterator[bytes]:
    for octets, length in zip(made.octets, made.lengths, strict=True):
        yield octets[:length].tobytes()


@pytest.mark.parametrize(("kind", "clock"), [("netflow5", 8), ("netflow9", 8), ("ipfix", 4)])
def test_what_the_lab_sends_is_read_as_the_netflow_package_reads_it(kind: str, clock: int) -> None:
    made = stencils(kind, 1, pool=64)[0]
    datagrams = [one[:clock] + struct.pack("!I", EXPORT_S) + one[clock + 4 :] for one in _datagrams(made)]
    mine = ours(columns(*datagrams, known=Templates()), timed=True)
    assert len(mine) == 64 * 30
    assert mine == theirs(datagrams, timed=True)


LOGSTASH = "logstash-plugins__logstash-codec-netflow/spec/codecs"
GRAYLOG = "Graylog2__graylog-plugin-netflow/src/test/resources/netflow-data"
RECORDED = [
    [f"{GRAYLOG}/netflow-v5-2.dat"],
    [f"{GRAYLOG}/netflow-v9-2-1.dat", f"{GRAYLOG}/netflow-v9-2-2.dat"],
    [f"{LOGSTASH}/netflow9_test_cisco_asa_1_tpl.dat", f"{LOGSTASH}/netflow9_test_cisco_asa_1_data.dat"],
    [f"{LOGSTASH}/netflow9_test_cisco_nbar_tpl262.dat", f"{LOGSTASH}/netflow9_test_cisco_nbar_data262.dat"],
    ["bitkeks__python-netflow-v9-softflowd/tests/extracted/PACKET_V9_TEMPLATE_MIXED.bin"],
]


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no captures in {CORPUS}")
@pytest.mark.parametrize("files", RECORDED)
def test_what_was_recorded_is_read_as_the_netflow_package_reads_it(files: list[str]) -> None:
    datagrams = [(CORPUS / file).read_bytes() for file in files]
    known = Templates()
    parts = [heard(datagram, known=known).columns for datagram in datagrams]
    mine = [told for part in parts if part is not None for told in ours(part, timed=False)]
    assert len(mine) > 0
    assert mine == theirs(datagrams, timed=False)


# sFlow, by tshark

_PORT = 6343
_SHOWN = (
    "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "tcp.srcport", "tcp.dstport", "udp.srcport", "udp.dstport", "ip.proto",
    "ipv6.nxt", "sflow_245.header.frame_length",
    "sflow.flow_sample.input_interface", "sflow.flow_sample.sampling_rate", "eth.src", "ip.flags.mf", "ip.frag_offset",
    "tcp.flags",
)  # fmt: skip


@dataclass(frozen=True)
class Sampled:
    """One sampled packet as a reader tells it."""

    src: str
    dst: str
    mac: str
    fragment: bool
    figures: tuple[int, ...]  # both ports, protocol, octets, entry, sampling, TCP flags


def capture(datagrams: Sequence[bytes]) -> bytes:
    """A capture file of them: a UDP packet each, over IPv4 and Ethernet."""
    made = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)
    for datagram in datagrams:
        udp = struct.pack("!4H", _PORT + 1, _PORT, 8 + len(datagram), 0) + datagram
        frame = sampled.ethernet(sampled.ipv4(udp))
        made += struct.pack("<4I", EXPORT_S, 0, len(frame), len(frame)) + frame
    return made


def sharks(datagrams: Sequence[bytes], folder: Path) -> list[Sampled]:
    """What tshark reads in datagrams of one sample each."""
    path = folder / "sampled.pcap"
    path.write_bytes(capture(datagrams))
    command = [SHARK, "-r", str(path), "-n", "-d", f"udp.port=={_PORT},sflow", "-T", "fields", "-E", "occurrence=a"]
    # Samples are of packets that have nothing to do with each other: there is nothing to put together.
    command += ["-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE"]
    command += [word for name in _SHOWN for word in ("-e", name)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"HOME": str(folder)})
    return [_shark(dict(zip(_SHOWN, line.split("\t"), strict=True))) for line in done.stdout.splitlines()]


def _shark(line: dict[str, str]) -> Sampled:
    """The packet within: of what the datagram's own headers have, the second."""

    def second(name: str) -> str:
        return [*line[name].split(","), "", ""][1]

    def only(name: str) -> str:
        return line[name].split(",")[0]

    over_six = only("ipv6.src") != ""
    src, dst = (only(f"ipv6.{end}") if over_six else second(f"ip.{end}") for end in ("src", "dst"))
    own = [only(f"tcp.{end}port") or second(f"udp.{end}port") or "0" for end in ("src", "dst")]
    protocol = only("ipv6.nxt") if over_six else second("ip.proto")
    fragment = not over_six and (second("ip.flags.mf") == "1" or second("ip.frag_offset") != "0")
    figures = (
        *own, protocol, only("sflow_245.header.frame_length"), only("sflow.flow_sample.input_interface"),
        only("sflow.flow_sample.sampling_rate"), str(int(only("tcp.flags") or "0", 16)),
    )  # fmt: skip
    return Sampled(src, dst, second("eth.src"), fragment, tuple(map(int, figures)))


def our_samples(one: Columns) -> list[Sampled]:
    """What we read."""
    told = []
    for at in range(len(one)):
        src, dst = (str(unpacked(one.addresses[side[at]])) for side in (one.src, one.dst))
        mac = f"{one.macs[one.src_mac[at]]:012x}"
        mac = ":".join(mac[place : place + 2] for place in range(0, 12, 2))
        figures = (one.src_port, one.dst_port, one.protocol, one.bytes, one.in_if, one.sampling, one.tcp_flags)
        told.append(Sampled(src, dst, mac, bool(one.fragment[at]), tuple(int(column[at]) for column in figures)))
    return told


def _packet(draw: np.random.Generator) -> bytes:
    """A datagram of one sample: TCP, UDP, fragments, over IPv4 and IPv6."""
    ends = [int(port) for port in draw.integers(30_000, 65_536, 2)]
    payload = int(draw.integers(0, 1_000))
    segment = struct.pack("!HHIIBBHHH", *ends, 1, 0, 5 << 4, int(draw.integers(0, 64)), 1_024, 0, 0) + bytes(payload)
    kind = draw.integers(0, 5)
    body, protocol = (segment, TCP) if kind in (0, 3) else (sampled.udp(ends[0], ends[1], payload), UDP)
    if kind > 2:
        frame = sampled.ethernet(sampled.ipv6(body, protocol), 0x86DD)
    else:
        place = int(draw.integers(1, 1 << 13)) if kind == 2 else int(draw.choice([0, 0x2000, 0x4000]))
        source = draw.integers(1, 224, 4).astype(np.uint8).tobytes()
        frame = sampled.ethernet(sampled.ipv4(body, protocol, source=source, place=place))
    entry, out, rate = (int(one) for one in draw.integers(1, 1 << 20, 3))
    # Each number of the head is another one, else one could be read for another unseen.
    sequence = int(draw.integers(2, 1 << 12))
    return sampled.datagram(sampled.sample(sampled.raw(frame), sequence=sequence, entry=entry, out=out, rate=rate))


@needs_shark
def test_sflow_is_read_as_tshark_reads_it(tmp_path: Path) -> None:
    draw = np.random.default_rng(20_260)
    datagrams = [_packet(draw) for _ in range(2_000)]
    mine, read = our_samples(columns(*datagrams)), sharks(datagrams, tmp_path)
    assert len(mine) == len(read) == len(datagrams)
    differing = [(one, other) for one, other in zip(mine, read, strict=True) if one != other]
    assert differing == []


_COUNTED = ("sysuptime", "ifindex", "ifspeed", "ifinoct", "ifoutoct", "ifindisc", "ifoutdisc", "ifinerr", "ifouterr")
RECORDED_COUNTERS = "the-tcpdump-group__tcpdump/tests/sflow_multiple_counter_30_pdus.pcap"


def shark_fields(path: Path, *names: str) -> list[list[str]]:
    """Fields of each datagram of a capture, as tshark writes them."""
    command = [SHARK, "-r", str(path), "-n", "-d", f"udp.port=={_PORT},sflow", "-T", "fields", "-E", "occurrence=a"]
    command += [word for name in names for word in ("-e", name)]
    environment = os.environ | {"HOME": str(path.parent)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return [line.split("\t") for line in done.stdout.splitlines()]


def shark_readings(path: Path) -> list[list[int]]:
    """Uptime of the agent and counters of each interface, in order."""
    told = []
    for uptime, *rows in shark_fields(path, *(f"sflow_245.{name}" for name in _COUNTED)):
        told += [[int(uptime), *map(int, one)] for one in zip(*(row.split(",") for row in rows), strict=True) if one[0]]
    return told


def our_readings(datagrams: Sequence[bytes]) -> list[list[int]]:
    """What we read."""
    made = unframed(frame([bytes(16)], [0] * len(datagrams), [1] * len(datagrams), datagrams))
    return readings(made, np.arange(len(made)))[Counted.UPTIME_MS :].T.tolist()


def _counted(draw: np.random.Generator) -> bytes:
    """A datagram of a few interfaces' counters, no number of them like another."""

    def interface(index: int) -> bytes:
        wide, narrow = draw.integers(1, 1 << 62, 2), draw.integers(1, 1 << 32, 4)
        discards, errors = (int(narrow[0]), int(narrow[1])), (int(narrow[2]), int(narrow[3]))
        octets, speed = (int(wide[0]), int(wide[1])), int(draw.integers(1, 1 << 40))
        return sampled.interface(index, octets=octets, discards=discards, errors=errors, speed=speed)

    samples = [
        sampled.counters(*(interface(int(index)) for index in draw.integers(1, 1 << 30, 2)), long=bool(number % 2))
        for number in range(int(draw.integers(1, 5)))
    ]
    return sampled.datagram(*samples, uptime_ms=int(draw.integers(1, 1 << 32)))


@needs_shark
def test_counters_are_read_as_tshark_reads_them(tmp_path: Path) -> None:
    draw = np.random.default_rng(20_261)
    datagrams = [_counted(draw) for _ in range(200)]
    (tmp_path / "counted.pcap").write_bytes(capture(datagrams))
    mine = our_readings(datagrams)
    assert len(mine) > 400
    assert mine == shark_readings(tmp_path / "counted.pcap")


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no captures in {CORPUS}")
@needs_shark
def test_recorded_counters_are_read_as_tshark_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "recorded.pcap"
    shutil.copy(CORPUS / RECORDED_COUNTERS, path)
    datagrams = [bytes.fromhex(payload) for (payload,) in shark_fields(path, "udp.payload") if payload]
    mine = our_readings(datagrams)
    assert len(mine) > 40
    assert mine == shark_readings(path)
