"""Hosts: what the streams say of them, who they are, and why Cordon does with them what it does."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Path, Query

from api import views
from api.auth import Viewer
from api.deps import InRoom, Room
from api.explaining import explained
from api.people import Person, is_about, person
from api.schemas.decisions import EvidenceOut, ReasonOut
from api.schemas.network import Explanation, HostDetail, HostQuery, VerdictOut
from api.schemas.shapes import NoQuery, Page
from controller.domain.address import subject_text
from controller.domain.decision import ENDED
from controller.domain.record import Decision
from controller.domain.verdict import Level, Verdict
from controller.ledger_reading import Filter

router = APIRouter(tags=["hosts"])

HostName = Annotated[
    str,
    Path(
        min_length=1,
        max_length=200,
        description="a host's name, an address, or a subject as verdicts write it",
        examples=["vps-17", "198.18.0.7", "2001:db8::7"],
    ),
]
No = Annotated[NoQuery, Query()]

ALL = 100_000  # subjects; the ledger keeps those above watch and two hundred others
LAST_DECISIONS = 20


@router.get("/hosts", summary="List hosts by score")
def list_hosts(room: InRoom, _caller: Viewer, query: Annotated[HostQuery, Query()]) -> Page[VerdictOut]:
    """Every subject above watch and the loudest of the others, worst first, with evidence and rates."""
    total, found = room.reading.hosts(
        level=Level[query.level.upper()], min_score=query.min_score, limit=query.limit, offset=query.offset
    )
    items = [views.verdict_out(one, room.estate) for one in found]
    return Page(items=items, total=total, limit=query.limit, offset=query.offset)


@router.get("/hosts/{name:path}", summary="Show a host")
def show_host(room: InRoom, _caller: Viewer, name: HostName, _query: No) -> HostDetail:
    """Who it is, what the streams say of it now, and its last decisions."""
    who = person(room.estate, name)
    neighbours = room.estate.neighbours(who.host) if who.host else ()
    return HostDetail(
        host=views.host_out(who.host) if who.host else None,
        neighbours=[one.name for one in neighbours],
        verdicts=[views.verdict_out(one, room.estate) for one in _verdicts(room, who)],
        decisions=[views.summary(one) for one in _decisions(room, who)],
    )


@router.get("/explain/{name:path}", summary="Explain a host")
def explain(room: InRoom, _caller: Viewer, name: HostName, _query: No) -> Explanation:
    """Why Cordon does with a host what it does, in sentences; evidence and reasons beside them."""
    who = person(room.estate, name)
    verdicts, decisions = _verdicts(room, who), _decisions(room, who)
    about = next((one for one in decisions if one.state not in ENDED), next(iter(decisions), None))
    return Explanation(
        host=who.name,
        sentences=explained(who, verdicts, decisions),
        evidence=[
            EvidenceOut.model_validate(one)
            for one in (about.evidence if about else [item for verdict in verdicts for item in verdict.evidence])
        ],
        reasons=[ReasonOut.model_validate(one) for one in about.reasons] if about else [],
        decision_id=about.id if about else "",
    )


def _verdicts(room: Room, who: Person) -> list[Verdict]:
    _, found = room.reading.hosts(limit=ALL)
    return [one for one in found if is_about(room.estate, who, one.subject)]


def _decisions(room: Room, who: Person) -> Sequence[Decision]:
    if who.host is not None:
        wanted = Filter(host=who.host.name)
    elif who.subject is not None:
        wanted = Filter(subject=subject_text(who.subject))
    else:
        return ()
    return room.reading.decisions(wanted, limit=LAST_DECISIONS)[1]
