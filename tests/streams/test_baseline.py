"""Baselines learn by event time, in the logarithm, and are held against nobody before they have grown."""

import numpy as np
import pytest

from streams.baseline import Baselines, empty_shape, hour_of_week, learn_shapes
from streams.folding import Additions, folded, grouped
from streams.reading import bit_rate, number, ramp, span, times
from streams.rows import Arrivals, Col
from streams.windows import Ints, Views
from tests.streams.test_activity import combined, subjects
from tests.streams.world import SECOND, START, TICK, record

ONE = np.array([0])


def taught(values: list[float], *, memory: int = 400, every_s: int = 10) -> Baselines:
    baselines = Baselines()
    baselines.grow(4)
    for index, value in enumerate(values):
        begins = index * every_s * SECOND
        per_second = np.array([[value, value / 1000, 0.0]])
        baselines.learn(ONE, per_second, begins_ns=begins, ends_ns=begins + every_s * SECOND, memory=memory)
    return baselines


def test_steady_rate_is_its_own_normal() -> None:
    baselines = taught([47_000.0] * 50)
    assert baselines.normal(ONE)[0] == pytest.approx([47_000, 47, 0], rel=1e-6)
    assert baselines.spread(ONE)[0] == pytest.approx(0, abs=1e-6)


def test_normal_is_the_typical_value_and_not_the_worst_hour() -> None:
    baselines = taught([1_000.0] * 90 + [1_000_000.0] * 10)
    assert baselines.normal(ONE)[0, 0] < 3_000
    assert baselines.spread(ONE)[0] > 1.5


def test_old_values_fade_with_the_memory() -> None:
    baselines = taught([1_000.0] * 500 + [8_000.0] * 500, memory=100)
    assert baselines.normal(ONE)[0, 0] == pytest.approx(8_000, rel=0.05)


@pytest.mark.parametrize(("windows", "every_s", "mature"), [(29, 1000, False), (30, 10, False), (1441, 10, True)])
def test_baseline_matures_by_age_and_by_how_often_it_was_heard(windows: int, every_s: int, mature: bool) -> None:
    baselines = taught([1_000.0] * windows, every_s=every_s)
    assert bool(baselines.mature(ONE, 14_400.0)[0]) is mature


def test_nothing_learned_has_no_normal() -> None:
    baselines = taught([])
    assert baselines.normal(ONE)[0].tolist() == [0, 0, 0]
    assert not baselines.mature(ONE, 0.0)[0]


def test_busy_hour_of_a_role_excuses_and_a_quiet_one_accuses_nobody() -> None:
    shape = empty_shape()
    for hour, count, factor in ((5, 300, 3.0), (6, 300, 0.2), (7, 10, 9.0)):
        learn_shapes({0: shape}, np.zeros(count, np.int64), np.full(count, np.log(factor)), hour)
    assert shape.lift(5) == pytest.approx(3.0, rel=1e-3)
    assert (shape.lift(6), shape.lift(7), shape.lift(8)) == (1.0, 1.0, 1.0)


def test_week_begins_on_monday() -> None:
    assert hour_of_week(1_700_000_000 * SECOND) == 24 + 22  # Tuesday, 14 November 2023, 22:13 UTC
    assert hour_of_week(0) == 72


def test_strength_rises_from_half_the_figure_to_the_whole() -> None:
    assert ramp(np.array([0.0, 50.0, 75.0, 100.0, 1e9]), 100.0).tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]


def test_figures_are_said_as_people_say_them() -> None:
    assert [bit_rate(92.4e6), bit_rate(47_000), bit_rate(950), bit_rate(3.2e9)] == [
        "92.4 Mbit/s", "47.0 kbit/s", "950 bit/s", "3.2 Gbit/s",
    ]  # fmt: skip
    assert (times(1950.4), times(2.34), span(86_400), span(120), span(3)) == ("1,950", "2.3", "24.0 h", "2 min", "3 s")
    assert number(0.31) == "0.3"


def added_up(rows: Arrivals, view: Ints) -> Additions:
    """What rows of one subject come to in its one view."""
    groups = grouped([rows], np.zeros(len(rows.keys), np.int64), np.zeros(int(rows.exporter.max()) + 1, np.int64))
    return folded([rows], groups, np.repeat(view, len(groups)), below=1)


@pytest.mark.parametrize("distinct", [1, 10, 60, 200, 500])
def test_sketch_counts_distinct_peers_within_a_tenth(distinct: int) -> None:
    views = Views(250)
    records = [record(START, "198.18.0.7", dst=f"203.0.{n // 200}.{n % 200 + 1}") for n in range(distinct)] * 2
    rows = subjects(combined(records))["host:198.18.0.7"]
    found = views.find(np.array([0]), np.array([0]), np.array([2]))
    views.add(START // TICK, added_up(rows, found), window_end=START // TICK + 40)
    peers, ports = views.contacts(np.unique(found), START // TICK)[0]
    assert peers == pytest.approx(distinct, rel=0.15, abs=2)
    assert ports == pytest.approx(1, abs=0.5)
    assert views.contacts(np.unique(found), START // TICK + 12)[0].tolist() == pytest.approx([0, 0], abs=1e-6)


def test_windows_hold_what_was_put_on_and_nothing_once_it_has_left() -> None:
    views = Views(250)
    tick = START // TICK
    brief = subjects(combined([record(START, "198.18.0.7", packets=8)]))["host:198.18.0.7"]
    lasting = subjects(combined([record(START, "198.18.0.7", packets=80, time_flow_start_ns=START - 10 * SECOND)]))
    view = views.find(np.array([0]), np.array([0]), np.array([2]))
    for rows in (brief, lasting["host:198.18.0.7"]):
        views.add(tick, added_up(rows, view), window_end=tick + 40)

    def packets(at: int) -> list[int]:
        sums = *views.sums(view[:1], at), views.lasting.rate[views.lane[view[:1]]]
        return [int(one[0, Col.PACKETS]) for one in sums]

    assert packets(tick) == [8, 8, 8, 8000]
    views.advance(tick + 4)
    assert packets(tick + 4) == [0, 0, 8, 8000]
    assert not views.fast.any()
    views.advance(tick + 16)
    assert packets(tick + 16) == [0, 0, 0, 8000]
    assert not views.slow.any()
    views.advance(tick + 40)
    assert not views.lasting.rate.any()
    assert not len(views.active())
    heard, learned = views.close_window(tick + 40, 40)
    assert learned[heard.tolist().index(view[0]), 1] == (8 + 80) * 1000
    assert not views.occupied
