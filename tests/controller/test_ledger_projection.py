import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.domain.address import HostKey, address_of
from controller.domain.errors import BadInput
from controller.domain.verdict import Finding, Level, Rates, Verdict
from controller.domain.wire import (
    DeadLetter,
    Heartbeat,
    dead_letter,
    dead_letter_from,
    dead_letter_json,
    heartbeat_from,
    heartbeat_json,
    verdict_from,
    verdict_json,
)
from controller.ledger import Ledger
from controller.ledger_projection import KEPT_DEAD_LETTERS, KEPT_REASONS, OTHER_REASONS, QUIET_HOSTS
from controller.ledger_reading import Reading
from tests.controller.ledger_cases import NOON_NS, flood

SECOND = 1_000_000_000
DAY = 86_400 * SECOND


@pytest.fixture
def sqlite_ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    yield ledger
    ledger.close()


def verdict(number: int = 1, *, score: float = 90.0, level: Level = Level.ISOLATE, at_ns: int = NOON_NS) -> Verdict:
    return Verdict(
        subject=HostKey(address_of(f"198.18.{number // 250}.{number % 250}")),
        tick_end_ns=at_ns,
        score=score,
        level=level,
        finding=Finding.OFFENDER,
        evidence=(flood(at_ns),),
        rates=Rates(bits=9e7),
    )


def take(ledger: Ledger, *verdicts: Verdict) -> None:
    ledger.take_in(verdicts=verdicts, heartbeats=(), dead=(), offsets={})


def beat(at_ns: int = NOON_NS, **changes: object) -> Heartbeat:
    return replace(Heartbeat(process="streams", instance="worker-1", at_ns=at_ns), **changes)  # type: ignore[arg-type]  # fields by name


def letter(reason: str = "not JSON: x", count: int = 1) -> DeadLetter:
    return dead_letter(b"\xff{", source="cordon.flows/0@7", reason=reason, at_ns=NOON_NS, count=count)


def test_offsets_are_kept_with_what_was_taken_in(ledger: Ledger) -> None:
    ledger.take_in(verdicts=(verdict(),), heartbeats=(beat(),), dead=(letter(),), offsets={"cordon.verdicts/0": 5})
    ledger.take_in(verdicts=(), heartbeats=(), dead=(), offsets={"cordon.verdicts/0": 6, "cordon.dead/0": 1})
    assert ledger.offsets() == {"cordon.verdicts/0": 6, "cordon.dead/0": 1}


