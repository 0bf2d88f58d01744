"""The hosting network on paper: machines, switches, cables. Pure data; nothing is made here.

    world ── gw ══╗ (one leg in each VLAN)             hv1 ── c1 … c6   (one switch port, a MAC and an IP each)
                  ║                                     │
    dns1, store1 ═ core1 ══════ trunk ═════════════════ sw1 ── d1, d2
    forensics ────┘ │ ╚════════ trunk ═════════════════ sw2 ── d3, d4, s1 … s3
                   fw1 ═══════ its inner leg ═══════════╝ └── hv2 ── v1 … v6

The hypervisor hv1 is its tenants' affair; hv2 is a switch that Cordon may log in to.

Hosts hold their addresses alone (/32 and /128) and reach everybody else through their gateway, as hosters wire it.
The quarantine VLAN is on no trunk: each switch has a thin cable of its own for it to core1, whose two ends there do not
hear each other, and nothing else but the forensics host hangs in it. That host holds the gateways' addresses and MAC
there, so that a quarantined host can answer it. Who quarantines ports of one switch keeps them apart from each other.

Addresses come from ranges that documents and benchmarks may use (RFC 2544, 3849, 5737).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

from controller.domain.address import Mac, Port
from controller.domain.estate import HostRole, PortRole

MANAGEMENT = IPv4Network("198.18.255.0/24")
NOC = IPv4Address("198.18.255.1")  # where Cordon and the collectors are
WORLD = IPv4Network("203.0.113.0/24")
WORLD6 = IPv6Network("2001:db8:f000::/48")
OURS = (IPv4Network("198.18.0.0/16"), IPv6Network("2001:db8::/36"))
GATEWAY_MAC = Mac("00:00:5e:00:01:0a")  # the virtual router's in every VLAN (RFC 5798, 7.3)
GATEWAY6 = IPv6Address("fe80::1")
QUARANTINE = 999
QUARANTINE_KBPS = 10_000  # what the thin cables carry
CONTAINERS = 6  # behind hv1
GUESTS = 6  # of hv2


@dataclass(frozen=True, slots=True)
class Segment:
    """A VLAN with its prefixes, whose first IPv4 address is the gateway's."""

    name: str
    vlan: int
    ipv4: IPv4Network
    ipv6: IPv6Network
    firewall: str = ""

    @property
    def gateway(self) -> IPv4Address:
        """Where its hosts send what is not for themselves."""
        return self.ipv4[1]


@dataclass(frozen=True, slots=True)
class Machine:
    """One host, with one interface eth0. `port` is the switch port that it hangs on.

    Between the two stands `hypervisor`, which nobody can log in to, or one that has a port of its own for it, `guest`.
    """

    name: str
    tenant: str
    role: HostRole
    segment: str
    mac: Mac
    ipv4: IPv4Address
    ipv6: IPv6Address
    port: Port
    hypervisor: str = ""
    guest: Port | None = None


@dataclass(frozen=True, slots=True)
class SwitchPort:
    """One port of one switch; `vlan` 0 is a trunk of `trunks`. `peer` is what is plugged in: (namespace, interface)."""

    switch: str
    name: str
    if_index: int
    peer: tuple[str, str]
    role: PortRole
    vlan: int = 0
    trunks: tuple[int, ...] = ()
    isolated: bool = False  # reaches only ports that are not
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Device:
    """What Cordon logs in to: `switch` or `firewall`; `role` as in site.toml."""

    name: str
    kind: str
    address: IPv4Address
    role: str

    @property
    def platform(self) -> str:
        """Its dialect."""
        return {"switch": "ovs_linux", "firewall": "linux_nftables"}[self.kind]


@dataclass(frozen=True, slots=True)
class End:
    """One end of a cable. if_index 0 and an empty MAC: whatever the kernel takes."""

    where: str
    interface: str
    if_index: int = 0
    mac: str = ""


