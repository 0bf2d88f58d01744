"""The provider as its owner would describe it: site.toml and policy.toml, which Cordon reads like anybody's."""

import dataclasses
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from pathlib import Path

from controller.domain.address import Mac, Port, Prefix, Vlan
from controller.domain.estate import (
    Device,
    Expected,
    Host,
    HostRole,
    Interface,
    PortRole,
    Segment,
    Site,
    Source,
    SourceFormat,
)
from controller.domain.rulebook import Limits, Rulebook, Scoring
from deploy.lab.device import DevicePlan
from deploy.lab.provider import (
    EXPERT_ENV,
    FIREWALLS,
    FLOW_TOPIC,
    LOG_TOPIC,
    MANAGEMENT,
    OPEN_SPEED_TEST,
    OURS,
    QUARANTINE,
    Machine,
    Provider,
)
from deploy.tomlwriting import toml_text

_ROLES = {"cisco_ios": "access", "juniper_junos": "access", "ovs_linux": "hypervisor"}


@dataclasses.dataclass(frozen=True, slots=True)
class Listening:
    """Where one device's SSH listens, and as whom to log in."""

    host: str
    port: int
    user: str


def site(provider: Provider, listening: Mapping[str, Listening], *, key_file: Path) -> Site:
    """Describe the provider; a device that is not in `listening` stands on port 22 of its own address."""
    return Site(
        version=1,
        name=f"demo provider, seed {provider.seed}",
        prefixes=OURS,
        segments=tuple(Segment(one.name, one.prefixes, Vlan(one.vlan), one.firewall) for one in provider.segments),
        devices=tuple(_device(provider, plan, listening.get(plan.name), key_file) for plan in provider.devices),
        interfaces=_interfaces(provider),
        hosts=tuple(_host(machine) for machine in provider.machines),
        sources=(
            Source(FLOW_TOPIC, SourceFormat.GOFLOW2_JSON),
            Source(LOG_TOPIC, SourceFormat.SYSLOG),
        ),
        expected=_expected(provider),
        management=(MANAGEMENT,),
    )


def _expected(provider: Provider) -> tuple[Expected, ...]:
    """Bulk traffic that nobody has to worry about: backups and migrations to our storage, customers' speed tests."""
    prefixes = {one.name: one.prefixes for one in provider.segments}
    savers = tuple(prefix for name in ("dedicated", "shared-a", "shared-b", "storage") for prefix in prefixes[name])
    return (
        Expected("backups and migrations", savers, prefixes["storage"]),
        Expected("speed tests", OURS, (IPv4Network(OPEN_SPEED_TEST),)),
    )


def _device(provider: Provider, plan: DevicePlan, where: Listening | None, key_file: Path) -> Device:
    role = "firewall" if plan.segments else "core" if plan.name.startswith("core") else _ROLES[plan.platform]
    exporter = ip_address(provider.exporters[plan.name])
    switching = not plan.segments
    return Device(
        name=plan.name,
        platform=plan.platform,
        host=ip_address(where.host) if where else exporter,
        port=where.port if where else 22,
        role=role,
        username=where.user if where else "",
        key_file=str(key_file),
        enable_env=EXPERT_ENV if plan.platform == "checkpoint_gaia" else "",
        exporter=exporter,
        quarantine_vlan=Vlan(QUARANTINE) if switching else None,
        options={name: text for name, text in plan.options.items() if name == "bridge"},
    )


def _interfaces(provider: Provider) -> tuple[Interface, ...]:
    """Every interface of every device, with what hangs on it."""
    found: dict[Port, Interface] = {}
    for machine in provider.machines:
        storage = machine.role is HostRole.STORAGE
        if machine.guest:
            found[machine.guest] = Interface(machine.guest.device, machine.guest.interface, machine.if_index)
        index = 0 if machine.guest else machine.if_index
        found.setdefault(
            machine.port,
            Interface(machine.port.device, machine.port.interface, index, shared=machine.shared, storage=storage),
        )
    firewalls = {name for name, _, _ in FIREWALLS}
    for plan in provider.devices:
        for port in plan.ports:
            place = Port(plan.name, port.name)
            uplink = provider.uplinks.get(plan.name, ("", 0))[0] == port.name or plan.name in firewalls
            role = PortRole.UPLINK if uplink else PortRole.TRUNK
            known = found.setdefault(place, Interface(plan.name, port.name, port.if_index, role))
            if not known.if_index:
                found[place] = dataclasses.replace(known, if_index=port.if_index)
    return tuple(found.values())


def _host(machine: Machine) -> Host:
    prefixes: tuple[Prefix, ...] = (IPv6Network((machine.ipv6, 64), strict=False),) if machine.ipv6 else ()
    return Host(
        name=machine.name,
        addresses=tuple(ip_address(text) for text in (machine.ipv4, machine.ipv6) if text),
        tenant=machine.tenant,
        role=machine.role,
        segment=machine.segment,
        mac=Mac(machine.mac),
        ports=(machine.port,),
        guest=machine.guest,
        log_addresses=(IPv4Address(machine.ipv4),),
        prefixes=prefixes,
    )


def policy_text(*, mode: str, kill_file: Path | None = None) -> str:
    """The demonstration's policy: Cordon's own defaults in the mode asked for.

    A baseline learns by the minute, which is as finely as the records of the day before tell.
    """
    limits = Limits(kill_file=str(kill_file) if kill_file else "")
    return toml_text(Rulebook(version=1, mode=mode, limits=limits, scoring=Scoring(baseline_window_s=60.0)))
