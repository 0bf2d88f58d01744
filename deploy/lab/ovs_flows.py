"""Flow tables and meters of an emulated bridge: what is in them, what they do to packets, when entries expire.

Source: the OpenFlow 1.3 specification, sections 5 (tables, meters) and 6.4 (flow modification), ovs-ofctl(8).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from deploy.lab.bucket import Bucket
from deploy.lab.ovs_match import LOCAL, FlowError, Match, Ports, known, mac, read, setting

DEFAULT_PRIORITY = 32_768
TABLES = 254
FLAGS = ("send_flow_rem", "check_overlap", "reset_counts", "no_packet_counts", "no_byte_counts")
PORT_WORDS = ("IN_PORT", "LOCAL", "FLOOD", "ALL", "NORMAL", "TABLE")


@dataclass(slots=True)
class Flow:
    """One entry of a flow table."""

    match: Match
    actions: tuple[str, ...]  # canonical, ports by number; empty: drop
    priority: int = DEFAULT_PRIORITY
    table: int = 0
    cookie: int = 0
    idle_timeout: int = 0
    hard_timeout: int = 0
    flags: tuple[str, ...] = ()
    created: float = 0.0
    used: float = 0.0
    packets: int = 0
    octets: int = 0


@dataclass(slots=True)
class Meter:
    """One meter with its one drop band: a bucket of bits or packets that fills at the band's rate."""

    number: int
    flags: tuple[str, ...]  # kbps or pktps, burst, stats
    rate: int
    burst: int | None
    created: float = 0.0
    packets_in: int = 0
    octets_in: int = 0
    dropped_packets: int = 0
    dropped_octets: int = 0
    bucket: Bucket = field(init=False)

    def __post_init__(self) -> None:
        """Fill the bucket; without a burst size it holds one second."""
        unit = 1000 if "kbps" in self.flags else 1
        self.bucket = Bucket(float(self.rate * unit), float((self.burst or self.rate) * unit))

    @property
    def text(self) -> str:
        """The meter as `dump-meters` prints it."""
        burst = f" burst_size={self.burst}" if self.burst else ""
        return f"meter={self.number} {' '.join(self.flags)} bands=\ntype=drop rate={self.rate}{burst}"

    def pass_on(self, packets: int, octets: int, *, now: float, seconds: float) -> int:
        """Let so many packets of a burst pass as the bucket allows."""
        size = octets * 8 if "kbps" in self.flags else packets
        passed = int(packets * self.bucket.take(size, now=now, seconds=seconds))
        self.packets_in += packets
        self.octets_in += octets
        self.dropped_packets += packets - passed
        self.dropped_octets += octets - (octets * passed // packets if packets else 0)
        return passed


@dataclass(slots=True)
class FlowTables:
    """All flows and meters of one bridge."""

    flows: list[Flow] = field(default_factory=list)
    meters: dict[int, Meter] = field(default_factory=dict)

    def lookup(self, packet: Mapping[str, int], table: int = 0) -> Flow | None:
        """Find the flow of highest priority that covers a packet; None is a table miss, which drops."""
        best: Flow | None = None
        for flow in self.flows:
            better = best is None or flow.priority > best.priority
            if flow.table == table and better and flow.match.covers(packet):
                best = flow
        return best

    def expire(self, *, now: float) -> None:
        """Take out flows whose idle or hard timeout has passed."""
        self.flows = [
            flow
            for flow in self.flows
            if not (flow.hard_timeout and now >= flow.created + flow.hard_timeout)
            and not (flow.idle_timeout and now >= flow.used + flow.idle_timeout)
        ]

    def same(self, flow: Flow) -> Flow | None:
        """Find the flow with the same table, priority and match: there is never more than one."""
        return next(
            (
                other
                for other in self.flows
                if (other.table, other.priority) == (flow.table, flow.priority)
                and other.match.fields == flow.match.fields
            ),
            None,
        )

    def remove_meter(self, number: int) -> None:
        """Take a meter out, and with it every flow that names it."""
        self.meters.pop(number, None)
        self.flows = [flow for flow in self.flows if f"meter:{number}" not in flow.actions]


@dataclass(frozen=True, slots=True)
class Spec:
    """A flow as it was typed: the flow, what normalisation took away (before, after), a cookie's mask."""

    flow: Flow
    typed: Match
    cookie_mask: int | None
    has_actions: bool
    table_given: bool
    out_port: int | None = None


def parse(text: str, ports: Ports, *, selecting: bool = False, strict: bool = False) -> Spec:
    """Read one flow. `selecting`: a match for dump or delete, where nothing but the match may be given.

    FlowError carries the words of ovs-ofctl 3.1.
    """
    head, separator, tail = text.partition("actions=") if not selecting else (text, "", "")
    words: dict[str, str | None] = {}
    flow = Flow(Match(), ())
    mask: int | None = None
    table_given = False
    out_port: int | None = None
    flags: list[str] = []
    for name, value in _words(head):
        if name in FLAGS and value is None and not selecting:
            flags.append(name)
        elif name == "table":
            flow.table, table_given = setting("table", value or "", 8), True
        elif name == "priority" and (not selecting or strict):
            flow.priority = setting("priority", value or "", 16)
        elif name in ("idle_timeout", "hard_timeout") and not selecting:
            setattr(flow, name, setting(name, value or "", 16))
        elif name == "cookie":
            flow.cookie, mask = _cookie(value or "", selecting=selecting)
        elif name == "out_port" and selecting:
            out_port = _port_number(value or "", ports)
        elif known(name):
            words[name] = value
        else:
            raise FlowError(f"unknown keyword {name}" if value is not None else f"field {name} missing value")
    typed, flow.match = read(words, ports)
    flow.flags = tuple(flags)
    if not selecting and not separator:
        raise FlowError("must specify an action")
    flow.actions = tuple(_actions(tail, ports, tagged="dl_vlan" in flow.match.fields)) if separator else ()
    return Spec(flow, typed, mask, bool(separator), table_given, out_port)


def _words(text: str) -> Iterator[tuple[str, str | None]]:
    for word in re.split(r"[,\s]+", text.strip()):
        if word:
            name, equals, value = word.partition("=")
            yield name, value if equals else None


def _cookie(text: str, *, selecting: bool) -> tuple[int, int | None]:
    value, slash, mask = text.partition("/")
    if selecting and not slash:
        raise FlowError(f"cannot set cookie (to match on a cookie, specify a mask, e.g. cookie={text}/-1)")
    full = (1 << 64) - 1
    return setting("cookie", value, 64), (full if mask == "-1" else setting("cookie", mask, 64)) if slash else None


def _actions(text: str, ports: Ports, *, tagged: bool) -> Iterator[str]:
    words = [word for word in re.findall(r"(?:[^,\s()]|\([^)]*\))+", text.strip()) if word]
    if words in ([], ["drop"]):
        return
    for word in words:
        if word == "drop":
            raise FlowError('"drop" must not be accompanied by any other action or instruction')
        yield from _action(word, ports, tagged=tagged)


def _action(word: str, ports: Ports, *, tagged: bool) -> list[str]:
    name, colon, value = word.partition(":")
    upper = name.upper()
    if upper in PORT_WORDS and not colon:
        return [upper]
    if match := re.fullmatch(r"resubmit\(,(\d+)\)", word):
        return [f"resubmit(,{int(match[1])})"]
    if not colon and (name.isdigit() or name in ports):
        return [f"output:{_port_number(name, ports)}"]
    match upper:
        case "CONTROLLER":
            return [f"CONTROLLER:{value or 65535}"]
        case "OUTPUT":
            return [f"output:{_port_number(value, ports)}"]
        case "METER":
            meter = _bounded("meter", value, 0xFFFF_FFFF)
            if not meter:
                raise FlowError("actions are invalid with specified match (OFPMMFC_INVALID_METER)")
            return [f"meter:{meter}"]
        case "CLEAR_ACTIONS":
            return ["clear_actions"]
        case "GOTO_TABLE":
            return [f"goto_table:{_bounded('table', value, TABLES)}"]
    return _rewriting(name, value, tagged=tagged)


def _rewriting(name: str, value: str, *, tagged: bool) -> list[str]:
    """Read an action that changes the frame, as OpenFlow 1.3 spells it."""
    match name.lower():
        case "mod_vlan_vid":
            vid = _bounded("VLAN VID", value, 4095)
            return ([] if tagged else ["push_vlan:0x8100"]) + [f"set_field:{vid | 0x1000}->vlan_vid"]
        case "strip_vlan" | "pop_vlan":
            if not tagged:
                allowed = "(OpenFlow10,NXM) is among the allowed flow formats (OXM-OpenFlow13)"
                raise FlowError(f"none of the usable flow formats {allowed}")
            return ["pop_vlan"]
        case "mod_dl_src" | "mod_dl_dst":
            address = f"{mac(value):012x}"
            spelled = ":".join(address[at : at + 2] for at in range(0, 12, 2))
            return [f"set_field:{spelled}->eth_{name[-3:].lower()}"]
    raise FlowError(f"unknown action {name}")


def _bounded(what: str, text: str, most: int) -> int:
    if not text.isdigit():
        raise FlowError(f"invalid numeric format {text}")
    if int(text) > most:
        raise FlowError(f"{text}: not a valid {what}")
    return int(text)


def _port_number(text: str, ports: Ports) -> int:
    if text in ports:
        return ports[text]
    if text.upper() == "LOCAL":
        return LOCAL
    if not text.isdigit():
        raise FlowError(f"{text}: output to unknown port")
    return int(text)


def parse_meter(text: str) -> Meter:
    """Read a meter as `add-meter` takes it; FlowError carries the words of ovs-ofctl 3.1."""
    head, separator, band = text.partition("band")
    values: dict[str, str] = {}
    flags: list[str] = []
    for name, value in _words(head):
        if name == "meter":
            values["meter"] = value or ""
        elif name in ("kbps", "pktps", "burst", "stats") and value is None:
            flags.append(name)
        else:
            raise FlowError(f"unknown keyword {name}" if value is not None else f"field {name} missing value")
    if not values.get("meter", "").isdigit() or not 1 <= int(values["meter"]) <= 0xFFFF_0000:
        raise FlowError("invalid value for meter" if "meter" in values else "must specify 'meter'")
    if not separator:
        raise FlowError("must specify bands")
    if not {"kbps", "pktps"} & set(flags):
        raise FlowError("meter must specify either 'kbps' or 'pktps'")
    if {"kbps", "pktps"} <= set(flags):
        raise FlowError("cannot specify both 'kbps' and 'pktps'")
    options = dict(_words(band.partition("=")[2]))
    if options.get("type") != "drop":
        raise FlowError(
            f"field type unknown value {options.get('type')}" if options.get("type") else "bands must specify 'type'"
        )
    if not (options.get("rate") or "").isdigit():
        raise FlowError("band must have 'rate'")
    burst = options.get("burst_size")
    order = [flag for flag in ("kbps", "pktps", "burst", "stats") if flag in flags]
    return Meter(int(values["meter"]), tuple(order), int(options["rate"] or 0), int(burst) if burst else None)
