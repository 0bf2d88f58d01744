"""Export packets of NetFlow v9 and IPFIX: their headers, and the sets that they are made of.

Headers: RFC 3954, 5.1; RFC 7011, 3.1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.decode.compiled import compiled
from streams.decode.datagrams import Datagrams
from streams.decode.layouts import IPFIX, V9
from streams.decode.packets import number

HEADERS = {V9: 20, IPFIX: 16}
_HEADER = np.array([HEADERS.get(version, 0) for version in range(IPFIX + 1)], np.int64)


@dataclass(frozen=True, slots=True)
class Sets:
    """n sets, in the order in which they came; set i stands in payload[start[i]:end[i]]."""

    datagram: NDArray[np.int64]  # index in the frame
    number: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    broken: NDArray[np.int64]  # datagrams that could not be read to their end


@dataclass(frozen=True, slots=True)
class Heads:
    """What the headers of a frame's datagrams say; 0 where a version does not say it."""

    export_ns: NDArray[np.int64]
    uptime_ms: NDArray[np.int64]  # -1: not said
    domain: NDArray[np.int64]


def sets(frame: Datagrams, version: NDArray[np.int64], chosen: NDArray[np.int64]) -> Sets:
    """The sets of the chosen datagrams, of which `version` says what they are."""
    data = np.frombuffer(frame.payload, np.uint8)
    table = np.empty((_most(data, frame.offset, version, chosen), 4), np.int64)
    broken = np.zeros(len(chosen), np.bool_)
    count = _walk(data, frame.offset, version, _HEADER, chosen, table, broken)
    datagram, numbers, start, end = np.ascontiguousarray(table[:count].T)
    return Sets(datagram, numbers, start, end, chosen[broken])


def heads(frame: Datagrams, version: NDArray[np.int64], whole: NDArray[np.int64]) -> Heads:
    """Read the headers of datagrams that are long enough to have one."""
    data = np.frombuffer(frame.payload, np.uint8)
    read = np.zeros((3, len(frame)), np.int64)
    _heads(data, frame.offset, version, whole, read)
    return Heads(*read)


@compiled
def _most(
    data: NDArray[np.uint8], offset: NDArray[np.int64], version: NDArray[np.int64], chosen: NDArray[np.int64]
) -> int:
    """So many sets there are at most."""
    most = 1
    for gram in chosen:
        at, end = offset[gram], offset[gram + 1]
        at += 20 if version[gram] == 9 else 16
        while end - at >= 4:
            most += 1
            at += max(number(data, at + 2, 2), 4)
    return most


@compiled
def _heads(
    data: NDArray[np.uint8],
    offset: NDArray[np.int64],
    version: NDArray[np.int64],
    whole: NDArray[np.int64],
    read: NDArray[np.int64],
) -> None:
    for place in whole:
        at = offset[place]
        if version[place] == 10:
            read[0, place] = number(data, at + 4, 4) * 1_000_000_000
            read[1, place] = -1
            read[2, place] = number(data, at + 12, 4)
            continue
        read[0, place] = number(data, at + 8, 4) * 1_000_000_000
        read[1, place] = number(data, at + 4, 4)
        read[2, place] = number(data, at + 16, 4)


@compiled
def _walk(
    data: NDArray[np.uint8],
    offset: NDArray[np.int64],
    version: NDArray[np.int64],
    header: NDArray[np.int64],
    chosen: NDArray[np.int64],
    table: NDArray[np.int64],
    broken: NDArray[np.bool_],
) -> int:
    """Fill the table of sets; how many there were."""
    count = 0
    for place in range(len(chosen)):
        gram = chosen[place]
        at, end = offset[gram], offset[gram + 1]
        if end - at < header[version[gram]]:
            broken[place] = True
            continue
        said = number(data, at + 2, 2)
        at += header[version[gram]]
        if version[gram] == 10:
            broken[place] = said != end - offset[gram]
            end = min(end, offset[gram] + said)
        while end - at >= 4:
            length = number(data, at + 2, 2)
            if length < 4 or length > end - at:
                broken[place] = _anything(data, at, end) or broken[place]
                break
            table[count, 0], table[count, 1] = gram, number(data, at, 2)
            table[count, 2], table[count, 3] = at + 4, at + length
            count += 1
            at += length
    return count


@compiled
def _anything(data: NDArray[np.uint8], at: int, end: int) -> bool:
    """False for padding."""
    for place in range(at, end):  # noqa: SIM110 - compiled
        if data[place]:
            return True
    return False
