"""A hosting provider, made from a seed: its machines, how they are wired, and the devices to emulate.

Addresses come from ranges that documents and benchmarks may use (RFC 2544, 3849 and 5737): 198.18.0.0/15 and
2001:db8:1000::/36 are the provider's, 203.0.113.0/24, 198.51.100.0/24, 192.0.2.0/24 and 2001:db8:f000::/36 the world's.
The same seed makes the same provider; another seed places addresses, wires, sizes and offenders anew.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from random import Random

from controller.domain.address import Port, Prefix
from controller.domain.estate import HostRole
from deploy.lab.device import DevicePlan, PortPlan

OURS = (IPv4Network("198.18.0.0/15"), IPv6Network("2001:db8:1000::/36"))
MANAGEMENT = IPv4Network("198.19.255.0/24")
WORLD = (IPv4Network("203.0.113.0/24"), IPv4Network("198.51.100.0/24"), IPv4Network("192.0.2.0/24"))
WORLD6 = IPv6Network("2001:db8:f000::/36")
OPEN_SPEED_TEST = "192.0.2.250"  # a server in the world against which customers measure their line
GATEWAY_MAC = "00:00:5e:00:01:0a"  # the virtual router's (RFC 5798, 7.3)
QUARANTINE = 999
SAMPLING = 64  # packets per sample at every edge exporter
OPERATOR = "cordon"

FLOW_TOPIC = "cordon.flows.goflow2"
LOG_TOPIC = "cordon.syslog"


@dataclass(frozen=True, slots=True)
class Cluster:
    """Machines of one kind: how many, in which segment, and what one of them sends on a usual day."""

    role: HostRole
    prefix: str  # of their names
    count: int
    segment: str
    bits_per_s: float  # median over the cluster
    octets: int  # of a usual packet
    service: tuple[int, int]  # IANA protocol and source port of what it usually sends


@dataclass(frozen=True, slots=True)
class Segment:
    """A VLAN with its prefixes, and the firewall before it if it has one of its own."""

    name: str
    vlan: int
    prefixes: tuple[Prefix, ...]
    firewall: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """One host as it is wired. `path` is its frames' way: (device, interface by which they enter it), in order."""

    name: str
    tenant: str
    role: HostRole
    segment: str
    vlan: int
    mac: str
    ipv4: str
    ipv6: str  # "" where it has none; it owns the whole /64
    port: Port  # the switch port that it hangs on
    guest: Port | None  # its own interface on a hypervisor that can be logged in to
    shared: bool
    exporter: str
    if_index: int  # of the interface by which its frames enter the exporter
    path: tuple[tuple[str, str], ...]
    bits_per_s: float
    octets: int
    service: tuple[int, int]

    @property
    def entry(self) -> Port:
        """The interface by which its frames enter the network: its guest interface, else the switch port."""
        return self.guest or self.port

    @property
    def subjects(self) -> tuple[str, ...]:
        """The names under which it may rightly be accused."""
        attachment = f"attachment:{self.exporter}#{self.if_index}"
        plain = () if self.shared and self.guest is None else (attachment,)
        six = (f"host:{self.ipv6}",) if self.ipv6 else ()
        return (f"host:{self.ipv4}", *six, f"{attachment}/{self.mac}", *plain)


CLUSTERS = (
    Cluster(HostRole.VPS, "vps", 240, "vps", 70e3, 700, (6, 443)),
    Cluster(HostRole.DEDICATED, "ded", 100, "dedicated", 700e3, 900, (6, 443)),
    Cluster(HostRole.SHARED, "shared", 30, "shared-a", 500e3, 800, (6, 80)),
    Cluster(HostRole.WEB, "web", 20, "web", 2e6, 1000, (6, 443)),
    Cluster(HostRole.DNS, "dns", 2, "core", 300e3, 180, (17, 53)),
    Cluster(HostRole.MAIL, "mail", 3, "core", 400e3, 600, (6, 25)),
    Cluster(HostRole.LOAD_BALANCER, "lb", 2, "web", 6e6, 1000, (6, 443)),
    Cluster(HostRole.STORAGE, "store", 4, "storage", 15e6, 1400, (6, 2049)),
    Cluster(HostRole.NAT, "nat", 1, "core", 3e6, 600, (6, 443)),
    Cluster(HostRole.VPN, "vpn", 1, "core", 2e6, 900, (50, 0)),
    Cluster(HostRole.FORENSICS, "forensics", 1, "quarantine", 0.0, 400, (6, 22)),
)
MANAGED_HYPERVISORS = ("hv01", "hv02", "hv03")
UNMANAGED_HYPERVISORS = 9
SWITCHES = (("sw01", "cisco_ios"), ("sw02", "cisco_ios"), ("sw03", "juniper_junos"), ("sw04", "juniper_junos"))
HOSTING_SWITCH = "as01"
EXPERT, EXPERT_ENV = "for the demonstration only", "CORDON_DEMO_EXPERT"
"""What lets into Gaia's expert mode, and the environment variable that carries it to the controller."""

