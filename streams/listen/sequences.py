"""What never arrived, by the exporters' own sequence numbers.

NetFlow v5 numbers its records and v9 its datagrams (Cisco, NetFlow export datagram formats; RFC 3954, 5.1), sFlow v5
its datagrams per sub-agent (sFlow version 5, "sample_datagram_v5"). IPFIX numbers data records (RFC 7011, 3.1): a
message that holds some of unknown length is not judged, nor is the step to the next.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray

from streams.listen.datarecords import UNKNOWN, DataRecords

HEAD = 36
"""Octets at the start of a datagram that are looked at."""

SHORTEST = 16
"""Less than a header is judged by nobody."""

REORDERED = 10_000
"""So far back a number may be and still come of datagrams that overtook each other; further back it began anew."""

LEAP = 1 << 28
"""So far ahead a number may be and still mean loss."""

_TURN, _HALF = 1 << 32, 1 << 31
_MIX, _REMIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)


class _Counts(Enum):
    """What a protocol numbers."""

    DATAGRAMS = auto()
    RECORDS = auto()  # as many as the header says
    DATA_RECORDS = auto()  # as many as the templates' lengths say


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where a protocol keeps what is needed here, in words of 32 bits."""

    mask: int
    first: int  # the first word, under the mask
    sequence: int
    domain: tuple[tuple[int, int], ...]  # (word, bits to shift it right): together, whose series it is
    family: int = 0  # sFlow: kind of the agent's address
    counts: _Counts = _Counts.DATAGRAMS


_LAYOUTS = (
    _Layout(0xFFFF0000, 5 << 16, 4, ((5, 16),), counts=_Counts.RECORDS),  # NetFlow v5; engine type and id
    _Layout(0xFFFF0000, 9 << 16, 3, ((4, 0),)),  # NetFlow v9; source id
    _Layout(0xFFFF0000, 10 << 16, 2, ((3, 0),), counts=_Counts.DATA_RECORDS),  # IPFIX; observation domain
    _Layout(0xFFFFFFFF, 5, 4, ((2, 0), (3, 0)), family=1),  # sFlow, agent by IPv4; sub-agent
    _Layout(0xFFFFFFFF, 5, 7, ((2, 0), (3, 0), (4, 0), (5, 0), (6, 0)), family=2),
)


@dataclass(slots=True)
class _Course:
    """One series of numbers: of an exporter, a protocol and an observation domain or sub-agent."""

    sender: int
    following: int  # the number that is due next; UNKNOWN: whatever comes
    missed: int = 0  # expected less arrived, since it last began anew


class Sequences:
    """Counts for each sender what it sent and nobody received. Late arrivals are taken off again.

    At most `most` series are followed; what would be one more is not judged.
    """

    def __init__(self, senders: int, *, most: int = 4_096) -> None:
        self._most = most
        self._courses: dict[int, _Course] = {}
        self._records = DataRecords()
        self._ended: NDArray[np.int64] = np.zeros(senders, np.int64)
        self.restarts: NDArray[np.int64] = np.zeros(senders, np.int64)
        """By sender: how often its numbers began anew, as those of a device that was restarted do."""

    @property
    def missed(self) -> NDArray[np.int64]:
        """By sender: records of NetFlow v5 and IPFIX, datagrams of the others."""
        missed = self._ended.copy()
        for course in self._courses.values():
            missed[course.sender] += max(0, course.missed)
        return missed

    def hear(
        self,
        number: NDArray[np.int64],
        head: NDArray[np.uint8],
        lengths: NDArray[np.int64],
        whole: Callable[[int], memoryview],
    ) -> None:
        """Follow datagrams in the order of their arrival; `number` is -1 for those of strangers.

        `head` holds their first HEAD octets (n × HEAD), `whole` gives one by its place.
        """
        words = np.ascontiguousarray(head[:, :HEAD]).view(">u4")
        known = (number >= 0) & (lengths >= SHORTEST)
        for kind, layout in enumerate(_LAYOUTS):
            chosen = np.flatnonzero(known & ((words[:, 0] & layout.mask) == layout.first))
            if layout.family:
                chosen = chosen[words[chosen, 1] == layout.family]
            chosen = chosen[lengths[chosen] > 4 * max(layout.sequence, *(word for word, _ in layout.domain))]
            if len(chosen):
                mine = words[chosen].astype(np.int64)
                step = self._steps(layout.counts, number[chosen], mine, chosen, whole)
                self._series(kind, layout, number[chosen], mine, step)

    def _steps(
        self,
        counts: "_Counts",
        number: NDArray[np.int64],
        words: NDArray[np.int64],
        chosen: NDArray[np.int64],
        whole: Callable[[int], memoryview],
    ) -> NDArray[np.int64]:
        if counts is _Counts.DATAGRAMS:
            return np.ones(len(words), np.int64)
        if counts is _Counts.RECORDS:
            return words[:, 0] & 0xFFFF
        said = zip(number.tolist(), words[:, 3].tolist(), chosen.tolist(), strict=True)
        return np.array([self._records.count(sender, domain, whole(at)) for sender, domain, at in said], np.int64)

    def _series(
        self, kind: int, layout: "_Layout", number: NDArray[np.int64], words: NDArray[np.int64], step: NDArray[np.int64]
    ) -> None:
        sequence = words[:, layout.sequence]
        key = (number * len(_LAYOUTS) + kind).astype(np.uint64) * _MIX
        for at, shift in layout.domain:
            key = (key ^ (words[:, at] >> shift).astype(np.uint64)) * _REMIX
        if (key == key[0]).all():
            self._follow(int(key[0]), int(number[0]), sequence, step)
            return
        order = np.argsort(key, kind="stable")
        edges = np.flatnonzero(np.diff(key[order])) + 1
        for mine in np.split(order, edges):
            self._follow(int(key[mine[0]]), int(number[mine[0]]), sequence[mine], step[mine])

    def _follow(self, key: int, sender: int, sequence: NDArray[np.int64], step: NDArray[np.int64]) -> None:
        course = self._courses.get(key)
        if course is None:
            if len(self._courses) >= self._most:
                return
            course = self._courses[key] = _Course(sender, int(sequence[0]))
        if course.following == UNKNOWN:
            course.following = int(sequence[0])
        ahead = (sequence - course.following + _HALF) % _TURN - _HALF
        if ahead.min() >= -REORDERED and ahead.max() < LEAP and step.min() >= 0:
            end = max(0, int((ahead + step).max()))
            course.missed += end - int(step.sum())
            course.following = (course.following + end) % _TURN
            return
        for number, records in zip(sequence.tolist(), step.tolist(), strict=True):
            if course.following == UNKNOWN:
                course.following = number
            ahead_by = (number - course.following + _HALF) % _TURN - _HALF
            if not -REORDERED <= ahead_by < LEAP:
                self._ended[course.sender] += max(0, course.missed)
                self.restarts[course.sender] += 1
                course.missed, course.following, ahead_by = 0, number, 0
            end = max(0, ahead_by + max(0, records))
            course.missed += end - max(0, records)
            course.following = UNKNOWN if records == UNKNOWN else (course.following + end) % _TURN
