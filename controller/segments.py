"""Segments at their own firewalls: what would change, the proposal that two people approve, and ways around.

Nothing here sends a line. A proposal that was approved is carried out like any other decision.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from controller.clerk import Clerk
from controller.detours import detours
from controller.domain.decision import By, State
from controller.domain.errors import DeviceError
from controller.domain.estate import Estate, Segment
from controller.domain.fence import Change, Fence
from controller.domain.record import Decision, FenceRecord, LegRecord, LegState, Request
from controller.domain.rulebook import Rulebook
from controller.domain.sight import Sight
from controller.limits import ask
from controller.ports import Network
from controller.separating import (
    behind_its_firewall,
    difference,
    isolating,
    proposal,
    replacing,
    separating,
    standing,
)
from controller.surroundings import Surroundings

UNSETTLED = frozenset({State.APPLYING, State.RELEASING, State.STUCK})


class Segments:
    """Answers what people ask about segments. Raises UnknownSubject, BadInput, DeviceError, LedgerUnavailable."""

    def __init__(
        self,
        *,
        clerk: Clerk,
        network: Network,
        around: Surroundings,
        policy_digest: str = "",
    ) -> None:
        self._clerk, self._network, self._around = clerk, network, around
        self._policy_digest = policy_digest

    def firewall(self, name: str) -> str:
        """The device before a segment."""
        return behind_its_firewall(name, self._estate).firewall

    def plan(self, name: str) -> str:
        """What the firewall holds less than, and beyond, what the site file declares; and the lines between."""
        segment = behind_its_firewall(name, self._estate)
        change = self._look(separating(segment))
        told = _told(change)
        if not told:
            return f"{name}: {segment.firewall} holds what the site file declares"
        lines = change.apply or ("(no lines)",)
        return "\n".join(
            [f"{name}: {segment.firewall} has to change", *told, f"{change.slot}:", *(f"  {o}" for o in lines)]
        )

    def apply(self, request: Request) -> tuple[str, str]:
        """Propose what the site file declares for a segment: an answer, and the decision that it is about."""
        segment = behind_its_firewall(request.about, self._estate)
        fence = separating(segment)
        change = self._look(fence)
        draft = self._draft(fence, segment, request)
        for old in standing(self._clerk.ledger.live(), draft):
            if old.subject == draft.subject:
                return f"decision {old.id} already separates {segment.name} so and is {old.state}", old.id
            if old.state in UNSETTLED:
                return f"not proposed: decision {old.id} about {segment.name} is {old.state} and has to settle", old.id
            if old.state is State.ENFORCED:
                draft = replacing(draft, old)
            else:
                end = By.LAPSE if old.state is State.PROPOSED else By.WITHDRAW
                self._clerk.move(old, end, why="the site file declares something else since")
        record = LegRecord(change.slot, LegState.PLANNED, change, note="as planned when it was proposed")
        draft = replace(draft, fences=(FenceRecord(fence, (record,)),))
        return self._propose(draft, request, _told(change) or ("the firewall holds it already",))

    def isolate(self, request: Request) -> tuple[str, str]:
        """Propose that nothing crosses the segment's firewall any more: an answer, and the decision."""
        segment = behind_its_firewall(request.about, self._estate)
        fence = isolating(segment, self._estate)
        if fence.kind not in self._network.holds(segment.firewall):
            return f"not proposed: {segment.firewall} cannot isolate a segment", ""
        draft = self._draft(fence, segment, request)
        for old in standing(self._clerk.ledger.live(), draft):
            return f"decision {old.id} already isolates {segment.name} and is {old.state}", old.id
        return self._propose(draft, request, (fence.why, f"touches {', '.join(fence.collateral) or 'no tenant'}"))

    def compare(self, name: str, sights: Iterable[Sight], silent: Iterable[str]) -> str:
        """Whether the firewall holds what is declared, and every way around it; `silent` are who could not be asked."""
        segment = behind_its_firewall(name, self._estate)
        try:
            held = list(_told(self._look(separating(segment)))) if segment.crossings is not None else []
        except DeviceError as error:
            held = [f"not compared: {error}"]
        if segment.crossings is None:
            held = ["not compared: the site file does not say what may cross"]
        found = detours(segment, self._estate, sights)
        ways = f"{len(found)} ways around it" if found else "no way around it was found"
        state = "does not hold what is declared" if held else "holds what is declared"
        more = (
            [] if segment.vlan is not None else ["the site file names no VLAN of the segment: ports were not compared"]
        )
        more += [f"not asked: {one}" for one in silent]
        well = "not well" if held or found else "well"
        return "\n".join([f"{well}: {segment.firewall} {state} for {name}; {ways}", *held, *found, *more])

    @property
    def _estate(self) -> Estate:
        return self._around.estate

    @property
    def _rules(self) -> Rulebook:
        return self._around.rules

    def _look(self, fence: Fence) -> Change:
        """What would take the firewall from what it holds to the fence."""
        (leg,) = fence.legs
        device = self._network.device(leg.slot.device)
        held = device.observe(leg.slot)
        return device.plan(replace(held.state, separation=leg.effect.separation), held)

    def _draft(self, fence: Fence, segment: Segment, request: Request) -> Decision:
        return proposal(
            fence,
            segment,
            estate=self._estate,
            rules=self._rules,
            ident="d" + hashlib.sha256(request.id.encode()).hexdigest()[:11],
            policy_digest=self._policy_digest,
            now_ns=self._clerk.time.now_ns() or self._clerk.clock.now_ns(),
        )

    def _propose(self, draft: Decision, request: Request, told: Iterable[str]) -> tuple[str, str]:
        reasons = (*draft.reasons, *ask(draft, self._around.now()))
        draft = replace(draft, reasons=reasons, proposed_wall_ns=self._clerk.clock.now_ns())
        made = self._clerk.ledger.propose(draft, actor=request.actor, why=request.why)
        head = f"decision {made.id} is proposed: {made.approvals} different people have to approve it"
        against = [f"against: {one.rule}: {one.text}" for one in reasons if not one.allows]
        return "\n".join([head, *told, *against]), made.id


def _told(change: Change) -> tuple[str, ...]:
    wanted = change.want.separation
    return difference(change.have.separation, wanted) if wanted is not None else ()
