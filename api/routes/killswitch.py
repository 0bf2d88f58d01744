"""The kill switch: no new fence, climb or repair while it is on; releases go on."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.auth import Approver, Viewer
from api.deps import InRoom, Room
from api.schemas.operations import SwitchIn, SwitchOut
from api.schemas.shapes import NoQuery

router = APIRouter(prefix="/kill-switch", tags=["kill switch"])


@router.get("", summary="The kill switch")
def show_switch(room: InRoom, _caller: Viewer, _query: Annotated[NoQuery, Query()]) -> SwitchOut:
    """Whether it is on, and who turned it last and why."""
    return _shown(room)


@router.put("", summary="Turn the kill switch")
def turn_switch(room: InRoom, caller: Approver, turn: SwitchIn, _query: Annotated[NoQuery, Query()]) -> SwitchOut:
    """Turn it on or off. Turning it to where it is changes nothing."""
    act = {"on": room.desk.kill, "off": room.desk.revive}[turn.state]
    act(actor=caller.name, why=turn.reason)
    return _shown(room)


def _shown(room: Room) -> SwitchOut:
    return SwitchOut.model_validate(room.reading.switch())
