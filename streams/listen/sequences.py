"""What never arrived, by the exporters' own sequence numbers.

NetFlow v5 numbers its records and v9 its datagrams (Cisco, NetFlow export datagram formats; RFC 3954, 5.1), sFlow v5
its datagrams per sub-agent (sFlow version 5, "sample_datagram_v5"). IPFIX numbers data records (RFC 7011, 3.1): a
message that holds some of unknown length is not judged, nor is the step to the next.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from streams.decode.compiled import borrowing, inlined
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
_SENDER, _FOLLOWING, _MISSED = range(3)  # columns of a series; missed: expected less arrived, since it last began anew
_FIVE, _NINE, _IPFIX, _SFLOW, _SFLOW6 = range(5)
_FREE = -1  # a sender's number that no series has


class Sequences:
    """Counts for each sender what it sent and nobody received. Late arrivals are taken off again.

    At most `most` series are followed; what would be one more is not judged.
    """

    def __init__(self, senders: int, *, most: int = 4_096) -> None:
        self._most = most
        room = 1 << (2 * most).bit_length()
        self._keys = np.zeros(room, np.uint64)
        self._courses = np.zeros((room, 3), np.int64)
        self._courses[:, _SENDER] = _FREE
        self._count = 0
        self._records = DataRecords()
        self._ended: NDArray[np.int64] = np.zeros(senders, np.int64)
        self.restarts: NDArray[np.int64] = np.zeros(senders, np.int64)
        """By sender: how often its numbers began anew, as those of a device that was restarted do."""

    @property
    def missed(self) -> NDArray[np.int64]:
        """By sender: records of NetFlow v5 and IPFIX, datagrams of the others."""
        missed = self._ended.copy()
        followed = self._courses[self._courses[:, _SENDER] != _FREE]
        np.add.at(missed, followed[:, _SENDER], np.maximum(followed[:, _MISSED], 0))
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
        words = np.ascontiguousarray(head[:, :HEAD]).view(">u4").astype(np.int64)
        told = np.zeros(len(words), np.int64)
        for at in np.flatnonzero((words[:, 0] >> 16 == 10) & (number >= 0) & (lengths >= SHORTEST)).tolist():
            told[at] = self._records.count(int(number[at]), int(words[at, 3]), whole(at))
        self._count = _follow(
            number, words, lengths, told, self._keys, self._courses, self._count, self._most, self._ended, self.restarts
        )


@borrowing
def _follow(
    number: NDArray[np.int64],
    words: NDArray[np.int64],
    lengths: NDArray[np.int64],
    told: NDArray[np.int64],
    keys: NDArray[np.uint64],
    courses: NDArray[np.int64],
    count: int,
    most: int,
    ended: NDArray[np.int64],
    restarts: NDArray[np.int64],
) -> int:
    """Take each datagram into account; how many series there are then.

    `words` are the first nine of each datagram, `told` the data records of those of IPFIX; `keys` is a table of a power
    of two, open to linear probing, with the series in `courses`.
    """
    mask = len(keys) - 1
    for at in range(len(number)):
        if number[at] < 0 or lengths[at] < SHORTEST:
            continue
        kind, place, first, last, shift = _layout(words, at)
        if kind < 0 or lengths[at] <= 4 * max(place, last):
            continue
        key = np.uint64(number[at] * 5 + kind) * _MIX
        for word in range(first, last + 1):
            key = (key ^ np.uint64(words[at, word] >> shift)) * _REMIX
        slot = np.int64(key >> np.uint64(32)) & mask
        while courses[slot, _SENDER] != _FREE and keys[slot] != key:
            slot = (slot + 1) & mask
        sequence = words[at, place]
        if courses[slot, _SENDER] == _FREE:
            if count >= most:
                continue
            count += 1
            keys[slot] = key
            courses[slot, _SENDER], courses[slot, _FOLLOWING] = number[at], sequence
        if courses[slot, _FOLLOWING] == UNKNOWN:
            courses[slot, _FOLLOWING] = sequence
        ahead = (sequence - courses[slot, _FOLLOWING] + _HALF) % _TURN - _HALF
        if ahead < -REORDERED or ahead >= LEAP:
            ended[number[at]] += max(0, courses[slot, _MISSED])
            restarts[number[at]] += 1
            courses[slot, _MISSED], courses[slot, _FOLLOWING], ahead = 0, sequence, 0
        step = words[at, 0] & 0xFFFF if kind == _FIVE else told[at] if kind == _IPFIX else 1
        records = max(0, step)
        end = max(0, ahead + records)
        courses[slot, _MISSED] += end - records
        courses[slot, _FOLLOWING] = UNKNOWN if step == UNKNOWN else (courses[slot, _FOLLOWING] + end) % _TURN
    return count


@inlined
def _layout(words: NDArray[np.int64], at: int) -> tuple[int, int, int, int, int]:
    """A datagram's kind, and by word where its number stands and, from the first to the last, whose series it is.

    The last of the five says by how many bits the latter are shifted right. The kind is -1 for what has no numbers.
    """
    version = words[at, 0] >> 16
    if version == 5:  # NetFlow v5; engine type and id
        return _FIVE, 4, 5, 5, 16
    if version == 9:  # NetFlow v9; source id
        return _NINE, 3, 4, 4, 0
    if version == 10:  # IPFIX; observation domain
        return _IPFIX, 2, 3, 3, 0
    if words[at, 0] == 5 and words[at, 1] == 1:  # sFlow, agent by IPv4; sub-agent
        return _SFLOW, 4, 2, 3, 0
    if words[at, 0] == 5 and words[at, 1] == 2:
        return _SFLOW6, 7, 2, 6, 0
    return -1, 0, 0, 0, 0
