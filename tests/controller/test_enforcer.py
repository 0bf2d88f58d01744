from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from controller.domain.address import Vlan
from controller.domain.decision import By, State
from controller.domain.fence import Action, Entry, FenceKind, Slot, SlotKind, SlotState
from controller.domain.record import Decision, LegState
from controller.domain.rulebook import Corroboration, Fences, Limits
from controller.ledger import Ledger
from tests.controller.fakes import EVERYTHING
from tests.controller.house import House, World, world
from tests.controller.network_cases import NOON_NS, SITE, entered, estate, evidence, fragments, mac, rules, verdict

GE1, GE3 = Slot("sw1", SlotKind.PORT, "ge1"), Slot("sw1", SlotKind.PORT, "ge3")
ACCESS = SlotState(vlan=Vlan(120), enabled=True)
QUARANTINE_ONLY = frozenset({"quarantine", "throttle"})


@pytest.fixture
def town(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        made.devices["sw1"].slots = {GE1: replace(ACCESS, vlan=Vlan(110)), GE3: ACCESS}
        yield made


def why(town: World, decision: Decision) -> str:
    return town.ledger.moves(decision.id)[-1].why


def states(town: World, decision: Decision) -> list[str]:
    return [move.after.value for move in town.ledger.moves(decision.id)]


def test_a_fence_is_recorded_with_its_undo_before_a_line_is_sent_and_verified_by_a_look_after(town: World) -> None:
    made = House(town).fenced(verdict())
    (record,) = made.fences
    assert record.legs[0].state is LegState.VERIFIED
    assert record.legs[0].change is not None
    assert len(record.legs[0].change.undo) == 2
    assert states(town, made) == ["proposed", "approved", "applying", "enforced"]
    journal = town.devices["sw1"].journal
    assert journal[-1] == "observe ge1"
    assert [one.id for one in town.sheet.kept] == [made.id]


def test_without_a_written_undo_sheet_nothing_is_sent(town: World) -> None:
    town.sheet.full = True
    with pytest.raises(OSError, match="no space"):
        House(town).hear(verdict())
    assert town.sent == []


def test_both_address_families_are_closed_at_once(town: World) -> None:
    House(town).fenced(verdict())
    sources = {str(entry.source) for entry in town.devices["sw1"].state(GE1).entries}
    assert sources == {"198.18.1.7/32", "2001:db8:1:7::/64"}


def test_a_refused_line_is_undone_from_the_state_seen_before(town: World) -> None:
    town.holds["sw1"] = QUARANTINE_ONLY
    town.devices["sw1"].refuses = "rate_bps"
    (made,) = House(town).hear(verdict("198.18.2.3"))
    assert made.state is State.FAILED
    assert town.devices["sw1"].state(GE3) == ACCESS
    assert made.fences[0].legs[0].state is LegState.UNDONE
    assert "refused" in why(town, made)
    assert town.ledger.native(GE3) is None


def test_unverified_fence_is_undone_from_the_state_seen_before(town: World) -> None:
    town.devices["sw1"].lies = True
    (made,) = House(town).hear(verdict("198.18.2.3"))
    assert made.state is State.FAILED
    assert "does not show what it was told" in why(town, made)
    assert len(town.pager.pages) == 1


def test_a_session_that_breaks_half_way_leaves_the_decision_stuck_and_a_person_called(town: World) -> None:
    town.holds["sw1"] = QUARANTINE_ONLY
    town.devices["sw1"].dies_after = 1
    (made,) = House(town).hear(verdict("198.18.2.3"))
    assert made.state is State.STUCK
    assert town.pager.pages == [page for page in town.pager.pages if made.id in page]
    assert len(town.pager.pages) == 1


def test_a_stuck_decision_is_settled_when_the_device_answers_again(town: World) -> None:
    town.holds["sw1"] = QUARANTINE_ONLY
    town.devices["sw1"].dies_after = 1
    house = House(town)
    (made,) = house.hear(verdict("198.18.2.3"))
    assert house.enforcer.resolve(made.id).state is State.STUCK
    assert len(town.pager.pages) == 1
    town.devices["sw1"].dead = False
    settled = house.enforcer.resolve(made.id)
    assert settled.state is State.FAILED
    assert town.devices["sw1"].state(GE3) == ACCESS


def test_a_device_that_cannot_be_reached_is_sent_nothing(town: World) -> None:
    town.devices["sw1"].dead = True
    (made,) = House(town).hear(verdict())
    assert made.state is State.FAILED
    assert states(town, made) == ["proposed", "approved", "failed"]
    assert town.sent == []


def test_foreign_configuration_in_the_slot_refuses_the_fence_and_the_next_one_is_tried(town: World) -> None:
    town.devices["sw2"].foreign[Slot("sw2", SlotKind.PORT, "ge3")] = ("entries: an ACL of somebody's",)
    town.devices["sw2"].foreign[Slot("hv1", SlotKind.GUEST, "vnet1")] = ()
    house = House(town)
    (refused,) = house.hear(fragments())
    assert refused.state is State.FAILED
    assert refused.facts["unsuitable"] == "filter_class@sw2"
    (other,) = house.hear(fragments(at_ns=NOON_NS + 10**9))
    assert other.fences[0].fence.kind is FenceKind.BLOCK_ADDRESS


def test_what_a_dialect_cannot_hold_there_is_found_before_anything_is_sent(town: World) -> None:
    town.devices["sw1"].unsupported = "no such VLAN"
    (made,) = House(town).hear(verdict())
    assert made.state is State.FAILED
    assert town.sent == []


def test_a_quiet_port_refuses_what_the_sensors_say_and_a_person_is_called(town: World) -> None:
    town.devices["sw1"].rates = (45e3, 30.0)
    (made,) = House(town).hear(verdict())
    assert made.state is State.FAILED
    assert town.sent == []
    assert "counts 0.0 Mbit/s" in town.pager.pages[0]


def test_counters_that_cannot_be_read_confirm_nothing(town: World) -> None:
    town.devices["hv1"].counters = lambda _: (_ for _ in ()).throw(_unreadable())  # type: ignore[method-assign]  # a fault
    (made,) = House(town).hear(verdict("198.18.2.101"))
    assert made.state is State.FAILED
    assert "could not be read" in why(town, made)


def _unreadable() -> Exception:
    from controller.domain.errors import Unreadable

    return Unreadable("hv1", "no such counters")


def test_the_policy_may_do_without_counters(town: World) -> None:
    town.devices["sw1"].rates = (45e3, 30.0)
    trusting = rules(limits=Limits(corroboration=Corroboration(counters=False)))
    assert House(town, rules_=trusting).fenced(verdict()).state is State.ENFORCED


def test_evidence_that_is_not_of_volume_needs_no_counters(town: World) -> None:
    from controller.domain.verdict import Witness

    town.devices["sw1"].rates = (0.0, 0.0)
    logs = (
        evidence("ids_alert", witness=Witness.IDS, source="198.19.255.9"),
        evidence("firewall_report", witness=Witness.FIREWALL, source="198.19.255.4"),
    )
    assert House(town).fenced(verdict(evidence_=logs)).state is State.ENFORCED


def test_limits_are_asked_again_when_the_fence_is_applied(town: World) -> None:
    house = House(town)
    (approved,) = house.decider.hear([verdict()])
    house.killed = True
    assert house.enforcer.carry_out(approved.id).state is State.FAILED
    assert town.sent == []


def test_a_person_may_lift_what_only_asks_for_a_person(town: World) -> None:
    house = House(town)
    assert house.hear(verdict("198.18.2.30")) == []
    (waiting,) = town.ledger.live()
    town.ledger.move(waiting, By.APPROVE, at_ns=NOON_NS, actor="alice", why="the DNS server really floods")
    assert house.enforcer.carry_out(waiting.id).state is State.ENFORCED


def test_what_a_person_approved_does_not_wait_for_counters(town: World) -> None:
    town.devices["hv1"].counters = lambda _: (_ for _ in ()).throw(_unreadable())  # type: ignore[method-assign]  # a fault
    house = House(town, rules_=rules(mode="approve"))
    house.hear(verdict("198.18.2.101"))
    (waiting,) = town.ledger.live()
    town.ledger.move(waiting, By.APPROVE, at_ns=NOON_NS, actor="alice", why="I see it myself")
    assert house.enforcer.carry_out(waiting.id).state is State.ENFORCED


def test_not_even_a_person_lifts_the_allow_list(town: World) -> None:
    house = House(town, rules_=rules(limits=Limits(allow=("vps7",))))
    house.hear(verdict())
    (waiting,) = town.ledger.live()
    town.ledger.move(waiting, By.APPROVE, at_ns=NOON_NS, actor="alice", why="please")
    assert house.enforcer.carry_out(waiting.id).state is State.FAILED
    assert town.sent == []


def test_a_dual_homed_host_is_fenced_on_all_legs_or_on_none(town: World) -> None:
    town.devices["sw2"].lies = True
    (made,) = House(town).hear(verdict("198.18.2.20"))
    assert made.state is State.FAILED
    assert [leg.state for leg in made.fences[0].legs] == [LegState.UNDONE, LegState.UNDONE]
    assert town.devices["sw1"].state(Slot("sw1", SlotKind.PORT, "ge8")).entries == frozenset()
    assert "+entry" in town.sent[0]
    assert any("-entry" in line for line in town.devices["sw1"].sent)


def test_legs_are_applied_in_order_and_undone_last_first(town: World) -> None:
    order: list[str] = []
    for name in ("sw1", "sw2"):
        device = town.devices[name]
        push = device.push
        device.push = lambda lines, *, confirm_within_s=0, push=push, name=name: (  # type: ignore[method-assign]  # listens
            order.append(name),
            push(lines, confirm_within_s=confirm_within_s),
        )[1]
    town.devices["sw2"].refuses = "entry"
    House(town).hear(verdict("198.18.2.20"))
    assert order == ["sw1", "sw2", "sw1"]


def test_a_device_with_a_revert_timer_is_confirmed_only_after_the_look(town: World) -> None:
    town.devices["sw1"].timer = True
    House(town).fenced(verdict())
    journal = town.devices["sw1"].journal
    assert journal[-2:] == ["observe ge1", "confirm"]


def test_a_change_that_was_not_seen_is_never_confirmed(town: World) -> None:
    town.devices["sw1"].timer = town.devices["sw1"].lies = True
    House(town).hear(verdict())
    assert "confirm" not in town.devices["sw1"].journal


def test_the_idempotent_twin_sends_nothing(town: World) -> None:
    house = House(town)
    made = house.fenced(verdict())
    before = list(town.sent)
    assert house.enforcer.carry_out(made.id).state is State.ENFORCED
    assert house.enforcer.repair(made.id).state is State.ENFORCED
    assert town.sent == before


def test_release_gives_the_port_back_what_it_had(town: World) -> None:
    town.holds["sw1"] = QUARANTINE_ONLY
    house = House(town)
    made = house.fenced(verdict("198.18.2.3"))
    assert town.devices["sw1"].state(GE3).vlan == 999
    freed = house.released(made)
    assert freed.state is State.RELEASED
    assert town.devices["sw1"].state(GE3) == ACCESS
    assert town.ledger.native(GE3) is None
    assert town.sheet.kept == ()
    assert house.enforcer.release(made.id).state is State.RELEASED


def test_a_release_that_the_device_does_not_show_is_stuck_and_tried_again(town: World) -> None:
    house = House(town)
    made = house.fenced(verdict())
    town.devices["sw1"].lies = True
    stuck = house.released(made)
    assert stuck.state is State.STUCK
    pages = len(town.pager.pages)
    assert house.enforcer.resolve(made.id).state is State.RELEASING
    assert house.enforcer.release(made.id).state is State.STUCK
    assert len(town.pager.pages) == pages
    town.devices["sw1"].lies = False
    house.enforcer.resolve(made.id)
    assert house.enforcer.release(made.id).state is State.RELEASED
    assert town.devices["sw1"].state(GE1).entries == frozenset()


def test_a_release_waits_while_the_device_is_away(town: World) -> None:
    house = House(town)
    made = house.fenced(verdict())
    town.devices["sw1"].dead = True
    assert house.released(made).state is State.STUCK
    assert house.enforcer.resolve(made.id).state is State.STUCK
    town.devices["sw1"].dead = False
    house.enforcer.resolve(made.id)
    assert house.enforcer.release(made.id).state is State.RELEASED


def test_a_port_that_another_tenant_has_now_is_not_given_a_vlan_back_without_a_person(town: World) -> None:
    town.holds["sw1"] = QUARANTINE_ONLY
    made = House(town).fenced(verdict("198.18.2.3"))
    moved = tuple(replace(one, tenant="somebody else") if one.name == "ded3" else one for one in SITE.hosts)
    house = House(town, estate_=estate(hosts=moved))
    newest = town.ledger.decision(made.id)
    town.ledger.move(newest, By.EXPIRE, at_ns=NOON_NS, actor="cordon/policy", why="its time is over")
    assert house.enforcer.release(made.id).state is State.STUCK
    assert house.enforcer.resolve(made.id).state is State.STUCK
    assert town.devices["sw1"].state(GE3).vlan == 999
    assert house.released(made).state is State.RELEASED


def test_a_restart_of_the_device_brings_the_fence_back(town: World) -> None:
    house = House(town)
    made = house.fenced(verdict())
    town.devices["sw1"].restart((GE1, replace(ACCESS, vlan=Vlan(110))))
    again = house.enforcer.repair(made.id)
    assert again.state is State.ENFORCED
    assert len(town.devices["sw1"].state(GE1).entries) == 2
    assert states(town, made)[-2:] == ["applying", "enforced"]
    assert again.verified_wall_ns == made.verified_wall_ns


def test_a_repair_that_cannot_be_applied_is_not_silent(town: World) -> None:
    house = House(town)
    made = house.fenced(verdict())
    town.devices["sw1"].restart((GE1, replace(ACCESS, vlan=Vlan(110))))
    town.devices["sw1"].lies = True
    assert house.enforcer.repair(made.id).state in {State.FAILED, State.STUCK}
    assert town.pager.pages


def test_what_a_person_changed_on_a_live_fence_is_left_alone_and_told_once(town: World) -> None:
    town.holds["sw1"] = QUARANTINE_ONLY
    house = House(town)
    made = house.fenced(verdict("198.18.2.3"))
    device = town.devices["sw1"]
    device.slots[GE3] = replace(device.state(GE3), vlan=Vlan(130))
    sent = len(device.sent)
    house.enforcer.repair(made.id)
    house.enforcer.repair(made.id)
    assert len(device.sent) == sent
    assert [page for page in town.pager.pages if "vlan" in page] == town.pager.pages
    assert len(town.pager.pages) == 1
    house.released(made)
    assert device.state(GE3) == replace(ACCESS, vlan=Vlan(130))


def test_rules_of_others_survive_fence_and_release(town: World) -> None:
    theirs = Entry(Action.DROP, ip_network("203.0.113.0/24"))
    device = town.devices["sw1"]
    device.slots[GE1] = replace(device.state(GE1), entries=frozenset({theirs}))
    house = House(town)
    house.released(house.fenced(verdict()))
    assert device.state(GE1).entries == {theirs}


def test_a_rehearsal_walks_the_same_way_and_sends_nothing(town: World) -> None:
    (made,) = House(town, rules_=rules("dry-run")).hear(verdict())
    assert (made.state, made.simulated) == (State.APPROVED, True)
    assert town.sent == []
    change = made.fences[0].legs[0].change
    assert change is not None
    assert len(change.apply) == 2
    assert states(town, made) == ["proposed", "approved", "applying", "approved"]
    assert any(one.rule == "port-counters" and one.allows for one in made.reasons)
    assert town.ledger.native(GE1) is None
    assert town.sheet.kept == ()


def test_a_rehearsal_plans_every_leg(town: World) -> None:
    (made,) = House(town, rules_=rules("dry-run")).hear(verdict("198.18.2.20"))
    assert all(leg.change is not None and leg.change.apply for leg in made.fences[0].legs)


def test_a_segment_in_dry_run_is_rehearsed_on_devices_that_are_live(town: World) -> None:
    segments = tuple(replace(one, mode="dry-run") if one.name == "vps" else one for one in SITE.segments)
    house = House(town, estate_=estate(segments=segments))
    (rehearsed,) = house.hear(verdict())
    assert rehearsed.simulated
    assert town.sent == []
    assert house.fenced(verdict("198.18.2.3")).state is State.ENFORCED


def test_entries_may_stay_on_the_device_until_the_end_and_a_margin(town: World) -> None:
    timers: list[int | None] = []
    device = town.devices["sw1"]
    plan = device.plan
    device.plan = lambda want, have: (timers.append(want.expires_s), plan(want, have))[1]  # type: ignore[method-assign]  # listens
    House(town, rules_=rules(fences=Fences(ttl_s=100.0, device_margin_s=50.0))).fenced(verdict())
    assert timers[0] is not None
    assert 149 <= timers[0] <= 150


def test_on_a_slot_of_several_decisions_the_device_may_keep_entries_until_the_last_ends(town: World) -> None:
    timers: list[int | None] = []
    device = town.devices["sw1"]
    plan = device.plan
    device.plan = lambda want, have: (timers.append(want.expires_s), plan(want, have))[1]  # type: ignore[method-assign]  # listens
    house = House(town)
    first = house.fenced(verdict("198.18.1.7"))
    house.later(600.0)
    house.fenced(verdict("198.18.1.8", at_ns=house.time.now_ns()))
    house.enforcer.repair(first.id)
    assert timers == [3900, 3900, 3900]
    house.fenced(
        verdict(
            "198.18.1.9",
            at_ns=house.time.now_ns() + 1,
            evidence_=(evidence(at_ns=house.time.now_ns(), compromise=True),),
        )
    )
    house.enforcer.repair(first.id)
    assert timers[3:] == [None, None]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["first freed first", "second freed first"])
