"""What a slot shall hold, holds and held: the pure part of carrying out.

Attributes that a person changed since Cordon last left a slot are that person's: they are neither set nor restored,
and they are named, so that somebody hears of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from controller.domain.fence import Change, Counters, Effect, Held, SlotState, fold
from controller.domain.rulebook import Corroboration
from controller.domain.verdict import Rates

ATTRIBUTES = ("vlan", "enabled", "rate_bps", "isolated", "separation")
EMPTY = frozenset({"rate_bps", "separation"})
"""Attributes that a slot was asked for although it has none: no limit, nothing that separates."""


class Outcome(StrEnum):
    """What a device holds of a change."""

    VERIFIED = "verified"
    ROLLED_BACK = "rolled_back"  # nothing of it is there
    LOST = "lost"  # something between: neither what was wanted nor what was there


@dataclass(frozen=True, slots=True)
class Aim:
    """What a slot shall hold next, what counts as native from now on, and which attributes a person changed."""

    want: SlotState
    native: SlotState
    edited: tuple[str, ...] = ()


def aim(native: SlotState, have: SlotState, *, left: Iterable[Effect], live: Iterable[Effect]) -> Aim:
    """Aim a slot at the fold of `live` over its native state, around what people changed since.

    `left` are the effects that Cordon believes it left there, `live` those that shall stand. An attribute that no
    effect claimed and that differs from native was changed by a person: it is the new native. An attribute that Cordon
    set and that now holds a third value was changed by a person on top: it is left alone and reported. One that is
    back at native lost its fence (a restart) and is set again. Rules that Cordon did not make are left where they are.
    """
    effects, standing = tuple(live), tuple(left)
    edited: list[str] = []
    for name in ATTRIBUTES:
        held = getattr(have, name)
        if not _claimed(name, standing) and held != getattr(native, name) and _asked(name, held):
            native = _set(native, name, held)
            edited.append(name)
    ours = frozenset(entry for effect in (*standing, *effects) for entry in effect.entries)
    native = replace(native, entries=have.entries - ours)
    before, want = fold(native, standing), fold(native, effects)
    for name in ATTRIBUTES:
        held = getattr(have, name)
        known = (getattr(before, name), getattr(native, name), getattr(want, name))
        if held not in known and _asked(name, held):
            want = _set(want, name, held)
            edited.append(name)
    return Aim(want=want, native=native, edited=tuple(edited))


def recover(change: Change, held: Held) -> Outcome:
    """What became of a change, judged by the attributes that it touches and by nothing else. Pure."""
    touched = change.have.differs(change.want)
    verdicts = {_became(name, change, held.state) for name in touched}
    if not verdicts or verdicts == {Outcome.VERIFIED}:
        return Outcome.VERIFIED
    return Outcome.ROLLED_BACK if verdicts == {Outcome.ROLLED_BACK} else Outcome.LOST


def missing(effects: Iterable[Effect], have: SlotState) -> tuple[str, ...]:
    """Names of the attributes in which a slot holds less than the effects want."""
    found: dict[str, None] = {}
    for effect in effects:
        if effect.vlan is not None and have.vlan != effect.vlan:
            found["vlan"] = None
        if effect.enabled is False and have.enabled is not False:
            found["enabled"] = None
        if effect.isolated is True and have.isolated is not True:
            found["isolated"] = None
        if effect.rate_bps is not None and (have.rate_bps is None or have.rate_bps > effect.rate_bps):
            found["rate_bps"] = None
        if effect.entries - have.entries:
            found["entries"] = None
        if effect.separation is not None and (
            have.separation is None or have.separation.passages - effect.separation.passages
        ):
            found["separation"] = None
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Counted:
    """A port's own word on how much enters by it."""

    agrees: bool
    text: str


def counted(first: Counters, second: Counters, rates: Rates, rules: Corroboration, *, shared: bool) -> Counted:
    """Compare a port's counters over two readings with the verdict's rates.

    Both bits and packets must lie within the policy's factor of the verdict's; on a shared port, whose neighbours
    count too, only the lower bound can be asked. Octets count the Ethernet header as devices do (IF-MIB ifInOctets).
    """
    seconds = second.at_s - first.at_s
    if seconds <= 0 or second.octets_in < first.octets_in or second.packets_in < first.packets_in:
        return Counted(False, f"{second.interface}: the counters ran backwards between two readings")
    bits, packets = (second.octets_in - first.octets_in) * 8 / seconds, (second.packets_in - first.packets_in) / seconds
    pairs = ((bits, rates.bits), (packets, rates.packets))
    low = all(counted_rate >= said / rules.counter_factor for counted_rate, said in pairs)
    high = shared or all(counted_rate <= said * rules.counter_factor for counted_rate, said in pairs)
    figures = (
        f"{second.interface} counts {bits / 1e6:.1f} Mbit/s and {packets:,.0f} packets/s in {seconds:.2f} s "
        f"where the verdict has {rates.bits / 1e6:.1f} Mbit/s and {rates.packets:,.0f} packets/s"
    )
    tail = "; the port is shared, so only the total is confirmed" if shared and low else ""
    return Counted(low and high, figures + tail)


def _became(name: str, change: Change, held: SlotState) -> Outcome:
    if name == "entries":
        came, went = change.want.entries - change.have.entries, change.have.entries - change.want.entries
        if came <= held.entries and not went & held.entries:
            return Outcome.VERIFIED
        return Outcome.ROLLED_BACK if went <= held.entries and not came & held.entries else Outcome.LOST
    value = getattr(held, name)
    if value == getattr(change.want, name):
        return Outcome.VERIFIED
    return Outcome.ROLLED_BACK if value == getattr(change.have, name) else Outcome.LOST


def _asked(name: str, held: object) -> bool:
    """An attribute without a value was not asked for or does not exist there, unless it may be empty."""
    return held is not None or name in EMPTY


def _claimed(name: str, effects: tuple[Effect, ...]) -> bool:
    return any(getattr(effect, name) is not None for effect in effects)


def _set(state: SlotState, name: str, value: Any) -> SlotState:
    return replace(state, **{name: value})
