"""The ledger's port in memory: for tests that run the controller hundreds of times. The real one has its own tests."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from controller.domain.decision import ENDED, GENESIS, By, Move, State, after, seal
from controller.domain.errors import StaleDecision, UnknownSubject
from controller.domain.fence import Slot, SlotState
from controller.domain.record import Decision, LegRecord, Proof, Request, Spoken, with_leg
from controller.domain.verdict import Verdict
from controller.domain.wire import DeadLetter, Heartbeat


class MemoryLedger:
    """Keeps everything in dictionaries; one caller at a time."""

    def __init__(self) -> None:
        self._decisions: dict[str, Decision] = {}
        self._moves: list[Move] = []
        self._natives: dict[Slot, SlotState] = {}
        self._killed = "off"
        self.pages: list[str] = []

    def propose(self, decision: Decision, *, actor: str, why: str, approved: str = "") -> Decision:
        if decision.id in self._decisions or any(
            one.subject == decision.subject and one.simulated == decision.simulated for one in self.live()
        ):
            raise StaleDecision(f"{decision.subject} already has a live decision")
        self._decisions[decision.id] = made = replace(decision, state=State.PROPOSED, version=1)
        self._chain(made, By.PROPOSE, None, made.created_ns, actor, why)
        return self.move(made, By.APPROVE, at_ns=made.created_ns, actor=actor, why=approved) if approved else made

    def move(self, decision: Decision, by: By, *, at_ns: int, actor: str, why: str) -> Decision:
        before = self._current(decision).state
        moved = replace(decision, state=after(before, by), version=decision.version + 1)
        self._decisions[decision.id] = moved
        self._chain(moved, by, before, at_ns, actor, why)
        return moved

    def keep(self, decision: Decision) -> Decision:
        state = self._current(decision).state
        self._decisions[decision.id] = kept = replace(decision, state=state, version=decision.version + 1)
        return kept

    def record(self, decision: Decision, leg: LegRecord, *, native: SlotState) -> Decision:
        self._natives[leg.slot] = native
        return self.keep(with_leg(decision, leg.slot, leg))

    def decision(self, decision_id: str) -> Decision:
        try:
            return self._decisions[decision_id]
        except KeyError:
            raise UnknownSubject(decision_id) from None

    def live(self) -> tuple[Decision, ...]:
        return tuple(one for one in self._decisions.values() if one.state not in ENDED)

    def recent(self, *, since_ns: int) -> tuple[Decision, ...]:
        return tuple(one for one in self._decisions.values() if one.created_ns >= since_ns)

    def strikes(self, host: str, *, since_ns: int) -> int:
        raise NotImplementedError

    def moves(self, decision_id: str = "") -> tuple[Move, ...]:
        return tuple(one for one in self._moves if decision_id in ("", one.decision_id))

    def head(self) -> int:
        return len(self._moves)

    def native(self, slot: Slot) -> SlotState | None:
        return self._natives.get(slot)

    def rebase_native(self, slot: Slot, state: SlotState) -> None:
        self._natives[slot] = state

    def forget_native(self, slot: Slot) -> None:
        self._natives.pop(slot, None)

    def page(self, *, what: str, about: str, at_ns: int) -> None:
        self.pages.append(f"{about}: {what}")

    def killed(self) -> bool:
        return self._killed == "on"

    def set_killed(self, state: str, *, actor: str, why: str, at_ns: int) -> None:
        self._killed = state

    def take_in(
        self,
        *,
        verdicts: Sequence[Verdict],
        heartbeats: Sequence[Heartbeat],
        dead: Sequence[DeadLetter],
        offsets: Mapping[str, int],
    ) -> None:
        raise NotImplementedError

    def offsets(self) -> Mapping[str, int]:
        raise NotImplementedError

    def requests(self) -> tuple[Request, ...]:
        return ()

    def ask(self, request: Request) -> None:
        raise NotImplementedError

    def answer(self, request_id: str, answer: str, *, at_ns: int, decision_id: str = "") -> None:
        raise NotImplementedError

    def transcribe(self, decision_id: str, spoken: Sequence[Spoken]) -> None:
        return

    def prove(self, device: str, *, reached: bool, text: str, at_ns: int) -> None:
        raise NotImplementedError

    def proofs(self) -> Mapping[str, Proof]:
        raise NotImplementedError

    def _current(self, decision: Decision) -> Decision:
        found = self.decision(decision.id)
        if found.version != decision.version:
            raise StaleDecision(f"version {decision.version} is old")
        return found

    def _chain(self, decision: Decision, by: By, before: State | None, at_ns: int, actor: str, why: str) -> None:
        previous = self._moves[-1].hash if self._moves else GENESIS
        sequence = len(self._moves) + 1
        sealed = seal(
            sequence=sequence,
            decision_id=decision.id,
            by=by,
            before=before or "",
            after=decision.state,
            at_ns=at_ns,
            actor=actor,
            why=why,
            previous=previous,
        )
        self._moves.append(Move(sequence, decision.id, by, before, decision.state, at_ns, actor, why, previous, sealed))
