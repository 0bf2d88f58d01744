"""What the contributions in the windows tell beyond their sums: whom a subject talks to, and since when it is loud."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.decode.compiled import compiled
from streams.decode.interning import empty_slots, slot_of
from streams.lots import Lot
from streams.rows import Col
from streams.windows import Ints, Views

_ADDED, _LARGEST = range(2)


class Talk(NamedTuple):
    """Whom a subject talks to."""

    peers: list[bytes]  # the loudest first
    octets: int  # of the loudest
    total: int


def talks(views: Views, chosen: Ints) -> dict[int, Talk]:
    """By subject: whom these views saw it talk to of late.

    One exporter's word counts for each peer, the largest: several see the same packets.
    """
    told = _told(views, chosen)
    if not len(told[0]):
        return {}
    view, words, octets = _each_once(*told, empty_slots(len(told[0])), _ADDED)
    slot, words, octets = _each_once(views.slot[view], words, octets, empty_slots(len(view)), _LARGEST)
    high, low = words.view(">u8").astype(np.uint64).T
    order = np.lexsort((low, high, -octets, slot))
    slot, octets, raw = slot[order], octets[order], words[order].view("V16")[:, 0].tolist()
    starts = np.flatnonzero(np.append(True, slot[1:] != slot[:-1]))
    heads = zip(slot[starts].tolist(), octets[starts].tolist(), np.add.reduceat(octets, starts).tolist(), strict=True)
    cuts = pairwise([*starts.tolist(), len(raw)])
    return {
        one: Talk(raw[low:high], first, total) for (one, first, total), (low, high) in zip(heads, cuts, strict=True)
    }


def _told(views: Views, chosen: Ints) -> tuple[Ints, NDArray[np.uint64], Ints]:
    """View, peer and octets of whatever contributions of these views tell of peers."""
    mask = np.zeros(len(views.slot), np.bool_)
    mask[chosen] = True
    lots = [*((lot, 0) for lot in views.recent), *((one.lot, one.told) for one in views.lasting.lots)]
    found = [_whose(lot.view, lot.peer_of, first, mask) for lot, first in lots]
    total = sum(map(len, found))
    view, words, octets, at = np.empty(total, np.int64), np.empty((total, 2), np.uint64), np.empty(total, np.int64), 0
    for (lot, _), mine in zip(lots, found, strict=True):
        if len(mine):
            peer = np.frombuffer(lot.peer, np.uint64).reshape(-1, 2)
            _copied(lot.view, lot.peer_of, peer, mine, view, words, at)
            octets[at : at + len(mine)] = lot.peer_bytes[mine]
            at += len(mine)
    return view, words, octets


@compiled
def _whose(
    view: NDArray[np.int32], peer_of: NDArray[np.int32], first: int, mask: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """Which peers, from `first` on, stand with a contribution of one of these views."""
    found, count = np.empty(len(peer_of) - first, np.int32), 0
    for at in range(first, len(peer_of)):
        found[count] = at
        count += mask[view[peer_of[at]]]
    return found[:count].copy()


@compiled
def _copied(
    view: NDArray[np.int32],
    peer_of: NDArray[np.int32],
    peer: NDArray[np.uint64],
    mine: NDArray[np.int32],
    views: Ints,
    words: NDArray[np.uint64],
    at: int,
) -> None:
    for one in mine:
        views[at] = view[peer_of[one]]
        words[at, 0], words[at, 1] = peer[one, 0], peer[one, 1]
        at += 1


@compiled
def _each_once(
    owner: Ints, words: NDArray[np.uint64], octets: Ints, seats: NDArray[np.int32], how: int
) -> tuple[Ints, NDArray[np.uint64], Ints]:
    """Each owner with each address once, with all its octets or with the most that were told of at a time."""
    mask, count = np.uint64(len(seats) - 1), 0
    owners, others, amounts = (
        np.empty(len(owner), np.int64),
        np.empty((len(owner), 2), np.uint64),
        np.zeros(len(owner), np.int64),
    )
    for at in range(len(owner)):
        one, first, last = owner[at], words[at, 0], words[at, 1]
        seat = slot_of(first ^ np.uint64(one) << np.uint64(32), last) & mask
        while seats[seat] >= 0:
            known = seats[seat]
            if owners[known] == one and others[known, 0] == first and others[known, 1] == last:
                break
            seat = (seat + np.uint64(1)) & mask
        known = seats[seat]
        if known < 0:
            seats[seat] = known = count
            owners[count], others[count, 0], others[count, 1] = one, first, last
            count += 1
        amounts[known] = amounts[known] + octets[at] if how == _ADDED else max(amounts[known], octets[at])
    return owners[:count].copy(), others[:count].copy(), amounts[:count].copy()


def onset(views: Views, view: int, tick: int) -> int:
    """Receipt of the first record of the present burst: back over ticks at least a quarter as loud as the last."""
    by_tick: dict[int, tuple[float, float, int]] = {}
    for lot, mine, ticks in _heard(views, view, tick):
        start = int(lot.start[mine[0]])
        octets, packets, first = by_tick.get(start, (0.0, 0.0, 1 << 62))
        by_tick[start] = (
            octets + int(lot.amounts.some(Col.BYTES)[mine].sum()) / ticks,
            packets + int(lot.amounts.some(Col.PACKETS)[mine].sum()) / ticks,
            min(first, int(lot.first_ns[mine].min())),
        )
    onset, level = 0, (0.0, 0.0)
    for start in sorted(by_tick, reverse=True):
        octets, packets, first = by_tick[start]
        if onset and 4 * octets < level[0] and 4 * packets < level[1]:
            break
        onset, level = first, (max(octets, level[0]), max(packets, level[1]))
    return onset


def _heard(views: Views, view: int, tick: int) -> Iterator[tuple[Lot, Ints, int]]:
    """Contributions of a view within their tick, and those heard of in this one that last: of each so many ticks."""
    for lot in views.recent:
        mine = np.flatnonzero(lot.view == view)
        if len(mine):
            yield lot, mine, 1
    for one in views.lasting.lots:
        lot = one.lot
        mine = np.flatnonzero((lot.view == view) & (lot.start == tick))
        ticks = lot.end[mine] - tick
        for length in np.unique(ticks).tolist():
            yield lot, mine[ticks == length], length
