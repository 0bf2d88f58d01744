"""A replay whose decisions are carried out, over real SSH, at emulated devices wired as the site says.

The subject's traffic is played to its port while the fence is made, at the rate that the verdict speaks of: the port's
own counters are asked before anything is sent, as in production.
"""

import dataclasses
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import asyncssh
import msgspec

from controller.domain.address import Port
from controller.domain.decision import State
from controller.domain.estate import Device, Estate, PortRole, Site, SourceFormat
from controller.domain.record import Decision
from controller.domain.rulebook import Rulebook
from controller.domain.verdict import Verdict
from controller.domain.wire import DecisionNote
from controller.enforcer import Enforcer
from controller.lanes import Lanes
from controller.ledger import Ledger
from controller.readings import Readings, Said
from controller.reconciler import Reconciler
from controller.surveying import Surveyor, Tools
from deploy.heldback import HeldBack
from deploy.lab.control import Burst, Emulators
from deploy.lab.device import DevicePlan, Packets, PortPlan
from deploy.recordings import Piece
from deploy.replay import Reasoning, Report, Streams, reasoning, replay
from deploy.supervisor import Part, Supervisor, python
from drivers.devices import Devices

BEAT_S = 0.05
PATIENCE_S = 60.0
BEGINNING = frozenset({State.APPROVED, State.APPLYING})
USER = "root"


class Wall:
    """The machine's clocks: devices are asked in real time, whatever the time of the records."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch."""
        return time.time_ns()  # noqa: TID251 - the composition root of an emulated replay reads the clock

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def mirrored(estate: Estate) -> tuple[DevicePlan, ...]:
    """The site's devices, to be emulated: their interfaces, VLANs, and who is seen behind each port."""
    vlans = {segment.vlan: segment.name for segment in estate.site.segments if segment.vlan}
    vlans |= {device.quarantine_vlan: "quarantine" for device in estate.site.devices if device.quarantine_vlan}
    return tuple(
        DevicePlan(
            name=device.name,
            platform=device.platform,
            hostname=device.name,
            ports=tuple(_port(estate, device, name) for name in _names(estate, device)),
            vlans=tuple((int(number), name) for number, name in sorted(vlans.items())),
            segments=tuple(
                (one.name, tuple(str(prefix) for prefix in one.prefixes))
                for one in estate.site.segments
                if one.firewall == device.name
            ),
            options={**device.options, "user": USER},
        )
        for device in estate.site.devices
    )


def _names(estate: Estate, device: Device) -> Iterator[str]:
    return (interface.name for interface in estate.site.interfaces if interface.device == device.name)


def _port(estate: Estate, device: Device, name: str) -> PortPlan:
    port = Port(device.name, name)
    interface, hosts = estate.interfaces[port], estate.by_port.get(port, ())
    segment = estate.segments.get(hosts[0].segment) if hosts else None
    return PortPlan(
        name=name,
        if_index=interface.if_index,
        vlan=segment.vlan if segment else None,
        trunk=interface.role is not PortRole.EDGE,
        neighbours=tuple((host.mac, str(address)) for host in hosts if host.mac for address in host.addresses),
    )


def at_emulated_devices(
    site: Site, rules: Rulebook, pieces: Iterable[Piece], *, kinds: tuple[SourceFormat, ...]
) -> Report:
    """Replay, and fence for real what would have been fenced, until its time is over."""
    with tempfile.TemporaryDirectory(prefix="cordon-replay-") as name, Supervisor(Path(name) / "logs") as supervisor:
        folder = Path(name)
        estate = _emulate(Estate(site), folder, supervisor)
        network = Devices(estate, known_hosts=folder / "known_hosts", secrets={})
        rehearsal = Devices(estate, known_hosts=folder / "known_hosts", secrets={}, rehearse=lambda _: True)
        ledger = Ledger.open(f"sqlite:///{folder / 'ledger.sqlite3'}")
        try:
            with Emulators(folder / "control.sock") as plant:
                before, clock = plant.configurations(), Wall()
                streams = Streams(estate, rules, kinds)
                mind = reasoning(estate, rules, ledger=ledger, holds=network.holds)
                hands = Hands(mind, rules, network, rehearsal, plant=plant, estate=estate, watch=streams.watch)
                held = HeldBack(plant, estate)

                def act(verdicts: list[Verdict]) -> None:
                    hands.act(verdicts)
                    held.look(ledger.live(), now_s=clock.now_ns() / 1e9)

                report = replay(held.past(pieces), streams=streams, mind=mind, act=act)
                hands.close()
                report.held_back = held.records
                report.changed = _changes(before, plant.configurations())
                return report
        finally:
            network.close()
            rehearsal.close()
            ledger.close()


def _changes(before: Mapping[str, list[str]], after: Mapping[str, list[str]]) -> dict[str, list[str]]:
    return {
        name: [line for line in lines if line not in before[name]]
        for name, lines in after.items()
        if lines != before[name]
    }


