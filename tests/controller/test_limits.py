"""Each limit refuses where it should; taking one out of `limits.ask` makes its test fail."""

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from controller.decider import decision_id
from controller.domain.decision import State
from controller.domain.estate import Estate, HostRole, Source, SourceFormat
from controller.domain.fence import Effect, Fence, FenceKind, Leg, Slot, SlotKind
from controller.domain.record import Attachment, Decision, FenceRecord, LegRecord
from controller.domain.rulebook import BlastRadius, Corroboration, Fences, Limits, Quiet, Rulebook
from controller.domain.verdict import Verdict, Witness
from controller.limits import ABSOLUTE, Rule, Situation, absolute, ask, refusals
from controller.locating import locate
from controller.planning import Need, candidates
from tests.controller.fakes import FakeNetwork
from tests.controller.ledger_cases import decision as a_decision
from tests.controller.network_cases import (
    NOON_NS,
    SITE,
    SW1,
    SW2,
    entered,
    estate,
    evidence,
    mac,
    rules,
    verdict,
)


def proposal(said: Verdict, kind: FenceKind | None = None, *, place: Estate | None = None, **changes: Any) -> Decision:
    """A decision on this verdict with the best fence, or the best of a kind."""
    place = place or estate()
    who = locate(said, place)
    found = [one for one in candidates(who, Need(), place, rules(), FakeNetwork({}).holds) if kind in (None, one.kind)]
    records = tuple(FenceRecord(one, tuple(LegRecord(leg.slot) for leg in one.legs)) for one in found[:1])
    values: dict[str, Any] = {
        "subject": str(said.subject),
        "attachment": who,
        "fences": records,
        "evidence": said.evidence,
        "score": said.score,
        "rates": said.rates,
        "created_ns": said.tick_end_ns,
        "verdict_id": said.id,
    }
    return a_decision(decision_id(said), **(values | changes))


def around(**changes: Any) -> Situation:
    limits = changes.pop("limits", None)
    book: Rulebook = changes.pop("rules_", rules())
    book = replace(book, limits=limits) if limits else book
    values: dict[str, Any] = {"estate": estate(), "rules": book, "now_ns": NOON_NS + 10**9}
    return Situation(**(values | changes))


def against(one: Decision, situation: Situation | None = None) -> set[str]:
    return {reason.rule for reason in refusals(ask(one, situation or around()))}


def standing(numbers: Iterable[int], state: State = State.ENFORCED, **changes: Any) -> tuple[Decision, ...]:
    return tuple(proposal(verdict(f"198.18.1.{n}"), state=state, **changes) for n in numbers)


def test_one_unprotected_subject_with_one_trusted_exporter_may_be_fenced() -> None:
    assert against(proposal(verdict("198.18.1.7"))) == set()


def test_every_answer_is_a_sentence_of_its_own_and_refusals_stand_first() -> None:
    reasons = ask(proposal(verdict("198.18.2.30")), around(killed=True))
    assert [one.allows for one in reasons] == sorted(one.allows for one in reasons)
    assert all(len(one.text) > 10 for one in reasons)


def test_the_kill_switch_stops_everything_new() -> None:
    assert against(proposal(verdict()), around(killed=True)) == {Rule.KILL_SWITCH}


def test_nothing_to_do_is_said_and_no_approval_helps() -> None:
    empty = proposal(verdict(), fences=())
    assert Rule.NO_FENCE in against(empty)
    assert absolute(ask(empty, around()))


@pytest.mark.parametrize("name", ["vps7", "tenant-7", "198.18.1.7", "198.18.1.0/29", "2001:db8:1::/48"])
def test_the_allow_list_knows_hosts_tenants_addresses_and_prefixes(name: str) -> None:
    assert against(proposal(verdict()), around(limits=Limits(allow=(name,)))) == {Rule.ALLOW_LIST}


@pytest.mark.parametrize("name", ["vps8", "tenant-70", "198.18.1.70", "198.18.2.0/24"])
def test_the_allow_list_covers_nobody_else(name: str) -> None:
    assert against(proposal(verdict()), around(limits=Limits(allow=(name,)))) == set()


def test_what_cordon_lives_on_is_found_by_address_and_protected_without_configuration() -> None:
    lives = around(lifelines=frozenset({ip_address("198.18.2.3")}))
    assert Rule.LIFELINE in against(proposal(verdict("198.18.2.3")), lives)
    assert Rule.LIFELINE not in against(proposal(verdict("198.18.2.4")), lives)


def test_a_port_that_carries_a_lifeline_is_not_closed_for_its_neighbour() -> None:
    lives = around(lifelines=frozenset({ip_address("198.18.2.32")}))
    assert Rule.LIFELINE in against(proposal(verdict("198.18.2.33"), FenceKind.SHUT), lives)
    assert Rule.LIFELINE not in against(proposal(verdict("198.18.2.33"), FenceKind.BLOCK_ADDRESS), lives)


