"""Keeping the network and the ledger together.

What is open is carried on, what has ended is released, what is lost is set again.

`attend` looks at the ledger only and is cheap enough to run many times a second; `sweep` asks devices and runs seldom.
Both leave the work on devices to lanes, so that each device has one writer.
"""

from collections.abc import Callable, Mapping, Sequence

from controller.clerk import Clerk, holding
from controller.decider import Decider
from controller.domain.decision import By, State
from controller.domain.errors import CordonError, DeviceError, IllegalMove, StaleDecision
from controller.domain.record import Attachment, Decision
from controller.domain.rulebook import Rulebook
from controller.domain.verdict import Verdict
from controller.domain.wire import DecisionNote
from controller.effect import Effects, subjects_of
from controller.enforcer import Enforcer
from controller.lanes import Lanes
from controller.ports import Announcer
from controller.readings import Readings, entries_of
from controller.surroundings import Surroundings
from controller.surveying import devices_of, replaced_by

REPEAT_S = 5.0
"""How often the streams are told again which subjects are under watch: a note may be lost."""

PATIENCE_S = 5.0
"""How long a decision rests after its job broke off, so that a broken ledger or a bug is not asked again at once."""


class Reconciler:
    """Sees every decision through to its end. One per process; not for several threads."""

    def __init__(
        self,
        *,
        clerk: Clerk,
        enforcer: Enforcer,
        decider: Decider,
        effects: Effects,
        around: Surroundings,
        lanes: Lanes,
        readings: Readings,
        announcer: Announcer,
        rules: Rulebook,
    ) -> None:
        self._clerk, self._enforcer, self._decider, self._effects = clerk, enforcer, decider, effects
        self._around, self._lanes, self._readings, self._announcer = around, lanes, readings, announcer
        self._rules = rules
        self._told: dict[str, tuple[State, float]] = {}
        self._resting: dict[str, float] = {}

    def hear(self, verdicts: Sequence[Verdict]) -> None:
        """Decide on verdicts, and start at once on what they lead to; ports are read while the ledger is written."""
        self._readings.said.hear(verdicts)
        for who in self._decider.suspects(verdicts):
            self._foresee(who)
        for decision in self._decider.hear(verdicts):
            self._start(decision)

    def attend(self) -> None:
        """Carry on what the ledger says is open: approvals, releases, ends by time, and what a crash left behind."""
        live = self._clerk.ledger.live()
        replaced = replaced_by(one for one in live if one.state is State.ENFORCED)
        for decision in live:
            try:
                self._start(self._timed(decision, replaced))
            except (StaleDecision, IllegalMove):
                continue  # somebody moved it first; the next round sees it as it is then
        self._effects.follow(live)
        self._effects.judge()
        self._announce(live)

    def sweep(self) -> None:
        """Ask devices whether they still hold what they should, and whether those out of sight can be seen again.

        Also writes the undo sheet anew, which a crash may have left behind the ledger.
        """
        self._clerk.write_sheet()
        killed = self._around.killed()
        for decision in holding(self._clerk.ledger.live()):
            if decision.state is State.STUCK:
                self._submit(decision, self._enforcer.resolve)
            elif decision.state is State.ENFORCED and not killed:
                self._submit(decision, self._look_after)

    def rest(self, key: str) -> None:
        """A job broke off: leave its decision alone for a while."""
        self._resting[key] = self._clerk.clock.monotonic() + PATIENCE_S

    def _timed(self, decision: Decision, replaced: Mapping[str, str]) -> Decision:
        """End what has reached its time, by event time, and what another decision has taken the place of."""
        now_ns = self._clerk.time.now_ns()
        lapse_ns = decision.created_ns + int(self._rules.fences.proposal_lapse_s * 1e9)
        over = bool(decision.until_ns) and now_ns >= decision.until_ns
        if decision.state is State.ENFORCED and over:
            return self._clerk.move(decision, By.EXPIRE, why="its time is over")
        if decision.state is State.ENFORCED and decision.id in replaced:
            return self._clerk.move(decision, By.RELEASE, why=f"decision {replaced[decision.id]} stands in its place")
        if decision.state is State.PROPOSED and now_ns >= lapse_ns:
            return self._clerk.move(decision, By.LAPSE, why="nobody decided in time")
        if decision.state is State.APPROVED and "rehearsed" in decision.facts and (over or now_ns >= lapse_ns):
            return self._clerk.move(decision, By.WITHDRAW, why="the rehearsal is over")
        return decision

    def _start(self, decision: Decision) -> None:
        if decision.state is State.APPROVED and "rehearsed" not in decision.facts:
            self._submit(decision, self._enforcer.carry_out)
        elif decision.state is State.RELEASING:
            self._submit(decision, self._enforcer.release)
        elif decision.state is State.APPLYING:
            self._submit(decision, self._enforcer.resolve)

    def _submit(self, decision: Decision, work: Callable[[str], object]) -> None:
        if self._resting.get(decision.id, 0.0) > self._clerk.clock.monotonic():
            return

        def job() -> None:
            try:
                work(decision.id)
            finally:
                self._enforcer.write_down(decision.id)

        self._lanes.submit(decision.id, devices_of(decision), job, urgency=decision.score)

    def _look_after(self, decision_id: str) -> None:
        try:
            self._enforcer.repair(decision_id)
        except DeviceError as error:
            self._clerk.note(f"cannot look after the fence: {error}", about=decision_id)

    def _foresee(self, who: Attachment) -> None:
        """Take the first reading of a suspect's port while the verdict is still being weighed."""
        ports = entries_of(who)
        if ports and len(self._readings.kept(who)) < len(ports):
            devices = [port.device for port in ports]
            key = f"reading {', '.join(map(str, ports))}"
            self._lanes.submit(key, devices, lambda: self._readings.take_first(who), urgency=-1.0)

    def _announce(self, live: Sequence[Decision]) -> None:
        """Tell the streams of every decision that changed, and of all again from time to time."""
        now_s = self._clerk.clock.monotonic()
        accusing = [one for one in live if not one.of_segment]
        for decision in accusing:
            state, at_s = self._told.get(decision.id, (None, 0.0))
            if state is not decision.state or now_s - at_s >= REPEAT_S:
                self._tell(decision)
                self._told[decision.id] = decision.state, now_s
        for ended in set(self._told) - {one.id for one in accusing}:
            try:
                self._tell(self._clerk.ledger.decision(ended))
            except CordonError:
                continue
            del self._told[ended]

    def _tell(self, decision: Decision) -> None:
        at_ns = max(self._clerk.time.now_ns(), decision.created_ns)
        for subject in subjects_of(decision):
            self._announcer.announce(
                DecisionNote(decision.id, subject, decision.state.value, at_ns, simulated=decision.simulated)
            )
