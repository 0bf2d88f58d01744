import stat
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete, text, update
from sqlalchemy.exc import DBAPIError

from controller import ledger_database
from controller.domain.address import prefix_of, vlan_of
from controller.domain.decision import By, State, first_break, replayed
from controller.domain.errors import ConfigError, IllegalMove, LedgerUnavailable, StaleDecision, UnknownSubject
from controller.domain.fence import Action, Change, Entry, Slot, SlotKind, SlotState
from controller.domain.record import Decision, LegState, Proof, Request, RequestKind
from controller.ledger import Ledger
from controller.ledger_reading import Filter, MoveFilter, Order, Reading
from controller.ledger_tables import MoveRow, SwitchRow
from tests.controller.ledger_cases import NOON_NS, decision, flood

SECOND = 1_000_000_000
PORT = Slot("sw-1", SlotKind.PORT, "eth1")


def moved(ledger: Ledger, one: Decision, *steps: By) -> Decision:
    for step in steps:
        one = ledger.move(one, step, at_ns=NOON_NS, actor="controller", why="test")
    return one


def test_a_proposal_is_kept_whole_with_its_first_move(ledger: Ledger) -> None:
    made = ledger.propose(decision(), actor="controller", why="score 95 of 80")
    assert ledger.decision("d-1") == made
    (first,) = ledger.moves()
    assert (first.by, first.before, first.after) == (By.PROPOSE, None, State.PROPOSED)
    assert (first.sequence, first.actor, first.why, first.at_ns) == (1, "controller", "score 95 of 80", NOON_NS)


def test_a_proposal_that_is_approved_at_once_has_both_moves(ledger: Ledger) -> None:
    made = ledger.propose(decision(), actor="controller", why="score 95", approved="no limit speaks against it")
    assert made == ledger.decision("d-1")
    assert made.state is State.APPROVED
    assert [(move.by, move.after, move.why) for move in ledger.moves()] == [
        (By.PROPOSE, State.PROPOSED, "score 95"),
        (By.APPROVE, State.APPROVED, "no limit speaks against it"),
    ]
    assert first_break(ledger.moves()) is None
    assert ledger.move(made, By.APPLY, at_ns=NOON_NS, actor="controller", why="w").version == 3


def test_a_change_is_recorded_with_what_its_slot_held(ledger: Ledger) -> None:
    one = ledger.propose(decision(), actor="c", why="w")
    leg = one.fences[0].legs[0]
    ledger.record(one, replace(leg, state=LegState.RECORDED), native=SlotState(vlan=vlan_of(10)))
    assert ledger.native(leg.slot) == SlotState(vlan=vlan_of(10))
    assert ledger.decision("d-1").fences[0].legs[0].state is LegState.RECORDED


def test_a_rehearsal_leaves_nothing_behind(ledger: Ledger) -> None:
    ledger.rehearse(decision())
    assert (ledger.live(), ledger.moves(), ledger.head()) == ((), (), 0)
    assert ledger.propose(decision(), actor="c", why="w").version == 1


def test_the_state_is_the_fold_of_the_moves_and_the_chain_is_whole(ledger: Ledger) -> None:
    one = ledger.propose(decision(), actor="c", why="w")
    steps = (By.APPROVE, By.APPLY, By.VERIFY, By.EXTEND, By.RELEASE, By.FREE)
    one = moved(ledger, one, *steps)
    assert one.state is replayed(steps) is ledger.decision("d-1").state is State.RELEASED
    assert first_break(ledger.moves()) is None
    assert [move.sequence for move in ledger.moves()] == [1, 2, 3, 4, 5, 6, 7]
    assert ledger.head() == 7


def test_a_move_that_the_table_does_not_know_keeps_nothing(ledger: Ledger) -> None:
    one = ledger.propose(decision(), actor="c", why="w")
    with pytest.raises(IllegalMove, match="possible: approve"):
        ledger.move(replace(one, effect="fallen"), By.VERIFY, at_ns=1, actor="c", why="w")
    assert ledger.decision("d-1") == one
    assert len(ledger.moves()) == 1


