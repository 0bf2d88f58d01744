"""The datapath of an emulated Open vSwitch bridge: VLANs, learning, policing, counters.

Source: ovs-vswitchd.conf.db(5) (tag, trunks, vlan_mode, protected, ingress_policing_rate); ovs-ofctl(8) (NORMAL,
fragments).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from ipaddress import ip_address

from deploy.lab.device import Packets, Passed, PortPlan, Traffic
from deploy.lab.iproute import Link
from deploy.lab.ovs_db import Row, Value
from deploy.lab.ovs_flows import Flow, FlowTables, Meter
from deploy.lab.ovs_match import ARP, FRAGMENT, IPV4, IPV6, LATER, LOCAL, PACKET_TYPE, TCP_FLAGS, mac

AGEING = 300.0  # seconds that a learned MAC address is kept
POLICING_BURST = 8000  # kilobits, where ingress_policing_burst is 0
FIRST_IN = 4  # of a burst of fragments one in so many is a first one


@dataclass(slots=True)
class Port:
    """One port of the bridge: its OpenFlow number, its network device and its rows in the database."""

    plan: PortPlan
    number: int
    link: Link
    row: Row
    interface: Row
    receives: bool = True
    forwards: bool = True
    policer: Meter | None = None
    access: int | None = None  # the VLAN of an access port; None: a trunk
    native: int = 0  # of a trunk: the VLAN of frames without a tag
    trunks: frozenset[int] = frozenset()  # of a trunk: the VLANs it carries; empty: all

    def __post_init__(self) -> None:
        """Take the settings from the rows."""
        self.tune()

    def tune(self) -> None:
        """Read tag, trunks and vlan_mode anew: to be called whenever the rows have changed."""
        mode, tag = _text(self.row["vlan_mode"]), numbers(self.row["tag"])
        self.access = (tag[0] if tag else 0) if mode == "access" or (not mode and tag) else None
        self.native = tag[0] if mode.startswith("native") and tag else 0
        trunks = numbers(self.row["trunks"])
        self.trunks = frozenset([*trunks, self.native] if trunks and self.native else trunks)

    def admits(self, vlan: int) -> bool:
        """Say whether frames of a VLAN (0: none) may leave by this port."""
        return vlan == self.access if self.access is not None else not self.trunks or vlan in self.trunks

    def enters(self, vlan: int | None) -> tuple[int, str]:
        """Say in which VLAN a frame is that enters by this port, or why it is dropped."""
        if self.access is not None:
            return self.access, f"tagged frame on access port {self.plan.name}" if vlan else ""
        inner = vlan or self.native
        carried = not self.trunks or inner in self.trunks
        return inner, "" if carried else f"port {self.plan.name} does not carry VLAN {inner}"


@dataclass(slots=True)
class _Walk:
    """A burst on its way through the flow tables."""

    burst: Packets
    vlan: int | None
    why: str = ""
    following: int = -1  # the table to go on with

    def set_field(self, value: str, name: str) -> None:
        """Change the VLAN or an address of the frames."""
        match name:
            case "vlan_vid":
                self.vlan = int(value) & 0xFFF
            case "eth_dst":
                self.burst = replace(self.burst, dst_mac=value)
            case "eth_src":
                self.burst = replace(self.burst, src_mac=value)


@dataclass(slots=True)
class Bridge:
    """A bridge with its flows and its MAC table, (VLAN, MAC) → (port number, when last seen)."""

    ports: dict[str, Port]
    tables: FlowTables = field(default_factory=FlowTables)
    learned: dict[tuple[int, str], tuple[int, float]] = field(default_factory=dict)
    members: dict[int, list[Port]] = field(default_factory=dict)  # VLAN → ports, as found before; emptied by `changed`
    beyond: dict[int, list[Port]] = field(default_factory=dict)  # VLAN → its trunks, likewise
    started: float = 0.0  # 0: the first call that knows the time says when

    @property
    def numbers(self) -> dict[str, int]:
        """OpenFlow port numbers by name."""
        return {name: port.number for name, port in self.ports.items()}

    def changed(self) -> None:
        """Settings of ports have changed."""
        self.members.clear()
        self.beyond.clear()
        for port in self.ports.values():
            port.tune()

    def receive(self, burst: Packets, *, now: float) -> Passed:
        """Take a burst in by its interface, and say what leaves again."""
        port = self.ports.get(burst.interface)
        if port is None:
            return Passed(0, 0, None, f"no port {burst.interface}")
        if not port.link.up:
            return Passed(0, 0, None, f"link {burst.interface} is down")
        port.link.rx_packets += burst.packets
        port.link.rx_bytes += burst.octets
        if not port.receives:
            return Passed(0, 0, None, f"port {burst.interface} is set to no-receive")
        policed = self._police(port, burst, now)
        if policed.packets < burst.packets:
            held = f"ingress policing of {burst.interface}"
            rest = self._by_kind(port, policed, now)
            return replace(rest, why=rest.why or held)
        return self._by_kind(port, burst, now)

    def settle(self, *, now: float) -> None:
        """Let old entries go: flows with a timeout, MAC addresses not seen for long."""
        if not self.started:
            self.started = now
            for flow in self.tables.flows:
                flow.created = flow.used = now
        self.tables.expire(now=now)
        if self.learned:
            self.learned = {key: entry for key, entry in self.learned.items() if now - entry[1] < AGEING}

    def hear_neighbours(self, *, now: float) -> None:
        """Learn the hosts behind the ports from the ARP and ND that every host sends now and then, uncounted."""
        for port in self.ports.values():
            if not (port.link.up and port.receives):
                continue
            for address, _ in port.plan.neighbours:
                vlan, dropped = port.enters(None)
                flow = self.tables.lookup(
                    {PACKET_TYPE: 0, "in_port": port.number, "dl_src": mac(address), "dl_type": ARP}
                )
                if flow and "NORMAL" in flow.actions and not dropped:
                    quiet = mac(address) % 29
                    seen = self.learned.get((vlan, address), (0, 0.0))[1]
                    self.learned[vlan, address] = (port.number, max(seen, now - quiet))

    def flush_port(self, number: int) -> None:
        """Forget what was learned on a port: its VLAN has changed."""
        self.learned = {key: entry for key, entry in self.learned.items() if entry[0] != number}

    def _police(self, port: Port, burst: Packets, now: float) -> Packets:
        rate = int(str(port.interface["ingress_policing_rate"]))
        if not rate:
            port.policer = None
            return burst
        size = int(str(port.interface["ingress_policing_burst"])) or POLICING_BURST
        if port.policer is None or (port.policer.rate, port.policer.burst) != (rate, size):
            port.policer = Meter(0, ("kbps", "burst"), rate, size)
        passed = port.policer.pass_on(burst.packets, burst.octets, now=now, seconds=burst.seconds)
        port.link.rx_dropped += burst.packets - passed
        return share(burst, passed)

    def _by_kind(self, port: Port, burst: Packets, now: float) -> Passed:
        """First and later fragments meet different flows where a flow asks for the difference."""
        if burst.traffic is not Traffic.FRAGMENT:
            return self._classify(port, burst, 0, now)
        asked = any("nw_frag" in flow.match.fields for flow in self.tables.flows)
        if not asked or burst.packets < FIRST_IN:
            return self._classify(port, burst, FRAGMENT | (LATER if burst.packets >= FIRST_IN else 0), now)
        first = share(burst, burst.packets // FIRST_IN)
        later = replace(burst, packets=burst.packets - first.packets, octets=burst.octets - first.octets)
        heads = self._classify(port, first, FRAGMENT, now)
        tails = self._classify(port, later, FRAGMENT | LATER, now)
        return Passed(
            heads.packets + tails.packets, heads.octets + tails.octets, heads.vlan or tails.vlan, tails.why or heads.why
        )

    def _classify(self, port: Port, burst: Packets, fragment: int, now: float) -> Passed:
        """Walk the burst through the flow tables."""
        if not burst.packets:
            return Passed(0, 0, None)
        walk = _Walk(burst, burst.vlan)
        table = 0
        while True:
            packet = fields(walk.burst, walk.vlan, port.number, fragment)
            flow = self.tables.lookup(packet, table)
            if flow is None:
                return Passed(0, 0, None, f"no flow in table {table} matches")
            flow.packets += walk.burst.packets
            flow.octets += walk.burst.octets
            flow.used = now
            walk.following = -1
            for action in flow.actions:
                left = self._act(action, port, walk, now)
                if left is not None:
                    return left
            if walk.following <= table:
                return Passed(0, 0, None, walk.why or self._why(flow))
            table = walk.following

    def _act(self, action: str, port: Port, walk: _Walk, now: float) -> Passed | None:
        """Do one action of a flow; what has passed when the burst leaves by it."""
        name, _, value = action.partition(":")
        match name:
            case "meter":
                meter, before = self.tables.meters[int(value)], walk.burst
                passed = meter.pass_on(before.packets, before.octets, now=now, seconds=before.seconds)
                walk.burst = share(before, passed)
                if passed < before.packets:
                    walk.why = walk.why or f"meter {value} of {meter.rate} {meter.flags[0]}"
            case "set_field":
                walk.set_field(*value.split("->"))
            case "pop_vlan":
                walk.vlan = None
            case "goto_table":
                walk.following = int(value)
            case "NORMAL":
                return self._normal(port, walk.burst, walk.vlan, walk.why, now)
            case "output" | "IN_PORT" | "FLOOD" | "ALL":
                return self._send(walk.burst, walk.vlan, self._chosen(port, name, value), walk.why)
            case _ if name.startswith("resubmit"):
                walk.following = int(name[len("resubmit(,") : -1])
        return None

    def _normal(self, port: Port, burst: Packets, vlan: int | None, why: str, now: float) -> Passed:
        inner, dropped = port.enters(vlan)
        if dropped:
            return Passed(0, 0, None, dropped)
        if not mac(burst.src_mac) >> 40 & 1:
            self.learned[inner, burst.src_mac] = (port.number, now)
        known = self.learned.get((inner, burst.dst_mac))
        if known and now - known[1] < AGEING:
            if known[0] == port.number:
                return Passed(0, 0, None, f"{burst.dst_mac} is behind the same port")
            leaving = [other for other in self._members(inner) if other.number == known[0]]
        else:
            leaving = self._flooded(port, inner, burst.dst_mac)
        if port.row["protected"]:
            leaving = [other for other in leaving if not other.row["protected"]]
        return self._send(burst, inner or None, leaving, why)

    def _flooded(self, port: Port, vlan: int, target: str) -> list[Port]:
        """Give the ports for a target that is not known: all, if it is a group.

        A single host that has not been heard is taken to be beyond the trunks, from where its answers would come.
        """
        if not mac(target) >> 40 & 1:
            if vlan not in self.beyond:
                members = self._members(vlan)
                self.beyond[vlan] = [other for other in members if other.access is None and other.number != LOCAL]
            trunks = self.beyond[vlan]
            if trunks and (trunks[0] is not port or trunks[1:]):
                return trunks if port.access is not None else [other for other in trunks if other is not port]
        return [other for other in self._members(vlan) if other is not port]

    def _members(self, vlan: int) -> list[Port]:
        if vlan not in self.members:
            self.members[vlan] = [port for port in self.ports.values() if port.admits(vlan)]
        return self.members[vlan]

    def _send(self, burst: Packets, vlan: int | None, leaving: list[Port], why: str) -> Passed:
        left = False
        for port in leaving:
            if port.link.up and port.forwards:
                port.link.tx_packets += burst.packets
                port.link.tx_bytes += burst.octets
                left = left or port.number != LOCAL
        if not left:
            return Passed(0, 0, None, f"no port takes frames of VLAN {vlan or 0}")
        return Passed(burst.packets, burst.octets, vlan, why)

    def _chosen(self, port: Port, name: str, value: str) -> list[Port]:
        match name:
            case "output":
                return [other for other in self.ports.values() if other.number == int(value) and other is not port]
            case "IN_PORT":
                return [port]
            case "FLOOD" | "ALL":
                return [other for other in self.ports.values() if other is not port]
        return []

    def _why(self, flow: Flow) -> str:
        text = flow.match.text({})
        return f"flow priority={flow.priority}{',' if text else ''}{text} actions={','.join(flow.actions) or 'drop'}"


def fields(burst: Packets, vlan: int | None, in_port: int, fragment: int) -> Mapping[str, int]:
    """Give a burst as the flow table sees it: of fragments and malformed packets the ports are zero.

    Malformed TCP carries SYN and FIN together.
    """
    packet = {PACKET_TYPE: 0, "in_port": in_port, "dl_src": mac(burst.src_mac), "dl_dst": mac(burst.dst_mac)}
    if vlan is not None:
        packet["dl_vlan"] = vlan
        packet["dl_vlan_pcp"] = 0
    if not burst.src:
        return {**packet, "dl_type": burst.protocol if burst.protocol > 0x5FF else ARP}
    four = ":" not in burst.src
    names = ("nw_src", "nw_dst") if four else ("ipv6_src", "ipv6_dst")
    packet |= {
        "dl_type": IPV4 if four else IPV6,
        names[0]: _number(burst.src),
        names[1]: _number(burst.dst),
        "nw_proto": burst.protocol,
        "nw_frag": fragment,
        "nw_tos": 0,
        "nw_ecn": 0,
        "nw_ttl": 64,
        "tp_src": 0,
        "tp_dst": 0,
    }
    if burst.traffic is Traffic.PLAIN:
        packet |= {"tp_src": burst.src_port, "tp_dst": burst.dst_port, "tcp_flags": TCP_FLAGS["ack"]}
    elif burst.traffic is Traffic.MALFORMED:
        packet["tcp_flags"] = TCP_FLAGS["syn"] | TCP_FLAGS["fin"]
    return packet


@lru_cache(maxsize=65_536)
def _number(address: str) -> int:
    return int(ip_address(address))


def share(burst: Packets, packets: int) -> Packets:
    """Give so many packets of a burst, with their part of its octets."""
    if packets == burst.packets:
        return burst
    return replace(burst, packets=packets, octets=burst.octets * packets // burst.packets if burst.packets else 0)


def numbers(value: Value) -> list[int]:
    """Give the integers of a column."""
    return [item for item in value if isinstance(item, int)] if isinstance(value, list) else []


def _text(value: Value) -> str:
    return str(value[0]) if isinstance(value, list) and value else ""
