"""What all flow formats share: whose records they are, when they were received, and which of them cannot be used."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.decode import Reject
from streams.decode.columns import UNKNOWN_INTERFACE, Columns, Flows, canonical_address, looked_up, mac_number
from streams.decode.columns import packed_address as read_address
from streams.decode.fields import ADDRESS, MAC, Fields, Texts
from streams.decode.interning import interned
from streams.decode.lines import Decoded, gathered
from streams.decode.stamps import HIGHEST_NS, Stamp, believed, stamp_ns

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

    table: tuple[int, ...]
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
    reason = np.zeros(count, np.int8)
    exporter = draft.exporter.index
    heard = np.bincount(exporter, minlength=len(draft.exporter.values)) > 0
    names = [
        _exporter(one, trust) if known else None
        for one, known in zip(draft.exporter.values, heard.tolist(), strict=True)
    ]
    src, dst = draft.addresses.src, draft.addresses.dst
    octets, packets, in_if = draft.bytes, draft.packets, draft.in_if
    reason[(src == -2) | (dst == -2)] = 1
    reason[np.array([name is None for name in names], np.bool_)[exporter]] = 2
    reason[(octets < 0) | (packets < 0)] = 3
    times = believed(draft.receipt, draft.start, draft.end, kafka_ns=trust.kafka_ns, oldest_ns=trust.oldest_ns)
    reason[(reason == 0) & (times.receipt_ns == 0)] = 4
    # One address has many spellings.
    told = (name or "" for name, known in zip(names, heard.tolist(), strict=True) if known)
    spoken = {name: place for place, name in enumerate(dict.fromkeys(told))}
    exporter = looked_up([spoken.get(name or "", 0) for name in names], exporter, np.int32)
    columns = Columns(
        exporters=tuple(spoken),
        words=draft.addresses.words,
        macs=draft.macs.table,
        exporter=exporter,
        src=src,
        dst=dst,
        src_mac=draft.macs.src,
        dst_mac=draft.macs.dst,
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
    return _kept(decoded, columns, reason)


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


def written_addresses(fields: Fields, src: str, dst: str) -> Addresses:
    """Addresses as they stand in two fields."""
    found = fields.shared(ADDRESS)
    low, there, others = found.number, found.there, found.others
    low[there] |= MAPPED_IPV4
    high = np.zeros(len(low), np.uint64)
    place = np.full(len(low), -1, np.int32)
    for at, text in others:
        raw = read_address(text) if text else None
        if raw is not None:
            high[at], low[at] = np.frombuffer(raw, ">u8")
            there[at] = True
        elif text:
            place[at] = -2
    if any(text for _, text in others):
        words, place[there] = interned(high[there], low[there])  # one address has many spellings
    else:
        words = np.column_stack((high[there], low[there]))
        place[there] = np.arange(len(words), dtype=np.int32)
    return Addresses(words, place[fields.told[fields.place[src]]], place[fields.told[fields.place[dst]]])


def macs_of(src: Texts, dst: Texts) -> Macs:
    """MACs as text; what is none counts as absent, for a record is not worth less without it."""
    macs = (0, *(mac_number(text) or 0 for text in (*src.values, *dst.values)))
    return Macs(macs, src.index + 1, dst.index + 1 + len(src.values))


def written_macs(fields: Fields, src: str, dst: str) -> Macs:
    """The same of MACs as they stand in two fields."""
    found = fields.shared(MAC)
    for at, text in found.others:
        found.number[at] = mac_number(text) or 0
    one, other = (fields.told[fields.place[name]].astype(np.int32) + 1 for name in (src, dst))
    return Macs((0, *found.number.tolist()), one, other)


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
    odd = said < 0
    if not odd.any():
        return said
    read = np.array([stamp_ns(text[1:-1]) or -1 for text in fields.written(name)], np.int64)
    return np.where(odd, read[np.where(odd, -1 - said, 0)], said)


def _sampling(rates: NDArray[np.int64], trust: Trust) -> NDArray[np.int64]:
    if trust.renormalised:
        return np.ones(len(rates), np.int64)
    return np.where(rates > 0, rates, max(trust.sampling_rate, 1))
