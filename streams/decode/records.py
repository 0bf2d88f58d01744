"""Flow records as numbers, whatever they were read from, and how they become columns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.decode.columns import ICMP, ICMP6, TCP, UNKNOWN_INTERFACE, Columns
from streams.decode.compiled import borrowing
from streams.decode.flows import Trust
from streams.decode.interning import empty_slots, place_of
from streams.decode.stamps import believed

MAPPED = 0xFFFF_0000_0000  # ::ffff:0:0, RFC 4291, 2.5.5.2


@dataclass(frozen=True, slots=True)
class Records:
    """n records. Addresses are two words each, the higher first, IPv4 mapped into IPv6."""

    exporter: NDArray[np.int64]  # index into the frame's exporters
    receipt_ns: NDArray[np.int64]
    start_ns: NDArray[np.int64]  # 0: not told
    end_ns: NDArray[np.int64]
    src: NDArray[np.uint64]  # 2 × n
    dst: NDArray[np.uint64]
    ip: NDArray[np.bool_]  # whether there are addresses
    src_mac: NDArray[np.uint64]  # 0: not told
    dst_mac: NDArray[np.uint64]
    bytes: NDArray[np.int64]
    packets: NDArray[np.int64]
    flows: NDArray[np.int64]
    sampling: NDArray[np.int64]  # 0: not told
    protocol: NDArray[np.int16]
    src_port: NDArray[np.int32]
    dst_port: NDArray[np.int32]
    tcp_flags: NDArray[np.int16]
    icmp_type: NDArray[np.int16]
    in_if: NDArray[np.int64]
    discarded: NDArray[np.bool_]
    fragment: NDArray[np.bool_]
    malformed: NDArray[np.bool_]
    fragments_visible: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.bytes)


def joined(parts: Sequence[Records]) -> Records:
    """All records of all parts."""
    if len(parts) == 1:
        return parts[0]
    return Records(*(np.concatenate([getattr(one, name) for one in parts], axis=-1) for name in Records.__slots__))


def picked(records: Records, chosen: NDArray[np.bool_]) -> Records:
    """These records only."""
    return Records(*(getattr(records, name)[..., chosen] for name in Records.__slots__))


def columns(records: Records, names: tuple[str, ...], trust: Trust) -> Columns:
    """The columns of records; `names` are the exporters'."""
    words, src, dst = _addresses(records)
    macs, src_mac, dst_mac = _macs(records)
    times = believed(
        records.receipt_ns, records.start_ns, records.end_ns, kafka_ns=trust.kafka_ns, oldest_ns=trust.oldest_ns
    )
    tcp_flags, icmp_type, in_if, sampling = _meant(records, trust)
    return Columns(
        exporters=names,
        words=words,
        macs=macs,
        exporter=records.exporter.astype(np.int32),
        src=src,
        dst=dst,
        src_mac=src_mac,
        dst_mac=dst_mac,
        receipt_ns=times.receipt_ns,
        duration_ns=times.duration_ns,
        bytes=records.bytes,
        packets=records.packets,
        flows=records.flows,
        sampling=sampling,
        protocol=records.protocol,
        src_port=records.src_port,
        dst_port=records.dst_port,
        tcp_flags=tcp_flags,
        icmp_type=icmp_type,
        in_if=in_if,
        discarded=records.discarded,
        ip=records.ip,
        fragment=records.fragment,
        malformed=records.malformed,
        fragments_visible=records.fragments_visible,
        skewed=times.skewed,
        skew_ns=times.skew_ns,
    )


def _addresses(records: Records) -> tuple[NDArray[np.uint64], NDArray[np.int32], NDArray[np.int32]]:
    """One table for both sides, and the index of each; -1 for what is not IP."""
    count = len(records)
    words, index = np.empty((2 * count, 2), np.uint64), np.empty((2, count), np.int32)
    sides = [np.ascontiguousarray(word) for side in (records.src, records.dst) for word in side]
    ip = np.ascontiguousarray(records.ip)
    found = _intern_sides(sides[0], sides[1], sides[2], sides[3], ip, empty_slots(2 * count), words, index)
    return words[:found], index[0], index[1]


