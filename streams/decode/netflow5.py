"""NetFlow version 5 (Cisco, "NetFlow Export Datagram Format"): records that never change, read in one loop."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.decode.compiled import borrowing
from streams.decode.datagrams import Datagrams
from streams.decode.packets import MAPPED, number
from streams.decode.records import Records

VERSION = 5
HEADER, RECORD = 24, 48
"""Octets."""

_ICMP, _ICMP6, _FRAGMENT6 = 1, 58, 44
_SAMPLED = 0x3FFF  # of the header's last two octets; the others name the mode
_S, _MS = 1_000_000_000, 1_000_000


@dataclass(frozen=True, slots=True)
class Fives:
    """What the chosen datagrams came to."""

    records: Records | None
    broken: NDArray[np.int64]  # datagrams with less in them than their headers say


def fives(frame: Datagrams, chosen: NDArray[np.int64]) -> Fives:
    """Read the chosen datagrams of a frame, which are of this version."""
    data = np.frombuffer(frame.payload, np.uint8)
    counts, broken = np.zeros(len(chosen), np.int64), np.zeros(len(chosen), np.bool_)
    _count(data, frame.offset, chosen, counts, broken)
    total = int(counts.sum())
    if not total:
        return Fives(None, chosen[broken])
    read = _room(total)
    _read(data, frame.offset, frame.exporter, frame.receipt_ns, chosen, counts, *read)
    none, never = np.zeros(total, np.uint64), np.zeros(total, np.bool_)
    return Fives(
        Records(
            **read._asdict(),
            ip=np.ones(total, np.bool_),
            src_mac=none,
            dst_mac=none,
            flows=np.ones(total, np.int64),
            discarded=never,
            malformed=never,
            fragments_visible=never,
        ),
        chosen[broken],
    )


class _Read(NamedTuple):
    """Columns of records, in the order in which `_read` takes them."""

    exporter: NDArray[np.int64]
    receipt_ns: NDArray[np.int64]
    start_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    bytes: NDArray[np.int64]
    packets: NDArray[np.int64]
    sampling: NDArray[np.int64]
    in_if: NDArray[np.int64]
    src: NDArray[np.uint64]
    dst: NDArray[np.uint64]
    src_port: NDArray[np.int32]
    dst_port: NDArray[np.int32]
    protocol: NDArray[np.int16]
    tcp_flags: NDArray[np.int16]
    icmp_type: NDArray[np.int16]
    fragment: NDArray[np.bool_]


def _room(count: int) -> _Read:
    large: list[Any] = [np.empty(count, np.int64) for _ in range(8)]
    words: list[Any] = [np.zeros((2, count), np.uint64) for _ in range(2)]
    kinds: tuple[Any, ...] = (np.int32, np.int32, np.int16, np.int16, np.int16, np.bool_)
    return _Read(*large, *words, *(np.empty(count, kind) for kind in kinds))


@borrowing
def _count(
    data: NDArray[np.uint8],
    offset: NDArray[np.int64],
    chosen: NDArray[np.int64],
    counts: NDArray[np.int64],
    broken: NDArray[np.bool_],
) -> None:
    """Whole records of each datagram, and whether there are fewer than its header says."""
    for place in range(len(chosen)):
        at, end = offset[chosen[place]], offset[chosen[place] + 1]
        if end - at < HEADER:
            broken[place] = True
            continue
        said = number(data, at + 2, 2)
        counts[place] = min(said, (end - at - HEADER) // RECORD)
        broken[place] = counts[place] < said


@borrowing
def _read(
    data: NDArray[np.uint8],
    offset: NDArray[np.int64],
    exporters: NDArray[np.int64],
    receipts: NDArray[np.int64],
    chosen: NDArray[np.int64],
    counts: NDArray[np.int64],
    exporter: NDArray[np.int64],
    receipt_ns: NDArray[np.int64],
    start_ns: NDArray[np.int64],
    end_ns: NDArray[np.int64],
    octets: NDArray[np.int64],
    packets: NDArray[np.int64],
    sampling: NDArray[np.int64],
    in_if: NDArray[np.int64],
    src: NDArray[np.uint64],
    dst: NDArray[np.uint64],
    src_port: NDArray[np.int32],
    dst_port: NDArray[np.int32],
    protocol: NDArray[np.int16],
    tcp_flags: NDArray[np.int16],
    icmp_type: NDArray[np.int16],
    fragment: NDArray[np.bool_],
) -> None:
    """Fill the columns. Times of records are milliseconds since the exporter's start, as the header tells its own."""
    row = 0
    for place in range(len(chosen)):
        gram = chosen[place]
        head = offset[gram]
        uptime = number(data, head + 4, 4)
        export_ns = number(data, head + 8, 4) * _S + number(data, head + 12, 4)
        rate = number(data, head + 22, 2) & _SAMPLED
        owner, came = exporters[gram], receipts[gram]
        at = head + HEADER
        for _ in range(counts[place]):
            exporter[row], receipt_ns[row], sampling[row] = owner, came, rate
            src[1, row] = np.uint64(number(data, at, 4)) | np.uint64(MAPPED)
            dst[1, row] = np.uint64(number(data, at + 4, 4)) | np.uint64(MAPPED)
            in_if[row] = number(data, at + 12, 2)
            packets[row], octets[row] = number(data, at + 16, 4), number(data, at + 20, 4)
            # They count 32 bits and begin anew after 49.7 days: what matters is how far both are apart.
            start_ns[row] = export_ns + np.int64(np.int32(np.uint32(number(data, at + 24, 4) - uptime))) * _MS
            end_ns[row] = export_ns + np.int64(np.int32(np.uint32(number(data, at + 28, 4) - uptime))) * _MS
            kind = np.int64(data[at + 38])
            echo = kind in (_ICMP, _ICMP6)
            to = number(data, at + 34, 2)
            src_port[row] = 0 if echo else number(data, at + 32, 2)
            dst_port[row] = 0 if echo else to
            icmp_type[row] = to >> 8 if echo else 0
            tcp_flags[row], protocol[row] = np.int64(data[at + 37]), kind
            fragment[row] = kind == _FRAGMENT6
            at += RECORD
            row += 1
