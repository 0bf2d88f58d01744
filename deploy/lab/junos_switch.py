"""The state of one emulated EX switch: active and candidate configuration, commits, tables and counters."""

from copy import deepcopy
from dataclasses import dataclass, field
from zlib import crc32

from deploy.lab.counters import Counters
from deploy.lab.device import DevicePlan, PortPlan
from deploy.lab.junos_schema import Path, read, split
from deploy.lab.junos_tree import Tree, below, drop, put, same, value, values

HISTORY = 50


@dataclass(frozen=True, slots=True)
class Commit:
    """One configuration that was made active."""

    tree: Tree
    at: float
    user: str
    via: str = "cli"
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Pending:
    """A commit that is taken back at `deadline` unless it is confirmed."""

    deadline: float
    minutes: int
    before: Tree


@dataclass(slots=True)
class Editing:
    """One user in configuration mode; a private user has a candidate of his own, made from `base`."""

    user: str
    kind: str  # shared, private, exclusive
    number: int
    since: float
    private: Tree | None = None
    base: Tree | None = None
    path: Path = ()


@dataclass(slots=True)
class Tally:
    """What a filter's counter or policer has met."""

    octets: int = 0
    packets: int = 0


@dataclass(frozen=True, slots=True)
class PortFacts:
    """What the active configuration says of a port, read once for each commit."""

    disabled: bool
    family: str
    trunk: bool
    carried: frozenset[int]
    native: int | None


@dataclass(slots=True)
class JunosSwitch:
    """Everything that sessions, the forwarding plane and the commit timer share."""

    plan: DevicePlan
    ports: dict[str, PortPlan] = field(default_factory=dict)
    running: Tree = field(default_factory=dict)
    candidate: Tree = field(default_factory=dict)
    history: list[Commit] = field(default_factory=list)
    pending: Pending | None = None
    editing: list[Editing] = field(default_factory=list)
    logins: int = 0
    counters: dict[str, Counters] = field(default_factory=dict)
    counts: dict[tuple[str, str], Tally] = field(default_factory=dict)  # (filter, counter)
    policed: dict[tuple[str, str], Tally] = field(default_factory=dict)  # (filter, policer)
    macs: dict[tuple[int, str], str] = field(default_factory=dict)
    arps: dict[str, tuple[str, int]] = field(default_factory=dict)
    booted: float | None = None
    facts: dict[str, PortFacts] = field(default_factory=dict)

    def has_interface(self, name: str) -> bool:
        """True for the wired ports."""
        return name in self.ports

    def tick(self, now: float) -> None:
        """Take back a commit that nobody has confirmed."""
        if self.booted is None:
            self.booted = now
        if self.pending and now >= self.pending.deadline:
            before, self.pending = self.pending.before, None
            untouched = same(self.candidate, self.running)
            self._activate(before, "root", "other", now, "")
            if untouched:
                self.candidate = deepcopy(before)

    def commit(self, tree: Tree, user: str, now: float, comment: str) -> None:
        """Make a checked configuration the active one; a commit that waited for its confirmation is confirmed."""
        self.pending = None
        if not same(tree, self.running):
            self._activate(tree, user, "cli", now, comment)

    def commit_confirmed(self, tree: Tree, user: str, now: float, minutes: int, comment: str) -> None:
        """Make it active until `minutes` have passed. What comes back is the last configuration that was confirmed."""
        before = self.pending.before if self.pending else deepcopy(self.running)
        if not same(tree, self.running):
            self._activate(tree, user, "cli", now, comment)
        self.pending = Pending(now + 60 * minutes, minutes, before)

    def _activate(self, tree: Tree, user: str, via: str, now: float, comment: str) -> None:
        places = {name: (self.is_disabled(name), self.members(name)) for name in self.ports}
        self.running = deepcopy(tree)
        self.facts.clear()
        self.history.insert(0, Commit(deepcopy(tree), now, user, via, comment))
        del self.history[HISTORY:]
        for name, place in places.items():
            if place != (self.is_disabled(name), self.members(name)):
                self.forget(name)

    def forget(self, port: str) -> None:
        """The port went down or changed its VLAN: its learned addresses go."""
        for key in [key for key, place in self.macs.items() if place == port]:
            del self.macs[key]

    def restart(self, now: float) -> None:
        """Lose power: the committed configuration stays, candidates, counters and tables do not."""
        self.candidate = deepcopy(self.running)
        self.editing.clear()
        self.counters = {name: Counters() for name in self.ports}
        self.counts, self.policed, self.macs, self.arps = {}, {}, {}, {}
        self.booted = now
        self.learn_neighbours()

    def learn_neighbours(self) -> None:
        """Fill the MAC and ARP tables with who is seen behind each port."""
        for port in self.plan.ports:
            for mac, address in port.neighbours:
                if port.vlan is not None:
                    self.macs.setdefault((port.vlan, mac.lower()), port.name)
                    if ":" not in address:
                        self.arps.setdefault(address, (mac.lower(), port.vlan))

    def is_disabled(self, name: str) -> bool:
        """True when the port or its unit 0 is disabled."""
        body = below(self.running, ("interfaces", name)) or {}
        return "disable" in body or "disable" in body.get("unit 0", {})

    def family(self, name: str) -> str:
        """The family that the port's unit 0 has: ethernet-switching, inet, inet6; "" where there is none."""
        for step in below(self.running, ("interfaces", name, "unit 0")) or {}:
            if step.startswith("family "):
                return step.removeprefix("family ")
        return ""

    def switching(self, name: str) -> Path:
        """Path of the port's layer 2 settings."""
        return ("interfaces", name, "unit 0", "family ethernet-switching")

    def is_trunk(self, name: str) -> bool:
        """True when the port carries tagged frames."""
        return value(self.running, self.switching(name), "interface-mode") == "trunk"

    def members(self, name: str) -> tuple[str, ...]:
        """The VLANs of a port as they are written: names, numbers, ranges, `all`."""
        return tuple(values(self.running, (*self.switching(name), "vlan"), "members"))

    def vlans(self) -> dict[int, str]:
        """Every VLAN that has a number, the default one included."""
        numbers = {1: "default"}
        for name in below(self.running, ("vlans",)) or {}:
            number = value(self.running, ("vlans", name), "vlan-id")
            if number:
                numbers[int(number)] = name
        return dict(sorted(numbers.items()))

    def carries(self, name: str) -> set[int]:
        """The numbers of the VLANs that the port belongs to and that exist."""
        if self.family(name) != "ethernet-switching":
            return set()
        known = self.vlans()
        members = self.members(name)
        if not members and not self.is_trunk(name):
            return {1}
        found = {number for number, vlan in known.items() if vlan in members or "all" in members}
        for member in members:
            low, _, high = member.partition("-")
            if low.isdigit():
                found |= {number for number in known if int(low) <= number <= int(high or low)}
        return found

    def port_facts(self, name: str) -> PortFacts:
        """The port as the active configuration has it."""
        if name not in self.facts:
            native = value(self.running, ("interfaces", name), "native-vlan-id")
            self.facts[name] = PortFacts(
                self.is_disabled(name),
                self.family(name),
                self.is_trunk(name),
                frozenset(self.carries(name)),
                int(native) if native else None,
            )
        return self.facts[name]

    def mac_of(self, name: str) -> str:
        """The port's own address: one block for each device, made from its name."""
        start = (0x3C8C93 << 24) + ((crc32(self.plan.name.encode()) & 0xFFFF) << 8)
        text = f"{start + (self.ports[name].if_index & 0xFF):012x}"
        return ":".join(text[at : at + 2] for at in range(0, 12, 2))


