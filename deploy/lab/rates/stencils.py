"""Datagrams that are made once and sent many times, with the few numbers in them that have to go on. Pure.

NetFlow v5 as Cisco documents it, v9 by RFC 3954, IPFIX by RFC 7011, sFlow by its version 5 of July 2004, syslog by
RFC 3164. Thirty records to a datagram, or six samples, is what exporters fit into 1,500 octets.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from deploy.lab.rates.crowd import OUTSIDE, UDP, UPLINK, Talk, addresses, talk

RECORDS, SAMPLES = 30, 6
POOL = 256
"""Different datagrams of each exporter."""

TEMPLATE_EVERY = 32
"""Datagrams between repetitions of a template; exporters ship with 20 and more."""

UPTIME_MS = 50_000_000
SAMPLING = 16
HEADER = 54  # octets of a sampled packet's head: Ethernet, IPv4, TCP


class Goes(Enum):
    """What a number in a datagram follows."""

    SECONDS = "the clock, in seconds since 1970"
    COUNT = "how many datagrams there were before"


@dataclass(frozen=True, slots=True)
class Place:
    """Four octets, the highest first: `first`, and `step` more with each datagram of that exporter."""

    offset: int
    goes: Goes
    first: int = 0
    step: int = 1


@dataclass(frozen=True, slots=True)
class Stencil:
    """n datagrams of one exporter. Datagram i is the first `lengths[i]` octets of its row."""

    octets: NDArray[np.uint8]  # n × the longest
    lengths: NDArray[np.int64]
    records: int  # in each: records, samples or lines
    places: tuple[Place, ...] = ()
    near: NDArray[np.int64] | None = None  # n × records: where the ports of our hosts stand that go on; even offsets


def _rows(records: NDArray[np.void], each: int) -> NDArray[np.uint8]:
    """Packed records as octets, `each` records a row."""
    return np.frombuffer(records.tobytes(), np.uint8).reshape(-1, each * records.dtype.itemsize)


def _headed(head: bytes, body: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same head before each row."""
    return np.hstack((np.tile(np.frombuffer(head, np.uint8), (len(body), 1)), body))


def _equal(octets: NDArray[np.uint8], records: int, *places: Place, near: NDArray[np.int64] | None = None) -> Stencil:
    lengths = np.full(len(octets), octets.shape[1], np.int64)
    return Stencil(np.ascontiguousarray(octets), lengths, records, places, near)


