"""What clish shows of a gateway.

Layouts as in the Check Point R81 Gaia administration guide and in recorded sessions (Gaia R80.40).
"""

from collections.abc import Callable, Mapping
from ipaddress import ip_network
from types import MappingProxyType

from deploy.lab.gaia_gateway import Gateway
from deploy.lab.gaia_programs import VERSION
from deploy.lab.shell import Shell

Values = Mapping[str, str]


def _version(_: Gateway, __: Values, ___: float) -> list[str]:
    return [
        f"Product version Check Point Gaia {VERSION}",
        "OS build 335",
        "OS kernel version 3.10.0-957.21.3cpx86_64",
        "OS edition 64-bit",
    ]


def _hostname(gateway: Gateway, _: Values, __: float) -> list[str]:
    return [gateway.machine.hostname]


def _interfaces(gateway: Gateway, _: Values, __: float) -> list[str]:
    return list(gateway.links)


def _interfaces_all(gateway: Gateway, _: Values, __: float) -> list[str]:
    lines: list[str] = []
    for name in gateway.links:
        state, counts = _interface(gateway, name)
        lines += [f"Interface {name}", *(f"    {row}".rstrip() for row in state), "", "Statistics:"]
        lines += [*(f"    {row}" for row in counts), "", ""]
    return lines


def _one_interface(gateway: Gateway, values: Values, _: float) -> list[str]:
    state, counts = _interface(gateway, values["name"])
    return [*state, "", "Statistics:", *counts]


def _interface(gateway: Gateway, name: str) -> tuple[list[str], list[str]]:
    link = gateway.links[name]
    comments = gateway.settings.lines.get(f"interface {name} comments", "").partition('"')[2].rstrip('"')
    four = next((one for one in link.addresses if ":" not in one), "Not Configured")
    six = next((one for one in link.addresses if ":" in one), "Not Configured")
    state = [
        f"state {'on' if link.up else 'off'}",
        f"mac-addr {link.mac}",
        f"type {'loopback' if link.loopback else 'ethernet'}",
        f"link-state link {'up' if link.up else 'down'}",
        "mtu 1500",
        "auto-negotiation on",
        "speed 1000M",
        "ipv6-autoconfig Not configured",
        "duplex full",
        "monitor-mode Not configured",
        "link-speed Not configured",
        f"comments {comments}".rstrip(),
        f"ipv4-address {four}",
        f"ipv6-address {six}",
        "ipv6-local-link-address Not Configured",
    ]
    counts = [
        f"TX bytes:{link.tx_bytes} packets:{link.tx_packets} errors:0 dropped:0 overruns:0 carrier:0",
        f"RX bytes:{link.rx_bytes} packets:{link.rx_packets} errors:0 dropped:0 overruns:0 frame:0",
    ]
    return state, counts


def _routes(gateway: Gateway, _: Values, __: float) -> list[str]:
    lines = ["Codes: C - Connected, S - Static, R - RIP, B - BGP (D - Default),", ""]
    for target, via in gateway.static_routes():
        way = f"via {via}, {gateway.route(via) or 'eth0'}, cost 0, age 0" if "." in via else f"is {via}"
        lines.append(f"S         {target:<20} {way} ")
    for link in gateway.links.values():
        networks = [str(ip_network(one, strict=False)) for one in link.addresses if ":" not in one and link.up]
        lines += [f"C         {network:<20} is directly connected, {link.name}" for network in networks]
    return lines


def _arp(gateway: Gateway, _: Values, __: float) -> list[str]:
    found = [one for one in gateway.neighbours() if ":" not in one.address]
    head = ["Dynamic Arp Parameters", "", "IP Address                 Mac Address"]
    return head + [f"{one.address:<31} {one.mac.upper()}" for one in found]


def _configuration(gateway: Gateway, values: Values, _: float) -> list[str]:
    return [line for key, line in gateway.settings.lines.items() if key.startswith(values.get("feature", ""))]


def _config_state(gateway: Gateway, _: Values, __: float) -> list[str]:
    return ["saved" if gateway.saved == gateway.settings.lines else "unsaved"]


def _config_lock(gateway: Gateway, _: Values, __: float) -> list[str]:
    return ["off" if gateway.lock is None else f"on, owned by {gateway.owner}"]


def _cluster(gateway: Gateway, _: Values, now: float) -> list[str]:
    return Shell(gateway.machine, "root").line("cphaprob state", now=now).text.splitlines()


def _uptime(gateway: Gateway, _: Values, now: float) -> list[str]:
    return Shell(gateway.machine, "root").line("uptime", now=now).text.splitlines()


SHOW: Mapping[str, Callable[[Gateway, Values, float], list[str]]] = MappingProxyType(
    {
        "version": _version,
        "hostname": _hostname,
        "interfaces": _interfaces,
        "interfaces all": _interfaces_all,
        "interface": _one_interface,
        "route": _routes,
        "arp": _arp,
        "configuration": _configuration,
        "config-state": _config_state,
        "config-lock": _config_lock,
        "cluster": _cluster,
        "uptime": _uptime,
    }
)
