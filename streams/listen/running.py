"""What a listening process does until it is told to stop, and what it says of itself each second."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from controller.domain import wire
from streams.listen.connections import Connections
from streams.listen.ears import Channel, Listener, facts
from streams.listen.outlet import Outlet

SECOND_NS = 1_000_000_000
SHOWN_STRANGERS = 8


@dataclass(frozen=True, slots=True)
class Named:
    """Who is listening."""

    instance: str
    version: str


def listen(
    listener: Listener,
    connections: Sequence[Connections],
    outlet: Outlet,
    *,
    named: Named,
    wall_ns: Callable[[], int],
    told: Callable[[], bool],
) -> None:
    """Listen until `told` to stop, or a thread of connections ends; then hand on what was taken and see it arrive."""
    for one in connections:
        one.start()
    beaten = 0
    while not told() and all(one.alive for one in connections):
        listener.turn()
        now = wall_ns()
        if now - beaten >= SECOND_NS:
            beaten = now
            beat = heartbeat(listener.channels, named, now, lost=notes_of_losses(outlet))
            outlet.send(wire.HEALTH, wire.heartbeat_json(beat), key=named.instance.encode())
    for one in connections:
        one.stop()
    listener.finish()
    outlet.flush()


def heartbeat(channels: Sequence[Channel], named: Named, now_ns: int, *, lost: Sequence[str] = ()) -> wire.Heartbeat:
    """How a listening process is. Strangers stand in the notes: they are no exporters of this site."""
    return wire.Heartbeat(
        process="listen",
        instance=named.instance,
        at_ns=now_ns,
        event_ns=min((channel.marked_ns for channel in channels), default=0),
        version=named.version,
        exporters=facts(channels),
        notes=(*(note for channel in channels for note in _strangers(channel)), *lost),
    )


def _strangers(channel: Channel) -> list[str]:
    worst = ", ".join(f"{name} {times}" for name, times in channel.strangers.worst(SHOWN_STRANGERS))
    unseen = channel.dropped_strangers
    return [
        *([f"{channel.topic}: {channel.strangers.total} refused of senders not listed: {worst}"] if worst else []),
        *([f"{channel.topic}: {unseen} of senders not listed dropped unread"] if unseen else []),
    ]


def notes_of_losses(outlet: Outlet) -> tuple[str, ...]:
    """Messages that the broker did not take."""
    return tuple(f"{topic}: {count} messages lost, {outlet.why_lost}" for topic, count in outlet.lost.items())
