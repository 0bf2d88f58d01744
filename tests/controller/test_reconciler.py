from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from controller.clerk import POLICY
from controller.desk import Desk
from controller.domain.decision import By, State
from controller.domain.errors import LedgerUnavailable
from controller.domain.fence import Slot, SlotKind
from controller.domain.record import Decision
from controller.domain.rulebook import Fences
from tests.controller.house import House, World, world
from tests.controller.network_cases import NOON_NS, entered, evidence, mac, rules, verdict

SW1 = "198.19.255.1"
GE1 = Slot("sw1", SlotKind.PORT, "ge1")
SECOND = 10**9


@pytest.fixture
def town(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


def desk(town: World) -> Desk:
    return Desk(town.ledger, town.clock)


def told(town: World) -> list[tuple[str, str]]:
    return [(note.subject, note.state) for note in town.announcer.notes]


def test_from_verdict_to_release_by_time_without_a_hand(town: World) -> None:
    house = House(town, rules_=rules(fences=Fences(ttl_s=60.0)))
    house.reconciler.hear([verdict()])
    assert house.lanes.idle(20.0)
    assert town.only.state is State.ENFORCED
    house.later(59.0)
    house.settle()
    assert town.only.state is State.ENFORCED
    house.later(2.0)
    house.settle()
    assert town.only.state is State.RELEASED
    assert town.devices["sw1"].state(GE1).entries == frozenset()
    moves = town.ledger.moves(town.only.id)
    assert {move.actor for move in moves} == {POLICY}
    assert By.EXPIRE in {move.by for move in moves}
    assert house.failures == []


def test_a_suspects_port_is_read_before_the_decision_is_written(town: World, monkeypatch: pytest.MonkeyPatch) -> None:
    house, journals = House(town), []
    propose = town.ledger.propose

    def proposing(*said: object, **more: object) -> Decision:
        assert house.lanes.idle(20.0)
        journals.append(list(town.devices["sw1"].journal))
        return propose(*said, **more)

    monkeypatch.setattr(town.ledger, "propose", proposing)
    house.reconciler.hear([verdict()])
    assert house.lanes.idle(20.0)
    assert journals == [["counters ge1"]]
    assert town.only.state is State.ENFORCED


def test_a_fence_ends_by_event_time_and_not_by_the_wall_clock(town: World) -> None:
    house = House(town, rules_=rules(fences=Fences(ttl_s=60.0)))
    house.fenced(verdict())
    town.clock.pause(3600.0)
    house.settle()
    assert town.only.state is State.ENFORCED


def test_a_fence_with_evidence_of_a_break_in_waits_for_a_person(town: World) -> None:
    house = House(town)
    made = house.fenced(verdict(evidence_=(evidence(compromise=True),)))
    house.later(200_000.0)
    house.settle()
    assert town.only.state is State.ENFORCED
    desk(town).release(made.id, actor="alice", why="it is clean")
    house.settle()
    assert town.only.state is State.RELEASED


def test_two_releases_at_once_are_one(town: World) -> None:
    house = House(town)
    made = house.fenced(verdict())
    desk(town).release(made.id, actor="alice", why="it is over")
    desk(town).release(made.id, actor="bob", why="it is over")
    house.settle()
    assert [move.by for move in town.ledger.moves(made.id)].count(By.RELEASE) == 1
    assert town.only.state is State.RELEASED


def test_what_a_person_approves_is_carried_out(town: World) -> None:
    house = House(town, rules_=rules("approve"))
    house.reconciler.hear([verdict()])
    desk(town).approve(town.only.id, actor="alice", why="it is him")
    house.settle()
    assert town.only.state is State.ENFORCED


def test_a_proposal_that_nobody_decides_on_lapses(town: World) -> None:
    house = House(town, rules_=rules("approve"))
    house.reconciler.hear([verdict()])
    house.later(3601.0)
    house.settle()
    assert town.only.state is State.LAPSED


def test_a_hold_ends_by_itself_unless_extended(town: World) -> None:
    house = House(town, rules_=rules("approve", fences=Fences(hold_s=120.0)))
    house.fenced(verdict("198.18.1.7"))
    kept = house.fenced(verdict("198.18.1.8", at_ns=NOON_NS + 1))
    desk(town).extend(kept.id, seconds=3600.0, actor="alice", why="yes, him")
    house.later(121.0)
    house.settle()
    assert {one.attachment.host: one.state for one in town.ledger.recent(since_ns=0)} == {
        "vps7": State.RELEASED,
        "vps8": State.ENFORCED,
    }


def test_a_rehearsal_is_kept_for_a_while_and_never_carried_out_twice(town: World) -> None:
    house = House(town, rules_=rules("dry-run"))
    house.reconciler.hear([verdict()])
    house.settle()
    assert [move.by for move in town.ledger.moves(town.only.id)].count(By.APPLY) == 1
    house.later(3700.0)
    house.settle()
    assert town.only.state is State.LAPSED
    assert town.sent == []


def test_drift_after_a_restart_of_the_device_is_repaired(town: World) -> None:
    house = House(town)
    house.fenced(verdict())
    town.devices["sw1"].restart()
    house.reconciler.sweep()
    assert house.lanes.idle(20.0)
    assert len(town.devices["sw1"].state(GE1).entries) == 2


def test_the_kill_switch_stops_repairs_and_new_fences_and_never_releases(town: World) -> None:
    house = House(town)
    made = house.fenced(verdict())
    town.devices["sw1"].restart()
    house.killed = True
    house.reconciler.sweep()
    assert house.lanes.idle(20.0)
    assert town.devices["sw1"].state(GE1).entries == frozenset()
    house.reconciler.hear([verdict("198.18.2.3", at_ns=NOON_NS + SECOND)])
    house.settle()
    assert [one.state for one in town.ledger.live()] == [State.ENFORCED, State.PROPOSED]
    desk(town).release(made.id, actor="alice", why="it is over")
    house.settle()
    assert town.ledger.decision(made.id).state is State.RELEASED


def test_a_sweep_of_a_device_that_is_away_says_so_and_changes_nothing(town: World) -> None:
    house = House(town)
    house.fenced(verdict())
    town.devices["sw1"].dead = True
    house.reconciler.sweep()
    assert house.lanes.idle(20.0)
    assert town.only.state is State.ENFORCED
    assert house.failures == []


def test_a_job_that_broke_off_is_not_asked_again_at_once(town: World) -> None:
    house = House(town)
    (approved,) = house.decider.hear([verdict()])
    house.reconciler.rest(approved.id)
    house.settle()
    assert town.only.state is State.APPROVED
    town.clock.pause(6.0)
    house.settle()
    assert town.only.state is State.ENFORCED


def test_a_ledger_that_goes_away_under_a_job_is_carried_on_when_it_is_back(town: World) -> None:
    class Flaky:
        def __init__(self) -> None:
            self.away = False

        def __getattr__(self, name: str) -> object:
            if self.away and name == "keep":
                raise LedgerUnavailable("gone in the middle")
            return getattr(town.ledger, name)

    flaky = Flaky()
    house = House(town, ledger=flaky)
    (approved,) = house.decider.hear([verdict()])
    flaky.away = True
    house.reconciler.attend()
    assert house.lanes.idle(20.0)
    assert [type(error) for error in house.failures] == [LedgerUnavailable]
    assert town.state(approved) is State.APPLYING
    flaky.away = False
    house.settle()
    assert town.state(approved) is State.ENFORCED


def test_the_streams_are_told_which_subjects_are_under_watch_until_it_is_over(town: World) -> None:
    house = House(town)
    made = house.fenced(verdict())
    house.reconciler.attend()
    house.reconciler.attend()
    assert told(town) == [("host:198.18.1.7", "enforced")]
    town.clock.pause(6.0)
    house.reconciler.attend()
    assert told(town)[1:] == [("host:198.18.1.7", "enforced")]
    desk(town).release(made.id, actor="alice", why="it is over")
    house.settle()
    assert told(town)[-1] == ("host:198.18.1.7", "released")
    town.clock.pause(60.0)
    before = len(told(town))
    house.settle()
    assert len(told(town)) == before


def test_all_names_of_an_attachment_are_under_watch(town: World) -> None:
    house = House(town)
    house.fenced(verdict("198.18.1.7"))
    house.decider.hear([entered(SW1, 1, mac(7), at_ns=NOON_NS + 1)])
    house.reconciler.attend()
    assert {subject for subject, _ in told(town)} == {"host:198.18.1.7", f"attachment:{SW1}#1/{mac(7)}"}


def test_suspects_ports_are_read_before_they_are_at_isolate(town: World) -> None:
    house = House(town)
    house.reconciler.hear([verdict(score=45.0)])
    assert house.lanes.idle(20.0)
    assert town.devices["sw1"].journal == ["counters ge1"]
    before = town.clock.ns
    town.clock.pause(0.3)
    house.fenced(verdict(at_ns=NOON_NS + 1))
    assert town.devices["sw1"].journal.count("counters ge1") == 2
    assert town.clock.ns == before + 300_000_000  # nobody had to wait for a second reading


def test_two_subjects_on_one_switch_are_fenced_one_after_the_other(town: World) -> None:
    house = House(town)
    house.reconciler.hear([verdict("198.18.1.7"), verdict("198.18.1.8", score=99.0)])
    assert house.lanes.idle(20.0)
    by_score = sorted(town.ledger.live(), key=lambda one: -one.score)
    assert [one.state for one in by_score] == [State.ENFORCED, State.ENFORCED]
    first, second = (_verified(one) for one in by_score)
    assert first <= second
    assert len(town.devices["sw1"].state(GE1).entries) == 4


def _verified(one: Decision) -> int:
    return one.fences[0].legs[0].verified_ns


def test_a_stale_undo_sheet_is_written_anew(town: World) -> None:
    house = House(town)
    made = house.fenced(verdict())
    town.sheet.kept = ()
    house.reconciler.sweep()
    assert [one.id for one in town.sheet.kept] == [made.id]
    assert house.lanes.idle(20.0)


def test_a_decision_moved_under_our_hands_is_left_to_the_next_round(town: World) -> None:
    house = House(town, rules_=rules(fences=Fences(ttl_s=60.0)))
    made = house.fenced(verdict())
    house.later(61.0)
    stale = town.ledger.live()
    town.ledger.keep(replace(made, effect="fallen"))
    house.ledger = town.ledger
    live = town.ledger.live
    town.ledger.live = lambda: stale
    house.reconciler.attend()
    town.ledger.live = live
    assert town.only.state is State.ENFORCED
    house.settle()
    assert town.only.state is State.RELEASED
