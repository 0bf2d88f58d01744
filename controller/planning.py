"""Which fences could stop a subject, the one that hurts fewest others first.

A candidate has enough force: it stops the traffic that the evidence speaks of, upstream of what suffers, on devices
whose dialect can hold it. Of these the least collateral wins, then the policy's order, then the place nearest the
source. A device that is itself a symptom is never relied on.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv6Network

from controller.domain.address import Port, Prefix, prefix_of
from controller.domain.estate import Estate, attachment_prefixes
from controller.domain.fence import ISOLATE_PORT, Action, Effect, Entry, Fence, FenceKind, Leg, Slot, SlotKind
from controller.domain.record import Attachment
from controller.domain.rulebook import Fences, Rulebook
from controller.domain.verdict import Evidence, Rates, TrafficClass, Witness
from controller.locating import interfaces_at

Holds = Callable[[str], frozenset[str]]
"""Fence kinds that a device's dialect can hold, by the device's name (ports.Network.holds)."""

SPOOFED = "spoofed_source"
FAINT = 0.01
"""Evidence whose force has faded to this says nothing any more."""
FIREWALL_SLOT = "cordon"
SERVICE = "service:"
"""What a name in a fence's collateral begins with when it is a service and not a tenant."""

COSTLY = frozenset({TrafficClass.FRAGMENTS, TrafficClass.MALFORMED, TrafficClass.ODD_PROTOCOL})
"""Classes that cost a firewall most: filtered before it where that can be."""

PORT_WIDE = frozenset({FenceKind.QUARANTINE, FenceKind.SHUT, FenceKind.THROTTLE})
"""Fences that take everybody behind a port along."""


@dataclass(frozen=True, slots=True)
class Need:
    """What the evidence asks of a fence."""

    classes: tuple[TrafficClass, ...] = ()  # dropping these would be enough; empty: all of the subject's traffic
    forged: bool = False  # the sources are not the sender's own: a rule by address misses them
    symptoms: frozenset[str] = frozenset()  # devices that suffer
    why: str = ""


def need_of(
    evidence: Iterable[Evidence], rates: Rates, explains: Iterable[str], estate: Estate, rules: Rulebook, *, now_ns: int
) -> Need:
    """Read from the evidence whether a class filter is enough, whether sources are forged, and which devices suffer.

    A class filter is enough when the classes with evidence of their own make up the policy's share of the packets
    (volume is then explained by them) and nothing speaks of a break-in: a broken-in host has to be cut off whole.
    """
    found = tuple(evidence)
    forces: dict[TrafficClass, float] = {}
    for one in found:
        if one.traffic is not TrafficClass.ALL and one.force_at(now_ns) > FAINT:
            forces[one.traffic] = max(forces.get(one.traffic, 0.0), one.force_at(now_ns))
    share = sum(_share(kind, rates) for kind in forces)
    enough = bool(forces) and share >= rules.fences.class_share and not any(one.compromise for one in found)
    classes = tuple(sorted(forces, key=lambda kind: (-forces[kind], kind))) if enough else ()
    words = " and ".join(kind.replace("_", " ") for kind in classes)
    return Need(
        classes=classes,
        forged=any(one.detector == SPOOFED for one in found),
        symptoms=_suffering(found, explains, estate),
        why=f"{words} are {min(share, 1.0):.0%} of its packets" if classes else "",
    )


def candidates(attachment: Attachment, need: Need, estate: Estate, rules: Rulebook, holds: Holds) -> tuple[Fence, ...]:
    """Fences with enough force, best first. Empty: no device upstream of what suffers can hold one."""
    fences = rules.fences
    makers = (_filters, _blocks, _cuts, _port_wide)
    made = [one for maker in makers for one in maker(attachment, need, estate, fences, holds)]
    return tuple(sorted(made, key=lambda fence: _harm(fence, fences)))