FIREWALLS = (("fw01", "linux_nftables", "shared-a"), ("fw02", "checkpoint_gaia", "shared-b"))
CORE = "core01"
VLANS = {"vps": 110, "dedicated": 120, "shared-a": 131, "shared-b": 132, "web": 140, "core": 150, "storage": 160}
CORE_ROLES = frozenset({HostRole.STORAGE, HostRole.FORENSICS, HostRole.DNS, HostRole.LOAD_BALANCER})


@dataclass(frozen=True)
class Provider:
    """The whole of it. Pure data: nothing listens and nothing is written here."""

    seed: int
    machines: tuple[Machine, ...]
    segments: tuple[Segment, ...]
    devices: tuple[DevicePlan, ...]
    exporters: Mapping[str, str] = field(default_factory=dict)  # device → address it exports and logs from
    uplinks: Mapping[str, tuple[str, int]] = field(default_factory=dict)  # device → (interface, ifIndex)

    @cached_property
    def by_name(self) -> dict[str, Machine]:
        """Machines by name."""
        return {machine.name: machine for machine in self.machines}

    def of_role(self, *roles: HostRole) -> tuple[Machine, ...]:
        """Machines of some roles, in the order of their names."""
        return tuple(machine for machine in self.machines if machine.role in roles)

    @cached_property
    def _platforms(self) -> dict[str, str]:
        return {plan.name: plan.platform for plan in self.devices}

    def platform(self, device: str) -> str:
        """The platform of a device."""
        return self._platforms[device]

    def firewall_of(self, machine: Machine) -> str:
        """The firewall before a machine's segment; empty when there is none."""
        return self._firewalls[machine.segment]

    @cached_property
    def _firewalls(self) -> dict[str, str]:
        return {segment.name: segment.firewall for segment in self.segments}

    def offender(self, scenario: int) -> Machine | None:
        """Who is to be found in a scenario: the exploited container of 1, the shared server of 2, nobody else's."""
        draw = Random(f"{self.seed} offender {scenario}")
        if scenario == 1:
            return draw.choice(self.of_role(HostRole.VPS))
        if scenario == 2:
            return draw.choice(self.of_role(HostRole.SHARED))
        return None


def provider(seed: int) -> Provider:
    """Build the provider of a seed."""
    return _Builder(Random(f"{seed} provider")).build(seed)


@dataclass(slots=True)
class _Socket:
    """A free place to plug a cable into."""

    device: str
    interface: str
    if_index: int


