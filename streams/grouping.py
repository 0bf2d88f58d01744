"""Flow columns into rows: who is charged for each record, and the sums for each subject, exporter, tick and span."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.domain.address import Prefix, packed
from controller.domain.estate import Expected
from streams.answers import Answers, Named
from streams.classes import AMOUNTS, ODD, PORTS
from streams.decode.columns import Columns
from streams.places import Places
from streams.rows import SKETCH_BITS, Rows
from streams.summing import PORT_BITS, Known, Placed, Sums, Told, placed, sums


@dataclass(frozen=True, slots=True)
class Grouped:
    """Rows of a frame, and for each record the row that counts it first (-1: it concerns nobody of ours)."""

    rows: Rows | None
    counted: NDArray[np.int32]
    keys: NDArray[np.int64]  # of each row a number, equal for equal keys


class Grouping:
    """Groups the records of one frame. Holds the estate's look-ups."""

    def __init__(self, places: Places, expected: tuple[Expected, ...], *, tick_ns: int) -> None:
        self._places, self._expected, self._tick_ns = places, expected, tick_ns
        self._answers: dict[bytes, Answers] = {}

    def rows(self, flows: Columns, scope: bytes) -> Grouped:
        """Group a frame."""
        answers = self._answers.get(scope)
        if answers is None:
            answers = self._answers[scope] = Answers(self._places, scope)
        named, charge = answers.hear(flows)
        told, known = self._told(flows, charge), _known(flows, named, answers)
        lowest = int(flows.receipt_ns.min()) // self._tick_ns
        where = placed(told, known, self._tick_ns, lowest)
        if not len(where.idents):
            return Grouped(None, where.counted, np.zeros(0, np.int64))
        found = sums(told, known, where, PORTS, PORT_BITS, ODD, AMOUNTS)
        numbers = where.idents[:, 0].view(np.int64) >> 32
        return Grouped(_rows(flows, answers, where, found, lowest), where.counted, numbers)

    def _told(self, flows: Columns, charge: NDArray[np.int32]) -> Told:
        columns: dict[str, NDArray[Any]] = {"charge": charge, "expected": self._expecting(flows)}
        for name in Told._fields:
            if name not in columns:
                columns[name] = np.ascontiguousarray(getattr(flows, name))
        return Told(**columns)

    def _expecting(self, flows: Columns) -> NDArray[np.bool_]:
        """Records that lie in a window of expected bulk traffic."""
        wanted = np.zeros(len(flows), np.bool_)
        if not self._expected:
            return wanted
        minutes, of_minute = np.unique(flows.receipt_ns // 60_000_000_000 % 1440, return_inverse=True)
        words = flows.words
        for window in self._expected:
            source = np.append(_within(words, window.sources), False)
            target = np.append(_within(words, window.destinations) | (not window.destinations), False)
            if source.any():
                open_now = np.array([window.covers(one) for one in minutes.tolist()], np.bool_)[of_minute]
                wanted |= source[flows.src] & target[flows.dst] & open_now
        return wanted


def _known(flows: Columns, named: Named, answers: Answers) -> Known:
    return Known(
        owner=named.key,
        group=named.group,
        bit=(named.hashed % np.uint64(SKETCH_BITS)).astype(np.int16),
        hashed=named.hashed,
        group_mac=np.array(flows.macs, np.int64) >> 40 & 1 > 0,  # IEEE 802: the lowest bit of the first octet
        paying=answers.charges.key,
        facts=answers.charges.facts,
        stray=answers.charges.stray,
        attached=answers.attached,
    )


def _rows(flows: Columns, answers: Answers, where: Placed, found: Sums, lowest_tick: int) -> Rows:
    who, when = where.idents.view(np.int64).T
    return Rows(
        key=answers.keys[who >> 32],
        exporter=(who >> 8 & 0xFFFFFF).astype(np.int32),
        tick=(when >> 24) + lowest_tick,
        span=(when & 0xFFFFFF).astype(np.int32),
        vantage=(who & 0xFF).astype(np.int8),
        flags=found.facts[:, 0].astype(np.int8),
        interface=found.facts[:, 1],
        mac=found.facts[:, 2],
        first_ns=found.first_ns,
        counts=found.counts,
        peer_row=found.peer_row,
        peer=flows.words[found.peer].astype(">u8").view("S16").reshape(-1),
        peer_bytes=found.peer_bytes,
        bit_row=found.bit_row,
        bit=found.bit,
    )


def _within(words: NDArray[np.uint64], prefixes: Sequence[Prefix]) -> NDArray[np.bool_]:
    """Which of n addresses, each two big-endian words of its packed form, lie in one of the prefixes."""
    inside = np.zeros(len(words), np.bool_)
    mapped = (words[:, 0] == 0) & (words[:, 1] >> np.uint64(32) == 0xFFFF)
    for prefix in prefixes:
        length = prefix.prefixlen + (96 if prefix.version == 4 else 0)
        mask = np.array([_ones(min(length, 64)), _ones(max(length - 64, 0))], np.uint64)
        network = np.frombuffer(packed(prefix.network_address), ">u8").astype(np.uint64)
        inside |= ((words & mask) == network).all(axis=1) & (mapped == (prefix.version == 4))
    return inside


def _ones(bits: int) -> int:
    """A 64-bit word whose first `bits` bits are set."""
    return ((1 << bits) - 1) << (64 - bits)