def test_the_forensics_host_and_the_management_network_are_lifelines() -> None:
    assert Rule.LIFELINE in against(proposal(verdict("198.18.2.31")))
    moved = tuple(
        replace(one, addresses=(*one.addresses, ip_address("198.19.255.9"))) if one.name == "ded3" else one
        for one in SITE.hosts
    )
    place = estate(hosts=moved)
    assert Rule.LIFELINE in against(proposal(verdict("198.18.2.3"), place=place), around(estate=place))


@pytest.mark.parametrize("name", ["up1", "nowhere"])
def test_uplinks_and_ports_outside_the_site_file_are_never_touched(name: str) -> None:
    fence = Fence(FenceKind.SHUT, (Leg(Slot("sw1", SlotKind.PORT, name), Effect(enabled=False)),))
    one = proposal(verdict("198.18.2.3"), fences=(FenceRecord(fence, (LegRecord(fence.legs[0].slot),)),))
    assert Rule.PORT_ROLE in against(one)
    assert Rule.PORT_ROLE in {reason.rule for reason in absolute(ask(one, around()))}


def test_a_protected_role_waits_for_a_person_who_may_decide_otherwise() -> None:
    one = proposal(verdict("198.18.2.30"))
    assert against(one) == {Rule.PROTECTED}
    assert absolute(ask(one, around())) == ()


def test_protected_neighbours_protect_the_port_but_not_the_guest_beside_them() -> None:
    hosts = tuple(replace(one, role=HostRole.STORAGE) if one.name == "backup2" else one for one in SITE.hosts)
    place = estate(hosts=hosts)
    wide = proposal(verdict("198.18.2.32"), FenceKind.SHUT, place=place)
    narrow = proposal(verdict("198.18.2.32"), FenceKind.BLOCK_ADDRESS, place=place)
    assert Rule.PROTECTED in against(wide, around(estate=place))
    assert Rule.PROTECTED not in against(narrow, around(estate=place))


def test_a_protected_prefix_protects_whoever_has_an_address_in_it() -> None:
    place = estate(protected=(next(iter(SITE.segments[1].prefixes)),))
    assert Rule.PROTECTED in against(proposal(verdict("198.18.2.3"), place=place), around(estate=place))


@pytest.mark.parametrize("sender", ["00:00:5e:00:01:0a", "00:00:0c:07:ac:01", "00:00:0c:9f:f0:01", "00:07:b4:00:01:02"])
def test_a_virtual_routers_mac_is_nobody_to_fence(sender: str) -> None:
    assert Rule.PROTECTED in against(proposal(entered(SW1, 1, sender), FenceKind.THROTTLE))


def test_a_gateways_mac_is_nobody_to_fence() -> None:
    hosts = tuple(replace(one, role=HostRole.NAT, mac=mac(5000)) if one.name == "ded3" else one for one in SITE.hosts)
    place = estate(hosts=hosts)
    one = proposal(entered(SW1, 1, mac(5000)), FenceKind.THROTTLE, place=place)
    assert any("gateway" in reason.text for reason in refusals(ask(one, around(estate=place))))


def test_a_host_that_the_estate_ties_to_no_port_is_not_fenced_automatically() -> None:
    loose = proposal(verdict(), attachment=Attachment("vps7", "tenant-7", "vps", (), ("198.18.1.7/32",)))
    assert Rule.TIED in against(loose)


@pytest.mark.parametrize("kind", [FenceKind.SHUT, FenceKind.QUARANTINE])
def test_a_shared_port_is_never_shut_or_quarantined_automatically(kind: FenceKind) -> None:
    free = around(rules_=rules(fences=Fences(automatic_shut=True)))
    free = replace(free, rules=replace(free.rules, limits=Limits(blast=BlastRadius(tenants_per_fence=99))))
    assert Rule.SHARED_PORT in against(proposal(verdict(), kind), free)
    assert Rule.SHARED_PORT not in against(proposal(verdict("198.18.2.3"), kind), free)


def test_a_port_that_carries_storage_is_never_throttled_automatically() -> None:
    slot = Slot("sw1", SlotKind.PORT, "store1")
    fence = Fence(FenceKind.THROTTLE, (Leg(slot, Effect(rate_bps=10**7)),), collateral=("service:storage",))
    one = proposal(verdict("198.18.2.32"), fences=(FenceRecord(fence, (LegRecord(slot),)),))
    assert Rule.SHARED_PORT in against(one)


def test_a_port_is_shut_automatically_only_where_the_policy_says_so() -> None:
    one = proposal(verdict("198.18.2.3"), FenceKind.SHUT)
    assert against(one) == {Rule.NEVER_ALONE}
    assert against(one, around(rules_=rules(fences=Fences(automatic_shut=True)))) == set()


