"""The network as its owner would describe it to Cordon: site.toml, policy.toml, known_hosts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from types import MappingProxyType

from controller.domain.address import Mac, Port, Vlan
from controller.domain.crossing import Crossing, Side, Transport
from controller.domain.estate import (
    Device,
    Host,
    HostRole,
    Interface,
    PortRole,
    Segment,
    Site,
    Source,
    SourceFormat,
)
from controller.domain.listening import Listener
from controller.domain.rulebook import Detectors, Flood, FloodRatio, Limits, Rulebook, Scoring
from deploy.lab.net.plan import (
    FIREWALL_OUTSIDE,
    FIREWALL_OUTSIDE6,
    GATEWAY_MAC,
    MANAGEMENT,
    NOC,
    OURS,
    QUARANTINE,
    Network,
)
from deploy.lab.net.switching import BRIDGE
from deploy.tomlwriting import toml_text

FLOW_TOPIC, LOG_TOPIC = "cordon.flows", "cordon.syslog"
PMACCT_TOPIC, GOFLOW2_TOPIC = "cordon.flows.pmacct", "cordon.flows.goflow2"
PMACCT_LATE_MS, GOFLOW2_LATE_MS = 2_500, 1_000  # sfacctd hands on what it has once a second
TICK_MS = 125  # so few hosts are judged as often without much ado
FRAME_MS = TICK_MS  # nothing is judged earlier, and five devices at rest fill no frame before
PROBES = ("7-63",)  # UDP, as deploy.lab.net.witnesses sends them
FLOOD_PPS = 2_000.0
"""A flood on this small network: the threshold that its policy gives, and a peer in a race is given."""

FLOOR_PPS = FLOOD_PPS * FloodRatio().floor_packets_per_s / Flood().packets_per_s
"""What a host has to send before its ratio to its own normal counts: as small beside a flood as elsewhere."""


class Collectors(StrEnum):
    """Who listens to what devices send."""

    OWN = "own"  # Cordon itself
    OTHERS = "others"  # pmacct for flows, rsyslog for log lines; they need Apache Kafka
    GOFLOW2 = "goflow2"  # goflow2 for flows, rsyslog for log lines


@dataclass(frozen=True, slots=True)
class Description:
    """What the owner adds: his key, who collects, and on which ports."""

    key_file: Path
    collectors: Collectors
    sflow_port: int
    syslog_port: int


def site(plan: Network, described: Description) -> str:
    """site.toml."""
    return toml_text(
        Site(
            version=1,
            name="lab",
            prefixes=OURS,
            segments=tuple(_segments(plan)),
            devices=tuple(_devices(plan, described.key_file)),
            interfaces=tuple(_interfaces(plan)),
            hosts=(*_hosts(plan), *_routers(plan)),
            sources=(SOURCES[described.collectors], Source(LOG_TOPIC, SourceFormat.SYSLOG)),
            listeners=_listeners(described),
            management=(MANAGEMENT,),
        )
    )


SOURCES: Mapping[Collectors, Source] = MappingProxyType(
    {
        Collectors.OWN: Source(FLOW_TOPIC, SourceFormat.DATAGRAMS),
        Collectors.OTHERS: Source(PMACCT_TOPIC, SourceFormat.PMACCT_JSON, lateness_ms=PMACCT_LATE_MS),
        Collectors.GOFLOW2: Source(GOFLOW2_TOPIC, SourceFormat.GOFLOW2_JSON, lateness_ms=GOFLOW2_LATE_MS),
    }
)


def _listeners(described: Description) -> tuple[Listener, ...]:
    if described.collectors is not Collectors.OWN:
        return ()
    ports = ((FLOW_TOPIC, described.sflow_port), (LOG_TOPIC, described.syslog_port))
    return tuple(Listener(topic, (port,), address=NOC, frame_ms=FRAME_MS) for topic, port in ports)


def _segments(plan: Network) -> Iterable[Segment]:
    """Behind the firewall stands what its owner wants it to let pass, once two people have agreed to separate it."""
    core = plan.segment["core"]
    everybody, ours = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0")), OURS
    crossings = (
        Crossing(Side.OUTSIDE, everybody, Transport.TCP, ("80", "443"), why="the web"),
        Crossing(Side.INSIDE, (core.ipv4, core.ipv6), Transport.UDP, ("53",), why="names"),
        Crossing(Side.INSIDE, ours, Transport.UDP, PROBES, why="the provider's own probes"),
        Crossing(Side.OUTSIDE, ours, Transport.UDP, PROBES, why="the provider's own probes"),
    )
    for one in plan.segments:
        known = Segment(one.name, (one.ipv4, one.ipv6), Vlan(one.vlan), one.firewall)
        yield replace(known, crossings=crossings, inside=("inside",)) if one.firewall else known


def _devices(plan: Network, key_file: Path) -> Iterable[Device]:
    for device in plan.devices:
        switch = device.kind == "switch"
        yield Device(
            name=device.name,
            platform=device.platform,
            host=device.address,
            role=device.role,
            username="root",
            key_file=str(key_file),
            exporter=device.address,
            quarantine_vlan=Vlan(QUARANTINE) if device.role in {"core", "access"} else None,
            options={"bridge": BRIDGE} if switch else {},
        )


def _interfaces(plan: Network) -> Iterable[Interface]:
    storage = {machine.port for machine in plan.of_role(HostRole.STORAGE)}
    for port in plan.ports:
        where = Port(port.switch, port.name)
        yield Interface(port.switch, port.name, port.if_index, port.role, shared=port.shared, storage=where in storage)
    yield from (Interface("fw1", name, role=PortRole.TRUNK) for name in ("inside", "outside"))


def _hosts(plan: Network) -> Iterable[Host]:
    for machine in plan.machines:
        yield Host(
            name=machine.name,
            addresses=(machine.ipv4, machine.ipv6),
            tenant=machine.tenant,
            role=machine.role,
            segment=machine.segment,
            mac=machine.mac,
            ports=(machine.port,),
            guest=machine.guest,
            log_addresses=(machine.ipv4,),
            prefixes=(IPv6Network((machine.ipv6, 64), strict=False),),
        )


def _routers(plan: Network) -> Iterable[Host]:
    gateways = tuple(one.gateway for one in plan.segments if not one.firewall and one.vlan != QUARANTINE)
    yield Host("gw", gateways, "provider", HostRole.ROUTER, mac=Mac(GATEWAY_MAC))
    inside = tuple(one.gateway for one in plan.segments if one.firewall)
    yield Host("fw1", (*inside, FIREWALL_OUTSIDE, FIREWALL_OUTSIDE6), "provider", HostRole.FIREWALL, segment="core")


def policy_text(*, mode: str, kill_file: Path, learned_s: float = 0.0) -> str:
    """Cordon's own figures, but for what counts as a flood on links as small as these, and how often that is judged."""
    return toml_text(
        Rulebook(
            version=1,
            mode=mode,
            limits=Limits(kill_file=str(kill_file)),
            scoring=_scoring(learned_s),
            detectors=Detectors(
                flood=Flood(packets_per_s=FLOOD_PPS), flood_ratio=FloodRatio(floor_packets_per_s=FLOOR_PPS)
            ),
        )
    )


def _scoring(learned_s: float) -> Scoring:
    """Where there are no hours to learn a normal in, it learns a value a second, and so many seconds are enough."""
    usual = Scoring(tick_ms=TICK_MS)
    return replace(usual, baseline_window_s=1.0, baseline_min_age_s=learned_s) if learned_s else usual


def known_hosts(lines: Iterable[str]) -> str:
    """Host keys of the devices, one a line."""
    return "".join(f"{line}\n" for line in lines)