def test_a_decision_that_was_read_before_somebody_moved_it_is_stale(ledger: Ledger) -> None:
    old = ledger.propose(decision(), actor="c", why="w")
    now = ledger.move(old, By.APPROVE, at_ns=1, actor="c", why="w")
    for attempt in (
        lambda: ledger.move(old, By.REJECT, at_ns=1, actor="c", why="w"),
        lambda: ledger.keep(old),
        lambda: ledger.record(old, old.fences[0].legs[0], native=SlotState()),
    ):
        with pytest.raises(StaleDecision, match="version 1 is old"):
            attempt()
    assert ledger.decision("d-1") == now


def test_keeping_evidence_changes_the_version_and_not_the_state(ledger: Ledger) -> None:
    one = ledger.propose(decision(), actor="c", why="w")
    kept = ledger.keep(replace(one, evidence=(flood(NOON_NS + 9),), state=State.RELEASED))
    assert (kept.state, kept.version) == (State.PROPOSED, 2)
    assert ledger.decision("d-1") == kept
    assert len(ledger.moves()) == 1


def test_a_recorded_leg_holds_the_lines_and_their_undo(ledger: Ledger) -> None:
    one = ledger.propose(decision(), actor="c", why="w")
    leg = one.fences[0].legs[0]
    entry = Entry(Action.DROP, prefix_of("2001:db8::/64"))
    change = Change(leg.slot, SlotState(), SlotState(vlan_of(7), entries=frozenset({entry})), ("set",), ("unset",))
    ledger.record(one, replace(leg, change=change, state=LegState.RECORDED, recorded_ns=5), native=SlotState())
    read = ledger.decision("d-1").fences[0].legs[0]
    assert (read.change, read.state, read.recorded_ns) == (change, LegState.RECORDED, 5)


@pytest.mark.parametrize(
    "second",
    [
        decision("d-2", subject=decision("d-1").subject),
        decision("d-2", host="vps-d-1"),
        decision("d-2", verdict_id="verdict-of-d-1"),
        decision("d-1", host="vps-9", subject="host:198.18.9.9", verdict_id="other", simulated=True),
    ],
    ids=["same subject", "same host", "same verdict", "same id"],
)
def test_a_subject_has_one_live_decision(ledger: Ledger, second: Decision) -> None:
    first = ledger.propose(decision("d-1"), actor="c", why="w")
    with pytest.raises(StaleDecision, match="d-1"):
        ledger.propose(second, actor="c", why="w")
    assert ledger.live() == (first,)
    assert len(ledger.moves()) == 1


def test_the_database_itself_refuses_a_second_live_decision(ledger: Ledger) -> None:
    ledger.propose(decision("d-1"), actor="c", why="w")
    ledger.propose(decision("d-2"), actor="c", why="w")
    with pytest.raises(DBAPIError), ledger.database.writing() as session:
        session.execute(text("UPDATE decisions SET host = 'vps-d-1'"))


def test_a_subject_may_offend_again_after_its_decision_has_ended(ledger: Ledger) -> None:
    moved(ledger, ledger.propose(decision("d-1"), actor="c", why="w"), By.REJECT)
    again = ledger.propose(decision("d-2", host="vps-d-1"), actor="c", why="w")
    assert ledger.live() == (again,)


def test_a_verdict_that_was_decided_on_is_not_decided_on_again_after_the_end(ledger: Ledger) -> None:
    moved(ledger, ledger.propose(decision("d-1"), actor="c", why="w"), By.REJECT)
    with pytest.raises(StaleDecision, match="was decided on"):
        ledger.propose(decision("d-2", verdict_id="verdict-of-d-1"), actor="c", why="w")


def test_a_shadow_decision_does_not_stand_in_the_way_of_a_real_one(ledger: Ledger) -> None:
    shadow = ledger.propose(decision("d-1", simulated=True), actor="c", why="w")
    real = ledger.propose(decision("d-2", host="vps-d-1", verdict_id=shadow.verdict_id), actor="c", why="w")
    assert ledger.live() == (shadow, real)


