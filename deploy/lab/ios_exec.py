"""What user and privileged mode of a Catalyst take, what each `show` prints, and the output filters behind a bar.

Source: IOS configuration fundamentals command reference.
"""

import re
from collections.abc import Callable, Mapping

from deploy.lab import ios_show, ios_show_config
from deploy.lab.ios_grammar import Grammar, Incomplete, Invalid, Rejected
from deploy.lab.ios_switch import Switch

Show = Callable[[Switch, Mapping[str, str], float], list[str]]

_USER = [
    ("show version", "show version"),
    ("show clock", "show clock"),
    ("show vlan brief", "show vlan brief"),
    ("show vlan", "show vlan brief"),
    ("show vlan id <id:1-4094>", "show vlan id"),
    ("show interfaces [<name:interface>]", "show interfaces"),
    ("show interfaces [<name:interface>] status", "show status"),
    ("show interfaces [<name:interface>] switchport", "show switchport"),
    ("show interfaces [<name:interface>] counters", "show counters"),
    ("show interfaces description", "show description"),
    ("show mac address-table", "show mac"),
    ("show mac address-table interface <name:interface> [vlan <vlan:1-4094>]", "show mac"),
    ("show mac address-table address <mac:mac>", "show mac"),
    ("show mac address-table vlan <vlan:1-4094>", "show mac"),
    ("show mac address-table dynamic [interface <name:interface>] [vlan <vlan:1-4094>]", "show mac dynamic"),
    ("show mac address-table dynamic address <mac:mac>", "show mac dynamic"),
    ("show ip arp [<ip:ip>]", "show arp"),
    ("show ip interface brief", "show brief"),
    ("show arp", "show arp"),
    ("show storm-control [<name:interface>]", "show storm"),
    ("terminal length <lines:0-512>", "length"),
    ("terminal width <columns:0-512>", "nothing"),
    ("enable", "enable"),
    ("exit", "leave"),
    ("logout", "leave"),
]
_PRIVILEGED = [
    *_USER,
    ("show access-lists [<acl>]", "show lists"),
    ("show ip access-lists [<acl>]", "show ip lists"),
    ("show ipv6 access-list [<acl>]", "show ipv6 lists"),
    ("show policy-map [<policy>]", "show policy"),
    ("show policy-map interface [<name:interface>] [input]", "show policy interface"),
    ("show running-config", "show running"),
    ("show running-config interface <name:interface>", "show running interface"),
    ("show startup-config", "show startup"),
    ("show archive", "show archive"),
    ("archive config", "archive"),
    ("configure", "ask source"),
    ("configure terminal", "configure"),
    ("configure terminal revert timer <minutes:1-120>", "configure revert"),
    ("configure confirm", "confirm"),
    ("configure revert now", "revert now"),
    ("configure revert timer <minutes:1-120>", "revert timer"),
    ("configure replace <file> [force]", "replace"),
    ("write [memory]", "write"),
    ("copy running-config startup-config", "ask copy"),
    ("copy running-config <file>", "ask file"),
    ("reload", "reload"),
    ("disable", "disable"),
    ("terminal monitor", "nothing"),
    ("terminal no monitor", "nothing"),
]
MODES = {
    "exec": Grammar(_USER),
    "enable": Grammar(_PRIVILEGED),
    "enable-classic": Grammar([*_PRIVILEGED, ("show mls qos", "show mls qos")]),
}
SHOW: dict[str, Show] = {
    "show version": ios_show_config.version,
    "show clock": ios_show_config.clock,
    "show vlan brief": ios_show.vlan_brief,
    "show vlan id": ios_show.vlan_id,
    "show interfaces": ios_show.interfaces,
    "show status": ios_show.status,
    "show switchport": ios_show.switchport,
    "show counters": ios_show.counters,
    "show description": ios_show.description,
    "show mac": ios_show.mac_table,
    "show mac dynamic": ios_show.mac_dynamic,
    "show arp": ios_show.arp,
    "show brief": ios_show.ip_brief,
    "show storm": ios_show.storm_control,
    "show lists": ios_show_config.access_lists,
    "show ip lists": ios_show_config.ip_access_lists,
    "show ipv6 lists": ios_show_config.ipv6_access_lists,
    "show policy": ios_show_config.policy_map,
    "show policy interface": ios_show_config.policy_interface,
    "show running": ios_show_config.running,
    "show running interface": ios_show_config.running_interface,
    "show startup": ios_show_config.startup,
    "show archive": ios_show_config.archive,
    "show mls qos": ios_show_config.mls_qos,
}
_FILTERS = ("begin", "count", "exclude", "include", "section")


def filtered(lines: list[str], rest: str, column: int) -> list[str]:
    """What `| begin|count|exclude|include|section PATTERN` leaves; `rest` is the text behind the bar."""
    words = rest.split(maxsplit=1)
    if not words:
        raise Incomplete
    fitting = [name for name in _FILTERS if name.startswith(words[0].lower())]
    if len(fitting) != 1:
        raise Invalid(column + len(rest) - len(rest.lstrip()))
    if len(words) == 1:
        raise Incomplete
    try:
        wanted = re.compile(words[1].strip())
    except re.error as error:
        raise Rejected("% Failed to compile regular expression.\n") from error
    if fitting[0] == "begin":
        first = next((at for at, line in enumerate(lines) if wanted.search(line)), len(lines))
        return lines[first:]
    if fitting[0] == "count":
        return [f"Number of lines which match regexp = {sum(bool(wanted.search(line)) for line in lines)}"]
    if fitting[0] == "section":
        return _section(lines, wanted)
    return [line for line in lines if bool(wanted.search(line)) == (fitting[0] == "include")]


def _section(lines: list[str], wanted: re.Pattern[str]) -> list[str]:
    kept: list[str] = []
    depth: int | None = None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if depth is not None and indent > depth:
            kept.append(line)
            continue
        depth = indent if wanted.search(line) else None
        if depth is not None:
            kept.append(line)
    return kept
