"""Rows of activity, and what else travels from combining to scoring.

A row is what one exporter saw of one subject in one tick. Counts are whole numbers with sampling multiplied out, so
that adding them up gives the same in any order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.amounts import Counts
from streams.lots import distinct

SKETCH_BITS = 256


class Col(IntEnum):
    """Columns of counts. Those before BYTES_IN are what the subject sent, the rest what it received.

    What nearly every record adds to stands close together: it is one or two fetches from memory.
    """

    BYTES = 0
    PACKETS = 1
    FLOWS = 2
    SAMPLES = 3  # packets that were really counted, before sampling is multiplied out
    VARIANCE = 4  # of PACKETS: n·N·(N−1) for n samples of one in N
    PEERS_SPREAD = 5  # distinct peers of flows that last longer than a tick, in thousandths
    PORTS_SPREAD = 6  # distinct ports of such flows; for attachments distinct sources
    SMALL = 7  # packets below 100 octets
    PROBES = 8  # SYN-only, echo requests, small UDP to service ports, TCP too small and short to say anything
    SYN_ONLY = 9
    FRAGMENTS = 10
    MALFORMED = 11
    ODD = 12  # odd protocols, and frames that are not IP
    MAIL = 13  # mail sessions begun
    REFLECTED = 14  # octets sent from UDP ports that reflectors answer from
    ANSWERS = 15  # SYN-ACK, RST, unreachables, DNS replies
    REPLIES = 16  # ANSWERS, and UDP from a service's port
    LOGINS = 17  # sessions begun at ports where people log in
    LOOPED = 18  # group frames that enter where their source does not live; counted for port and source alike
    GROUP = 19  # packets to everybody: broadcast and multicast
    DISCARDED_BYTES = 20  # sampled at the port, dropped by a rule: counted in BYTES too
    DISCARDED_PACKETS = 21
    EXPECTED_BYTES = 22  # inside a window of wanted bulk traffic: counted in BYTES too
    EXPECTED_PACKETS = 23
    BYTES_IN = 24
    PACKETS_IN = 25
    ANSWERS_IN = 26  # SYN-ACK, RST and unreachables that came in: nobody talks with the subject
    TALK_IN = 27  # all but RST and unreachables: somebody asked, or answered


NCOL = len(Col)
OUT = slice(0, Col.BYTES_IN)
IN = slice(Col.BYTES_IN, NCOL)
MAX_COUNT = 1 << 48
"""No count of a row is larger: it leaves room to add a million of them, and no exporter counts so far in a tick."""


class Vantage(IntEnum):
    """Where a row's traffic was seen to enter, from the worst witness to the best."""

    UNPLACED = 0  # the input interface is unknown
    CROSSING = 1  # a trunk between our own devices
    EDGE = 2  # a port to which the estate ties the subject


class Flag(IntEnum):
    """Bits of a row's `flags`."""

    LATE = 1
    SPOOFED = 2  # charged to an attachment because its source is not bound there
    GATEWAY = 4  # a gateway hangs on the port: many sources are its trade
    SHARED_NO_MAC = 8  # a shared port, and no MAC to tell its guests apart


@dataclass(slots=True)
class Rows:
    """n rows as columns. `peers` are the loudest few of each row, and `sketch` the hashed distinct ones, as pairs."""

    key: NDArray[np.bytes_]  # S32
    exporter: NDArray[np.int32]  # index into Body.names
    tick: NDArray[np.int64]  # event time of the tick's start in ticks
    span: NDArray[np.int32]  # ticks over which the counts spread, from `tick` on
    vantage: NDArray[np.int8]
    flags: NDArray[np.int8]
    interface: NDArray[np.int64]
    mac: NDArray[np.int64]
    first_ns: NDArray[np.int64]
    counts: NDArray[np.int64]  # n × NCOL
    peer_row: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    peer: NDArray[np.bytes_] = field(default_factory=lambda: np.zeros(0, "S16"))
    peer_bytes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    bit_row: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    bit: NDArray[np.int16] = field(default_factory=lambda: np.zeros(0, np.int16))  # peers below 256, then ports

    def __len__(self) -> int:
        return len(self.tick)