def test_live_decisions_come_oldest_first_and_as_they_are_now(ledger: Ledger) -> None:
    younger = ledger.propose(decision("d-1", created_ns=NOON_NS + 5), actor="c", why="w")
    older = ledger.propose(decision("d-2"), actor="c", why="w")
    assert ledger.live() == (older, younger)
    older = ledger.keep(replace(older, effect="fallen"))
    assert ledger.live() == (older, younger)
    moved(ledger, older, By.LAPSE)
    assert ledger.live() == (younger,)


def test_moves_in_the_ledger_cannot_be_changed_or_removed(ledger: Ledger) -> None:
    ledger.propose(decision(), actor="c", why="w")
    ledger.set_killed("on", actor="a", why="w", at_ns=1)
    for table in (MoveRow, SwitchRow):
        for statement in (update(table).values(why="x"), delete(table)):
            with pytest.raises(DBAPIError, match="only grows"), ledger.database.writing() as session:
                session.execute(statement)


@pytest.mark.parametrize(
    ("forgery", "broken_at"),
    [
        ("UPDATE moves SET why = 'harmless' WHERE sequence = 2", 2),
        ("UPDATE moves SET actor = 'nobody' WHERE sequence = 1", 1),
        ("UPDATE moves SET \"by\" = 'bribe' WHERE sequence = 3", 3),
        ("DELETE FROM moves WHERE sequence = 2", 3),
        ("DELETE FROM moves WHERE sequence = 3", 3),
        ("DELETE FROM moves", 1),
    ],
)
def test_a_forgery_that_gets_past_the_triggers_is_found(ledger: Ledger, forgery: str, broken_at: int) -> None:
    moved(ledger, ledger.propose(decision(), actor="c", why="w"), By.APPROVE, By.APPLY)
    assert Reading(ledger.database).chain().whole
    with ledger.database.writing() as session:
        if ledger.database.engine.dialect.name == "sqlite":
            session.execute(text("DROP TRIGGER moves_no_update"))
            session.execute(text("DROP TRIGGER moves_no_delete"))
        else:
            session.execute(text("DROP TRIGGER moves_only_grows ON moves"))
        session.execute(text(forgery))
    assert Reading(ledger.database).chain().broken_at == broken_at


def test_strikes_count_decisions_that_were_enforced_and_not_their_moves(ledger: Ledger) -> None:
    enforced = (By.APPROVE, By.APPLY, By.VERIFY)
    one = moved(ledger, ledger.propose(decision("d-1", host="vps"), actor="c", why="w"), *enforced, By.REPAIR)
    moved(ledger, one, By.VERIFY, By.EXPIRE, By.FREE)
    two = ledger.propose(decision("d-2", host="vps"), actor="c", why="w")
    assert ledger.strikes("vps", since_ns=0) == 1
    moved(ledger, two, *enforced)
    assert ledger.strikes("vps", since_ns=0) == 2
    assert ledger.strikes("vps", since_ns=NOON_NS + 1) == 0
    assert ledger.strikes("other", since_ns=0) == 0


def test_recent_decisions_are_those_created_since_whatever_became_of_them(ledger: Ledger) -> None:
    ledger.propose(decision("d-1"), actor="c", why="w")
    ended = moved(ledger, ledger.propose(decision("d-2", created_ns=NOON_NS + 1), actor="c", why="w"), By.REJECT)
    assert ledger.recent(since_ns=NOON_NS + 1) == (ended,)


def test_a_host_that_is_loud_again_two_nights_later_continues_its_incident(ledger: Ledger) -> None:
    two_nights = 2 * 86_400 * SECOND
    first = moved(ledger, ledger.propose(decision("d-1", host="shared-3"), actor="c", why="w"), By.REJECT)
    again = decision("d-2", host="shared-3", created_ns=NOON_NS + two_nights)
    again = ledger.propose(again, actor="c", why="w")
    assert again.incident == first.incident != ""
    (found,) = Reading(ledger.database).incidents()[1]
    assert found.again == ("shared-3",)
    assert [one.id for one in found.decisions] == ["d-1", "d-2"]


