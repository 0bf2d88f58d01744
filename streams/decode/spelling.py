"""Addresses and MACs as collectors spell them, compiled. What is spelled otherwise is left to others."""

import numpy as np
from numpy.typing import NDArray

from streams.decode.compiled import borrowing
from streams.decode.values import SIZE, START, Integers, Octets

_LONGEST_DOTTED, _MAC = 15, 17


@borrowing
def dotted(ink: Octets, entries: Integers, low: NDArray[np.uint64], there: NDArray[np.bool_]) -> None:
    """Fill the IPv4 addresses, and where there are any."""
    for entry in range(len(entries)):
        part, digits, parts, number, sound = np.int64(0), 0, 0, np.int64(0), True
        start, size = np.uint64(entries[entry, START]), entries[entry, SIZE]
        for step in range(min(size, _LONGEST_DOTTED)):
            one = np.int64(ink[start + np.uint64(step)])
            if 48 <= one <= 57 and digits < 3 and not (digits and part == 0):
                part, digits = 10 * part + one - 48, digits + 1
            elif one == 46 and digits and part < 256:
                number, part, digits, parts = number << 8 | part, np.int64(0), 0, parts + 1
            else:
                sound = False
        if sound and parts == 3 and digits and part < 256 and size <= _LONGEST_DOTTED:
            low[entry], there[entry] = np.uint64(number << 8 | part), True


@borrowing
def hexadecimal(ink: Octets, entries: Integers, low: NDArray[np.uint64], there: NDArray[np.bool_]) -> None:
    """Fill the MACs, pairs of digits with colons between them, and where there are any."""
    for entry in range(len(entries)):
        start, number, sound = np.uint64(entries[entry, START]), np.int64(0), entries[entry, SIZE] == _MAC
        for step in range(_MAC if sound else 0):
            one = np.int64(ink[start + np.uint64(step)])
            if step % 3 == 2:
                sound = sound and one == 58
            elif 48 <= one <= 57:
                number = number << 4 | one - 48
            elif 97 <= one <= 102:
                number = number << 4 | one - 87
            else:
                sound = False
        if sound:
            low[entry], there[entry] = np.uint64(number), True
