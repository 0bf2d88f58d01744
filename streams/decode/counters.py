"""Interface counters of sFlow version 5 ("sFlow Version 5", sflow.org, July 2004, 5.3 and its if_counters).

An agent sends what its interfaces have counted every few seconds. Two such readings say how full a link was between
them, and how much of what it should have carried it lost: what no flow record tells.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from streams.decode.compiled import borrowing
from streams.decode.datagrams import Datagrams
from streams.decode.packets import number

SHORTEST_MS, LONGEST_MS = 1_000, 600_000
"""Readings closer together say little, for agents keep them for a while; such far apart, nothing of now."""

REMEMBERED = 65_536
"""Links of one partition's exporters; of more, those are forgotten that were not heard for longest."""

_MASK = 0xFFFF_FFFF
_SAMPLE, _RECORD = 16, 96  # octets of the smallest sample, and of a record with its head


class Told(IntEnum):
    """Columns of a reading."""

    DATAGRAM = 0  # index in the frame
    UPTIME_MS = 1  # of the agent, 32 bits
    INTERFACE = 2
    SPEED = 3  # bit/s; 0 where the agent does not know it
    IN_OCTETS = 4
    OUT_OCTETS = 5
    IN_DISCARDS = 6  # 32 bits, as those that follow
    OUT_DISCARDS = 7
    IN_ERRORS = 8
    OUT_ERRORS = 9


_TOLD = len(Told)
_DATAGRAM, _UPTIME, _INTERFACE, _SPEED, _IN, _OUT, _IN_DISCARDS, _OUT_DISCARDS, _IN_ERRORS, _OUT_ERRORS = range(_TOLD)


@dataclass(frozen=True, slots=True)
class Link:
    """What one interface did between two readings."""

    exporter: int  # index into the frame's exporters
    interface: int
    receipt_ns: int  # of the second
    seconds: float
    speed: int  # bit/s; 0: not told
    in_bits_per_s: float
    out_bits_per_s: float
    discards_per_s: float  # both directions
    errors_per_s: float

    @property
    def use(self) -> float:
        """Share of its speed, of the fuller direction; 0 where the speed is not told."""
        return max(self.in_bits_per_s, self.out_bits_per_s) / self.speed if self.speed else 0.0


@dataclass(frozen=True, slots=True)
class _Reading:
    uptime_ms: int
    octets: tuple[int, int]
    discards: tuple[int, int]
    errors: tuple[int, int]


class Links:
    """The last reading of each interface."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._last: dict[tuple[bytes, int], _Reading] = {}

    def __len__(self) -> int:
        return len(self._last)

    def heard(self, frame: Datagrams, chosen: NDArray[np.int64]) -> list[Link]:
        """What the chosen datagrams, each of which begins with sFlow's version 5, tell of links heard before.

        An agent that was restarted and counters that were set back begin anew; so does everything after a restart of
        ours, for nothing of this is kept.
        """
        found = []
        for row in readings(frame, chosen).T.tolist():
            told = dict(zip(Told, row, strict=True))
            link = self._heard(frame, told)
            if link is not None:
                found.append(link)
        return found

    def _heard(self, frame: Datagrams, told: dict[Told, int]) -> Link | None:
        exporter = int(frame.exporter[told[Told.DATAGRAM]])
        key = (frame.exporters[exporter], told[Told.INTERFACE])
        now = _Reading(
            told[Told.UPTIME_MS],
            (told[Told.IN_OCTETS] % (1 << 64), told[Told.OUT_OCTETS] % (1 << 64)),
            (told[Told.IN_DISCARDS], told[Told.OUT_DISCARDS]),
            (told[Told.IN_ERRORS], told[Told.OUT_ERRORS]),
        )
        before = self._last.get(key)
        lapsed_ms = (now.uptime_ms - before.uptime_ms) & _MASK if before is not None else 0
        if before is not None and lapsed_ms < SHORTEST_MS:
            return None
        self._last.pop(key, None)
        self._last[key] = now
        if len(self._last) > self._remembered:
            del self._last[next(iter(self._last))]
        if before is None or lapsed_ms > LONGEST_MS:
            return None
        more = [late - early for late, early in zip(now.octets, before.octets, strict=True)]
        if min(more) < 0:
            return None
        seconds = lapsed_ms / 1000
        return Link(
            exporter=exporter,
            interface=told[Told.INTERFACE],
            receipt_ns=int(frame.receipt_ns[told[Told.DATAGRAM]]),
            seconds=seconds,
            speed=told[Told.SPEED] % (1 << 64),
            in_bits_per_s=8 * more[0] / seconds,
            out_bits_per_s=8 * more[1] / seconds,
            discards_per_s=_wrapped(before.discards, now.discards) / seconds,
            errors_per_s=_wrapped(before.errors, now.errors) / seconds,
        )


def _wrapped(before: tuple[int, int], now: tuple[int, int]) -> int:
    """How far counters of 32 bits, which begin anew when they are full, have moved."""
    return sum((late - early) & _MASK for early, late in zip(before, now, strict=True))


def readings(frame: Datagrams, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """The readings in these datagrams (Told × n), in order; what is cut short or of another kind is left out."""
    data = np.frombuffer(frame.payload, np.uint8)
    room = int((frame.offset[chosen + 1] - frame.offset[chosen]).sum()) // _RECORD + 1
    told = np.empty((_TOLD, room), np.int64)
    return told[:, : _walk(data, frame.offset, chosen, told)]


@borrowing
def _walk(
    data: NDArray[np.uint8], offset: NDArray[np.int64], chosen: NDArray[np.int64], told: NDArray[np.int64]
) -> int:
    """Fill the table; how many readings there were."""
    count = 0
    for gram in chosen:
        at, end = offset[gram], offset[gram + 1]
        if end - at < 28:
            continue
        family = number(data, at + 4, 4)
        at += 8 + (4 if family == 1 else 16)
        if family not in (1, 2) or end - at < 16:
            continue
        uptime, left = number(data, at + 8, 4), number(data, at + 12, 4)
        at += 16
        while left > 0 and end - at >= 8:
            left -= 1
            kind, length = number(data, at, 4), number(data, at + 4, 4)
            at += 8
            if length > end - at:
                break
            head = 12 if kind == 2 else 16
            if kind in (2, 4) and length >= head:
                count = _sample(data, at + head, at + length, number(data, at + head - 4, 4), gram, uptime, told, count)
            at += length
    return count


@borrowing
def _sample(
    data: NDArray[np.uint8],
    at: int,
    end: int,
    records: int,
    gram: int,
    uptime: int,
    told: NDArray[np.int64],
    count: int,
) -> int:
    """Read the records of one counters sample; how many readings there are then."""
    while records > 0 and end - at >= 8:
        records -= 1
        kind, length = number(data, at, 4), number(data, at + 4, 4)
        at += 8
        if length > end - at:
            break
        if kind == 1 and length >= 88:
            told[_DATAGRAM, count], told[_UPTIME, count] = gram, uptime
            told[_INTERFACE, count], told[_SPEED, count] = number(data, at, 4), number(data, at + 8, 8)
            told[_IN, count], told[_OUT, count] = number(data, at + 24, 8), number(data, at + 56, 8)
            told[_IN_DISCARDS, count], told[_OUT_DISCARDS, count] = number(data, at + 44, 4), number(data, at + 76, 4)
            told[_IN_ERRORS, count], told[_OUT_ERRORS, count] = number(data, at + 48, 4), number(data, at + 80, 4)
            count += 1
        at += length
    return count
