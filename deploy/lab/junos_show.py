"""What an EX switch prints in operational mode, built from its state.

Layouts as in the Junos OS CLI reference for EX switches and in recorded sessions (Junos 17 to 22).
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from deploy.lab.counters import Counters
from deploy.lab.ios_tree import natural
from deploy.lab.junos_switch import JunosSwitch, Tally
from deploy.lab.junos_tree import below, value, values

VERSION = "21.4R3-S5.4"


def stamp(moment: float) -> str:
    """A point in time as Junos writes it, always UTC here."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"


def ago(seconds: float) -> str:
    """How long ago, as in `1d 02:03` or `00:12:09`."""
    whole = max(0, int(seconds))
    days, rest = divmod(whole, 86_400)
    clock = f"{rest // 3600:02d}:{rest // 60 % 60:02d}"
    return (
        f"{days // 7}w{days % 7}d {clock}" if days >= 7 else f"{days}d {clock}" if days else f"{clock}:{rest % 60:02d}"
    )


def version(switch: JunosSwitch, _: Mapping[str, str], __: float) -> list[str]:
    """Host name, model and release."""
    host = value(switch.running, ("system",), "host-name")
    return [f"Hostname: {host}", "Model: ex4300-48t", f"Junos: {VERSION}", f"JUNOS EX  Software Suite [{VERSION}]"]


def uptime(switch: JunosSwitch, _: Mapping[str, str], now: float) -> list[str]:
    """Time of day, start, and who committed last."""
    booted = switch.booted if switch.booted is not None else now
    last = switch.history[0]
    return [
        f"Current time: {stamp(now)}",
        "Time Source:  LOCAL CLOCK ",
        f"System booted: {stamp(booted)} ({ago(now - booted)} ago)",
        f"Protocols started: {stamp(booted)} ({ago(now - booted)} ago)",
        f"Last configured: {stamp(last.at)} ({ago(now - last.at)} ago) by {last.user}",
        f"{datetime.fromtimestamp(now, UTC):%I:%M%p}  up {ago(now - booted)}, 1 user, load averages: 0.10, 0.08, 0.06",
    ]


def commits(switch: JunosSwitch, _: Mapping[str, str], now: float) -> list[str]:
    """The history of commits; a commit that still waits for its confirmation says so."""
    lines = []
    if switch.pending:
        left = max(1, round((switch.pending.deadline - now) / 60))
        lines.append(f"commit requires confirmation within {left}mins")
    for number, commit in enumerate(switch.history):
        waits = f" commit confirmed, rollback in {switch.pending.minutes}mins" if number == 0 and switch.pending else ""
        lines.append(f"{number:<3} {stamp(commit.at)} by {commit.user} via {commit.via}{waits}")
        lines += [f"    {commit.comment}"] if commit.comment else []
    return lines


def _state(switch: JunosSwitch, port: str) -> tuple[str, str]:
    body = below(switch.running, ("interfaces", port)) or {}
    return ("Administratively down", "Down") if "disable" in body else ("Enabled", "Up")


def interfaces(switch: JunosSwitch, values_: Mapping[str, str], now: float) -> list[str]:
    """State and packet counts of all ports or of one."""
    return _each(switch, values_, now, traffic=())


def statistics(switch: JunosSwitch, values_: Mapping[str, str], now: float) -> list[str]:
    """The same with octets and packets in both directions, as `statistics` and `extensive` print them."""
    names = ("Input  bytes  :", "Output bytes  :", "Input  packets:", "Output packets:")
    return _each(switch, values_, now, traffic=names)


def _each(switch: JunosSwitch, values_: Mapping[str, str], now: float, traffic: tuple[str, ...]) -> list[str]:
    wanted = values_.get("name", "").removesuffix(".0")
    names = [wanted] if wanted else sorted(switch.ports, key=natural)
    if wanted and wanted not in switch.ports:
        return [f"error: device {wanted} not found"]
    lines: list[str] = []
    for name in names:
        lines += [*_physical(switch, name, now, traffic), "", *_logical(switch, name), ""]
    return lines[:-1]


