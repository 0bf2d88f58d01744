"""What the use cases need of the world. Adapters at the rim and ten-line fakes in tests both fit these."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from controller.domain.decision import By, Move
from controller.domain.fence import Change, Counters, Held, Slot, SlotState, Transcript
from controller.domain.record import Decision, LegRecord, Proof, Request, Spoken
from controller.domain.sight import Sight
from controller.domain.verdict import Verdict
from controller.domain.wire import DeadLetter, DecisionNote, Heartbeat


class NetworkDevice(Protocol):
    """One device that can hold fences. Nothing vendor-shaped crosses here. One caller at a time."""

    name: str

    def observe(self, slot: Slot) -> Held:
        """Ask the device what the slot holds now. Raises Unreachable, CommandRefused, Unreadable or Unsupported."""
        ...

    def plan(self, want: SlotState, have: Held) -> Change:
        """Lines from `have` to `want` and back; pure. Raises Unsupported or ForeignState before anything is sent."""
        ...

    def push(self, lines: Sequence[str], *, confirm_within_s: int = 0) -> Transcript:
        """Send configuration lines; leaves configuration mode whatever happens.

        With `confirm_within_s` and a dialect that can, the device takes the change back by itself unless `confirm`
        is called in time. Raises CommandRefused at the first refusal, Unreachable when the session breaks.
        """
        ...

    def confirm(self) -> Transcript:
        """Keep what `push` left pending. Does nothing where the dialect has no timer."""
        ...

    def counters(self, interface: str) -> Counters:
        """The interface's own totals now. Raises Unreachable or Unreadable."""
        ...

    def observe_and_count(self, slot: Slot) -> tuple[Held, Counters]:
        """Both of one port, asked in one breath, with the number of MACs learned there. Raises what both raise."""
        ...

    def look(self) -> Sight:
        """VLANs, MACs and routes as the device shows them. Raises Unsupported where the dialect cannot ask."""
        ...

    def close(self) -> None:
        """End the session; the next call opens one."""
        ...


class Network(Protocol):
    """All devices of the estate by name."""

    def device(self, name: str) -> NetworkDevice:
        """The device; opening a session may wait until it is first used. Raises UnknownSubject."""
        ...

    def holds(self, device: str) -> frozenset[str]:
        """Fence kinds, as text, that the device's dialect can hold; filter_class as filter_class:<traffic class>."""
        ...


class Clock(Protocol):
    """The world's time, for waiting and for stamping what people do. Decisions use event time."""

    def now_ns(self) -> int:
        """Wall clock, nanoseconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...

    def pause(self, seconds: float) -> None:
        """Wait."""
        ...


class Announcer(Protocol):
    """The decisions topic."""

    def announce(self, note: DecisionNote) -> None:
        """Tell the streams which subject is under watch. Loss is tolerable: the next note repeats it."""
        ...


class Sheet(Protocol):
    """The exact undo of every live fence, outside the ledger, where a person finds it when all else is down."""

    def keep(self, decisions: Sequence[Decision]) -> None:
        """Replace what stands there; returns when it is written. Raises OSError: then nothing may be sent."""
        ...


class Pager(Protocol):
    """A person who is called."""

    def page(self, *, what: str, about: str) -> None:
        """Raise an alarm. The ledger already holds the reason; this only carries it to somebody."""
        ...


class Ledger(Protocol):
    """The record of what was decided, by whom and why. Every method is one transaction.

    All raise LedgerUnavailable when the database cannot be reached: then nothing may be sent to a device.
    """

    def take_in(
        self,
        *,
        verdicts: Sequence[Verdict],
        heartbeats: Sequence[Heartbeat],
        dead: Sequence[DeadLetter],
        offsets: Mapping[str, int],
    ) -> None:
        """Project what came from Kafka and keep the offsets ("topic/partition" → next) in the same transaction."""
        ...

    def offsets(self) -> Mapping[str, int]:
        """The next offset of each "topic/partition" that was taken in."""
        ...

    def propose(self, decision: Decision, *, actor: str, why: str, approved: str = "") -> Decision:
        """Keep a new decision with its first move; where there is a reason to approve it at once, with that move too.

        Raises StaleDecision when the subject already has a live one.
        """
        ...

    def move(self, decision: Decision, by: By, *, at_ns: int, actor: str, why: str) -> Decision:
        """Make a move and keep the decision as given, in one transaction; returns it in its new state.

        Raises IllegalMove, or StaleDecision when `decision.version` is not the ledger's.
        """
        ...

    def keep(self, decision: Decision) -> Decision:
        """Keep evidence, legs or effect without a move; the same optimistic lock as `move`."""
        ...

    def record(self, decision: Decision, leg: LegRecord, *, native: SlotState) -> Decision:
        """Keep one leg's change with its undo and the slot's native state, before a single line of it is sent."""
        ...

    def decision(self, decision_id: str) -> Decision:
        """One decision. Raises UnknownSubject."""
        ...

    def live(self) -> tuple[Decision, ...]:
        """Decisions that have not ended, oldest first; the simulated ones too."""
        ...

    def strikes(self, host: str, *, since_ns: int) -> int:
        """How many decisions against this host were enforced since."""
        ...

    def recent(self, *, since_ns: int) -> tuple[Decision, ...]:
        """Decisions created since (event time), whatever became of them; for blast radius and linking incidents."""
        ...

    def moves(self, decision_id: str = "") -> tuple[Move, ...]:
        """All moves in order, or one decision's."""
        ...

    def head(self) -> int:
        """Sequence number of the last move. Nothing was moved while it stays the same."""
        ...

    def native(self, slot: Slot) -> SlotState | None:
        """What a slot held before the first live fence on it; None while there is none."""
        ...

    def rebase_native(self, slot: Slot, state: SlotState) -> None:
        """Replace the native state: a person changed what no live fence claims, and that is native from now on."""
        ...

    def forget_native(self, slot: Slot) -> None:
        """The last fence left the slot."""
        ...

    def requests(self) -> tuple[Request, ...]:
        """Requests without an answer, oldest first."""
        ...

    def ask(self, request: Request) -> None:
        """File a request for the controller."""
        ...

    def answer(self, request_id: str, answer: str, *, at_ns: int, decision_id: str = "") -> None:
        """Answer a request; `decision_id` names the decision that it is about, if any."""
        ...

    def transcribe(self, decision_id: str, spoken: Sequence[Spoken]) -> None:
        """Keep what was said to devices for a decision, in order."""
        ...

    def prove(self, device: str, *, reached: bool, text: str, at_ns: int) -> None:
        """Keep what became of an attempt to log in to a device."""
        ...

    def proofs(self) -> Mapping[str, Proof]:
        """The last attempt to log in to each device, by its name."""
        ...

    def page(self, *, what: str, about: str, at_ns: int) -> None:
        """Keep an alarm for a person, whether or not a pager could be reached."""
        ...

    def killed(self) -> bool:
        """True while the kill switch is on."""
        ...

    def set_killed(self, state: str, *, actor: str, why: str, at_ns: int) -> None:
        """Turn the kill switch `on` or `off`; kept with who and why."""
        ...
