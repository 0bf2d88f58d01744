"""What can be done against a subject, and what a device holds of it.

A fence says what shall be true in the network; its legs say on which device and in which slot. A slot is a place whose
configuration is read and set as one: an edge port, a guest's virtual interface, or a firewall's list of Cordon rules.
What a slot shall hold is the fold of the live fences' effects over its native state (`fold`): removing one fence
recomputes the rest and never restores a snapshot.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from controller.domain.address import Prefix, Vlan
from controller.domain.crossing import Separation
from controller.domain.verdict import TrafficClass


class FenceKind(StrEnum):
    """Kinds of fences, narrowest first."""

    FILTER_CLASS = "filter_class"
    BLOCK_ADDRESS = "block_address"
    CUT_GUEST = "cut_guest"
    THROTTLE = "throttle"
    QUARANTINE = "quarantine"
    SHUT = "shut"
    ISOLATE_SEGMENT = "isolate_segment"
    SEPARATE_SEGMENT = "separate_segment"  # for good: of what it sends and hears only the declared crossings pass


OF_SEGMENTS = frozenset({FenceKind.ISOLATE_SEGMENT, FenceKind.SEPARATE_SEGMENT})
"""Fences around a whole segment: people propose them, and two have to approve."""


ISOLATE_PORT = "isolate_port"
"""What `Network.holds` names beside fence kinds: the device can keep single ports apart from each other."""


class SlotKind(StrEnum):
    """What kind of place a slot is."""

    PORT = "port"
    GUEST = "guest"
    FIREWALL = "firewall"
    SEGMENT = "segment"  # what separates a segment, on its firewall


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """A place on a device, observed and set as one. `name` is the interface, the rule set `cordon`, or the segment."""

    device: str
    kind: SlotKind
    name: str

    def __str__(self) -> str:
        return f"{self.device}:{self.kind}:{self.name}"


class Action(StrEnum):
    """What an entry does with the packets that it matches."""

    DROP = "drop"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class Entry:
    """One rule that Cordon holds in a slot: a source (None: whoever sends there), a class of its traffic, an action.

    `segment` marks a rule that closes a whole segment in both directions, `source` being one of its prefixes.
    """

    action: Action
    source: Prefix | None
    traffic: TrafficClass = TrafficClass.ALL
    rate_bps: int | None = None  # with LIMIT
    segment: str = ""

    def sort_key(self) -> tuple[str, str, str, int, str]:
        """A stable order for rendering and comparing."""
        return (self.action, str(self.source or ""), self.traffic, self.rate_bps or 0, self.segment)


@dataclass(frozen=True, slots=True)
class SlotState:
    """What a slot holds or shall hold. None: the device was not asked, or the slot has no such attribute.

    `expires_s` is how long entries may stay on a device that can end them by itself; not part of a comparison.
    """

    vlan: Vlan | None = None
    enabled: bool | None = None
    rate_bps: int | None = None  # ingress limit of the whole slot; None means unlimited
    entries: frozenset[Entry] = frozenset()
    expires_s: int | None = field(default=None, compare=False)
    separation: Separation | None = None
    isolated: bool | None = None  # the port reaches no other port that is isolated too

    def differs(self, other: "SlotState") -> tuple[str, ...]:
        """Names of the attributes in which two states differ, in a fixed order."""
        names = ("vlan", "enabled", "rate_bps", "isolated", "entries", "separation")
        return tuple(name for name in names if getattr(self, name) != getattr(other, name))


@dataclass(frozen=True, slots=True)
class Held:
    """What `observe` read: a value per attribute, what stands there that is not ours, and the answers."""

    slot: Slot
    state: SlotState
    foreign: tuple[str, ...] = ()  # other people's configuration in the slot, in plain words; a fence there is refused
    vlans: frozenset[int] = frozenset()  # VLANs that exist and are active on the device, where it was asked
    members: int | None = None  # distinct MACs now learned on a port
    transcript: tuple[tuple[str, str], ...] = ()  # (question, answer)


@dataclass(frozen=True, slots=True)
class Change:
    """The lines that take a slot from `have` to `want`, and those that take it back. Empty lines: already so."""

    slot: Slot
    have: SlotState
    want: SlotState
    apply: tuple[str, ...]
    undo: tuple[str, ...]
    dialect: str = ""
    digest: str = ""  # of the dialect file

    @property
    def is_noop(self) -> bool:
        """True when the slot already holds what is wanted."""
        return not self.apply


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was sent to a device and what it answered, in order."""

    device: str
    exchanges: tuple[tuple[str, str], ...]
    pending_confirm_s: int = 0  # the device takes the change back by itself after so long unless `confirm` is called


@dataclass(frozen=True, slots=True)
class Effect:
    """What one leg of a fence wants of its slot; None leaves the attribute to the others."""

    vlan: Vlan | None = None
    enabled: bool | None = None
    rate_bps: int | None = None
    entries: frozenset[Entry] = frozenset()
    separation: Separation | None = None
    isolated: bool | None = None


@dataclass(frozen=True, slots=True)
class Leg:
    """One device's part in a fence."""

    slot: Slot
    effect: Effect


@dataclass(frozen=True, slots=True)
class Fence:
    """What shall be done: all legs or none, in order."""

    kind: FenceKind
    legs: tuple[Leg, ...]
    traffic: TrafficClass = TrafficClass.ALL
    collateral: tuple[str, ...] = ()  # tenants and services affected besides the offender
    why: str = ""

    @property
    def devices(self) -> tuple[str, ...]:
        """Devices touched, in the order of the legs."""
        return tuple(dict.fromkeys(leg.slot.device for leg in self.legs))


def fold(native: SlotState, effects: Iterable[Effect]) -> SlotState:
    """What a slot shall hold: native state with every live effect laid over it, whatever their order.

    A closed or isolated slot stays so while one fence wants it; of two limits the lower holds; of two VLANs the higher
    number holds, so that the result does not depend on who came first; entries add up; of two separations only what
    both let pass does.
    """
    state = native
    for effect in effects:
        if effect.enabled is False:
            state = replace(state, enabled=False)
        if effect.isolated is True:
            state = replace(state, isolated=True)
        if effect.rate_bps is not None:
            limit = effect.rate_bps if state.rate_bps is None else min(state.rate_bps, effect.rate_bps)
            state = replace(state, rate_bps=limit)
        if effect.vlan is not None:
            fenced = state.vlan is not None and state.vlan != native.vlan
            vlan = Vlan(max(state.vlan or 0, effect.vlan)) if fenced else effect.vlan
            state = replace(state, vlan=vlan)
        if effect.separation is not None:
            state = replace(state, separation=_both(state.separation, effect.separation))
        state = replace(state, entries=state.entries | effect.entries)
    return state


def _both(held: Separation | None, wanted: Separation) -> Separation:
    if held is None:
        return wanted
    return Separation(
        prefixes=held.prefixes | wanted.prefixes,
        passages=held.passages & wanted.passages,
        inside=held.inside | wanted.inside,
    )


@dataclass(frozen=True, slots=True)
class Counters:
    """A port's own totals, as the device counts them."""

    interface: str
    at_s: float  # seconds, monotonic within one controller
    octets_in: int
    packets_in: int
    macs: int | None = None
