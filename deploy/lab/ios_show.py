"""What a Catalyst prints of its ports: VLANs, states, counters, MAC and ARP tables, built from the switch's state.

Layouts as in the IOS/IOS XE command references and in recorded sessions of Catalyst 2960-X, 3750 and 9300.
"""

from collections.abc import Mapping

from deploy.lab.counters import Counters
from deploy.lab.ios_grammar import mac_dotted, short_interface
from deploy.lab.ios_switch import Switch
from deploy.lab.ios_tree import natural

_OLD_VLANS = ((1002, "fddi-default"), (1003, "token-ring-default"), (1004, "fddinet-default"), (1005, "trnet-default"))


def vlan_brief(switch: Switch, values: Mapping[str, str], _: float) -> list[str]:
    """VLANs with the access ports in each; trunks are in none."""
    lines = [
        "",
        "VLAN Name                             Status    Ports",
        "---- -------------------------------- --------- -------------------------------",
    ]
    wanted = values.get("id") or values.get("vlan")
    for number, name in switch.vlans().items():
        if wanted and int(wanted) != number:
            continue
        ports = [short_interface(port) for port in sorted(switch.ports, key=natural) if _shown_in(switch, port, number)]
        if wanted:
            ports = [
                short_interface(port) for port in sorted(switch.ports, key=natural) if _carries(switch, port, number)
            ]
        rows = [", ".join(ports[at : at + 4]) for at in range(0, len(ports), 4)] or [""]
        status = "active" if switch.vlan_active(number) else "act/lshut"
        if switch.running.value((f"vlan {number}",), "state") == "suspend":
            status = "suspended"
        lines.append(f"{number:<4} {name:<32} {status:<9} {rows[0]}".rstrip())
        lines += [f"{'':<48}{row}" for row in rows[1:]]
    if not wanted:
        lines += [f"{number:<4} {name:<32} act/unsup" for number, name in _OLD_VLANS]
    return lines


def vlan_id(switch: Switch, values: Mapping[str, str], now: float) -> list[str]:
    """One VLAN; the device's sentence where it does not exist."""
    number = int(values["id"])
    if number not in switch.vlans():
        return [f"VLAN id {number} not found in current VLAN database"]
    table = vlan_brief(switch, values, now)
    return [
        *table,
        "",
        "VLAN Type  SAID       MTU   Parent RingNo BridgeNo Stp  BrdgMode Trans1 Trans2",
        "---- ----- ---------- ----- ------ ------ -------- ---- -------- ------ ------",
        f"{number:<4} enet  {100000 + number:<10} 1500  -      -      -        -    -        0      0",
        "",
    ]


def _shown_in(switch: Switch, port: str, vlan: int) -> bool:
    access = not (switch.is_trunk(port) or switch.is_routed(port) or switch.is_member(port))
    return access and switch.access_vlan(port) == vlan


def _carries(switch: Switch, port: str, vlan: int) -> bool:
    return _shown_in(switch, port, vlan) or (switch.is_trunk(port) and not switch.is_shut(port))


def interfaces(switch: Switch, values: Mapping[str, str], now: float) -> list[str]:
    """State and counters of all ports or of one."""
    names = [values["name"]] if "name" in values else sorted(switch.ports, key=natural)
    return [line for name in names for line in _interface(switch, name, now)]


def _state(switch: Switch, name: str) -> tuple[str, str]:
    if name in switch.errdisabled:
        return "down, line protocol is down (err-disabled)", "err-disabled"
    if switch.is_shut(name):
        return "administratively down, line protocol is down (disabled)", "disabled"
    return "up, line protocol is up (connected)", "connected"


