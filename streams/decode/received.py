"""Frames of datagrams to columns: what exporters sent to our own listener, whatever version each datagram is of."""

import struct
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from controller.domain.address import unpacked
from controller.domain.errors import BadInput
from streams.decode import Reject, datagrams, sflow
from streams.decode.columns import ICMP, ICMP6, TCP, UNKNOWN_INTERFACE, Columns, Flows
from streams.decode.compiled import compiled
from streams.decode.datagrams import Datagrams, unframed
from streams.decode.flows import Trust, rejected
from streams.decode.packets import Field, Word
from streams.decode.sflow import Said
from streams.decode.stamps import believed

KEPT_OF_A_REASON = 16
_SFLOW = sflow.VERSION


def decode(frame: bytes, trust: Trust) -> Flows:
    """Decode one Kafka message. Never raises for what stands in it."""
    try:
        grams = unframed(frame)
    except BadInput as error:
        return rejected(frame, error.reason)
    names = [str(unpacked(raw)) for raw in grams.exporters]
    known = np.array([name in trust.exporters for name in names], np.bool_)
    refused = _Refused(grams)
    listed = known[grams.exporter] if len(grams) else np.zeros(0, np.bool_)
    refused.add(np.flatnonzero(~listed), "unknown exporter")
    version = _versions(grams)
    refused.add(np.flatnonzero(listed & (version != _SFLOW)), "not a version of flow export that is understood")
    found = sflow.samples(grams, np.flatnonzero(listed & (version == _SFLOW)))
    chosen = np.flatnonzero(listed & (version == _SFLOW))
    refused.add(chosen[found.broken], "datagram cut short")
    columns = _columns(grams, found, tuple(names), trust) if len(found.said) else None
    received = refused.count + int(found.skipped.sum()) + len(found.said)
    return Flows(received, int(found.skipped.sum()), refused.rejects(), columns)


def prepare() -> None:
    """Load what is compiled, or compile it, by reading one sample: seconds once, that no live frame should wait for."""
    header = bytes(12) + b"\x08\x00" + b"\x45" + bytes(19)
    record = struct.pack("!6I", 1, 16 + len(header) + 2, 1, len(header), 0, len(header)) + header + bytes(2)
    sample = struct.pack("!8I", 1, 0, 1, 1, 0, 0, 0, 1) + record
    datagram = struct.pack("!7I", _SFLOW, 1, 0, 0, 0, 0, 1) + struct.pack("!2I", 1, len(sample)) + sample
    decode(datagrams.frame([bytes(16)], [0], [1], [datagram]), Trust(frozenset({"::"}), "", 1, 1))


class _Refused:
    """Datagrams that could not be used, by reason; a few of each are kept whole, the others counted with the last."""

    def __init__(self, grams: Datagrams) -> None:
        self._grams = grams
        self._by_reason: dict[str, list[int]] = defaultdict(list)
        self.count = 0

    def add(self, datagrams: NDArray[np.int64], reason: str) -> None:
        """Refuse these."""
        self.count += len(datagrams)
        if len(datagrams):
            self._by_reason[reason] += datagrams.tolist()

    def rejects(self) -> tuple[Reject, ...]:
        """What is kept of them."""
        kept: list[Reject] = []
        for reason, refused in self._by_reason.items():
            few = refused[: KEPT_OF_A_REASON - 1]
            kept += [Reject(self._grams.one(one), reason) for one in few]
            rest = len(refused) - len(few)
            if rest:
                kept.append(Reject(self._grams.one(refused[-1]), reason, count=rest))
        return tuple(kept)


def _versions(grams: Datagrams) -> NDArray[np.int64]:
    """5 for sFlow, which alone begins with a word of four octets; -1 for the others."""
    versions = np.full(len(grams), -1, np.int64)
    for at, (start, end) in enumerate(zip(grams.offset[:-1].tolist(), grams.offset[1:].tolist(), strict=True)):
        if end - start >= 4 and struct.unpack_from("!I", grams.payload, start)[0] == _SFLOW:
            versions[at] = _SFLOW
    return versions