def test_the_same_symptom_with_another_offender_continues_the_incident(ledger: Ledger) -> None:
    first = ledger.propose(decision("d-1", explains=("fw-1: fragment table full",)), actor="c", why="w")
    other = ledger.propose(decision("d-2", explains=("fw-1: fragment table full", "x")), actor="c", why="w")
    apart = ledger.propose(decision("d-3", explains=("sw-2: link saturated",)), actor="c", why="w")
    assert other.incident == first.incident != apart.incident
    (incident,) = [one for one in Reading(ledger.database).incidents()[1] if one.id == first.incident]
    assert incident.again == ()
    assert incident.symptoms == ("fw-1: fragment table full", "x")


def test_a_host_that_was_loud_a_month_ago_starts_a_new_incident(ledger: Ledger) -> None:
    first = moved(ledger, ledger.propose(decision("d-1", host="vps"), actor="c", why="w"), By.REJECT)
    later = decision("d-2", host="vps", created_ns=NOON_NS + 30 * 86_400 * SECOND)
    assert ledger.propose(later, actor="c", why="w").incident != first.incident


def test_a_native_state_is_the_first_that_was_seen_until_it_is_forgotten(ledger: Ledger) -> None:
    assert ledger.native(PORT) is None
    ledger.rebase_native(PORT, SlotState(vlan=vlan_of(10)))
    assert ledger.native(PORT) == SlotState(vlan=vlan_of(10))
    ledger.rebase_native(PORT, SlotState(vlan=vlan_of(20)))
    assert ledger.native(PORT) == SlotState(vlan=vlan_of(20))
    ledger.forget_native(PORT)
    assert ledger.native(PORT) is None


def test_a_request_waits_for_its_first_answer(ledger: Ledger) -> None:
    asked = Request(id="r-1", kind=RequestKind.REACHABILITY, actor="ann", why="look", at_ns=1, about="sw-1")
    ledger.ask(asked)
    ledger.ask(replace(asked, why="again"))
    assert ledger.requests() == (asked,)
    ledger.answer("r-1", "reached", at_ns=2)
    ledger.answer("r-1", "not reached", at_ns=3)
    assert ledger.requests() == ()
    assert ledger.request("r-1") == replace(asked, answer="reached", answered_ns=2)


def test_the_kill_switch_is_off_until_it_is_turned_and_remembers_who_turned_it(ledger: Ledger) -> None:
    assert not ledger.killed()
    ledger.set_killed("on", actor="ann", why="sensors are mad", at_ns=5)
    assert ledger.killed()
    turn = Reading(ledger.database).switch()
    assert (turn.state, turn.actor, turn.why, turn.at_ns) == ("on", "ann", "sensors are mad", 5)
    ledger.set_killed("off", actor="ann", why="well again", at_ns=6)
    assert not ledger.killed()
    with pytest.raises(ValueError, match="on or off"):
        ledger.set_killed("maybe", actor="ann", why="w", at_ns=7)


def test_pages_are_kept_for_a_person_to_read(ledger: Ledger) -> None:
    ledger.page(what="stuck", about="d-1", at_ns=1)
    ledger.page(what="unproven", about="d-2", at_ns=2)
    total, alarms = Reading(ledger.database).alarms()
    assert (total, [one.what for one in alarms]) == (2, ["unproven", "stuck"])


def test_words_that_a_database_cannot_hold_are_kept_as_near_as_can_be(ledger: Ledger) -> None:
    made = ledger.propose(decision(explains=("nul \0 and \ud800",)), actor="a\0b", why="\udcff")
    assert ledger.decision("d-1") == made
    assert ledger.moves()[0].actor == "a\N{REPLACEMENT CHARACTER}b"
    assert first_break(ledger.moves()) is None


