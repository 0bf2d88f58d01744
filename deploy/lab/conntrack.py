"""Connection tracking of an emulated Linux firewall, and `conntrack` to look into it.

A connection is established once both sides have been heard. Bursts show one side; a TCP peer answers whatever reaches
it, so a TCP connection counts as answered after its first packets have passed. A connection in the table stays
established whatever rules come later, until it is deleted or ages. Source: conntrack(8), nf_conntrack sysctl.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from types import MappingProxyType

from deploy.lab.shell import Call, Result, lines_of, refuse

NAMES: Mapping[int, str] = MappingProxyType({1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp"})
TCP, UDP = 6, 17
LIFETIMES: Mapping[int, tuple[int, int]] = MappingProxyType({TCP: (120, 432_000), UDP: (30, 120)})
OTHER = (600, 600)
MOST = 65_536
SIGN = "conntrack v1.4.7 (conntrack-tools): "
HELP = "Try `conntrack -h' or 'conntrack --help' for more information."
FLAGS: Mapping[str, str] = MappingProxyType(
    {
        "-s": "src",
        "--src": "src",
        "--orig-src": "src",
        "-d": "dst",
        "--dst": "dst",
        "--orig-dst": "dst",
        "-p": "proto",
        "--proto": "proto",
        "--sport": "sport",
        "--orig-port-src": "sport",
        "--dport": "dport",
        "--orig-port-dst": "dport",
        "-f": "family",
        "--family": "family",
        "-o": "output",
    }
)


@dataclass(frozen=True, slots=True)
class Flow:
    """One direction of a connection."""

    protocol: int
    src: str
    src_port: int
    dst: str
    dst_port: int

    @property
    def back(self) -> "Flow":
        """The other direction."""
        return Flow(self.protocol, self.dst, self.dst_port, self.src, self.src_port)


@dataclass(slots=True)
class Connection:
    """An entry of the table, by its first direction."""

    flow: Flow
    ends: float
    answered: bool = False


@dataclass(slots=True)
class Connections:
    """The table."""

    entries: dict[Flow, Connection] = field(default_factory=dict)

    def find(self, flow: Flow, *, now: float) -> Connection | None:
        """Find the live connection that a direction belongs to."""
        found = self.entries.get(flow) or self.entries.get(flow.back)
        return found if found and found.ends > now else None

    def passed(self, flow: Flow, *, now: float) -> None:
        """Note that packets of a direction have passed the firewall."""
        found = self.find(flow, now=now)
        if found is None:
            if len(self.entries) >= MOST:
                self.settle(now=now)
            if len(self.entries) >= MOST:
                return
            found = self.entries[flow] = Connection(flow, now)
        found.answered = found.answered or flow.protocol == TCP or flow == found.flow.back
        found.ends = now + LIFETIMES.get(flow.protocol, OTHER)[found.answered]

    def settle(self, *, now: float) -> None:
        """Forget connections that have aged."""
        self.entries = {flow: entry for flow, entry in self.entries.items() if entry.ends > now}

    def run(self, call: Call) -> Result:
        """Run `conntrack`: -L, -D, -F or -C, for one source, target, protocol, port or family."""
        if not call.root:
            return refuse(f"{SIGN}Operation failed: Operation not permitted")
        args = [arg for arg in call.args if arg != "conntrack"]
        words = {"--dump": "-L", "--delete": "-D", "--flush": "-F", "--count": "-C"}
        verb = words.get(args[0], args[0]) if args else ""
        wanted: dict[str, str] = {}
        rest = args[1:]
        while rest:
            name, _, value = rest.pop(0).partition("=")
            if name not in FLAGS or not (value or rest):
                return refuse(f"{SIGN}unknown option `{name}'\n{HELP}", 2)
            wanted[FLAGS[name]] = value or rest.pop(0)
        if wanted.get("proto", "tcp") not in (*NAMES.values(), *map(str, NAMES)):
            return refuse(f'{SIGN}Unknown protocol "{wanted["proto"]}"', 2)
        try:
            found = [entry for entry in self._live(call.now) if _fits(entry.flow, wanted)]
        except ValueError:
            return refuse(
                f"{SIGN}Bad IP address `{wanted.get('src') or wanted.get('dst')}'.\n{HELP}",
                2,
            )
        return self._answer(verb, found, call.now)

    def _answer(self, verb: str, found: list[Connection], now: float) -> Result:
        shown = lines_of(_line(entry, now) for entry in found)
        match verb:
            case "-L":
                return Result(shown, f"{SIGN}{len(found)} flow entries have been shown.\n")
            case "-D":
                for entry in found:
                    del self.entries[entry.flow]
                note = f"{SIGN}{len(found)} flow entries have been deleted.\n"
                return Result(shown, note, 0 if found else 1, configured=bool(found))
            case "-F":
                self.entries.clear()
                return Result("", f"{SIGN}connection tracking table has been emptied.\n", configured=True)
            case "-C":
                return Result(f"{len(self.entries)}\n")
        return refuse(f"{SIGN}You need to supply a command\n{HELP}", 2)

    def _live(self, now: float) -> list[Connection]:
        return [entry for entry in self.entries.values() if entry.ends > now]


def _fits(flow: Flow, wanted: Mapping[str, str]) -> bool:
    version = ip_address(flow.src).version
    addresses = [wanted[name] for name in ("src", "dst") if name in wanted]
    family = {"ipv4": 4, "ipv6": 6}.get(wanted.get("family", ""), 6 if any(":" in text for text in addresses) else 4)
    if version != family:
        return False
    for name, address in (("src", flow.src), ("dst", flow.dst)):
        if name in wanted and ip_address(address) not in ip_network(wanted[name], strict=False):
            return False
    protocol = wanted.get("proto")
    if protocol and protocol not in (NAMES.get(flow.protocol), str(flow.protocol)):
        return False
    return all(
        name not in wanted or wanted[name] == str(port)
        for name, port in (("sport", flow.src_port), ("dport", flow.dst_port))
    )


def _line(entry: Connection, now: float) -> str:
    flow, back = entry.flow, entry.flow.back
    name = NAMES.get(flow.protocol, "unknown")
    state = ("ESTABLISHED " if entry.answered else "SYN_SENT ") if flow.protocol == TCP else ""
    mark = "[ASSURED] " if entry.answered else ""
    return (
        f"{name:<8} {flow.protocol} {int(entry.ends - now)} {state}{_direction(flow)}"
        f"{'' if entry.answered else '[UNREPLIED] '}{_direction(back)}{mark}mark=0 use=1"
    )


def _direction(flow: Flow) -> str:
    ports = f"sport={flow.src_port} dport={flow.dst_port} " if flow.protocol in (TCP, UDP, 132) else ""
    return f"src={flow.src} dst={flow.dst} {ports}"
