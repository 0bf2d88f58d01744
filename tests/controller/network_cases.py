"""A small provider and what its sensors say: the network that the controller's tests fence."""

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

from controller.domain.address import AttachmentKey, HostKey, Mac, Port, Vlan, address_of
from controller.domain.estate import (
    Device,
    Estate,
    Host,
    HostRole,
    Interface,
    PortRole,
    Segment,
    Site,
    Source,
    SourceFormat,
)
from controller.domain.rulebook import Rulebook
from controller.domain.verdict import Evidence, Finding, Level, Rates, TrafficClass, Verdict, Witness

NOON_NS = 1_800_014_400_000_000_000  # 2027-01-15 12:00 UTC
SW1, SW2, HV1, FW1 = "198.19.255.1", "198.19.255.2", "198.19.255.3", "198.19.255.4"
FLOOD = Rates(bits=90e6, packets=10_000.0, baseline_bits=45e3)
FRAGMENTS = Rates(bits=9.6e6, packets=12_000.0, fragments=11_900.0)


def mac(number: int) -> Mac:
    return Mac(f"02:00:00:00:{number // 256:02x}:{number % 256:02x}")


def _device(name: str, exporter: str, role: str = "access", **more: Any) -> Device:
    return Device(
        name=name,
        platform="fake",
        host=ip_address(exporter),
        role=role,
        exporter=ip_address(exporter),
        quarantine_vlan=None if role == "firewall" else Vlan(999),
        **more,
    )


def _vps(number: int) -> Host:
    return Host(
        name=f"vps{number}",
        addresses=(ip_address(f"198.18.1.{number}"), ip_address(f"2001:db8:1:{number:x}::1")),
        tenant=f"tenant-{number}",
        role=HostRole.VPS,
        segment="vps",
        mac=mac(number),
        ports=(Port("sw1", "ge1"),),
    )


def _machine(
    name: str, number: int, *ports: Port, role: HostRole = HostRole.DEDICATED, segment: str = "dedicated", **more: Any
) -> Host:
    return Host(
        name=name,
        addresses=(ip_address(f"198.18.2.{number}"),),
        tenant=f"tenant-{name}",
        role=role,
        segment=segment,
        mac=mac(1000 + number),
        ports=ports,
        **more,
    )


SITE = Site(
    version=1,
    name="test provider",
    prefixes=(ip_network("198.18.0.0/15"), ip_network("2001:db8::/32")),
    segments=(
        Segment("vps", (ip_network("198.18.1.0/24"),), Vlan(110)),
        Segment("dedicated", (ip_network("198.18.2.0/24"),), Vlan(120)),
        Segment("hosting", (ip_network("198.18.3.0/24"),), Vlan(131), firewall="fw1"),
        Segment("core", (ip_network("198.18.4.0/24"),), Vlan(150)),
    ),
    devices=(
        _device("sw1", SW1),
        _device("sw2", SW2),
        _device("hv1", HV1, "hypervisor"),
        _device("fw1", FW1, "firewall"),
    ),
    interfaces=(
        Interface("sw1", "ge1", 1, shared=True),
        *(Interface("sw1", f"ge{n}", n) for n in range(2, 10)),
        Interface("sw1", "ge10", 10, lag="ae1"),
        Interface("sw1", "ge11", 11, lag="ae1"),
        Interface("sw1", "store1", 20, shared=True, storage=True),
        Interface("sw1", "up1", 48, PortRole.UPLINK),
        Interface("sw2", "ge1", 1, shared=True),
        *(Interface("sw2", f"ge{n}", n) for n in range(2, 14)),
        Interface("sw2", "up1", 48, PortRole.UPLINK),
        Interface("hv1", "vnet1", 101),
        Interface("hv1", "vnet2", 102),
        Interface("fw1", "eth1", 2, PortRole.TRUNK),
    ),
    hosts=(
        *(_vps(n) for n in range(1, 21)),
        _machine("guest1", 101, Port("sw2", "ge1"), role=HostRole.VPS, segment="vps", guest=Port("hv1", "vnet1")),
        _machine("guest2", 102, Port("sw2", "ge1"), role=HostRole.VPS, segment="vps", guest=Port("hv1", "vnet2")),
        *(_machine(f"ded{n}", n, Port("sw1", f"ge{n}")) for n in range(2, 8)),
        *(_machine(f"ded{n}", n, Port("sw2", f"ge{n}")) for n in range(8, 12)),
        _machine("dual", 20, Port("sw1", "ge8"), Port("sw2", "ge2")),
        _machine("bonded", 21, Port("sw1", "ge10")),
        *(
            Host(
                name=f"host{n}",
                addresses=(ip_address(f"198.18.3.{n}"), ip_address(f"2001:db8:3::{n}")),
                tenant=f"tenant-host{n}",
                role=HostRole.SHARED,
                segment="hosting",
                mac=mac(2000 + n),
                ports=(Port("sw2", f"ge{n}"),),
            )
            for n in (3, 4)
        ),
        _machine("dns1", 30, Port("sw2", "ge5"), role=HostRole.DNS, segment="core"),
        _machine("forensics", 31, Port("sw2", "ge6"), role=HostRole.FORENSICS, segment="core"),
        _machine("backup1", 32, Port("sw1", "store1"), role=HostRole.DEDICATED, segment="core"),
        _machine("backup2", 33, Port("sw1", "store1"), role=HostRole.DEDICATED, segment="core"),
    ),
    sources=(Source("flows", SourceFormat.GOFLOW2_JSON), Source("logs", SourceFormat.SYSLOG)),
    management=(ip_network("198.19.255.0/24"),),
)


