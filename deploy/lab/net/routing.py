"""Addresses and routes of every place, as lines of ip(8), and the firewall's own rules."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from deploy.lab.net.plan import (
    FIREWALL_OUTSIDE,
    FIREWALL_OUTSIDE6,
    GATEWAY6,
    GATEWAY_MAC,
    HYPERVISOR,
    MANAGEMENT,
    OURS,
    ROUTED,
    TRANSIT6,
    WORLD,
    WORLD6,
    Machine,
    Network,
)

OOB, NOC_PORT = "oob", "noc"  # the management network's bridge, and this machine's port of it
ROUTERS = ("gw", "fw1")
WORLD_HOST, WORLD_HOST6 = WORLD[10], WORLD6[0x10]
WORLD_GATEWAY = WORLD[1]

QUIET: Mapping[str, int] = MappingProxyType(
    {
        "ipv6/conf/default/accept_dad": 0,  # an address may be used at once
        "ipv6/conf/all/accept_dad": 0,
        "ipv6/conf/all/accept_ra": 0,
        "ipv6/conf/default/router_solicitations": 0,
        "ipv4/conf/all/rp_filter": 0,
        "ipv4/conf/default/rp_filter": 0,
    }
)
ROUTING: Mapping[str, int] = MappingProxyType(
    {
        **QUIET,
        "ipv4/ip_forward": 1,
        "ipv6/conf/all/forwarding": 1,
        "ipv4/conf/all/send_redirects": 0,
        "ipv4/conf/default/send_redirects": 0,
    }
)
SWITCHING: Mapping[str, int] = MappingProxyType(
    {
        "ipv6/conf/all/disable_ipv6": 1,  # a switch has nothing to say on its ports
        "ipv6/conf/default/disable_ipv6": 1,
    }
)


def settings(plan: Network, place: str) -> Mapping[str, int]:
    """What a place's kernel is told, under /proc/sys/net."""
    if place in {OOB, HYPERVISOR, *(device.name for device in plan.switches)}:
        return SWITCHING
    return ROUTING if place in ROUTERS else QUIET


def lines(plan: Network, place: str) -> Iterator[str]:
    """What makes a place reachable. The cables lie already; every link comes up."""
    for device in plan.devices:
        if device.name == place:
            yield f"addr add {device.address}/{MANAGEMENT.prefixlen} dev oob"
    if place in plan.by_name:
        yield from _host(plan, plan.by_name[place])
    elif place == "gw":
        yield from _gateway(plan)
    elif place == "fw1":
        yield from _firewall(plan)
    elif place == "world":
        yield from (f"addr add {WORLD_HOST}/{WORLD.prefixlen} dev eth0", f"route add default via {WORLD_GATEWAY}")
        yield from (f"addr add {WORLD_HOST6}/64 dev eth0 nodad", f"route add default via {GATEWAY6} dev eth0")
    elif place == OOB:
        yield from (f"link add {OOB} type bridge", f"link set {OOB} up", f"link set {NOC_PORT} master {OOB}")
        yield from (f"link set {device.name} master {OOB}" for device in plan.devices)
    elif place == HYPERVISOR:
        yield from ("link add br0 type bridge ageing_time 30000", "link set br0 up", "link set eth0 master br0")
        yield from (f"link set {one.name} master br0" for one in plan.machines if one.hypervisor)


def _host(plan: Network, machine: Machine) -> Iterator[str]:
    """An address of its own, and the gateway for all else."""
    segment = plan.segment[machine.segment]
    yield from (f"addr add {machine.ipv4}/32 dev eth0", f"addr add {machine.ipv6}/128 dev eth0 nodad")
    if segment.name != "quarantine":
        yield from (f"route add {segment.gateway} dev eth0", f"route add default via {segment.gateway}")
        yield f"route add default via {GATEWAY6} dev eth0"
        return
    # Whoever comes into quarantine goes on sending to the gateway's MAC for as long as he remembers it.
    yield from (f"link add gateway link eth0 address {GATEWAY_MAC} type macvlan mode bridge", "link set gateway up")
    yield from (f"addr add {one.gateway}/32 dev gateway" for one in plan.segments if one.name != segment.name)
    yield f"addr add {GATEWAY6}/64 dev gateway nodad"
    for block in OURS:
        yield f"route add {block} dev eth0 src {machine.ipv4 if block.version == 4 else machine.ipv6}"


def _gateway(plan: Network) -> Iterator[str]:
    for name in ROUTED:
        segment = plan.segment[name]
        yield f"addr add {segment.gateway}/{segment.ipv4.prefixlen} dev {name}"
        yield f"addr add {GATEWAY6}/64 dev {name} nodad"
        yield f"route add {segment.ipv6} dev {name}"
    for segment in plan.segments:
        if segment.firewall:
            yield f"route add {segment.ipv4} via {FIREWALL_OUTSIDE}"
            yield f"route add {segment.ipv6} via {TRANSIT6[1]} dev core"
    yield from (f"addr add {WORLD_GATEWAY}/{WORLD.prefixlen} dev world", f"addr add {GATEWAY6}/64 dev world nodad")
    yield f"route add {WORLD6} dev world"


def _firewall(plan: Network) -> Iterator[str]:
    inner, outer = plan.segment["shared"], plan.segment["core"]
    yield f"addr add {inner.gateway}/{inner.ipv4.prefixlen} dev inside"
    yield from (f"addr add {GATEWAY6}/64 dev inside nodad", f"route add {inner.ipv6} dev inside")
    yield f"addr add {FIREWALL_OUTSIDE}/{outer.ipv4.prefixlen} dev outside"
    yield from (f"addr add {FIREWALL_OUTSIDE6}/128 dev outside nodad", f"addr add {TRANSIT6[1]}/64 dev outside nodad")
    yield from (f"route add default via {outer.gateway}", f"route add default via {TRANSIT6[0]} dev outside")


RULES = (
    "table inet provider {",
    "  chain forward {",
    "    type filter hook forward priority filter; policy accept;",
    "    ct state established,related accept",
    "    ct state invalid counter drop",
    "    iifname outside tcp dport { 22, 3306 } counter drop",
    "  }",
    "  chain input {",
    "    type filter hook input priority filter; policy accept;",
    "    iifname { inside, outside } tcp dport 22 counter drop",
    "  }",
    "}",
)
"""What the provider's firewall holds before anybody floods: it tracks connections, as firewalls do."""

FIREWALL_STATE = "nft --stateless list ruleset"
"""Asks for everything that Cordon could have changed on a firewall."""
