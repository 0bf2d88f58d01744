"""What each exporter saw of each subject lately: sliding sums over a second and over four, and flows that last.

A view is a subject as one exporter sees it from one vantage. All sums are whole numbers and what leaves a window is
taken off exactly as it was put on, so that the order of arrival leaves no trace. Only active views take room.
"""

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams import sketches
from streams.amounts import MILLI, narrow
from streams.decode.compiled import compiled
from streams.folding import Additions
from streams.lasting import Lasting
from streams.lots import Lot
from streams.rows import NCOL, Col, Flag

Ints = NDArray[np.int64]

FAST_S, SLOW_S = 1.0, 4.0
LEARNED = (Col.BYTES, Col.PACKETS, Col.MAIL)

SUMMED = (
    Col.BYTES, Col.PACKETS, Col.FRAGMENTS, Col.MALFORMED, Col.ODD, Col.PROBES, Col.MAIL, Col.BYTES_IN, Col.PACKETS_IN,
)  # fmt: skip
"""Columns of which sums stand ready, for everybody's first look; the others are added up for those who get a second."""

SPARSE = 4
"""Room is given back when there is so many times as much as is taken."""

_LEAST = 256


def _places(columns: tuple[Col, ...]) -> Ints:
    """By column its place among these, -1 for the others."""
    found = np.full(NCOL, -1, np.int64)
    found[list(columns)] = np.arange(len(columns))
    return found


_SUMMED, _LEARNED = _places(SUMMED), _places(LEARNED)


