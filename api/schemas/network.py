"""Documents about hosts, what the streams say of them, and the estate."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from api.schemas.decisions import DecisionSummary, EvidenceOut, RatesOut, ReasonOut
from api.schemas.shapes import LevelName, Listed, Out, Paging, Words
from controller.domain.crossing import Side, Transport
from controller.domain.verdict import Finding


class VerdictOut(Out):
    """The newest word of the streams on a subject, and who that is in the estate."""

    subject: str
    host: str
    tenant: str
    segment: str
    role: str
    score: float
    level: LevelName
    finding: Finding
    at_ns: int
    first_bad_ns: int
    evidence: list[EvidenceOut]
    rates: RatesOut
    peers: list[str]
    explains: list[str]
    exporter: str
    interface: int
    mac: str


class HostQuery(Paging):
    """Filters of the list of hosts."""

    level: str = Field("clear", pattern="^(clear|watch|contain|isolate)$")
    min_score: float = Field(0.0, ge=0, le=100, allow_inf_nan=False)


class HostOut(Out):
    """A host of the estate. `protected`: no automatic fence may name it."""

    name: str
    tenant: str
    role: str
    segment: str
    addresses: list[str]
    prefixes: list[str]
    mac: str | None
    ports: list[str]
    guest: str | None
    protected: bool


class HostDetail(Out):
    """A host: who it is, what the streams say of it now, what was decided about it before."""

    host: HostOut | None = Field(description="null when the estate knows no such host")
    neighbours: list[str]
    verdicts: list[VerdictOut]
    decisions: list[DecisionSummary]


class Explanation(Out):
    """Why Cordon does with a host what it does, in sentences."""

    host: str
    sentences: list[str]
    evidence: list[EvidenceOut]
    reasons: list[ReasonOut]
    decision_id: str = Field(description="the live decision, else the last one; empty when there is none")


class CrossingOut(Out):
    """Connections that may cross the segment's firewall, by who begins them."""

    begins: Side
    peers: Annotated[list[Words], BeforeValidator(list)]
    transport: Transport
    ports: Listed[str] = Field(description="of whoever does not begin; empty: all")
    hosts: Annotated[list[Words], BeforeValidator(list)] = Field(description="within the segment; empty: all of it")
    why: str


class SegmentOut(Out):
    """A segment of the estate. `crossings` null: not declared; empty: nothing may cross."""

    name: str
    prefixes: Annotated[list[Words], BeforeValidator(list)]
    vlan: int | None
    firewall: str
    mode: str
    crossings: Annotated[list[CrossingOut] | None, BeforeValidator(lambda all_: None if all_ is None else list(all_))]
    inside: Listed[str] = Field(description="the firewall's interfaces towards the segment")


class LoginOut(Out):
    """The last attempt to log in to a device. Wall clock ns; `reached_ns` 0: none ever succeeded."""

    at_ns: int
    reached: bool
    reached_ns: int
    text: str = Field(examples=["logged in and answered about eth1 in 0.36 s"])


class DeviceOut(Out):
    """A device, without anything that would help to log in to it."""

    name: str
    platform: str
    host: Words
    port: int
    role: str
    exporter: Words | None
    quarantine_vlan: int | None
    mode: str
    login: LoginOut | None = Field(None, description="null until the controller has tried")


class InterfaceOut(Out):
    """An interface of a device, and which hosts hang on it."""

    device: str
    name: str
    if_index: int
    role: str
    shared: bool
    storage: bool
    lag: str
    hosts: list[str] = Field(default_factory=list)


class DeviceQuery(Paging):
    """Which interfaces."""

    device: str = Field("", max_length=200)


class EstateHostQuery(Paging):
    """Which hosts of the estate."""

    segment: str = Field("", max_length=200)
    tenant: str = Field("", max_length=200)


class EstateOut(Out):
    """The estate in figures."""

    name: str
    prefixes: list[str]
    protected: list[str]
    segments: int
    devices: int
    interfaces: int
    hosts: int
    sources: list[str]