def test_nothing_is_taken_in_when_a_part_of_it_cannot_be_kept(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        take(ledger, verdict(), verdict(2, score=float("nan")))
    assert Reading(ledger.database).hosts() == (0, ())


def test_a_host_shows_its_newest_verdict_at_most_once_a_second(ledger: Ledger) -> None:
    take(ledger, verdict(score=85.0))
    take(ledger, verdict(score=86.0, at_ns=NOON_NS + SECOND // 2))
    assert Reading(ledger.database).hosts()[1][0].score == 85.0
    take(ledger, verdict(score=87.0, at_ns=NOON_NS + SECOND))
    assert Reading(ledger.database).hosts()[1][0].score == 87.0


def test_a_change_of_level_shows_at_once(ledger: Ledger) -> None:
    take(ledger, verdict())
    take(ledger, verdict(score=1.0, level=Level.CLEAR, at_ns=NOON_NS + 1))
    assert Reading(ledger.database).hosts()[1][0].level is Level.CLEAR


def test_a_late_verdict_does_not_replace_a_newer_one(ledger: Ledger) -> None:
    take(ledger, verdict(at_ns=NOON_NS + SECOND))
    take(ledger, verdict(score=1.0, level=Level.CLEAR))
    assert Reading(ledger.database).hosts()[1][0].level is Level.ISOLATE


def test_every_subject_above_watch_is_kept_and_of_the_others_the_loudest(ledger: Ledger) -> None:
    loud = [verdict(number, level=Level.WATCH, score=50.0) for number in range(10)]
    calm = [verdict(1_000 + number, level=Level.CLEAR, score=number / 100) for number in range(QUIET_HOSTS + 50)]
    take(ledger, *loud, *calm)
    total, hosts = Reading(ledger.database).hosts(limit=1_000)
    assert total == 10 + QUIET_HOSTS
    assert min(one.score for one in hosts) == 0.5
    assert Reading(ledger.database).hosts(level=Level.WATCH)[0] == 10


def test_a_subject_that_nobody_spoke_of_for_a_day_is_gone(ledger: Ledger) -> None:
    take(ledger, verdict(1))
    take(ledger, verdict(2, at_ns=NOON_NS + DAY + 1))
    assert [str(one.subject) for one in Reading(ledger.database).hosts()[1]] == ["198.18.0.2"]


def test_a_verdict_is_found_by_its_subject_and_reads_as_it_was_written(ledger: Ledger) -> None:
    take(ledger, verdict(1), verdict(2))
    assert Reading(ledger.database).verdicts(["host:198.18.0.2", "host:198.18.0.9"]) == (verdict(2),)


def test_each_process_shows_its_newest_heartbeat(ledger: Ledger) -> None:
    newer = beat(NOON_NS + 1, lag={"cordon.flows/0": 3}, silent=("192.0.2.1",))
    other = beat(process="controller", instance="controller-1")
    ledger.take_in(verdicts=(), heartbeats=(newer, beat(), other), dead=(), offsets={})
    assert Reading(ledger.database).heartbeats() == (other, newer)


def test_a_process_that_was_silent_for_a_day_is_gone(ledger: Ledger) -> None:
    ledger.take_in(verdicts=(), heartbeats=(beat(),), dead=(), offsets={})
    late = beat(NOON_NS + DAY + 1, instance="worker-2")
    ledger.take_in(verdicts=(), heartbeats=(late,), dead=(), offsets={})
    assert Reading(ledger.database).heartbeats() == (late,)


def test_dead_letters_are_kept_whole_and_counted_by_kind(ledger: Ledger) -> None:
    dead = (letter(), letter("not JSON: y", count=4), letter("nul \0 byte"))
    ledger.take_in(verdicts=(), heartbeats=(), dead=dead, offsets={})
    reading = Reading(ledger.database)
    assert reading.dead_counts() == {"not JSON": (2, 5), "nul \N{REPLACEMENT CHARACTER} byte": (1, 1)}
    total, found = reading.dead_letters(reason="not JSON")
    assert (total, found) == (2, (dead[1], dead[0]))


def test_only_the_newest_dead_letters_stay_but_all_are_counted(ledger: Ledger) -> None:
    dead = [letter(f"kind {number}: x") for number in range(KEPT_REASONS + 5)]
    for _ in range(3):
        ledger.take_in(verdicts=(), heartbeats=(), dead=dead, offsets={})
    reading = Reading(ledger.database)
    counts = reading.dead_counts()
    assert reading.dead_letters()[0] == KEPT_DEAD_LETTERS
    assert len(counts) == KEPT_REASONS + 1
    assert counts[OTHER_REASONS] == (15, 15)
    assert sum(records for _, records in counts.values()) == 3 * len(dead)


odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**400), 10**400),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["nan", "1e999", "9" * 40, "\ud800", "a\0b", [], {}, [[]], {"a": {"b": "c"}}]),
)


@settings(
    deadline=None, derandomize=True, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_whatever_is_read_from_the_wire_can_be_kept(sqlite_ledger: Ledger, data: st.DataObject) -> None:
    written = {
        verdict_from: verdict_json(verdict()),
        heartbeat_from: heartbeat_json(beat(lag={"f/0": 1}, sources={"f": {"received": 1}})),
        dead_letter_from: dead_letter_json(letter()),
    }
    reader = data.draw(st.sampled_from(list(written)))
    document = json.loads(written[reader])
    for name in data.draw(st.sets(st.sampled_from(sorted(set(document) - {"v"})), min_size=1, max_size=3)):
        document[name] = data.draw(odd)
    found = document.get("evidence")
    if isinstance(found, list) and found and isinstance(found[0], dict):
        inner = found[0]
        inner[data.draw(st.sampled_from(sorted(inner)))] = data.draw(odd)
    try:
        read = reader(json.dumps(document).encode())
    except BadInput:
        return
    kinds = {verdict_from: "verdicts", heartbeat_from: "heartbeats", dead_letter_from: "dead"}
    nothing: dict[str, Any] = {"verdicts": (), "heartbeats": (), "dead": ()}
    sqlite_ledger.take_in(**nothing | {kinds[reader]: (read,)}, offsets={})
    reading = Reading(sqlite_ledger.database)
    assert reading.hosts(limit=1_000)[0] >= 0
    assert reading.heartbeats() is not None
    assert reading.dead_letters(limit=1_000)[0] >= 0
