"""What routes are given: the ledger, the desk, the estate, the time."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from api.settings import Settings, WallClock
from controller.desk import Desk
from controller.domain.estate import Estate
from controller.ledger import Ledger
from controller.ledger_reading import Reading


@dataclass(frozen=True, slots=True)
class Room:
    """All that the routes work with; built once per process."""

    settings: Settings
    ledger: Ledger
    reading: Reading
    desk: Desk
    estate: Estate
    clock: WallClock


def room_of(request: Request) -> Room:
    """The room of the process that serves this request."""
    room: Room = request.app.state.room
    return room


InRoom = Annotated[Room, Depends(room_of)]