def test_what_nobody_kept_is_unknown(ledger: Ledger) -> None:
    with pytest.raises(UnknownSubject):
        ledger.decision("nothing")
    with pytest.raises(UnknownSubject):
        ledger.keep(decision("nothing"))
    with pytest.raises(UnknownSubject):
        ledger.answer("nothing", "", at_ns=1)


def test_a_ledger_opened_again_goes_on_where_it_was(ledger: Ledger, ledger_url: str) -> None:
    one = ledger.propose(decision(), actor="c", why="w")
    again = Ledger.open(ledger_url)
    moved(again, again.live()[0], By.APPROVE)
    again.close()
    with pytest.raises(StaleDecision):
        moved(ledger, one, By.REJECT)
    assert first_break(ledger.moves()) is None


def test_a_ledger_of_the_first_version_is_brought_up_with_what_it_holds(ledger: Ledger, ledger_url: str) -> None:
    ledger.ask(Request("r-1", RequestKind.SIMULATE, "ann", "why", NOON_NS, "vps-1"))
    with ledger.database.writing() as session:
        session.execute(text("ALTER TABLE requests DROP COLUMN decision_id"))
        session.execute(text("DROP TABLE login_proofs"))
        session.execute(text("UPDATE schema_version SET version = 1"))
    later = Ledger.open(ledger_url)
    try:
        later.answer("r-1", "nothing", at_ns=NOON_NS, decision_id="d-1")
        assert later.request("r-1").decision_id == "d-1"
        assert later.proofs() == {}
    finally:
        later.close()


def test_a_login_that_failed_leaves_the_time_of_the_last_that_did_not(ledger: Ledger) -> None:
    ledger.prove("sw-1", reached=True, text="in 0.2 s", at_ns=NOON_NS)
    ledger.prove("sw-1", reached=False, text="no answer", at_ns=NOON_NS + SECOND)
    ledger.prove("sw-2", reached=False, text="host key", at_ns=NOON_NS)
    assert ledger.proofs() == {
        "sw-1": Proof("sw-1", NOON_NS + SECOND, False, "no answer", NOON_NS),
        "sw-2": Proof("sw-2", NOON_NS, False, "host key", 0),
    }


def test_requests_are_listed_newest_first_by_kind_and_by_whether_they_are_answered(ledger: Ledger) -> None:
    for number, kind in enumerate((RequestKind.SIMULATE, RequestKind.REACHABILITY, RequestKind.SIMULATE)):
        ledger.ask(Request(f"r-{number}", kind, "ann", "why", NOON_NS + number, "x"))
    ledger.answer("r-0", "told", at_ns=NOON_NS + 9)
    reading = Reading(ledger.database)
    assert [one.id for one in reading.requests()[1]] == ["r-2", "r-1", "r-0"]
    assert [one.id for one in reading.requests(kinds=["simulate"], answered=False)[1]] == ["r-2"]
    total, page = reading.requests(limit=1, offset=2)
    assert (total, [one.answer for one in page]) == (3, ["told"])


def test_tables_of_a_later_version_are_not_touched(ledger: Ledger, ledger_url: str) -> None:
    with ledger.database.writing() as session:
        session.execute(text("UPDATE schema_version SET version = 99"))
    with pytest.raises(ConfigError, match="got 99"):
        Ledger.open(ledger_url)


@pytest.mark.parametrize(
    "url", ["", "ledger.db", "mysql://u:secret@h/d", "sqlite://", "sqlite:///", "sqlite:///:memory:"]
)
def test_a_url_of_another_form_is_refused_without_repeating_its_password(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Ledger.open(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["postgresql://cordon:secret@127.0.0.1:1/ledger", "sqlite:////proc/nowhere/ledger.sqlite3"]
)
def test_a_database_that_does_not_answer_is_an_unavailable_ledger(url: str) -> None:
    with pytest.raises(LedgerUnavailable) as unavailable:
        Ledger.open(url)
    assert "secret" not in str(unavailable.value)


def test_a_file_that_is_no_database_is_an_unavailable_ledger(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite3"
    file.write_text("this is a letter to my aunt, and long enough to be read as a header\n" * 40)
    with pytest.raises(LedgerUnavailable, match="not a database"):
        Ledger.open(f"sqlite:///{file}")


def test_a_writer_that_does_not_end_makes_the_ledger_unavailable_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_database, "BUSY_MS", 50)
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    try:
        with ledger.database.writing(), pytest.raises(LedgerUnavailable, match="another writer"):
            ledger.propose(decision(), actor="c", why="w")
        assert ledger.propose(decision(), actor="c", why="w").state is State.PROPOSED
    finally:
        ledger.close()


def test_a_new_ledger_file_is_its_owners_alone(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'state' / 'ledger.sqlite3'}")
    ledger.propose(decision(), actor="c", why="w")
    modes = {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "state").iterdir()}
    ledger.close()
    assert modes == {0o600}


