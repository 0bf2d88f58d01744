"""What a Linux kernel does with forwarded packets: hooks by priority, defragmentation, connection tracking, chains.

An `accept` ends its base chain and no other: chains of a later priority still see the packet. Once connection tracking
is in use, fragments are put together at priority -400 of prerouting: only chains before that see them as fragments.
Source: nft(8), ADDRESS FAMILIES and CHAINS; Linux nf_defrag_ipv4 and nf_conntrack.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address

from deploy.lab.conntrack import Connections, Flow
from deploy.lab.device import Packets, Traffic
from deploy.lab.nft_parts import Amount, Filters, Match, Packet, Said, Verdict, rule_text
from deploy.lab.nft_ruleset import Chain, Part, Ruleset, Table
from deploy.lab.nft_values import CT_STATES

DEFRAGMENT, TRACK = -400, -200  # priorities of prerouting
INVALID = CT_STATES["invalid"]
FORWARD_HOOKS = ("ingress", "prerouting", "forward", "postrouting")
MORE_FRAGMENTS = 0x2000
DEPTH = 16  # jumps within jumps that the kernel allows


@dataclass(frozen=True, slots=True)
class Outcome:
    """How much of a burst is through, and what stopped the rest."""

    amount: Amount
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Station:
    """A base chain that has something to say, on the packets' way."""

    table: Table
    chain: Chain
    hook: str
    level: int


@dataclass(slots=True)
class Netfilter:
    """A ruleset at work."""

    ruleset: Ruleset = field(default_factory=Ruleset)
    connections: Connections = field(default_factory=Connections)
    tracking: bool = False  # any rule asks for connections: the kernel tracks, and puts fragments together first
    _way: list[_Station] = field(default_factory=list)

    def use(self, ruleset: Ruleset) -> None:
        """Put a ruleset to work in the place of the old one."""
        self.ruleset = ruleset
        self.tracking = any(
            _asks_for_connections(part)
            for table in ruleset.tables.values()
            for _, rule in table.rules()
            for part in rule.parts
        )
        self._way = [
            _Station(table, chain, hook, chain.base.priority)
            for hook in FORWARD_HOOKS
            for table, chain in ruleset.chains_at(hook)
            if chain.base and (chain.rules or chain.policy == "drop")
        ]

    def forward(self, burst: Packets, leaving: str, *, now: float) -> Outcome:
        """Send a burst through all hooks on its way through the machine."""
        flow = Flow(burst.protocol, burst.src, burst.src_port, burst.dst, burst.dst_port)
        state = self._state(flow, burst, now)
        begun = self._begun(flow, state, now)
        amount, why = Amount(burst.packets, burst.octets, burst.seconds), ""
        seen: dict[tuple[bool, bool, bool], Packet] = {}
        for station in self._way:
            if not _concerns(station.table, station.chain, burst):
                continue
            packet = self._seen(burst, leaving, station, state, begun, seen)
            walk = _Walk(station.table, packet, now)
            amount = walk.base_chain(station.chain, amount)
            why = why or walk.why
            if not amount.packets:
                return Outcome(amount, why)
        if self.tracking and state != INVALID:
            self.connections.passed(flow, now=now)
        return Outcome(amount, why)

    def _seen(
        self,
        burst: Packets,
        leaving: str,
        at: _Station,
        state: int,
        begun: Packet,
        seen: dict[tuple[bool, bool, bool], Packet],
    ) -> Packet:
        """Give the burst as it looks at one station: whole or in fragments, with its connection or without."""
        arriving = at.hook == "ingress" or at.hook == "prerouting"
        whole = self.tracking and not (at.hook == "ingress" or (arriving and at.level < DEFRAGMENT))
        tracked = self.tracking and not (at.hook == "ingress" or (arriving and at.level <= TRACK))
        key = (arriving, whole, tracked)
        if key not in seen:
            out = "" if arriving else leaving
            packet = describe(burst, out, whole=whole, state=state if tracked else INVALID)
            seen[key] = {**packet, **begun} if tracked else packet
        return seen[key]

    def _begun(self, flow: Flow, state: int, now: float) -> Packet:
        """Give what connection tracking knows of the first packet of the burst's connection."""
        if not self.tracking or state == INVALID:
            return {}
        found = self.connections.find(flow, now=now)
        first = found.flow if found else flow
        family = "ip6" if ":" in first.src else "ip"
        return {
            f"ct original {family} saddr": _number(first.src),
            f"ct original {family} daddr": _number(first.dst),
            "ct original proto-src": first.src_port,
            "ct original proto-dst": first.dst_port,
        }

    def _state(self, flow: Flow, burst: Packets, now: float) -> int:
        if burst.traffic is Traffic.MALFORMED:
            return INVALID
        found = self.connections.find(flow, now=now)
        if found and (found.answered or flow == found.flow.back):
            return CT_STATES["established"]
        return CT_STATES["new"]


