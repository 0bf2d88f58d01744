"""What never arrived, by the exporters' own sequence numbers.

NetFlow v5 numbers its records and v9 its datagrams (Cisco, NetFlow export datagram formats; RFC 3954, 5.1), sFlow v5
its datagrams per sub-agent (sFlow version 5, "sample_datagram_v5"). IPFIX numbers data records (RFC 7011, 3.1), which
only somebody who knows its templates can count, and is not judged here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HEAD = 36
"""Octets at the start of a datagram that are looked at."""

REORDERED = 10_000
"""So far back a number may be and still come of datagrams that overtook each other; further back it began anew."""

LEAP = 1 << 28
"""So far ahead a number may be and still mean loss."""

_TURN, _HALF = 1 << 32, 1 << 31
_MIX, _REMIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where a protocol keeps what is needed here, in words of 32 bits."""

    mask: int
    first: int  # the first word, under the mask
    sequence: int
    domain: tuple[tuple[int, int], ...]  # (word, bits to shift it right): together, whose series it is
    family: int = 0  # sFlow: kind of the agent's address
    counts_records: bool = False


_LAYOUTS = (
    _Layout(0xFFFF0000, 5 << 16, 4, ((5, 16),), counts_records=True),  # NetFlow v5; engine type and id
    _Layout(0xFFFF0000, 9 << 16, 3, ((4, 0),)),  # NetFlow v9; source id
    _Layout(0xFFFFFFFF, 5, 4, ((2, 0), (3, 0)), family=1),  # sFlow, agent by IPv4; sub-agent
    _Layout(0xFFFFFFFF, 5, 7, ((2, 0), (3, 0), (4, 0), (5, 0), (6, 0)), family=2),
)


@dataclass(slots=True)
class _Course:
    """One series of numbers: of an exporter, a protocol and an observation domain or sub-agent."""

    sender: int
    following: int  # the number that is due next
    missed: int = 0  # expected less arrived, since it last began anew


class Sequences:
    """Counts for each sender what it sent and nobody received. Late arrivals are taken off again.

    At most `most` series are followed; what would be one more is not judged.
    """

    def __init__(self, senders: int, *, most: int = 4_096) -> None:
        self._most = most
        self._courses: dict[int, _Course] = {}
        self._ended: NDArray[np.int64] = np.zeros(senders, np.int64)

    @property
    def missed(self) -> NDArray[np.int64]:
        """By sender: records of NetFlow v5, datagrams of the others."""
        missed = self._ended.copy()
        for course in self._courses.values():
            missed[course.sender] += max(0, course.missed)
        return missed

    def hear(self, number: NDArray[np.int64], head: NDArray[np.uint8], lengths: NDArray[np.int64]) -> None:
        """Follow datagrams in the order of their arrival; `number` is -1 for those of strangers."""
        words = np.ascontiguousarray(head[:, :HEAD]).view(">u4")
        known = (number >= 0) & (lengths >= 24)
        for kind, layout in enumerate(_LAYOUTS):
            chosen = np.flatnonzero(known & ((words[:, 0] & layout.mask) == layout.first))
            if layout.family:
                chosen = chosen[words[chosen, 1] == layout.family]
            if len(chosen):
                self._series(kind, layout, number[chosen], words[chosen].astype(np.int64))

    def _series(self, kind: int, layout: "_Layout", number: NDArray[np.int64], words: NDArray[np.int64]) -> None:
        sequence = words[:, layout.sequence]
        step = words[:, 0] & 0xFFFF if layout.counts_records else np.ones(len(words), np.int64)
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
        ahead = (sequence - course.following + _HALF) % _TURN - _HALF
        if ahead.min() >= -REORDERED and ahead.max() < LEAP:
            end = max(0, int((ahead + step).max()))
            course.missed += end - int(step.sum())
            course.following = (course.following + end) % _TURN
            return
        for number, records in zip(sequence.tolist(), step.tolist(), strict=True):
            ahead_by = (number - course.following + _HALF) % _TURN - _HALF
            if not -REORDERED <= ahead_by < LEAP:
                self._ended[course.sender] += max(0, course.missed)
                course.missed, course.following, ahead_by = 0, number, 0
            end = max(0, ahead_by + records)
            course.missed += end - records
            course.following = (course.following + end) % _TURN
