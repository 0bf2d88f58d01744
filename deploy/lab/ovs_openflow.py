"""What ovs-ofctl's commands do to an emulated bridge, and what they print. Source: ovs-ofctl(8), ovs-ofctl 3.1."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from deploy.lab import ovs_meters
from deploy.lab.ovs_bridge import Bridge, Port
from deploy.lab.ovs_db import Database
from deploy.lab.ovs_flows import Flow, Spec
from deploy.lab.ovs_match import LOCAL
from deploy.lab.ovs_ofctl import (
    NO_METERS,
    OPENFLOW,
    Asked,
    Fatal,
    Handler,
    Rejected,
    flow_text,
    negotiate,
    read,
    rule_text,
    spec,
)
from deploy.lab.shell import Call, Result, lines_of

PORT_WORDS = frozenset(
    {"up", "down", "receive", "no-receive", "forward", "no-forward", "flood", "no-flood", "packet-in", "no-packet-in",
     "stp", "no-stp", "receive-stp", "no-receive-stp"}
)  # fmt: skip


@dataclass(slots=True)
class Ofctl:
    """The program, over one bridge; `files` are the machine's, for add-flows."""

    name: str
    bridge: Bridge
    database: Database
    files: dict[str, str]

    def run(self, call: Call) -> Result:
        """Run one command line."""
        try:
            asked = self._ask(call)
        except Fatal as error:
            return Result(err=str(error), status=1, refused=True)
        before = copy.deepcopy(self.bridge.tables) if "--bundle" in asked.options else None
        try:
            result = self._handler(asked.command)(asked, self.bridge)
        except (Fatal, Rejected) as error:
            if before is not None:
                self.bridge.tables = before
            return Result(err="".join(asked.warnings) + str(error), status=1, refused=True)
        return Result(result.out, "".join(asked.warnings) + result.err, result.status, configured=result.configured)

    def _ask(self, call: Call) -> Asked:
        asked = read(call)
        if asked.args[0] != self.name:
            raise Fatal(f"ovs-ofctl: {asked.args[0]} is not a bridge or a socket\n")
        if not call.root:
            raise Fatal(f"ovs-ofctl: {self.name}: failed to connect to socket (Permission denied)\n")
        allowed = [str(item) for item in self._protocols()] or list(OPENFLOW)
        asked.version = negotiate(asked, [OPENFLOW[name] for name in allowed], self.name)
        if asked.version < 4 and "meter" in asked.command:
            raise Fatal(f"ovs-ofctl: {NO_METERS}\n")
        return asked

    def _protocols(self) -> list[object]:
        value = self.database.tables["Bridge"][self.name]["protocols"]
        return list(value) if isinstance(value, list) else []

    def _handler(self, command: str) -> Handler:
        return self._add_flows if command in ("add-flow", "add-flows") else _HANDLERS[command]

    def _add_flows(self, asked: Asked, bridge: Bridge) -> Result:
        """Add one flow, or the flows of a file; a file is read whole before anything is sent."""
        source = asked.args[1]
        if asked.command == "add-flow" and source != "-":
            _change(asked, bridge, "add", spec(asked, bridge, source, selecting=False))
            return Result(configured=True)
        if source == "-":
            text = asked.call.stdin
        elif source in self.files:
            text = self.files[source]
        else:
            raise Fatal(f"ovs-ofctl: {source}: open failed (No such file or directory)\n")
        for verb, flow in list(_file(asked, bridge, source, text)):
            _change(asked, bridge, verb, flow)
        return Result(configured=True)


def _file(asked: Asked, bridge: Bridge, source: str, text: str) -> Iterator[tuple[str, Spec]]:
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].strip()
        if not words:
            continue
        verb, _, rest = words.partition(" ")
        if verb not in ("add", "modify", "modify_strict", "delete", "delete_strict"):
            verb, rest = "add", words
        try:
            yield verb, spec(asked, bridge, rest, selecting=verb.startswith("delete"))
        except Fatal as error:
            raise Fatal(str(error).replace("ovs-ofctl: ", f"ovs-ofctl: {source}:{number}: ", 1)) from error


