"""The state of one Check Point gateway and what it does to packets.

Sources: Check Point R81 Gaia administration guide (clish), CLI reference guide (fw sam, fw samp), ClusterXL guide. The
gateway is a router: frames that are not IP end here. Its policy lets everything pass; what is tested is what is laid
over it. A session that is open stays open under -i and -j, and is closed by -I and -J.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_interface, ip_network
from zlib import crc32

from deploy.lab.device import DevicePlan, Packets, Passed
from deploy.lab.gaia_sam import Sam
from deploy.lab.gaia_samp import Database
from deploy.lab.iproute import Link, Neighbour
from deploy.lab.shell import Machine

_LIFETIME = {6: 3600.0, 17: 40.0}  # seconds that an idle entry of the connections table lives
_SHORT_LIFE = 30.0
Connection = tuple[tuple[str, int], tuple[str, int], int]


@dataclass(slots=True)
class Settings:
    """What clish configures and `save config` keeps: lines by what they set."""

    lines: dict[str, str] = field(default_factory=dict)

    def put(self, key: str, line: str) -> bool:
        """Set one thing; False when it was set so already."""
        if self.lines.get(key) == line:
            return False
        self.lines[key] = line
        return True

    def drop(self, key: str) -> bool:
        """Unset one thing; False when it was not set."""
        return self.lines.pop(key, None) is not None


@dataclass(slots=True)
class Gateway:
    """One member of a cluster, or a gateway alone."""

    plan: DevicePlan
    machine: Machine
    settings: Settings = field(default_factory=Settings)
    saved: dict[str, str] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    sam: Sam = field(default_factory=lambda: Sam(""))
    policies: dict[int, Database] = field(default_factory=lambda: {4: Database(4), 6: Database(6)})
    connections: dict[Connection, float] = field(default_factory=dict)
    peak: int = 0
    lock: int | None = None  # number of the session that may configure
    owner: str = ""
    logins: int = 0
    networks: list[tuple[int, int, int, str]] = field(default_factory=list)  # version, address, mask, interface

    def is_up(self, name: str) -> bool:
        """True when the interface is on."""
        return self.settings.lines.get(f"interface {name} state", "").endswith(" on")

    def apply(self) -> None:
        """Let the settings act on the interfaces."""
        for name, link in self.links.items():
            if name != "lo":
                link.up = self.is_up(name)
        self.machine.hostname = self.settings.lines["hostname"].split()[-1]
        self.sam.hostname = self.machine.hostname

    def neighbours(self) -> list[Neighbour]:
        """Who is seen behind the interfaces that are on."""
        return [
            Neighbour(address, mac.lower(), port.name, "REACHABLE")
            for port in self.plan.ports
            for mac, address in port.neighbours
            if self.is_up(port.name)
        ]

    def cluster_state(self) -> str:
        """ACTIVE, STANDBY or DOWN for a member, "" for a gateway alone."""
        return self.plan.options.get("cluster_state", "")

    def tick(self, now: float) -> None:
        """Let rules and idle sessions end."""
        self.sam.expire(now)
        for database in self.policies.values():
            database.expire(now)
        for key in [key for key, until in self.connections.items() if until <= now]:
            del self.connections[key]

    def close_sessions(self) -> None:
        """End the open sessions that a closing rule means."""
        closing = [rule for rule in self.sam.rules if rule.closes]
        if closing:
            self.connections = {
                key: until
                for key, until in self.connections.items()
                if not any(rule.criteria.matches(probe) for rule in closing for probe in _both_ways(key))
            }

    def restart(self, now: float) -> None:
        """Lose power: kernel rules and sessions are gone, saved settings and the policy database stay."""
        self.settings.lines = dict(self.saved)
        self.sam.rules = []
        self.connections = {}
        for database in self.policies.values():
            database.restart()
        for link in self.links.values():
            link.rx_packets = link.rx_bytes = link.tx_packets = link.tx_bytes = 0
        self.lock, self.owner = None, ""
        self.machine.booted = now
        self.apply()

    def forward(self, bursts: Sequence[Packets], now: float) -> list[Passed]:
        """Each burst's fate, in order."""
        self.tick(now)
        return [self._one(burst, now) for burst in bursts]

    def _one(self, burst: Packets, now: float) -> Passed:
        link = self.links.get(burst.interface)
        if link is None:
            return Passed(0, 0, None, f"no interface {burst.interface}")
        if not link.up:
            return Passed(0, 0, None, "state off")
        link.rx_packets += burst.packets
        link.rx_bytes += burst.octets
        if not burst.src:
            return Passed(0, 0, None, "not IP")
        if self.cluster_state() in ("STANDBY", "DOWN"):
            return Passed(0, 0, None, f"cluster member is {self.cluster_state()}")
        key = _connection(burst)
        for rule in self.sam.rules:
            if rule.inhibits and rule.criteria.matches(burst) and (rule.closes or key not in self.connections):
                return Passed(0, 0, None, f"fw sam -{rule.action} {rule.criteria.text}")
        version = 6 if ":" in burst.src else 4
        shares = {uid: rule.share(burst) for uid, rule in self.policies[version].live.items()}
        tightest = min(shares, key=lambda uid: shares[uid], default=None)
        share = shares[tightest] if tightest is not None else 1.0
        if share > 0:
            self.connections[key] = now + _LIFETIME.get(burst.protocol, _SHORT_LIFE)
            self.peak = max(self.peak, len(self.connections))
        passed = Passed(
            int(burst.packets * share), int(burst.octets * share), None, "" if share == 1 else f"fw samp {tightest}"
        )
        out = self.route(burst.dst)
        if out:
            self.links[out].tx_packets += passed.packets
            self.links[out].tx_bytes += passed.octets
        return passed

    def route(self, target: str) -> str | None:
        """The interface behind which an address lies; None when no network holds it."""
        found = ip_address(target)
        number = int(found)
        for version, address, mask, name in self.networks:
            if version == found.version and number & mask == address:
                return name
        return None

    def static_routes(self) -> list[tuple[str, str]]:
        """Destination and gateway (or blackhole, reject) of each static route, the default one as 0.0.0.0/0."""
        routes = []
        for key, line in self.settings.lines.items():
            if key.startswith("static-route "):
                words = line.split()
                target = "0.0.0.0/0" if words[2] == "default" else str(ip_network(words[2], strict=False))
                routes.append((target, words[6] if words[4] == "gateway" else words[4]))
        return routes


