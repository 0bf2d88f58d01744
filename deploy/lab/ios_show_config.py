"""What a Catalyst prints of its configuration and of itself: running configuration, lists, policies, version, clock.

Layouts as in the IOS/IOS XE command references and in recorded sessions of Catalyst 2960-X, 3750 and 9300.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from deploy.lab.ios_switch import Policed, Switch
from deploy.lab.ios_tree import natural, render


def running(switch: Switch, _: Mapping[str, str], __: float) -> list[str]:
    """The whole running configuration with separators and the closing `end`."""
    return ["Building configuration...", "", *_configuration(switch.running.ordered(), switch)]


def startup(switch: Switch, _: Mapping[str, str], __: float) -> list[str]:
    """The saved configuration."""
    lines = switch.startup.lines()
    return [f"Using {sum(len(line) + 1 for line in lines)} out of 2097152 bytes", "!", *lines, "end", ""]


def running_interface(switch: Switch, values: Mapping[str, str], _: float) -> list[str]:
    """One interface's section; nothing between the head and `end` where it has none."""
    slot = f"interface {values['name']}"
    return ["Building configuration...", "", *_configuration([slot] if switch.running.has((), slot) else [], switch)]


def _configuration(slots: list[str], switch: Switch) -> list[str]:
    lines: list[str] = []
    for slot in slots:
        lines += ["!", *render(switch.running.top[slot], 0)]
    size = sum(len(line) + 1 for line in lines)
    return [f"Current configuration : {size} bytes", *lines, "end" if len(slots) == 1 else "!\nend", ""]


def access_lists(switch: Switch, values: Mapping[str, str], _: float) -> list[str]:
    """Access lists with their numbers; port ACLs work in hardware and count no matches."""
    lines: list[str] = []
    starts = {
        "ip access-list standard": "Standard IP access list",
        "ip access-list extended": "Extended IP access list",
        "mac access-list extended": "Extended MAC access list",
        "ipv6 access-list": "IPv6 access list",
    }
    for start, title in starts.items():
        family = values.get("family")
        if family and not start.startswith(f"{family} "):
            continue
        for slot in switch.running.names(f"{start} "):
            name = slot.removeprefix(f"{start} ")
            if values.get("acl") not in (None, name):
                continue
            lines.append(f"{title} {name}")
            for number, entry in sorted(switch.running.top[slot].body.items(), key=lambda item: int(item[0])):
                lines += _listed(entry.line, number, start)
    return lines


def _listed(line: str, number: str, start: str) -> list[str]:
    if "remark " in line:
        return []
    if start == "ipv6 access-list":
        return [f"    {line.removeprefix(f'sequence {number} ')} sequence {number}"]
    return [f"    {line}"]


def ip_access_lists(switch: Switch, values: Mapping[str, str], now: float) -> list[str]:
    """IPv4 lists only."""
    return access_lists(switch, {**values, "family": "ip"}, now)


def ipv6_access_lists(switch: Switch, values: Mapping[str, str], now: float) -> list[str]:
    """IPv6 lists only."""
    return access_lists(switch, {**values, "family": "ipv6"}, now)


def policy_interface(switch: Switch, values: Mapping[str, str], _: float) -> list[str]:
    """The policy bound to a port with what its policer has let through and dropped; nothing where none is bound."""
    names = [values["name"]] if "name" in values else sorted(switch.ports, key=natural)
    lines: list[str] = []
    for name in names:
        policy = switch.running.value(switch.interface(name), "service-policy input")
        if not policy:
            continue
        lines += [f" {name} ", "", f"  Service-policy input: {policy}", ""]
        for slot, statement in switch.running.body((f"policy-map {policy}",)).items():
            title = slot.removeprefix("class ")
            count = switch.policed.get(name, Policed())
            total = count.conformed[0] + count.exceeded[0]
            how = "match-any" if title == "class-default" else "match-all"
            lines += [f"    Class-map: {title} ({how})  ", f"      {total} packets"]
            lines += ["      Match: any "] if title == "class-default" else _matched(switch, title)
            if "police" in statement.body:
                rate = next(word for word in statement.body["police"].line.split() if word.isdigit())
                lines += [
                    "      police:",
                    f"          cir {rate} bps, bc {max(1000, int(rate) // 32)} bytes",
                    f"        conformed {count.conformed[1]} bytes; actions:",
                    "          transmit ",
                    f"        exceeded {count.exceeded[1]} bytes; actions:",
                    "          drop ",
                ]
            lines.append("")
    return lines


