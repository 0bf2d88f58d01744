"""Where a partition is read, and how what Faust leaves out around a rebalance is asked for again."""

import pytest

from streams.shift import HEAL_EVERY_S, HEALS, Course, Turn, inputs_of


def test_the_next_offset_is_taken_and_an_earlier_one_dropped() -> None:
    course = Course(expected=5, progressed=0.0)
    assert [course.turn(offset, 1.0) for offset in (5, 5, 4, 6)] == [Turn.TAKE, Turn.DROP, Turn.DROP, Turn.TAKE]
    assert course.expected == 7


def test_a_hole_is_read_again_but_not_for_every_message_behind_it() -> None:
    course = Course(expected=5, progressed=0.0)
    assert course.turn(8, 1.0) is Turn.SEEK
    assert course.turn(9, 1.0 + HEAL_EVERY_S / 2) is Turn.DROP
    assert course.turn(9, 1.1 + HEAL_EVERY_S) is Turn.SEEK
    assert course.turn(5, 1.2 + HEAL_EVERY_S) is Turn.TAKE
    assert course.holes == 0


def test_a_hole_that_stays_is_passed_in_the_end_and_told() -> None:
    course = Course(expected=5, progressed=0.0)
    now, turns = 0.0, []
    while not turns or turns[-1] is not Turn.TAKE:
        now += HEAL_EVERY_S * 1.1
        turns.append(course.turn(8, now))
    assert turns.count(Turn.SEEK) == HEALS
    assert (course.expected, course.holes) == (9, 3)


@pytest.mark.parametrize("counts", [{"b": 2, "a": 1}, {"a": 1, "b": 2}])
def test_inputs_have_one_order_however_the_site_lists_them(counts: dict[str, int]) -> None:
    assert inputs_of(counts) == ("a/0", "b/0", "b/1")
