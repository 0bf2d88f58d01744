"""The sockets that a site's `[[listeners]]` ask for, dealt out to the processes that will read them."""

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from controller.domain.address import Address, packed
from controller.domain.errors import ConfigError
from controller.domain.estate import Estate, Source, SourceFormat
from controller.domain.listening import Carrier, Listener
from streams.listen.connections import Connections, Door, tls_context
from streams.listen.ears import Channel, Ear
from streams.listen.inbox import Inbox
from streams.listen.senders import Listed
from streams.listen.slots import Slots
from streams.listen.steering import Place, open_group, places, socket_for

SLOTS = 1_024
SLOTS_OF_LINES = 4 * SLOTS
"""A datagram holds one line, and a frame many: what is said alike in it counts as one claim."""

"""Datagrams held before they are handed on; 4 KiB of memory each while they are no larger."""

BACKLOG = 128


@dataclass(frozen=True, slots=True)
class Opened:
    """One socket for datagrams, who is heard there, and which of the processes reads it."""

    topic: str
    socket: socket.socket
    place: Place
    rate: int
    worker: int


@dataclass(frozen=True, slots=True)
class Share:
    """Which process this is, of how many: it writes the partitions that leave this remainder."""

    worker: int = 0
    workers: int = 1


def listed(estate: Estate, source: Source) -> tuple[Address, ...]:
    """Who may send to a source: those whom it names, else every device of the estate, and every host for logs."""
    if source.exporters:
        return source.exporters
    if source.format is not SourceFormat.SYSLOG:
        return tuple(estate.exporters)
    hosts = [address for host in estate.hosts.values() for address in (*host.log_addresses, *host.addresses)]
    return tuple(dict.fromkeys((*estate.exporters, *(device.host for device in estate.devices.values()), *hosts)))


def senders(estate: Estate, topic: str, *, file: str) -> Listed:
    """The senders of a topic. Raises ConfigError when nobody may send."""
    source = next(one for one in estate.site.sources if one.topic == topic)
    found = Listed([packed(address) for address in listed(estate, source)])
    if not len(found):
        raise ConfigError(file=file, key="devices", expected=f"at least one exporter for {topic}", got="none")
    return found


def open_datagrams(estate: Estate, *, partitions: Mapping[str, int], workers: int, file: str) -> tuple[Opened, ...]:
    """Bind the sockets of all tables that speak UDP. Raises OSError naming the address."""
    opened: list[Opened] = []
    for listener in estate.site.listeners:
        if listener.carrier is not Carrier.UDP:
            continue
        expected = senders(estate, listener.topic, file=file).addresses
        dealt = places(expected, partitions=partitions[listener.topic])
        buffer = listener.buffer_kib * 1024
        for port in listener.ports:
            try:
                group = open_group(listener.address, port, listed=expected, dealt=dealt, buffer_bytes=buffer)
            except OSError as error:
                raise _named(error, listener, port) from error
            for place, one in zip(dealt, group, strict=True):
                rate = listener.budget * max(1, len(place.senders))
                opened.append(Opened(listener.topic, one, place, rate, (place.partition or 0) % workers))
    return tuple(opened)


def open_doors(estate: Estate, topic: str) -> tuple[Door, ...]:
    """Listen for connections to a topic. Raises OSError naming the address or the files of a certificate."""
    return tuple(
        _door(listener, port)
        for listener in estate.site.listeners
        if listener.topic == topic and listener.carrier is not Carrier.UDP
        for port in listener.ports
    )


def _door(listener: Listener, port: int) -> Door:
    made = socket_for(listener.address, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((str(listener.address), port))
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        raise _named(error, listener, port) from error
    if listener.carrier is Carrier.TCP:
        return Door(made)
    try:
        return Door(made, tls_context(listener.certificate_file, listener.key_file, listener.client_ca_file))
    except OSError as error:
        made.close()
        files = ", ".join(filter(None, (listener.certificate_file, listener.key_file, listener.client_ca_file)))
        raise OSError(error.errno, f"{files}: {error.strerror or error}") from error


def _named(error: OSError, listener: Listener, port: int) -> OSError:
    return OSError(error.errno, f"{listener.address} port {port} ({listener.carrier.value}): {error.strerror}")


def channels(
    estate: Estate,
    opened: Sequence[Opened],
    *,
    partitions: Mapping[str, int],
    late_ns: Mapping[str, int],
    share: Share,
    file: str,
) -> tuple[Channel, ...]:
    """The channels of one process, a topic each; lines of connections come to the first process."""
    found = []
    of_lines = {source.topic for source in estate.site.sources if source.format is SourceFormat.SYSLOG}
    for topic in dict.fromkeys(one.topic for one in estate.site.listeners):
        tables = [one for one in estate.site.listeners if one.topic == topic]
        mine = [one for one in opened if one.topic == topic and one.worker == share.worker]
        connected = share.worker == 0 and any(one.carrier is not Carrier.UDP for one in tables)
        found.append(
            Channel(
                topic=topic,
                partitions=partitions[topic],
                owned=tuple(range(share.worker, partitions[topic], share.workers)),
                listed=senders(estate, topic, file=file),
                ears=tuple(Ear(one.socket, one.place, one.rate) for one in mine),
                late_ns=late_ns[topic],
                frame_ns=min(one.frame_ms for one in tables) * 1_000_000,
                slots=Slots((SLOTS_OF_LINES if topic in of_lines else SLOTS) if mine else 1),
                inbox=Inbox() if connected else None,
            )
        )
    return tuple(found)


def connections(estate: Estate, channels: Sequence[Channel], *, wall_ns: Callable[[], int]) -> tuple[Connections, ...]:
    """Open the doors of every channel that takes lines of connections. Raises OSError."""
    return tuple(
        Connections(
            open_doors(estate, channel.topic),
            {address: number for number, address in enumerate(channel.listed.addresses)},
            channel.inbox,
            wall_ns=wall_ns,
        )
        for channel in channels
        if channel.inbox is not None
    )