def _matched(switch: Switch, title: str) -> list[str]:
    sections = (f"class-map match-all {title}", f"class-map match-any {title}")
    return [
        f"      Match: {slot.removeprefix('match ')}"
        for section in sections
        for slot in switch.running.body((section,))
    ]


def policy_map(switch: Switch, values: Mapping[str, str], _: float) -> list[str]:
    """The configured policies, all or one."""
    lines: list[str] = []
    for slot in switch.running.names("policy-map "):
        if values.get("policy") not in (None, slot.removeprefix("policy-map ")):
            continue
        lines.append(f"  Policy Map {slot.removeprefix('policy-map ')}")
        for name, statement in switch.running.top[slot].body.items():
            lines.append(f"    Class {name.removeprefix('class ')}")
            lines += [f"     {line}" for line in render(statement, 0)][1:]
    return lines


def version(switch: Switch, _: Mapping[str, str], now: float) -> list[str]:
    """Software, uptime and hardware."""
    host = switch.running.value((), "hostname")
    up = int(now - (switch.booted if switch.booted is not None else now)) // 60
    image = ("C2960X-UNIVERSALK9-M", "15.2(7)E8") if switch.classic else ("CAT9K_IOSXE", "17.3.5")
    title = "C2960X Software" if switch.classic else "Software [Amsterdam], Catalyst L3 Switch Software"
    return [
        f"Cisco IOS {title} ({image[0]}), Version {image[1]}, RELEASE SOFTWARE (fc1)",
        "Technical Support: http://www.cisco.com/techsupport",
        "",
        "ROM: Bootstrap program is emulated",
        f"{host} uptime is {up // 60} hours, {up % 60} minutes",
        "System returned to ROM by power-on",
        'System image file is "flash:packages.conf"',
        "",
        f"cisco {'WS-C2960X-48TS-L' if switch.classic else 'C9300-48T'} (X86) processor with 1300000K bytes of memory.",
        "Processor board ID EMU0000LAB1",
        f"{len(switch.ports)} Ethernet interfaces",
        "Configuration register is 0x102",
    ]


def clock(_: Switch, __: Mapping[str, str], now: float) -> list[str]:
    """Time of day as the device prints it."""
    moment = datetime.fromtimestamp(now, UTC)
    return [f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d} UTC {moment:%a %b} {moment.day} {moment.year}"]


def archive(switch: Switch, _: Mapping[str, str], __: float) -> list[str]:
    """Saved configurations; the device's sentence where the feature is not configured."""
    path = switch.running.value(("archive",), "path")
    if not path:
        return [" Archive feature not enabled"]
    names = [name for name in switch.files if name.startswith(path)]
    lines = [
        "The maximum archive configurations allowed is 10.",
        f"There are currently {len(names)} archive configurations saved.",
        f"The next archive file will be named {path}-{len(names) + 1}",
        " Archive #  Name",
    ]
    for number in range(1, 11):
        name = names[number - 1] if number <= len(names) else ""
        lines.append(f"   {number:<8} {name}{' <- Most Recent' if number == len(names) else ''}".rstrip())
    return lines


def mls_qos(switch: Switch, _: Mapping[str, str], __: float) -> list[str]:
    """Whether quality of service, and so policing, works at all on the classic platform."""
    enabled = switch.running.has((), "mls qos")
    return [f"QoS is {'enabled' if enabled else 'disabled'}", "QoS ip packet dscp rewrite is enabled"]
