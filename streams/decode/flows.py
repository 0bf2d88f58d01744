"""What all flow formats share: whose records they are, when they were received, and which of them cannot be used."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.decode import Reject
from streams.decode.columns import UNKNOWN_INTERFACE, Columns, Flows, canonical_address, interned, mac_number
from streams.decode.columns import packed_address as read_address
from streams.decode.lines import Decoded, gathered
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


@dataclass(slots=True)
class Draft:
    """Fields of n records as their format has them; `facts` are arrays that need no more reading."""

    exporter: Sequence[str]
    src: Sequence[str]
    dst: Sequence[str]
    src_mac: Sequence[str]
    dst_mac: Sequence[str]
    receipt: Sequence[Stamp]
    start: Sequence[Stamp]
    end: Sequence[Stamp]
    in_if: Sequence[int]
    out_if: Sequence[int]
    sampling: Sequence[int]
    bytes: Sequence[int]
    packets: Sequence[int]
    flows: NDArray[np.int64]
    facts: dict[str, NDArray[Any]]


def finished(decoded: Decoded[Any], draft: Draft, trust: Trust, *, skipped: int = 0) -> Flows:
    """Columns of the records that can be used, and a reject for each of the others."""
    count = len(draft.bytes)
    reason = np.zeros(count, np.int8)
    exporters, exporter = interned(draft.exporter)
    names = [_exporter(one, trust) for one in exporters]
    words, src, dst = _addresses(draft.src, draft.dst)
    macs, src_mac, dst_mac = _macs(draft.src_mac, draft.dst_mac)
    octets, packets = np.array(draft.bytes, np.int64), np.array(draft.packets, np.int64)
    reason[(src == -2) | (dst == -2)] = 1
    reason[np.array([name is None for name in names], np.bool_)[exporter]] = 2
    reason[(octets < 0) | (packets < 0)] = 3
    times = believed(
        _ns(draft.receipt), _ns(draft.start), _ns(draft.end), kafka_ns=trust.kafka_ns, oldest_ns=trust.oldest_ns
    )
    reason[(reason == 0) & (times.receipt_ns == 0)] = 4
    in_if = np.array(draft.in_if, np.int64)
    out_if = np.array(draft.out_if, np.int64)
    columns = Columns(
        exporters=tuple(name or "" for name in names),
        words=words,
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
        discarded=(out_if >> 30) == 1,
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


def _table(values: Sequence[Any], read: Callable[[Any], Any]) -> list[Any]:
    return [read(value) for value in values]


def _addresses(
    src: Sequence[str], dst: Sequence[str]
) -> tuple[NDArray[np.uint64], NDArray[np.int32], NDArray[np.int32]]:
    """One table for both sides; -1 where a record has none, -2 where it is no address."""
    texts, index = interned((*src, *dst))
    table: dict[bytes, int] = {}
    places = np.empty(len(texts), np.int32)
    for place, text in enumerate(texts):
        raw = read_address(text) if text else None
        places[place] = table.setdefault(raw, len(table)) if raw else -2 if text else -1
    both = places[index]
    words = np.frombuffer(b"".join(table), ">u8").reshape(-1, 2).astype(np.uint64)
    return words, both[: len(src)], both[len(src) :]


def _macs(src: Sequence[str], dst: Sequence[str]) -> tuple[tuple[int, ...], NDArray[np.int32], NDArray[np.int32]]:
    """One table for both sides; what is no MAC counts as absent, for a record is not worth less without it."""
    texts, index = interned(("", *src, *dst))
    return tuple(mac_number(text) or 0 for text in texts), index[1 : len(src) + 1], index[len(src) + 1 :]


def _ns(stamps: Sequence[Stamp]) -> NDArray[np.int64]:
    try:
        return np.fromiter(stamps, np.int64, len(stamps))
    except (ValueError, TypeError, OverflowError):
        return np.fromiter(map(stamp_ns, stamps), np.int64, len(stamps))


def _sampling(rates: Sequence[int], trust: Trust) -> NDArray[np.int64]:
    if trust.renormalised:
        return np.ones(len(rates), np.int64)
    column = np.array(rates, np.int64)
    return np.where(column > 0, column, max(trust.sampling_rate, 1))
