"""Distinct things numbered in the order in which they come, compiled: within a frame, or for as long as it helps."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.decode.compiled import borrowing, inlined

FREE = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
"""What no word is that is looked for among words."""

_LEAST_BITS = 10  # slots in use at first


def interned(high: NDArray[np.uint64], low: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
    """Distinct pairs in order of appearance (n × 2), and each one's index."""
    pairs = np.empty((len(high), 2), np.uint64)
    pairs[:, 0], pairs[:, 1] = high, low
    index, found = np.empty(len(high), np.int32), few(len(high))
    _intern(pairs, found.slots, found.table, found.size, index)
    return found.pairs(), index


class Few(NamedTuple):
    """Pairs that are numbered, in general far fewer than there is room for.

    Slots are taken into use as they are needed, so that those in use stay close to the processor.
    """

    slots: NDArray[np.int32]
    table: NDArray[np.uint64]
    size: NDArray[np.int64]  # pairs, and slots in use

    def pairs(self) -> NDArray[np.uint64]:
        """All of them."""
        return self.table[: int(self.size[0])]


class Directory:
    """Pairs of words that keep their numbers from one call to the next."""

    def __init__(self) -> None:
        self._few = few(0)

    def __len__(self) -> int:
        return int(self._few.size[0])

    def numbers(self, pairs: NDArray[np.uint64]) -> NDArray[np.int32]:
        """The number of each pair; new ones are numbered from `len` on in the order in which they come."""
        index, known = np.empty(len(pairs), np.int32), self.room(len(pairs))
        _intern(pairs, known.slots, known.table, known.size, index)
        return index

    def room(self, more: int) -> Few:
        """What is in it, with room for so many more: for `numbered`."""
        most = len(self) + more
        if most > len(self._few.table):
            before, self._few = self._few.pairs(), few(2 * most)
            found = self._few
            _intern(before, found.slots, found.table, found.size, np.empty(len(before), np.int32))
        return self._few

    def pairs(self, since: int) -> NDArray[np.uint64]:
        """The pairs whose numbers are `since` and higher."""
        return self._few.pairs()[since:]


def empty_slots(count: int) -> NDArray[np.int32]:
    """Slots for a table of so many entries: a power of two, at least half of it free."""
    return np.full(1 << max(4, (2 * count).bit_length()), -1, np.int32)


def few(room: int, *, zeros: int = 0) -> Few:
    """Room for so many pairs, of which the first are zeros and nowhere looked up."""
    slots = np.empty(1 << max(_LEAST_BITS, (2 * room).bit_length()), np.int32)
    slots[: 1 << _LEAST_BITS] = -1
    table = np.empty((room, 2), np.uint64)
    table[:zeros] = 0
    return Few(slots, table, np.array((zeros, 1 << _LEAST_BITS), np.int64))


@inlined
def numbered(
    high: np.uint64, low: np.uint64, slots: NDArray[np.int32], table: NDArray[np.uint64], size: NDArray[np.int64]
) -> int:
    """The number of a pair among few."""
    count = size[0]
    place = place_within(high, low, slots, table, count, np.uint64(size[1] - 1))
    if place == count:
        size[0] = count + 1
        if 2 * count >= size[1]:
            _spread(slots, table, size)
    return place


@borrowing
def _spread(slots: NDArray[np.int32], table: NDArray[np.uint64], size: NDArray[np.int64]) -> None:
    """Take four times as many slots into use."""
    size[1] = min(4 * size[1], len(slots))
    slots[: size[1]] = -1
    for place in range(size[0]):
        place_within(table[place, 0], table[place, 1], slots, table, place, np.uint64(size[1] - 1))


@inlined
def slot_of(high: np.uint64, low: np.uint64) -> np.uint64:
    """Where to look for a pair first, before the mask; the mixing constants are splitmix64's."""
    mixed = (high ^ (low * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(0xBF58476D1CE4E5B9)
    return mixed ^ (mixed >> np.uint64(31))


@inlined
def place_of(high: np.uint64, low: np.uint64, slots: NDArray[np.int32], table: NDArray[np.uint64], count: int) -> int:
    """The number of a pair in a table of `count`: `count` itself, which it then has, where it is new.

    Open addressing with linear probing; `slots` has a power of two of places, not all of them taken.
    """
    return place_within(high, low, slots, table, count, np.uint64(len(slots) - 1))


@inlined
def place_within(
    high: np.uint64, low: np.uint64, slots: NDArray[np.int32], table: NDArray[np.uint64], count: int, mask: np.uint64
) -> int:
    """The same, where but `mask` and one more of the slots are in use."""
    return place_from(slot_of(high, low), high, low, slots, table, count, mask)


@inlined
def place_from(
    hashed: np.uint64,
    high: np.uint64,
    low: np.uint64,
    slots: NDArray[np.int32],
    table: NDArray[np.uint64],
    count: int,
    mask: np.uint64,
) -> int:
    """The same for a pair of which `slot_of` is known."""
    slot = hashed & mask
    while True:
        found = slots[slot]
        if found < 0:
            slots[slot] = count
            table[count, 0], table[count, 1] = high, low
            return count
        if table[found, 0] == high and table[found, 1] == low:
            return int(found)
        slot = (slot + np.uint64(1)) & mask


@inlined
def slot_of_word(word: np.uint64) -> np.uint64:
    """The same for a single word."""
    mixed = (word ^ (word >> np.uint64(32))) * np.uint64(0xBF58476D1CE4E5B9)
    return mixed ^ (mixed >> np.uint64(31))


@inlined
def seat_of(word: np.uint64, table: NDArray[np.uint64]) -> np.uint64:
    """The row of a table that begins with this word, or is FREE and is to have it: words stand where they hash to.

    The table has a power of two of rows, not all of them taken.
    """
    mask = np.uint64(len(table) - 1)
    seat = slot_of_word(word) & mask
    while table[seat, 0] != word and table[seat, 0] != FREE:
        seat = (seat + np.uint64(1)) & mask
    return seat


@inlined
def seat_of_pair(
    owner: int,
    first: np.uint64,
    last: np.uint64,
    seats: NDArray[np.int32],
    owners: NDArray[Any],
    words: NDArray[np.uint64],
) -> np.uint64:
    """Where an owner's pair has its number among the seats, or would have it: -1 stands there."""
    mask = np.uint64(len(seats) - 1)
    seat = slot_of(first ^ np.uint64(owner) << np.uint64(32), last) & mask
    while seats[seat] >= 0:
        known = seats[seat]
        if owners[known] == owner and words[known, 0] == first and words[known, 1] == last:
            break
        seat = (seat + np.uint64(1)) & mask
    return seat


@borrowing
def _intern(
    pairs: NDArray[np.uint64],
    slots: NDArray[np.int32],
    table: NDArray[np.uint64],
    size: NDArray[np.int64],
    index: NDArray[np.int32],
) -> None:
    for at in range(len(pairs)):
        index[at] = numbered(pairs[at, 0], pairs[at, 1], slots, table, size)
