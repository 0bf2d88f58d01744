"""Eight octets of text at a time, in one word: where something ends, what is alike, and what number stands there.

Every part reads up to eight octets beyond what it is about: whoever calls keeps so many behind the text.
"""

import numpy as np
from numpy.typing import NDArray

from streams.decode.compiled import inlined

QUOTE, COMMA, COLON, OPEN, CLOSE, BEGIN, END, BREAK = b'",:[]{}\n'
ONE, TWO, EIGHT = np.uint64(1), np.uint64(2), np.uint64(8)
_EACH, _HIGH = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_LOW = ~_HIGH
_PLACES = np.uint64(0x0001020304050607)  # times 1 << 8 * n has n as its highest octet
_QUOTES, _ESCAPES, _CONTROLS, _ZEROS = (_EACH * np.uint64(one) for one in (0x22, 0x5C, 0x20, 0x30))
_OVER_NINE = _EACH * np.uint64(0x80 - 10)
_TENS, _HUNDREDS = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0000FFFF0000FFFF)
_LOWER = np.uint64(0xFFFFFFFF)
_POWERS = np.array([10**digits for digits in range(9)], np.int64)
_MOST_DIGITS = np.uint64(19)  # of a number of 64 bits with a sign


@inlined
def eight(data: NDArray[np.uint8], at: np.uint64) -> np.uint64:
    """Eight octets, the first the lowest."""
    octets = np.uint64(0)
    for place in range(8):
        octets |= np.uint64(data[at + np.uint64(place)]) << np.uint64(8 * place)
    return octets


@inlined
def first(marks: np.uint64) -> np.uint64:
    """The first of eight octets whose highest bit is marked; there is one."""
    lowest = marks & (~marks + ONE)
    return ((lowest >> np.uint64(7)) * _PLACES) >> np.uint64(56)


@inlined
def leading(data: NDArray[np.uint8], at: np.uint64, size: np.uint64) -> np.uint64:
    """Up to eight octets, zeros behind them."""
    return eight(data, at) & ((ONE << (EIGHT * size)) - ONE) if size < EIGHT else eight(data, at)


@inlined
def same(data: NDArray[np.uint8], at: np.uint64, other: NDArray[np.uint8], there: np.uint64, size: np.uint64) -> bool:
    """Whether two texts of a size are the same. They differ at the latest where the line of one of them ends."""
    if size < EIGHT:
        return bool(leading(data, at, size) == leading(other, there, size))
    apart, end = np.uint64(0), size - EIGHT
    step = np.uint64(0)
    while step < end and apart == 0:
        apart = eight(data, at + step) ^ eight(other, there + step)
        step += EIGHT
    return bool((apart | (eight(data, at + end) ^ eight(other, there + end))) == 0)


@inlined
def quote(data: NDArray[np.uint8], at: np.uint64) -> np.uint64:
    """The next quote; where an escape, a control character or what is not ASCII comes before it, that."""
    while True:
        octets = eight(data, at)
        quotes, escapes = octets ^ _QUOTES, octets ^ _ESCAPES
        # An octet borrows from the next only where it is marked itself: the first mark is true.
        marks = (
            ((quotes - _EACH) & ~quotes) | ((escapes - _EACH) & ~escapes) | ((octets - _CONTROLS) & ~octets) | octets
        )
        if marks & _HIGH != 0:
            return at + first(marks & _HIGH)
        at += EIGHT


@inlined
def digits(data: NDArray[np.uint8], at: np.uint64) -> tuple[np.uint64, np.int64]:
    """Behind a whole number that fits 64 bits, and the number; `at` itself where there is none."""
    start, number = at, np.int64(0)
    while True:
        octets = eight(data, at) ^ _ZEROS
        marks = (((octets & _LOW) + _OVER_NINE) | octets) & _HIGH
        if marks != 0 or at - start > EIGHT + EIGHT:
            break
        number = number * 100_000_000 + _decimal(octets)
        at += EIGHT
    size = first(marks) if marks != 0 else EIGHT
    if size > 0:
        number = number * _POWERS[size] + _decimal(octets << (EIGHT * (EIGHT - size)))
        at += size
    found = at - start
    if found > ONE and (data[start] == 48 or found > _MOST_DIGITS or (found == _MOST_DIGITS and data[start] == 57)):
        at = start
    return at, number


@inlined
def _decimal(octets: np.uint64) -> np.int64:
    """What eight digits say, each octet one of them and the first the lowest."""
    octets = (octets * np.uint64(10) + (octets >> np.uint64(8))) & _TENS
    octets = (octets * np.uint64(100) + (octets >> np.uint64(16))) & _HUNDREDS
    return np.int64((octets * np.uint64(10_000) + (octets >> np.uint64(32))) & _LOWER)