def _macs(records: Records) -> tuple[NDArray[np.uint64], NDArray[np.int32], NDArray[np.int32]]:
    """The same for MACs, of which the first is 0: none."""
    count = len(records)
    index = np.zeros((2, count), np.int32)
    if not (records.src_mac.any() or records.dst_mac.any()):
        return np.zeros(1, np.uint64), index[0], index[1]
    table = np.empty((2 * count + 1, 2), np.uint64)
    src, dst = np.ascontiguousarray(records.src_mac), np.ascontiguousarray(records.dst_mac)
    found = _intern_macs(src, dst, empty_slots(2 * count + 1), table, index)
    return table[:found, 1], index[0], index[1]


def _meant(
    records: Records, trust: Trust
) -> tuple[NDArray[np.int16], NDArray[np.int16], NDArray[np.int64], NDArray[np.int64]]:
    """TCP flags and ICMP types of their protocols alone, interfaces that are known, and how each was sampled."""
    count = len(records)
    tcp_flags, icmp_type = np.empty(count, np.int16), np.empty(count, np.int16)
    in_if, sampling = np.empty(count, np.int64), np.empty(count, np.int64)
    _mean(
        np.ascontiguousarray(records.protocol),
        np.ascontiguousarray(records.tcp_flags),
        np.ascontiguousarray(records.icmp_type),
        np.ascontiguousarray(records.in_if),
        np.ascontiguousarray(records.sampling),
        max(trust.sampling_rate, 1),
        tcp_flags,
        icmp_type,
        in_if,
        sampling,
    )
    return tcp_flags, icmp_type, in_if, np.ones(count, np.int64) if trust.renormalised else sampling


@borrowing
def _intern_sides(
    src_high: NDArray[np.uint64],
    src_low: NDArray[np.uint64],
    dst_high: NDArray[np.uint64],
    dst_low: NDArray[np.uint64],
    ip: NDArray[np.bool_],
    slots: NDArray[np.int32],
    words: NDArray[np.uint64],
    index: NDArray[np.int32],
) -> int:
    """Fill the table and the index, senders first; how many addresses there are."""
    count = 0
    for side in range(2):
        high, low = (src_high, src_low) if side == 0 else (dst_high, dst_low)
        for at in range(len(ip)):
            index[side, at] = -1
            if ip[at]:
                place = place_of(high[at], low[at], slots, words, count)
                index[side, at] = place
                count += place == count
    return count


@borrowing
def _intern_macs(
    src: NDArray[np.uint64],
    dst: NDArray[np.uint64],
    slots: NDArray[np.int32],
    table: NDArray[np.uint64],
    index: NDArray[np.int32],
) -> int:
    none = np.uint64(0)
    count = 1 + place_of(none, none, slots, table, 0)
    for side in range(2):
        each = src if side == 0 else dst
        for at in range(len(each)):
            place = place_of(none, each[at], slots, table, count)
            index[side, at] = place
            count += place == count
    return count


@borrowing
def _mean(
    protocol: NDArray[np.int16],
    flags: NDArray[np.int16],
    kind: NDArray[np.int16],
    entry: NDArray[np.int64],
    rate: NDArray[np.int64],
    unsaid: int,
    tcp_flags: NDArray[np.int16],
    icmp_type: NDArray[np.int16],
    in_if: NDArray[np.int64],
    sampling: NDArray[np.int64],
) -> None:
    """Fill the last four; `unsaid` is the sampling rate of records that tell none."""
    for at in range(len(protocol)):
        tcp_flags[at] = flags[at] if protocol[at] == TCP else 0
        icmp_type[at] = kind[at] if protocol[at] == ICMP or protocol[at] == ICMP6 else 0
        in_if[at] = entry[at] if entry[at] != UNKNOWN_INTERFACE else 0
        sampling[at] = rate[at] if rate[at] > 0 else unsaid
