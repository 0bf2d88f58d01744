"""A decision as the ledger keeps it and everybody reads it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from controller.domain.address import Mac, Port
from controller.domain.decision import State
from controller.domain.fence import OF_SEGMENTS, Change, Fence, Slot, SlotState, fold
from controller.domain.verdict import Evidence, Finding, Level, Rates


class LegState(StrEnum):
    """Where one leg of one fence stands."""

    PLANNED = "planned"
    RECORDED = "recorded"  # the change with its undo is in the ledger; lines may be on the device
    VERIFIED = "verified"
    UNDONE = "undone"
    RELEASED = "released"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class LegRecord:
    """One leg with what was planned for it and what became of it. Times are wall clock ns; 0: not yet."""

    slot: Slot
    state: LegState = LegState.PLANNED
    change: Change | None = None
    recorded_ns: int = 0
    verified_ns: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class FenceRecord:
    """A fence of a decision with the records of its legs, in the fence's order."""

    fence: Fence
    legs: tuple[LegRecord, ...]


@dataclass(frozen=True, slots=True)
class Attachment:
    """Who a decision is against: the host, its edge ports and, on a shared port, the guest behind it."""

    host: str  # name in the estate; empty when only the port is known
    tenant: str
    segment: str
    ports: tuple[Port, ...]
    addresses: tuple[str, ...]  # prefixes that a block has to cover, as text
    mac: Mac | None = None
    guest: Port | None = None
    shared: bool = False
    neighbours: tuple[str, ...] = ()  # hosts behind the same ports
    how: str = ""  # in plain words, how the place was found


@dataclass(frozen=True, slots=True)
class Reason:
    """One sentence of a policy or limit about a decision: what was asked, what was found, whether it allows."""

    rule: str
    allows: bool
    text: str


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision, projected from its moves. `version` grows with every change: the optimistic lock."""

    id: str
    subject: str
    state: State
    attachment: Attachment
    fences: tuple[FenceRecord, ...]
    evidence: tuple[Evidence, ...]
    reasons: tuple[Reason, ...]
    score: float
    level: Level
    finding: Finding
    rates: Rates
    mode: str
    simulated: bool
    created_ns: int  # event time of the verdict that led to it
    until_ns: int  # event time of its end; 0: it waits for a person
    first_bad_ns: int = 0
    compromise: bool = False
    strikes: int = 1  # how often this attachment offended within probation
    incident: str = ""
    explains: tuple[str, ...] = ()
    policy_digest: str = ""
    scorer_digest: str = ""
    version: int = 1
    verdict_id: str = ""
    proposed_wall_ns: int = 0
    verified_wall_ns: int = 0
    effect: str = ""  # fallen, unproven, still_sending; empty before it was judged
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def of_segment(self) -> bool:
        """True when it is about a whole segment and accuses nobody: people propose it, and two have to approve it."""
        return any(record.fence.kind in OF_SEGMENTS for record in self.fences)

    @property
    def approvals(self) -> int:
        """How many different people have to approve it."""
        return 2 if self.of_segment else 1


def wanted(native: SlotState, slot: Slot, live: tuple[Decision, ...]) -> SlotState:
    """What a slot shall hold: the fold of every live decision's legs on it over its native state."""
    return fold(
        native,
        (
            leg.effect
            for decision in live
            for record in decision.fences
            for leg in record.fence.legs
            if leg.slot == slot
        ),
    )


def with_leg(decision: Decision, slot: Slot, leg: LegRecord) -> Decision:
    """The decision with one leg's record replaced, in every fence that has it."""
    fences = tuple(
        replace(one, legs=tuple(leg if old.slot == slot else old for old in one.legs)) for one in decision.fences
    )
    return replace(decision, fences=fences)


@dataclass(frozen=True, slots=True)
class Spoken:
    """One conversation with a device about a slot: what was sent, what it answered. `at_ns` is wall clock."""

    slot: Slot
    what: str  # observe, push or confirm
    at_ns: int
    exchanges: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """The last attempt to log in to a device and read from it, and when one last succeeded. Wall clock ns; 0: never."""

    device: str
    at_ns: int
    reached: bool
    text: str
    reached_ns: int = 0


class RequestKind(StrEnum):
    """What a person may ask of the controller beyond moving a decision."""

    KILL = "kill"
    REVIVE = "revive"
    SIMULATE = "simulate"
    REACHABILITY = "reachability"
    SEGMENT_PLAN = "segment_plan"  # what would change at the segment's firewall
    SEGMENT_APPLY = "segment_apply"  # propose what the site file declares for it
    SEGMENT_CHECK = "segment_check"  # compare, and look for ways around it
    SEGMENT_ISOLATE = "segment_isolate"  # propose that nothing crosses it any more


@dataclass(frozen=True, slots=True)
class Request:
    """A question that only the controller can answer, as a row that it picks up."""

    id: str
    kind: RequestKind
    actor: str
    why: str
    at_ns: int
    about: str = ""
    answer: str = ""
    answered_ns: int = 0
    decision_id: str = ""  # the decision that it led to, or that stands already