def _interface(switch: Switch, name: str, now: float) -> list[str]:
    speed = switch.megabits(name)
    mac = mac_dotted(switch.mac_of(name))
    count = switch.counters.get(name, Counters())
    description = switch.running.value(switch.interface(name), "description")
    kind = {100: "Fast Ethernet", 1_000: "Gigabit Ethernet"}.get(speed, "Ten Gigabit Ethernet")
    state = _state(switch, name)[0] + (" " if name in switch.ports else "")
    lines = [f"{name} is {state if name in switch.ports else state.rpartition(' (')[0]}"]
    lines += [f"  Hardware is {kind if name in switch.ports else 'Ethernet SVI'}, address is {mac} (bia {mac})"]
    lines += [f"  Description: {description}"] if description else []
    seen = count.last_in
    bits, packets = (int(rate) for rate in count.rates)
    return [
        *lines,
        f"  MTU 1500 bytes, BW {speed * 1000} Kbit/sec, DLY 10 usec, ",
        "     reliability 255/255, txload 1/255, rxload 1/255",
        "  Encapsulation ARPA, loopback not set",
        "  Keepalive set (10 sec)",
        f"  Full-duplex, {speed}Mb/s, media type is 10/100/1000BaseTX",
        "  input flow-control is off, output flow-control is unsupported ",
        "  ARP type: ARPA, ARP Timeout 04:00:00",
        f"  Last input {_ago(now - seen) if seen is not None else 'never'}, output 00:00:00, output hang never",
        '  Last clearing of "show interface" counters never',
        "  Input queue: 0/2000/0/0 (size/max/drops/flushes); Total output drops: 0",
        "  Queueing strategy: fifo",
        "  Output queue: 0/40 (size/max)",
        f"  5 minute input rate {bits} bits/sec, {packets} packets/sec",
        "  5 minute output rate 0 bits/sec, 0 packets/sec",
        f"     {count.packets_in} packets input, {count.octets_in} bytes, 0 no buffer",
        "     Received 0 broadcasts (0 multicasts)",
        "     0 runts, 0 giants, 0 throttles ",
        "     0 input errors, 0 CRC, 0 frame, 0 overrun, 0 ignored",
        "     0 watchdog, 0 multicast, 0 pause input",
        "     0 input packets with dribble condition detected",
        f"     {count.packets_out} packets output, {count.octets_out} bytes, 0 underruns",
        "     0 output errors, 0 collisions, 1 interface resets",
        "     0 unknown protocol drops",
        "     0 babbles, 0 late collision, 0 deferred",
        "     0 lost carrier, 0 no carrier, 0 pause output",
        "     0 output buffer failures, 0 output buffers swapped out",
    ]


def status(switch: Switch, values: Mapping[str, str], _: float) -> list[str]:
    """One line a port: name, state, VLAN, duplex, speed, medium."""
    lines = ["", "Port         Name               Status       Vlan       Duplex  Speed Type"]
    for name in [values["name"]] if "name" in values else sorted(switch.ports, key=natural):
        vlan = (
            "trunk" if switch.is_trunk(name) else "routed" if switch.is_routed(name) else str(switch.access_vlan(name))
        )
        title = switch.running.value(switch.interface(name), "description")[:18]
        duplex, speed = ("auto", "auto") if switch.is_shut(name) else ("a-full", f"a-{switch.megabits(name)}")
        state = _state(switch, name)[1]
        lines.append(
            f"{short_interface(name):<12} {title:<18} {state:<12} {vlan:<10} {duplex:>6} {speed:>6} 10/100/1000BaseTX"
        )
    return lines


def description(switch: Switch, _: Mapping[str, str], __: float) -> list[str]:
    """Administrative state, protocol state and description of each port."""
    lines = ["Interface                      Status         Protocol Description"]
    for name in sorted(switch.ports, key=natural):
        shut = switch.running.has(switch.interface(name), "shutdown")
        title = switch.running.value(switch.interface(name), "description")
        state, protocol = ("admin down", "down") if shut else ("up", "up")
        lines.append(f"{short_interface(name):<30} {state:<14} {protocol:<8} {title}")
    return lines


def switchport(switch: Switch, values: Mapping[str, str], _: float) -> list[str]:
    """Layer 2 settings of all ports or of one."""
    lines: list[str] = []
    for name in [values["name"]] if "name" in values else sorted(switch.ports, key=natural):
        path, tree = switch.interface(name), switch.running
        if switch.is_routed(name):
            lines += [f"Name: {short_interface(name)}", "Switchport: Disabled", ""]
            continue
        admin = tree.value(path, "switchport mode") or "dynamic auto"
        mode = {"access": "static access", "trunk": "trunk"}.get(admin, admin)
        now = "down" if switch.is_shut(name) else "trunk" if admin == "trunk" else "static access"
        names, access, native = switch.vlans(), switch.access_vlan(name), switch.native_vlan(name)
        allowed = tree.value(path, "switchport trunk allowed vlan") or "all"
        lines += [
            f"Name: {short_interface(name)}",
            "Switchport: Enabled",
            f"Administrative Mode: {mode}",
            f"Operational Mode: {now}{_bundle(switch, name)}",
            "Administrative Trunking Encapsulation: dot1q",
            *(
                []
                if now == "down"
                else [f"Operational Trunking Encapsulation: {'dot1q' if now == 'trunk' else 'native'}"]
            ),
            f"Negotiation of Trunking: {'Off' if admin == 'access' else 'On'}",
            f"Access Mode VLAN: {access} ({names.get(access, 'Inactive')})",
            f"Trunking Native Mode VLAN: {native} ({names.get(native, 'Inactive')})",
            "Administrative Native VLAN tagging: enabled",
            "Voice VLAN: none",
            "Administrative private-vlan host-association: none ",
            "Administrative private-vlan mapping: none ",
            "Operational private-vlan: none",
            f"Trunking VLANs Enabled: {allowed.upper() if allowed in ('all', 'none') else allowed}",
            "Pruning VLANs Enabled: 2-1001",
            "Capture Mode Disabled",
            "Capture VLANs Allowed: ALL",
            "",
            f"Protected: {'true' if tree.has(path, 'switchport protected') else 'false'}",
            f"Unknown unicast blocked: {'enabled' if tree.has(path, 'switchport block unicast') else 'disabled'}",
            f"Unknown multicast blocked: {'enabled' if tree.has(path, 'switchport block multicast') else 'disabled'}",
            "Appliance trust: none",
            "",
        ]
    return lines


