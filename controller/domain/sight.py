"""What a device shows of the network around it: which port carries which VLAN, who was heard where, what is routed."""

from dataclasses import dataclass

from controller.domain.address import Address, Mac, Prefix


@dataclass(frozen=True, slots=True)
class Learned:
    """A MAC that a switch heard on an interface, in a VLAN."""

    mac: Mac
    vlan: int
    interface: str


@dataclass(frozen=True, slots=True)
class Route:
    """A route of a router; without `via` the prefix is connected to the interface."""

    prefix: Prefix
    interface: str
    via: Address | None = None


@dataclass(frozen=True, slots=True)
class Sight:
    """One device's view. What its platform cannot tell is empty. Interfaces in the spelling of the site file."""

    device: str
    carries: frozenset[tuple[str, int]] = frozenset()  # interface, VLAN
    trunks: frozenset[str] = frozenset()  # interfaces that carry every VLAN
    learned: frozenset[Learned] = frozenset()
    routes: frozenset[Route] = frozenset()
    secluded: frozenset[int] = frozenset()  # VLANs whose ports do not reach each other
