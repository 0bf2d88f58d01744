from collections.abc import Callable
from dataclasses import replace

import pytest

from controller.desk import Desk
from controller.domain.decision import ENDED, By, State
from controller.domain.errors import IllegalMove, StaleDecision, UnknownSubject
from controller.domain.record import Decision
from controller.ledger import Ledger
from tests.controller.ledger_cases import NOON_NS, decision

HOUR_NS = 3_600_000_000_000
ENFORCED = (By.APPROVE, By.APPLY, By.VERIFY)
WAYS: dict[State, tuple[By, ...]] = {
    State.PROPOSED: (),
    State.APPROVED: (By.APPROVE,),
    State.APPLYING: (By.APPROVE, By.APPLY),
    State.ENFORCED: ENFORCED,
    State.RELEASING: (*ENFORCED, By.RELEASE),
    State.RELEASED: (*ENFORCED, By.RELEASE, By.FREE),
    State.REJECTED: (By.REJECT,),
    State.LAPSED: (By.LAPSE,),
    State.FAILED: (By.APPROVE, By.REFUSE),
    State.STUCK: (*ENFORCED, By.LOSE_SIGHT),
}


class StoppedClock:
    """Time as a test says."""

    def __init__(self, now_ns: int = NOON_NS) -> None:
        self.now = now_ns

    def now_ns(self) -> int:
        return self.now


@pytest.fixture
def desk(ledger: Ledger) -> Desk:
    return Desk(ledger, StoppedClock())


def brought_to(ledger: Ledger, state: State, **changes: object) -> Decision:
    one = ledger.propose(decision(**changes), actor="controller", why="w")  # type: ignore[arg-type]  # fields by name
    for by in WAYS[state]:
        one = ledger.move(one, by, at_ns=NOON_NS, actor="controller", why="w")
    return one


def outcome(act: Callable[..., Decision]) -> str:
    try:
        return act("d-1", actor="ann", why="seen it").state
    except IllegalMove:
        return "refused"


@pytest.mark.parametrize("state", list(State))
def test_what_people_may_do_in_each_state(ledger: Ledger, desk: Desk, state: State) -> None:
    brought_to(ledger, state)
    expected = {
        State.PROPOSED: ("approved", "refused"),
        State.APPROVED: ("approved", "refused"),
        State.APPLYING: ("applying", "refused"),
        State.ENFORCED: ("enforced", "releasing"),
        State.RELEASING: ("refused", "releasing"),
        State.RELEASED: ("refused", "released"),
        State.STUCK: ("refused", "releasing"),
    }
    assert (outcome(desk.approve), outcome(desk.release)) == expected.get(state, ("refused", "refused"))


@pytest.mark.parametrize("state", list(State))
def test_what_can_be_turned_down_in_each_state(ledger: Ledger, desk: Desk, state: State) -> None:
    brought_to(ledger, state)
    expected = {
        State.PROPOSED: "rejected",
        State.APPROVED: "lapsed",
        State.REJECTED: "rejected",
        State.LAPSED: "lapsed",
    }
    assert outcome(desk.reject) == expected.get(state, "refused")


def test_a_move_carries_who_and_why_and_when(ledger: Ledger, desk: Desk) -> None:
    brought_to(ledger, State.PROPOSED)
    desk.approve("d-1", actor="ann", why="seen on the board")
    last = ledger.moves()[-1]
    assert (last.by, last.actor, last.why, last.at_ns) == (By.APPROVE, "ann", "seen on the board", NOON_NS)


def test_two_releases_at_once_are_one(ledger: Ledger, desk: Desk) -> None:
    one = brought_to(ledger, State.ENFORCED)
    first = desk.release("d-1", actor="ann", why="well again", version=one.version)
    second = desk.release("d-1", actor="bob", why="well again", version=one.version)
    assert first == second
    assert [move.by for move in ledger.moves()].count(By.RELEASE) == 1


def test_a_version_that_is_old_is_refused_before_anything_is_moved(ledger: Ledger, desk: Desk) -> None:
    one = brought_to(ledger, State.PROPOSED)
    ledger.keep(replace(one, score=99.0))
    with pytest.raises(StaleDecision, match="read it again"):
        desk.approve("d-1", actor="ann", why="w", version=one.version)
    assert ledger.decision("d-1").state is State.PROPOSED