def test_a_segment_is_never_isolated_automatically() -> None:
    slot = Slot("fw1", SlotKind.FIREWALL, "cordon")
    fence = Fence(FenceKind.ISOLATE_SEGMENT, (Leg(slot, Effect()),))
    one = proposal(verdict("198.18.3.3"), fences=(FenceRecord(fence, (LegRecord(slot),)),))
    assert Rule.NEVER_ALONE in against(one, around(rules_=rules(fences=Fences(automatic_shut=True))))


def test_a_throttle_that_touches_neighbours_waits_for_a_person() -> None:
    assert Rule.TENANTS in against(proposal(verdict(), FenceKind.THROTTLE))


def test_no_more_of_a_segment_than_the_policys_share() -> None:
    # 22 hosts in segment vps: a tenth, rounded up, is 3
    fresh = proposal(verdict("198.18.1.20"))
    assert Rule.BLAST_RADIUS not in against(fresh, around(live=standing([1, 2])))
    assert Rule.BLAST_RADIUS in against(fresh, around(live=standing([1, 2, 3])))


def test_the_share_counts_tenants_as_well_as_subjects() -> None:
    hosts = tuple(replace(one, tenant="one for all") if one.segment == "dedicated" else one for one in SITE.hosts)
    place = estate(hosts=hosts)
    limits = Limits(blast=BlastRadius(per_segment_share=0.5))
    many = tuple(proposal(verdict(f"198.18.2.{n}"), place=place, state=State.ENFORCED, id=f"d{n}") for n in (3, 4))
    mixed = tuple(replace(one, attachment=replace(one.attachment, tenant=f"guest of {one.id}")) for one in many)
    fresh = proposal(verdict("198.18.2.5"), place=place)
    assert Rule.BLAST_RADIUS not in against(fresh, around(estate=place, limits=limits, live=many))
    assert Rule.BLAST_RADIUS in against(fresh, around(estate=place, limits=limits, live=mixed))


@pytest.mark.parametrize(
    "blast",
    [BlastRadius(per_device=2, per_segment_share=1.0), BlastRadius(global_subjects=2, per_segment_share=1.0)],
    ids=["per device", "in the whole network"],
)
def test_devices_and_the_whole_network_have_their_own_most(blast: BlastRadius) -> None:
    fresh = proposal(verdict("198.18.1.20"))
    assert Rule.BLAST_RADIUS not in against(fresh, around(limits=Limits(blast=blast), live=standing([1])))
    assert Rule.BLAST_RADIUS in against(fresh, around(limits=Limits(blast=blast), live=standing([1, 2])))


def test_fences_that_were_released_still_count_within_the_window() -> None:
    limits = Limits(blast=BlastRadius(per_window=2, window_s=600.0))
    fresh = proposal(verdict("198.18.1.20"))
    recent = standing([1, 2], State.RELEASED)
    assert Rule.BLAST_RADIUS in against(fresh, around(limits=limits, recent=recent))
    late = around(limits=replace(limits, verdict_max_age_s=1e9, sensor_max_age_s=1e9), recent=recent)
    assert Rule.BLAST_RADIUS not in against(fresh, replace(late, now_ns=NOON_NS + 601 * 10**9))


def test_proposals_and_what_was_rejected_take_no_room() -> None:
    idle = (*standing([1, 2], State.PROPOSED), *standing([3, 4], State.REJECTED))
    assert against(proposal(verdict("198.18.1.20")), around(live=idle, recent=idle)) == set()


def test_rehearsals_take_no_room_from_real_fences_but_real_ones_do_from_rehearsals() -> None:
    rehearsed = standing([1, 2, 3], simulated=True)
    assert against(proposal(verdict("198.18.1.20")), around(live=rehearsed)) == set()
    fresh = proposal(verdict("198.18.1.20"), simulated=True)
    assert Rule.BLAST_RADIUS in against(fresh, around(live=standing([1, 2, 3])))


def test_a_decision_does_not_stand_in_its_own_way() -> None:
    one = proposal(verdict(), state=State.APPROVED)
    limits = Limits(blast=BlastRadius(global_subjects=1, per_window=1, per_device=1))
    assert against(one, around(limits=limits, live=(one,), recent=(one,))) == set()


def test_a_sensor_that_accuses_a_crowd_may_be_mad() -> None:
    assert Rule.SENSOR in against(proposal(verdict()), around(accused={SW1: 12}))
    assert against(proposal(verdict()), around(accused={SW1: 3, SW2: 40})) == set()


