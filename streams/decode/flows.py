"""What all flow formats share: whose records they are, when they were received, and which of them cannot be used."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.decode import Reject
from streams.decode.columns import UNKNOWN_INTERFACE, Columns, Flows, canonical_address, mac_number
from streams.decode.columns import packed_address as read_address
from streams.decode.compiled import borrowing
from streams.decode.fields import Fields, Texts
from streams.decode.interning import interned
from streams.decode.lines import Decoded, gathered
from streams.decode.stamps import HIGHEST_NS, Stamp, judged, stamp_ns

MAPPED_IPV4 = np.uint64(0xFFFF_0000_0000)
"""IPv4 in the lower word of an address (RFC 4291, 2.5.5.2)."""


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


@dataclass(frozen=True, slots=True)
class Macs:
    """Both sides of n records: one table, of which the first is none, and an index for each."""

    table: NDArray[np.uint64]
    src: NDArray[np.int32]
    dst: NDArray[np.int32]


@dataclass(slots=True)
class Draft:
    """Fields of n records as their format has them; `facts` are arrays that need no more reading."""

    exporter: Texts
    addresses: Addresses
    macs: Macs
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


def finished(decoded: Decoded[Any], draft: Draft, trust: Trust) -> Flows:
    """Columns of the records that can be used, and a reject for each of the others."""
    count = len(draft.bytes)
    heard = np.bincount(draft.exporter.index, minlength=len(draft.exporter.values)) > 0
    names = [
        _exporter(one, trust) if known else None
        for one, known in zip(draft.exporter.values, heard.tolist(), strict=True)
    ]
    # One address has many spellings.
    spoken = {name: place for place, name in enumerate(dict.fromkeys(name for name in names if name is not None))}
    who = np.array([-1 if name is None else spoken[name] for name in names], np.int32)
    made: dict[str, NDArray[Any]] = {name: np.empty(count, kind) for name, kind in _SETTLED.items()}
    reason = np.empty(count, np.int8)
    _settle(
        draft.bytes, draft.packets, draft.addresses.src, draft.addresses.dst, draft.exporter.index, who, draft.receipt,
        draft.start, draft.end, draft.in_if, draft.out_if, draft.sampling, trust.kafka_ns,
        trust.kafka_ns - trust.oldest_ns, 0 if trust.renormalised else max(trust.sampling_rate, 1), reason,
        *made.values(),
    )  # fmt: skip
    columns = Columns(
        exporters=tuple(spoken),
        words=draft.addresses.words,
        macs=draft.macs.table,
        src=draft.addresses.src,
        dst=draft.addresses.dst,
        src_mac=draft.macs.src,
        dst_mac=draft.macs.dst,
        bytes=draft.bytes,
        packets=draft.packets,
        flows=draft.flows,
        **made,
        **draft.facts,
    )
    return _kept(decoded, columns, reason)


_SETTLED = {
    "exporter": np.int32, "in_if": np.int64, "discarded": np.bool_, "sampling": np.int64, "receipt_ns": np.int64,
    "duration_ns": np.int64, "skewed": np.bool_, "skew_ns": np.int64,
}  # fmt: skip
"""Columns that are told in the same way for all formats."""


@borrowing
def _settle(
    octets: NDArray[np.int64],
    packets: NDArray[np.int64],
    src: NDArray[np.int32],
    dst: NDArray[np.int32],
    spelling: NDArray[np.int32],
    who: NDArray[np.int32],
    receipt: NDArray[np.int64],
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    entry: NDArray[np.int64],
    out: NDArray[np.int64],
    rate: NDArray[np.int64],
    kafka_ns: int,
    oldest_ns: int,
    usual_rate: int,
    reason: NDArray[np.int8],
    exporter: NDArray[np.int32],
    in_if: NDArray[np.int64],
    discarded: NDArray[np.bool_],
    sampling: NDArray[np.int64],
    receipt_ns: NDArray[np.int64],
    duration_ns: NDArray[np.int64],
    skewed: NDArray[np.bool_],
    skew_ns: NDArray[np.int64],
) -> None:
    """Fill what follows `usual_rate`, which is 0 where counts are multiplied already. Exporters are -1: not ours."""
    for at in range(len(octets)):
        exporter[at] = who[spelling[at]]
        in_if[at] = 0 if entry[at] == UNKNOWN_INTERFACE else entry[at]
        discarded[at] = (out[at] >> 30) == 1
        sampling[at] = 1 if usual_rate == 0 else rate[at] if rate[at] > 0 else usual_rate
        receipt_ns[at], duration_ns[at], skewed[at], skew_ns[at] = judged(
            receipt[at], start[at], end[at], kafka_ns, oldest_ns
        )
        if octets[at] < 0 or packets[at] < 0:
            reason[at] = 3
        elif exporter[at] < 0:
            reason[at] = 2
        elif src[at] == -2 or dst[at] == -2:
            reason[at] = 1
        else:
            reason[at] = 4 if receipt_ns[at] == 0 else 0


REASONS = ("", "bad address", "unknown exporter", "no counts", "no time")


def _kept(decoded: Decoded[Any], columns: Columns, reason: NDArray[np.int8]) -> Flows:
    rejects = list(decoded.rejects)
    bad = np.flatnonzero(reason)
    if len(bad):
        raws = decoded.raws(bad.tolist())
        rejects += gathered([(raw, REASONS[at]) for raw, at in zip(raws, reason[bad].tolist(), strict=True)])
        columns = taken(columns, np.flatnonzero(reason == 0))
    return Flows(decoded.received, decoded.skipped, tuple(rejects), columns if len(columns) else None)


def taken(columns: Columns, chosen: NDArray[np.int64]) -> Columns:
    """These records only."""
    tables = {"exporters", "words", "macs"}
    picked = {
        name: getattr(columns, name) if name in tables else getattr(columns, name)[chosen] for name in Columns.__slots__
    }
    return Columns(**picked)


def nothing(decoded: Decoded[Any]) -> Flows:
    """A frame without a single record."""
    return Flows(decoded.received, decoded.skipped, tuple(decoded.rejects), None)


def rejected(frame: bytes, reason: str, count: int = 1) -> Flows:
    """A frame that is refused whole."""
    return Flows(count, 0, (Reject(frame, reason, count),), None)


def _exporter(text: str, trust: Trust) -> str | None:
    if not text:
        return trust.unnamed
    name = _canonical(text)
    return name if name in trust.exporters else None


_canonical = lru_cache(maxsize=1 << 12)(canonical_address)


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


def written_addresses(fields: Fields, src: str, dst: str) -> Addresses:
    """Addresses as they stand in two fields."""
    found = fields.addresses
    ours, theirs = (fields.told[fields.place[name]].astype(np.int32) for name in (src, dst))
    words = np.zeros((len(found.number), 2), np.uint64)
    words[:, 1] = found.number | MAPPED_IPV4
    if not found.others:
        return Addresses(words, ours, theirs)
    place, there = np.full(len(words), -1, np.int32), found.there.copy()
    for at, text in found.others:
        raw = read_address(text) if text else None
        if raw is not None:
            words[at], there[at] = np.frombuffer(raw, ">u8"), True
        elif text:
            place[at] = -2
    # One address has many spellings.
    words, place[there] = interned(words[there, 0], words[there, 1])
    return Addresses(words, place[ours], place[theirs])


def macs_of(src: Texts, dst: Texts) -> Macs:
    """MACs as text; what is none counts as absent, for a record is not worth less without it."""
    macs = (0, *(mac_number(text) or 0 for text in (*src.values, *dst.values)))
    return Macs(np.array(macs, np.uint64), src.index + 1, dst.index + 1 + len(src.values))


def written_macs(fields: Fields, src: str, dst: str) -> Macs:
    """The same of MACs as they stand in two fields."""
    number = fields.macs.number
    for at, text in fields.macs.others:
        number[at] = mac_number(text) or 0
    one, other = (fields.told[fields.place[name]].astype(np.int32) + 1 for name in (src, dst))
    return Macs(np.concatenate((np.zeros(1, np.uint64), number)), one, other)


def nanoseconds(stamps: Sequence[Stamp]) -> NDArray[np.int64]:
    """Stamps of any kind as ns since 1970, 0 for what is none."""
    # numpy would read digits in text, and floats, as the ns that only integers are.
    if set(map(type, stamps)) == {int}:
        try:
            read = np.fromiter(stamps, np.int64, len(stamps))
        except OverflowError:
            pass
        else:
            return np.where((read < 0) | (read >= HIGHEST_NS), 0, read)
    return np.fromiter(map(stamp_ns, stamps), np.int64, len(stamps))


def stamped(fields: Fields, name: str) -> NDArray[np.int64]:
    """Stamps as they stand in a field, as ns since 1970; 0 where it is absent or empty, -1 for what is none."""
    said = fields.numbers(name)
    if said.min(initial=0) >= 0:
        return said
    odd = said < 0
    read = np.array([stamp_ns(text[1:-1]) or -1 for text in fields.written(name)], np.int64)
    return np.where(odd, read[np.where(odd, -1 - said, 0)], said)
