"""What may stand behind a key of flat JSON, compiled: where it ends, what number it is, or its number among texts."""

import numpy as np
from numpy.typing import NDArray

from streams.decode.compiled import inlined
from streams.decode.octets import CLOSE, COMMA, EIGHT, ONE, OPEN, QUOTE, digits, leading, quote, same

Octets = NDArray[np.uint8]
Integers = NDArray[np.int64]

NUMBER, TEXT, LIST, TOKEN, STAMP = range(5)
"""What may stand in a field: a number, a text, a list; anything, told as it is written; a time.

A number is told as it is, of a text or what else is written its number among those of the field's group, in the order
in which they came. A time is told in ns where it is a number above 0 or a text of seconds and a fraction, 0 where it is
absent, else as -1 less the number of what is written.
"""

TEXTS, OCTETS = 0, 1
"""What `state` holds: texts numbered, and octets of `ink` in use; the latter are below 0 where there was no room."""
START, SIZE, GROUP, PLACE = range(4)
"""What `entries` hold of a text: where it begins in `ink`, its octets, its group, and its number there."""

_MIX = np.uint64(0x9E3779B97F4A7C15)
_POINT, _PLACES = 46 - 48, 9
_LONGEST_STAMP = np.uint64(18)  # such a number of seconds cannot overflow
_BILLION = 1_000_000_000
_HIGHEST_S = (1 << 62) // _BILLION


@inlined
def value_at(data: Octets, start: np.uint64) -> tuple[int, np.uint64, np.int64]:
    """A value's kind, where it ends, which is where it begins for what is not understood, and the number that it is."""
    if data[start] == QUOTE:
        at = quote(data, start + ONE)
        return TEXT, (at + ONE if data[at] == QUOTE else start), np.int64(0)
    if data[start] != OPEN:
        at, number = digits(data, start)
        return NUMBER, at, number
    at = start + ONE
    if data[at] == CLOSE:
        return LIST, at + ONE, np.int64(0)
    while True:
        one = at
        if data[at] == QUOTE:
            at = quote(data, at + ONE)
            at = at + ONE if data[at] == QUOTE else one
        else:
            at, _ = digits(data, at)
        if at == one or (data[at] != COMMA and data[at] != CLOSE):
            return LIST, start, np.int64(0)
        at += ONE
        if data[at - ONE] == CLOSE:
            return LIST, at, np.int64(0)


@inlined
def seconds_at(data: Octets, start: np.uint64, end: np.uint64) -> np.int64:
    """Ns of a text of seconds and a fraction; 0 for any other, and for one that is beyond what ns can say."""
    whole, fraction, places, points = np.int64(0), np.int64(0), 0, 0
    if end - start > _LONGEST_STAMP:
        return np.int64(0)
    for step in range(np.int64(end - start)):
        one = np.int64(data[start + np.uint64(step)]) - 48
        if one == _POINT and points == 0 and step > 0:
            points = 1
        elif one < 0 or one > 9:
            return np.int64(0)
        elif points:
            fraction, places = fraction * 10 + one, places + 1
        else:
            whole = whole * 10 + one
    if points == 0 or places > _PLACES or whole >= _HIGHEST_S:
        return np.int64(0)
    while places < _PLACES:
        fraction, places = fraction * 10, places + 1
    return np.int64(whole * _BILLION + fraction)


@inlined
def numbered(
    data: Octets,
    at: np.uint64,
    size: np.uint64,
    group: int,
    slots: NDArray[np.int32],
    ink: Octets,
    entries: Integers,
    ranks: Integers,
    state: Integers,
) -> np.int64:
    """The number of a text in its group; where there is no room for a new one, `state` says so."""
    mixed, step = (size << EIGHT) + np.uint64(group), np.uint64(0)
    while step < size:
        mixed = (mixed ^ leading(data, at + step, size - step)) * _MIX
        mixed ^= mixed >> np.uint64(29)
        step += EIGHT
    mask = np.uint64(len(slots) - 1)
    slot = mixed & mask
    while slots[slot] >= 0:
        entry = slots[slot]
        begin = np.uint64(entries[entry, START])
        if (
            np.uint64(entries[entry, SIZE]) == size
            and entries[entry, GROUP] == group
            and same(data, at, ink, begin, size)
        ):
            return np.int64(entries[entry, PLACE])
        slot = (slot + ONE) & mask
    used, count = state[OCTETS], state[TEXTS]
    if used < 0 or used + np.int64(size) + 16 > len(ink):
        state[OCTETS] = -1
        return np.int64(0)
    for place in range(np.int64(size)):
        ink[used + place] = data[at + np.uint64(place)]
    entries[count, START], entries[count, SIZE], entries[count, GROUP] = used, np.int64(size), group
    entries[count, PLACE] = ranks[group]
    slots[slot] = count
    ranks[group] += 1
    state[TEXTS], state[OCTETS] = count + 1, used + np.int64(size)
    return np.int64(entries[count, PLACE])