@dataclass(slots=True)
class _Walk:
    """Like packets on their way through the chains of one table."""

    table: Table
    packet: Packet
    now: float
    why: str = ""

    def base_chain(self, chain: Chain, amount: Amount) -> Amount:
        """Give what a base chain lets through, its policy included."""
        accepted, through = self._chain(chain, amount, 0)
        if chain.policy == "drop" and through.packets:
            self.why = self.why or f"{self._name(chain)}: policy drop"
            return accepted
        return accepted.plus(through)

    def _chain(self, chain: Chain, amount: Amount, depth: int) -> tuple[Amount, Amount]:
        """Give what was accepted for good, and what came to the chain's end or returned."""
        accepted = returned = amount.part(0)
        left = amount
        for rule in chain.rules:
            hit = left
            for part in rule.parts:
                if not hit.packets:
                    break
                if not isinstance(part, Verdict):
                    hit = _take(part, self.packet, hit, self.now)
                    continue
                left = left.less(hit)
                match part.kind:
                    case "accept":
                        accepted = accepted.plus(hit)
                    case "drop" | "reject":
                        text = rule_text(rule.parts, "", stateless=True)
                        self.why = self.why or f"{self._name(chain)}: {text}"
                    case "return":
                        returned = returned.plus(hit)
                    case "continue":
                        left = left.plus(hit)
                    case _:
                        taken, back = self._into(part, hit, depth)
                        accepted = accepted.plus(taken)
                        left, returned = (
                            (left.plus(back), returned) if part.kind == "jump" else (left, returned.plus(back))
                        )
            if not left.packets:
                break
        return accepted, left.plus(returned)

    def _into(self, verdict: Verdict, amount: Amount, depth: int) -> tuple[Amount, Amount]:
        target = self.table.chains.get(verdict.target)
        if target is None or depth >= DEPTH:
            return amount.part(0), amount
        return self._chain(target, amount, depth + 1)

    def _name(self, chain: Chain) -> str:
        return f"{self.table.family} {self.table.name} {chain.name}"


def _asks_for_connections(part: Part) -> bool:
    if isinstance(part, Match):
        return part.field.text.startswith("ct ")
    return isinstance(part, Said) and part.words == "notrack"


def _take(part: Part, packet: Packet, amount: Amount, now: float) -> Amount:
    taking: Filters = part  # type: ignore[assignment]
    return taking.take(packet, amount, now=now)


def _concerns(table: Table, chain: Chain, burst: Packets) -> bool:
    if chain.base and chain.base.device and chain.base.device != burst.interface:
        return False
    version = 6 if ":" in burst.src else 4
    return table.family in ("inet", "netdev") or table.family == {4: "ip", 6: "ip6"}[version]


def describe(burst: Packets, leaving: str, *, whole: bool, state: int) -> Packet:
    """Give a burst as expressions see it; `whole`: fragments have been put together."""
    family, protocol = ("ip6", 10) if ":" in burst.src else ("ip", 2)
    fragment = burst.traffic is Traffic.FRAGMENT and not whole
    packet: dict[str, int | str] = {
        "nfproto": protocol,
        "protocol": 0x0800 if protocol == 2 else 0x86DD,
        "l4proto": burst.protocol,
        "iifname": burst.interface,
        "iif": burst.interface,
        "ether saddr": _mac(burst.src_mac),
        "ether daddr": _mac(burst.dst_mac),
        "ether type": 0x0800 if protocol == 2 else 0x86DD,
        f"{family} saddr": _number(burst.src),
        f"{family} daddr": _number(burst.dst),
        "ct state": state,
        "mark": 0,
        "pkttype": 0,
        "length": burst.octets // burst.packets if burst.packets else 0,
    }
    if leaving:
        packet |= {"oifname": leaving, "oif": leaving}
    if protocol == 2:
        packet |= {"ip protocol": burst.protocol, "ip frag-off": MORE_FRAGMENTS | 185 if fragment else 0, "ip ttl": 63}
        packet |= {"ip length": packet["length"]}
    else:
        packet |= {"ip6 nexthdr": 44 if fragment else burst.protocol, "exthdr frag": int(fragment), "ip6 hoplimit": 63}
        if fragment:
            packet |= {"frag frag-off": 185, "frag more-fragments": 1}
    if burst.traffic is not Traffic.MALFORMED and not fragment:
        packet |= {"sport": burst.src_port, "dport": burst.dst_port}
        if burst.protocol == 6:
            packet["tcp flags"] = 16
    return packet


@lru_cache(maxsize=65_536)
def _number(address: str) -> int:
    return int(ip_address(address))


@lru_cache(maxsize=65_536)
def _mac(text: str) -> int:
    return int(text.replace(":", ""), 16)