class Hands:
    """The controller from the decision on: enforcer and reconciler as in production, one verdict's work at a time."""

    def __init__(
        self,
        mind: Reasoning,
        rules: Rulebook,
        network: Devices,
        rehearsal: Devices,
        *,
        plant: Emulators,
        estate: Estate,
        watch: Callable[[DecisionNote], None],
    ) -> None:
        self._mind, self._plant, self._estate, self._watch = mind, plant, estate, watch
        clock, counting = Wall(), rules.limits.corroboration
        said = Said()
        readings = Readings(network, clock, counting, said)
        surveyor = Surveyor(
            clerk=mind.clerk,
            live=Tools(network, readings),
            rehearsal=Tools(rehearsal, Readings(rehearsal, clock, counting, said)),
            fences=rules.fences,
            estate=estate,
        )
        self._lanes = Lanes(self._broke)
        self._reconciler = Reconciler(
            clerk=mind.clerk,
            enforcer=Enforcer(clerk=mind.clerk, surveyor=surveyor, situation=mind.around.now, fences=rules.fences),
            decider=mind.decider,
            effects=mind.effects,
            around=mind.around,
            lanes=self._lanes,
            readings=readings,
            announcer=self,
            rules=rules,
        )

    def act(self, verdicts: list[Verdict]) -> None:
        """Hear verdicts, and return when all that they lead to is done."""
        self._reconciler.hear(verdicts)
        self._reconciler.attend()
        begun = [one for one in self._mind.clerk.ledger.live() if one.state in BEGINNING]
        with _sending(self._plant, self._estate, begun):
            if not self._lanes.idle(PATIENCE_S):
                raise TimeoutError(f"the emulated devices did not take a fence within {PATIENCE_S:.0f} s")
        if begun:
            self._reconciler.attend()  # the streams hear at once whom to watch: recorded time may jump from here

    def announce(self, note: DecisionNote) -> None:
        """Tell the scorer, without a topic between."""
        self._watch(note)

    def close(self) -> None:
        """Let the lanes end."""
        self._lanes.close(timeout_s=PATIENCE_S)

    def _broke(self, key: str, error: Exception) -> None:
        self._mind.notices.said.append(f"{key}: work broke off: {error}")


def _emulate(estate: Estate, folder: Path, supervisor: Supervisor) -> Estate:
    """Start the devices; gives the estate with the places where they listen."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    private = folder / "id_ed25519"
    private.touch(mode=0o600)
    private.write_bytes(key.export_private_key("openssh"))
    (folder / "authorized_keys").write_bytes(key.export_public_key("openssh"))
    (folder / "plan.json").write_bytes(msgspec.json.encode(mirrored(estate)))
    directory = folder / "devices.json"
    command = python("-m", "deploy.lab.emulators", "--plan", str(folder / "plan.json"), "--run", str(folder))
    ready = (folder / "control.sock").exists
    supervisor.start(Part("emulators", command, ready=lambda: directory.exists() and ready()))
    where: Mapping[str, Mapping[str, object]] = json.loads(directory.read_text())
    devices = tuple(
        dataclasses.replace(
            device,
            host=ip_address(str(where[device.name]["host"])),
            port=int(str(where[device.name]["port"])),
            username=str(where[device.name]["user"]),
            key_file=str(private),
        )
        for device in estate.site.devices
    )
    return Estate(dataclasses.replace(estate.site, devices=devices))


@contextmanager
def _sending(plant: Emulators, estate: Estate, decisions: Sequence[Decision]) -> Iterator[None]:
    """While this lasts, the subjects send at the rates of their verdicts, be it a packet in some seconds."""
    over = threading.Event()
    if not decisions:
        yield
        return
    thread = threading.Thread(target=_send, args=(plant, estate, decisions, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _send(plant: Emulators, estate: Estate, decisions: Sequence[Decision], over: threading.Event) -> None:
    begun = before = time.monotonic()
    while not over.wait(BEAT_S):
        now = time.monotonic()
        span = (before - begun, now - begun)
        bursts = [burst for one in decisions if (burst := _burst(estate, one, span)) is not None]
        before = now
        plant.forward(bursts, now=Wall().now_ns() / 1e9)


def _burst(estate: Estate, decision: Decision, span: tuple[float, float]) -> Burst | None:
    """What a subject sends from one moment to another (seconds); None for nothing, or by nobody knows which port."""
    who, rates = decision.attachment, decision.rates
    place = who.guest or next(iter(who.ports), None)
    packets = int(rates.packets * span[1]) - int(rates.packets * span[0])
    if place is None or not packets:
        return None
    host = estate.hosts.get(who.host)
    return Burst(
        ((place.device, place.interface),),
        Packets(
            interface=place.interface,
            src_mac=str(who.mac or (host.mac if host else "") or "02:00:00:00:00:01"),
            dst_mac="00:00:5e:00:01:0a",
            src=str(host.addresses[0]) if host else "",
            dst="203.0.113.1",
            protocol=17,
            src_port=4000,
            dst_port=80,
            packets=packets,
            octets=int(packets * rates.bits / 8 / rates.packets) or packets * 64,
            seconds=span[1] - span[0],
        ),
    )
