"""Which of many addresses lie in ranges, compiled: an address is two big-endian words, IPv4 in its mapped form."""

from collections.abc import Iterable
from ipaddress import IPv4Network

import numpy as np
from numpy.typing import NDArray

from controller.domain.address import MAPPED, Prefix
from streams.decode.compiled import compiled

Words = NDArray[np.uint64]

_LOW = (1 << 64) - 1


def ranges(prefixes: Iterable[Prefix]) -> Words:
    """What these prefixes cover (n × 4): the first and the last address of each range, ascending, none overlapping."""
    both: list[list[int]] = []
    for first, last in sorted(map(_ends, prefixes)):
        if both and first <= both[-1][1] + 1:
            both[-1][1] = max(both[-1][1], last)
        else:
            both.append([first, last])
    words = [(first >> 64, first & _LOW, last >> 64, last & _LOW) for first, last in both]
    return np.array(words, np.uint64).reshape(-1, 4)


def _ends(prefix: Prefix) -> tuple[int, int]:
    base = MAPPED if isinstance(prefix, IPv4Network) else 0
    return base | int(prefix.network_address), base | int(prefix.broadcast_address)


@compiled
def within(words: Words, among: Words) -> NDArray[np.bool_]:
    """Which of n addresses (n × 2) lie in one of the ranges."""
    inside = np.zeros(len(words), np.bool_)
    for at in range(len(words)):
        high, low = words[at, 0], words[at, 1]
        begin, end = 0, len(among)  # the last range that does not begin behind the address lies before `end`
        while begin < end:
            middle = (begin + end) >> 1
            if among[middle, 0] < high or (among[middle, 0] == high and among[middle, 1] <= low):
                begin = middle + 1
            else:
                end = middle
        if begin:
            last = begin - 1
            inside[at] = high < among[last, 2] or (high == among[last, 2] and low <= among[last, 3])
    return inside
