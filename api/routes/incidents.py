"""Incidents: decisions that belong together, across nights."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from api import views
from api.auth import Viewer
from api.deps import InRoom
from api.schemas.decisions import IncidentOut
from api.schemas.shapes import NoQuery, Page, Paging
from controller.domain.errors import UnknownSubject

router = APIRouter(prefix="/incidents", tags=["incidents"])


@router.get("", summary="List incidents")
def list_incidents(room: InRoom, _caller: Viewer, query: Annotated[Paging, Query()]) -> Page[IncidentOut]:
    """The incident with the newest decision first; `again` says who was loud more than once."""
    total, found = room.reading.incidents(limit=query.limit, offset=query.offset)
    return Page(items=[views.incident_out(one) for one in found], total=total, limit=query.limit, offset=query.offset)


@router.get("/{incident_id}", summary="Show an incident")
def show_incident(
    room: InRoom,
    _caller: Viewer,
    incident_id: Annotated[str, Path(min_length=1, max_length=300)],
    _query: Annotated[NoQuery, Query()],
) -> IncidentOut:
    """One incident with its decisions, oldest first."""
    found = room.reading.incident(incident_id)
    if found is None:
        raise UnknownSubject(f"no incident has the id {incident_id[:80]!r}")
    return views.incident_out(found)
