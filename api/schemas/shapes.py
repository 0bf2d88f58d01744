"""What all documents of the API share.

Times are integers: nanoseconds since the epoch, as everywhere in Cordon; 0 means never. Output documents are read from
domain values by attribute, so that a noun's field and its document's cannot drift.
"""

from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from controller.domain.verdict import Level

T = TypeVar("T")

PAGE_LIMIT = 200
MAX_OFFSET = 10_000_000
LAST_NS = 2**63 - 1

Words = Annotated[str, BeforeValidator(str)]
LevelName = Annotated[str, BeforeValidator(lambda level: level.name.lower() if isinstance(level, Level) else level)]
Listed = Annotated[list[T], BeforeValidator(list)]
Ns = Annotated[int, Field(ge=0, le=LAST_NS, description="nanoseconds since the epoch")]
Reason = Annotated[
    str,
    Field(
        min_length=1,
        max_length=500,
        pattern=r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$",
        description="Why; it stands in the audit for good. One line.",
        examples=["flood confirmed on the customer's console"],
    ),
]


class Out(BaseModel):
    """A document that leaves."""

    model_config = ConfigDict(from_attributes=True)


class In(BaseModel):
    """A document or query that comes in: an unknown name is an error, for a misspelt filter filters nothing."""

    model_config = ConfigDict(extra="forbid")


class NoQuery(In):
    """A route without query parameters."""


class Paging(In):
    """Which page of a list."""

    limit: int = Field(50, ge=1, le=PAGE_LIMIT)
    offset: int = Field(0, ge=0, le=MAX_OFFSET)


class Page(Out, Generic[T]):
    """A page of a list. `total` counts all that the filter lets through."""

    items: list[T]
    total: int
    limit: int
    offset: int


class Problem(Out):
    """An error (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "urn:cordon:problem:illegal-move",
                "title": "Not possible from this state",
                "status": 409,
                "detail": "a decision that is released cannot approve; possible: nothing, it has ended",
                "instance": "/api/v1/decisions/d-1/approve",
                "request_id": "0f3b6f6e1f0c4c0e9a8ce1f0b1a2c3d4",
            }
        }
    )

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