def _bundle(switch: Switch, name: str) -> str:
    group = switch.running.value(switch.interface(name), "channel-group")
    return f" (member of bundle Po{group.split()[0]})" if group else ""


def counters(switch: Switch, values: Mapping[str, str], _: float) -> list[str]:
    """Octets and unicast packets, inward and outward."""
    names = [values["name"]] if "name" in values else sorted(switch.ports, key=natural)
    lines: list[str] = []
    for way in ("In", "Out"):
        lines += [
            "",
            f"Port {f'{way}Octets':>19} {f'{way}UcastPkts':>15} {f'{way}McastPkts':>15} {f'{way}BcastPkts':>15}",
        ]
        for name in names:
            count = switch.counters[name]
            octets, packets = (
                (count.octets_in, count.packets_in) if way == "In" else (count.octets_out, count.packets_out)
            )
            lines.append(f"{short_interface(name):<8} {octets:>15} {packets:>15} {0:>15} {0:>15}")
    return lines


def mac_table(switch: Switch, values: Mapping[str, str], _: float) -> list[str]:
    """Learned and static addresses, all or those of a port, an address or a VLAN."""
    lines = [
        "          Mac Address Table",
        "-------------------------------------------",
        "",
        "Vlan    Mac Address       Type        Ports",
        "----    -----------       --------    -----",
    ]
    rows = []
    for slot in switch.running.names("mac address-table static"):
        fields = slot.split()
        rows.append((int(fields[5]), fields[3], "STATIC", "Drop"))
    for (vlan, mac), port in switch.macs.items():
        rows.append((vlan, mac_dotted(mac), "DYNAMIC", short_interface(port)))
    name = short_interface(values["name"]) if "name" in values else None
    shown = [
        row
        for row in sorted(rows)
        if name in (None, row[3])
        and values.get("mac") in (None, row[1])
        and values.get("vlan") in (None, str(row[0]))
        and not ("dynamic" in values and row[2] != "DYNAMIC")
    ]
    lines += [f"{vlan:>4}    {mac}    {kind:<8}    {port}" for vlan, mac, kind, port in shown]
    return [*lines, f"Total Mac Addresses for this criterion: {len(shown)}"]


def mac_dynamic(switch: Switch, values: Mapping[str, str], now: float) -> list[str]:
    """The learned addresses only."""
    return mac_table(switch, {**values, "dynamic": "dynamic"}, now)


def arp(switch: Switch, values: Mapping[str, str], now: float) -> list[str]:
    """The IPv4 neighbours that the switch's own VLAN interfaces know."""
    lines = ["Protocol  Address          Age (min)  Hardware Addr   Type   Interface"]
    start = switch.booted if switch.booted is not None else now
    for address, (mac, vlan, seen) in sorted(switch.arps.items(), key=lambda item: natural(item[0])):
        if values.get("ip") not in (None, address):
            continue
        age = int((now - (seen if seen is not None else start)) // 60)
        lines.append(f"Internet  {address:<15} {age:>10}   {mac_dotted(mac)}  ARPA   Vlan{vlan}")
    return lines if len(lines) > 1 or "ip" not in values else []


def ip_brief(switch: Switch, _: Mapping[str, str], __: float) -> list[str]:
    """Address and state of every interface, one a line."""
    lines = ["Interface              IP-Address      OK? Method Status                Protocol"]
    for slot in switch.running.names("interface "):
        name = slot.removeprefix("interface ")
        words = switch.running.value((slot,), "ip address").split()
        shut = switch.running.has((slot,), "shutdown")
        state, protocol = ("administratively down", "down") if shut else ("up", "up")
        address = words[0] if words else "unassigned"
        lines.append(f"{name:<22} {address:<15} YES {'manual' if words else 'unset':<6} {state:<21} {protocol:<8}")
    return lines


def storm_control(switch: Switch, values: Mapping[str, str], _: float) -> list[str]:
    """Thresholds of the ports that have one."""
    lines = [
        "Interface  Filter State   Upper        Lower        Current",
        "---------  -------------  -----------  -----------  ----------",
    ]
    for name in [values["name"]] if "name" in values else sorted(switch.ports, key=natural):
        for kind in ("unicast", "broadcast", "multicast"):
            level = switch.running.value(switch.interface(name), f"storm-control {kind} level")
            if level:
                words = level.split()
                upper = f"{words[-1]} {words[0]}" if words[0] in ("bps", "pps") else f"{words[0]}%"
                lines.append(f"{short_interface(name):<9}  Forwarding     {upper:>11}  {upper:>11}  {'0.00%':>10}")
    return lines


def _ago(seconds: float) -> str:
    whole = int(max(0.0, seconds))
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"