@pytest.mark.parametrize("edit", ["before", "between", "after"])
def test_two_guests_on_one_port_and_a_persons_hand_in_every_order(
    town: World, order: tuple[int, int], edit: str
) -> None:
    device, house = town.devices["sw1"], House(town)

    def hand() -> None:
        device.slots[GE1] = replace(device.state(GE1), vlan=Vlan(130), rate_bps=50_000_000)

    made = [house.fenced(verdict("198.18.1.7"))]
    if edit == "before":
        hand()
    made.append(house.fenced(verdict("198.18.1.8", at_ns=NOON_NS + 1)))
    if edit == "between":
        hand()
    house.released(made[order[0]])
    left = made[order[1]]
    own = {entry for leg in left.fences[0].fence.legs for entry in leg.effect.entries}
    assert device.state(GE1).entries == own
    if edit == "after":
        hand()
    house.released(left)
    assert device.state(GE1) == SlotState(vlan=Vlan(130), enabled=True, rate_bps=50_000_000)
    assert town.ledger.native(GE1) is None


@pytest.mark.parametrize("first", [0, 1])
def test_a_port_with_a_wide_fence_and_a_block_ends_native_plus_what_is_live(town: World, first: int) -> None:
    town.holds["sw1"] = EVERYTHING
    device = town.devices["sw1"]
    house = House(town)
    block = house.fenced(verdict("198.18.1.7"))
    assert house.hear(entered("198.19.255.1", 1, mac(60000))) == []
    (waiting,) = (one for one in town.ledger.live() if one.state is State.PROPOSED)
    town.ledger.move(waiting, By.APPROVE, at_ns=NOON_NS, actor="alice", why="the whole port, for now")
    wide = house.enforcer.carry_out(waiting.id)
    assert wide.state is State.ENFORCED
    both = [block, wide]
    house.released(both[first])
    house.released(both[1 - first])
    assert device.state(GE1) == replace(ACCESS, vlan=Vlan(110))


def test_an_unreachable_ledger_stops_everything_before_a_line_is_sent(town: World) -> None:
    from controller.domain.errors import LedgerUnavailable

    class Away:
        def __init__(self, behind: Ledger) -> None:
            self._behind = behind

        def __getattr__(self, name: str) -> object:
            if name == "record":
                raise LedgerUnavailable("the database went away")
            return getattr(self._behind, name)

    with pytest.raises(LedgerUnavailable):
        House(town, ledger=Away(town.ledger)).hear(verdict())
    assert town.sent == []
