"""What the contributions in the windows tell beyond their sums: whom a subject talks to, and since when it is loud."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.decode.compiled import borrowing, compiled
from streams.decode.interning import empty_slots, seat_of_pair
from streams.lots import Lot
from streams.rows import Col
from streams.windows import Ints, Views


class Talk(NamedTuple):
    """Whom a subject talks to."""

    peers: list[bytes]  # the loudest first
    octets: int  # of the loudest
    total: int


def talks(views: Views, chosen: Ints) -> dict[int, Talk]:
    """By subject: whom these views saw it talk to of late.

    One exporter's word counts for each peer, the largest: several see the same packets.
    """
    view, words, octets = _told(views, chosen)
    if not len(view):
        return {}
    slot, words, octets = _largest(views.slot[view], words, octets, empty_slots(len(view)))
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
    """Views and peers, each pair once, and the octets that contributions tell of."""
    mask = np.zeros(len(views.slot), np.bool_)
    mask[chosen] = True
    lots = [*((lot, 0) for lot in views.recent), *((one.lot, one.told) for one in views.lasting.lots)]
    room = 2 * max((len(lot.peer_of) - first for lot, first in lots), default=0)
    view, words, octets = np.empty(room, np.int64), np.empty((room, 2), np.uint64), np.empty(room, np.int64)
    seats, count = empty_slots(room), 0
    for lot, first in lots:
        if not len(lot.peer_of):
            continue
        if count + len(lot.peer_of) - first > room:
            room *= 2
            view, words, octets = (np.resize(one, (room, *one.shape[1:])) for one in (view, words, octets))
            seats = empty_slots(room)
            _seated(view, words, count, seats)
        peer, amounts = np.frombuffer(lot.peer, np.uint64).reshape(-1, 2), lot.peer_bytes.astype(np.int64)
        count = _met(lot.view, lot.peer_of, first, peer, amounts, mask, seats, view, words, octets, count)
    return view[:count], words[:count], octets[:count]


@borrowing
def _met(
    view: NDArray[np.int32],
    peer_of: NDArray[np.int32],
    start: int,
    peer: NDArray[np.uint64],
    amounts: Ints,
    mask: NDArray[np.bool_],
    seats: NDArray[np.int32],
    owners: Ints,
    words: NDArray[np.uint64],
    octets: Ints,
    count: int,
) -> int:
    """Add up octets by view and peer, of which so many are known already; returns how many are then."""
    for at in range(start, len(peer_of)):
        owner = view[peer_of[at]]
        if not mask[owner]:
            continue
        first, last = peer[at, 0], peer[at, 1]
        seat = seat_of_pair(owner, first, last, seats, owners, words)
        known = seats[seat]
        if known < 0:
            seats[seat] = known = count
            owners[count], words[count, 0], words[count, 1], octets[count] = owner, first, last, 0
            count += 1
        octets[known] += amounts[at]
    return count


@borrowing
def _seated(owners: Ints, words: NDArray[np.uint64], count: int, seats: NDArray[np.int32]) -> None:
    """Seat so many pairs anew."""
    for at in range(count):
        seats[seat_of_pair(owners[at], words[at, 0], words[at, 1], seats, owners, words)] = at


@compiled
def _largest(
    owner: Ints, words: NDArray[np.uint64], octets: Ints, seats: NDArray[np.int32]
) -> tuple[Ints, NDArray[np.uint64], Ints]:
    """Each owner with each peer once, and the most octets that were told of."""
    owners, count = np.empty(len(owner), np.int64), 0
    others, amounts = np.empty((len(owner), 2), np.uint64), np.empty(len(owner), np.int64)
    for at in range(len(owner)):
        one, first, last = owner[at], words[at, 0], words[at, 1]
        seat = seat_of_pair(one, first, last, seats, owners, others)
        known = seats[seat]
        if known < 0:
            seats[seat] = known = count
            owners[count], others[count, 0], others[count, 1], amounts[count] = one, first, last, octets[at]
            count += 1
        amounts[known] = max(amounts[known], octets[at])
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
