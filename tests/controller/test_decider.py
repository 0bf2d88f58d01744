from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from controller.decider import decision_id
from controller.domain.decision import By, State
from controller.domain.errors import NotLocated
from controller.domain.fence import FenceKind
from controller.domain.rulebook import BlastRadius, Fences, Limits
from controller.domain.verdict import Finding, Level, Witness
from controller.limits import Rule
from controller.locating import locate
from tests.controller.fakes import EVERYTHING
from tests.controller.house import House, World, texts, world
from tests.controller.network_cases import (
    NOON_NS,
    SW1,
    entered,
    estate,
    evidence,
    mac,
    rules,
    verdict,
)

SECOND = 10**9


@pytest.fixture
def town(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


def notices(town: World) -> list[str]:
    from controller.ledger_reading import Reading

    return [alarm.what for alarm in Reading(town.ledger.database).alarms()[1]]


def test_an_offender_at_isolate_is_proposed_with_its_reasons_and_approved(town: World) -> None:
    (made,) = House(town).decider.hear([verdict()])
    assert made.state is State.APPROVED
    assert made.verdict_id == verdict().id
    assert {reason.rule for reason in made.reasons} >= {"score", "fence", "mode", Rule.CORROBORATION, Rule.BLAST_RADIUS}
    assert all(reason.allows for reason in made.reasons)


def test_in_approve_mode_a_person_is_asked(town: World) -> None:
    house = House(town, rules_=rules("approve"))
    assert house.hear(verdict()) == []
    assert town.only.state is State.PROPOSED
    town.ledger.move(town.only, By.APPROVE, at_ns=NOON_NS, actor="alice", why="do it")
    assert house.enforcer.carry_out(town.only.id).state is State.ENFORCED


def test_a_watch_is_a_notice_that_is_kept_once(town: World) -> None:
    house = House(town)
    exploit = evidence("web_exploit", witness=Witness.ACCESS_LOG, source="198.18.1.7", weight=0.45, compromise=True)
    for tick in range(3):
        house.hear(verdict(score=45.0, at_ns=NOON_NS + tick * SECOND, evidence_=(exploit,)))
    assert town.ledger.recent(since_ns=0) == ()
    assert len(notices(town)) == 1
    assert "web_exploit" in notices(town)[0]
    assert town.pager.pages == []


@pytest.mark.parametrize("finding", [one for one in Finding if one is not Finding.OFFENDER])
def test_victims_loops_gateways_and_backups_lead_to_nothing(town: World, finding: Finding) -> None:
    House(town).hear(verdict(score=100.0, finding=finding))
    assert town.ledger.recent(since_ns=0) == ()


def test_a_replayed_verdict_is_the_same_one(town: World) -> None:
    house = House(town)
    made = house.fenced(verdict())
    assert house.hear(verdict()) == []
    house.released(made)
    assert House(town).hear(verdict()) == []
    assert town.only.id == decision_id(verdict())


def test_both_addresses_of_a_host_and_its_port_of_entry_are_one_live_decision(town: World) -> None:
    house = House(town)
    house.fenced(verdict("198.18.1.7"))
    house.hear(verdict("2001:db8:1:7::1", at_ns=NOON_NS + 1), entered(SW1, 1, mac(7), at_ns=NOON_NS + 2))
    assert set(town.only.facts["subjects"].split()) == {
        "host:198.18.1.7",
        "host:2001:db8:1:7::1",
        f"attachment:{SW1}#1/{mac(7)}",
    }


def test_a_further_verdict_extends_the_fence(town: World) -> None:
    house = House(town)
    made = house.fenced(verdict())
    house.hear(verdict(at_ns=NOON_NS + 1800 * SECOND))
    assert town.only.until_ns == made.until_ns + 1800 * SECOND
    assert [move.by for move in town.ledger.moves(made.id)][-1] is By.EXTEND
    house.hear(verdict(at_ns=NOON_NS + 1801 * SECOND))
    assert town.only.until_ns == made.until_ns + 1800 * SECOND


def test_a_break_in_found_later_makes_the_fence_wait_for_a_person(town: World) -> None:
    house = House(town)
    house.fenced(verdict())
    broken = verdict(at_ns=NOON_NS + SECOND, evidence_=(evidence(at_ns=NOON_NS + SECOND, compromise=True),))
    house.hear(broken)
    assert (town.only.until_ns, town.only.compromise) == (0, True)


def test_a_proposal_that_waits_takes_in_what_is_found_later_and_is_approved_when_limits_allow(town: World) -> None:
    house = House(town)
    report = evidence("firewall_report", witness=Witness.FIREWALL, source="198.19.255.4")
    assert house.hear(verdict(evidence_=(report,))) == []
    assert any("kinds" in text for text in texts([town.only]))
    second = evidence("ids_alert", witness=Witness.IDS, source="198.19.255.9", at_ns=NOON_NS + SECOND)
    (made,) = house.hear(verdict(at_ns=NOON_NS + SECOND, evidence_=(replace(report, at_ns=NOON_NS + SECOND), second)))
    assert made.state is State.ENFORCED
    assert made.id == decision_id(verdict())


def test_what_a_person_rejected_is_not_proposed_again_at_the_next_tick(town: World) -> None:
    house = House(town, rules_=rules("approve"))
    house.hear(verdict())
    town.ledger.move(town.only, By.REJECT, at_ns=NOON_NS, actor="alice", why="it is a backup")
    house.hear(verdict(at_ns=NOON_NS + SECOND))
    assert town.only.state is State.REJECTED
    house.hear(verdict(at_ns=house.later(1000.0)))
    assert len(town.ledger.recent(since_ns=0)) == 2


def test_evidence_from_before_a_release_does_not_fence_again(town: World) -> None:
    house = House(town)
    made = house.fenced(verdict())
    house.later(5.0)
    house.released(made)
    stale = verdict(at_ns=NOON_NS + 6 * SECOND, evidence_=(evidence(at_ns=NOON_NS, half_life_s=1e6),))
    assert house.hear(stale) == []
    fresh = verdict(at_ns=NOON_NS + 7 * SECOND)
    assert house.hear(fresh)[0].state is State.ENFORCED


def test_reoffending_on_probation_doubles_the_time_for_the_attachment_and_not_the_address(town: World) -> None:
    house = House(town)
    first = house.fenced(verdict("198.18.1.7"))
    house.later(10.0)
    house.released(first)
    at_ns = house.later(3600.0)
    second = house.fenced(verdict("2001:db8:1:7::1", at_ns=at_ns))
    assert (second.strikes, second.until_ns - at_ns) == (2, 7200 * SECOND)
    house.released(second)
    at_ns = house.later(90_000.0)
    assert house.fenced(verdict("198.18.1.7", at_ns=at_ns)).strikes == 1


def test_who_cannot_be_located_is_a_notice_and_no_decision(town: World) -> None:
    House(town).hear(verdict("198.18.2.8", exporter=SW1, interface=3))
    assert town.ledger.recent(since_ns=0) == ()
    assert "the sender is forged" in notices(town)[0]


def test_protected_hosts_are_proposed_with_the_reason_and_nothing_is_sent(town: World) -> None:
    House(town).hear(verdict("198.18.2.30"))
    assert town.only.state is State.PROPOSED
    assert texts([town.only]) == ["dns1 is a dns: a person decides"]
    assert town.sent == []


def test_a_shared_port_with_a_forged_mac_waits_for_a_person_and_says_so(town: World) -> None:
    House(town).hear(entered(SW1, 1, mac(60000)))
    assert town.only.state is State.PROPOSED
    assert town.only.attachment.host == ""
    assert town.only.fences[0].fence.kind is FenceKind.THROTTLE
    assert any("touches 20 tenants" in text for text in texts([town.only]))


def test_of_several_fences_the_first_that_limits_allow_is_taken(town: World) -> None:
    town.holds["sw1"] = frozenset({"shut", "throttle"})
    preferring = rules(fences=Fences(preferred=("shut", "throttle")))
    (made,) = House(town, rules_=preferring).hear(verdict("198.18.2.3"))
    assert made.fences[0].fence.kind is FenceKind.THROTTLE


def test_contain_is_held_for_minutes_while_a_person_is_asked(town: World) -> None:
    house = House(town, rules_=rules("approve", fences=Fences(hold_s=300.0)))
    held = house.fenced(verdict(score=65.0))
    assert (held.level, held.until_ns) == (Level.CONTAIN, NOON_NS + 300 * SECOND)
    assert "hold" in held.facts


def test_a_hold_is_only_ever_narrow_and_only_in_approve_mode(town: World) -> None:
    town.holds["sw1"] = frozenset({"throttle", "quarantine"})
    approving = House(town, rules_=rules("approve", fences=Fences(hold_s=300.0)))
    assert approving.hear(verdict("198.18.2.3", score=65.0)) == []
    enforcing = House(town, rules_=rules("enforce", fences=Fences(hold_s=300.0)))
    assert enforcing.hear(verdict("198.18.2.4", score=65.0)) == []
    assert town.sent == []


def test_leaving_dry_run_makes_a_real_decision_of_what_was_only_rehearsed(town: World) -> None:
    House(town, rules_=rules("dry-run")).hear(verdict())
    assert House(town).hear(verdict(at_ns=NOON_NS + SECOND))[0].state is State.ENFORCED
    states = {one.simulated: one.state for one in town.ledger.recent(since_ns=0)}
    assert states == {True: State.LAPSED, False: State.ENFORCED}


def test_entering_dry_run_leaves_real_fences_alone(town: World) -> None:
    made = House(town).fenced(verdict())
    House(town, rules_=rules("dry-run")).hear(verdict(at_ns=NOON_NS + SECOND))
    assert town.only.id == made.id


def test_a_sensor_gone_mad_fences_no_more_than_the_share_and_the_rest_waits_with_the_reason(town: World) -> None:
    house = House(town)
    made = house.hear(*(verdict(f"198.18.1.{n}", score=90 + n / 10) for n in range(1, 21)))
    assert [one for one in made if one.state is State.ENFORCED] == []
    waiting = town.ledger.live()
    assert {one.state for one in waiting} == {State.PROPOSED}
    assert len(waiting) == 20
    assert all("accuses 20 of" in " ".join(texts([one])) for one in waiting)


def test_the_share_of_a_segment_holds_against_a_sensor_that_goes_mad_slowly(town: World) -> None:
    house = House(town)
    for n in range(1, 21):
        house.hear(verdict(f"198.18.1.{n}", at_ns=house.later(70.0)))
    fenced = [one for one in town.ledger.live() if one.state is State.ENFORCED]
    assert len(fenced) == 3  # a tenth of 22, rounded up
    assert len(town.ledger.live()) == 20


def test_in_a_storm_the_worst_are_fenced_first_and_the_rest_waits(town: World) -> None:
    tight = rules(limits=Limits(blast=BlastRadius(per_segment_share=1.0, per_device=20, global_subjects=3)))
    house = House(town, rules_=tight)
    made = house.hear(*(verdict(f"198.18.1.{n}", score=80 + n / 2) for n in range(1, 21)))
    assert [one.subject for one in made] == [f"host:198.18.1.{n}" for n in (20, 19, 18)]
    assert sum(one.state is State.PROPOSED for one in town.ledger.live()) == 17


def test_a_frame_up_by_one_unknown_sender_is_not_enough(town: World) -> None:
    forged = evidence("ids_alert", witness=Witness.IDS, source="203.0.113.66")
    House(town).hear(verdict(evidence_=(forged,)))
    assert town.only.state is State.PROPOSED
    assert town.sent == []


def test_what_would_be_done_can_be_imagined_and_nothing_is_kept(town: World) -> None:
    house = House(town)
    draft = house.decider.imagine("198.18.1.7")
    assert draft.fences[0].fence.kind is FenceKind.BLOCK_ADDRESS
    assert town.ledger.recent(since_ns=0) == ()
    with pytest.raises(NotLocated):
        house.decider.imagine("203.0.113.9")


def test_suspects_are_located_before_anything_is_decided(town: World) -> None:
    found = House(town).decider.suspects(
        [verdict(score=45.0), verdict("203.0.113.9"), verdict("198.18.1.8", score=10.0)]
    )
    assert found == (locate(verdict(), estate()),)


def test_two_controllers_that_hear_the_same_make_one_decision(town: World) -> None:
    one, other = House(town), House(town)
    situation = other.around.now()
    one.decider.hear([verdict()])
    assert situation.live == ()
    other.around.now = lambda: situation  # type: ignore[method-assign]  # what it saw before the first decided
    assert other.decider.hear([verdict(at_ns=NOON_NS + 1)]) == ()
    assert len(town.ledger.live()) == 1


def test_silent_sensors_are_no_witnesses(town: World) -> None:
    house = House(town)
    house.around.heard_silent([SW1])
    house.hear(verdict())
    assert town.only.state is State.PROPOSED


def test_what_devices_hold_decides_what_is_proposed(town: World) -> None:
    town.holds["sw1"] = EVERYTHING - {"block_address"}
    House(town).hear(verdict())
    assert town.only.fences[0].fence.kind is FenceKind.THROTTLE
    assert town.only.state is State.PROPOSED


def test_with_no_way_to_fence_the_decision_still_tells_a_person(town: World) -> None:
    town.holds["sw1"] = frozenset()
    House(town).hear(verdict())
    assert town.only.state is State.PROPOSED
    assert town.only.fences == ()
    assert any("can hold a fence" in text for text in texts([town.only]))
