"""What all flow formats share: whose records they are, when they were received, and which of them cannot be used."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.decode import Reject
from streams.decode.columns import UNKNOWN_INTERFACE, Columns, Flows, canonical_address, looked_up, mac_number
from streams.decode.columns import packed_address as read_address
from streams.decode.interning import interned
from streams.decode.lines import Decoded, gathered
from streams.decode.plainlines import Fields, Texts
from streams.decode.stamps import Stamp, believed, stamp_ns


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose records a source may carry, and how far their clocks are believed."""

    exporters: frozenset[str]  # canonical addresses
    unnamed: str  # who speaks when a record names no exporter: the only exporter of the source, or its topic
    kafka_ns: int
    oldest_ns: int
    sampling_rate: int = 0  # where records carry none
    renormalised: bool = False


@dataclass(frozen=True, slots=True)
class Addresses:
    """Both sides of n records: one table, and an index for each; -1 where a record has none, -2 where it is none."""

    words: NDArray[np.uint64]
    src: NDArray[np.int32]
    dst: NDArray[np.int32]


@dataclass(slots=True)
class Draft:
    """Fields of n records as their format has them; `facts` are arrays that need no more reading."""

    exporter: Texts
    addresses: Addresses
    src_mac: Texts
    dst_mac: Texts
    receipt: NDArray[np.int64]  # ns since 1970, as the others; 0: not told
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    in_if: NDArray[np.int64]
    out_if: NDArray[np.int64]
    sampling: NDArray[np.int64]
    bytes: NDArray[np.int64]
    packets: NDArray[np.int64]
    flows: NDArray[np.int64]
    facts: dict[str, NDArray[Any]]


def finished(decoded: Decoded[Any], draft: Draft, trust: Trust, *, skipped: int = 0) -> Flows:
    """Columns of the records that can be used, and a reject for each of the others."""
    count = len(draft.bytes)
    reason = np.zeros(count, np.int8)
    exporter = draft.exporter.index
    names = [_exporter(one, trust) for one in draft.exporter.values]
    src, dst = draft.addresses.src, draft.addresses.dst
    macs, src_mac, dst_mac = _macs(draft.src_mac, draft.dst_mac)
    octets, packets, in_if = draft.bytes, draft.packets, draft.in_if
    reason[(src == -2) | (dst == -2)] = 1
    reason[np.array([name is None for name in names], np.bool_)[exporter]] = 2
    reason[(octets < 0) | (packets < 0)] = 3
    times = believed(draft.receipt, draft.start, draft.end, kafka_ns=trust.kafka_ns, oldest_ns=trust.oldest_ns)
    reason[(reason == 0) & (times.receipt_ns == 0)] = 4
    # One address has many spellings.
    spoken = {name: place for place, name in enumerate(dict.fromkeys(name or "" for name in names))}
    exporter = looked_up([spoken[name or ""] for name in names], exporter, np.int32)
    columns = Columns(
        exporters=tuple(spoken),
        words=draft.addresses.words,
        macs=macs,
        exporter=exporter,
        src=src,
        dst=dst,
        src_mac=src_mac,
        dst_mac=dst_mac,
        receipt_ns=times.receipt_ns,
        duration_ns=times.duration_ns,
        bytes=octets,
        packets=packets,
        flows=draft.flows,
        sampling=_sampling(draft.sampling, trust),
        in_if=np.where(in_if == UNKNOWN_INTERFACE, 0, in_if),
        discarded=(draft.out_if >> 30) == 1,
        skewed=times.skewed,
        skew_ns=times.skew_ns,
        **draft.facts,
    )
    return _kept(decoded, columns, reason, skipped)


REASONS = ("", "bad address", "unknown exporter", "no counts", "no time")


def _kept(decoded: Decoded[Any], columns: Columns, reason: NDArray[np.int8], skipped: int) -> Flows:
    rejects = list(decoded.rejects)
    bad = np.flatnonzero(reason)
    if len(bad):
        rejects += gathered([(decoded.raw(int(i)), REASONS[reason[i]]) for i in bad])
        columns = taken(columns, np.flatnonzero(reason == 0))
    return Flows(decoded.received, skipped, tuple(rejects), columns if len(columns) else None)


def taken(columns: Columns, chosen: NDArray[np.int64]) -> Columns:
    """These records only."""
    tables = {"exporters", "words", "macs"}
    picked = {
        name: getattr(columns, name) if name in tables else getattr(columns, name)[chosen] for name in Columns.__slots__
    }
    return Columns(**picked)


def nothing(decoded: Decoded[Any], skipped: int = 0) -> Flows:
    """A frame without a single record."""
    return Flows(decoded.received, skipped, tuple(decoded.rejects), None)


def rejected(frame: bytes, reason: str, count: int = 1) -> Flows:
    """A frame that is refused whole."""
    return Flows(count, 0, (Reject(frame, reason, count),), None)


def _exporter(text: str, trust: Trust) -> str | None:
    if not text:
        return trust.unnamed
    name = canonical_address(text)
    return name if name in trust.exporters else None


def addresses_of(src: Texts, dst: Texts) -> Addresses:
    """Addresses as text, however they are written."""
    table: dict[bytes, int] = {}
    places = []
    for text in (*src.values, *dst.values):
        raw = read_address(text) if text else None
        places.append(table.setdefault(raw, len(table)) if raw else -2 if text else -1)
    words = np.frombuffer(b"".join(table), ">u8").reshape(-1, 2).astype(np.uint64)
    place = np.array(places, np.int32)
    return Addresses(words, place[src.index], place[dst.index + len(src.values)])


def dotted_addresses(fields: Fields, src: int, dst: int) -> Addresses | None:
    """Addresses as they stand in two fields; None where not all of them are IPv4."""
    sides = [fields.dotted(src), fields.dotted(dst)]
    if sides[0] is None or sides[1] is None:
        return None
    low, there = (np.concatenate(pair) for pair in zip(*sides, strict=True))
    words, index = interned(np.zeros(int(there.sum()), np.uint64), low[there])
    place = np.full(len(low), -1, np.int32)
    place[there] = index
    return Addresses(words, place[: len(fields)], place[len(fields) :])


def _macs(src: Texts, dst: Texts) -> tuple[tuple[int, ...], NDArray[np.int32], NDArray[np.int32]]:
    """One table for both sides; what is no MAC counts as absent, for a record is not worth less without it."""
    macs = (0, *(mac_number(text) or 0 for text in (*src.values, *dst.values)))
    return macs, src.index + 1, dst.index + 1 + len(src.values)


def nanoseconds(stamps: Sequence[Stamp]) -> NDArray[np.int64]:
    """Stamps of any kind as ns since 1970, 0 for what is none."""
    # numpy would read digits in text, and floats, as the ns that only integers are.
    if set(map(type, stamps)) == {int}:
        try:
            return np.fromiter(stamps, np.int64, len(stamps))
        except OverflowError:
            pass
    return np.fromiter(map(stamp_ns, stamps), np.int64, len(stamps))


def _sampling(rates: NDArray[np.int64], trust: Trust) -> NDArray[np.int64]:
    if trust.renormalised:
        return np.ones(len(rates), np.int64)
    return np.where(rates > 0, rates, max(trust.sampling_rate, 1))
