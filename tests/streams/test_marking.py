"""Clock marks fall due topic by topic: each as late as its records may be, in order, none twice."""

from controller.domain.estate import Source, SourceFormat
from streams.marking import Marking, latenesses

MS = 1_000_000
TICK = 250 * MS
NOON = 48 * 3_600_000 * MS


def marking() -> Marking:
    sources = (Source("quick", SourceFormat.SYSLOG, lateness_ms=50), Source("slow", SourceFormat.PMACCT_JSON))
    return Marking(TICK, latenesses(sources, usual_ms=300))


def test_a_tick_is_marked_on_each_topic_when_that_topics_lateness_is_over() -> None:
    one = marking()
    assert dict(one.due(NOON)) == {"quick": NOON - TICK, "slow": NOON - 2 * TICK}
    assert dict(one.due(NOON + 49 * MS)) == {}
    assert dict(one.due(NOON + 50 * MS)) == {"quick": NOON, "slow": NOON - TICK}
    assert one.earliest_ns == NOON - TICK


def test_no_mark_is_written_twice_nor_when_the_clock_goes_back() -> None:
    one = marking()
    assert list(one.due(NOON))
    assert not list(one.due(NOON))
    assert not list(one.due(NOON - 3_600_000 * MS))


def test_the_wait_ends_when_the_next_mark_is_due() -> None:
    one = marking()
    list(one.due(NOON))
    wait = one.wait_ns(NOON)
    assert not list(one.due(NOON + wait - 1))
    assert list(one.due(NOON + wait))


def test_with_nothing_to_mark_there_is_a_look_each_tick() -> None:
    assert Marking(TICK, {}).wait_ns(NOON) == TICK
