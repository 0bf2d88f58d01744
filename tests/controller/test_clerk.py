from controller.clerk import EventTime
from tests.controller.fakes import FakeClock

SECOND = 10**9


def test_event_time_is_what_was_heard_and_never_goes_back() -> None:
    time = EventTime()
    assert time.now_ns() == 0
    time.advance(10 * SECOND)
    time.advance(9 * SECOND)
    assert time.now_ns() == 10 * SECOND


def test_while_the_streams_speak_the_time_is_theirs_alone() -> None:
    clock = FakeClock(0)
    time = EventTime(clock)
    time.advance(100 * SECOND)
    clock.pause(4.0)
    assert time.now_ns() == 100 * SECOND


def test_on_a_live_network_time_goes_on_when_the_streams_fall_silent() -> None:
    clock = FakeClock(0)
    time = EventTime(clock)
    time.advance(100 * SECOND)
    clock.pause(60.0)
    assert time.now_ns() == 160 * SECOND
    time.advance(130 * SECOND)
    assert time.now_ns() == 130 * SECOND


def test_in_a_replay_time_stands_when_nothing_is_heard() -> None:
    time = EventTime()
    time.advance(100 * SECOND)
    assert time.now_ns() == 100 * SECOND