def estate(**changes: Any) -> Estate:
    return Estate(replace(SITE, **changes))


def rules(mode: str = "enforce", **changes: Any) -> Rulebook:
    return replace(Rulebook(version=1, mode=mode), **changes)


def evidence(
    detector: str = "flood_ratio",
    *,
    source: str = SW1,
    witness: Witness = Witness.FLOW,
    at_ns: int = NOON_NS,
    traffic: TrafficClass = TrafficClass.ALL,
    compromise: bool = False,
    **changes: Any,
) -> Evidence:
    return Evidence(
        detector=detector,
        witness=witness,
        source=source,
        strength=changes.pop("strength", 1.0),
        weight=changes.pop("weight", 0.95),
        half_life_s=changes.pop("half_life_s", 10.0),
        at_ns=at_ns,
        text=f"{detector} as a test says it",
        facts=changes.pop("facts", {}),
        traffic=traffic,
        compromise=compromise,
    )


def verdict(
    subject: str = "198.18.1.7",
    *,
    at_ns: int = NOON_NS,
    score: float = 95.0,
    evidence_: tuple[Evidence, ...] | None = None,
    rates: Rates = FLOOD,
    **changes: Any,
) -> Verdict:
    """An offender at isolate, seen entering where the estate has it unless told otherwise."""
    key = HostKey(address_of(subject))
    host = next((one for one in SITE.hosts if key.address in one.addresses), None)
    entry = {"exporter": SW1, "interface": 1, "mac": ""}
    if host is not None:
        place = host.guest or host.ports[0]
        interface = next(one for one in SITE.interfaces if Port(one.device, one.name) == place)
        device = next(one for one in SITE.devices if one.name == place.device)
        entry = {"exporter": str(device.exporter), "interface": interface.if_index, "mac": host.mac or ""}
    level = (
        Level.ISOLATE if score >= 80 else Level.CONTAIN if score >= 60 else Level.WATCH if score >= 40 else Level.CLEAR
    )
    source = str(changes.get("exporter", entry["exporter"]))
    values: dict[str, Any] = {
        "subject": key,
        "tick_end_ns": at_ns,
        "score": score,
        "level": level,
        "finding": Finding.OFFENDER,
        "evidence": (evidence(source=source, at_ns=at_ns),) if evidence_ is None else evidence_,
        "rates": rates,
        "first_bad_ns": at_ns - 900_000_000,
        **entry,
    }
    return Verdict(**(values | changes))


def entered(exporter: str, interface: int, sender: str = "", *, at_ns: int = NOON_NS, **changes: Any) -> Verdict:
    """An offender known only by where its traffic entered: the sources are forged."""
    key = AttachmentKey(address_of(exporter), interface, sender)
    found = verdict(at_ns=at_ns, exporter=exporter, interface=interface, mac=sender)
    forged = (evidence("spoofed_source", source=exporter, at_ns=at_ns),)
    return replace(found, subject=key, **({"evidence": forged} | changes))


def fragments(subject: str = "198.18.3.3", *, at_ns: int = NOON_NS, **changes: Any) -> Verdict:
    """A host that floods fragments: few bits, many packets; the firewall before it suffers."""
    said = (
        evidence("fragments", source=SW2, at_ns=at_ns, traffic=TrafficClass.FRAGMENTS, weight=0.9),
        evidence("flood_ratio", source=SW2, at_ns=at_ns, weight=0.9),
        evidence("attribution", source=FW1, at_ns=at_ns, witness=Witness.DEVICE, weight=0.6),
    )
    values: dict[str, Any] = {"rates": FRAGMENTS, "explains": ("fw1: session table full",), "evidence_": said}
    return verdict(subject, at_ns=at_ns, **(values | changes))