def _harm(fence: Fence, fences: Fences) -> tuple[int, int, int, int, int]:
    tenants = sum(1 for name in fence.collateral if not name.startswith(SERVICE))
    last_resort = 1 if tenants and fence.kind is not FenceKind.THROTTLE else 0
    near = {SlotKind.GUEST: 0, SlotKind.PORT: 1, SlotKind.FIREWALL: 2, SlotKind.SEGMENT: 3}
    place = max(near[leg.slot.kind] for leg in fence.legs)
    # A firewall drowns in fragments and broken packets before its rules see them: a rule on it relieves nobody.
    drowning = 1 if fence.traffic in COSTLY and place == near[SlotKind.FIREWALL] else 0
    return (tenants, last_resort, drowning, fences.preferred.index(fence.kind), place)


def _filters(attachment: Attachment, need: Need, estate: Estate, fences: Fences, holds: Holds) -> Iterator[Fence]:
    if not need.classes or FenceKind.FILTER_CLASS not in fences.preferred:
        return
    wanted = {f"{FenceKind.FILTER_CLASS}:{kind}" for kind in need.classes}
    yield from _by_rule(FenceKind.FILTER_CLASS, wanted, need.classes, attachment, need, estate, holds)


def _blocks(attachment: Attachment, need: Need, estate: Estate, fences: Fences, holds: Holds) -> Iterator[Fence]:
    if need.forged or FenceKind.BLOCK_ADDRESS not in fences.preferred:
        return
    yield from _by_rule(
        FenceKind.BLOCK_ADDRESS, {FenceKind.BLOCK_ADDRESS}, (TrafficClass.ALL,), attachment, need, estate, holds
    )


def _by_rule(
    kind: FenceKind,
    wanted: set[str],
    classes: tuple[TrafficClass, ...],
    attachment: Attachment,
    need: Need,
    estate: Estate,
    holds: Holds,
) -> Iterator[Fence]:
    """Fences made of entries, at each place where they can stand."""
    for slots in _places(attachment, estate):
        if not all(wanted <= holds(slot.device) and slot.device not in need.symptoms for slot in slots):
            continue
        sources = _sources(slots[0].kind, attachment, need, estate)
        if not sources:
            continue
        entries = frozenset(
            Entry(action=Action.DROP, source=source, traffic=traffic) for source in sources for traffic in classes
        )
        yield Fence(
            kind=kind,
            legs=tuple(Leg(slot, Effect(entries=entries)) for slot in slots),
            traffic=classes[0],
            why=need.why or f"drops what {attachment.host or 'the sender'} sends, and nothing of its neighbours",
        )


def _cuts(attachment: Attachment, need: Need, _: Estate, fences: Fences, holds: Holds) -> Iterator[Fence]:
    guest = attachment.guest
    if guest is None or FenceKind.CUT_GUEST not in fences.preferred:
        return
    if FenceKind.CUT_GUEST in holds(guest.device) and guest.device not in need.symptoms:
        slot = Slot(guest.device, SlotKind.GUEST, guest.interface)
        yield Fence(
            kind=FenceKind.CUT_GUEST,
            legs=(Leg(slot, Effect(enabled=False)),),
            why=f"link of {attachment.host} down at its hypervisor; its memory stays for forensics",
        )


def _port_wide(attachment: Attachment, need: Need, estate: Estate, fences: Fences, holds: Holds) -> Iterator[Fence]:
    slots = _port_slots(attachment.ports)
    if not slots or any(slot.device in need.symptoms for slot in slots):
        return
    storage = any(one.storage for port in attachment.ports for one in interfaces_at(port, estate))
    collateral = _tenants_beside(attachment, estate) + ((f"{SERVICE}storage",) if storage else ())
    effects: dict[FenceKind, Callable[[Slot], Effect | None]] = {
        FenceKind.QUARANTINE: lambda slot: _quarantine(slot, estate, fences, holds, storage=storage),
        FenceKind.SHUT: lambda _: Effect(enabled=False),
        FenceKind.THROTTLE: lambda _: None if storage else Effect(rate_bps=fences.throttle_bps),
    }
    for kind, effect_on in effects.items():
        if kind not in fences.preferred or not all(kind in holds(slot.device) for slot in slots):
            continue
        legs = tuple(Leg(slot, effect) for slot in slots if (effect := effect_on(slot)) is not None)
        if len(legs) == len(slots):
            yield Fence(kind=kind, legs=legs, collateral=collateral, why=_PORT_WORDS[kind])