def _near(said: Talk, kind: np.dtype[np.void], first: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where our hosts' ports stand in datagrams whose records begin at `first`.

    Exporters tell of a flow once, or once in a long while: a record that comes again is another conversation.
    """
    src, dst = (int(kind.fields[name][1]) for name in ("src_port", "dst_port"))  # type: ignore[index]  # it has fields
    field = np.where(said.exit == UPLINK, src, dst).reshape(len(first), -1)
    return first[:, None] + np.arange(field.shape[1]) * kind.itemsize + field


_FIVE = np.dtype(
    [
        ("src", ">u4"), ("dst", ">u4"), ("next", ">u4"), ("entry", ">u2"), ("exit", ">u2"), ("packets", ">u4"),
        ("octets", ">u4"), ("first", ">u4"), ("last", ">u4"), ("src_port", ">u2"), ("dst_port", ">u2"), ("pad", "u1"),
        ("flags", "u1"), ("protocol", "u1"), ("tos", "u1"), ("src_as", ">u2"), ("dst_as", ">u2"), ("masks", ">u2"),
        ("pad2", ">u2"),
    ]
)  # fmt: skip


def _filled(kind: np.dtype[np.void], said: Talk) -> NDArray[np.void]:
    """Records of a kind that date themselves by the exporter's uptime; fields that talk does not know stay 0."""
    made = np.zeros(len(said), kind)
    for name in ("src", "dst", "entry", "exit", "packets", "octets", "src_port", "dst_port", "protocol"):
        made[name] = getattr(said, name)
    made["first"], made["last"] = UPTIME_MS - said.duration_ms, UPTIME_MS
    made["flags"] = np.where(said.protocol == 6, 0x1B, 0)
    return made


def netflow5(said: Talk) -> Stencil:
    """Version 5: a header of 24 octets, records of 48."""
    head = np.array([5 << 16 | RECORDS, UPTIME_MS, 0, 0, 0, 0], ">u4").tobytes()
    octets = _headed(head, _rows(_filled(_FIVE, said), RECORDS))
    places = Place(8, Goes.SECONDS), Place(16, Goes.COUNT, step=RECORDS)
    return _equal(octets, RECORDS, *places, near=_near(said, _FIVE, np.full(len(octets), len(head), np.int64)))


def five_from(sources: NDArray[np.int64], entry: NDArray[np.int64], *, seconds: int) -> NDArray[np.uint8]:
    """Datagrams of version 5, a row each, in which these addresses send a little, each by its port."""
    made = np.zeros(len(sources), _FIVE)
    made["src"], made["dst"] = sources, OUTSIDE + 1
    made["entry"] = entry
    made["packets"], made["octets"], made["protocol"] = 4, 2_800, UDP
    made["src_port"], made["dst_port"] = 40_000, 443
    made["first"] = made["last"] = UPTIME_MS
    head = np.array([5 << 16 | RECORDS, UPTIME_MS, seconds, 0, 0, 0], ">u4").tobytes()
    return _headed(head, _rows(made, RECORDS))


# Elements by their numbers at IANA, in the order and the lengths in which routers export them.
_FIELDS = (
    ("src", 8, 4), ("dst", 12, 4), ("next", 15, 4), ("entry", 10, 2), ("exit", 14, 2), ("packets", 2, 4),
    ("octets", 1, 4), ("last", 21, 4), ("first", 22, 4), ("src_port", 7, 2), ("dst_port", 11, 2), ("flags", 6, 1),
    ("protocol", 4, 1), ("tos", 5, 1), ("pad", 61, 1),
)  # fmt: skip
_BY_TEMPLATE = np.dtype([(name, f">u{size}") for name, _, size in _FIELDS])
_TEMPLATE = 256


def _exported(
    records: NDArray[np.void], elements: Mapping[str, int], head: bytes, *, template_set: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """A set of records behind each head; now and then the template stands before it."""
    words = [word for name, number, size in _FIELDS for word in (elements.get(name, number), size)]
    template = np.array([template_set, 8 + 2 * len(words), _TEMPLATE, len(_FIELDS), *words], ">u2").tobytes()
    body = _rows(records, RECORDS)
    data = _headed(np.array([_TEMPLATE, 4 + body.shape[1]], ">u2").tobytes(), body)
    plain, taught = _headed(head, data), _headed(head + template, data)
    octets = np.zeros_like(taught)
    octets[:, : plain.shape[1]] = plain
    octets[::TEMPLATE_EVERY] = taught[::TEMPLATE_EVERY]
    lengths = np.full(len(octets), plain.shape[1], np.int64)
    lengths[::TEMPLATE_EVERY] = taught.shape[1]
    return octets, lengths


def netflow9(said: Talk) -> Stencil:
    """Version 9. Its header counts records, a template being one (RFC 3954, 5.1)."""
    head = np.array([9 << 16 | RECORDS, UPTIME_MS, 0, 0, 1], ">u4").tobytes()
    octets, lengths = _exported(_filled(_BY_TEMPLATE, said), {}, head, template_set=0)
    octets[::TEMPLATE_EVERY, 3] += 1
    near = _near(said, _BY_TEMPLATE, lengths - RECORDS * _BY_TEMPLATE.itemsize)
    return Stencil(octets, lengths, RECORDS, (Place(8, Goes.SECONDS), Place(12, Goes.COUNT)), near)


def ipfix(said: Talk) -> Stencil:
    """IPFIX, whose header holds a length and no uptime: records say how long before the export they were, in µs."""
    records = _filled(_BY_TEMPLATE, said)
    records["first"], records["last"] = said.duration_ms * 1_000 + 1, 1
    head = np.array([10 << 16, 0, 0, 1], ">u4").tobytes()
    octets, lengths = _exported(records, {"first": 158, "last": 159}, head, template_set=2)
    octets[:, 2:4] = lengths.astype(">u2").view(np.uint8).reshape(-1, 2)
    near = _near(said, _BY_TEMPLATE, lengths - RECORDS * _BY_TEMPLATE.itemsize)
    return Stencil(octets, lengths, RECORDS, (Place(4, Goes.SECONDS), Place(8, Goes.COUNT, step=RECORDS)), near)


_SAMPLE = np.dtype(
    [
        ("format", ">u4"), ("length", ">u4"), ("sequence", ">u4"), ("source", ">u4"), ("rate", ">u4"), ("pool", ">u4"),
        ("drops", ">u4"), ("entry", ">u4"), ("exit", ">u4"), ("count", ">u4"), ("record", ">u4"),
        ("record_length", ">u4"), ("protocol_of", ">u4"), ("frame", ">u4"), ("stripped", ">u4"), ("kept", ">u4"),
        ("mac", "u1", 12), ("ether", ">u2"),
        ("version", "u1"), ("tos", "u1"), ("total", ">u2"), ("id", ">u2"), ("place", ">u2"), ("ttl", "u1"),
        ("protocol", "u1"), ("sum", ">u2"), ("src", ">u4"), ("dst", ">u4"), ("src_port", ">u2"), ("dst_port", ">u2"),
        ("tcp", "u1", HEADER - 38), ("fill", "u1", 2),
    ]
)  # fmt: skip
_HEAD = 28


def sflow(said: Talk) -> Stencil:
    """Six flow samples of a port each, with the first octets of the packet."""
    made = np.zeros(len(said), _SAMPLE)
    octets = np.clip(said.octets // said.packets, 64, 1_400)
    plain = {
        "format": 1, "length": _SAMPLE.itemsize - 8, "source": 1, "rate": SAMPLING, "count": 1, "record": 1,
        "record_length": 16 + HEADER + 2, "protocol_of": 1, "stripped": 4, "kept": HEADER, "ether": 0x0800,
        "version": 0x45, "place": 0x4000, "ttl": 64,
    }  # fmt: skip
    for name, value in plain.items():
        made[name] = value
    for name in ("src", "dst", "src_port", "dst_port", "protocol", "entry", "exit"):
        made[name] = getattr(said, name)
    made["frame"], made["total"] = octets + 18, octets
    made["tcp"][:, 8] = np.where(said.protocol == 6, 0x50, 0)
    made["tcp"][:, 9] = np.where(said.protocol == 6, 0x18, 0)
    made["mac"] = _macs(said)
    head = np.array([5, 1, 0, 0, 0, UPTIME_MS, SAMPLES], ">u4").tobytes()
    places = [Place(16, Goes.COUNT)]
    for at in range(SAMPLES):
        start = _HEAD + at * _SAMPLE.itemsize
        places.append(Place(start + 8, Goes.COUNT, first=at + 1, step=SAMPLES))
        places.append(Place(start + 20, Goes.COUNT, first=(at + 1) * SAMPLING, step=SAMPLES * SAMPLING))
    return _equal(_headed(head, _rows(made, SAMPLES)), SAMPLES, *places)


def _macs(said: Talk) -> NDArray[np.uint8]:
    """Destination and source: by the port of which the packet leaves or enters, that of the gateway or of a host."""
    macs = np.zeros((len(said), 2, 6), np.uint8)
    for side, port in enumerate((said.exit, said.entry)):
        number = np.where(port == UPLINK, 0, port)
        macs[:, side, 0] = 2
        macs[:, side, 4], macs[:, side, 5] = number >> 8, number & 255
    return macs.reshape(-1, 12)


_SSHD = (
    "Failed password for invalid user admin from {peer} port {port} ssh2",
    "Failed password for root from {peer} port {port} ssh2",
    "Invalid user admin from {peer} port {port}",
    "Connection closed by authenticating user root {peer} port {port} [preauth]",
    "Received disconnect from {peer} port {port}:11: disconnected by user",
    "Accepted publickey for deploy from {peer} port {port} ssh2: ED25519 SHA256:0123456789abcdefghijklmnopqrstuvwxyz",
    "pam_unix(sshd:session): session opened for user deploy(uid=1000) by (uid=0)",
)


_FIREWALL = (
    "kernel: drop IN=eth1 OUT=eth0 MAC=02:00:00:00:00:01:02:00:00:00:00:02:08:00 SRC={src} DST={dst} LEN=44 TOS=0x00 "
    "PREC=0x00 TTL=63 ID=1 DF PROTO=TCP SPT={port} DPT=445 WINDOW=64240 RES=0x00 SYN URGP=0"
)


CULPRITS = 8
"""Hosts behind each exporter of whom its firewall complains."""


def logs(said: Talk) -> Stencil:
    """Lines by turns of sshd, of whose log-ins half fail, and of a border firewall.

    Cordon has nothing to say of the former. What the firewall drops comes from outside, but for each eighth packet,
    which one of a few hosts behind it sent: a claim.
    """
    sides = np.where(said.entry == UPLINK, said.dst, said.src)
    ends = zip(addresses(sides), np.maximum(said.src_port, said.dst_port).tolist(), strict=True)
    culprits = addresses(np.unique(sides)[:CULPRITS])
    lines = []
    for number, (host, port) in enumerate(ends):
        peer = f"203.0.113.{number % 250 + 1}"
        if number % 2 == 0:
            told = f"sshd[{4_000 + number}]: {_SSHD[number // 2 % len(_SSHD)].format(peer=peer, port=port)}"
        elif number % 16 == 1:
            told = _FIREWALL.format(src=culprits[number // 16 % CULPRITS], dst=peer, port=port)
        else:
            told = _FIREWALL.format(src=peer, dst=host, port=port)
        lines.append(f"<38>Jan  1 00:00:00 gw {told}".encode())
    lengths = np.array([len(line) for line in lines], np.int64)
    octets = np.zeros((len(lines), int(lengths.max())), np.uint8)
    for row, line in zip(octets, lines, strict=True):
        row[: len(line)] = np.frombuffer(line, np.uint8)
    return Stencil(octets, lengths, 1)


@dataclass(frozen=True, slots=True)
class Drawing:
    """How the datagrams of a kind are made, and how many records each holds."""

    draw: Callable[[Talk], Stencil]
    records: int


DRAWN: Mapping[str, Drawing] = MappingProxyType(
    {
        "netflow5": Drawing(netflow5, RECORDS),
        "netflow9": Drawing(netflow9, RECORDS),
        "ipfix": Drawing(ipfix, RECORDS),
        "sflow": Drawing(sflow, SAMPLES),
        "syslog": Drawing(logs, 1),
    }
)


def stencils(kind: str, exporters: int, *, pool: int = POOL) -> Sequence[Stencil]:
    """For each exporter its own datagrams."""
    drawing = DRAWN[kind]
    return [drawing.draw(talk(number, pool * drawing.records)) for number in range(exporters)]