def switch_of(plan: DevicePlan) -> JunosSwitch:
    """A switch wired as the plan says; on a trunk, its `vlan` or else the default one takes untagged frames.

    `options["configuration"]` adds `set` and `delete` lines, already committed.
    Raises Misread for a line of that option which the switch would not understand.
    """
    tree: Tree = {}
    for line in [*_wiring(plan), *filter(str.strip, plan.options.get("configuration", "").splitlines())]:
        verb, *words = [word for word, _ in split(line)]
        for path, _ in read(words):
            if verb == "delete":
                drop(tree, path)
            else:
                put(tree, path)
    switch = JunosSwitch(plan, {port.name: port for port in plan.ports}, tree, deepcopy(tree))
    switch.counters = {name: Counters() for name in switch.ports}
    switch.history = [Commit(deepcopy(tree), 0.0, "root")]
    switch.learn_neighbours()
    return switch


def _wiring(plan: DevicePlan) -> list[str]:
    lines = [f"set system host-name {plan.hostname}", "set system services ssh"]
    names = {number: name for number, name in plan.vlans if number != 1}
    lines += [f"set vlans {name} vlan-id {number}" for number, name in names.items()]
    lines += [f"set interfaces {port.name} native-vlan-id {port.vlan or 1}" for port in plan.ports if port.trunk]
    for port in plan.ports:
        start = f"set interfaces {port.name}"
        if port.description:
            lines.append(f'{start} description "{port.description}"')
        if port.addresses:
            for address in port.addresses:
                lines.append(f"{start} unit 0 family {'inet6' if ':' in address else 'inet'} address {address}")
            continue
        layer2 = f"{start} unit 0 family ethernet-switching"
        lines.append(f"{layer2} interface-mode {'trunk' if port.trunk else 'access'}")
        if port.trunk:
            lines.append(f"{layer2} vlan members all")
        elif port.vlan in names:
            lines.append(f"{layer2} vlan members {names[port.vlan]}")
    return lines
