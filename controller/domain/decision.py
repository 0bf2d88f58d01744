"""A decision's life: which moves there are, and the chain that proves them.

`move` is the only way to change a state, and every move is kept: state is the fold of a decision's moves. Each move
carries the hash of the one before it in the whole ledger, so that a move taken out, changed or put in later is found.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from controller.domain.errors import IllegalMove


class State(StrEnum):
    """Where a decision stands."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    APPLYING = "applying"
    ENFORCED = "enforced"
    RELEASING = "releasing"
    RELEASED = "released"
    REJECTED = "rejected"
    LAPSED = "lapsed"
    FAILED = "failed"  # the undo was seen
    STUCK = "stuck"  # what the device holds is not known: a person is paged


class By(StrEnum):
    """What happened. The state that follows stands in MOVES."""

    ENDORSE = "endorse"  # the first of two approvals
    APPROVE = "approve"
    REJECT = "reject"
    LAPSE = "lapse"
    APPLY = "apply"
    VERIFY = "verify"
    ROLL_BACK = "roll_back"
    LOSE_SIGHT = "lose_sight"
    EXTEND = "extend"
    EXPIRE = "expire"
    RELEASE = "release"
    FREE = "free"
    REFUSE = "refuse"
    REPAIR = "repair"
    WITHDRAW = "withdraw"
    REHEARSE = "rehearse"  # the session could only ask: the lines are known and nothing was sent
    PROPOSE = "propose"  # the first move, which makes the decision; it stands in no row of MOVES


MOVES: dict[tuple[State, By], State] = {
    (State.PROPOSED, By.ENDORSE): State.PROPOSED,
    (State.PROPOSED, By.APPROVE): State.APPROVED,
    (State.PROPOSED, By.REJECT): State.REJECTED,
    (State.PROPOSED, By.LAPSE): State.LAPSED,
    (State.APPROVED, By.APPLY): State.APPLYING,
    (State.APPROVED, By.REFUSE): State.FAILED,  # limits or the device said no before anything was sent
    (State.APPROVED, By.WITHDRAW): State.LAPSED,
    (State.APPLYING, By.VERIFY): State.ENFORCED,
    (State.APPLYING, By.ROLL_BACK): State.FAILED,
    (State.APPLYING, By.LOSE_SIGHT): State.STUCK,
    (State.APPLYING, By.REHEARSE): State.APPROVED,
    (State.ENFORCED, By.EXTEND): State.ENFORCED,
    (State.ENFORCED, By.RELEASE): State.RELEASING,
    (State.ENFORCED, By.EXPIRE): State.RELEASING,
    (State.ENFORCED, By.REPAIR): State.APPLYING,  # drift, a restart or a wider fence: look and carry out again
    (State.ENFORCED, By.LOSE_SIGHT): State.STUCK,
    (State.RELEASING, By.FREE): State.RELEASED,
    (State.RELEASING, By.LOSE_SIGHT): State.STUCK,
    (State.STUCK, By.VERIFY): State.ENFORCED,
    (State.STUCK, By.ROLL_BACK): State.FAILED,
    (State.STUCK, By.FREE): State.RELEASED,
    (State.STUCK, By.RELEASE): State.RELEASING,
}

ENDED = frozenset({State.RELEASED, State.REJECTED, State.LAPSED, State.FAILED})
HOLDING = frozenset({State.APPLYING, State.ENFORCED, State.RELEASING, State.STUCK})
"""States in which a device may hold some of the fence."""


@dataclass(frozen=True, slots=True)
class Move:
    """One step of one decision. `at_ns` is event time; `why` is for people; hashes are hex SHA-256."""

    sequence: int  # of the whole ledger, from 1, without holes
    decision_id: str
    by: By
    before: State | None  # None: the decision was made by this move's proposal
    after: State
    at_ns: int
    actor: str
    why: str
    previous: str
    hash: str


GENESIS = "0" * 64


def seal(
    *,
    sequence: int,
    decision_id: str,
    by: str,
    before: str,
    after: str,
    at_ns: int,
    actor: str,
    why: str,
    previous: str,
) -> str:
    """The hash of a move: SHA-256 over its canonical JSON (sorted keys, no spaces), previous hash included."""
    body = {
        "sequence": sequence,
        "decision": decision_id,
        "by": by,
        "before": before,
        "after": after,
        "at_ns": at_ns,
        "actor": actor,
        "why": why,
        "previous": previous,
    }
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def after(state: State, by: By) -> State:
    """The state that follows. Raises IllegalMove, naming what is possible instead."""
    try:
        return MOVES[state, by]
    except KeyError:
        possible = ", ".join(sorted(way for (start, way) in MOVES if start is state)) or "nothing, it has ended"
        raise IllegalMove(f"a decision that is {state} cannot {by.replace('_', ' ')}; possible: {possible}") from None


def replayed(steps: Iterable[By], *, start: State = State.PROPOSED) -> State:
    """Fold moves into a state. Raises IllegalMove at the first that cannot be."""
    state = start
    for by in steps:
        state = after(state, by)
    return state


def first_break(moves: Iterable[Move]) -> int | None:
    """Sequence number of the first move at which the chain breaks (hash, predecessor, hole); None when it is whole."""
    previous, expected = GENESIS, 1
    for one in moves:
        sealed = seal(
            sequence=one.sequence,
            decision_id=one.decision_id,
            by=one.by,
            before=one.before or "",
            after=one.after,
            at_ns=one.at_ns,
            actor=one.actor,
            why=one.why,
            previous=previous,
        )
        if one.sequence != expected or one.previous != previous or one.hash != sealed:
            return one.sequence
        previous, expected = one.hash, expected + 1
    return None
