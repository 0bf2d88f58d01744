from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.decision import (
    ENDED,
    GENESIS,
    HOLDING,
    MOVES,
    By,
    Move,
    State,
    after,
    first_break,
    replayed,
    seal,
)
from controller.domain.errors import IllegalMove

WAYS = st.lists(st.sampled_from(list(By)), max_size=12)


def walk(steps: list[By]) -> list[State]:
    """States on the way, as long as the steps are legal."""
    states = [State.PROPOSED]
    for by in steps:
        if (states[-1], by) not in MOVES:
            break
        states.append(after(states[-1], by))
    return states


@given(st.sampled_from(list(State)), st.sampled_from(list(By)))
def test_a_move_is_either_in_the_table_or_refused_with_what_is_possible(state: State, by: By) -> None:
    if (state, by) in MOVES:
        assert after(state, by) is MOVES[state, by]
    else:
        with pytest.raises(IllegalMove, match="possible: "):
            after(state, by)


def test_what_has_ended_moves_no_more() -> None:
    assert not [way for way in MOVES if way[0] in ENDED]


def test_every_state_that_has_not_ended_can_reach_an_end() -> None:
    reaches = set(ENDED)
    while more := {start for (start, _), end in MOVES.items() if end in reaches} - reaches:
        reaches |= more
    assert reaches == set(State)


@given(WAYS)
def test_nothing_is_on_a_device_that_was_not_approved_first(steps: list[By]) -> None:
    states = walk(steps)
    if set(states) & HOLDING:
        first = next(number for number, state in enumerate(states) if state in HOLDING)
        assert State.APPROVED in states[:first]


@given(WAYS)
def test_what_may_be_on_a_device_ends_only_by_being_seen_to_be_gone(steps: list[By]) -> None:
    states = walk(steps)
    for number, (one, other) in enumerate(pairwise(states)):
        if one in HOLDING and other in ENDED:
            assert steps[number] in {By.ROLL_BACK, By.FREE}


@given(WAYS)
def test_state_is_the_fold_of_its_moves(steps: list[By]) -> None:
    states = walk(steps)
    assert replayed(steps[: len(states) - 1]) is states[-1]


def test_the_kill_switch_and_reviews_have_no_way_round_approval() -> None:
    assert {by for (start, by), end in MOVES.items() if end is State.APPLYING} == {By.APPLY, By.REPAIR}
    assert {start for (start, by) in MOVES if by is By.APPLY} == {State.APPROVED}


def chain(length: int) -> list[Move]:
    moves: list[Move] = []
    previous = GENESIS
    for number in range(1, length + 1):
        body = {
            "sequence": number,
            "decision_id": f"d{number % 3}",
            "by": By.PROPOSE,
            "before": "",
            "after": State.PROPOSED,
            "at_ns": number,
            "actor": "cordon/policy",
            "why": "a test",
        }
        digest = seal(previous=previous, **body)  # type: ignore[arg-type]  # a mapping of mixed values
        one = Move(
            number,
            f"d{number % 3}",
            By.PROPOSE,
            None,
            State.PROPOSED,
            number,
            "cordon/policy",
            "a test",
            previous,
            digest,
        )
        moves.append(one)
        previous = one.hash
    return moves


@given(st.integers(1, 12))
def test_an_untouched_chain_is_whole(length: int) -> None:
    assert first_break(chain(length)) is None


@given(st.integers(2, 12), st.data())
def test_a_move_changed_taken_out_or_put_in_is_found(length: int, data: st.DataObject) -> None:
    moves = chain(length)
    at = data.draw(st.integers(0, length - 1))
    field = data.draw(st.sampled_from(["why", "actor", "at_ns", "after", "decision_id"]))
    other = {"why": "another", "actor": "x", "at_ns": 99, "after": State.ENFORCED, "decision_id": "y"}[field]
    changed = [*moves[:at], replace(moves[at], **{field: other}), *moves[at + 1 :]]  # type: ignore[arg-type]  # as drawn
    assert first_break(changed) == at + 1
    assert first_break([*moves[:at], moves[at], moves[at], *moves[at + 1 :]]) is not None
    if at < length - 1:
        assert first_break([*moves[:at], *moves[at + 1 :]]) is not None