class BusyLedger:
    """A ledger in which the controller keeps evidence between every reading and moving."""

    def __init__(self, ledger: Ledger, times: int) -> None:
        self._ledger, self.times = ledger, times

    def __getattr__(self, name: str) -> object:
        return getattr(self._ledger, name)

    def decision(self, decision_id: str) -> Decision:
        found = self._ledger.decision(decision_id)
        if self.times:
            self.times -= 1
            self._ledger.keep(replace(found, score=found.score - 1))
        return found


def test_a_person_who_named_no_version_wins_against_a_controller_that_keeps_evidence(ledger: Ledger) -> None:
    brought_to(ledger, State.ENFORCED)
    desk = Desk(BusyLedger(ledger, 3), StoppedClock())  # type: ignore[arg-type]  # the rest is the ledger's own
    assert desk.extend("d-1", seconds=60, actor="ann", why="w").until_ns == NOON_NS + HOUR_NS + 60_000_000_000
    desk = Desk(BusyLedger(ledger, 3), StoppedClock())  # type: ignore[arg-type]  # as above
    assert desk.release("d-1", actor="ann", why="w").state is State.RELEASING


def test_a_desk_gives_up_in_the_end_and_says_so(ledger: Ledger) -> None:
    brought_to(ledger, State.ENFORCED)
    desk = Desk(BusyLedger(ledger, 1_000), StoppedClock())  # type: ignore[arg-type]  # as above
    with pytest.raises(StaleDecision, match="try again"):
        desk.release("d-1", actor="ann", why="w")


def test_an_extension_counts_from_the_present_end_and_from_now_when_that_has_passed(ledger: Ledger) -> None:
    brought_to(ledger, State.ENFORCED)
    clock = StoppedClock()
    desk = Desk(ledger, clock)
    assert desk.extend("d-1", seconds=60, actor="ann", why="w").until_ns == NOON_NS + HOUR_NS + 60_000_000_000
    clock.now = NOON_NS + 2 * HOUR_NS
    later = desk.extend("d-1", seconds=60, actor="ann", why="w")
    assert later.until_ns == clock.now + 60_000_000_000
    assert ledger.decision("d-1") == later


@pytest.mark.parametrize("seconds", [0, -1, 86_400, float("inf"), float("nan")])
def test_an_extension_has_bounds(ledger: Ledger, desk: Desk, seconds: float) -> None:
    one = brought_to(ledger, State.ENFORCED)
    with pytest.raises(ValueError, match=r"seconds|may last"):
        desk.extend("d-1", seconds=seconds, actor="ann", why="w")
    assert ledger.decision("d-1") == one


def test_a_fence_without_an_end_cannot_be_extended(ledger: Ledger, desk: Desk) -> None:
    brought_to(ledger, State.ENFORCED, until_ns=0)
    with pytest.raises(IllegalMove, match="waits for a person"):
        desk.extend("d-1", seconds=60, actor="ann", why="w")


@pytest.mark.parametrize("state", [one for one in State if one is not State.ENFORCED])
def test_only_an_enforced_fence_is_extended(ledger: Ledger, desk: Desk, state: State) -> None:
    one = brought_to(ledger, state)
    with pytest.raises(IllegalMove, match="cannot extend"):
        desk.extend("d-1", seconds=60, actor="ann", why="w")
    assert ledger.decision("d-1") == one


def test_nothing_is_moved_without_a_reason(ledger: Ledger, desk: Desk) -> None:
    brought_to(ledger, State.PROPOSED)
    for act in (desk.approve, desk.reject, desk.release):
        with pytest.raises(ValueError, match="a reason is needed"):
            act("d-1", actor="ann", why=" ")
    for switch in (desk.kill, desk.revive):
        with pytest.raises(ValueError, match="a reason is needed"):
            switch(actor="ann", why="")
    assert len(ledger.moves()) == 1


def test_a_decision_that_nobody_made_is_unknown(desk: Desk) -> None:
    with pytest.raises(UnknownSubject):
        desk.approve("nothing", actor="ann", why="w")


def test_killing_twice_is_killing_once_and_a_release_still_goes(ledger: Ledger, desk: Desk) -> None:
    brought_to(ledger, State.ENFORCED)
    desk.kill(actor="ann", why="sensors are mad")
    desk.kill(actor="bob", why="me too")
    assert ledger.killed()
    assert desk.release("d-1", actor="ann", why="w").state is State.RELEASING
    desk.revive(actor="ann", why="well again")
    desk.revive(actor="ann", why="well again")
    assert not ledger.killed()


def test_every_state_is_reached_by_the_ways_of_this_test() -> None:
    assert set(WAYS) == set(State)
    assert set(State) > ENDED
