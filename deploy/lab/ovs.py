"""An emulated Linux host that runs Open vSwitch: root's shell, the switch's own programs, and the bridge behind them.

What is in the database (VLAN tags, ingress policing) survives a loss of power; flows, meters, learned addresses and
the state of links do not. A bridge without a controller starts with one flow: everything NORMAL.
"""

import hashlib
from collections.abc import Sequence

from deploy.lab.device import Cli, DevicePlan, Packets, Passed, PortPlan
from deploy.lab.iproute import IpRoute, Link, Neighbour
from deploy.lab.ovs_bridge import Bridge, Port
from deploy.lab.ovs_db import TABLES, Database, Row, blank, show
from deploy.lab.ovs_flows import Flow
from deploy.lab.ovs_match import LOCAL, Match
from deploy.lab.ovs_ofctl import rule_text
from deploy.lab.ovs_openflow import Ofctl
from deploy.lab.ovs_vsctl import Vsctl
from deploy.lab.programs import Coreutils
from deploy.lab.shell import Call, Machine, Result, Shell, lines_of, refuse

KEPT = ("tag", "trunks", "vlan_mode", "protected", "external_ids", "other_config")
POLICING = (
    "ingress_policing_rate",
    "ingress_policing_burst",
    "ingress_policing_kpkts_rate",
    "ingress_policing_kpkts_burst",
)


