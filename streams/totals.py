"""What rows come to in the end, compiled: their counts, whom they talk to most; and how their tables grow."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.decode.compiled import compiled
from streams.decode.interning import FREE, seat_of, slot_of
from streams.sheets import ROWS, Held

_TOP_PEERS = 3
_HALF, _LOW = np.uint64(32), np.uint64(0xFFFF_FFFF)


class Peers(NamedTuple):
    """The loudest few peers of each row: row, number of the address, octets."""

    row: NDArray[np.int32]
    address: NDArray[np.int32]
    octets: NDArray[np.int64]


@compiled
def loudest(held: Held, hashes: NDArray[np.uint64]) -> Peers:
    """Of equally loud peers those whose address has the least hash."""
    pairs, rows = held.pairs, held.made[ROWS]
    top, count = np.full((rows, _TOP_PEERS), -1, np.int32), 0
    for pair in range(len(pairs)):
        if pairs[pair, 0] == FREE:
            continue
        row, carried = np.int64(pairs[pair, 0] >> _HALF), pair
        for rank in range(_TOP_PEERS):
            other = top[row, rank]
            if other < 0:
                top[row, rank] = carried
                count += 1
                break
            quieter = pairs[carried, 1] < pairs[other, 1]
            if quieter or (
                pairs[carried, 1] == pairs[other, 1]
                and hashes[np.int64(pairs[carried, 0] & _LOW)] >= hashes[np.int64(pairs[other, 0] & _LOW)]
            ):
                continue
            top[row, rank], carried = carried, other
    found, address = np.empty(count, np.int32), np.empty(count, np.int32)
    octets = np.empty(count, np.int64)
    at = 0
    for mine in range(rows):
        for rank in range(_TOP_PEERS):
            pair = top[mine, rank]
            if pair < 0:
                break
            found[at], address[at], octets[at] = mine, pairs[pair, 0] & _LOW, pairs[pair, 1]
            at += 1
    return Peers(found, address, octets)


@compiled
def rehashed(names: NDArray[np.uint64], count: int, slots: NDArray[np.int32]) -> None:
    """Find the places anew of so many pairs of words among more slots, all of which are free."""
    mask = np.uint64(len(slots) - 1)
    for place in range(count):
        slot = slot_of(names[place, 0], names[place, 1]) & mask
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = place


@compiled
def moved(old: NDArray[np.uint64], new: NDArray[np.uint64]) -> None:
    """Put the rows of a table of words into a larger one, all of which is free."""
    for at in range(len(old)):
        if old[at, 0] != FREE:
            seat = seat_of(old[at, 0], new)
            for word in range(old.shape[1]):
                new[seat, word] = old[at, word]


@compiled
def counted(held: Held, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """The counts of all rows by column."""
    rows = held.made[ROWS]
    counts = np.zeros((rows, len(places)), np.int64)
    for row in range(rows):
        rare = held.rarely[row]
        for column in range(len(places)):
            word = places[column]
            if word >= 0:
                counts[row, column] = held.table[row, word]
            elif rare >= 0:
                counts[row, column] = held.rare[rare, -1 - word]
    return counts
