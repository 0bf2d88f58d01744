"""One test packet of every kind for every machine: whose forwarding a fence changed is seen by sending them again."""

from dataclasses import replace

from deploy.lab.control import Burst
from deploy.lab.device import Traffic
from deploy.lab.provider import WORLD, Machine, Provider
from deploy.lab.traffic import outbound

OUTSIDE = str(WORLD[2][253])
OUTSIDE6 = "2001:db8:f000::253"


def probes(provider: Provider) -> dict[str, tuple[Burst, ...]]:
    """Per machine: IPv4, a fragment, mail, ARP and IPv6 at its edge, and IPv4 at the firewall before it."""
    return {machine.name: _of(machine, provider) for machine in provider.machines}


def _of(machine: Machine, provider: Provider) -> tuple[Burst, ...]:
    flow = outbound(machine, provider, dst=OUTSIDE, packets=1, octets=64, seconds=0.25, protocol=6)
    plain = flow.packets
    kinds = [
        plain,
        replace(plain, protocol=17, src_port=0, dst_port=0, traffic=Traffic.FRAGMENT),
        replace(plain, dst_port=25),
        replace(plain, src="", dst="", protocol=0, src_port=0, dst_port=0, dst_mac="ff:ff:ff:ff:ff:ff"),
    ]
    if machine.ipv6:
        kinds.append(replace(plain, src=machine.ipv6, dst=OUTSIDE6))
    bursts = [Burst(flow.path, one) for one in kinds]
    if flow.firewall:
        bursts.append(Burst(((flow.firewall, "eth1"),), plain))
    return tuple(bursts)
