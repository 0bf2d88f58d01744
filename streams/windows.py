"""What each exporter saw of each subject lately: sliding sums over a second and over four, and flows that last.

A view is a subject as one exporter sees it from one vantage. All sums are whole numbers and what leaves a window is
taken off exactly as it was put on, so that the order of arrival leaves no trace. Only active views take room.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.rows import MAX_COUNT, NCOL, SKETCH_BITS, Col, Flag, Rows

Ints = NDArray[np.int64]

FAST_S, SLOW_S = 1.0, 4.0
MILLI = 1000
LEARNED = (Col.BYTES, Col.PACKETS, Col.MAIL)
_SKETCH_BYTES = 2 * SKETCH_BITS // 8
_ONES = np.array([bin(value).count("1") for value in range(256)], np.int64)


@dataclass(slots=True)
class Lot:
    """Contributions that leave a window together: rows of one tick, or flows that end in one."""

    start: Ints  # first tick of each
    end: Ints  # tick in which each has no more part
    view: Ints
    amounts: Ints  # counts of a tick, or thousandths a second for flows that last
    first_ns: Ints
    peer_of: Ints  # index into `view`
    peer: NDArray[np.bytes_]
    peer_bytes: Ints
    learns: NDArray[np.bool_]  # late ones teach no baseline

    def part(self, chosen: Ints) -> "Lot":
        """These contributions only."""
        place = np.full(len(self.view), -1, np.int64)
        place[chosen] = np.arange(len(chosen))
        mine = place[self.peer_of] >= 0
        return Lot(
            self.start[chosen], self.end[chosen], self.view[chosen], self.amounts[chosen], self.first_ns[chosen],
            place[self.peer_of[mine]], self.peer[mine], self.peer_bytes[mine], self.learns[chosen],
        )  # fmt: skip


class Views:
    """Columnar and growable. Ticks are given in order."""

    def __init__(self, tick_ms: int) -> None:
        self.tick_ms = tick_ms
        self.fast_ticks = max(round(FAST_S * 1000 / tick_ms), 1)
        self.slow_ticks = max(round(SLOW_S * 1000 / tick_ms), self.fast_ticks)
        self._second_ticks = max(1000 // tick_ms, 1)
        self._first = np.zeros(0, np.int64)  # by subject: its newest view, -1 none
        self._free: list[int] = []
        self._size = 0
        self.recent: deque[Lot] = deque()
        self._aging = 0  # lots at the left of `recent` that left the fast window
        self.lasting: dict[int, list[Lot]] = {}
        self._grow(256)

    def _grow(self, room: int) -> None:
        def widened(name: str, shape: tuple[int, ...], kind: Any) -> None:
            new = np.zeros((room, *shape), kind)
            if self._size:
                new[: self._size] = getattr(self, name)[: self._size]
            setattr(self, name, new)

        for name, kind in (("vantage", np.int8), ("flags", np.int8), ("live", np.bool_)):
            widened(name, (), kind)
        for name in ("slot", "exporter", "interface", "mac", "refs", "second", "other"):
            widened(name, (), np.int64)
        for name in ("fast", "slow", "rate"):
            widened(name, (NCOL,), np.int64)
        widened("learned", (len(LEARNED),), np.int64)
        widened("sketch", (2, _SKETCH_BYTES), np.uint8)

    live: NDArray[np.bool_]
    slot: Ints  # of a view that was let go of it stands until another takes its place
    exporter: Ints
    vantage: NDArray[np.int8]
    flags: NDArray[np.int8]
    interface: Ints
    mac: Ints
    refs: Ints
    second: Ints
    other: Ints  # the next view of the same subject, -1 none
    fast: Ints
    slow: Ints
    rate: Ints
    learned: Ints
    sketch: NDArray[np.uint8]

    def find(self, slots: Ints, exporters: Ints, vantages: Ints) -> Ints:
        """The views of these subjects, exporters and vantages; made where there are none."""
        found = self._known(slots, exporters, vantages)
        new = np.flatnonzero(found < 0)
        if len(new):
            order = new[np.lexsort((vantages[new], exporters[new], slots[new]))]
            triples = np.stack((slots[order], exporters[order], vantages[order]))
            self._make(*triples[:, np.append(True, (triples[:, 1:] != triples[:, :-1]).any(axis=0))])
            found[new] = self._known(slots[new], exporters[new], vantages[new])
        return found

    def _known(self, slots: Ints, exporters: Ints, vantages: Ints) -> Ints:
        """The views that there are, -1 for others: a subject has few, one after the other."""
        if len(slots) and int(slots.max()) >= len(self._first):
            first = np.full(2 * int(slots.max()) + 1, -1, np.int64)
            first[: len(self._first)] = self._first
            self._first = first
        view = self._first[slots]
        left = np.arange(len(slots))
        while len(left):
            at = view[left]
            other = (at >= 0) & ((self.exporter[at] != exporters[left]) | (self.vantage[at] != vantages[left]))
            left = left[other]
            view[left] = self.other[view[left]]
        return view

    def _make(self, slots: Ints, exporters: Ints, vantages: Ints) -> None:
        """Make views, none of which there is; those of one subject stand together."""
        again = min(len(self._free), len(slots))
        new = len(slots) - again
        while self._size + new > len(self.slot):
            self._grow(2 * len(self.slot))
        views = np.array([*(self._free.pop() for _ in range(again)), *range(self._size, self._size + new)], np.int64)
        self._size += new
        self.slot[views], self.exporter[views], self.vantage[views] = slots, exporters, vantages
        self.live[views] = True
        for name in ("flags", "interface", "mac", "refs", "second", "fast", "slow", "rate", "learned", "sketch"):
            getattr(self, name)[views] = 0
        self._string(views)

    def _drop(self, views: Ints) -> None:
        """Let go of views; what is left of their subjects' views is strung anew."""
        if not len(views):
            return
        slots = self.slot[views]
        self._first[slots] = -2
        self.live[views] = False
        self._free += views.tolist()
        held = self.held()
        left = held[self._first[self.slot[held]] == -2]
        self._first[slots] = -1
        self._string(left[np.argsort(self.slot[left], kind="stable")])

    def _string(self, views: Ints) -> None:
        """Put views, sorted by subject, in front of what views their subjects have."""
        if not len(views):
            return
        slots = self.slot[views]
        last = np.append(slots[1:] != slots[:-1], True)
        self.other[views] = np.append(views[1:], -1)
        self.other[views[last]] = self._first[slots[last]]
        head = np.append(True, slots[1:] != slots[:-1])
        self._first[slots[head]] = views[head]

    def advance(self, tick: int) -> None:
        """Let go of what has left the windows by the start of `tick`."""
        while self.recent and self.recent[0].start[0] <= tick - self.slow_ticks:
            if self._aging == 0:
                self._age()
            lot = self.recent.popleft()
            self._aging -= 1
            np.subtract.at(self.slow, lot.view, lot.amounts)
            np.subtract.at(self.refs, lot.view, 1)
        while self._aging < len(self.recent) and self.recent[self._aging].start[0] <= tick - self.fast_ticks:
            self._age()
        for end in sorted(end for end in self.lasting if end <= tick):
            for lot in self.lasting.pop(end):
                np.subtract.at(self.rate, lot.view, lot.amounts)
                np.subtract.at(self.refs, lot.view, 1)

    def _age(self) -> None:
        lot = self.recent[self._aging]
        np.subtract.at(self.fast, lot.view, lot.amounts)
        self._aging += 1

    def of_tick(self, tick: int, views: Ints) -> Ints:
        """Counts of this tick alone, of these views; only of the last tick that something was added in."""
        counts = np.zeros((len(views), NCOL), np.int64)
        if self.recent and self.recent[-1].start[0] == tick:
            lot = self.recent[-1]
            place = np.full(self._size, -1, np.int64)
            place[views] = np.arange(len(views))
            mine = np.flatnonzero(place[lot.view] >= 0)
            np.add.at(counts, place[lot.view[mine]], lot.amounts[mine])
        return counts

    def next_end(self) -> int | None:
        """The next tick in which a lasting flow ends."""
        return min(self.lasting, default=None)

    def still(self) -> bool:
        """True when nothing is in the sliding windows: what there is, lasts."""
        return not self.recent

    def add(self, tick: int, rows: Rows, view: Ints, *, window_end: int) -> None:
        """Take in the rows of `tick`, which lies in the window of baselines that ends at `window_end`."""
        np.bitwise_or.at(self.flags, view, rows.flags & ~np.int8(Flag.LATE))
        placed = np.flatnonzero(rows.counts[:, Col.PACKETS] > 0)
        for name in ("interface", "mac"):
            column: Ints = getattr(self, name)
            column[view[placed]] = 0
            np.maximum.at(column, view[placed], getattr(rows, name)[placed])
        brief, long = np.flatnonzero(rows.span <= 1), np.flatnonzero(rows.span > 1)
        if len(brief):
            self.put_recent(_lot(rows, brief, view, rows.counts[brief], tick, tick + self.slow_ticks))
            learns = (rows.flags[brief] & Flag.LATE) == 0
            self._learn(view[brief], MILLI * rows.counts[brief][:, LEARNED] * learns[:, None])
            self._sketched(tick, rows, view)
        if len(long):
            lot = _lot(rows, long, view, self._per_second(rows, long), tick, 0)
            lot.end = tick + rows.span[long].astype(np.int64)
            self.put_lasting(lot)
            left_ms = (np.minimum(lot.end, window_end) - tick) * self.tick_ms * lot.learns
            self._learn(lot.view, lot.amounts[:, LEARNED] * left_ms[:, None] // 1000)

    def _per_second(self, rows: Rows, long: Ints) -> Ints:
        """Thousandths a second of what spreads over its span. The variance of a rate falls with the square of time."""
        seconds = (rows.span[long].astype(np.int64) * self.tick_ms) / 1000.0
        amounts = rows.counts[long] * (MILLI / seconds)[:, None]
        amounts[:, Col.VARIANCE] /= seconds
        return np.minimum(amounts, float(MAX_COUNT * MILLI)).astype(np.int64)

    def put_recent(self, lot: Lot) -> None:
        """Count a lot of one tick in both windows; lots come in order of ticks."""
        np.add.at(self.fast, lot.view, lot.amounts)
        np.add.at(self.slow, lot.view, lot.amounts)
        np.add.at(self.refs, lot.view, 1)
        self.recent.append(lot)

    def put_lasting(self, lot: Lot) -> None:
        """Count flows that last, each until its end."""
        np.add.at(self.rate, lot.view, lot.amounts)
        np.add.at(self.refs, lot.view, 1)
        for end in np.unique(lot.end).tolist():
            self.lasting.setdefault(end, []).append(lot.part(np.flatnonzero(lot.end == end)))

    def _learn(self, view: Ints, amounts: Ints) -> None:
        np.add.at(self.learned, view, amounts)

    def _sketched(self, tick: int, rows: Rows, view: Ints) -> None:
        second = tick // self._second_ticks
        touched = np.unique(view[rows.bit_row])
        stale = touched[self.second[touched] < second]
        follows = self.second[stale] == second - 1
        self.sketch[stale, 1] = np.where(follows[:, None], self.sketch[stale, 0], 0)
        self.sketch[stale, 0] = 0
        self.second[stale] = second
        bits = rows.bit.astype(np.int64)
        flat = self.sketch.reshape(-1)
        where = view[rows.bit_row] * (2 * _SKETCH_BYTES) + bits // 8
        np.bitwise_or.at(flat, where, (1 << (bits % 8)).astype(np.uint8))

    def contacts(self, views: Ints, tick: int) -> NDArray[np.float64]:
        """Distinct peers and ports a second (n × 2) in the fuller of the last two seconds.

        Linear counting over 256 bits (Whang, Vander-Zanden and Taylor 1990): good to some 5 % up to a few hundred.
        """
        second = tick // self._second_ticks
        age = second - self.second[views]
        ones = _ONES[self.sketch[views]].reshape(len(views), 2, 2, -1).sum(axis=3).astype(np.float64)
        ones[age > 1] = 0.0
        ones[age == 1, 1] = 0.0
        zeros = np.maximum(SKETCH_BITS - ones.max(axis=1), 0.5)
        spread = self.rate[views][:, (Col.PEERS_SPREAD, Col.PORTS_SPREAD)] / (MILLI * MILLI)
        estimate: NDArray[np.float64] = -SKETCH_BITS * np.log(zeros / SKETCH_BITS) + spread
        return estimate

    @property
    def occupied(self) -> bool:
        """True while there is a view."""
        return self._size > len(self._free)

    def of_slots(self, slots: Iterable[int]) -> Ints:
        """All active views of these subjects."""
        active = self.active()
        return active[np.isin(self.slot[active], np.fromiter(slots, np.int64))]

    def peers(self, views: Ints) -> dict[int, list[tuple[bytes, int]]]:
        """By subject: whom these views saw it talk to of late, with octets, the loudest first.

        One exporter's word counts for each peer, the largest: several see the same packets.
        """
        wanted = set(views.tolist())
        lots = [*self.recent, *(lot for lots in self.lasting.values() for lot in lots)]
        sums: dict[tuple[int, bytes], dict[int, int]] = {}
        mask = np.zeros(self._size, np.bool_)
        mask[views] = True
        for lot in lots:
            chosen = np.flatnonzero(mask[lot.view[lot.peer_of]])
            for view, peer, octets in zip(
                lot.view[lot.peer_of[chosen]].tolist(),
                lot.peer[chosen].tolist(),
                lot.peer_bytes[chosen].tolist(),
                strict=True,
            ):
                if view in wanted:
                    by_view = sums.setdefault((int(self.slot[view]), peer.ljust(16, b"\0")), {})
                    by_view[view] = by_view.get(view, 0) + octets
        found: dict[int, list[tuple[bytes, int]]] = {}
        for (slot, peer), by_view in sums.items():
            found.setdefault(slot, []).append((peer, max(by_view.values())))
        return {slot: sorted(ones, key=lambda one: (-one[1], one[0])) for slot, ones in found.items()}

    def onset(self, view: int, tick: int) -> int:
        """Receipt of the first record of the present burst: back over ticks at least a quarter as loud as the last."""
        by_tick: dict[int, tuple[int, int, int]] = {}
        lasting = [lot for lots in self.lasting.values() for lot in lots if lot.start[0] == tick]
        for lot in (*self.recent, *lasting):
            mine = np.flatnonzero(lot.view == view)
            if len(mine):
                start = int(lot.start[mine[0]])
                octets, packets, first = by_tick.get(start, (0, 0, 1 << 62))
                amounts = lot.amounts[mine].sum(axis=0)
                by_tick[start] = (
                    octets + int(amounts[Col.BYTES]),
                    packets + int(amounts[Col.PACKETS]),
                    min(first, int(lot.first_ns[mine].min())),
                )
        onset, level = 0, (0, 0)
        for start in sorted(by_tick, reverse=True):
            octets, packets, first = by_tick[start]
            if onset and 4 * octets < level[0] and 4 * packets < level[1]:
                break
            onset, level = first, (max(octets, level[0]), max(packets, level[1]))
        return onset

    def held(self) -> Ints:
        """All views, those that have just fallen silent too."""
        return np.flatnonzero(self.live[: self._size])

    def active(self) -> Ints:
        """Views with something in a window."""
        return np.flatnonzero(self.refs[: self._size] > 0)

    def close_window(self, start: int, ticks: int) -> tuple[Ints, Ints]:
        """Views heard in a window of baselines and what each sent in it (n × LEARNED, thousandths); begins the next.

        The next begins at `start` and is `ticks` long: what lasts from before counts in it from its first tick. Views
        that have fallen silent make room.
        """
        size = self._size
        heard = np.flatnonzero((self.refs[:size] > 0) | self.learned[:size].any(axis=1))
        learned = self.learned[heard].copy()
        self.learned[heard] = 0
        self._outlasting(start, ticks)
        held = self.held()
        self._drop(held[self.refs[held] == 0])
        return heard, learned

    def repeated_window(self, start: int, ticks: int) -> tuple[Ints, Ints]:
        """What the window that has begun comes to when nothing changes in it, and begin the one at `start` alike."""
        heard = np.flatnonzero(self.learned[: self._size].any(axis=1))
        learned = self.learned[heard].copy()
        self.learned[heard] = 0
        self._outlasting(start, ticks)
        return heard, learned

    def _outlasting(self, start: int, ticks: int) -> None:
        for end, lots in self.lasting.items():
            left_ms = min(end - start, ticks) * self.tick_ms
            for lot in lots:
                self._learn(lot.view, lot.amounts[:, LEARNED] * left_ms // 1000 * lot.learns[:, None])


def _lot(rows: Rows, chosen: Ints, view: Ints, amounts: Ints, tick: int, end: int) -> Lot:
    place = np.full(len(rows), -1, np.int64)
    place[chosen] = np.arange(len(chosen))
    mine = place[rows.peer_row] >= 0
    return Lot(
        start=np.full(len(chosen), tick, np.int64),
        end=np.full(len(chosen), end, np.int64),
        view=view[chosen],
        amounts=amounts,
        first_ns=rows.first_ns[chosen],
        peer_of=place[rows.peer_row[mine]],
        peer=rows.peer[mine],
        peer_bytes=rows.peer_bytes[mine],
        learns=(rows.flags[chosen] & Flag.LATE) == 0,
    )
