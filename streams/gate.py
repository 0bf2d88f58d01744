"""Who is worth a look: everybody's first, cheap one at the end of a tick, compiled."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.domain.rulebook import Detectors, Scoring
from streams.amounts import MILLI
from streams.decode.compiled import compiled
from streams.detect.spoofed_source import FEW
from streams.habits import HABITS, Habits
from streams.rows import Col, Flag
from streams.sketches import as_words, touched
from streams.windows import SUMMED, Ints, Views

_SUMMED = np.array(SUMMED, np.int64)
_PACKETS, _PROBES = SUMMED.index(Col.PACKETS), SUMMED.index(Col.PROBES)
_SPOOFED = int(Flag.SPOOFED)
_PERSISTING = np.array([HABITS.index(column) for column in (Col.REPLIES, Col.PROBES, Col.LOGINS)])


class Least(NamedTuple):
    """Half of the least that any detector looks at."""

    figures: NDArray[np.float64]  # a second, of each summed column
    spoofed: float  # packets a second, of a subject that also forges addresses
    contacts: NDArray[np.float64]  # peers and ports a second, of a subject that knocks
    habits: NDArray[np.float64]  # replies, knocks and logins of late


class Seen(NamedTuple):
    """What stands ready of views, subjects and habits; see `streams.windows.Views` and `streams.habits.Habits`."""

    first: NDArray[np.int32]
    other: NDArray[np.int32]
    refs: NDArray[np.int32]
    flags: NDArray[np.int8]
    fast: Ints
    slow: Ints
    lane: NDArray[np.int32]
    rate: Ints
    second: Ints
    sketch: NDArray[np.uint64]  # a view's words: of this second and the one before, peers and ports
    habit: NDArray[np.float64]
    habit_tick: Ints


class Gate:
    """The least that any detector looks at. Who stays below all of it cannot be accused of anything.

    It asks what a lower bound could be at most, of sums that stand ready. Only what is added can lift a subject over
    it: who was below and was heard no more is below still.
    """

    def __init__(self, detectors: Detectors, scoring: Scoring) -> None:
        one = detectors
        least: dict[Col, float] = {
            Col.BYTES: min(one.flood.bits_per_s, one.flood_ratio.floor_bits_per_s) / 8,
            Col.PACKETS: min(one.flood.packets_per_s, one.flood_ratio.floor_packets_per_s),
            Col.FRAGMENTS: one.fragments.packets_per_s,
            Col.MALFORMED: one.malformed.packets_per_s,
            Col.ODD: one.odd_protocol.packets_per_s,
            Col.MAIL: one.mail_burst.flows_per_s,
            Col.BYTES_IN: one.flood_ratio.floor_bits_per_s / 8,
            Col.PACKETS_IN: one.flood_ratio.floor_packets_per_s,
        }
        self._least = Least(
            figures=np.array([least.get(column, np.inf) for column in SUMMED]) / 2,
            spoofed=one.spoofed_source.packets_per_s * FEW / 2,
            contacts=np.array([one.scan.peers_per_s, one.scan.ports_per_s]) / 2,
            habits=np.array([one.one_sided.replies, one.one_sided.knocks, one.login_burst.sessions]) / 2,
        )
        self._burst_s = scoring.burst_factor * scoring.tick_ms / 1000

    def passed(self, views: Views, habits: Habits, slots: Ints, tick: int) -> Ints:
        """Those of these slots that are worth a look, for what they do or for what they did over minutes.

        The last tick lies in the last second: what it holds is bounded by that.
        """
        tick_s = views.tick_ms / 1000
        seen = Seen(
            views.first, views.other, views.refs, views.flags, views.fast, views.slow, views.lane, views.lasting.rate,
            views.second, as_words(views.sketch),
            habits.habit, habits.habit_tick,
        )  # fmt: skip
        fast_s = min(views.fast_ticks * tick_s, self._burst_s)
        second = tick // views.second_ticks
        per_fast, per_slow = 1 / fast_s, 1 / (views.slow_ticks * tick_s)
        return _passed(seen, self._least, slots, per_fast, per_slow, second, tick, habits.half_life)


@compiled
def _passed(
    seen: Seen,
    least: Least,
    slots: Ints,
    per_fast: float,
    per_slow: float,
    second: int,
    tick: int,
    half_life: float,
) -> Ints:
    # Columns are named here once: to take one out of a tuple costs as much as the rest of a view.
    first, other, refs, flags = seen.first, seen.other, seen.refs, seen.flags
    fast, slow, lane, rate = seen.fast, seen.slow, seen.lane, seen.rate
    figures, known, half = least.figures, len(seen.first), least.habits
    habit, habit_tick = seen.habit, seen.habit_tick
    passed, count = np.empty(len(slots), np.int64), 0
    for slot in slots:
        loud, knocks, forges, packets = False, False, False, 0.0
        for place in range(len(_PERSISTING)):
            amount = habit[slot, _PERSISTING[place]]
            if amount >= half[place]:
                loud |= amount * 2.0 ** (-max(tick - habit_tick[slot], 0) / half_life) >= half[place]
        view = first[slot] if slot < known else -1
        while view >= 0:  # a subject neither knocks nor forges addresses for one view alone
            if refs[view] > 0:
                for place in range(len(_SUMMED)):
                    most = max(fast[view, place] * per_fast, slow[view, place] * per_slow)
                    if lane[view] > 0:
                        most += rate[lane[view], _SUMMED[place]] / MILLI
                    loud |= most >= figures[place]
                    if place == _PACKETS:
                        packets = max(packets, most)
                    elif place == _PROBES:
                        knocks |= most > 0
                forges |= flags[view] & _SPOOFED != 0
            view = other[view]
        loud |= forges and packets >= least.spoofed
        if loud or (knocks and _scans(seen, first[slot], second, least.contacts)):
            passed[count] = slot
            count += 1
    return passed[:count].copy()


@compiled
def _scans(seen: Seen, view: int, second: int, least: NDArray[np.float64]) -> bool:
    while view >= 0:
        if seen.refs[view] > 0:
            age, rate = second - seen.second[view], seen.rate[seen.lane[view]]
            for kind in range(2):
                if touched(seen.sketch, view, kind, age, rate) >= least[kind]:
                    return True
        view = seen.other[view]
    return False