class _Builder:
    """Draws and wires, one step after the other; only `build` is called from outside."""

    def __init__(self, draw: Random) -> None:
        self._draw = draw
        self._ports: dict[str, list[PortPlan]] = {}
        self._exporters: dict[str, str] = {}
        self._uplinks: dict[str, tuple[str, int]] = {}
        self._macs: set[str] = set()
        self._machines: list[Machine] = []

    def build(self, seed: int) -> Provider:
        segments = self._segments()
        addresses = {segment.name: self._addresses(segment) for segment in segments}
        self._name_exporters()
        sockets = self._sockets()
        hypervisors = self._hypervisors(sockets)
        by_name = {segment.name: segment for segment in segments}
        for cluster in CLUSTERS:
            for number in range(1, cluster.count + 1):
                name = "shared-b" if cluster.role is HostRole.SHARED and number > cluster.count // 2 else ""
                segment = by_name[name or cluster.segment]
                self._place(cluster, number, segment, next(addresses[segment.name]), sockets, hypervisors)
        return Provider(
            seed=seed,
            machines=tuple(self._machines),
            segments=segments,
            devices=self._devices(segments),
            exporters=dict(self._exporters),
            uplinks=dict(self._uplinks),
        )

    def _segments(self) -> tuple[Segment, ...]:
        blocks = self._draw.sample([block for block in OURS[0].subnets(new_prefix=24) if block != MANAGEMENT], 16)
        high = self._draw.sample(list(IPv6Network("2001:db8:1000::/36").subnets(new_prefix=48)), 16)
        firewalls = {segment: name for name, _, segment in FIREWALLS}
        found = []
        for name, vlan in (*VLANS.items(), ("quarantine", QUARANTINE)):
            four = [blocks.pop() for _ in range(2 if name == "vps" else 1)]
            found.append(Segment(name, vlan, (*four, high.pop()), firewalls.get(name, "")))
        return tuple(found)

    def _addresses(self, segment: Segment) -> Iterator[tuple[str, str]]:
        """Addresses of a segment in random order: an IPv4 address, and an IPv6 address in a /64 of its own."""
        four = [address for prefix in segment.prefixes if prefix.version == 4 for address in list(prefix)[10:250]]
        six = next(prefix for prefix in segment.prefixes if prefix.version == 6)
        for address in self._draw.sample(four, len(four)):
            inside = int(six.network_address) + (self._draw.randrange(1 << 16) << 64) + self._draw.randrange(1, 1 << 32)
            yield str(IPv4Address(int(address))), str(IPv6Address(inside))

    def _name_exporters(self) -> None:
        names = [*MANAGED_HYPERVISORS, HOSTING_SWITCH, *(name for name, _ in SWITCHES)]
        names += [*(name for name, _, _ in FIREWALLS), CORE]
        for name, address in zip(names, self._draw.sample(list(MANAGEMENT.hosts()), len(names)), strict=True):
            self._exporters[name] = str(address)
            self._ports[name] = []

    def _sockets(self) -> list[_Socket]:
        """Free access ports of all switches, shuffled; uplinks are taken at once."""
        free = []
        for name, platform in SWITCHES:
            ios = platform == "cisco_ios"
            uplink, index = ("TenGigabitEthernet1/1/1", 10149) if ios else ("xe-0/2/0", 601)
            self._uplink(name, uplink, index)
            for number in range(48):
                interface = f"GigabitEthernet1/0/{number + 1}" if ios else f"ge-0/0/{number}"
                free.append(_Socket(name, interface, (10101 if ios else 513) + number))
        self._uplink(HOSTING_SWITCH, "uplink0", 2)
        free += [_Socket(HOSTING_SWITCH, f"swp{number}", 10 + number) for number in range(1, 25)]
        self._draw.shuffle(free)
        return free

    def _hypervisors(self, sockets: list[_Socket]) -> list[tuple[str, _Socket]]:
        """Twelve hypervisors, each on one shared port; the name is empty where Cordon may not log in."""
        found = []
        for name in (*MANAGED_HYPERVISORS, *[""] * UNMANAGED_HYPERVISORS):
            place = next(socket for socket in sockets if socket.device != HOSTING_SWITCH)
            sockets.remove(place)
            if name:
                self._uplink(name, "eno1", 2)
                self._ports[place.device].append(
                    PortPlan(place.interface, place.if_index, trunk=True, description=f"hypervisor {name}")
                )
            found.append((name, place))
        return found

    def _uplink(self, device: str, interface: str, if_index: int) -> None:
        self._uplinks[device] = (interface, if_index)
        self._ports[device].append(PortPlan(interface, if_index, trunk=True, description="uplink"))

    def _place(
        self,
        cluster: Cluster,
        number: int,
        segment: Segment,
        addresses: tuple[str, str],
        sockets: list[_Socket],
        hypervisors: list[tuple[str, _Socket]],
    ) -> None:
        draw = self._draw
        guest: Port | None = None
        if cluster.role is HostRole.VPS:
            hypervisor, place = hypervisors[(number - 1) % len(hypervisors)]
            if hypervisor:
                slot = (number - 1) // len(hypervisors)
                guest, if_index = Port(hypervisor, f"vnet{slot}"), 10 + slot
        else:
            hosting = cluster.role is HostRole.SHARED and number % 3 == 0
            place = next(one for one in sockets if (one.device == HOSTING_SWITCH) == hosting)
            sockets.remove(place)
        port = Port(place.device, place.interface)
        exporter = guest.device if guest else port.device
        six = addresses[1] if cluster.role is HostRole.VPS or draw.random() < 0.5 else ""
        path: tuple[tuple[str, str], ...] = ((port.device, port.interface),)
        if guest:
            path = ((guest.device, guest.interface), *path)
        if segment.firewall:
            path = (*path, (segment.firewall, "eth1"))
        name = f"{cluster.prefix}{number:03d}" if cluster.count > 9 else f"{cluster.prefix}{number}"
        owned = cluster.role in {HostRole.VPS, HostRole.DEDICATED, HostRole.SHARED}
        self._machines.append(
            Machine(
                name=name,
                tenant=f"tenant-{draw.randrange(1000, 9999)}" if owned else "provider",
                role=cluster.role,
                segment=segment.name,
                vlan=segment.vlan,
                mac=self._mac(),
                ipv4=addresses[0],
                ipv6=six,
                port=port,
                guest=guest,
                shared=cluster.role is HostRole.VPS,
                exporter=self._exporters[exporter],
                if_index=if_index if guest else place.if_index,
                path=path,
                bits_per_s=round(cluster.bits_per_s * draw.lognormvariate(0.0, 0.35)),
                octets=cluster.octets,
                service=cluster.service,
            )
        )

    def _mac(self) -> str:
        while True:
            digits = f"{self._draw.randrange(1 << 24):06x}"
            mac = f"52:54:00:{digits[:2]}:{digits[2:4]}:{digits[4:]}"
            if mac not in self._macs:
                self._macs.add(mac)
                return mac

    def _devices(self, segments: tuple[Segment, ...]) -> tuple[DevicePlan, ...]:
        platforms = {**dict.fromkeys((*MANAGED_HYPERVISORS, HOSTING_SWITCH), "ovs_linux"), **dict(SWITCHES)}
        platforms |= {name: platform for name, platform, _ in FIREWALLS} | {CORE: "cisco_ios"}
        for name, _, segment in FIREWALLS:
            self._wire_firewall(name, next(one for one in segments if one.name == segment))
        self._ports[CORE] = [
            PortPlan(f"TenGigabitEthernet1/1/{number}", 10200 + number, trunk=True, description=f"to {name}")
            for number, name in enumerate(self._uplinks, 1)
        ]
        behind = self._behind()
        vlans = tuple((segment.vlan, segment.name) for segment in segments)
        return tuple(
            DevicePlan(
                name=name,
                platform=platform,
                hostname=name,
                ports=tuple(sorted((*self._ports[name], *behind.get(name, ())), key=lambda port: port.if_index)),
                vlans=() if platform in {"linux_nftables", "checkpoint_gaia"} else vlans,
                segments=tuple(
                    (one.name, tuple(str(prefix) for prefix in one.prefixes))
                    for one in segments
                    if one.firewall == name
                ),
                options=_options(platform),
            )
            for name, platform in platforms.items()
        )

    def _behind(self) -> dict[str, list[PortPlan]]:
        """Access ports and guest interfaces, with who is seen behind each."""
        seen: dict[Port, list[Machine]] = {}
        for machine in self._machines:
            seen.setdefault(machine.entry, []).append(machine)
        found: dict[str, list[PortPlan]] = {}
        for port, machines in seen.items():
            first = machines[0]
            text = first.name if len(machines) == 1 else f"hypervisor, {len(machines)} guests"
            neighbours = tuple((one.mac, address) for one in machines for address in (one.ipv4, one.ipv6) if address)
            plan = PortPlan(port.interface, first.if_index, vlan=first.vlan, description=text, neighbours=neighbours)
            found.setdefault(port.device, []).append(plan)
        return found

    def _wire_firewall(self, name: str, segment: Segment) -> None:
        gateways = []
        for prefix in segment.prefixes:
            address = int(prefix.network_address) + 1
            length = 24 if prefix.version == 4 else 48
            gateways.append(f"{IPv4Address(address) if prefix.version == 4 else IPv6Address(address)}/{length}")
        inside = tuple(
            (one.mac, address)
            for one in self._machines
            if one.segment == segment.name
            for address in (one.ipv4, one.ipv6)
            if address
        )
        outside = f"{self._exporters[name]}/24"
        self._ports[name] = [
            PortPlan("eth0", 2, description="outside", addresses=(outside,)),
            PortPlan("eth1", 3, description=segment.name, addresses=tuple(gateways), neighbours=inside),
        ]


def _options(platform: str) -> dict[str, str]:
    """A shell is entered as root, as its tools demand; a device's own command line under the operator's name."""
    if platform == "ovs_linux":
        return {"bridge": "br0", "user": "root"}
    if platform == "checkpoint_gaia":
        return {"user": OPERATOR, "expert_password": EXPERT}
    return {"user": "root" if platform == "linux_nftables" else OPERATOR}
