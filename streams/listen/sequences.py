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
        words = np.ascontiguousarray(head[:, :HEAD]).view(">u4").astype(np.int64)
        kind, sequence, step, domain = _read(words)
        judged = np.flatnonzero((kind > 0) & (number >= 0) & (lengths >= HEAD - 4 * (kind != _SFLOW_6)))
        if not len(judged):
            return
        tag = (number[judged] * 8 + kind[judged]).astype(np.uint64)
        key = tag * _MIX ^ domain[judged].astype(np.uint64) * _REMIX
        found, first, index = np.unique(key, return_index=True, return_inverse=True)
        sequence, step, number = sequence[judged], step[judged], number[judged]
        for at, one in enumerate(found.tolist()):
            mine = slice(None) if len(found) == 1 else index == at
            course = self._courses.get(one)
            if course is None:
                if len(self._courses) >= self._most:
                    continue
                start = int(first[at])
                course = self._courses[one] = _Course(int(number[start]), int(sequence[start]))
            self._follow(course, sequence[mine], step[mine])

    def _follow(self, course: _Course, sequence: NDArray[np.int64], step: NDArray[np.int64]) -> None:
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


_NETFLOW_5, _NETFLOW_9, _SFLOW_4, _SFLOW_6 = 1, 2, 3, 4
_INTERNET_4, _INTERNET_6 = 1, 2


def _read(words: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """Kind (0: not known), sequence number, how far it moves on, and whose it is, of each datagram."""
    version, count = words[:, 0] >> 16, words[:, 0] & 0xFFFF
    sflow = words[:, 0] == 5
    cases = [version == 5, version == 9, sflow & (words[:, 1] == _INTERNET_4), sflow & (words[:, 1] == _INTERNET_6)]
    ones = np.ones(len(words), np.int64)
    agent = words[:, 2] << 31 ^ words[:, 3] << 21 ^ words[:, 4] << 11 ^ words[:, 5] ^ words[:, 6] << 31
    return (
        np.select(cases, [ones * _NETFLOW_5, ones * _NETFLOW_9, ones * _SFLOW_4, ones * _SFLOW_6], 0),
        np.select(cases, [words[:, 4], words[:, 3], words[:, 4], words[:, 7]], 0),
        np.select(cases, [count, ones, ones, ones], 0),
        np.select(cases, [words[:, 5] >> 16, words[:, 4], words[:, 2] << 31 ^ words[:, 3], agent], 0),
    )
