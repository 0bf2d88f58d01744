"""Whom a subject talks to, as the contributions in the windows tell it."""

import random
from collections import defaultdict

import numpy as np

from streams.amounts import Counts
from streams.lots import Lot
from streams.retracing import talks
from streams.windows import Ints, Views

TICK_MS, EXPORTERS, SUBJECTS = 250, 2, 12


def lot(start: int, end: int | Ints, view: Ints, told: list[tuple[int, bytes, int]]) -> Lot:
    """Contributions of these views, of which some, by place, tell of peers and octets."""
    rows, told = len(view), sorted(told, key=lambda one: one[0])
    return Lot(
        start=np.full(rows, start, np.int64),
        end=np.broadcast_to(np.asarray(end, np.int64), rows).copy(),
        view=view.astype(np.int32),
        amounts=Counts.of({}, rows),
        first_ns=np.zeros(rows, np.int64),
        peer_of=np.array([place for place, _, _ in told], np.int32),
        peer=np.array([peer for _, peer, _ in told], "S16"),
        peer_bytes=np.array([octets for _, _, octets in told], np.int64),
        learns=np.ones(rows, np.bool_),
    )


def test_octets_add_up_by_exporter_and_the_largest_word_counts_while_flows_last() -> None:
    chance = random.Random(7)
    views = Views(TICK_MS)
    slot, exporter = (one.reshape(-1).astype(np.int64) for one in np.mgrid[:SUBJECTS, :EXPORTERS])
    view = views.find(slot, exporter, np.zeros(len(slot), np.int8))
    in_force: list[tuple[int, int, bytes, int]] = []  # end, place of the view, peer, octets
    for tick in range(30):
        views.advance(tick)
        for lasts in (False, True):
            end = np.sort(np.array([tick + chance.randint(2, 40) if lasts else tick + views.slow_ticks for _ in view]))
            told = [
                # Peers that come up once, so that there are more of them than any one lot tells of.
                (place, bytes([chance.choice((9, tick))] * 15 + [1 + chance.randrange(3)]), chance.randint(1, 1 << 20))
                for place in range(len(view))
                for _ in range(chance.randrange(4))
            ]
            made = lot(tick, end, view, told)
            (views.put_lasting if lasts else views.put_recent)(made)
            in_force += [(int(end[place]), place, peer, octets) for place, peer, octets in told]
        in_force = [one for one in in_force if one[0] > tick]
        seen: dict[tuple[int, int, bytes], int] = defaultdict(int)
        for _, place, peer, octets in in_force:
            seen[int(slot[place]), int(exporter[place]), peer] += octets
        wanted: dict[int, dict[bytes, int]] = defaultdict(dict)
        for (whose, _, peer), octets in seen.items():
            wanted[whose][peer] = max(octets, wanted[whose].get(peer, 0))
        chosen = np.arange(0, SUBJECTS, 2)
        found = talks(views, views.of(chosen))
        assert set(found) == set(wanted) & set(chosen.tolist())
        for whose, talk in found.items():
            ordered = sorted(wanted[whose], key=lambda peer: (-wanted[whose][peer], peer))
            assert talk == (ordered, wanted[whose][ordered[0]], sum(wanted[whose].values()))


def test_nobody_talks_where_nothing_was_heard() -> None:
    assert talks(Views(TICK_MS), np.zeros(0, np.int64)) == {}
