"""The state of one emulated Catalyst, and what its running configuration says about a port."""

from dataclasses import dataclass, field
from zlib import crc32

from deploy.lab.counters import Counters
from deploy.lab.device import DevicePlan, PortPlan
from deploy.lab.ios_tree import Tree

_MEGABITS = {
    "FastEthernet": 100,
    "GigabitEthernet": 1_000,
    "TenGigabitEthernet": 10_000,
    "TwentyFiveGigE": 25_000,
    "FortyGigabitEthernet": 40_000,
    "HundredGigE": 100_000,
}


@dataclass(slots=True)
class Policed:
    """What a port's policer has let through and dropped."""

    conformed: list[int] = field(default_factory=lambda: [0, 0])  # packets, octets
    exceeded: list[int] = field(default_factory=lambda: [0, 0])


@dataclass(frozen=True, slots=True)
class Revert:
    """A configuration that comes back by itself unless the change is confirmed."""

    deadline: float
    before: Tree
    user: str


class Switch:
    """Everything that a session, the forwarding plane and the timers share. Only those three write to it."""

    def __init__(self, plan: DevicePlan) -> None:
        """`plan.options`: classic ("yes": 2960/3750 with `mls qos`), channels ("Port-channel1=port,port;…")."""
        self.plan = plan
        self.ports: dict[str, PortPlan] = {port.name: port for port in plan.ports}
        self.classic = plan.options.get("classic") == "yes"
        self.running = _wired(plan)
        self.startup = self.running.copy()
        self.files: dict[str, Tree] = {}
        self.saved_revision = self.running.revision
        self.counters = {name: Counters() for name in self.ports}
        self.policed: dict[str, Policed] = {}
        self.macs: dict[tuple[int, str], str] = {}
        self.arps: dict[str, tuple[str, int, float | None]] = {}
        self.errdisabled: set[str] = set()
        self.revert: Revert | None = None
        self.booted: float | None = None
        self.learn_neighbours()

    def has_interface(self, name: str) -> bool:
        """True for the wired ports and for the logical interfaces that a command may name or create."""
        return name in self.ports or name.startswith(("Vlan", "Port-channel", "Loopback"))

    def learn_neighbours(self) -> None:
        """Fill the MAC and ARP tables with who is seen behind each port."""
        for port in self.plan.ports:
            for mac, address in port.neighbours:
                vlan = port.vlan or self.access_vlan(port.name)
                if port.addresses:
                    continue
                self.macs.setdefault((vlan, mac.lower()), port.name)
                if ":" not in address:
                    self.arps.setdefault(address, (mac.lower(), vlan, None))

    def forget(self, port: str) -> None:
        """A port went down or changed its VLAN: its dynamic MAC entries go."""
        for key in [key for key, place in self.macs.items() if place == port]:
            del self.macs[key]

    def interface(self, name: str) -> tuple[str, ...]:
        """Path of an interface's section."""
        return (f"interface {name}",)

    def is_shut(self, name: str) -> bool:
        """True when the port is disabled by configuration or by the device itself."""
        return self.running.has(self.interface(name), "shutdown") or name in self.errdisabled

    def access_vlan(self, name: str) -> int:
        """VLAN of untagged frames when the port is not a trunk."""
        return int(self.running.value(self.interface(name), "switchport access vlan") or 1)

    def native_vlan(self, name: str) -> int:
        """VLAN of untagged frames on a trunk."""
        return int(self.running.value(self.interface(name), "switchport trunk native vlan") or 1)

    def is_trunk(self, name: str) -> bool:
        """True when the port carries tagged frames."""
        return self.running.value(self.interface(name), "switchport mode") == "trunk"

    def is_routed(self, name: str) -> bool:
        """True when the port is a layer 3 interface."""
        return self.running.has(self.interface(name), "no switchport") or name.startswith(("Vlan", "Loopback"))

    def is_member(self, name: str) -> bool:
        """True when the port belongs to a port-channel."""
        return self.running.has(self.interface(name), "channel-group")

    def vlan_active(self, vlan: int) -> bool:
        """True when the VLAN exists and is neither shut nor suspended."""
        if vlan == 1:
            return True
        path = (f"vlan {vlan}",)
        if not self.running.has((), path[0]):
            return False
        return not self.running.has(path, "shutdown") and self.running.value(path, "state") != "suspend"

    def vlans(self) -> dict[int, str]:
        """Every VLAN with its name, the default one included."""
        numbers = {1: "default"}
        for slot in self.running.names("vlan "):
            number = int(slot.split()[1])
            numbers[number] = self.running.value((slot,), "name") or f"VLAN{number:04d}"
        return dict(sorted(numbers.items()))

    def megabits(self, name: str) -> int:
        """Line rate of a port in Mbit/s."""
        return _MEGABITS.get(name.rstrip("0123456789/"), 1_000)

    def mac_of(self, name: str) -> str:
        """The port's own address: one block for each device, made from its name."""
        index = self.ports[name].if_index if name in self.ports else 0
        value = (0x0C75BD << 24) + ((crc32(self.plan.name.encode()) & 0xFFFF) << 8) + (index & 0xFF)
        text = f"{value:012x}"
        return ":".join(text[at : at + 2] for at in range(0, 12, 2))

    def save(self) -> None:
        """Make the running configuration the one to start with."""
        self.startup = self.running.copy()

    def unsaved(self) -> bool:
        """True when a restart would lose something."""
        return self.running.lines() != self.startup.lines()

    def tick(self, now: float) -> None:
        """Take back a change whose confirmation did not come."""
        if self.booted is None:
            self.booted = now
        if self.revert and now >= self.revert.deadline:
            before, self.revert = self.revert.before, None
            self.install(before)

    def install(self, tree: Tree) -> None:
        """Replace the running configuration; ports whose place changed forget their MAC addresses."""
        places = {name: (self.is_shut(name), self.access_vlan(name)) for name in self.ports}
        self.running.replace(tree)
        for name, place in places.items():
            if place != (self.is_shut(name), self.access_vlan(name)):
                self.forget(name)

    def restart(self, now: float) -> None:
        """Lose all but the startup configuration and the files."""
        self.running.replace(self.startup)
        self.counters = {name: Counters() for name in self.ports}
        self.policed, self.macs, self.arps = {}, {}, {}
        self.errdisabled, self.revert = set(), None
        self.booted = now
        self.learn_neighbours()