def _change(asked: Asked, bridge: Bridge, verb: str, given: Spec) -> None:
    """Send one flow modification; Rejected with the switch's error."""
    flow, tables, now = given.flow, bridge.tables, asked.call.now
    meters = [int(action.partition(":")[2]) for action in flow.actions if action.startswith("meter:")]
    if meters and asked.version < 4:
        raise Fatal(f"ovs-ofctl: {NO_METERS}\n")
    if any(number not in tables.meters for number in meters):
        raise _error(asked, bridge, "OFPMMFC_INVALID_METER", flow, verb)
    if any(action.startswith("goto_table:") and int(action[11:]) <= flow.table for action in flow.actions):
        raise _error(asked, bridge, "OFPBIC_BAD_TABLE_ID", flow, verb)
    strict = verb.endswith("_strict")
    if verb == "add":
        if "check_overlap" in flow.flags and any(
            (other.table, other.priority) == (flow.table, flow.priority) and other.match.overlaps(flow.match)
            for other in tables.flows
        ):
            raise _error(asked, bridge, "OFPFMFC_OVERLAP", flow, verb)
        _add(asked, bridge, flow)
    elif verb.startswith("modify"):
        found = [other for other in tables.flows if _selected(other, given, strict=strict)]
        for other in found:
            other.actions, other.cookie = flow.actions, flow.cookie
        if not found and asked.version == 1:
            _add(asked, bridge, flow)
    else:
        tables.flows = [other for other in tables.flows if not _selected(other, given, strict=strict)]
    bridge.settle(now=now)


def _add(asked: Asked, bridge: Bridge, flow: Flow) -> None:
    flow.created = flow.used = asked.call.now
    flow.flags = tuple(flag for flag in flow.flags if flag != "check_overlap")
    if asked.version < 4:
        flow.flags = (*flow.flags, "reset_counts")
    old = bridge.tables.same(flow)
    if old is None:
        bridge.tables.flows.append(flow)
        return
    if "reset_counts" not in flow.flags:
        flow.packets, flow.octets = old.packets, old.octets
    bridge.tables.flows[bridge.tables.flows.index(old)] = flow


def _selected(flow: Flow, given: Spec, *, strict: bool) -> bool:
    wanted = given.flow
    if given.table_given and flow.table != wanted.table:
        return False
    if given.cookie_mask is not None and (flow.cookie ^ wanted.cookie) & given.cookie_mask:
        return False
    if given.out_port is not None and f"output:{given.out_port}" not in flow.actions:
        return False
    if strict:
        same_table = flow.table == wanted.table
        return same_table and flow.priority == wanted.priority and flow.match.fields == wanted.match.fields
    return wanted.match.contains(flow.match)


def _error(asked: Asked, bridge: Bridge, name: str, flow: Flow, verb: str) -> Rejected:
    words = {"add": "ADD", "modify": "MOD", "modify_strict": "MOD_STRICT"}
    names = {number: name for name, number in bridge.numbers.items()} if asked.names else {}
    extra = [f"cookie:0x{flow.cookie:x}"] * bool(flow.cookie) + list(flow.flags)
    text = rule_text(flow, names, asked.version)
    body = text.replace("actions=", "".join(f"{word} " for word in extra) + "actions=", 1)
    what = f"OFPT_FLOW_MOD{asked.of} (xid=0x6): {words.get(verb, 'DEL')} {body}\n"
    if "--bundle" not in asked.options:
        return Rejected(f"OFPT_ERROR{asked.of} (xid=0x6): {name}\n{what}")
    return Rejected(
        f"Error {name} for: {what}"
        f"Error OFPBFC_MSG_FAILED for: ONFT_BUNDLE_CONTROL{asked.of} (xid=0xa):\n"
        " bundle_id=0 type=COMMIT_REQUEST flags=atomic ordered\n"
        f"ovs-ofctl: talking to unix:/var/run/openvswitch/{asked.args[0]}.mgmt (Protocol error)\n"
    )


