from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller import policy
from controller.domain.decision import State
from controller.domain.estate import Segment
from controller.domain.fence import Effect, Fence, FenceKind, Leg, Slot, SlotKind
from controller.domain.rulebook import Fences, Rulebook
from controller.domain.verdict import Finding
from controller.locating import locate
from controller.policy import Call
from tests.controller.ledger_cases import decision
from tests.controller.network_cases import NOON_NS, SITE, estate, evidence, rules, verdict

SHUT = Fence(FenceKind.SHUT, (Leg(Slot("sw1", SlotKind.PORT, "ge3"), Effect(enabled=False)),))
HOUR = 3_600_000_000_000


@pytest.mark.parametrize("finding", [one for one in Finding if one is not Finding.OFFENDER])
def test_only_an_offender_is_fenced(finding: Finding) -> None:
    ruling = policy.rule(verdict(score=100.0, finding=finding), rules())
    assert ruling.call is Call.NOTHING
    assert finding.value.replace("_", " ") in ruling.reason.text


@pytest.mark.parametrize(
    ("score", "call"), [(39.0, Call.NOTHING), (40.0, Call.NOTICE), (60.0, Call.NOTICE), (80.0, Call.FENCE)]
)
def test_watch_is_a_notice_and_isolate_a_fence(score: float, call: Call) -> None:
    assert policy.rule(verdict(score=score), rules()).call is call


def test_contain_is_held_where_the_policy_has_a_hold() -> None:
    assert policy.rule(verdict(score=65.0), rules(fences=Fences(hold_s=300.0))).call is Call.HOLD


def test_the_strictest_of_policy_segment_and_device_holds() -> None:
    who = locate(verdict("198.18.2.3"), estate())
    segments = tuple(replace(one, mode="approve") if one.name == "dedicated" else one for one in SITE.segments)
    devices = tuple(replace(one, mode="dry-run") if one.name == "sw1" else one for one in SITE.devices)
    assert policy.mode_of(who, SHUT, estate(), rules()) == "enforce"
    assert policy.mode_of(who, SHUT, estate(segments=segments), rules()) == "approve"
    assert policy.mode_of(who, SHUT, estate(segments=segments, devices=devices), rules()) == "dry-run"
    assert policy.mode_of(who, None, estate(devices=devices), rules()) == "enforce"


def test_a_segment_cannot_loosen_the_policy() -> None:
    loose = (*(one for one in SITE.segments if one.name != "dedicated"), Segment("dedicated", (), mode="enforce"))
    who = locate(verdict("198.18.2.3"), estate())
    assert policy.mode_of(who, SHUT, estate(segments=loose), rules("approve")) == "approve"


def test_volume_ends_by_itself_and_a_break_in_waits_for_a_person() -> None:
    assert policy.until_ns(verdict(), 1, Fences()) == NOON_NS + HOUR
    assert policy.until_ns(verdict(evidence_=(evidence(compromise=True),)), 1, Fences()) == 0


def test_probation_doubles_the_time_up_to_the_policys_most() -> None:
    fences = Fences(ttl_s=3600.0, max_ttl_s=10_000.0)
    assert [policy.ttl_ns(strike, fences) // 10**9 for strike in (1, 2, 3, 50)] == [3600, 7200, 10_000, 10_000]


@given(st.integers(1, 200))
def test_the_time_never_shrinks_with_a_further_offence(strike: int) -> None:
    assert policy.ttl_ns(strike, Fences()) <= policy.ttl_ns(strike + 1, Fences()) <= int(Fences().max_ttl_s * 1e9)


def test_offences_that_were_only_rehearsed_rejected_or_undone_are_no_strikes() -> None:
    past = [
        decision("a", state=State.RELEASED),
        decision("b", state=State.ENFORCED),
        decision("c", state=State.RELEASED, simulated=True),
        decision("d", state=State.REJECTED),
        decision("e", state=State.FAILED),
    ]
    assert policy.strikes(past) == 3


def test_a_further_verdict_moves_the_end_back_but_not_at_every_tick() -> None:
    live = decision(until_ns=NOON_NS + HOUR, strikes=1)
    soon, late = verdict(at_ns=NOON_NS + 10**9), verdict(at_ns=NOON_NS + HOUR // 2)
    assert policy.extended_until_ns(live, soon, Fences()) == live.until_ns
    assert policy.extended_until_ns(live, late, Fences()) == NOON_NS + HOUR // 2 + HOUR


def test_evidence_of_a_break_in_takes_the_end_away_and_it_does_not_come_back() -> None:
    live = decision(until_ns=NOON_NS + HOUR)
    assert policy.extended_until_ns(live, verdict(evidence_=(evidence(compromise=True),)), Fences()) == 0
    assert policy.extended_until_ns(replace(live, until_ns=0), verdict(at_ns=NOON_NS + HOUR), Fences()) == 0


def test_evidence_from_before_the_last_release_counts_no_more() -> None:
    said = verdict(at_ns=NOON_NS, evidence_=(evidence(at_ns=NOON_NS - 10**9), evidence("scan", at_ns=NOON_NS)))
    assert policy.fresh_score(said, since_ns=NOON_NS - 2 * 10**9) > 99
    assert 94 < policy.fresh_score(said, since_ns=NOON_NS - 10**9) < 96
    assert policy.fresh_score(said, since_ns=NOON_NS) == 0.0


def test_the_policys_own_defaults_load() -> None:
    assert Rulebook(version=1).mode == "approve"
