"""Devices are logged in to when the controller starts and daily after; the proof stands in the ledger with its time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.domain.rulebook import Logins as Rules
from controller.logins import Logins
from tests.controller.fakes import FakeNetwork, Rehearsing
from tests.controller.house import House, World, world

DAY, HOUR = 86_400.0, 3_600.0


class Proving(House):
    def __init__(self, world_: World) -> None:
        super().__init__(world_)
        spoken: dict[str, Any] = dict(world_.devices)
        self.logins = Logins(
            clerk=self.clerk,
            live=FakeNetwork(spoken),
            fresh=FakeNetwork({name: Rehearsing(one) for name, one in spoken.items()}),
            lanes=self.lanes,
            estate=self.estate,
            rules=Rules(every_s=DAY, retry_s=HOUR),
        )

    def attend(self) -> None:
        self.logins.attend()
        assert self.lanes.idle(20.0)
        assert not self.failures


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Proving]:
    with world(tmp_path) as made:
        proving = Proving(made)
        proving.logins.warm()
        assert proving.lanes.idle(20.0)
        yield proving


def asked(house: Proving, name: str) -> int:
    return sum("observe" in line for line in house.world.devices[name].journal)


def test_the_first_look_at_each_device_is_its_first_proof(house: Proving) -> None:
    proofs = house.ledger.proofs()
    assert {name for name, one in proofs.items() if one.reached} == {"sw1", "sw2", "hv1", "fw1"}
    assert "logged in and answered about ge1" in proofs["sw1"].text
    assert "close" not in house.world.devices["sw1"].journal, "the session for fences stays open"


def test_a_device_is_tried_again_after_a_day_and_not_before(house: Proving) -> None:
    house.later(DAY - 1)
    house.attend()
    assert asked(house, "sw1") == 1
    at_ns = house.later(2)
    house.attend()
    assert asked(house, "sw1") == 2
    assert house.world.devices["sw1"].journal[-3:] == ["close", "observe ge1", "close"], "a login of its own"
    assert house.ledger.proofs()["sw1"].reached_ns == at_ns
    house.attend()
    assert asked(house, "sw1") == 2


def test_a_device_that_stops_letting_cordon_in_calls_a_person_once_and_is_tried_hourly(house: Proving) -> None:
    first_ns = house.ledger.proofs()["sw2"].reached_ns
    house.world.devices["sw2"].dead = True
    house.later(DAY)
    house.attend()
    proof = house.ledger.proofs()["sw2"]
    assert (proof.reached, proof.reached_ns, proof.text) == (False, first_ns, "sw2: no answer")
    for _ in range(3):
        house.later(HOUR)
        house.attend()
    assert [page for page in house.world.pager.pages if "cannot log in" in page] == [
        "sw2: cannot log in, so no fence can be held there: sw2: no answer"
    ]
    house.world.devices["sw2"].dead = False
    house.later(HOUR)
    house.attend()
    assert house.ledger.proofs()["sw2"].reached
