"""The audit: every move, and the proof that none was changed, taken out or put in."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.auth import Viewer
from api.deps import InRoom
from api.schemas.decisions import AuditQuery, ChainOut, MoveOut
from api.schemas.shapes import NoQuery, Page
from controller.ledger_reading import MoveFilter

router = APIRouter(prefix="/audit", tags=["audit"])


@router.get("/moves", summary="List moves")
def list_moves(room: InRoom, _caller: Viewer, query: Annotated[AuditQuery, Query()]) -> Page[MoveOut]:
    """Every move of every decision, newest first: who, when and why."""
    wanted = MoveFilter(
        decision_id=query.decision_id,
        actor=query.actor,
        by=query.by.value if query.by else "",
        since_ns=query.since_ns,
        until_ns=query.until_ns,
    )
    total, found = room.reading.moves(wanted, limit=query.limit, offset=query.offset)
    items = [MoveOut.model_validate(one) for one in found]
    return Page(items=items, total=total, limit=query.limit, offset=query.offset)


@router.get("/chain", summary="Verify the chain")
def verify_chain(room: InRoom, _caller: Viewer, _query: Annotated[NoQuery, Query()]) -> ChainOut:
    """Walk all moves from the first to the head. `broken_at` is the first that does not follow from those before."""
    chain = room.reading.chain()
    return ChainOut(whole=chain.whole, moves=chain.moves, head=chain.head, broken_at=chain.broken_at)
