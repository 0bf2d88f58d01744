"""Rows that grow from frame to frame, in tables that are used again when the rows have been told."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.classes import AMOUNTS, ODD, PORTS
from streams.decode.interning import FREE, empty_slots
from streams.rows import SKETCH_BITS
from streams.sheets import (
    BITS,
    BLOCK,
    CHARGE,
    FIRST,
    PLACES,
    RARE,
    RARELY,
    ROWS,
    SORTS,
    WORDS,
    Held,
    Kinds,
    Known,
    Told,
)
from streams.summing import PORT_BITS, gather
from streams.totals import Peers, counted, loudest, moved, rehashed

_LEAST = 1_024
_LINE = 64
_KINDS = Kinds(PORTS, ODD, AMOUNTS, PLACES)
_SPARSE = 16
"""Room is given back when there is so many times as much as was needed."""


class Rowsheet:
    """The rows of one stretch of records, and then of the next."""

    def __init__(self) -> None:
        self._base_tick = -1
        self._held = _empty(*(_LEAST,) * 5)

    def __len__(self) -> int:
        return int(self._held.made[ROWS])

    def add(self, told: Told, known: Known, *, tick_ns: int) -> NDArray[np.int16]:
        """Add records; of each the activity partition that counts it, 0 where it is nobody's."""
        count = len(told.exporter)
        if self._base_tick < 0:
            self._base_tick = int(told.receipt_ns.min()) // tick_ns - (1 << 30)
        homes, at = np.empty(count, np.int16), 0
        while True:
            at = gather(told, known, self._held, at, tick_ns, self._base_tick, homes, _KINDS)
            if at == count:
                return homes
            self._widen()

    def _widen(self) -> None:
        """Give more room to what is nearly full."""
        old, made = self._held, self._held.made.tolist()
        rooms = _rooms(old)
        wanted = [2 * room if room - count < 3 * BLOCK else room for room, count in zip(rooms, made, strict=True)]
        new = _empty(*wanted)
        for name, number in _SIZED:
            mine = made[number]
            getattr(new, name)[:mine] = getattr(old, name)[:mine]
        new.made[:] = old.made
        rehashed(new.names, made[ROWS], new.slots)
        moved(old.pairs, new.pairs)
        moved(old.seconds, new.seconds)
        self._held = new

    @property
    def keys(self) -> NDArray[np.int64]:
        """The number of each row's key."""
        answer: NDArray[np.int64] = self._held.table[: len(self), 0] >> 32
        return answer

    def columns(self) -> dict[str, NDArray[Any]]:
        """What stands in the rows, by the names of `streams.rows.Rows`, which says what they mean."""
        held, rows, bits = self._held, len(self), int(self._held.made[BITS])
        table = held.table[:rows]
        who, when = table[:, 0].copy(), table[:, 1].copy()
        facts = held.facts[:rows] * (table[:, CHARGE : CHARGE + 1] >= 0)
        return {
            "exporter": (who >> 8 & 0xFFFFFF).astype(np.int32),
            "tick": (when >> 24) + self._base_tick,
            "span": (when & 0xFFFFFF).astype(np.int32),
            "vantage": (who & 0xFF).astype(np.int8),
            "flags": facts[:, 0].astype(np.int8),
            "interface": facts[:, 1].copy(),
            "mac": facts[:, 2].copy(),
            "first_ns": table[:, FIRST].copy(),
            "counts": counted(held, PLACES),
            "bit_row": held.bit_row[:bits].copy(),
            "bit": held.bit[:bits].copy(),
        }

    def peers(self, hashes: NDArray[np.uint64]) -> Peers:
        """The loudest few peers of each row; `hashes` are those of addresses."""
        return loudest(self._held, hashes)

    def clear(self) -> None:
        """Begin anew."""
        held, made = self._held, self._held.made
        rooms = _rooms(held)
        if all(room > _LEAST and room > _SPARSE * count for room, count in zip(rooms, made.tolist(), strict=True)):
            self._held = _empty(*(room // 2 for room in rooms))
        else:
            made[:] = 0
            held.slots[:] = -1
            held.pairs[:, 0] = held.seconds[:] = FREE
        self._base_tick = -1


_SIZED = (
    ("table", ROWS), ("rarely", ROWS), ("rare", RARELY), ("facts", ROWS), ("sketches", ROWS), ("bit_row", BITS),
    ("bit", BITS),
)  # fmt: skip


def _rooms(held: Held) -> tuple[int, ...]:
    """So much room there is for what `Held.made` counts."""
    return len(held.table), len(held.pairs) // 2, len(held.bit), len(held.seconds) // 2, len(held.rare)


def _empty(rows: int, pairs: int, bits: int, seconds: int, rare: int) -> Held:
    table = _aligned(rows, 8 * WORDS).view(np.int64)
    return Held(
        made=np.zeros(5, np.int64),
        amounts=np.zeros(3, np.int64),
        ahead_names=np.empty((BLOCK, 3), np.uint64),
        ahead_whom=np.empty((BLOCK, 3), np.int64),
        turns=np.empty((SORTS, 1 + BLOCK), np.int64),
        port_bits=PORT_BITS,
        slots=empty_slots(rows),
        table=table,
        names=table.view(np.uint64),
        rarely=np.empty(rows, np.int32),
        rare=np.empty((rare, RARE), np.int64),
        facts=np.empty((rows, 3), np.int64),
        sketches=_aligned(rows, 2 * SKETCH_BITS // 8),
        pairs=_words(pairs, 2),
        bit_row=np.empty(bits, np.int32),
        bit=np.empty(bits, np.int16),
        seconds=_words(seconds, 1),
    )


def _words(room: int, width: int) -> NDArray[np.uint64]:
    """A table with room for so many words where they hash to, half of it free; `room` is a power of two."""
    table = _aligned(2 * room, 8 * width).view(np.uint64)
    table[:, 0] = FREE
    return table


def _aligned(rows: int, width: int) -> NDArray[np.uint8]:
    """Rows of octets that begin where lines of the cache do."""
    octets = np.empty(rows * width + _LINE, np.uint8)
    begin = -octets.ctypes.data % _LINE
    return octets[begin : begin + rows * width].reshape(rows, width)
