"""How Cordon itself is: alive, ready, in detail; what could not be read; who was paged."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.auth import Viewer
from api.deps import InRoom, Room
from api.problems import RETRY_AFTER_S, Refusal
from api.readiness import assess, unproven
from api.schemas.operations import (
    AlarmOut,
    CallerOut,
    DeadLetterOut,
    DeadLetterQuery,
    HealthOut,
    LiveOut,
    ReadyOut,
)
from api.schemas.shapes import NoQuery, Page, Paging

router = APIRouter(tags=["health"])

No = Annotated[NoQuery, Query()]


@router.get("/health/live", summary="Alive")
def live(_query: No) -> LiveOut:
    """The process answers. Says nothing of the rest; needs no token."""
    return LiveOut()


@router.get("/health/ready", summary="Ready")
def ready(room: InRoom, _query: No) -> ReadyOut:
    """The ledger answers, and streams and controller were heard lately; else 503 with the reason. Needs no token."""
    health = _health(room)
    if health.faults:
        raise Refusal(503, "not-ready", "Not ready", "; ".join(health.faults), headers={"Retry-After": RETRY_AFTER_S})
    return ReadyOut()


@router.get("/health", summary="Health in detail")
def health(room: InRoom, _caller: Viewer, _query: No) -> HealthOut:
    """Lag per partition, the oldest unprocessed event, silent exporters, what became of every record."""
    return _health(room)


@router.get("/dead-letters", summary="List dead letters")
def list_dead_letters(room: InRoom, _caller: Viewer, query: Annotated[DeadLetterQuery, Query()]) -> Page[DeadLetterOut]:
    """Input that could not be used, newest first, each with its reason and first bytes."""
    total, found = room.reading.dead_letters(reason=query.reason, limit=query.limit, offset=query.offset)
    items = [
        DeadLetterOut(
            source=one.source,
            reason=one.reason,
            at_ns=one.at_ns,
            length=one.length,
            sha256=one.sha256,
            kept=one.kept[:SHOWN_OF_A_DEAD_LETTER].decode("utf-8", "backslashreplace"),
            count=one.count,
        )
        for one in found
    ]
    return Page(items=items, total=total, limit=query.limit, offset=query.offset)


@router.get("/alarms", summary="List alarms")
def list_alarms(room: InRoom, _caller: Viewer, query: Annotated[Paging, Query()]) -> Page[AlarmOut]:
    """Pages to people, newest first, whether or not the pager could be reached."""
    total, found = room.reading.alarms(limit=query.limit, offset=query.offset)
    items = [AlarmOut.model_validate(one) for one in found]
    return Page(items=items, total=total, limit=query.limit, offset=query.offset)


@router.get("/me", summary="Whose token this is")
def me(caller: Viewer, _query: No) -> CallerOut:
    """Name and role of the caller."""
    return CallerOut(name=caller.name, role=caller.role, expires_ns=caller.expires_ns)


SHOWN_OF_A_DEAD_LETTER = 2_048


def _health(room: Room) -> HealthOut:
    counts: dict[str, int] = {}
    for one in room.ledger.live():
        counts[one.state.value] = counts.get(one.state.value, 0) + 1
    return assess(
        room.reading.heartbeats(),
        now_ns=room.clock.now_ns(),
        max_age_s=room.settings.heartbeat_max_age_s,
        killed=room.ledger.killed(),
        logins=tuple(
            unproven(
                room.estate.devices,
                room.ledger.proofs(),
                now_ns=room.clock.now_ns(),
                max_age_s=room.settings.login_max_age_s,
            )
        ),
        dead={reason: records for reason, (_, records) in room.reading.dead_counts().items()},
        decisions=counts,
    )
