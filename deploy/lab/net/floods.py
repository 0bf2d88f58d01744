"""What can be made to flood the lab, by name: whose frames, how many a second, and what they look like. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from types import MappingProxyType

from controller.domain.address import Mac
from deploy.lab.net.frames import EXPERIMENTAL, Way, ethernet, fragments, ip, payload, udp
from deploy.lab.net.plan import GATEWAY_MAC, Machine, Network
from deploy.lab.net.routing import WORLD_HOST, WORLD_HOST6

PPS = 6_700.0
"""As in the race with FastNetMon."""

FORGED_MAC, DEAD_MAC = Mac("02:00:5e:00:fe:01"), Mac("02:00:5e:00:fe:99")
ODD = 100
RANDOM_SOURCES = 2_048


@dataclass(frozen=True, slots=True)
class Flood:
    """One flood. `stamp` is the number in the mark of its frames, `origin` the machine that sends them in turn."""

    name: str
    origin: str
    stamp: int
    pps: float
    frames: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class _Kind:
    stamp: int
    origin: str  # who sends unless somebody else is named
    about: str
    build: Callable[[Network, Machine, int], list[bytes]]
    pps: float = PPS


def flood(plan: Network, name: str, *, origin: str = "", pps: float = 0.0) -> Flood:
    """A flood by its name. Raises KeyError for names of floods or machines that there are not."""
    kind = KINDS[name]
    sender = plan.by_name[origin or kind.origin]
    return Flood(name, sender.name, kind.stamp, pps or kind.pps, tuple(kind.build(plan, sender, kind.stamp)))


def about() -> Mapping[str, str]:
    """What each flood is."""
    return {name: kind.about for name, kind in KINDS.items()}


def _out(sender: Machine, *, src: IPv4Address | None = None, mac: Mac | None = None) -> Way:
    """The way to a host in the world, under the sender's own address or another's."""
    return Way(mac or sender.mac, GATEWAY_MAC, src or sender.ipv4, WORLD_HOST)


def _saturation(plan: Network, sender: Machine, stamp: int) -> list[bytes]:
    return [udp(_out(sender), payload(stamp, 470))]


def _saturation6(plan: Network, sender: Machine, stamp: int) -> list[bytes]:
    return [udp(Way(sender.mac, GATEWAY_MAC, sender.ipv6, WORLD_HOST6), payload(stamp, 450))]


def _fragments(plan: Network, sender: Machine, stamp: int) -> list[bytes]:
    """Small pieces that never become a whole, and now and then a packet of a protocol that there is not.

    Those have a stamp of their own.
    """
    pieces = [
        piece
        for identity in range(1, 65)
        for piece in fragments(_out(sender), stamp, identity=identity, pieces=6, octets=40)
    ]
    return [*pieces, *(ip(_out(sender), 253, payload(stamp + ODD, 40)) for _ in range(32))]


def _random(plan: Network, sender: Machine, stamp: int) -> list[bytes]:
    """Sources spread over all of IPv4, the same ones each time."""
    spread = (IPv4Address((0x0B00_0001 + number * 0x0012_3457) & 0xFFFF_FFFF) for number in range(1, RANDOM_SOURCES))
    usable = (one for one in spread if one.is_global)
    return [udp(_out(sender, src=one), payload(stamp, 120)) for one in usable]


def _as(owner: str) -> Callable[[Network, Machine, int], list[bytes]]:
    def build(plan: Network, sender: Machine, stamp: int) -> list[bytes]:
        return [udp(_out(sender, src=plan.by_name[owner].ipv4), payload(stamp, 120))]

    return build


def _as_neighbour(plan: Network, sender: Machine, stamp: int) -> list[bytes]:
    return [udp(_out(sender, src=neighbour(plan, sender).ipv4), payload(stamp, 120))]


def neighbour(plan: Network, machine: Machine) -> Machine:
    """The next machine on the same switch port, after the last the first."""
    there = [one for one in plan.machines if one.port == machine.port]
    return there[(there.index(machine) + 1) % len(there)]


def _forged_mac(plan: Network, sender: Machine, stamp: int) -> list[bytes]:
    return [udp(_out(sender, mac=FORGED_MAC), payload(stamp, 120))]


def _not_ip(plan: Network, sender: Machine, stamp: int) -> list[bytes]:
    return [ethernet(sender.mac, GATEWAY_MAC, EXPERIMENTAL, payload(stamp, 100))]


def _east_west(plan: Network, sender: Machine, stamp: int) -> list[bytes]:
    victim = plan.by_name["d3" if sender.name != "d3" else "d1"]
    return [udp(Way(sender.mac, GATEWAY_MAC, sender.ipv4, victim.ipv4), payload(stamp, 470))]


def _large(plan: Network, sender: Machine, stamp: int) -> list[bytes]:
    return [udp(_out(sender), payload(stamp, 1_400))]


def _dead_mac(plan: Network, sender: Machine, stamp: int) -> list[bytes]:
    way = Way(sender.mac, DEAD_MAC, sender.ipv4, plan.segment[sender.segment].ipv4[250])
    return [udp(way, payload(stamp, 120))]


KINDS: Mapping[str, _Kind] = MappingProxyType(
    {
        "saturation": _Kind(1, "c2", "scenario 1: a container sends as fast as it can", _saturation),
        "saturation6": _Kind(2, "c2", "the same over IPv6", _saturation6),
        "fragments": _Kind(3, "s2", "scenario 2: fragments and odd packets through the firewall", _fragments, 5_000.0),
        "forged-a": _Kind(4, "c3", "scenario 9a: random sources", _random),
        "forged-b": _Kind(5, "c3", "scenario 9b: as its neighbour on the same port", _as_neighbour),
        "forged-c": _Kind(6, "c3", "scenario 9c: as a customer on another switch", _as("d3")),
        "forged-d": _Kind(7, "c3", "scenario 9d: as the DNS server", _as("dns1")),
        "forged-e": _Kind(8, "c3", "scenario 9e: under a MAC that nobody has", _forged_mac),
        "forged-f": _Kind(9, "c3", "scenario 9f: frames that are not IP", _not_ip),
        "east-west": _Kind(10, "d1", "from inside to inside", _east_west),
        "low-rate": _Kind(11, "d2", "below every fixed limit, far above what it usually sends", _large, 1_500.0),
        "dead-mac": _Kind(12, "d1", "to a MAC that nobody has: switches flood it", _dead_mac),
    }
)