def _wired(plan: DevicePlan) -> Tree:
    tree = Tree()
    tree.put((), "version", "version 15.2" if plan.options.get("classic") == "yes" else "version 17.3")
    tree.put((), "hostname", f"hostname {plan.hostname}")
    tree.put((), "vtp mode", "vtp mode transparent")
    for number, name in plan.vlans:
        if number == 1:
            continue
        tree.put((), f"vlan {number}", f"vlan {number}")
        tree.put((f"vlan {number}",), "name", f"name {name}")
    tree.put((), "interface Vlan1", "interface Vlan1")
    tree.put(("interface Vlan1",), "shutdown", "shutdown")
    for port in plan.ports:
        path = (f"interface {port.name}",)
        tree.put((), path[0], path[0])
        if port.description:
            tree.put(path, "description", f"description {port.description}")
        if port.addresses:
            tree.put(path, "no switchport", "no switchport")
        elif port.trunk:
            tree.put(path, "switchport mode", "switchport mode trunk")
            if port.vlan not in (None, 1):
                tree.put(path, "switchport trunk native vlan", f"switchport trunk native vlan {port.vlan}")
        elif port.vlan is not None:
            if port.vlan != 1:
                tree.put(path, "switchport access vlan", f"switchport access vlan {port.vlan}")
            tree.put(path, "switchport mode", "switchport mode access")
    for channel in filter(None, plan.options.get("channels", "").split(";")):
        name, _, members = channel.partition("=")
        tree.put((), f"interface {name}", f"interface {name}")
        for member in members.split(","):
            line = f"channel-group {name.removeprefix('Port-channel')} mode active"
            tree.put((f"interface {member}",), "channel-group", line)
    return tree
