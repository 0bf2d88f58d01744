"""What the contributions in the windows tell beyond their sums: whom a subject talks to, and since when it is loud."""

import numpy as np

from streams.rows import Col
from streams.windows import Ints, Views


def peers(views: Views, chosen: Ints) -> dict[int, list[tuple[bytes, int]]]:
    """By subject: whom these views saw it talk to of late, with octets, the loudest first.

    One exporter's word counts for each peer, the largest: several see the same packets.
    """
    lots = [*views.recent, *(lot for lots in views.lasting.values() for lot in lots)]
    sums: dict[tuple[int, bytes], dict[int, int]] = {}
    mask = np.zeros(len(views.slot), np.bool_)
    mask[chosen] = True
    for lot in lots:
        rows = mask[lot.view]
        told = np.flatnonzero(rows[lot.peer_of]) if rows.any() else np.zeros(0, np.int64)
        for view, peer, octets in zip(
            lot.view[lot.peer_of[told]].tolist(),
            lot.peer[told].tolist(),
            lot.peer_bytes[told].tolist(),
            strict=True,
        ):
            by_view = sums.setdefault((int(views.slot[view]), peer.ljust(16, b"\0")), {})
            by_view[view] = by_view.get(view, 0) + octets
    found: dict[int, list[tuple[bytes, int]]] = {}
    for (slot, peer), by_view in sums.items():
        found.setdefault(slot, []).append((peer, max(by_view.values())))
    return {slot: sorted(ones, key=lambda one: (-one[1], one[0])) for slot, ones in found.items()}


def onset(views: Views, view: int, tick: int) -> int:
    """Receipt of the first record of the present burst: back over ticks at least a quarter as loud as the last."""
    by_tick: dict[int, tuple[float, float, int]] = {}
    lasting = [lot for lots in views.lasting.values() for lot in lots if lot.start[0] == tick]
    spans = [*([1] * len(views.recent)), *(int(lot.end[0] - lot.start[0]) for lot in lasting)]
    for lot, ticks in zip((*views.recent, *lasting), spans, strict=True):
        mine = np.flatnonzero(lot.view == view)
        if len(mine):
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