_PORT_WORDS = {
    FenceKind.QUARANTINE: "its port moves to the quarantine VLAN, out of the way and still there for forensics",
    FenceKind.SHUT: "its port goes down",
    FenceKind.THROTTLE: "its port is limited, because nothing narrower can be held there",
}


def _quarantine(slot: Slot, estate: Estate, fences: Fences, holds: Holds, *, storage: bool) -> Effect | None:
    """Quarantine with its companions; None without a VLAN.

    A limit keeps the flood from drowning the trunk, and the port is kept apart from others in quarantine.
    """
    vlan = estate.devices[slot.device].quarantine_vlan
    if vlan is None:
        return None
    able = holds(slot.device)
    limited = FenceKind.THROTTLE in able and not storage
    return Effect(
        vlan=vlan,
        rate_bps=fences.throttle_bps if limited else None,
        isolated=True if ISOLATE_PORT in able else None,
    )


def _places(attachment: Attachment, estate: Estate) -> Iterator[tuple[Slot, ...]]:
    """Where rules can stand, nearest the source first: the guest's interface, the ports, the segment's firewall."""
    if attachment.guest is not None:
        yield (Slot(attachment.guest.device, SlotKind.GUEST, attachment.guest.interface),)
    if attachment.ports:
        yield _port_slots(attachment.ports)
    segment = estate.segments.get(attachment.segment)
    if segment is not None and segment.firewall:
        yield (Slot(segment.firewall, SlotKind.FIREWALL, FIREWALL_SLOT),)


def _sources(kind: SlotKind, attachment: Attachment, need: Need, estate: Estate) -> tuple[Prefix | None, ...]:
    """Sources that a rule in such a slot has to name; (None,): whoever sends there; (): no rule can tell them apart.

    IPv6 is blocked by /64, so a /64 that holds somebody else too, as far as the slot can see him, is no way to block.
    """
    alone = kind is SlotKind.GUEST or (kind is SlotKind.PORT and not attachment.shared)
    if alone:
        own = tuple(prefix_of(text) for text in attachment.addresses)
        return (None,) if need.forged or not own else own
    if need.forged or not attachment.addresses:
        return ()
    prefixes = tuple(prefix_of(text) for text in attachment.addresses)
    beside = attachment.neighbours if kind is SlotKind.PORT else tuple(estate.hosts)
    others = [estate.hosts[name] for name in beside if name != attachment.host and name in estate.hosts]
    wide = [prefix for prefix in prefixes if isinstance(prefix, IPv6Network)]
    if wide and any(
        _overlap(prefix, theirs) for other in others for theirs in attachment_prefixes(other) for prefix in wide
    ):
        return ()
    return prefixes


def _overlap(one: Prefix, other: Prefix) -> bool:
    return isinstance(one, IPv6Network) and isinstance(other, IPv6Network) and one.overlaps(other)


def _tenants_beside(attachment: Attachment, estate: Estate) -> tuple[str, ...]:
    tenants = {estate.hosts[name].tenant for name in attachment.neighbours if name in estate.hosts}
    return tuple(sorted(tenants - {attachment.tenant}))


def _port_slots(ports: tuple[Port, ...]) -> tuple[Slot, ...]:
    return tuple(Slot(port.device, SlotKind.PORT, port.interface) for port in ports)


def _share(kind: TrafficClass, rates: Rates) -> float:
    per_class = {
        TrafficClass.FRAGMENTS: rates.fragments,
        TrafficClass.MALFORMED: rates.malformed,
        TrafficClass.ODD_PROTOCOL: rates.odd_protocol,
    }
    return per_class.get(kind, 0.0) / rates.packets if rates.packets > 0 else 0.0


def _suffering(evidence: tuple[Evidence, ...], explains: Iterable[str], estate: Estate) -> frozenset[str]:
    """Devices named, by name or exporter address, as those that symptoms come from ("device: what it said")."""
    texts = [*(text.partition(": ")[0] for text in explains), *(str(one.facts.get("device", "")) for one in evidence)]
    texts += [one.source for one in evidence if one.witness is Witness.DEVICE]
    words = {word for text in texts for word in re.split(r"[^0-9A-Za-z_.:-]+", text)}
    words |= {word.rstrip(":.") for word in words}
    return frozenset(
        device.name for device in estate.devices.values() if device.name in words or str(device.exporter) in words
    )
