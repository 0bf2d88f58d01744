"""What emulated devices hold back of a recording: records of a sender stop only because a device holds a fence."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

import msgspec

from controller.domain.address import address_of
from controller.domain.decision import State
from controller.domain.errors import BadInput
from controller.domain.estate import Estate, Host, SourceFormat
from controller.domain.record import Decision
from deploy.lab.control import Burst, Emulators
from deploy.lab.device import Packets, Traffic
from deploy.recordings import Piece

ROUTER = "00:00:5e:00:01:0a"
STRANGER = "02:00:00:00:00:01"
FENCED = frozenset({State.ENFORCED, State.RELEASING, State.STUCK})


class _Sender(msgspec.Struct):
    """Who sent a record, and whether it is of fragments, in goflow2's and pmacct's words."""

    src_addr: str = ""
    ip_src: str = ""
    ip_flags: Annotated[int, msgspec.Meta(ge=0)] = 0
    fragment_offset: Annotated[int, msgspec.Meta(ge=0)] = 0

    @property
    def traffic(self) -> Traffic:
        """The class that a filter would take its packets for."""
        return Traffic.FRAGMENT if self.fragment_offset or self.ip_flags & 1 else Traffic.PLAIN


_DECODER = msgspec.json.Decoder(_Sender)


@dataclass(slots=True)
class HeldBack:
    """Asks the devices after each change of fences, and takes out of what follows what would not have come through.

    Such records count as never written; `records` tells how many.
    """

    plant: Emulators
    estate: Estate
    records: int = 0
    _known: tuple[tuple[str, State], ...] = ()
    _stopped: set[tuple[str, Traffic]] = field(default_factory=set)

    def look(self, live: Sequence[Decision], *, now_s: float) -> None:
        """Ask anew, if the fences that stand are others than before."""
        fenced = [one for one in live if one.state in FENCED and not one.simulated]
        known = tuple(sorted((one.id, one.state) for one in fenced))
        if known == self._known:
            return
        self._known, self._stopped = known, set()
        asked: list[tuple[str, Traffic]] = []
        bursts: list[Burst] = []
        for decision in fenced:
            host = self.estate.hosts.get(decision.attachment.host)
            if host is None or not (path := self._path(host, decision)):
                continue
            for address in host.addresses:
                for traffic in (Traffic.PLAIN, Traffic.FRAGMENT):
                    asked.append((str(address), traffic))
                    bursts.append(_burst(host, str(address), traffic, path))
        arrivals = self.plant.forward(bursts, now=now_s) if bursts else []
        quarantine = {device.quarantine_vlan for device in self.estate.site.devices if device.quarantine_vlan}
        for sender, arrival in zip(asked, arrivals, strict=True):
            if not arrival.packets or arrival.vlan in quarantine:
                self._stopped.add(sender)

    def _path(self, host: Host, decision: Decision) -> tuple[tuple[str, str], ...]:
        """From the host's own port through the devices that hold its fence."""
        entry = host.guest or next(iter(host.ports), None)
        hops = {entry.device: entry.interface} if entry is not None else {}
        for leg in (leg for record in decision.fences for leg in record.legs):
            hops.setdefault(leg.slot.device, self._inside(leg.slot.device))
        return tuple(hops.items())

    def _inside(self, device: str) -> str:
        """An interface of a device on the way; of a firewall that lists none, the one after its outer one."""
        return next((one.name for one in self.estate.site.interfaces if one.device == device), "eth1")

    def past(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """The pieces, without what the devices hold back at that moment."""
        for piece in pieces:
            if not self._stopped or piece.format is SourceFormat.SYSLOG:
                yield piece
                continue
            lines = piece.value.split(b"\n")
            kept = [line for line in lines if not self._stops(line)]
            self.records += len(lines) - len(kept)
            if kept:
                yield replace(piece, value=b"\n".join(kept), records=len(kept))

    def _stops(self, line: bytes) -> bool:
        try:
            sender = _DECODER.decode(line)
            address = str(address_of(sender.src_addr or sender.ip_src))
        except (msgspec.DecodeError, BadInput):
            return False
        return (address, sender.traffic) in self._stopped


def _burst(host: Host, address: str, traffic: Traffic, path: tuple[tuple[str, str], ...]) -> Burst:
    """One packet of the host's to the world."""
    return Burst(
        path,
        Packets(
            interface=path[0][1],
            src_mac=str(host.mac or STRANGER),
            dst_mac=ROUTER,
            src=address,
            dst="2001:db8:f000::253" if ":" in address else "203.0.113.253",
            protocol=17,
            src_port=0 if traffic is Traffic.FRAGMENT else 4000,
            dst_port=0 if traffic is Traffic.FRAGMENT else 80,
            packets=1,
            octets=64,
            traffic=traffic,
        ),
    )