def _columns(grams: Datagrams, found: sflow.Samples, names: tuple[str, ...], trust: Trust) -> Columns:
    said, fields, words = found.said, found.fields, found.words
    count = len(said)
    exporter = grams.exporter[said[:, Said.DATAGRAM]]
    ip = fields[:, Field.IP] > 0
    protocol, flags = fields[:, Field.PROTOCOL], fields[:, Field.TCP_FLAGS]
    addresses, src, dst = _addresses(words, ip)
    macs, index = _interned(
        np.zeros(2 * count + 1, np.uint64),
        np.concatenate((np.zeros(1, np.uint64), words[:, Word.SRC_MAC], words[:, Word.DST_MAC])),
    )
    receipt = grams.receipt_ns[said[:, Said.DATAGRAM]]
    none = np.zeros(count, np.int64)
    times = believed(receipt, none, none, kafka_ns=trust.kafka_ns, oldest_ns=trust.oldest_ns)
    rates = np.ones(count, np.int64) if trust.renormalised else sflow.effective_rates(said, exporter)
    syn = (flags & 0x12) == 0x02
    out = said[:, Said.OUTPUT]
    entry = said[:, Said.INPUT]
    return Columns(
        exporters=names,
        addresses=addresses,
        macs=tuple(macs[:, 1].tolist()),
        exporter=exporter.astype(np.int32),
        src=src,
        dst=dst,
        src_mac=index[1 : count + 1],
        dst_mac=index[count + 1 :],
        receipt_ns=times.receipt_ns,
        duration_ns=times.duration_ns,
        bytes=said[:, Said.OCTETS],
        packets=np.ones(count, np.int64),
        flows=np.where((protocol != TCP) | syn, 1, 0).astype(np.int64),
        sampling=rates,
        protocol=protocol.astype(np.int16),
        src_port=fields[:, Field.SRC_PORT].astype(np.int32),
        dst_port=fields[:, Field.DST_PORT].astype(np.int32),
        tcp_flags=np.where(protocol == TCP, flags, 0).astype(np.int16),
        icmp_type=np.where((protocol == ICMP) | (protocol == ICMP6), fields[:, Field.ICMP_TYPE], 0).astype(np.int16),
        in_if=np.where(entry == UNKNOWN_INTERFACE, 0, entry),
        discarded=out >> 30 == 1,
        ip=ip,
        fragment=fields[:, Field.FRAGMENT] > 0,
        malformed=fields[:, Field.MALFORMED] > 0,
        fragments_visible=np.ones(count, np.bool_),
        skewed=times.skewed,
        skew_ns=times.skew_ns,
    )


def _addresses(
    words: NDArray[np.uint64], ip: NDArray[np.bool_]
) -> tuple[tuple[bytes, ...], NDArray[np.int32], NDArray[np.int32]]:
    """One table for both sides, and the index of each; -1 for what is not IP."""
    high = np.concatenate((words[ip, Word.SRC_HIGH], words[ip, Word.DST_HIGH]))
    low = np.concatenate((words[ip, Word.SRC_LOW], words[ip, Word.DST_LOW]))
    table, index = _interned(high, low)
    raw = table.astype(">u8").tobytes()
    addresses = tuple(raw[at : at + 16] for at in range(0, len(raw), 16))
    both = np.full((2, len(ip)), -1, np.int32)
    both[:, ip] = index.reshape(2, -1)
    return addresses, both[0], both[1]


def _interned(high: NDArray[np.uint64], low: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
    """Distinct pairs in order of appearance (n × 2), and each one's index."""
    table = np.zeros((len(high), 2), np.uint64)
    index = np.zeros(len(high), np.int32)
    room = 1 << max(4, (2 * len(high)).bit_length())
    count = _intern(high, low, np.full(room, -1, np.int32), table, index)
    return table[:count], index


@compiled
def _intern(
    high: NDArray[np.uint64],
    low: NDArray[np.uint64],
    slots: NDArray[np.int32],
    table: NDArray[np.uint64],
    index: NDArray[np.int32],
) -> int:
    """Open addressing with linear probing; the mixing constants are splitmix64's."""
    count = 0
    mask = np.uint64(len(slots) - 1)
    for at in range(len(high)):
        mixed = (high[at] ^ (low[at] * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(0xBF58476D1CE4E5B9)
        slot = (mixed ^ (mixed >> np.uint64(31))) & mask
        while True:
            found = slots[slot]
            if found < 0:
                slots[slot] = count
                table[count, 0], table[count, 1] = high[at], low[at]
                index[at] = count
                count += 1
                break
            if table[found, 0] == high[at] and table[found, 1] == low[at]:
                index[at] = found
                break
            slot = (slot + np.uint64(1)) & mask
    return count
