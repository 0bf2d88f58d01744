"""What the contributions in the windows tell beyond their sums: whom a subject talks to, and since when it is loud."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.decode.compiled import compiled
from streams.decode.interning import interned
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
    mask = np.zeros(len(views.slot), np.bool_)
    mask[chosen] = True
    view, peer, octets = _told(views, mask)
    if not len(view):
        return {}
    words = np.frombuffer(peer.tobytes(), ">u8").reshape(-1, 2).astype(np.uint64)
    known, which = interned(words[:, 0], words[:, 1])
    seen, place = interned(view.astype(np.uint64), which.astype(np.uint64))
    by_view = np.zeros(len(seen), np.int64)
    np.add.at(by_view, place, octets)
    slots = views.slot[seen[:, 0].astype(np.int64)].astype(np.uint64)
    pairs, place = interned(slots, seen[:, 1])
    loudest = np.zeros(len(pairs), np.int64)
    np.maximum.at(loudest, place, by_view)
    high, low = known[pairs[:, 1].astype(np.int64)].T
    order = np.lexsort((low, high, -loudest, pairs[:, 0]))
    raw = np.stack((high, low), axis=1)[order].astype(">u8").view("V16").reshape(-1).tolist()
    slot, loudest = pairs[order, 0], loudest[order]
    starts = np.flatnonzero(np.append(True, slot[1:] != slot[:-1]))
    heads = zip(slot[starts].tolist(), loudest[starts].tolist(), np.add.reduceat(loudest, starts).tolist(), strict=True)
    cuts = pairwise([*starts.tolist(), len(raw)])
    return {
        one: Talk(raw[low:high], first, total) for (one, first, total), (low, high) in zip(heads, cuts, strict=True)
    }


def _told(views: Views, mask: NDArray[np.bool_]) -> tuple[Ints, NDArray[np.bytes_], Ints]:
    """View, peer and octets of whatever contributions of these views tell of peers."""
    lots = [*((lot, 0) for lot in views.recent), *((one.lot, one.told) for one in views.lasting.lots)]
    parts = []
    for lot, first in lots:
        told = _whose(lot.view, lot.peer_of, first, mask)
        if len(told):
            parts.append((lot.view[lot.peer_of[told]], lot.peer[told], lot.peer_bytes[told].astype(np.int64)))
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0, "S16"), np.zeros(0, np.int64)
    view, peer, octets = (np.concatenate(one) for one in zip(*parts, strict=True))
    return view.astype(np.int64), peer, octets


@compiled
def _whose(view: NDArray[np.int32], peer_of: NDArray[np.int32], first: int, mask: NDArray[np.bool_]) -> Ints:
    """Which peers, from `first` on, stand with a contribution of one of these views."""
    found, count = np.empty(len(peer_of) - first, np.int64), 0
    for at in range(first, len(peer_of)):
        found[count] = at
        count += mask[view[peer_of[at]]]
    return found[:count].copy()


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