def _mod_flows(asked: Asked, bridge: Bridge) -> Result:
    given = spec(asked, bridge, asked.args[1], selecting=False)
    _change(asked, bridge, "modify_strict" if "--strict" in asked.options else "modify", given)
    return Result(configured=True)


def _del_flows(asked: Asked, bridge: Bridge) -> Result:
    given = spec(asked, bridge, asked.args[1] if asked.args[1:] else "", selecting=True)
    _change(asked, bridge, "delete_strict" if "--strict" in asked.options else "delete", given)
    return Result(configured=True)


def _dump_flows(asked: Asked, bridge: Bridge) -> Result:
    flows = _chosen(asked, bridge)
    order = asked.options.get("--sort") or asked.options.get("--rsort")
    if order:
        flows = sorted(flows, key=lambda flow: flow.priority, reverse="--rsort" in asked.options)
    stats = "--no-stats" not in asked.options
    head = []
    if not order and not asked.names and stats:
        head = ["NXST_FLOW reply (xid=0x4):" if asked.version == 1 else f"OFPST_FLOW reply{asked.of} (xid=0x2):"]
    return Result(lines_of([*head, *(" " + flow_text(flow, asked, bridge, stats=stats) for flow in flows)]))


def _dump_aggregate(asked: Asked, bridge: Bridge) -> Result:
    flows = _chosen(asked, bridge)
    packets, octets = sum(flow.packets for flow in flows), sum(flow.octets for flow in flows)
    kind = "NXST" if asked.version == 1 else "OFPST"
    counts = f"packet_count={packets} byte_count={octets} flow_count={len(flows)}"
    return Result(f"{kind}_AGGREGATE reply{asked.of} (xid=0x2): {counts}\n")


def _chosen(asked: Asked, bridge: Bridge) -> list[Flow]:
    bridge.settle(now=asked.call.now)
    if not asked.args[1:]:
        return list(bridge.tables.flows)
    given = spec(asked, bridge, asked.args[1], selecting=True)
    return [flow for flow in bridge.tables.flows if _selected(flow, given, strict=False)]


def _shown(bridge: Bridge, asked: Asked) -> list[Port]:
    if not asked.args[1:]:
        return list(bridge.ports.values())
    wanted = asked.args[1]
    if not wanted.isdigit() and wanted not in bridge.ports and wanted != "LOCAL":
        raise Fatal(f"ovs-ofctl: {asked.args[0]}: couldn't find port `{wanted}'\n")
    number = LOCAL if wanted == "LOCAL" else bridge.numbers.get(wanted) or int(wanted)
    return [port for port in bridge.ports.values() if port.number == number]


def _dump_ports(asked: Asked, bridge: Bridge) -> Result:
    ports = sorted(_shown(bridge, asked), key=lambda port: (port.number != LOCAL, port.number))
    lines = [f"OFPST_PORT reply{asked.of} (xid=0x2): {len(ports)} ports"]
    for port in ports:
        link = port.link
        label = "LOCAL" if port.number == LOCAL else port.link.name if asked.names else f"{port.number:>2}"
        lines += [
            f"  port {label if label == 'LOCAL' else ' ' + label.lstrip() if asked.names else label}: "
            f"rx pkts={link.rx_packets}, bytes={link.rx_bytes}, drop={link.rx_dropped}, "
            "errs=0, frame=0, over=0, crc=0",
            f"           tx pkts={link.tx_packets}, bytes={link.tx_bytes}, drop={link.tx_dropped}, errs=0, coll=0",
            f"           duration={max(0.0, asked.call.now - bridge.started):.3f}s",
        ]
    return Result(lines_of(lines))


