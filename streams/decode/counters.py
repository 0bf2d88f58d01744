"""Interface counters of sFlow version 5 ("sFlow Version 5", sflow.org, July 2004, 5.3 and its if_counters).

An agent sends what its interfaces have counted every few seconds. Two such readings say how full a link was between
them, and how much of what it should have carried it lost: what no flow record tells.
"""

from dataclasses import dataclass
from enum import IntEnum
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from streams.decode.compiled import borrowing
from streams.decode.datagrams import Datagrams
from streams.decode.packets import number

SHORTEST_MS, LONGEST_MS = 1_000, 600_000
"""Readings closer together say little, for agents keep them for a while; such far apart, nothing of now."""

REMEMBERED = 65_536
"""Links of one partition's exporters. Of more, the exporter that has most of them loses those silent for longest."""

POSSIBLE = 2.0
"""Times its speed that a link may seem to carry, as agents take their readings a little before or after they say so."""

_NARROW, _WIDE = (1 << 32) - 1, (1 << 64) - 1
_HALF = 1 << 31
_RECORD = 96  # octets of a record with its head


class Told(IntEnum):
    """Columns of a reading."""

    DATAGRAM = 0  # index in the frame
    UPTIME_MS = 1  # of the agent, 32 bits
    INTERFACE = 2
    SPEED = 3  # bit/s, 64 bits, as the octets are
    IN_OCTETS = 4
    OUT_OCTETS = 5
    IN_DISCARDS = 6  # 32 bits, as those that follow
    OUT_DISCARDS = 7
    IN_ERRORS = 8
    OUT_ERRORS = 9


_TOLD = len(Told)
_DATAGRAM, _UPTIME, _INTERFACE, _SPEED, _IN, _OUT, _IN_DISCARDS, _OUT_DISCARDS, _IN_ERRORS, _OUT_ERRORS = range(_TOLD)
_UNTOLD_SPEEDS = (_NARROW, _WIDE)  # RFC 2863's ifSpeed says the first of all that is faster


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
        """Share of its speed, of the fuller direction; 0 where the speed is not told, or cannot be the link's.

        Bundles that tell the speed of one member, and ports of virtual switches, carry many times what they say.
        """
        share = max(self.in_bits_per_s, self.out_bits_per_s) / self.speed if self.speed else 0.0
        return share if share <= POSSIBLE else 0.0