def _connection(burst: Packets) -> Connection:
    one, two = sorted(((burst.src, burst.src_port), (burst.dst, burst.dst_port)))
    return one, two, burst.protocol


def _both_ways(key: Connection) -> tuple[Packets, Packets]:
    (one, one_port), (two, two_port), protocol = key
    there = Packets("", "", "", one, two, protocol, one_port, two_port, 0, 0)
    back = Packets("", "", "", two, one, protocol, two_port, one_port, 0, 0)
    return there, back


def gateway_of(plan: DevicePlan) -> Gateway:
    """A gateway wired as the plan says, with its settings saved."""
    machine = Machine(plan.hostname)
    gateway = Gateway(plan, machine, sam=Sam(plan.hostname))
    put = gateway.settings.put
    put("hostname", f"set hostname {plan.hostname}")
    gateway.links["lo"] = Link("lo", 1, "00:00:00:00:00:00", loopback=True, addresses=("127.0.0.1/8",))
    for port in plan.ports:
        gateway.links[port.name] = Link(
            port.name, port.if_index, _mac(plan.name, port.if_index), addresses=port.addresses
        )
        put(f"interface {port.name} state", f"set interface {port.name} state on")
        if port.description:
            put(f"interface {port.name} comments", f'set interface {port.name} comments "{port.description}"')
        for address in port.addresses:
            network = ip_interface(address).network
            mask = int(network.netmask)
            gateway.networks.append((network.version, int(network.network_address), mask, port.name))
            text, _, length = address.partition("/")
            family = "ipv6" if ":" in address else "ipv4"
            line = f"set interface {port.name} {family}-address {text} mask-length {length}"
            put(f"interface {port.name} {family}-address", line)
    gateway.saved = dict(gateway.settings.lines)
    gateway.apply()
    return gateway


def _mac(device: str, index: int) -> str:
    text = f"{(0x001C7F << 24) + ((crc32(device.encode()) & 0xFFFF) << 8) + (index & 0xFF):012x}"
    return ":".join(text[at : at + 2] for at in range(0, 12, 2))
