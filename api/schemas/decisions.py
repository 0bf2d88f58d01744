"""Documents about decisions, their moves and the incidents that they make up."""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from api.schemas.shapes import In, LevelName, Listed, Ns, Out, Paging, Reason, Words
from controller.domain.decision import By, State
from controller.domain.fence import FenceKind, SlotKind
from controller.domain.record import LegState
from controller.domain.verdict import Finding, TrafficClass, Witness
from controller.ledger_reading import Order


def sorted_words(values: Iterable[object]) -> list[str]:
    """Values as text, in order."""
    return sorted(map(str, values))


class DecisionQuery(Paging):
    """Filters of the list of decisions. Times are event time; `until_ns` is exclusive."""

    state: list[State] = Field(default_factory=list, max_length=len(State))
    live: bool | None = None
    simulated: bool | None = None
    subject: str = Field("", max_length=200, examples=["host:198.18.0.7"])
    host: str = Field("", max_length=200)
    segment: str = Field("", max_length=200)
    tenant: str = Field("", max_length=200)
    device: str = Field("", max_length=200)
    incident: str = Field("", max_length=300)
    since_ns: Ns | None = None
    until_ns: Ns | None = None
    min_score: float | None = Field(None, ge=0, le=100, allow_inf_nan=False)
    sort: Order = Order.NEWEST


class MoveIn(In):
    """A person's move on a decision."""

    reason: Reason
    version: int | None = Field(
        None, ge=1, le=2**31, description="The version that was looked at; 409 when it is no longer the decision's."
    )


class ExtendIn(MoveIn):
    """A longer life for an enforced fence."""

    seconds: float = Field(gt=0, le=31_536_000, allow_inf_nan=False, examples=[3600])


class DecisionSummary(Out):
    """A decision in a list."""

    id: str = Field(examples=["d5f1c0ffee12"])
    subject: str = Field(examples=["host:198.18.0.7"])
    host: str = Field(description="its name in the estate; empty when only the port is known", examples=["vps-17"])
    tenant: str = Field(examples=["tenant-4"])
    segment: str = Field(examples=["vps"])
    addresses: list[str] = Field(examples=[["198.18.0.7/32", "2001:db8:0:7::/64"]])
    ports: list[str] = Field(examples=[["hv-1/eth0"]])
    state: State = Field(examples=["enforced"])
    mode: str = Field(examples=["enforce"])
    simulated: bool
    level: LevelName = Field(examples=["isolate"])
    score: float = Field(examples=[95.0])
    finding: Finding
    fences: list[FenceKind] = Field(
        description="their kinds; a decision shown whole has them in `plan`", examples=[["cut_guest"]]
    )
    devices: list[str] = Field(examples=[["hv-1"]])
    created_ns: int = Field(description="event time of the verdict that led to it", examples=[1800000000000000000])
    until_ns: int = Field(description="event time of its end; 0: it waits for a person")
    first_bad_ns: int
    proposed_wall_ns: int
    verified_wall_ns: int
    effect: str = Field(description="fallen, still_sending or unproven; empty before it was judged")
    incident: str
    strikes: int
    compromise: bool
    approvals: int = Field(description="how many different people have to approve it", examples=[1])
    version: int


class Entry(Out):
    """One rule that Cordon holds in a slot."""

    action: str
    source: Words | None
    traffic: TrafficClass
    rate_bps: int | None
    segment: str


class Separation(Out):
    """What separates a segment: of what its prefixes send or hear, only the passages cross."""

    prefixes: Annotated[list[Words], BeforeValidator(sorted_words)]
    inside: Annotated[list[str], BeforeValidator(sorted)] = Field(description="interfaces towards the segment")
    passages: Annotated[list[Words], BeforeValidator(sorted_words)] = Field(
        examples=[["0.0.0.0/0 to 198.18.3.0/24 tcp port 443"]]
    )


class SlotState(Out):
    """What a slot holds; null where the device was not asked or has no such attribute."""

    vlan: int | None
    enabled: bool | None
    rate_bps: int | None
    entries: Annotated[list[Entry], BeforeValidator(lambda all_: sorted(all_, key=lambda one: one.sort_key()))]
    separation: Separation | None
    isolated: bool | None


class Change(Out):
    """The lines that set a slot, and those that take it back; both were recorded before the first was sent."""

    have: SlotState
    want: SlotState
    apply: Listed[str]
    undo: Listed[str]
    dialect: str
    digest: str


class SlotOut(Out):
    """A place on a device, read and set as one."""

    device: str
    kind: SlotKind
    name: str = Field(description="the interface; of a firewall its rule set")


class LegOut(Out):
    """One device's part of a fence and what became of it."""

    slot: SlotOut
    state: LegState
    change: Change | None
    recorded_ns: int
    verified_ns: int
    note: str


class FenceOut(Out):
    """What is done: all legs or none, in order."""

    kind: FenceKind
    traffic: TrafficClass
    collateral: list[str]
    why: str
    legs: list[LegOut]


class EvidenceOut(Out):
    """One detector's finding, in plain words and figures."""

    detector: str
    witness: Witness
    source: str
    strength: float
    weight: float
    half_life_s: float
    at_ns: int
    text: str
    facts: dict[str, Any]
    traffic: TrafficClass
    compromise: bool


class ReasonOut(Out):
    """A sentence of a policy or limit about the decision."""

    rule: str
    allows: bool
    text: str


class RatesOut(Out):
    """Per second, sampling multiplied out."""

    bits: float
    packets: float
    flows: float
    fragments: float
    malformed: float
    odd_protocol: float
    bits_in: float
    packets_in: float
    baseline_bits: float
    baseline_packets: float
    baseline_age_s: float


class AttachmentOut(Out):
    """Where the subject hangs, and who hangs there too."""

    host: str
    tenant: str
    segment: str
    ports: Annotated[list[Words], BeforeValidator(list)]
    addresses: Listed[str]
    mac: str | None
    guest: Words | None
    shared: bool
    neighbours: Listed[str]
    how: str


class MoveOut(Out):
    """One move in the audit. What a forger wrote in place of a known word is shown as it stands."""

    sequence: int
    decision_id: str
    by: By | str
    before: State | str | None
    after: State | str
    at_ns: int
    actor: str
    why: str
    previous: str
    hash: str


class Happening(Out):
    """A line of a timeline. `clock` says whose time it is: event (the network's) or wall (Cordon's)."""

    at_ns: int
    clock: str
    what: str
    text: str


class DecisionDetail(DecisionSummary):
    """Everything about a decision."""

    attachment: AttachmentOut
    plan: list[FenceOut]
    evidence: Listed[EvidenceOut]
    reasons: Listed[ReasonOut]
    rates: RatesOut
    explains: Listed[str]
    policy_digest: str
    scorer_digest: str
    verdict_id: str
    facts: dict[str, str]
    moves: list[MoveOut]
    timeline: list[Happening]


class AuditQuery(Paging):
    """Filters of the audit."""

    decision_id: str = Field("", max_length=300)
    actor: str = Field("", max_length=200)
    by: By | None = None
    since_ns: Ns | None = None
    until_ns: Ns | None = None


class ChainOut(Out):
    """What a walk along all moves found."""

    whole: bool
    moves: int
    head: str
    broken_at: int | None


class IncidentOut(Out):
    """Decisions that belong together; `again` names who was loud more than once."""

    id: str
    first_ns: int
    last_ns: int
    hosts: list[str]
    again: list[str]
    symptoms: list[str]
    decisions: list[DecisionSummary]
