"""Frames of datagrams to columns: what exporters sent to our own listener, whatever version each datagram is of."""

import struct
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from controller.domain.address import unpacked
from controller.domain.errors import BadInput
from streams.decode import Reject, datagrams, netflow5, sflow
from streams.decode.columns import Columns, Flows
from streams.decode.compiled import borrowing
from streams.decode.counters import Link
from streams.decode.datagrams import Datagrams, unframed
from streams.decode.filling import Sheet, columns, sheet
from streams.decode.flows import Trust, rejected
from streams.decode.flowsets import exported
from streams.decode.layouts import FIRST_DATA, IPFIX, V9
from streams.decode.packets import number
from streams.decode.stamps import FUTURE_NS
from streams.decode.templates import Templates

KEPT_OF_A_REASON = 16
_FRAME_SECTION = 315
_UNLISTED, _SFLOW, _UNKNOWN = -6, -5, 0
_SFLOW5, _NETFLOW5 = sflow.VERSION, netflow5.VERSION
_REFUSED = {_UNLISTED: "unknown exporter", _UNKNOWN: "not a version of flow export that is understood"}


def decode(frame: bytes, trust: Trust, known: Templates | None = None) -> Flows:
    """Decode one Kafka message; `known` is what its exporters taught before. Never raises for what stands in it."""
    try:
        grams = unframed(frame)
    except BadInput as error:
        return rejected(frame, error.reason)
    names = tuple(map(_name, grams.exporters))
    version, found = _versions(grams, np.array([name in trust.exporters for name in names], np.bool_))
    refused = _Refused(grams)
    for kind, reason in _REFUSED.items():
        if kind in found:
            refused.add(np.flatnonzero(version == kind), reason)
    known = known or Templates()
    samples = sflow.Samples(grams, np.flatnonzero(version == _SFLOW)) if _SFLOW in found else None
    fives = netflow5.Fives(grams, np.flatnonzero(version == _NETFLOW5)) if _NETFLOW5 in found else None
    told = exported(grams, version, np.flatnonzero(version > _NETFLOW5), known) if found & {V9, IPFIX} else None
    read = _columns((samples, fives, None if told is None else told.records), names, trust)
    skipped, links = 0, []
    if samples is not None:
        refused.add(samples.chosen[samples.broken], "datagram cut short")
        skipped += int(samples.skipped.sum())
        links = _links(grams, samples.chosen[samples.skipped > 0], known, trust)
    if fives is not None:
        refused.add(fives.broken, "datagram cut short")
    if told is not None:
        refused.add(told.broken, "datagram cut short")
        refused.add(told.unknown, "data before its template")
        refused.add(told.absurd, "counts that cannot be")
        skipped += told.skipped
    return Flows(
        received=refused.count + skipped + (0 if read is None else len(read)),
        skipped=skipped,
        rejects=refused.rejects(),
        columns=read,
        links=tuple(links),
        linked=names if links else (),
    )


class _Part(Protocol):
    """Records of a frame that were found and not yet read."""

    @property
    def most(self) -> int:
        """So many there are at most."""

    def fill(self, sheet: Sheet, row: int) -> int:
        """Put them into a sheet, the first into this row; the row that is next."""


def _columns(parts: Iterable[_Part | None], names: tuple[str, ...], trust: Trust) -> Columns | None:
    """All records of all parts; None where there are none."""
    there = [part for part in parts if part is not None]
    filled, row = sheet(sum(part.most for part in there), trust), 0
    for part in there:
        row = part.fill(filled, row)
    return columns(filled, row, names) if row else None


def _links(grams: Datagrams, chosen: NDArray[np.int64], known: Templates, trust: Trust) -> list[Link]:
    """What counters in these datagrams tell, at times that can be."""
    if not len(chosen):
        return []
    earliest, latest = trust.kafka_ns - trust.oldest_ns, trust.kafka_ns + FUTURE_NS
    return [
        link
        if not trust.kafka_ns or earliest <= link.receipt_ns <= latest
        else replace(link, receipt_ns=trust.kafka_ns)
        for link in known.links.heard(grams, chosen)
    ]


def prepare() -> None:
    """Load what is compiled, or compile it, by reading a record of each kind: no live frame should wait for that."""
    header = bytes(11) + b"\x02" + b"\x08\x00" + b"\x45" + bytes(19)
    record = struct.pack("!6I", 1, 16 + len(header) + 2, 1, len(header), 0, len(header)) + header + bytes(2)
    sample = struct.pack("!8I", 1, 0, 1, 1, 0, 0, 0, 1) + record
    counters = struct.pack("!8I", 2, 12 + 8 + 88, 0, 0, 1, 1, 88, 1) + bytes(84)
    packets = (
        struct.pack("!7I", sflow.VERSION, 1, 0, 0, 0, 0, 2) + struct.pack("!2I", 1, len(sample)) + sample + counters
    )
    flows = struct.pack("!2H", netflow5.VERSION, 1) + bytes(netflow5.HEADER - 4 + netflow5.RECORD)
    template = struct.pack("!12H", 2, 24, FIRST_DATA, 4, 8, 4, 12, 4, 1, 4, 2, 4)
    sets = template + struct.pack("!2H", FIRST_DATA, 20) + bytes(16)
    sets += struct.pack("!6H", 2, 12, FIRST_DATA + 1, 1, _FRAME_SECTION, len(header))
    sets += struct.pack("!2H", FIRST_DATA + 1, 4 + len(header)) + header
    templated = struct.pack("!2H3I", IPFIX, 16 + len(sets), 1, 1, 1) + sets
    every = [packets, flows, templated]
    decode(
        datagrams.frame([bytes(16)], [0] * len(every), [1] * len(every), every),
        Trust(frozenset({"::"}), "", 1, 1),
        Templates(),
    )


@lru_cache(maxsize=1 << 14)
def _name(raw: bytes) -> str:
    return str(unpacked(raw))


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


def _versions(grams: Datagrams, listed: NDArray[np.bool_]) -> tuple[NDArray[np.int64], frozenset[int]]:
    """Of each datagram whose exporter is listed, and which there are; all but sFlow write it in two octets."""
    versions, found = np.empty(len(grams), np.int64), np.zeros(IPFIX - _UNLISTED + 1, np.bool_)
    _tell_versions(np.frombuffer(grams.payload, np.uint8), grams.offset, grams.exporter, listed, versions, found)
    return versions, frozenset(place + _UNLISTED for place, one in enumerate(found.tolist()) if one)


@borrowing
def _tell_versions(
    data: NDArray[np.uint8],
    offset: NDArray[np.int64],
    exporter: NDArray[np.int64],
    listed: NDArray[np.bool_],
    versions: NDArray[np.int64],
    found: NDArray[np.bool_],
) -> None:
    for place in range(len(versions)):
        at, version = offset[place], _UNKNOWN
        if not listed[exporter[place]]:
            version = _UNLISTED
        elif offset[place + 1] - at >= 4:
            high, low = number(data, at, 2), number(data, at + 2, 2)
            if high == 0 and low == _SFLOW5:
                version = _SFLOW
            elif high in (_NETFLOW5, V9, IPFIX):
                version = high
        versions[place] = version
        found[version - _UNLISTED] = True
