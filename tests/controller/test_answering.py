from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.answering import Answers, first_slot
from controller.domain.fence import SlotKind
from controller.domain.record import Request, RequestKind
from tests.controller.fakes import FakeNetwork
from tests.controller.house import House, World, world
from tests.controller.network_cases import NOON_NS, estate


@pytest.fixture
def town(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


def asked(town: World, kind: RequestKind, about: str = "") -> str:
    house = House(town)
    answers = Answers(
        clerk=house.clerk,
        decider=house.decider,
        surveyor=house.surveyor,
        segments=house.segments,
        lanes=house.lanes,
        network=FakeNetwork(town.devices),
        estate=house.estate,
    )
    request = Request(f"r-{kind}", kind, "alice", "wants to know", NOON_NS, about)
    town.ledger.ask(request)
    answers.attend()
    assert house.lanes.idle(20.0)
    answers.attend()
    assert town.ledger.requests() == ()
    return str(town.ledger.request(request.id).answer)


def test_the_kill_switch_is_turned_by_request(town: World) -> None:
    asked(town, RequestKind.KILL)
    assert town.ledger.killed()
    asked(town, RequestKind.REVIVE)
    assert not town.ledger.killed()


def test_a_device_that_answers_is_reachable_and_one_that_does_not_is_not(town: World) -> None:
    assert asked(town, RequestKind.REACHABILITY, "sw1").startswith("reachable: sw1")


def test_an_unreachable_device_is_told_as_such(town: World) -> None:
    town.devices["sw1"].dead = True
    assert "not reachable: sw1" in asked(town, RequestKind.REACHABILITY, "sw1")


def test_a_simulation_shows_reasons_and_lines_and_sends_none(town: World) -> None:
    answer = asked(town, RequestKind.SIMULATE, "198.18.1.7")
    assert "against: corroboration" in answer
    assert "port ge1 +entry drop/198.18.1.7/32" in answer
    assert town.sent == []
    assert town.ledger.recent(since_ns=0) == ()


def test_nonsense_is_answered_too(town: World) -> None:
    assert "not located, so nothing would be done" in asked(town, RequestKind.SIMULATE, "203.0.113.9")
    assert "no interface" in asked(town, RequestKind.REACHABILITY, "nowhere")


def test_a_firewall_is_asked_for_its_rules_and_a_switch_about_an_edge_port() -> None:
    firewall, switch = first_slot(estate(), "fw1"), first_slot(estate(), "sw1")
    assert firewall is not None
    assert switch is not None
    assert (firewall.kind, switch.kind) == (SlotKind.FIREWALL, SlotKind.PORT)
