"""Looking at slots before and after: what stands there, what shall, and the lines between."""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace

from controller.clerk import Clerk, holding
from controller.companions import lacking
from controller.comparing import aim, missing
from controller.domain.address import Port
from controller.domain.decision import State
from controller.domain.errors import ForeignState, Unsupported
from controller.domain.estate import Estate
from controller.domain.fence import Change, Effect, FenceKind, Slot, SlotKind, SlotState
from controller.domain.record import Decision, LegRecord, LegState
from controller.domain.rulebook import Fences
from controller.ports import Network, NetworkDevice
from controller.readings import Readings
from controller.scribing import Overheard, Scribe

PLACED = frozenset({LegState.RECORDED, LegState.VERIFIED, LegState.UNKNOWN})
"""Legs of which a device may hold something."""


PORTS = frozenset({SlotKind.PORT, SlotKind.GUEST})
"""Slots that are a port, with counters of its own."""


@dataclass(frozen=True, slots=True)
class Survey:
    """One slot as it was found, and what would be done to it."""

    slot: Slot
    device: NetworkDevice
    change: Change
    native: SlotState
    alone: bool  # no other live fence stands there
    edited: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tools:
    """What one kind of session needs: the devices, and their counters as asked over the same sessions."""

    network: Network
    readings: Readings


class Surveyor:
    """Looks at slots over live or rehearsal sessions, whichever a decision is for, and plans. Sends nothing."""

    def __init__(self, *, clerk: Clerk, live: Tools, rehearsal: Tools, fences: Fences, estate: Estate) -> None:
        self._clerk, self._fences, self._estate = clerk, fences, estate
        self._tools = {False: live, True: rehearsal}
        self.scribe = Scribe(clerk)

    def tools(self, decision: Decision) -> Tools:
        """The devices and counters that a decision is carried out with."""
        return self._tools[decision.simulated]

    def device(self, decision: Decision, slot: Slot) -> NetworkDevice:
        """The device of a slot, over the decision's kind of session; the scribe hears what is said."""
        device = self._tools[decision.simulated].network.device(slot.device)
        return Overheard(device, slot, scribe=self.scribe, decision_id=decision.id)

    def slots(self, decision: Decision, *, counting: Set[Port] = frozenset()) -> tuple[Survey, ...]:
        """Look at every slot of a decision and plan it. Raises DeviceError, ForeignState before an edit in the way.

        Ports in `counting` wait for a second reading of their counters, which is asked for in the same breath.
        """
        slots = tuple(dict.fromkeys(leg.slot for leg in legs_of(decision)))
        if decision.state is State.APPROVED:
            self._check_companions(decision)
        surveys = tuple(self.slot(decision, slot, keep=True, counting=counting) for slot in slots)
        for survey in surveys:
            if decision.state is State.APPROVED and (
                gone := missing(effects_of(decision, survey.slot), survey.change.want)
            ):
                what = ", ".join(gone)
                raise ForeignState(survey.slot.device, f"{survey.slot.name}: somebody changed {what} on a live fence")
        return surveys

    def _check_companions(self, decision: Decision) -> None:
        """Look at what a quarantine needs beside its VLAN. Raises Unsupported when it is not there."""
        for record in decision.fences:
            for leg in record.fence.legs if record.fence.kind is FenceKind.QUARANTINE else ():
                sight = self.device(decision, leg.slot).look()
                if problems := lacking(leg.effect, sight, self._estate):
                    raise Unsupported(leg.slot.device, f"no quarantine: {'; '.join(problems)}")

    def slot(self, decision: Decision, slot: Slot, *, keep: bool, counting: Set[Port] = frozenset()) -> Survey:
        """Look at a slot and aim it at all live fences, this decision's among them when it is to `keep`."""
        ledger = self._clerk.ledger
        device = self.device(decision, slot)
        port = Port(slot.device, slot.name)
        if slot.kind in PORTS and port in counting:
            held, counters = device.observe_and_count(slot)
            self.tools(decision).readings.hear(port, counters)
        else:
            held = device.observe(slot)
        others = [one for one in holding(ledger.live()) if one.id != decision.id and is_placed(one, slot)]
        replaced = replaced_by([*others, *([decision] if keep else [])])
        standing = [effect for one in others if one.id not in replaced for effect in effects_of(one, slot)]
        own = effects_of(decision, slot)
        left = [effect for one in others for effect in effects_of(one, slot)]
        left += own if is_placed(decision, slot) else ()
        kept = ledger.native(slot) if left else None
        aimed = aim(
            kept if kept is not None else held.state,
            held.state,
            left=left,
            live=[*standing, *(own if keep and decision.id not in replaced else ())],
        )
        want = replace(aimed.want, expires_s=self._timer_s([*others, *([decision] if keep else [])]))
        return Survey(
            slot=slot,
            device=device,
            change=device.plan(want, held),
            native=aimed.native,
            alone=not others,
            edited=aimed.edited if left else (),
        )

    def _timer_s(self, standing: Sequence[Decision]) -> int | None:
        """How long a device that ends entries by itself may keep those of a slot.

        As long as the last of the decisions on it; None where a person ends one of them. The ledger ends the others.
        """
        ends = [one.until_ns for one in standing]
        if not ends or not all(ends):
            return None
        now_ns = max(self._clerk.time.now_ns(), *(one.created_ns for one in standing))
        return int(max((max(ends) - now_ns) / 1e9, 0.0) + self._fences.device_margin_s)


def devices_of(decision: Decision) -> tuple[str, ...]:
    """Every device that carrying out or asking for a decision speaks to."""
    who = decision.attachment
    ports = (who.guest,) if who.guest is not None else who.ports
    fenced = [device for record in decision.fences for device in record.fence.devices]
    return tuple(dict.fromkeys([*fenced, *(port.device for port in ports)]))


def replaced_by(live: Iterable[Decision]) -> dict[str, str]:
    """Ids of decisions in whose place another one is enforced or being carried out, and the id of that one."""
    placing = {State.APPROVED, State.APPLYING, State.ENFORCED}
    return {
        one.facts["replaces"]: one.id
        for one in live
        if "replaces" in one.facts and one.state in placing and not one.simulated
    }


def legs_of(decision: Decision) -> tuple[LegRecord, ...]:
    """The records of a decision's legs, each slot once, in order."""
    return tuple({leg.slot: leg for record in decision.fences for leg in record.legs}.values())


def effects_of(decision: Decision, slot: Slot) -> list[Effect]:
    """All that a decision wants of one slot."""
    return [leg.effect for record in decision.fences for leg in record.fence.legs if leg.slot == slot]


def is_placed(decision: Decision, slot: Slot) -> bool:
    """True when a device may hold something of the decision in that slot."""
    return any(leg.slot == slot and leg.state in PLACED for leg in legs_of(decision))


def changes_port(decision: Decision) -> bool:
    """True when a leg set what belongs to whoever hangs on the port, and not only rules that name the sender."""
    return any(
        leg.slot.kind is SlotKind.PORT and record.fence.kind not in {FenceKind.FILTER_CLASS, FenceKind.BLOCK_ADDRESS}
        for record in decision.fences
        for leg in record.fence.legs
    )
