"""Columns while they are filled: room for the records of a frame, and the one place where records are put into it."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.decode.columns import ICMP, ICMP6, TCP, UNKNOWN_INTERFACE, Columns
from streams.decode.compiled import inlined
from streams.decode.flows import Trust
from streams.decode.interning import Few, few, numbered
from streams.decode.stamps import judged


class Sheet(NamedTuple):
    """Room for n records. What no record says stands there from the start: one flow of IP, and nothing odd."""

    kafka_ns: int
    earliest_ns: int  # that is believed
    usual_rate: int  # of who tells none; 0 where counts are multiplied already
    addresses: Few
    macs: Few  # the first is 0: none
    receipt_ns: NDArray[np.int64]
    duration_ns: NDArray[np.int64]
    bytes: NDArray[np.int64]
    packets: NDArray[np.int64]
    sampling: NDArray[np.int64]
    in_if: NDArray[np.int64]
    skew_ns: NDArray[np.int64]
    exporter: NDArray[np.int32]
    src: NDArray[np.int32]
    dst: NDArray[np.int32]
    src_port: NDArray[np.int32]
    dst_port: NDArray[np.int32]
    protocol: NDArray[np.int16]
    tcp_flags: NDArray[np.int16]
    icmp_type: NDArray[np.int16]
    skewed: NDArray[np.bool_]
    fragment: NDArray[np.bool_]
    src_mac: NDArray[np.int32]
    dst_mac: NDArray[np.int32]
    discarded: NDArray[np.bool_]
    malformed: NDArray[np.bool_]
    fragments_visible: NDArray[np.bool_]
    flows: NDArray[np.int64]
    ip: NDArray[np.bool_]


_COLUMNS = Sheet._fields[5:]


def sheet(room: int, trust: Trust) -> Sheet:
    """Room for so many records."""
    columns: list[Any] = [
        *np.empty((7, room), np.int64),
        *np.empty((5, room), np.int32),
        *np.empty((3, room), np.int16),
        *np.empty((2, room), np.bool_),
        *np.zeros((2, room), np.int32),
        *np.zeros((3, room), np.bool_),
        np.ones(room, np.int64),
        np.ones(room, np.bool_),
    ]
    return Sheet(
        trust.kafka_ns,
        trust.kafka_ns - trust.oldest_ns,
        0 if trust.renormalised else max(trust.sampling_rate, 1),
        few(2 * room),
        few(2 * room + 1, zeros=1),
        *columns,
    )


def columns(filled: Sheet, count: int, names: tuple[str, ...]) -> Columns:
    """The first `count` records; `names` are the exporters'."""
    whole = count == len(filled.bytes)
    told = {name: getattr(filled, name) if whole else getattr(filled, name)[:count] for name in _COLUMNS}
    return Columns(exporters=names, words=filled.addresses.pairs(), macs=filled.macs.pairs()[:, 1], **told)


def correct(filled: Sheet, row: int, rates: NDArray[np.int64]) -> None:
    """Put other sampling rates into rows from this one on, where counts are not multiplied already."""
    if filled.usual_rate:
        filled.sampling[row : row + len(rates)] = rates


@inlined
def put(
    sheet: Sheet,
    row: int,
    exporter: int,
    came: np.int64,
    start: np.int64,
    end: np.int64,
    octets: int,
    packets: int,
    rate: int,
    in_if: int,
) -> None:
    """Put a record into its row: what all records have. A rate of 0 is not told, as a stamp of 0 is not."""
    # A row that cannot be negative needs no look at its sign.
    at = np.uint64(row)
    believed, duration, skewed, skew = judged(came, start, end, sheet.kafka_ns, sheet.earliest_ns)
    sheet.exporter[at], sheet.receipt_ns[at], sheet.duration_ns[at] = exporter, believed, duration
    sheet.skewed[at], sheet.skew_ns[at] = skewed, skew
    sheet.bytes[at], sheet.packets[at] = octets, packets
    sheet.sampling[at] = 1 if sheet.usual_rate == 0 else rate if rate > 0 else sheet.usual_rate
    sheet.in_if[at] = in_if if in_if != UNKNOWN_INTERFACE else 0


@inlined
def put_transport(sheet: Sheet, row: int, protocol: int, ports: tuple[int, int], flags: int, kind: int) -> None:
    """Put a record's protocol into its row, its ports, and flags and type where they are the protocol's."""
    at = np.uint64(row)
    sheet.protocol[at], sheet.src_port[at], sheet.dst_port[at] = protocol, ports[0], ports[1]
    sheet.tcp_flags[at] = flags if protocol == TCP else 0
    sheet.icmp_type[at] = kind if protocol in (ICMP, ICMP6) else 0


@inlined
def put_addresses(
    sheet: Sheet, row: int, src_high: np.uint64, src_low: np.uint64, dst_high: np.uint64, dst_low: np.uint64
) -> None:
    """Put a record's addresses into its row."""
    at, known = np.uint64(row), sheet.addresses
    sheet.src[at] = numbered(src_high, src_low, known.slots, known.table, known.size)
    sheet.dst[at] = numbered(dst_high, dst_low, known.slots, known.table, known.size)


@inlined
def put_macs(sheet: Sheet, row: int, src: np.uint64, dst: np.uint64) -> None:
    """Put a record's MACs into its row; 0 is none."""
    at, known, none = np.uint64(row), sheet.macs, np.uint64(0)
    sheet.src_mac[at] = numbered(none, src, known.slots, known.table, known.size) if src else 0
    sheet.dst_mac[at] = numbered(none, dst, known.slots, known.table, known.size) if dst else 0