@pytest.mark.parametrize(
    ("said", "enough"),
    [
        ((evidence(),), True),
        ((evidence(source="203.0.113.5"),), False),
        ((evidence("firewall_report", witness=Witness.FIREWALL, source="198.19.255.4"),), False),
        (
            (
                evidence("firewall_report", witness=Witness.FIREWALL, source="198.19.255.4"),
                evidence("ids_alert", witness=Witness.IDS, source="198.19.255.50"),
            ),
            True,
        ),
        (
            (
                evidence("firewall_report", witness=Witness.FIREWALL, source="198.19.255.4"),
                evidence("ids_alert", witness=Witness.IDS, source="203.0.113.5"),
            ),
            False,
        ),
        (
            (
                evidence("firewall_report", witness=Witness.FIREWALL, source="198.19.255.4"),
                evidence("again", witness=Witness.FIREWALL, source="198.19.255.5"),
            ),
            False,
        ),
        ((evidence(at_ns=NOON_NS - 3600 * 10**9),), False),
    ],
    ids=[
        "a trusted exporter",
        "an unknown exporter",
        "syslog alone",
        "two kinds",
        "the second from outside",
        "two of one kind",
        "long faded",
    ],
)
def test_who_has_to_agree(said: tuple[Any, ...], enough: bool) -> None:
    limits = Limits(verdict_max_age_s=1e9, sensor_max_age_s=1e9)
    assert (Rule.CORROBORATION not in against(proposal(verdict(evidence_=said)), around(limits=limits))) is enough


def test_the_policy_may_want_more_witnesses() -> None:
    limits = Limits(corroboration=Corroboration(witnesses=2))
    assert Rule.CORROBORATION in against(proposal(verdict()), around(limits=limits))
    two = verdict(evidence_=(evidence(), evidence("scan", source=SW2)))
    assert Rule.CORROBORATION not in against(proposal(two), around(limits=limits))


def test_a_tenants_own_log_accuses_that_tenant_only() -> None:
    def log(source: str) -> Any:
        return evidence("web_exploit", witness=Witness.ACCESS_LOG, source=source)

    report = evidence("firewall_report", witness=Witness.FIREWALL, source="198.19.255.4")
    own = proposal(verdict("198.18.1.7", evidence_=(report, log("198.18.1.7"))))
    others = proposal(verdict("198.18.1.7", evidence_=(report, log("198.18.1.8"))))
    assert Rule.CORROBORATION not in against(own)
    assert Rule.CORROBORATION in against(others)


def test_a_declared_log_sender_counts_and_a_declared_flow_sender_outside_management_is_not_trusted() -> None:
    place = estate(sources=(Source("flows", SourceFormat.GOFLOW2_JSON, exporters=(ip_address("203.0.113.5"),)),))
    one = proposal(verdict(evidence_=(evidence(source="203.0.113.5"),)))
    reasons = [reason for reason in ask(one, around(estate=place)) if reason.rule is Rule.CORROBORATION]
    assert "1 kinds where the policy wants 2" in reasons[0].text


def test_a_verdict_that_is_old_is_not_acted_on() -> None:
    assert Rule.FRESHNESS in against(proposal(verdict()), around(now_ns=NOON_NS + 31 * 10**9))


def test_a_verdict_whose_sensors_fell_silent_is_not_acted_on() -> None:
    stale = verdict(evidence_=(evidence(at_ns=NOON_NS - 11 * 10**9, half_life_s=1e6),))
    assert against(proposal(stale)) == {Rule.FRESHNESS}
    assert Rule.FRESHNESS in against(proposal(verdict()), around(silent=frozenset({SW1})))


def test_nothing_is_automatic_in_quiet_hours() -> None:
    noon = Limits(quiet=(Quiet(11 * 60, 13 * 60),))
    night = Limits(quiet=(Quiet(23 * 60, 5 * 60),))
    assert against(proposal(verdict()), around(limits=noon)) == {Rule.QUIET_HOURS}
    assert against(proposal(verdict()), around(limits=night)) == set()


@pytest.mark.parametrize("state", [State.FAILED, State.REJECTED, State.STUCK])
def test_a_subject_on_which_a_fence_failed_waits_for_a_person(state: State) -> None:
    tried = proposal(verdict(at_ns=NOON_NS - 60 * 10**9), state=state)
    assert Rule.TRIED in against(proposal(verdict()), around(recent=(tried,)))
    assert Rule.TRIED not in against(proposal(verdict("198.18.1.8")), around(recent=(tried,)))
    cut_short = replace(tried, facts={"interrupted": "yes"})
    assert (Rule.TRIED in against(proposal(verdict()), around(recent=(cut_short,)))) is False


def test_what_an_approval_does_not_lift_is_a_small_fixed_set() -> None:
    assert {"kill-switch", "no-fence", "allow-list", "lifeline", "port-role"} == ABSOLUTE
