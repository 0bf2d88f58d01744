"""An emulated Linux firewall: root's shell, nft and conntrack, and a kernel that forwards what the ruleset lets pass.

A ruleset of the provider's own stands in it from the start. /etc/nftables.conf is what survives a loss of power.
"""

import copy
import hashlib
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface, ip_network

from deploy.lab.conntrack import Connections
from deploy.lab.device import Cli, DevicePlan, Packets, Passed, PortPlan
from deploy.lab.iproute import IpRoute, Link, Neighbour
from deploy.lab.netfilter import Netfilter
from deploy.lab.nft_answers import answer, echo
from deploy.lab.nft_commands import Batch
from deploy.lab.nft_list import Style, tables
from deploy.lab.nft_ruleset import Ruleset
from deploy.lab.nft_words import NftError, explain, scan
from deploy.lab.programs import Coreutils
from deploy.lab.shell import Call, Machine, Result, Shell, refuse

MOST_LOOKED_UP = 65_536
STARTUP = "/etc/nftables.conf"
NATIVE = """\
#!/usr/sbin/nft -f

flush ruleset

table inet filter {
	chain input {
		type filter hook input priority filter; policy accept;
	}

	chain forward {
		type filter hook forward priority filter; policy accept;
		ct state established,related accept
		tcp dport { 135, 139, 445 } drop
	}

	chain output {
		type filter hook output priority filter; policy accept;
	}
}
"""
JSON_INPUT = "Error: JSON support not compiled-in\n"


class NftDevice:
    """The firewall. Option of its plan: `ruleset`, instead of the provider's usual one."""

    def __init__(self, plan: DevicePlan) -> None:
        self.name = plan.name
        self.platform = plan.platform
        self._plan = plan
        self._machine = Machine(plan.hostname)
        self._machine.files[STARTUP] = plan.options.get("ruleset", NATIVE)
        self._links = {"lo": Link("lo", 1, "00:00:00:00:00:00", loopback=True, addresses=("127.0.0.1/8", "::1/128"))}
        for port in plan.ports:
            mac = _mac(plan.name, port.name)
            self._links[port.name] = Link(port.name, port.if_index, mac, addresses=port.addresses)
        self._ports = {port.name: port for port in plan.ports}
        self._routes = _routes(plan)
        self._way_out: dict[tuple[str, str], PortPlan | None] = {}  # what was looked up before: (from, to) → port
        self._kernel = Netfilter()
        self._load(now=0.0)
        Coreutils(self._machine).install()
        self._machine.programs |= {
            "nft": self._nft,
            "conntrack": self._conntrack,
            "ip": IpRoute(self._links, self._neighbours).ip,
        }

    def login(self, user: str) -> Cli:
        """Open one shell."""
        return Shell(self._machine, user)

    def forward(self, bursts: Sequence[Packets], *, now: float) -> list[Passed]:
        """Route bursts through the kernel."""
        return [self._route(burst, now) for burst in bursts]

    def configuration(self) -> list[str]:
        """Give the ruleset without counts and times that run, and the links that are down."""
        style = Style(stateless=True)
        listed = tables(self._kernel.ruleset.tables.values(), style, now=0.0).splitlines()
        return listed + sorted(f"link {link.name} down" for link in self._links.values() if not link.up)

    def tick(self, *, now: float) -> None:
        """Let set members whose time is over go."""
        self._kernel.ruleset.settle(now=now)

    def power_cycle(self, *, now: float) -> None:
        """Start again with /etc/nftables.conf and no connections."""
        self._machine.booted = now
        for link in self._links.values():
            link.up = True
            link.rx_packets = link.rx_bytes = link.rx_dropped = 0
            link.tx_packets = link.tx_bytes = link.tx_dropped = 0
        self._load(now=now)

    def _load(self, *, now: float) -> None:
        """Do what nftables.service does: a file with a mistake leaves the ruleset empty."""
        self._kernel.connections = Connections()
        self._kernel.use(Ruleset())
        self._run(self._machine.files.get(STARTUP, ""), STARTUP, now)

    def _route(self, burst: Packets, now: float) -> Passed:
        link = self._links.get(burst.interface)
        port = self._ports.get(burst.interface)
        if link is None or port is None:
            return Passed(0, 0, None, f"no link {burst.interface}")
        if not link.up:
            return Passed(0, 0, None, f"link {burst.interface} is down")
        if port.vlan is not None and burst.vlan is not None and port.vlan != burst.vlan:
            return Passed(0, 0, None, f"{burst.interface} is in VLAN {port.vlan}, not {burst.vlan}")
        link.rx_packets += burst.packets
        link.rx_bytes += burst.octets
        if not burst.src or not burst.dst:
            return Passed(0, 0, None, "not IP: a router does not forward it")
        leaving = self._leaving(burst)
        if leaving is None or not self._links[leaving.name].up:
            return Passed(0, 0, None, f"no route to {burst.dst}")
        outcome = self._kernel.forward(burst, leaving.name, now=now)
        out = self._links[leaving.name]
        out.tx_packets += outcome.amount.packets
        out.tx_bytes += outcome.amount.octets
        return Passed(outcome.amount.packets, outcome.amount.octets, leaving.vlan, outcome.why)

    def _leaving(self, burst: Packets) -> PortPlan | None:
        key = (burst.interface, burst.dst)
        if key not in self._way_out:
            if len(self._way_out) >= MOST_LOOKED_UP:
                self._way_out.clear()
            self._way_out[key] = self._look_up(burst)
        return self._way_out[key]

    def _look_up(self, burst: Packets) -> PortPlan | None:
        """Find the port of the longest prefix; without one, the default route: the first port of another side."""
        target = ip_address(burst.dst)
        found = [(network.prefixlen, port) for network, port in self._routes if target in network]
        if found:
            return max(found, key=lambda pair: pair[0])[1]
        others = [port for port in self._plan.ports if port.name != burst.interface]
        return next((port for port in others if "uplink" in port.description), others[0] if others else None)

    def _neighbours(self) -> list[Neighbour]:
        return [
            Neighbour(address, mac, port.name, "REACHABLE" if self._links[port.name].up else "FAILED")
            for port in self._plan.ports
            for mac, address in port.neighbours
        ]

    def _conntrack(self, call: Call) -> Result:
        return self._kernel.connections.run(call)

    def _nft(self, call: Call) -> Result:
        letters, args, source = _options(list(call.args))
        if isinstance(letters, Result):
            return letters
        if "V" in letters:
            return Result("nftables v1.0.6 (Lester Gooch #5)\n")
        text = " ".join(args)
        if source is not None:
            if source != "-" and source not in self._machine.files:
                return refuse(f'internal:0:0-0: Error: Could not open file "{source}": No such file or directory\n')
            text = call.stdin if source == "-" else self._machine.files[source]
            if "j" in letters:
                return refuse(JSON_INPUT)
        elif not args:
            return refuse("nft: no command specified")
        if not call.root:
            return refuse("Operation not permitted (you must be root)")
        return self._run(text, {"-": "/dev/stdin"}.get(source or "", source), call.now, letters)

    def _run(self, text: str, source: str | None, now: float, letters: str = "") -> Result:
        """Do a batch: on a copy, which becomes the ruleset when all of it was done."""
        draft = copy.deepcopy(self._kernel.ruleset)
        draft.settle(now=now)
        try:
            words = scan(text)
            batch = Batch(words, draft, now)
            batch.run()
        except NftError as error:
            return refuse(explain(error, text, source))
        if batch.changed and "c" not in letters:
            draft.generation += 1
            self._kernel.use(draft)
        style = Style("a" in letters, "s" in letters, "t" in letters, "n" in letters)
        out = "".join(answer(question, draft, style, now, as_json="j" in letters) for question in batch.questions)
        if "e" in letters:
            out += echo(batch, style)
        return Result(out, configured=batch.changed and "c" not in letters)