def _describe(bridge: Bridge, *, live: str) -> Iterator[str]:
    for port in sorted(bridge.ports.values(), key=lambda port: port.number):
        number = "LOCAL" if port.number == LOCAL else str(port.number)
        flags = (
            ["PORT_DOWN"] * (not port.link.up) + ["NO_RECV"] * (not port.receives) + ["NO_FWD"] * (not port.forwards)
        )
        yield f" {number}({port.link.name}): addr:{port.link.mac}"
        yield f"     config:     {' '.join(flags) or '0'}"
        yield f"     state:      {live if port.link.up else 'LINK_DOWN'}"
        yield "     current:    10GB-FD COPPER"
        yield "     speed: 10000 Mbps now, 0 Mbps max"


def _dump_ports_desc(asked: Asked, bridge: Bridge) -> Result:
    live = "0" if asked.version == 1 else "LIVE"
    return Result(lines_of([f"OFPST_PORT_DESC reply{asked.of} (xid=0x2):", *_describe(bridge, live=live)]))


def _show(asked: Asked, bridge: Bridge) -> Result:
    identity = str(next(iter(bridge.ports.values())).link.mac).replace(":", "").rjust(16, "0")
    head = [f"OFPT_FEATURES_REPLY{asked.of} (xid=0x2): dpid:{identity}", "n_tables:254, n_buffers:0"]
    if asked.version == 1:
        head += [
            "capabilities: FLOW_STATS TABLE_STATS PORT_STATS QUEUE_STATS ARP_MATCH_IP",
            "actions: output enqueue set_vlan_vid set_vlan_pcp strip_vlan mod_dl_src mod_dl_dst mod_nw_src mod_nw_dst "
            "mod_nw_tos mod_tp_src mod_tp_dst",
        ]
        tail = "OFPT_GET_CONFIG_REPLY (xid=0x4): frags=normal miss_send_len=0"
    else:
        head += [
            "capabilities: FLOW_STATS TABLE_STATS PORT_STATS GROUP_STATS QUEUE_STATS",
            f"OFPST_PORT_DESC reply{asked.of} (xid=0x3):",
        ]
        tail = f"OFPT_GET_CONFIG_REPLY{asked.of} (xid=0x5): frags=normal miss_send_len=0"
    return Result(lines_of([*head, *_describe(bridge, live="0" if asked.version == 1 else "LIVE"), tail]))


def _mod_port(asked: Asked, bridge: Bridge) -> Result:
    name, word = asked.args[1:]
    port = bridge.ports.get(name) or next((p for p in bridge.ports.values() if str(p.number) == name), None)
    if port is None:
        raise Fatal(f"ovs-ofctl: {asked.args[0]}: couldn't find port `{name}'\n")
    if word not in PORT_WORDS:
        raise Fatal(f"ovs-ofctl: unknown mod-port command '{word}'\n")
    match word:
        case "up" | "down":
            port.link.up = word == "up"
        case "receive" | "no-receive":
            port.receives = word == "receive"
        case "forward" | "no-forward":
            port.forwards = word == "forward"
    return Result(configured=True)


_HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        "show": _show,
        "dump-flows": _dump_flows,
        "dump-aggregate": _dump_aggregate,
        "dump-ports": _dump_ports,
        "dump-ports-desc": _dump_ports_desc,
        "mod-flows": _mod_flows,
        "del-flows": _del_flows,
        "mod-port": _mod_port,
        "add-meter": ovs_meters.add_meter,
        "mod-meter": ovs_meters.mod_meter,
        "del-meter": ovs_meters.del_meter,
        "del-meters": ovs_meters.del_meter,
        "dump-meter": ovs_meters.dump_meters,
        "dump-meters": ovs_meters.dump_meters,
        "meter-stats": ovs_meters.meter_stats,
        "meter-features": ovs_meters.meter_features,
    }
)
