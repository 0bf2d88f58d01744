"""The sockets that a site's `[[listeners]]` ask for, dealt out to the processes that will read them."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from controller.domain.address import Address, packed
from controller.domain.errors import ConfigError
from controller.domain.estate import Estate, Source, SourceFormat
from controller.domain.listening import Carrier, Listener
from streams.listen.ears import Channel, Ear
from streams.listen.senders import Listed
from streams.listen.slots import Slots
from streams.listen.steering import Place, open_group, places

SLOTS = 1_024
"""Datagrams held before they are handed on; 4 KiB of memory each while they are no larger."""


@dataclass(frozen=True, slots=True)
class Opened:
    """One socket, who is heard there, and which of the processes reads it."""

    topic: str
    socket: socket.socket
    place: Place
    rate: int
    worker: int

    @property
    def where(self) -> str:
        """address:port."""
        host, port = self.socket.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


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


def open_datagrams(
    estate: Estate, listener: Listener, *, partitions: int, workers: int, file: str
) -> tuple[Opened, ...]:
    """Bind the sockets of one table. Raises OSError naming the address."""
    expected = senders(estate, listener.topic, file=file)
    dealt = places(expected.addresses, partitions=partitions)
    opened = []
    for port in listener.ports:
        try:
            group = open_group(
                listener.address,
                port,
                listed=expected.addresses,
                dealt=dealt,
                buffer_bytes=listener.buffer_kib * 1024,
            )
        except OSError as error:
            raise OSError(error.errno, f"{listener.address} port {port} (udp): {error.strerror}") from error
        for place, one in zip(dealt, group, strict=True):
            rate = listener.budget * max(1, len(place.senders))
            opened.append(Opened(listener.topic, one, place, rate, (place.partition or 0) % workers))
    return tuple(opened)


def datagram_listeners(listeners: Sequence[Listener]) -> tuple[Listener, ...]:
    """Those that hear datagrams."""
    return tuple(one for one in listeners if one.carrier is Carrier.UDP)


def channels(
    estate: Estate,
    opened: Sequence[Opened],
    *,
    partitions: Mapping[str, int],
    worker: int,
    workers: int,
    file: str,
) -> tuple[Channel, ...]:
    """The channels of one process: those of its partitions, each topic one."""
    found = []
    for topic in dict.fromkeys(one.topic for one in estate.site.listeners):
        mine = [one for one in opened if one.topic == topic and one.worker == worker]
        found.append(
            Channel(
                topic=topic,
                partitions=partitions[topic],
                owned=tuple(range(worker, partitions[topic], workers)),
                listed=senders(estate, topic, file=file),
                ears=tuple(Ear(one.socket, one.place, one.rate) for one in mine),
                frame_ns=min(one.frame_ms for one in estate.site.listeners if one.topic == topic) * 1_000_000,
                slots=Slots(SLOTS if mine else 1),
            )
        )
    return tuple(found)