def _options(args: list[str]) -> tuple[str | Result, list[str], str | None]:
    """Take options off the front: their letters, what is left, and the file of -f."""
    letters, source = "", None
    long = {
        "--handle": "a",
        "--stateless": "s",
        "--json": "j",
        "--check": "c",
        "--echo": "e",
        "--terse": "t",
        "--numeric": "n",
        "--version": "V",
        "--file": "f",
    }
    while args and args[0].startswith("-") and args[0] != "-":
        word = args.pop(0)
        if word.startswith("--") and word not in long:
            return refuse(f"nft: unrecognized option '{word}'"), [], None
        for letter in long.get(word, "" if word.startswith("--") else word[1:]):
            if letter not in "asjcetnVfiyNSp":
                return refuse(f"nft: invalid option -- '{letter}'"), [], None
            letters += letter
            if letter == "f":
                if not args:
                    return refuse("nft: option requires an argument -- 'f'"), [], None
                source = args.pop(0)
    return letters.replace("v", "V"), args, source


def _routes(plan: DevicePlan) -> list[tuple[IPv4Network | IPv6Network, PortPlan]]:
    """Give the connected networks, and the segments behind the port of the same name or description."""
    routes = [(ip_interface(address).network, port) for port in plan.ports for address in port.addresses]
    for name, prefixes in plan.segments:
        port = next((port for port in plan.ports if name in (port.name, port.description)), None)
        routes += [(ip_network(prefix), port) for prefix in prefixes if port]
    return routes


def _mac(device: str, port: str) -> str:
    """Give a locally administered address that follows from the names."""
    digest = hashlib.sha256(f"{device} {port}".encode()).digest()
    return ":".join(f"{octet:02x}" for octet in (0x0E, *digest[:5]))