SEGMENTS = (
    Segment("vps", 110, IPv4Network("198.18.1.0/24"), IPv6Network("2001:db8:1::/48")),
    Segment("dedicated", 120, IPv4Network("198.18.2.0/24"), IPv6Network("2001:db8:2::/48")),
    Segment("shared", 131, IPv4Network("198.18.3.0/24"), IPv6Network("2001:db8:3::/48"), "fw1"),
    Segment("core", 150, IPv4Network("198.18.4.0/24"), IPv6Network("2001:db8:4::/48")),
    Segment("storage", 160, IPv4Network("198.18.6.0/24"), IPv6Network("2001:db8:6::/48")),
    Segment("quarantine", QUARANTINE, IPv4Network("198.18.9.0/24"), IPv6Network("2001:db8:9::/48")),
)
DEVICES = (
    Device("core1", "switch", MANAGEMENT[11], "core"),
    Device("sw1", "switch", MANAGEMENT[12], "access"),
    Device("sw2", "switch", MANAGEMENT[13], "access"),
    Device("fw1", "firewall", MANAGEMENT[14], "firewall"),
    Device("hv2", "switch", MANAGEMENT[15], "hypervisor"),
)
ROUTED = ("vps", "dedicated", "core", "storage")
"""Segments in which gw has a leg. Behind fw1 it reaches the shared hosts through the core."""

FIREWALL_OUTSIDE = IPv4Address("198.18.4.20")
FIREWALL_OUTSIDE6 = IPv6Address("2001:db8:4:20::1")
TRANSIT6 = (IPv6Address("fe80::1"), IPv6Address("fe80::20"))  # gw and fw1 in the core VLAN
HYPERVISOR, MANAGED_HYPERVISOR = "hv1", "hv2"


@dataclass(frozen=True)
class Network:
    """The whole of it."""

    machines: tuple[Machine, ...]
    ports: tuple[SwitchPort, ...]
    segments: tuple[Segment, ...] = SEGMENTS
    devices: tuple[Device, ...] = DEVICES

    @cached_property
    def by_name(self) -> dict[str, Machine]:
        """Machines by name."""
        return {machine.name: machine for machine in self.machines}

    @cached_property
    def segment(self) -> dict[str, Segment]:
        """Segments by name."""
        return {segment.name: segment for segment in self.segments}

    @property
    def switches(self) -> tuple[Device, ...]:
        """The devices that switch."""
        return tuple(device for device in self.devices if device.kind == "switch")

    def of_role(self, role: HostRole) -> tuple[Machine, ...]:
        """Machines of one role, in the order of their names."""
        return tuple(machine for machine in self.machines if machine.role is role)

    def ports_of(self, switch: str) -> tuple[SwitchPort, ...]:
        """The ports of one switch."""
        return tuple(port for port in self.ports if port.switch == switch)

    @property
    def places(self) -> tuple[str, ...]:
        """Every namespace that there has to be, but for the management network's own."""
        named = [*(device.name for device in self.devices), *(machine.name for machine in self.machines)]
        return (*named, HYPERVISOR, "gw", "world")

    def cables(self) -> Iterator[tuple[End, End]]:
        """Every cable, each once."""
        plugs = {(port.switch, port.name): port for port in self.ports}
        macs = {machine.name: str(machine.mac) for machine in self.machines if not machine.hypervisor}
        for port in self.ports:
            near = End(port.switch, port.name, port.if_index)
            far = plugs.get(port.peer)
            if far is None:
                where, interface = port.peer
                mac = GATEWAY_MAC if where == "gw" or port.peer == ("fw1", "inside") else macs.get(where, "")
                yield near, End(where, interface, mac=mac)
            elif port.switch < far.switch:
                yield near, End(far.switch, far.name, far.if_index)
        for machine in self.machines:
            if machine.hypervisor:
                yield End(machine.hypervisor, machine.name), End(machine.name, "eth0", mac=str(machine.mac))
        yield End("gw", "world"), End("world", "eth0")


