"""From views to a reading: what is known of every active subject at the end of a tick, each exporter's word weighed.

Several exporters see the same packets: of each figure the largest counts, never the sum. What was seen on the way
through the network, or entering nobody knows where, counts only while no exporter at the subject's own port is heard.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.domain.rulebook import Scoring
from streams.baseline import QUANTITIES, Shape, hour_of_week
from streams.decode.compiled import compiled
from streams.estimating import rates
from streams.reading import Bools, Floats, Reading
from streams.rows import OUT, Col, Flag, Vantage
from streams.sensors import Sensors
from streams.subjects import ROLES, Subjects
from streams.windows import Ints, Views

_EDGE, _UNPLACED = int(Vantage.EDGE), int(Vantage.UNPLACED)


@dataclass(frozen=True, slots=True)
class Look:
    """A reading, and for each of its subjects the view that saw most of what it sends (-1: nobody saw it send)."""

    reading: Reading
    loudest: Ints
    views: Ints
    place: Ints  # of each view its subject's place in the reading
    counts: Bools  # views whose word on what is sent counts


def admitted(views: Views, chosen: Ints, subjects: Subjects, heard: NDArray[np.bool_]) -> Bools:
    """Which views count for what a subject sends.

    A probe such as pmacctd knows no interfaces: where it stands at the subject's own port, its word counts as well.
    """
    return _admitted(views.slot, views.exporter, views.vantage, subjects.homes, heard, chosen)


@compiled
def _admitted(
    slot: Ints,
    exporter: Ints,
    vantage: NDArray[np.int8],
    homes: NDArray[np.int32],
    heard: NDArray[np.bool_],
    chosen: Ints,
) -> Bools:
    counts = np.empty(len(chosen), np.bool_)
    for at in range(len(chosen)):
        view = chosen[at]
        own, home_heard = False, False
        for home in homes[slot[view]]:
            own |= home == exporter[view]
            home_heard |= home >= 0 and heard[home]
        counts[at] = vantage[view] == _EDGE or not home_heard or (own and vantage[view] == _UNPLACED)
    return counts


def look(
    views: Views,
    subjects: Subjects,
    sensors: Sensors,
    shapes: dict[int, Shape],
    tick: int,
    *,
    chosen: Ints,
    scoring: Scoring,
) -> Look | None:
    """Read these views, in which every view of a subject stands or none, at the end of `tick`; None for no views."""
    active = chosen
    if not len(active):
        return None
    active = active[np.argsort(views.slot[active], kind="stable")]
    slots, place = np.unique(views.slot[active], return_inverse=True)
    counts = admitted(views, active, subjects, sensors.heard(tick))
    rate, low = rates(views, active, tick, burst=scoring.burst_factor)
    rate[~counts, OUT] = 0.0
    low[~counts, OUT] = 0.0
    starts = np.searchsorted(place, np.arange(len(slots)))
    contacts = np.where(counts[:, None], views.contacts(active, tick), 0.0)
    flags = np.bitwise_or.reduceat(views.flags[active], starts)
    normal = subjects.baselines.normal(slots) * _lifts(subjects, slots, shapes, tick, views.tick_ms)
    merged, seen = _largest(rate, starts), _largest(contacts, starts)
    reading = Reading(
        slots=slots,
        rate=merged,
        low=_largest(low, starts),
        peers=seen[:, 0],
        ports=seen[:, 1],
        normal_bits=normal[:, 0],
        normal_packets=normal[:, 1],
        normal_mail=normal[:, 2],
        spread=subjects.baselines.spread(slots),
        age_s=subjects.baselines.age_s(slots),
        mature=subjects.baselines.mature(slots, scoring.baseline_min_age_s),
        attachment=subjects.attachment[slots],
        spoofed=(flags & Flag.SPOOFED) > 0,
        mail_server=subjects.mail_server[slots],
        habit=subjects.habits.now(slots, tick),
    )
    witness = sensors.ranks()[views.exporter[active]]
    return Look(reading, _loudest(rate[:, Col.PACKETS], witness, active, place, len(slots)), active, place, counts)


def _largest(figures: Floats, starts: Ints) -> Floats:
    """Of each subject's views the largest figures; where each has one view there is nothing to compare."""
    found: Floats = figures if len(starts) == len(figures) else np.maximum.reduceat(figures, starts, axis=0)
    return found


def _lifts(subjects: Subjects, slots: Ints, shapes: dict[int, Shape], tick: int, tick_ms: int) -> Floats:
    hour = hour_of_week(tick * tick_ms * 1_000_000)
    table = np.array([*(shapes[role].lift(hour) if role in shapes else 1.0 for role in range(len(ROLES))), 1.0])
    lifts = np.ones((len(slots), QUANTITIES))
    lifts[:, :2] = table[subjects.role[slots]][:, None]
    return lifts


def _loudest(packets: Floats, witness: Ints, active: Ints, place: Ints, count: int) -> Ints:
    """Of each subject the view with most packets; of equal ones the exporter's name decides."""
    order = np.lexsort((witness, packets, place))
    last = np.searchsorted(place[order], np.arange(count), side="right") - 1
    best = order[last]
    chosen: Ints = np.where(packets[best] > 0, active[best], -1)
    return chosen
