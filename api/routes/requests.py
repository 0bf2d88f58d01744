"""Requests: what only the controller can answer, because it takes a device or a plan.

A request is a row in the ledger. The controller picks it up, and its answer is read here; this process asks no device.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from api.auth import Operator, Viewer
from api.deps import InRoom, Room
from api.people import person
from api.schemas.requests import Kind, RequestIn, RequestOut, RequestQuery
from api.schemas.shapes import NoQuery, Page
from controller.domain import record
from controller.domain.errors import IllegalMove, UnknownSubject

router = APIRouter(prefix="/requests", tags=["requests"])

No = Annotated[NoQuery, Query()]
OF_SEGMENTS = frozenset({Kind.SEGMENT_PLAN, Kind.SEGMENT_APPLY, Kind.SEGMENT_CHECK, Kind.SEGMENT_ISOLATE})


@router.post("", summary="Ask the controller", status_code=202)
def ask(
    room: InRoom, caller: Operator, asked: RequestIn, request: Request, response: Response, _query: No
) -> RequestOut:
    """File a request, and come back for the answer at the address in `Location`.

    `simulate`: what would be done about a host; `reachability`: does a device let us in; `segment_plan`,
    `segment_check`: what a segment's firewall holds and what leads around it; `segment_apply`, `segment_isolate`:
    propose a decision about a segment, which two different approvers then have to approve. The same X-Request-ID with
    the same request is the same request.
    """
    _must_mean_something(room, asked)
    ident = f"q-{request.state.request_id}"
    made = record.Request(
        id=ident,
        kind=record.RequestKind(asked.kind.value),
        actor=caller.name,
        why=asked.reason,
        at_ns=room.clock.now_ns(),
        about=asked.about,
    )
    room.ledger.ask(made)
    kept = room.ledger.request(ident)
    if (kept.kind, kept.about, kept.actor) != (made.kind, made.about, made.actor):
        raise IllegalMove(f"another request has the id {ident}; possible: another X-Request-ID")
    response.headers["Location"] = f"{request.url.path}/{ident}"
    return RequestOut.model_validate(kept)


@router.get("", summary="List requests")
def list_requests(room: InRoom, _caller: Viewer, query: Annotated[RequestQuery, Query()]) -> Page[RequestOut]:
    """What was asked, by whom and why, newest first, with the answers that there are."""
    total, found = room.reading.requests(
        kinds=[kind.value for kind in query.kind], answered=query.answered, limit=query.limit, offset=query.offset
    )
    items = [RequestOut.model_validate(one) for one in found]
    return Page(items=items, total=total, limit=query.limit, offset=query.offset)


@router.get("/{request_id}", summary="Show a request")
def show_request(
    room: InRoom,
    _caller: Viewer,
    request_id: Annotated[str, Path(min_length=1, max_length=300, examples=["q-0f3b6f6e1f0c4c0e9a8ce1f0b1a2c3d4"])],
    _query: No,
) -> RequestOut:
    """One request; `answered_ns` is 0 until the controller has answered."""
    return RequestOut.model_validate(room.ledger.request(request_id))


def _must_mean_something(room: Room, asked: RequestIn) -> None:
    """Refuse what the controller could only shrug at. Raises UnknownSubject."""
    if asked.kind is Kind.SIMULATE:
        person(room.estate, asked.about)
        return
    of_segment = asked.kind in OF_SEGMENTS
    what, known = ("segment", set(room.estate.segments)) if of_segment else ("device", set(room.estate.devices))
    if asked.about not in known:
        raise UnknownSubject(f"no {what} is called {asked.about[:80]!r}")
