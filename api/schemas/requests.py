"""Documents about what people ask of the controller."""

from enum import StrEnum

from pydantic import ConfigDict, Field

from api.schemas.shapes import In, Out, Paging, Reason
from controller.domain.record import RequestKind


class Kind(StrEnum):
    """What may be asked here; the kill switch has a place of its own."""

    SIMULATE = RequestKind.SIMULATE.value
    REACHABILITY = RequestKind.REACHABILITY.value
    SEGMENT_PLAN = RequestKind.SEGMENT_PLAN.value
    SEGMENT_APPLY = RequestKind.SEGMENT_APPLY.value
    SEGMENT_CHECK = RequestKind.SEGMENT_CHECK.value
    SEGMENT_ISOLATE = RequestKind.SEGMENT_ISOLATE.value


class RequestIn(In):
    """A question for the controller."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"kind": "simulate", "about": "vps-17", "reason": "before the maintenance window"},
                {"kind": "segment_plan", "about": "hosting", "reason": "after the second outage"},
            ]
        }
    )

    kind: Kind
    about: str = Field(
        min_length=1,
        max_length=200,
        description="a host's name or address to simulate, a device to reach, or a segment",
        examples=["vps-17"],
    )
    reason: Reason


class RequestQuery(Paging):
    """Which requests."""

    kind: list[Kind] = Field(default_factory=list, max_length=len(Kind))
    answered: bool | None = None


class RequestOut(Out):
    """A request and, once the controller has answered, its answer. Times are wall clock ns."""

    id: str = Field(examples=["q-0f3b6f6e1f0c4c0e9a8ce1f0b1a2c3d4"])
    kind: RequestKind
    about: str = Field(examples=["vps-17"])
    actor: str = Field(examples=["olga"])
    why: str
    at_ns: int
    answer: str = Field(
        description="lines for people; one that begins with `not ` is a no",
        examples=["reachable: sw-1 answered about sw-1:port:eth1 in 0.21 s"],
    )
    answered_ns: int = Field(description="0: not answered yet")
    decision_id: str = Field(description="the decision that it led to, or that stands already; else empty")