class Links:
    """The last reading of each interface."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered, self._count = remembered, 0
        self._last: dict[bytes, dict[int, list[int]]] = {}  # exporter → interface → reading, longest silent first

    def __len__(self) -> int:
        return self._count

    def heard(self, frame: Datagrams, chosen: NDArray[np.int64]) -> list[Link]:
        """What the chosen datagrams, each of which begins with sFlow's version 5, tell of links heard before.

        An agent that was restarted and counters that were set back begin anew; so does everything after a restart of
        ours, for nothing of this is kept.
        """
        told = readings(frame, chosen)
        exporters, receipts = frame.exporter[told[_DATAGRAM]].tolist(), frame.receipt_ns[told[_DATAGRAM]].tolist()
        found = []
        for now, exporter, receipt_ns in zip(told.view(np.uint64).T.tolist(), exporters, receipts, strict=True):
            before = self._before(frame.exporters[exporter], now)
            link = None if before is None else _between(before, now, exporter, receipt_ns)
            if link is not None:
                found.append(link)
        return found

    def _before(self, exporter: bytes, now: list[int]) -> list[int] | None:
        """Put a reading in the place of the one before it, unless it comes too soon to be compared with that."""
        mine = self._last.get(exporter)
        if mine is None:
            mine = self._last[exporter] = {}
        interface = now[_INTERFACE]
        before = mine.get(interface)
        if before is None:
            mine[interface] = now
            self._count += 1
            if self._count > self._remembered:
                self._forget()
            return None
        if _lapsed_ms(before, now) < SHORTEST_MS:
            return None
        del mine[interface]
        mine[interface] = now
        return before

    def _forget(self) -> None:
        """Make room: some at a time, for who has most is looked for among all exporters."""
        exporter, most = max(self._last.items(), key=lambda one: len(one[1]))
        silent = list(islice(most, max(1, len(most) // 16)))
        for interface in silent:
            del most[interface]
        self._count -= len(silent)
        if not most:
            del self._last[exporter]


def _between(before: list[int], now: list[int], exporter: int, receipt_ns: int) -> Link | None:
    """What happened between two readings; None where one of the counters, or the agent, began anew."""
    lapsed_ms = _lapsed_ms(before, now)
    octets = _wide(before[_IN], now[_IN]), _wide(before[_OUT], now[_OUT])
    discards = _narrow(before[_IN_DISCARDS], now[_IN_DISCARDS]), _narrow(before[_OUT_DISCARDS], now[_OUT_DISCARDS])
    errors = _narrow(before[_IN_ERRORS], now[_IN_ERRORS]), _narrow(before[_OUT_ERRORS], now[_OUT_ERRORS])
    if lapsed_ms > LONGEST_MS or min(*octets, *discards, *errors) < 0:
        return None
    seconds = lapsed_ms / 1000
    return Link(
        exporter=exporter,
        interface=now[_INTERFACE],
        receipt_ns=receipt_ns,
        seconds=seconds,
        speed=0 if now[_SPEED] in _UNTOLD_SPEEDS else now[_SPEED],
        in_bits_per_s=8 * octets[0] / seconds,
        out_bits_per_s=8 * octets[1] / seconds,
        discards_per_s=sum(discards) / seconds,
        errors_per_s=sum(errors) / seconds,
    )


def _lapsed_ms(before: list[int], now: list[int]) -> int:
    return (now[_UPTIME] - before[_UPTIME]) & _NARROW


def _wide(before: int, now: int) -> int:
    """How far a counter of 64 bits has moved; all ones say that the agent does not know, and tell nothing."""
    return 0 if _WIDE in (before, now) else now - before


def _narrow(before: int, now: int) -> int:
    """The same for 32 bits, which begin anew when they are full; a step over half of them is one back."""
    return 0 if _NARROW in (before, now) else ((now - before + _HALF) & _NARROW) - _HALF


def readings(frame: Datagrams, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """The readings in these datagrams (Told × n), in order; samples cut short and other records are left out.

    What has 64 bits is to be looked at as unsigned.
    """
    data = np.frombuffer(frame.payload, np.uint8)
    room = int((frame.offset[chosen + 1] - frame.offset[chosen]).sum()) // _RECORD + 1
    told = np.empty((_TOLD, room), np.int64)
    return told[:, : _walk(data, frame.offset, chosen, told)]


@borrowing
def whole(data: NDArray[np.uint8], at: int, end: int, expanded: bool) -> bool:
    """Whether a counters sample in data[at:end] holds all the records that it says it holds."""
    at += 16 if expanded else 12
    if at > end:
        return False
    records = number(data, at - 4, 4)
    while records > 0:
        records -= 1
        if end - at < 8:
            return False
        length = number(data, at + 4, 4)
        at += 8
        if length > end - at:
            return False
        at += length
    return True


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
            if kind in (2, 4) and whole(data, at, at + length, kind == 4):
                count = _sample(data, at + (16 if kind == 4 else 12), gram, uptime, told, count)
            at += length
    return count


@borrowing
def _sample(data: NDArray[np.uint8], at: int, gram: int, uptime: int, told: NDArray[np.int64], count: int) -> int:
    """Read the records of a whole sample, of which the first is at `at`; how many readings there are then."""
    for _ in range(number(data, at - 4, 4)):
        kind, length = number(data, at, 4), number(data, at + 4, 4)
        at += 8
        if kind == 1 and length >= 88:
            told[_DATAGRAM, count], told[_UPTIME, count] = gram, uptime
            told[_INTERFACE, count], told[_SPEED, count] = number(data, at, 4), number(data, at + 8, 8)
            told[_IN, count], told[_OUT, count] = number(data, at + 24, 8), number(data, at + 56, 8)
            told[_IN_DISCARDS, count], told[_OUT_DISCARDS, count] = number(data, at + 44, 4), number(data, at + 76, 4)
            told[_IN_ERRORS, count], told[_OUT_ERRORS, count] = number(data, at + 48, 4), number(data, at + 80, 4)
            count += 1
        at += length
    return count
