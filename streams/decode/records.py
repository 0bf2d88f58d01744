"""Flow records as numbers, whatever they were read from, and how they become columns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.decode.columns import ICMP, ICMP6, TCP, UNKNOWN_INTERFACE, Columns
from streams.decode.flows import Trust
from streams.decode.interning import interned
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
    count = len(records)
    words, src, dst = _addresses(records)
    macs, src_mac, dst_mac = _macs(records)
    times = believed(
        records.receipt_ns, records.start_ns, records.end_ns, kafka_ns=trust.kafka_ns, oldest_ns=trust.oldest_ns
    )
    rate = records.sampling
    protocol = records.protocol
    echo = (protocol == ICMP) | (protocol == ICMP6)
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
        sampling=np.ones(count, np.int64)
        if trust.renormalised
        else np.where(rate > 0, rate, max(trust.sampling_rate, 1)),
        protocol=protocol,
        src_port=records.src_port,
        dst_port=records.dst_port,
        tcp_flags=records.tcp_flags * (protocol == TCP),
        icmp_type=records.icmp_type * echo,
        in_if=np.where(records.in_if == UNKNOWN_INTERFACE, 0, records.in_if),
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
    ip = records.ip
    all_ip = bool(ip.all())
    sides = (records.src, records.dst) if all_ip else (records.src[:, ip], records.dst[:, ip])
    both = np.concatenate(sides, axis=1)
    words, index = interned(both[0], both[1])
    if all_ip:
        return words, index[: len(ip)], index[len(ip) :]
    places = np.full((2, len(ip)), -1, np.int32)
    places[:, ip] = index.reshape(2, -1)
    return words, places[0], places[1]


def _macs(records: Records) -> tuple[tuple[int, ...], NDArray[np.int32], NDArray[np.int32]]:
    """The same for MACs, of which the first is 0: none."""
    count = len(records)
    if not (records.src_mac.any() or records.dst_mac.any()):
        none = np.zeros(count, np.int32)
        return (0,), none, none
    both = np.concatenate((np.zeros(1, np.uint64), records.src_mac, records.dst_mac))
    table, index = interned(np.zeros(2 * count + 1, np.uint64), both)
    return tuple(table[:, 1].tolist()), index[1 : count + 1], index[count + 1 :]