def network(*, containers: int = CONTAINERS) -> Network:
    """Draw the network."""
    segments = {segment.name: segment for segment in SEGMENTS}
    machines: list[Machine] = []

    def place(name: str, role: HostRole, segment: str, number: int, at: Port, **behind: Any) -> None:
        where = segments[segment]
        machines.append(
            Machine(
                name=name,
                tenant=f"tenant-{name}" if at.device != "core1" else "provider",
                role=role,
                segment=segment,
                mac=Mac(f"02:00:5e:00:{int(where.ipv4[0].packed[2]):02x}:{number:02x}"),
                ipv4=where.ipv4[number],
                ipv6=where.ipv6[(number << 64) + 1],
                port=at,
                **behind,
            )
        )

    for number in range(1, containers + 1):
        place(f"c{number}", HostRole.VPS, "vps", 10 + number, Port("sw1", HYPERVISOR), hypervisor=HYPERVISOR)
    for number in range(1, GUESTS + 1):
        guest = Port(MANAGED_HYPERVISOR, f"v{number}")
        place(f"v{number}", HostRole.VPS, "vps", 200 + number, Port("sw2", MANAGED_HYPERVISOR), guest=guest)
    for number, switch in enumerate(("sw1", "sw1", "sw2", "sw2"), start=1):
        place(f"d{number}", HostRole.DEDICATED, "dedicated", 10 + number, Port(switch, f"d{number}"))
    for number in range(1, 4):
        place(f"s{number}", HostRole.SHARED, "shared", 10 + number, Port("sw2", f"s{number}"))
    place("dns1", HostRole.DNS, "core", 11, Port("core1", "dns1"))
    place("store1", HostRole.STORAGE, "storage", 11, Port("core1", "store1"))
    place("forensics", HostRole.FORENSICS, "quarantine", 11, Port("core1", "forensics"))
    return Network(tuple(machines), tuple(_ports(machines, segments)))


def _ports(machines: list[Machine], segments: dict[str, Segment]) -> Iterator[SwitchPort]:
    """Every port of every switch; ifIndexes are ours to choose, and stay the same from run to run."""
    carried = tuple(segment.vlan for segment in SEGMENTS if segment.vlan != QUARANTINE)
    numbers = {device.name: iter(range(101 + 100 * at, 200 + 100 * at)) for at, device in enumerate(DEVICES)}

    def port(switch: str, name: str, peer: tuple[str, str], role: PortRole, vlan: int = 0) -> SwitchPort:
        trunks = () if vlan else carried
        shared = name in {HYPERVISOR, MANAGED_HYPERVISOR}
        return SwitchPort(switch, name, next(numbers[switch]), peer, role, vlan, trunks, shared=shared)

    for switch in ("sw1", "sw2"):
        yield port(switch, "core1", ("core1", switch), PortRole.TRUNK)
        yield port("core1", switch, (switch, "core1"), PortRole.TRUNK)
        yield port(switch, "quarantine", ("core1", f"q-{switch}"), PortRole.TRUNK, QUARANTINE)
        thin = port("core1", f"q-{switch}", (switch, "quarantine"), PortRole.TRUNK, QUARANTINE)
        yield replace(thin, isolated=True)
    for name in ROUTED:
        yield port("core1", f"gw-{name}", ("gw", name), PortRole.UPLINK, segments[name].vlan)
    yield port("core1", "fw1", ("fw1", "outside"), PortRole.TRUNK, segments["core"].vlan)
    yield port("sw2", "fw1", ("fw1", "inside"), PortRole.TRUNK, segments["shared"].vlan)
    yield port("sw1", HYPERVISOR, (HYPERVISOR, "eth0"), PortRole.EDGE, segments["vps"].vlan)
    vps, hv2 = segments["vps"].vlan, MANAGED_HYPERVISOR
    yield port("sw2", hv2, (hv2, "uplink"), PortRole.TRUNK, vps)
    yield port(hv2, "uplink", ("sw2", hv2), PortRole.UPLINK, vps)
    for machine in machines:
        if not machine.hypervisor:
            where = machine.guest or machine.port
            vlan = segments[machine.segment].vlan
            yield port(where.device, where.interface, (machine.name, "eth0"), PortRole.EDGE, vlan)
