"""Writing down: moves with their event time, alarms for people, the undo sheet."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from controller.domain.decision import HOLDING, By, Move
from controller.domain.errors import LedgerUnavailable
from controller.domain.record import Decision
from controller.ports import Clock, Ledger, Pager, Sheet

POLICY = "cordon/policy"
"""The actor of moves that no person made. Names of people and tokens hold no slash."""


class EventTime:
    """How far event time has come, as told by heartbeats and verdicts; what was heard never goes back. Thread-safe.

    While the streams are heard, the time is theirs alone. When they fall silent, `now_ns` goes on at the pace of
    a monotonic clock if one was given (a live network, whose fences have to end), else it stands (a replay).
    """

    def __init__(self, clock: Clock | None = None, *, silent_after_s: float = 5.0) -> None:
        self._lock = threading.Lock()
        self._clock, self._silent_after_s = clock, silent_after_s
        self._heard_ns, self._heard_at_s = 0, 0.0

    def advance(self, event_ns: int) -> None:
        """Event time has come as far as `event_ns`."""
        with self._lock:
            if event_ns > self._heard_ns:
                self._heard_ns = event_ns
                self._heard_at_s = self._clock.monotonic() if self._clock else 0.0

    def now_ns(self) -> int:
        """Event time now; 0 before anything was heard."""
        with self._lock:
            if self._clock is None or not self._heard_ns:
                return self._heard_ns
            silence = self._clock.monotonic() - self._heard_at_s
            return self._heard_ns + (int(silence * 1e9) if silence > self._silent_after_s else 0)


@dataclass(frozen=True, slots=True)
class Clerk:
    """Makes moves in the ledger, calls people, and keeps the undo sheet."""

    ledger: Ledger
    pager: Pager
    sheet: Sheet
    clock: Clock
    time: EventTime

    def move(self, decision: Decision, by: By, *, why: str) -> Decision:
        """Make a move in Cordon's own name at event time now. Raises what Ledger.move raises."""
        at_ns = max(self.time.now_ns(), decision.created_ns)
        return self.ledger.move(decision, by, at_ns=at_ns, actor=POLICY, why=why)

    def page(self, what: str, *, about: str) -> None:
        """Call a person, also when the ledger cannot keep the alarm."""
        try:
            self.ledger.page(what=what, about=about, at_ns=self.clock.now_ns())
        except LedgerUnavailable:
            what = f"{what} (the ledger could not keep this alarm)"
        self.pager.page(what=what, about=about)

    def note(self, what: str, *, about: str) -> None:
        """Keep a notice for people to read; nobody is called."""
        self.ledger.page(what=f"notice: {what}", about=about, at_ns=self.clock.now_ns())

    def write_sheet(self, *changed: Decision) -> None:
        """Write the undo of all that a device may hold, the given decisions as they are now. Raises OSError."""
        newest = {decision.id: decision for decision in (*self.ledger.live(), *changed)}
        self.sheet.keep(tuple(holding(newest.values())))

    def person_approved(self, decision: Decision) -> bool:
        """True when a person and not the policy approved the decision last."""
        actors = [move.actor for move in self.ledger.moves(decision.id) if move.by is By.APPROVE]
        return bool(actors) and actors[-1] != POLICY

    def approvers(self, decision: Decision) -> frozenset[str]:
        """The people who approved it."""
        return approvers(self.ledger.moves(decision.id)) - {POLICY}


def approvers(moves: Iterable[Move]) -> frozenset[str]:
    """Whoever approved a decision with these moves, or was the first of two to do so."""
    return frozenset(move.actor for move in moves if move.by in (By.ENDORSE, By.APPROVE))


def holding(decisions: Iterable[Decision]) -> list[Decision]:
    """Decisions of which a device may hold something; what was only rehearsed is held nowhere."""
    return [one for one in decisions if one.state in HOLDING and not one.simulated]
