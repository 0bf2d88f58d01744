"""Addresses and MACs as collectors spell them, compiled. What is spelled otherwise is left to others."""

import numpy as np
from numpy.typing import NDArray

from streams.decode.compiled import borrowing, inlined
from streams.decode.values import GROUP, PLACE, SIZE, START, Integers, Octets

ADDRESS, MAC = 1, 2
"""Groups that several fields share: their texts are numbered together."""

_LONGEST_DOTTED, _MAC = 15, 17  # octets


@borrowing
def spelled(
    ink: Octets, entries: Integers, number: NDArray[np.uint64], there: NDArray[np.bool_], others: Integers
) -> int:
    """Fill the IPv4 addresses and MACs, a row each, and where there are any; list the other texts, and count them."""
    left = 0
    for entry in range(len(entries)):
        start, size, group = np.uint64(entries[entry, START]), entries[entry, SIZE], entries[entry, GROUP]
        read = np.int64(-1)
        if group == ADDRESS and size <= _LONGEST_DOTTED:
            read = _dotted(ink, start, size)
        elif group == MAC and size == _MAC:
            read = _hexadecimal(ink, start)
        if read < 0:
            others[left] = entry
            left += 1
        else:
            number[group - 1, entries[entry, PLACE]], there[group - 1, entries[entry, PLACE]] = np.uint64(read), True
    return left


@inlined
def _dotted(ink: Octets, start: np.uint64, size: int) -> np.int64:
    """Four numbers without zeros before them, and points between; -1 for any other text."""
    part, digits, parts, number, sound = np.int64(0), 0, 0, np.int64(0), True
    for step in range(size):
        one = np.int64(ink[start + np.uint64(step)])
        if 48 <= one <= 57 and digits < 3 and not (digits and part == 0):
            part, digits = 10 * part + one - 48, digits + 1
        elif one == 46 and digits and part < 256:
            number, part, digits, parts = number << 8 | part, np.int64(0), 0, parts + 1
        else:
            sound = False
    return number << 8 | part if sound and parts == 3 and digits and part < 256 else np.int64(-1)


@inlined
def _hexadecimal(ink: Octets, start: np.uint64) -> np.int64:
    """Pairs of digits with colons between them; -1 for any other text."""
    number, sound = np.int64(0), True
    for step in range(_MAC):
        one = np.int64(ink[start + np.uint64(step)])
        if step % 3 == 2:
            sound = sound and one == 58
        elif 48 <= one <= 57:
            number = number << 4 | one - 48
        elif 97 <= one <= 102:
            number = number << 4 | one - 87
        else:
            sound = False
    return number if sound else np.int64(-1)