@dataclass(slots=True)
class Arrivals:
    """n rows as a message brought them: a row names its key by its place in `keys`, and counts are as narrow as sent.

    A key may stand there twice.
    """

    keys: NDArray[np.bytes_]  # S32
    who: NDArray[np.int64]
    exporter: NDArray[np.int64]
    tick: NDArray[np.int64]
    span: NDArray[np.int64]
    vantage: NDArray[np.int8]
    flags: NDArray[np.int8]
    interface: NDArray[np.int64]
    mac: NDArray[np.int64]
    first_ns: NDArray[np.int64]
    columns: Mapping[int, NDArray[Any]]  # by Col; one that is zero everywhere is left out
    peer_row: NDArray[np.int64]
    peer: NDArray[np.bytes_]  # S16
    peer_bytes: NDArray[np.int64]
    bit_row: NDArray[np.int64]
    bit: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.tick)

    @property
    def key(self) -> NDArray[np.bytes_]:
        """The key of each row."""
        return self.keys[self.who]

    @property
    def counts(self) -> Counts:
        """The columns as one."""
        return Counts.of(self.columns, len(self))

    def pick(self, chosen: NDArray[np.int64]) -> "Arrivals":
        """These rows only, in this order; each at most once."""
        place = np.full(len(self), -1, np.int64)
        place[chosen] = np.arange(len(chosen))
        peer_row, bit_row = place[self.peer_row], place[self.bit_row]
        peers, bits = peer_row >= 0, bit_row >= 0
        columns: dict[str, Any] = {name: getattr(self, name)[chosen] for name in _PER_ROW}
        named, columns["who"] = distinct(columns["who"], len(self.keys))
        counts = {number: one[chosen] for number, one in self.columns.items()}
        return Arrivals(
            keys=self.keys[named], columns=counts, peer_row=peer_row[peers], peer=self.peer[peers],
            peer_bytes=self.peer_bytes[peers], bit_row=bit_row[bits], bit=self.bit[bits], **columns,
        )  # fmt: skip


_PER_ROW = ("who", "exporter", "tick", "span", "vantage", "flags", "interface", "mac", "first_ns")


def joined(parts: list[Arrivals]) -> Arrivals:
    """Several sets of rows as one; their `exporter` must index the same names."""
    if len(parts) == 1:
        return parts[0]
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("keys", *_PER_ROW, "peer_row", "peer", "peer_bytes", "bit_row", "bit")
    }
    for name, of, counted in (("who", "who", "keys"), ("peer_row", "peer_row", "tick"), ("bit_row", "bit_row", "tick")):
        lengths = [len(getattr(part, counted)) for part in parts]
        starts = np.cumsum(lengths) - lengths
        columns[name] += np.repeat(starts, [len(getattr(part, of)) for part in parts])
    spoken = {number for part in parts for number in part.columns}
    none = [np.zeros(len(part), np.uint8) for part in parts]
    counts = {
        number: np.concatenate([part.columns.get(number, zeros) for part, zeros in zip(parts, none, strict=True)])
        for number in sorted(spoken)
    }
    return Arrivals(columns=counts, **columns)


class Claim(msgspec.Struct, frozen=True, array_like=True):
    """What log lines of one sender and frame say alike of a subject: `count` of them, as the last one said it."""

    key: bytes
    detector: str
    witness: str
    source: str
    at_ns: int
    count: float
    text: str
    traffic: str = "all"
    compromise: bool = False
    peer: str = ""
    facts: dict[str, str] = {}
    first_ns: int = 0  # receipt of the first of them; 0: at_ns


class Symptom(msgspec.Struct, frozen=True, array_like=True):
    """What a device says of itself: it suffers."""

    device: str
    kind: str
    text: str
    at_ns: int


class Sighting(msgspec.Struct, frozen=True, array_like=True):
    """An exporter heard in a tick."""

    exporter: str
    tick: int
    records: int
    last_ns: int
    sampling: int = 0
