"""What was said to devices around a change stands beside the decision; looking after it leaves no page."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.domain.decision import State
from controller.domain.record import Spoken
from controller.ledger_reading import Reading
from tests.controller.house import House, World, world
from tests.controller.network_cases import verdict


@pytest.fixture
def town(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


def pages(town: World) -> tuple[Spoken, ...]:
    return Reading(town.ledger.database).transcripts(town.only.id)


def test_a_fence_leaves_what_was_asked_sent_and_asked_again(town: World) -> None:
    house = House(town)
    house.reconciler.hear([verdict("198.18.2.3")])
    house.settle()
    assert town.only.state is State.ENFORCED
    assert [one.what for one in pages(town)] == ["observe", "push", "observe"]
    (_, sent, _) = pages(town)
    assert sent.slot.device == "sw1"
    assert [line for line, _ in sent.exchanges] == town.sent


def test_looking_after_a_fence_that_stands_leaves_no_page(town: World) -> None:
    house = House(town)
    house.reconciler.hear([verdict("198.18.2.3")])
    house.settle()
    before = pages(town)
    house.reconciler.sweep()
    assert house.lanes.idle(20.0)
    assert pages(town) == before


def test_a_line_that_was_refused_is_kept_with_the_answer_and_the_undo_after_it(town: World) -> None:
    town.devices["sw1"].refuses = "+entry"
    house = House(town)
    house.reconciler.hear([verdict("198.18.2.3")])
    house.settle()
    assert town.only.state is State.FAILED
    refused = next(one for one in pages(town) if one.what == "push")
    assert refused.exchanges[0][1] == "% Invalid input"
