"""What people do with decisions: approve, reject, release, extend, and stop it all.

The desk only moves a decision in the ledger. The controller sees the move, asks the limits again and carries it out;
nothing here reaches a device. Whoever asks for what is already so, or already on its way, gets the decision as it is:
two releases at once are one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from controller.domain.decision import By, State
from controller.domain.errors import BadInput, IllegalMove, StaleDecision
from controller.domain.record import Decision
from controller.ports import Ledger

ATTEMPTS = 8
"""How often a move is tried against a controller that keeps evidence in the meantime."""

LONGEST_S = 86_400.0


class Stamp(Protocol):
    """All that the desk needs of a clock."""

    def now_ns(self) -> int:
        """Wall clock, nanoseconds since the epoch."""
        ...


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants: the move from each state in which it is possible, and the states in which it is so."""

    ways: Mapping[State, By]
    otherwise: By  # the move whose refusal explains why it is not possible
    already: frozenset[State]


APPROVAL = Wish(
    ways={State.PROPOSED: By.APPROVE},
    otherwise=By.APPROVE,
    already=frozenset({State.APPROVED, State.APPLYING, State.ENFORCED}),
)
REJECTION = Wish(
    ways={State.PROPOSED: By.REJECT, State.APPROVED: By.WITHDRAW},
    otherwise=By.REJECT,
    already=frozenset({State.REJECTED, State.LAPSED}),
)
RELEASE = Wish(
    ways={State.ENFORCED: By.RELEASE, State.STUCK: By.RELEASE},
    otherwise=By.RELEASE,
    already=frozenset({State.RELEASING, State.RELEASED}),
)


class Desk:
    """Moves made by people. Every one names who and why.

    Raises UnknownSubject, IllegalMove with what is possible instead, StaleDecision when `version` was given and is not
    the decision's, BadInput without a reason, LedgerUnavailable.
    """

    def __init__(self, ledger: Ledger, clock: Stamp, *, longest_s: float = LONGEST_S) -> None:
        self._ledger = ledger
        self._clock = clock
        self._longest_ns = int(longest_s * 1e9)

    def approve(self, decision_id: str, *, actor: str, why: str, version: int | None = None) -> Decision:
        """Let a proposed decision be carried out, if the limits still allow it then.

        Where two people have to approve, the first approval leaves it proposed; the same person's second raises
        IllegalMove.
        """
        return self._fulfil(APPROVAL, decision_id, actor=actor, why=why, version=version)

    def reject(self, decision_id: str, *, actor: str, why: str, version: int | None = None) -> Decision:
        """Turn down a proposal, or take back an approval that nobody has begun to carry out."""
        return self._fulfil(REJECTION, decision_id, actor=actor, why=why, version=version)

    def release(self, decision_id: str, *, actor: str, why: str, version: int | None = None) -> Decision:
        """End a fence: the controller gives the slot back what other live fences and its native state leave of it."""
        return self._fulfil(RELEASE, decision_id, actor=actor, why=why, version=version)

    def extend(self, decision_id: str, *, seconds: float, actor: str, why: str, version: int | None = None) -> Decision:
        """Let an enforced fence last longer: `seconds` after its present end, and no further than the longest from now.

        Raises BadInput when that is too far, IllegalMove for a fence without an end.
        """
        _need_reason(why)
        for _ in range(ATTEMPTS):
            decision = self._read(decision_id, version)
            now_ns = self._clock.now_ns()
            if decision.state is State.ENFORCED:
                decision = self._later(decision, seconds, now_ns)
            try:
                return self._ledger.move(decision, By.EXTEND, at_ns=now_ns, actor=actor, why=why)
            except StaleDecision:
                continue
        raise StaleDecision(f"decision {decision_id} changes faster than it can be extended; try again")

    def kill(self, *, actor: str, why: str) -> None:
        """Stop new fences, climbs and repairs at once; releases go on."""
        _need_reason(why)
        if not self._ledger.killed():
            self._ledger.set_killed("on", actor=actor, why=why, at_ns=self._clock.now_ns())

    def revive(self, *, actor: str, why: str) -> None:
        """Allow new fences again."""
        _need_reason(why)
        if self._ledger.killed():
            self._ledger.set_killed("off", actor=actor, why=why, at_ns=self._clock.now_ns())

    def _later(self, decision: Decision, seconds: float, now_ns: int) -> Decision:
        if decision.until_ns == 0:
            raise IllegalMove(f"decision {decision.id} has no end: it waits for a person to release it")
        longest_s = self._longest_ns / 1e9
        if not 0 < seconds <= longest_s:
            raise BadInput(f"seconds above 0 and at most {longest_s:.0f} are needed, not {seconds}")
        until_ns = max(decision.until_ns, now_ns) + int(seconds * 1e9)
        if until_ns > now_ns + self._longest_ns:
            raise BadInput(f"a fence may last {longest_s:.0f} s from now: ask for less")
        return replace(decision, until_ns=until_ns)

    def _fulfil(self, wish: Wish, decision_id: str, *, actor: str, why: str, version: int | None) -> Decision:
        _need_reason(why)
        for _ in range(ATTEMPTS):
            decision = self._read(decision_id, version, settled=wish.already)
            if decision.state in wish.already:
                return decision
            by = wish.ways.get(decision.state, wish.otherwise)
            if by is By.APPROVE and decision.state is State.PROPOSED:
                by = self._vote(decision, actor)
            try:
                return self._ledger.move(decision, by, at_ns=self._clock.now_ns(), actor=actor, why=why)
            except StaleDecision:
                continue
        raise StaleDecision(f"decision {decision_id} changes faster than it can be moved; try again")

    def _vote(self, decision: Decision, actor: str) -> By:
        """The move that one more approval is."""
        voted = {move.actor for move in self._ledger.moves(decision.id) if move.by is By.ENDORSE}
        if actor in voted:
            raise IllegalMove(
                f"{actor} has approved decision {decision.id} already: it needs another person's approval"
            )
        return By.APPROVE if len(voted) + 1 >= decision.approvals else By.ENDORSE

    def _read(self, decision_id: str, version: int | None, *, settled: frozenset[State] = frozenset()) -> Decision:
        """The decision now. What is already as wanted does not depend on the version that somebody saw."""
        decision = self._ledger.decision(decision_id)
        if version is not None and decision.version != version and decision.state not in settled:
            raise StaleDecision(
                f"decision {decision_id} is {decision.state}, version {decision.version}, not {version}; read it again"
            )
        return decision


def _need_reason(why: str) -> None:
    if not why.strip():
        raise BadInput("a reason is needed: it stands in the audit for good")