class Views:
    """Columnar and growable. Ticks are given in order."""

    def __init__(self, tick_ms: int) -> None:
        self.tick_ms = tick_ms
        self.fast_ticks = max(round(FAST_S * 1000 / tick_ms), 1)
        self.slow_ticks = max(round(SLOW_S * 1000 / tick_ms), self.fast_ticks)
        self.second_ticks = max(1000 // tick_ms, 1)
        self.first = np.zeros(0, np.int32)  # by subject: its newest view, -1 none
        self._free: list[int] = []
        self._size = 0
        self.recent: deque[Lot] = deque()
        self._aging = 0  # lots at the left of `recent` that left the fast window
        self.lasting = Lasting(tick_ms)
        self._grow(_LEAST)

    def _grow(self, room: int) -> None:
        self._lay(room, np.arange(self._size))

    def shrink(self) -> None:
        """Give room back when most of it is free. Views are numbered anew: numbers from before say nothing any more."""
        held = self.held()
        if SPARSE * len(held) > len(self.slot) or len(self.slot) <= _LEAST:
            return
        place = np.full(self._size + 1, -1, np.int32)  # the last stands for none
        place[held] = np.arange(len(held))
        self._lay(max(2 * len(held), _LEAST), held)
        self._size, self._free = len(held), []
        self.first, self.other = place[np.maximum(self.first, -1)], place[self.other]
        for lot in (*self.recent, *(one.lot for one in self.lasting.lots)):
            lot.view[:] = place[lot.view]

    def _lay(self, room: int, held: Ints) -> None:
        """Tables with so much room, that begin with these views."""

        def widened(name: str, shape: tuple[int, ...], kind: Any) -> None:
            new = np.zeros((room, *shape), kind)
            if len(held):
                new[: len(held)] = getattr(self, name)[held]
            setattr(self, name, new)

        for name, kind in (("vantage", np.int8), ("flags", np.int8), ("live", np.bool_)):
            widened(name, (), kind)
        for name in ("slot", "exporter", "interface", "mac", "second"):
            widened(name, (), np.int64)
        for name in ("refs", "lane", "other"):
            widened(name, (), np.int32)
        for name in ("fast", "slow"):
            widened(name, (len(SUMMED),), np.int64)
        widened("learned", (len(LEARNED),), np.int64)
        widened("sketch", (2, sketches.SKETCH_BYTES), np.uint8)

    live: NDArray[np.bool_]
    slot: Ints  # of a view that was let go of it stands until another takes its place
    exporter: Ints
    vantage: NDArray[np.int8]
    flags: NDArray[np.int8]
    interface: Ints
    mac: Ints
    refs: NDArray[np.int32]
    second: Ints
    other: NDArray[np.int32]  # the next view of the same subject, -1 none
    fast: Ints
    slow: Ints
    lane: NDArray[np.int32]  # the row of `lasting.rate` that holds what lasts; 0 nothing does
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
        if len(slots) and int(slots.max()) >= len(self.first):
            first = np.full(int(1.25 * slots.max()) + _LEAST, -1, np.int32)
            first[: len(self.first)] = self.first
            self.first = first
        wanted = (np.ascontiguousarray(one) for one in (slots, exporters, vantages))
        return _known(self.first, self.other, self.exporter, self.vantage, *wanted)

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
        # Sums are zero already: what was put on has been taken off.
        for name in ("flags", "interface", "mac", "second", "learned", "sketch"):
            getattr(self, name)[views] = 0
        self._string(views)

    def _drop(self, views: Ints) -> None:
        """Let go of views; what is left of their subjects' views is strung anew."""
        if not len(views):
            return
        slots = self.slot[views]
        self.first[slots] = -2
        self.live[views] = False
        self._free += views.tolist()
        held = self.held()
        left = held[self.first[self.slot[held]] == -2]
        self.first[slots] = -1
        self._string(left[np.argsort(self.slot[left], kind="stable")])

    def _string(self, views: Ints) -> None:
        """Put views, sorted by subject, in front of what views their subjects have."""
        if not len(views):
            return
        slots = self.slot[views]
        last = np.append(slots[1:] != slots[:-1], True)
        self.other[views] = np.append(views[1:], -1)
        self.other[views[last]] = self.first[slots[last]]
        head = np.append(True, slots[1:] != slots[:-1])
        self.first[slots[head]] = views[head]

    def advance(self, tick: int) -> None:
        """Let go of what has left the windows by the start of `tick`."""
        while self.recent and self.recent[0].start[0] <= tick - self.slow_ticks:
            if self._aging == 0:
                self._age()
            lot = self.recent.popleft()
            self._aging -= 1
            lot.amounts.put(self.slow, lot.view, _SUMMED, -1)
            _count(self.refs, lot.view, -1)
        while self._aging < len(self.recent) and self.recent[self._aging].start[0] <= tick - self.fast_ticks:
            self._age()
        self.lasting.advance(tick, self.lane, self.refs)

    def _age(self) -> None:
        lot = self.recent[self._aging]
        lot.amounts.put(self.fast, lot.view, _SUMMED, -1)
        self._aging += 1

    def sums(self, views: Ints, tick: int) -> tuple[Ints, Ints, Ints]:
        """Counts of these views (each once, n × NCOL) in `tick`, in the fast window and in the slow one."""
        place = np.full(self._size, -1, np.int32)
        place[views] = np.arange(len(views))
        now, fast, slow = np.zeros((3, len(views), NCOL), np.int64)
        for number, lot in enumerate(self.recent):
            within = now if lot.start[0] == tick else fast if number >= self._aging else slow
            lot.amounts.collect(within, lot.view, place)
        fast += now
        slow += fast
        return now, fast, slow

    def latest(self, tick: int) -> Lot | None:
        """What was added in this tick, if it was the last in which anything was."""
        return self.recent[-1] if self.recent and self.recent[-1].start[0] == tick else None

    def of(self, slots: Ints) -> Ints:
        """The active views of these subjects, each of which is named once."""
        view = self.first[slots[slots < len(self.first)]].astype(np.int64)
        found = []
        while len(view := view[view >= 0]):
            found.append(view)
            view = self.other[view].astype(np.int64)
        every = np.concatenate(found) if found else np.zeros(0, np.int64)
        return every[self.refs[every] > 0]

    def still(self) -> bool:
        """True when nothing is in the sliding windows: what there is, lasts."""
        return not self.recent

    def add(self, tick: int, rows: Additions, *, window_end: int) -> None:
        """Take in what `tick` brought, which lies in the window of baselines that ends at `window_end`."""
        view = rows.view
        marked = np.flatnonzero(rows.flags & ~np.int8(Flag.LATE))
        np.bitwise_or.at(self.flags, view[marked], rows.flags[marked] & ~np.int8(Flag.LATE))
        _placed(self.interface, self.mac, view, rows.interface, rows.mac, rows.counts.some(Col.PACKETS) > 0)
        brief = rows.brief
        if brief:
            lot = _lot(rows, tick, 0, brief, np.broadcast_to(np.int64(tick + self.slow_ticks), brief))
            self.put_recent(lot)
            self._learn(lot, np.full(len(lot), float(MILLI)))
            second = tick // self.second_ticks
            sketches.drawn(self.sketch, self.second, view, rows.bit_row, rows.bit, second)
        if brief < len(rows):
            lot = _lot(rows, tick, brief, len(rows), tick + rows.span[brief:])
            self.put_lasting(lot)
            self._learn_lasting(lot, np.minimum(lot.end, window_end) - tick)

    def put_recent(self, lot: Lot) -> None:
        """Count a lot of one tick in both windows; lots come in order of ticks."""
        lot.amounts.put(self.fast, lot.view, _SUMMED, 1)
        lot.amounts.put(self.slow, lot.view, _SUMMED, 1)
        _count(self.refs, lot.view, 1)
        self.recent.append(lot)

    def put_lasting(self, lot: Lot) -> None:
        """Count flows that last, each until its end."""
        self.lasting.put(lot, self.lane, self.refs)

    def _learn(self, lot: Lot, weights: NDArray[np.float64]) -> None:
        """Add to what the window of baselines holds, in thousandths."""
        lot.amounts.put_scaled(self.learned, lot.view, _LEARNED, weights * lot.learns)

    def _learn_lasting(self, lot: Lot, ticks: Ints) -> None:
        """Add what flows that last come to in so many ticks."""
        self._learn(lot, MILLI * ticks / (lot.end - lot.start))

    def contacts(self, views: Ints, tick: int) -> NDArray[np.float64]:
        """Distinct peers and ports a second (n × 2) in the fuller of the last two seconds."""
        words, second = sketches.as_words(self.sketch), tick // self.second_ticks
        return sketches.contacts(words, self.second, self.lane, self.lasting.rate, views, second)

    @property
    def occupied(self) -> bool:
        """True while there is a view."""
        return self._size > len(self._free)

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
        for one in self.lasting.lots:  # for none of the ticks of the window where it has ended
            self._learn_lasting(one.lot, np.clip(one.lot.end - start, 0, ticks))


def _lot(rows: Additions, tick: int, low: int, high: int, end: Ints) -> Lot:
    """The additions from `low` up to, not with, `high`."""
    first, last = np.searchsorted(rows.peer_row, (low, high)).tolist()
    mine, peers = slice(low, high), slice(first, last)
    return Lot(
        start=np.broadcast_to(np.int64(tick), high - low),
        end=end,
        view=rows.view[mine].astype(np.int32),
        amounts=rows.counts if high - low == len(rows) else rows.counts.cut(low, high),
        first_ns=rows.first_ns[mine],
        peer_of=rows.peer_row[peers] - np.int32(low),
        peer=rows.peer[peers],
        peer_bytes=narrow(rows.peer_bytes[peers]),
        learns=(rows.flags[mine] & Flag.LATE) == 0,
    )


@compiled
def _known(
    first: NDArray[np.int32],
    other: NDArray[np.int32],
    exporter: Ints,
    vantage: NDArray[np.int8],
    slots: Ints,
    exporters: Ints,
    vantages: Ints,
) -> Ints:
    """The views that there are, -1 for others: a subject has few, one after the other."""
    found = np.empty(len(slots), np.int64)
    for at in range(len(slots)):
        view = first[slots[at]]
        while view >= 0 and (exporter[view] != exporters[at] or vantage[view] != vantages[at]):
            view = other[view]
        found[at] = view
    return found


@compiled
def _count(table: NDArray[Any], rows: NDArray[np.int32], by: int) -> None:
    for row in rows:
        table[row] += by


@compiled
def _placed(interface: Ints, mac: Ints, view: Ints, interfaces: Ints, macs: Ints, counts: NDArray[np.bool_]) -> None:
    """Where each view was seen last: of several places in one tick the largest numbers."""
    for at in range(len(view)):
        if counts[at]:
            interface[view[at]] = mac[view[at]] = 0
    for at in range(len(view)):
        if counts[at]:
            interface[view[at]] = max(interface[view[at]], interfaces[at])
            mac[view[at]] = max(mac[view[at]], macs[at])
