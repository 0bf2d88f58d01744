"""Decisions: list, show, move, and download with everything that speaks for them."""

import hashlib
import json
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from api import bundles, views
from api.auth import Approver, Operator, Viewer
from api.deps import InRoom, Room
from api.schemas.decisions import DecisionDetail, DecisionQuery, DecisionSummary, ExtendIn, MoveIn
from api.schemas.shapes import NoQuery, Page
from controller.domain.record import Decision
from controller.ledger_codec import to_document
from controller.ledger_reading import Filter
from controller.ledger_tokens import Token

router = APIRouter(prefix="/decisions", tags=["decisions"])

DecisionId = Annotated[str, Path(min_length=1, max_length=300, examples=["d-1"])]
No = Annotated[NoQuery, Query()]


@router.get("", summary="List decisions")
def list_decisions(room: InRoom, _caller: Viewer, query: Annotated[DecisionQuery, Query()]) -> Page[DecisionSummary]:
    """Decisions that pass every filter, newest first unless sorted otherwise."""
    wanted = Filter(
        states=tuple(state.value for state in query.state),
        live=query.live,
        simulated=query.simulated,
        subject=query.subject,
        host=query.host,
        segment=query.segment,
        tenant=query.tenant,
        device=query.device,
        incident=query.incident,
        since_ns=query.since_ns,
        until_ns=query.until_ns,
        min_score=query.min_score,
    )
    total, found = room.reading.decisions(wanted, order=query.sort, limit=query.limit, offset=query.offset)
    return Page(items=[views.summary(one) for one in found], total=total, limit=query.limit, offset=query.offset)


@router.get("/{decision_id}", summary="Show a decision")
def show_decision(room: InRoom, _caller: Viewer, decision_id: DecisionId, _query: No) -> DecisionDetail:
    """Everything: fences, legs with their lines and undo, evidence, reasons, moves, timeline."""
    return _detail(room, room.ledger.decision(decision_id))


@router.get(
    "/{decision_id}/bundle",
    summary="Download the evidence whole",
    responses={200: {"content": {"application/json": {}}, "description": "One file with all that is known."}},
)
def bundle(room: InRoom, caller: Viewer, decision_id: DecisionId, _query: No) -> Response:
    """One JSON file: the decision, every finding it ever rested on, its moves, and where the chain stood.

    `sha256` is of the member `content` in canonical JSON (sorted keys, no spaces).
    """
    content = {**_parts(room, room.ledger.decision(decision_id)), **_about(room, caller)}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    body = json.dumps({"v": 1, "sha256": digest, "content": content}, indent=1, allow_nan=False)
    return Response(body, media_type="application/json", headers=_as_file(decision_id, "json"))


@router.get(
    "/{decision_id}/bundle.zip",
    summary="Download the evidence as a zip file",
    response_class=Response,
    responses={200: {"content": {"application/zip": {}}, "description": "A JSON document for each part."}},
)
def bundle_zip(room: InRoom, caller: Viewer, decision_id: DecisionId, _query: No) -> Response:
    """The same in parts, with the chain of moves from the decision's first to its last; `cordon verify` proves it.

    Besides `decision`, `evidence`, `moves`, `transcripts` (what was said to devices) and `timeline`: `chain` has the
    links of all moves in between, `digests` what was in force (policy, scorer, dialects), and `manifest` the SHA-256 of
    every part.
    """
    decision = room.ledger.decision(decision_id)
    parts = _parts(room, decision)
    own = room.ledger.moves(decision_id)
    stretch = room.reading.stretch(own[0].sequence, own[-1].sequence) if own else ()
    about = {**_about(room, caller), "decision": decision_id, "head": parts.pop("chain")}
    digests = {
        "policy": decision.policy_digest,
        "scorer": decision.scorer_digest,
        "dialects": {
            leg.change.dialect: leg.change.digest
            for fence in decision.fences
            for leg in fence.legs
            if leg.change is not None
        },
    }
    content = bundles.packed({**parts, "chain": bundles.links(stretch), "digests": digests}, about)
    return Response(content, media_type="application/zip", headers=_as_file(decision_id, "zip"))


@router.post("/{decision_id}/approve", summary="Approve")
def approve(room: InRoom, caller: Approver, decision_id: DecisionId, move: MoveIn, _query: No) -> DecisionDetail:
    """Let a proposal be carried out; the controller asks the limits again first. Already approved: nothing changes.

    A decision about a whole segment needs two different people: after the first approval it is still `proposed`.
    """
    return _detail(room, room.desk.approve(decision_id, actor=caller.name, why=move.reason, version=move.version))


@router.post("/{decision_id}/reject", summary="Reject")
def reject(room: InRoom, caller: Operator, decision_id: DecisionId, move: MoveIn, _query: No) -> DecisionDetail:
    """Turn a proposal down, or take back an approval that nobody has begun to carry out."""
    return _detail(room, room.desk.reject(decision_id, actor=caller.name, why=move.reason, version=move.version))


@router.post("/{decision_id}/release", summary="Release")
def release(room: InRoom, caller: Operator, decision_id: DecisionId, move: MoveIn, _query: No) -> DecisionDetail:
    """End a fence. Two releases at once are one."""
    return _detail(room, room.desk.release(decision_id, actor=caller.name, why=move.reason, version=move.version))


@router.post("/{decision_id}/extend", summary="Extend")
def extend(room: InRoom, caller: Operator, decision_id: DecisionId, move: ExtendIn, _query: No) -> DecisionDetail:
    """Let an enforced fence last so many seconds beyond its present end."""
    moved = room.desk.extend(
        decision_id, seconds=move.seconds, actor=caller.name, why=move.reason, version=move.version
    )
    return _detail(room, moved)


def _parts(room: Room, decision: Decision) -> dict[str, Any]:
    chain = room.reading.chain()
    return {
        "decision": to_document(decision),
        "evidence": [to_document(one) for one in room.reading.evidence(decision.id)],
        "moves": [to_document(one) for one in room.ledger.moves(decision.id)],
        "transcripts": [to_document(one) for one in room.reading.transcripts(decision.id)],
        "timeline": [one.model_dump() for one in _detail(room, decision).timeline],
        "chain": {"whole": chain.whole, "moves": chain.moves, "head": chain.head, "broken_at": chain.broken_at},
    }


def _about(room: Room, caller: Token) -> dict[str, Any]:
    return {"site": room.estate.site.name, "made_at_ns": room.clock.now_ns(), "made_for": caller.name}


def _as_file(decision_id: str, ending: str) -> dict[str, str]:
    safe = "".join(one if one.isascii() and (one.isalnum() or one in "-_.") else "_" for one in decision_id)
    return {"Content-Disposition": f'attachment; filename="cordon-{safe}.{ending}"'}


def _detail(room: Room, decision: Decision) -> DecisionDetail:
    return views.detail(decision, room.ledger.moves(decision.id))
