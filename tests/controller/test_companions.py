"""A quarantine is valid only with its companions: kept apart from others, and within reach of the forensics host."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from controller.companions import lacking
from controller.domain.address import Vlan
from controller.domain.decision import State
from controller.domain.estate import HostRole
from controller.domain.fence import ISOLATE_PORT, Effect, FenceKind
from controller.domain.sight import Sight
from tests.controller.house import House, World, world
from tests.controller.network_cases import NOON_NS, SITE, estate, evidence, verdict

QUARANTINE = Effect(vlan=Vlan(999), isolated=True)
AWAY = Sight("sw1", carries=frozenset({("up1", 999), ("ge2", 120)}))


@pytest.fixture
def town(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


def test_a_port_of_its_own_that_an_uplink_leads_away_from_lacks_nothing() -> None:
    assert lacking(QUARANTINE, AWAY, estate()) == ()
    assert lacking(QUARANTINE, replace(AWAY, carries=frozenset(), trunks=frozenset({"up1"})), estate()) == ()


def test_a_forensics_host_on_the_same_switch_needs_no_uplink() -> None:
    here = Sight("sw2", carries=frozenset({("ge6", 999)}))
    assert lacking(QUARANTINE, here, estate()) == ()


def test_ports_that_reach_each_other_are_no_quarantine() -> None:
    (problem,) = lacking(replace(QUARANTINE, isolated=None), AWAY, estate())
    assert "ports in VLAN 999 reach each other" in problem
    private = replace(AWAY, secluded=frozenset({999}))
    assert lacking(replace(QUARANTINE, isolated=None), private, estate()) == ()


def test_a_vlan_that_leads_nowhere_is_no_quarantine() -> None:
    (problem,) = lacking(QUARANTINE, replace(AWAY, carries=frozenset({("ge2", 999), ("up1", 120)})), estate())
    assert problem == "VLAN 999 leads from sw1 to no forensics host (forensics): no uplink there carries it"


def test_without_a_forensics_host_nobody_could_look() -> None:
    hosts = tuple(one for one in SITE.hosts if one.role is not HostRole.FORENSICS)
    (problem,) = lacking(QUARANTINE, AWAY, estate(hosts=hosts))
    assert "no forensics host stands in the site file" in problem


def test_what_is_no_quarantine_needs_no_companions() -> None:
    assert lacking(Effect(enabled=False), Sight("sw1"), estate()) == ()


def test_a_quarantine_sets_the_port_apart_where_the_device_can(town: World) -> None:
    town.holds["sw1"] = frozenset({"quarantine", "throttle", ISOLATE_PORT})
    town.devices["sw1"].sight = AWAY
    (made,) = House(town).hear(verdict("198.18.2.3"))
    assert made.state is State.ENFORCED
    (fence,) = made.fences
    assert fence.fence.kind is FenceKind.QUARANTINE
    assert any(line.endswith("isolated True") for line in town.sent)


def test_a_quarantine_without_companions_is_refused_before_anything_is_sent(town: World) -> None:
    town.holds["sw1"] = frozenset({"quarantine", "throttle"})
    town.devices["sw1"].sight = AWAY
    house = House(town)
    (made,) = house.hear(verdict("198.18.2.3"))
    assert (made.state, town.sent) == (State.FAILED, [])
    assert "no quarantine: ports in VLAN 999 reach each other" in house.ledger.moves(made.id)[-1].why
    house.later(1.0)
    again = replace(verdict("198.18.2.3"), tick_end_ns=town.clock.ns, evidence=(evidence(at_ns=town.clock.ns),))
    house.hear(again)
    kinds = {one.fences[0].fence.kind for one in house.ledger.recent(since_ns=NOON_NS - 1) if one.id != made.id}
    assert kinds == {FenceKind.THROTTLE}, "the next fence is tried"