def _physical(switch: JunosSwitch, name: str, now: float, traffic: tuple[str, ...]) -> list[str]:
    admin, link = _state(switch, name)
    text = value(switch.running, ("interfaces", name), "description")
    index = switch.ports[name].if_index
    count = switch.counters.get(name, Counters())
    booted = switch.booted if switch.booted is not None else now
    bits, packets = (int(rate) for rate in count.rates)
    lines = [
        f"Physical interface: {name}, {admin}, Physical link is {link}",
        f"  Interface index: {640 + index}, SNMP ifIndex: {index}",
        *([f"  Description: {text}"] if text else []),
        "  Link-level type: Ethernet, MTU: 1514, LAN-PHY mode, Speed: 1000mbps, BPDU Error: None,",
        "  MAC-REWRITE Error: None, Loopback: Disabled, Source filtering: Disabled,",
        "  Flow control: Disabled, Auto-negotiation: Enabled, Remote fault: Online",
        f"  Device flags   : Present Running{'' if link == 'Up' else ' Down'}",
        "  Interface flags: SNMP-Traps Internal: 0x4000",
        "  Link flags     : None",
        "  CoS queues     : 12 supported, 12 maximum usable queues",
        f"  Current address: {switch.mac_of(name)}, Hardware address: {switch.mac_of(name)}",
        f"  Last flapped   : {stamp(booted)} ({ago(now - booted)} ago)",
    ]
    if traffic:
        lines += ["  Statistics last cleared: Never", "  Traffic statistics:"]
        amounts = (count.octets_in, count.octets_out, count.packets_in, count.packets_out)
        rates = (f"{bits} bps", "0 bps", f"{packets} pps", "0 pps")
        lines += [
            f"   {title} {amount:>20} {rate:>20}" for title, amount, rate in zip(traffic, amounts, rates, strict=True)
        ]
    else:
        lines += [f"  Input rate     : {bits} bps ({packets} pps)", "  Output rate    : 0 bps (0 pps)"]
    return [*lines, "  Active alarms  : None", "  Active defects : None", "  Interface transmit statistics: Disabled"]


def _logical(switch: JunosSwitch, name: str) -> list[str]:
    family = switch.family(name)
    if not family:
        return []
    count = switch.counters.get(name, Counters())
    up = "Up" if not switch.is_disabled(name) else "Down"
    index = switch.ports[name].if_index
    return [
        f"  Logical interface {name}.0 (Index {540 + index}) (SNMP ifIndex {500 + index})",
        f"    Flags: {up} SNMP-Traps 0x24024000 Encapsulation: Ethernet-Bridge",
        f"    Input packets : {count.packets_in}",
        f"    Output packets: {count.packets_out}",
        f"    Protocol {'eth-switch' if family == 'ethernet-switching' else family}, MTU: 1514",
    ]


def terse(switch: JunosSwitch, values_: Mapping[str, str], _: float) -> list[str]:
    """One line for each port and each unit."""
    lines = ["Interface               Admin Link Proto    Local                 Remote"]
    wanted = values_.get("name", "")
    if wanted and wanted.removesuffix(".0") not in switch.ports:
        return [f"error: device {wanted} not found"]
    for name in sorted(switch.ports, key=natural):
        if wanted and wanted.removesuffix(".0") != name:
            continue
        admin = "down" if _state(switch, name)[0] != "Enabled" else "up"
        if not wanted.endswith(".0"):
            lines.append(f"{name:<23} {admin:<5} {admin}")
        family = switch.family(name)
        if family:
            unit = "down" if switch.is_disabled(name) else "up"
            short = "eth-switch" if family == "ethernet-switching" else family
            addresses = values(switch.running, ("interfaces", name, "unit 0", f"family {family}"), "address")
            lines.append(f"{f'{name}.0':<23} {unit:<5} {unit:<4} {short:<10} {' '.join(addresses)}".rstrip())
    return lines


def descriptions(switch: JunosSwitch, _: Mapping[str, str], __: float) -> list[str]:
    """The ports that have a description."""
    lines = ["Interface       Admin Link Description"]
    for name in sorted(switch.ports, key=natural):
        text = value(switch.running, ("interfaces", name), "description")
        state = "up" if _state(switch, name)[0] == "Enabled" else "down"
        lines += [f"{name:<15} {state:<5} {state:<4} {text}"] if text else []
    return lines


