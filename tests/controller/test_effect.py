from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from controller.domain.record import Decision
from controller.domain.rulebook import Effect as Rules
from controller.domain.verdict import Level, Rates
from controller.effect import FALLEN, STILL_SENDING, UNPROVEN, judge
from tests.controller.house import House, World, world
from tests.controller.ledger_cases import decision
from tests.controller.network_cases import FLOOD, NOON_NS, verdict

SECOND = 10**9
QUIET = Rates(bits=40e3, packets=30.0)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


def enforced() -> Decision:
    return decision(rates=FLOOD, facts={"enforced_ns": str(NOON_NS)})


@pytest.mark.parametrize(
    ("reported", "after_s", "effect"),
    [
        ([QUIET], 1, FALLEN),
        ([FLOOD], 1, ""),
        ([FLOOD], 6, STILL_SENDING),
        ([], 1, ""),
        ([], 6, UNPROVEN),
        ([QUIET, FLOOD], 6, STILL_SENDING),
        ([Rates(bits=1e3, packets=9_000.0)], 6, STILL_SENDING),
        ([Rates(bits=90e6, packets=10.0)], 6, STILL_SENDING),
    ],
    ids=[
        "quiet",
        "too early",
        "loud",
        "too early to miss",
        "nobody reports",
        "one name loud",
        "small packets",
        "big ones",
    ],
)
def test_the_effect_is_what_still_gets_through(reported: list[Rates], after_s: int, effect: str) -> None:
    assert judge(enforced(), reported, now_ns=NOON_NS + after_s * SECOND, rules=Rules()) == effect


def calm(at_ns: int, rates: Rates = QUIET) -> object:
    return replace(verdict(at_ns=at_ns, rates=rates, evidence_=(), score=0.0), level=Level.CLEAR)


def after(house: House, seconds: float, rates: Rates | None) -> str:
    now = house.later(seconds)
    if rates is not None:
        house.decider.hear([calm(now, rates)])  # type: ignore[list-item]  # a verdict, by replace
    house.reconciler.attend()
    return str(house.world.only.effect)


def test_traffic_seen_to_fall_is_kept_with_its_time(town: World) -> None:
    house = House(town)
    house.fenced(verdict())
    house.reconciler.attend()
    assert after(house, 1.0, QUIET) == FALLEN
    assert "fallen_ns" in town.only.facts
    assert town.pager.pages == []


def test_traffic_that_does_not_fall_calls_a_person_once_and_climbs_nowhere(town: World) -> None:
    house = House(town)
    house.fenced(verdict())
    house.reconciler.attend()
    sent = list(town.sent)
    for _ in range(4):
        after(house, 3.0, FLOOD)
    assert town.only.effect == STILL_SENDING
    assert len(town.pager.pages) == 1
    assert town.sent == sent
    assert len(town.ledger.recent(since_ns=0)) == 1


def test_a_fence_of_which_nobody_reports_is_unproven_and_may_still_be_proven(town: World) -> None:
    house = House(town)
    house.fenced(verdict())
    house.reconciler.attend()
    assert after(house, 6.0, None) == UNPROVEN
    assert len(town.pager.pages) == 1
    assert after(house, 1.0, QUIET) == FALLEN


def test_rates_from_before_the_fence_say_nothing_of_it(town: World) -> None:
    house = House(town)
    house.fenced(verdict())
    house.reconciler.attend()
    house.decider.hear([calm(NOON_NS - SECOND)])  # type: ignore[list-item]  # a verdict, by replace
    house.reconciler.attend()
    assert town.only.effect == ""


def test_what_was_only_rehearsed_has_no_effect_to_judge(town: World) -> None:
    from tests.controller.network_cases import rules

    house = House(town, rules_=rules("dry-run"))
    house.hear(verdict())
    house.settle()
    assert after(house, 10.0, FLOOD) == ""
    assert town.pager.pages == []
