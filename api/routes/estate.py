"""The estate as the site file describes it, without anything that would help to log in to a device."""

from collections.abc import Sequence
from typing import Annotated, TypeVar

from fastapi import APIRouter, Query

from api import views
from api.auth import Viewer
from api.deps import InRoom
from api.schemas.network import (
    DeviceOut,
    DeviceQuery,
    EstateHostQuery,
    EstateOut,
    HostOut,
    InterfaceOut,
    LoginOut,
    SegmentOut,
)
from api.schemas.shapes import NoQuery, Page, Paging
from controller.domain.address import Port

router = APIRouter(prefix="/estate", tags=["estate"])

T = TypeVar("T")


@router.get("", summary="The estate in figures")
def show_estate(room: InRoom, _caller: Viewer, _query: Annotated[NoQuery, Query()]) -> EstateOut:
    """What is ours, what is never fenced, and how much of everything there is."""
    site = room.estate.site
    return EstateOut(
        name=site.name,
        prefixes=[str(one) for one in site.prefixes],
        protected=[str(one) for one in site.protected],
        segments=len(site.segments),
        devices=len(site.devices),
        interfaces=len(site.interfaces),
        hosts=len(site.hosts),
        sources=[one.topic for one in site.sources],
    )


@router.get("/segments", summary="List segments")
def list_segments(room: InRoom, _caller: Viewer, query: Annotated[Paging, Query()]) -> Page[SegmentOut]:
    """Segments in the order of the file."""
    items, total = _cut(room.estate.site.segments, query)
    return Page(
        items=[SegmentOut.model_validate(one) for one in items], total=total, limit=query.limit, offset=query.offset
    )


@router.get("/devices", summary="List devices")
def list_devices(room: InRoom, _caller: Viewer, query: Annotated[Paging, Query()]) -> Page[DeviceOut]:
    """Devices in the order of the file, with how fresh the proof is that they let Cordon in.

    User names and where secrets are kept are not shown.
    """
    items, total = _cut(room.estate.site.devices, query)
    proofs = room.ledger.proofs()
    shown = [
        DeviceOut.model_validate(one).model_copy(
            update={"login": LoginOut.model_validate(proofs[one.name]) if one.name in proofs else None}
        )
        for one in items
    ]
    return Page(items=shown, total=total, limit=query.limit, offset=query.offset)


@router.get("/ports", summary="List ports")
def list_ports(room: InRoom, _caller: Viewer, query: Annotated[DeviceQuery, Query()]) -> Page[InterfaceOut]:
    """Interfaces with the hosts that hang on them, of one device or of all."""
    wanted = [one for one in room.estate.site.interfaces if query.device in ("", one.device)]
    items, total = _cut(wanted, query)
    shown = [
        InterfaceOut(
            device=one.device,
            name=one.name,
            if_index=one.if_index,
            role=one.role.value,
            shared=one.shared,
            storage=one.storage,
            lag=one.lag,
            hosts=[host.name for host in room.estate.by_port.get(Port(one.device, one.name), ())],
        )
        for one in items
    ]
    return Page(items=shown, total=total, limit=query.limit, offset=query.offset)


@router.get("/hosts", summary="List hosts of the estate")
def list_estate_hosts(room: InRoom, _caller: Viewer, query: Annotated[EstateHostQuery, Query()]) -> Page[HostOut]:
    """Hosts in the order of the file, of one segment or tenant or of all."""
    wanted = [
        one for one in room.estate.site.hosts if query.segment in ("", one.segment) and query.tenant in ("", one.tenant)
    ]
    items, total = _cut(wanted, query)
    return Page(items=[views.host_out(one) for one in items], total=total, limit=query.limit, offset=query.offset)


def _cut(items: Sequence[T], query: Paging) -> tuple[Sequence[T], int]:
    return items[query.offset : query.offset + query.limit], len(items)