def vlans(switch: JunosSwitch, values_: Mapping[str, str], _: float) -> list[str]:
    """VLANs with their member units; a star marks a unit that is up."""
    lines = ["", "Routing instance        VLAN name             Tag          Interfaces"]
    wanted = values_.get("vlan")
    if wanted and wanted not in switch.vlans().values() and wanted not in map(str, switch.vlans()):
        return [f"error: vlan {wanted} not found"]
    for number, name in switch.vlans().items():
        if wanted not in (None, name, str(number)):
            continue
        lines.append(f"default-switch          {name:<21} {number:<12}")
        ports = [port for port in sorted(switch.ports, key=natural) if number in switch.carries(port)]
        lines += [f"{'':<59}{port}.0{'' if switch.is_disabled(port) else '*'}" for port in ports]
    return lines


def mac_table(switch: JunosSwitch, values_: Mapping[str, str], _: float) -> list[str]:
    """Learned addresses, all or those of one unit or VLAN."""
    names = switch.vlans()
    port = values_.get("name", "").removesuffix(".0")
    rows = sorted(
        (names.get(vlan, str(vlan)), mac, place)
        for (vlan, mac), place in switch.macs.items()
        if port in ("", place) and values_.get("vlan") in (None, names.get(vlan)) and values_.get("mac") in (None, mac)
    )
    return [
        "",
        "MAC flags (S - static MAC, D - dynamic MAC, L - locally learned, P - Persistent static",
        "           SE - statistics enabled, NM - non configured MAC, R - remote PE MAC, O - ovsdb MAC)",
        "",
        "",
        f"Ethernet switching table : {len(rows)} entries, {len(rows)} learned",
        "Routing instance : default-switch",
        "   Vlan                MAC                 MAC         Age    Logical                NH        RTR",
        "   name                address             flags              interface              Index     ID",
        *[f"   {vlan:<19} {mac:<19} D             -   {f'{place}.0':<22} 0         0" for vlan, mac, place in rows],
    ]


def arp(switch: JunosSwitch, _: Mapping[str, str], __: float) -> list[str]:
    """The IPv4 neighbours of the switch's own VLAN interfaces."""
    lines = ["MAC Address       Address         Interface         Flags"]
    for address, (mac, vlan) in sorted(switch.arps.items(), key=lambda item: natural(item[0])):
        lines.append(f"{mac:<17} {address:<15} {f'irb.{vlan}':<17} none")
    return [*lines, f"Total entries: {len(switch.arps)}"]


def firewall(switch: JunosSwitch, values_: Mapping[str, str], _: float) -> list[str]:
    """Counters and policers of the filters that are in use, all or one."""
    lines: list[str] = []
    wanted = values_.get("filter")
    found = [step for step in _filters(switch) if wanted in (None, step)]
    if wanted and not found:
        return [f"error: filter {wanted} not found"]
    for name in found:
        lines += ["", f"Filter: {name:<63}"]
        for title, kind, tallies in (("Counters:", "count", switch.counts), ("Policers:", "policer", switch.policed)):
            rows = _named(switch, name, kind, tallies)
            if rows:
                lines += [title, f"{'Name':<36}{'Bytes':>21}{'Packets':>21}"]
                lines += [f"{one:<36}{tally.octets:>21}{tally.packets:>21}" for one, tally in rows]
    return lines


def _filters(switch: JunosSwitch) -> dict[str, str]:
    found = {}
    for family, body in (below(switch.running, ("firewall",)) or {}).items():
        for step in body:
            if step.startswith("filter "):
                found[step.removeprefix("filter ")] = family
    return dict(sorted(found.items()))


def _named(
    switch: JunosSwitch, name: str, kind: str, tallies: Mapping[tuple[str, str], Tally]
) -> list[tuple[str, Tally]]:
    body = below(switch.running, ("firewall", _filters(switch)[name], f"filter {name}")) or {}
    names: list[str] = []
    for rule in body.values():
        names += [step.partition(" ")[2] for step in rule.get("then", {}) if step.startswith(f"{kind} ")]
    return [(one, tallies.get((name, one), Tally())) for one in sorted(set(names))]