def test_decisions_are_found_by_what_is_known_of_them(ledger: Ledger) -> None:
    ledger.propose(decision("d-1", device="sw-1", score=81.0), actor="c", why="w")
    ledger.propose(decision("d-2", device="sw-2", score=99.0, simulated=True), actor="c", why="w")
    ended = ledger.propose(decision("d-3", created_ns=NOON_NS + 9, until_ns=0), actor="c", why="w")
    moved(ledger, ended, By.REJECT)
    reading = Reading(ledger.database)

    def ids(wanted: Filter, order: Order = Order.NEWEST) -> list[str]:
        return [one.id for one in reading.decisions(wanted, order=order)[1]]

    assert ids(Filter()) == ["d-3", "d-1", "d-2"]
    assert ids(Filter(), Order.WORST) == ["d-2", "d-3", "d-1"]
    assert ids(Filter(), Order.OLDEST) == ["d-1", "d-2", "d-3"]
    assert ids(Filter(), Order.SOONEST) == ["d-1", "d-2", "d-3"]
    assert ids(Filter(device="sw-2")) == ["d-2"]
    assert ids(Filter(live=False)) == ids(Filter(states=("rejected",))) == ["d-3"]
    assert ids(Filter(simulated=True)) == ["d-2"]
    assert ids(Filter(min_score=95.0)) == ["d-3", "d-2"]
    assert ids(Filter(since_ns=NOON_NS + 1)) == ["d-3"]
    assert ids(Filter(until_ns=NOON_NS + 9, host="vps-d-1", tenant="tenant-a", segment="vps")) == ["d-1"]
    assert ids(Filter(subject="host:203.0.113.1")) == []
    total, page = reading.decisions(Filter(), limit=1, offset=1)
    assert (total, [one.id for one in page]) == (3, ["d-1"])


def test_moves_are_found_by_who_made_them(ledger: Ledger) -> None:
    one = ledger.propose(decision("d-1"), actor="controller", why="w")
    ledger.move(one, By.APPROVE, at_ns=NOON_NS + 5, actor="ann", why="w")
    ledger.propose(decision("d-2"), actor="controller", why="w")
    reading = Reading(ledger.database)
    assert [move.sequence for move in reading.moves(MoveFilter())[1]] == [3, 2, 1]
    assert [move.sequence for move in reading.moves(MoveFilter(actor="ann"))[1]] == [2]
    assert [move.sequence for move in reading.moves(MoveFilter(decision_id="d-1"))[1]] == [2, 1]
    assert [move.sequence for move in reading.moves(MoveFilter(by="approve", since_ns=NOON_NS + 5))[1]] == [2]
    assert reading.moves(MoveFilter(), limit=1) == (3, (ledger.moves()[2],))


def test_all_evidence_stays_while_the_decision_holds_the_newest(ledger: Ledger) -> None:
    one = ledger.propose(decision(), actor="c", why="w")
    for second in range(1, 4):
        for tick in range(4):
            newest = flood(NOON_NS + second * SECOND + tick * SECOND // 4)
            one = ledger.keep(replace(one, evidence=(newest,)))
    kept = Reading(ledger.database).evidence("d-1")
    assert [(one.at_ns - NOON_NS) // SECOND for one in kept] == [0, 1, 2, 3]
