"""Carrying out: a decision becomes lines on devices, each verified by a look or taken back.

The order never varies: ask (limits, the port's counters, the slot) while nothing is sent; then move to applying,
record the change with its undo, push, look again, compare. What cannot be verified is undone and looked at again; what
cannot be seen any more is *stuck* and a person is called. The caller sees to it that one thread at a time works on a
device (`lanes`).
"""

from collections.abc import Callable
from dataclasses import replace

from controller.clerk import POLICY, Clerk, holding
from controller.comparing import Outcome, recover
from controller.domain.decision import By, State
from controller.domain.errors import DeviceError, ForeignState, Rehearsed, Unsupported
from controller.domain.fence import Change, Slot
from controller.domain.record import Decision, LegRecord, LegState, Reason, with_leg
from controller.domain.rulebook import Fences
from controller.limits import Situation, absolute, ask, refusals
from controller.locating import ports_of
from controller.ports import NetworkDevice
from controller.surveying import PLACED, Survey, Surveyor, changes_port, is_placed, legs_of


class Enforcer:
    """Takes decisions from approved to enforced and from releasing to released; settles what a crash left open.

    Every method raises LedgerUnavailable when the ledger cannot be reached: then nothing more is sent, and `resolve`
    settles later what was under way.
    """

    def __init__(self, *, clerk: Clerk, surveyor: Surveyor, situation: Callable[[], Situation], fences: Fences) -> None:
        self._clerk, self._surveyor, self._situation, self._fences = clerk, surveyor, situation, fences

    def carry_out(self, decision_id: str) -> Decision:
        """Fence an approved decision.

        It ends enforced; failed, with nothing left on a device; stuck, with a person called; or, on a rehearsal's
        sessions, approved with its lines planned.
        """
        ledger = self._clerk.ledger
        decision = ledger.decision(decision_id)
        if decision.state is not State.APPROVED:
            return decision
        person = self._clerk.person_approved(decision)
        reasons = ask(decision, self._situation())
        if against := absolute(reasons) if person else refusals(reasons):
            return self._refuse(decision, reasons, why=against[0].text)
        if decision.of_segment and len(self._clerk.approvers(decision)) < decision.approvals:
            return self._refuse(decision, reasons, why=f"{decision.approvals} different people have to approve it")
        readings = self._surveyor.tools(decision).readings
        try:
            counting = frozenset() if person else readings.begin(decision)
            surveys = self._surveyor.slots(decision, counting=counting)
        except (Unsupported, ForeignState) as error:
            kinds = ",".join(record.fence.kind for record in decision.fences)
            unsuitable = replace(decision, facts={**decision.facts, "unsuitable": f"{kinds}@{error.device}"})
            return self._refuse(unsuitable, reasons, why=str(error))
        except DeviceError as error:
            return self._refuse(decision, reasons, why=str(error))
        if not person:
            counters = readings.confirm(decision)
            reasons = (*reasons, counters)
            if not counters.allows:
                return self._refuse(decision, reasons, why=counters.text)
        decision = replace(decision, reasons=reasons)
        decision = self._clerk.move(decision, By.APPLY, why="limits asked again, ports seen, lines planned")
        return self._apply(decision, surveys)

    def repair(self, decision_id: str) -> Decision:
        """Set again what a device lost of an enforced fence: it restarted, or a timer ran out.

        What a person changed since is left alone and reported once. Raises DeviceError when a device cannot be asked.
        """
        decision = self._clerk.ledger.decision(decision_id)
        if decision.state is not State.ENFORCED:
            return decision
        surveys = self._surveyor.slots(decision)
        edited = {f"{one.slot} {name}" for one in surveys for name in one.edited}
        if told := sorted(edited - set(decision.facts.get("edited", "").split("; "))):
            self._clerk.page(f"changed by somebody since, left alone: {'; '.join(told)}", about=decision.id)
            facts = {**decision.facts, "edited": "; ".join(sorted(edited))}
            decision = self._clerk.ledger.keep(replace(decision, facts=facts))
        lost = [one for one in surveys if not one.change.is_noop]
        if not lost:
            return decision
        names = ", ".join(
            f"{one.slot} ({', '.join(one.change.have.differs(one.change.want)) or 'timer'})" for one in lost
        )
        decision = self._clerk.move(decision, By.REPAIR, why=f"not as it should be: {names}; carried out again")
        return self._apply(decision, surveys)

    def release(self, decision_id: str) -> Decision:
        """Take a decision's part off its slots, leaving the other live fences and what people changed since.

        It ends released, or stuck with a person called.
        """
        ledger = self._clerk.ledger
        decision = ledger.decision(decision_id)
        if decision.state is not State.RELEASING:
            return decision
        if moved := self._tenant_moved(decision):
            return self._lose(decision, moved)
        edited: list[str] = []
        for leg in reversed(legs_of(decision)):
            if leg.state not in PLACED:
                continue
            try:
                survey = self._surveyor.slot(decision, leg.slot, keep=False)
                outcome = self._push(survey, decision)
            except DeviceError as error:
                decision = ledger.keep(with_leg(decision, leg.slot, replace(leg, state=LegState.UNKNOWN)))
                return self._lose(decision, f"not released from {leg.slot}: {error}")
            if outcome is not Outcome.VERIFIED:
                decision = ledger.keep(with_leg(decision, leg.slot, replace(leg, state=LegState.UNKNOWN)))
                return self._lose(decision, f"{leg.slot} does not show what it should hold after the release")
            lines = "; ".join(survey.change.apply) or "nothing of it was left"
            freed = replace(leg, state=LegState.RELEASED, note=f"taken back with: {lines}")
            decision = ledger.keep(with_leg(decision, leg.slot, freed))
            if survey.alone:
                ledger.forget_native(leg.slot)
            elif survey.native != ledger.native(leg.slot):
                ledger.rebase_native(leg.slot, survey.native)
            edited += [f"{leg.slot} {name}" for name in survey.edited]
        if edited:
            self._clerk.page(f"changed by somebody since, left as it is: {'; '.join(edited)}", about=decision.id)
        decision = self._clerk.move(
            decision, By.FREE, why="the slots hold their native state and the other live fences"
        )
        self._clerk.write_sheet(decision)
        return decision

    def resolve(self, decision_id: str) -> Decision:
        """Settle a decision that nobody is working on and whose devices may hold part of it: look, then decide.

        All legs there: enforced. A repair that broke off is carried on. Else what is there is taken back. A device
        that cannot be asked leaves the decision stuck; the next round asks again.
        """
        decision = self._clerk.ledger.decision(decision_id)
        if decision.state not in {State.APPLYING, State.STUCK}:
            return decision
        if "ending" in decision.facts:
            return self._resume_release(decision)
        try:
            outcomes = {leg.slot: self._look(decision, leg) for leg in legs_of(decision) if leg.change is not None}
            if decision.state is State.APPLYING and decision.verified_wall_ns:
                return self._apply(decision, self._surveyor.slots(decision))
        except DeviceError as error:
            return self._lose(decision, f"cannot see what became of it: {error}")
        whole = len(outcomes) == len(legs_of(decision))
        if whole and set(outcomes.values()) <= {Outcome.VERIFIED}:
            for leg in legs_of(decision):
                self._surveyor.device(decision, leg.slot).confirm()
                seen = replace(leg, state=LegState.VERIFIED, verified_ns=leg.verified_ns or self._clerk.clock.now_ns())
                decision = with_leg(decision, leg.slot, seen)
            return self._verified(decision, why="seen on the device after an interruption")
        interrupted = replace(decision, facts={**decision.facts, "interrupted": "yes"})
        return self._take_back(interrupted, why="interrupted before all of it was verified")

    def write_down(self, decision_id: str) -> None:
        """Keep what was said to devices in the work on a decision that is done now. Raises LedgerUnavailable."""
        self._surveyor.scribe.write(decision_id)

    def _resume_release(self, decision: Decision) -> Decision:
        """Try a release again that lost sight of its device, once the device answers."""
        if self._tenant_moved(decision):
            return decision
        try:
            for leg in legs_of(decision):
                self._surveyor.device(decision, leg.slot).observe(leg.slot)
        except DeviceError:
            return decision
        return self._clerk.move(decision, By.RELEASE, why="the device answers: its release is tried again")

    def _apply(self, decision: Decision, surveys: tuple[Survey, ...]) -> Decision:
        """Record, push, look, for each slot in order; all or none."""
        ledger, clock = self._clerk.ledger, self._clerk.clock
        for survey in surveys:
            recorded = LegRecord(survey.slot, LegState.RECORDED, survey.change, recorded_ns=clock.now_ns())
            decision = ledger.record(decision, recorded, native=survey.native)
            try:
                self._clerk.write_sheet(decision)
                outcome = self._push(survey, decision)
            except Rehearsed as rehearsed:
                return self._rehearsed(decision, surveys, why=str(rehearsed))
            except (DeviceError, OSError) as error:
                return self._take_back(decision, why=str(error))
            if outcome is not Outcome.VERIFIED:
                return self._take_back(decision, why=f"{survey.slot} does not show what it was told")
            verified = replace(recorded, state=LegState.VERIFIED, verified_ns=clock.now_ns())
            decision = ledger.keep(with_leg(decision, survey.slot, verified))
        return self._verified(decision, why="every leg was seen on its device")

    def _push(self, survey: Survey, decision: Decision) -> Outcome:
        """Send a change, look again, and confirm it where the device waits for that. Raises DeviceError."""
        device, change = survey.device, survey.change
        confirm_s = self._fences.confirm_s if not decision.simulated else 0
        pending = device.push(change.apply, confirm_within_s=confirm_s if change.apply else 0)
        outcome = recover(change, device.observe(survey.slot))
        if outcome is Outcome.VERIFIED and pending.pending_confirm_s:
            device.confirm()
        return outcome

    def _take_back(self, decision: Decision, *, why: str) -> Decision:
        """Undo what was sent, last leg first, from the state seen before; failed when all of it was seen to be gone."""
        ledger = self._clerk.ledger
        lost: list[str] = []
        for leg in reversed(legs_of(decision)):
            if leg.change is None or leg.state not in PLACED:
                continue
            problem = self._undo(decision, leg)
            state = LegState.UNKNOWN if problem else LegState.UNDONE
            decision = ledger.keep(
                with_leg(decision, leg.slot, replace(leg, state=state, note=problem or "taken back"))
            )
            if problem:
                lost.append(problem)
        if lost:
            return self._lose(decision, f"{why}; and not taken back: {'; '.join(lost)}")
        for slot in {leg.slot for leg in legs_of(decision) if leg.state is LegState.UNDONE}:
            if not any(is_placed(one, slot) for one in holding(ledger.live()) if one.id != decision.id):
                ledger.forget_native(slot)
        decision = self._clerk.move(decision, By.ROLL_BACK, why=f"{why}; taken back and seen to be gone")
        self._clerk.write_sheet(decision)
        self._clerk.page(f"not fenced: {why}; what was sent is taken back", about=decision.id)
        return decision

    def _undo(self, decision: Decision, leg: LegRecord) -> str:
        """Take one leg back; empty when it was seen to be gone, else what is the matter."""
        change = leg.change
        if change is None:
            return ""
        device = self._surveyor.device(decision, leg.slot)
        try:
            held = device.observe(leg.slot)
            if not change.is_noop and recover(change, held) is not Outcome.ROLLED_BACK:
                device.push(self._lines_back(device, change, leg.slot), confirm_within_s=0)
                held = device.observe(leg.slot)
        except DeviceError as error:
            return f"{leg.slot}: {error}"
        gone = change.is_noop or recover(change, held) is Outcome.ROLLED_BACK
        return "" if gone else f"{leg.slot} still shows part of it"

    def _lines_back(self, device: NetworkDevice, change: Change, slot: Slot) -> tuple[str, ...]:
        """Lines from what stands there now to the state seen before; the recorded undo where they cannot be planned."""
        try:
            return device.plan(change.have, device.observe(slot)).apply
        except (Unsupported, ForeignState):
            return change.undo

    def _look(self, decision: Decision, leg: LegRecord) -> Outcome:
        if leg.change is None:
            return Outcome.ROLLED_BACK
        return recover(leg.change, self._surveyor.device(decision, leg.slot).observe(leg.slot))

    def _rehearsed(self, decision: Decision, surveys: tuple[Survey, ...], *, why: str) -> Decision:
        """Keep the lines that would have been sent, in every leg, and go back to approved."""
        for survey in surveys:
            planned = LegRecord(survey.slot, LegState.PLANNED, survey.change, note="rehearsed: nothing was sent")
            decision = with_leg(decision, survey.slot, planned)
            if survey.alone:
                self._clerk.ledger.forget_native(survey.slot)
        facts = {**decision.facts, "rehearsed": "yes"}
        return self._clerk.move(replace(decision, facts=facts), By.REHEARSE, why=why)

    def _verified(self, decision: Decision, *, why: str) -> Decision:
        time = self._clerk.time.now_ns()
        facts = {**decision.facts, "enforced_ns": str(max(time, decision.created_ns))}
        seen_ns = decision.verified_wall_ns or self._clerk.clock.now_ns()
        decision = replace(decision, verified_wall_ns=seen_ns, facts=facts)
        decision = self._clerk.move(decision, By.VERIFY, why=why)
        self._clerk.write_sheet(decision)
        return decision

    def _refuse(self, decision: Decision, reasons: tuple[Reason, ...], *, why: str) -> Decision:
        refused = self._clerk.move(replace(decision, reasons=reasons), By.REFUSE, why=f"{why}; nothing was sent")
        self._clerk.page(f"not fenced: {why}", about=decision.id)
        return refused

    def _lose(self, decision: Decision, why: str) -> Decision:
        """What the devices hold is not known, or not as it should be: stuck, and a person is called once."""
        if decision.state is State.STUCK:
            return decision
        told = "ending" in decision.facts
        if decision.state is State.RELEASING:
            decision = replace(decision, facts={**decision.facts, "ending": "yes"})
        decision = self._clerk.move(decision, By.LOSE_SIGHT, why=why)
        if not told:
            self._clerk.page(f"stuck: {why}", about=decision.id)
        return decision

    def _tenant_moved(self, decision: Decision) -> str:
        """Why a release that no person asked for must not touch a port: somebody else hangs there now."""
        who, estate = decision.attachment, self._situation().estate
        if not who.host or not changes_port(decision):
            return ""
        ends = [move for move in self._clerk.ledger.moves(decision.id) if move.by in {By.RELEASE, By.EXPIRE}]
        if ends and ends[-1].actor != POLICY:
            return ""
        host = estate.hosts.get(who.host)
        if host is not None and host.tenant == who.tenant and set(ports_of(host, estate)) == set(who.ports):
            return ""
        return f"{who.host} of {who.tenant} no longer hangs on {', '.join(map(str, who.ports))}: a person releases"