class OvsDevice:
    """The host. Options of its plan: `bridge` (br0) and `protocols` (comma-separated; empty: all that 3.1 speaks)."""

    def __init__(self, plan: DevicePlan) -> None:
        self.name = plan.name
        self.platform = plan.platform
        self._plan = plan
        self._bridge_name = plan.options.get("bridge", "br0")
        self._machine = Machine(plan.hostname)
        self._database = Database()
        links = {
            "lo": Link("lo", 1, "00:00:00:00:00:00", loopback=True, addresses=("127.0.0.1/8", "::1/128")),
            self._bridge_name: Link(self._bridge_name, 2, _mac(plan.name, self._bridge_name)),
        }
        self._bridge = Bridge({self._bridge_name: self._port(PortPlan(self._bridge_name, 2), LOCAL, links)})
        for number, port in enumerate(plan.ports, 1):
            peer = 2 if port.name.startswith("veth") else None
            links[port.name] = Link(port.name, port.if_index, _mac(plan.name, port.name), peer_index=peer)
            self._bridge.ports[port.name] = self._port(port, number, links)
        self._describe_bridge(plan)
        self._start()
        Coreutils(self._machine).install()
        self._machine.programs |= {
            "ovs-vsctl": Vsctl(self._database, self._refresh).run,
            "ovs-ofctl": Ofctl(self._bridge_name, self._bridge, self._database, self._machine.files).run,
            "ovs-appctl": self._appctl,
            "ip": IpRoute(links, self._neighbours).ip,
        }

    def login(self, user: str) -> Cli:
        """Open one shell."""
        return Shell(self._machine, user)

    def forward(self, bursts: Sequence[Packets], *, now: float) -> list[Passed]:
        """Pass bursts through the bridge."""
        self._bridge.settle(now=now)
        return [self._bridge.receive(burst, now=now) for burst in bursts]

    def configuration(self) -> list[str]:
        """Give the bridge's protocols, then ports, links that are down, meters and flows, each kind in order."""
        bridge = self._database.tables["Bridge"][self._bridge_name]
        lines = [
            f"bridge {self._bridge_name} {column}={_shown('Bridge', bridge, column)}"
            for column in ("protocols", "fail_mode")
        ]
        for name, port in sorted(self._bridge.ports.items()):
            settings = [f"{column}={_shown('Port', port.row, column)}" for column in KEPT if port.row[column]]
            settings += [f"{column}={port.interface[column]}" for column in POLICING if port.interface[column]]
            states = {"down": not port.link.up, "no-receive": not port.receives, "no-forward": not port.forwards}
            lines.append(" ".join(["port", name, *settings, *(state for state, holds in states.items() if holds)]))
        tables = self._bridge.tables
        lines += [tables.meters[number].text.replace("\n", " ") for number in sorted(tables.meters)]
        return lines + sorted(_flow_line(flow) for flow in tables.flows)

    def tick(self, *, now: float) -> None:
        """Let flows with a timeout and old MAC addresses go."""
        self._bridge.settle(now=now)

    def power_cycle(self, *, now: float) -> None:
        """Start again with what the database holds."""
        self._machine.booted = now
        self._start(now=now)

    def _start(self, *, now: float = 0.0) -> None:
        self._bridge.started = now
        self._bridge.learned.clear()
        self._bridge.tables.flows = [Flow(Match(), ("NORMAL",), priority=0, created=now, used=now)]
        self._bridge.tables.meters.clear()
        for port in self._bridge.ports.values():
            port.receives = port.forwards = port.link.up = True
            port.policer = None
            link = port.link
            link.rx_packets = link.rx_bytes = link.rx_dropped = 0
            link.tx_packets = link.tx_bytes = link.tx_dropped = 0

    def _port(self, plan: PortPlan, number: int, links: dict[str, Link]) -> Port:
        row, interface = blank("Port", plan.name), blank("Interface", plan.name)
        row["interfaces"] = [interface["_uuid"]]  # type: ignore[list-item]
        row["tag"] = [plan.vlan] if plan.vlan is not None and not plan.trunk else []
        if plan.description:
            row["external_ids"] = {"description": plan.description}
        interface |= {
            "ofport": [number],
            "ifindex": [plan.if_index],
            "mtu": [1500],
            "duplex": ["full"],
            "link_speed": [10_000_000_000],
            "link_resets": [0],
            "mac_in_use": [links[plan.name].mac],
            "type": "internal" if number == LOCAL else "",
            "status": {
                "driver_name": "veth" if plan.name.startswith("veth") else "tun",
                "driver_version": "1.0" if plan.name.startswith("veth") else "1.6",
                "firmware_version": "",
            },
        }
        self._database.tables["Port"][plan.name] = row
        self._database.tables["Interface"][plan.name] = interface
        return Port(plan, number, links[plan.name], row, interface)

    def _describe_bridge(self, plan: DevicePlan) -> None:
        row = blank("Bridge", self._bridge_name)
        row["datapath_type"] = plan.options.get("datapath_type", "")
        row["datapath_id"] = [self._bridge.ports[self._bridge_name].link.mac.replace(":", "").rjust(16, "0")]
        row["datapath_version"] = "<built-in>" if row["datapath_type"] == "netdev" else "<unknown>"
        row["protocols"] = [name for name in plan.options.get("protocols", "").split(",") if name]
        row["ports"] = [port.row["_uuid"] for port in self._bridge.ports.values()]  # type: ignore[misc]
        self._database.tables["Bridge"][self._bridge_name] = row

    def _refresh(self) -> None:
        """Carry the database's rows to the ports after a transaction, and the links' state into the rows before one."""
        settings_changed = False
        for name, port in self._bridge.ports.items():
            row = self._database.tables["Port"][name]
            if any(row[column] != port.row[column] for column in ("tag", "trunks", "vlan_mode")):
                self._bridge.flush_port(port.number)
                settings_changed = True
            port.row = row
            port.interface = self._database.tables["Interface"][name]
            link = port.link
            state = "up" if link.up else "down"
            port.interface["admin_state"] = port.interface["link_state"] = [state]
            port.interface["statistics"] = {
                "collisions": 0,
                "rx_bytes": link.rx_bytes,
                "rx_crc_err": 0,
                "rx_dropped": link.rx_dropped,
                "rx_errors": 0,
                "rx_frame_err": 0,
                "rx_missed_errors": 0,
                "rx_multicast_packets": 0,
                "rx_over_err": 0,
                "rx_packets": link.rx_packets,
                "tx_bytes": link.tx_bytes,
                "tx_dropped": link.tx_dropped,
                "tx_errors": 0,
                "tx_packets": link.tx_packets,
            }
        if settings_changed:
            self._bridge.changed()

    def _neighbours(self) -> list[Neighbour]:
        return [
            Neighbour(address, mac, self._bridge_name, "STALE" if port.link.up else "FAILED")
            for port in self._bridge.ports.values()
            for mac, address in port.plan.neighbours
        ]

    def _appctl(self, call: Call) -> Result:
        args = list(call.args)
        if args[:1] in (["-t"], ["--target"]):
            args = args[2:]
        if not args:
            return refuse("ovs-appctl: at least one non-option argument is required (use --help for help)")
        if not call.root:
            return refuse('ovs-appctl: cannot connect to "/var/run/openvswitch/ovs-vswitchd.pid" (Permission denied)')
        answer = self._answer(args, call.now)
        if answer is None:
            problem = f'"{args[0]}" is not a valid command (use "list-commands" to see a list of valid commands)'
            return refuse(f"{problem}\novs-appctl: ovs-vswitchd: server returned an error", 2)
        if args[1:] and args[1] != self._bridge_name:
            return refuse("no such bridge\novs-appctl: ovs-vswitchd: server returned an error", 2)
        return Result(answer)

    def _answer(self, args: list[str], now: float) -> str | None:
        match args[0]:
            case "version":
                return "ovs-vswitchd (Open vSwitch) 3.1.0\n"
            case "fdb/show":
                self._bridge.settle(now=now)
                self._bridge.hear_neighbours(now=now)
                rows = sorted(self._bridge.learned.items(), key=lambda entry: entry[1][1])
                return lines_of(
                    [" port  VLAN  MAC                Age"]
                    + [
                        f"{'LOCAL' if number == LOCAL else number:>5}  {vlan:4d}  {mac}  {int(now - seen):3d}"
                        for (vlan, mac), (number, seen) in rows
                    ]
                )
            case "fdb/flush":
                self._bridge.learned.clear()
                return "table successfully flushed\n"
        return None


def _shown(table: str, row: Row, column: str) -> str:
    return show(TABLES[table][column], row[column])


def _flow_line(flow: Flow) -> str:
    names = ("idle_timeout", "hard_timeout")
    timeouts = "".join(f"{name}={getattr(flow, name)}, " for name in names if getattr(flow, name))
    return f"flow cookie=0x{flow.cookie:x}, table={flow.table}, {timeouts}{rule_text(flow, {}, 4)}"


def _mac(device: str, port: str) -> str:
    """Give a locally administered address that follows from the names."""
    digest = hashlib.sha256(f"{device} {port}".encode()).digest()
    return ":".join(f"{octet:02x}" for octet in (0x0E, *digest[:5]))
