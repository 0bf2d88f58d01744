"""From verdicts to decisions: one live decision per attachment, proposed with its reasons, approved where it may be."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from controller import policy
from controller.clerk import POLICY, Clerk
from controller.domain.address import subject_of, subject_text
from controller.domain.decision import ENDED, By, State
from controller.domain.errors import IllegalMove, NotLocated, StaleDecision
from controller.domain.fence import Fence
from controller.domain.record import Attachment, Decision, FenceRecord, LegRecord, Reason
from controller.domain.verdict import Finding, Level, Rates, Verdict
from controller.effect import Effects, subjects_of
from controller.limits import Situation, ask, refusals, tick_ns
from controller.locating import locate, same_place
from controller.planning import Holds, candidates, need_of
from controller.policy import Call
from controller.surroundings import Surroundings

REFRESH_NS = 5_000_000_000
"""A proposal that waits for a person takes in new evidence no more often, unless the score climbs."""


@dataclass(frozen=True, slots=True)
class Digests:
    """What was in force when a decision was made: hex SHA-256 of the policy file."""

    policy: str = ""


class Decider:
    """Hears verdicts and leaves decisions in the ledger. Sends nothing to a device.

    A verdict that was heard before changes nothing: decisions are named after the verdict that led to them.
    """

    def __init__(
        self, *, clerk: Clerk, around: Surroundings, holds: Holds, effects: Effects, digests: Digests | None = None
    ) -> None:
        self._clerk, self._around, self._holds, self._effects = clerk, around, holds, effects
        self._digests = digests or Digests()
        self._noticed: dict[str, tuple[str, ...]] = {}

    def suspects(self, verdicts: Iterable[Verdict]) -> tuple[Attachment, ...]:
        """Attachments of offenders at watch or above: their ports' counters are worth a first reading."""
        found = []
        for verdict in verdicts:
            if verdict.finding is Finding.OFFENDER and verdict.level >= Level.WATCH:
                try:
                    found.append(locate(verdict, self._around.estate))
                except NotLocated:
                    continue
        return tuple(found)

    def hear(self, verdicts: Sequence[Verdict]) -> tuple[Decision, ...]:
        """Decide on each subject's newest verdict, the worst first. Raises LedgerUnavailable.

        Returns what is approved and waits to be carried out.
        """
        newest: dict[str, Verdict] = {}
        for verdict in sorted(verdicts, key=lambda one: one.tick_end_ns):
            newest[subject_text(verdict.subject)] = verdict
            self._clerk.time.advance(verdict.tick_end_ns)
        loud = [one for one in newest.values() if one.level >= Level.ISOLATE and one.finding is Finding.OFFENDER]
        for verdict in loud:
            self._around.accuse(verdict)
        calls = [found for one in newest.values() if (found := self._call(one)) is not None]
        if not calls:
            return ()
        situation = self._around.now()
        approved: list[Decision] = []
        for verdict, who, ruling in sorted(calls, key=lambda one: (-one[0].score, one[0].id)):
            try:
                made = self._decide(verdict, who, ruling, situation)
            except (StaleDecision, IllegalMove):
                continue  # somebody moved it first; the next verdict finds it as it is then
            if made is None:
                continue
            live = tuple(one for one in situation.live if one.id != made.id)
            recent = tuple(one for one in situation.recent if one.id != made.id)
            situation = replace(
                situation,
                live=live if made.state in ENDED else (*live, made),
                recent=(*recent, made),
            )
            if made.state is State.APPROVED:
                approved.append(made)
        return tuple(approved)

    def imagine(self, address: str) -> Decision:
        """What would be proposed if this host were at isolate now; nothing is kept. Raises NotLocated, BadInput."""
        situation = self._around.now()
        verdict = Verdict(
            subject=subject_of(address),
            tick_end_ns=situation.now_ns,
            score=100.0,
            level=Level.ISOLATE,
            finding=Finding.OFFENDER,
            evidence=(),
            rates=Rates(),
        )
        return self._draft(
            verdict, locate(verdict, situation.estate), policy.rule(verdict, situation.rules), (), situation
        )

    def _call(self, verdict: Verdict) -> tuple[Verdict, Attachment, policy.Ruling] | None:
        """Whom a verdict calls to fence, if anybody; keeps the notice where it calls for no more than that."""
        self._effects.hear(verdict)
        ruling = policy.rule(verdict, self._around.rules)
        if ruling.call is Call.NOTHING:
            return None
        if ruling.call is Call.NOTICE:
            self._notice(verdict, ruling.reason.text)
            return None
        try:
            return verdict, locate(verdict, self._around.estate), ruling
        except NotLocated as missing:
            self._notice(verdict, f"{ruling.reason.text}; not located: {missing}")
            return None

    def _decide(
        self, verdict: Verdict, who: Attachment, ruling: policy.Ruling, situation: Situation
    ) -> Decision | None:
        past = [one for one in situation.recent if same_place(one.attachment, who)]
        known = [one for one in past if verdict.id == one.verdict_id or decision_id(verdict) == one.id]
        if any(one.state is not State.PROPOSED for one in known):
            return None  # heard before; a proposal may have been cut short before it was approved
        here = sorted((one for one in situation.live if same_place(one.attachment, who)), key=lambda one: one.simulated)
        draft = self._draft(verdict, who, ruling, past, situation)
        if ruling.call is Call.HOLD and "hold" not in draft.facts:
            self._notice(verdict, ruling.reason.text)
            return None
        if here and here[0].simulated and not draft.simulated:
            end = By.WITHDRAW if here[0].state is State.APPROVED else By.LAPSE
            self._clerk.move(here[0], end, why="the mode is no longer dry-run")
        elif here:
            return self._update(here[0], draft, verdict, situation)
        if why := self._old_news(verdict, past, situation):
            self._notice(verdict, why)
            return None
        approved = "" if _waits(draft) else _approval(draft)
        return self._clerk.ledger.propose(draft, actor=POLICY, why=ruling.reason.text, approved=approved)

    def _update(self, live: Decision, draft: Decision, verdict: Verdict, situation: Situation) -> Decision | None:
        """Let a further verdict work on the live decision: fresher evidence for a proposal, a later end for a fence."""
        fences = situation.rules.fences
        if live.state is State.PROPOSED:
            climbs = draft.score >= live.score + 5 or (draft.level > live.level)
            opens = draft.mode == "enforce" and not refusals(draft.reasons)
            if not (climbs or opens or verdict.tick_end_ns - tick_ns(live) > REFRESH_NS):
                return None
            fresh = replace(
                draft,
                id=live.id,
                version=live.version,
                created_ns=live.created_ns,
                first_bad_ns=live.first_bad_ns or draft.first_bad_ns,
                proposed_wall_ns=live.proposed_wall_ns,
                subject=live.subject,
                facts={**live.facts, **_subjects(live, verdict)},
            )
            return self._approve(self._clerk.ledger.keep(fresh))
        if live.state is State.ENFORCED and subject_text(verdict.subject) not in subjects_of(live):
            live = self._clerk.ledger.keep(replace(live, facts={**live.facts, **_subjects(live, verdict)}))
        if live.state is State.ENFORCED and draft.level >= Level.ISOLATE:
            until_ns = policy.extended_until_ns(live, verdict, fences)
            if until_ns != live.until_ns:
                later = replace(live, until_ns=until_ns, compromise=live.compromise or draft.compromise)
                why = "still offending behind the fence" if until_ns else "evidence of a break-in: a person ends it"
                live = self._clerk.move(later, By.EXTEND, why=why)
        return live if live.state is State.ENFORCED else None

    def _approve(self, decision: Decision) -> Decision:
        """Approve in the policy's name where mode and limits allow; else the proposal waits for a person."""
        return decision if _waits(decision) else self._clerk.move(decision, By.APPROVE, why=_approval(decision))

    def _draft(
        self,
        verdict: Verdict,
        who: Attachment,
        ruling: policy.Ruling,
        past: Sequence[Decision],
        situation: Situation,
    ) -> Decision:
        """The decision as it would be proposed now, with the first fence that limits allow, else the best one."""
        estate, rules = situation.estate, situation.rules
        need = need_of(verdict.evidence, verdict.rates, verdict.explains, estate, rules, now_ns=verdict.tick_end_ns)
        unsuitable = {one.facts["unsuitable"] for one in past if "unsuitable" in one.facts}
        options = [
            fence
            for fence in candidates(who, need, estate, rules, self._holds)
            if not any(f"{fence.kind}@{device}" in unsuitable for device in fence.devices)
        ]
        first = self._with(options[0] if options else None, verdict, who, ruling, past, situation)
        if not refusals(first.reasons):
            return first
        for fence in options[1:]:
            other = self._with(fence, verdict, who, ruling, past, situation)
            if not refusals(other.reasons):
                return other
        return first

    def _with(
        self,
        fence: Fence | None,
        verdict: Verdict,
        who: Attachment,
        ruling: policy.Ruling,
        past: Sequence[Decision],
        situation: Situation,
    ) -> Decision:
        rules = situation.rules
        mode = policy.mode_of(who, fence, situation.estate, rules)
        strike = policy.strikes(past)
        until_ns = policy.until_ns(verdict, strike, rules.fences)
        facts = _subjects(None, verdict)
        narrow = fence is not None and fence.kind in policy.NARROW and not fence.collateral
        if mode == "approve" and rules.fences.hold_s > 0 and narrow:
            until_ns = verdict.tick_end_ns + int(rules.fences.hold_s * 1e9)
            facts["hold"] = f"ends after {rules.fences.hold_s:g} s unless extended"
        records = (FenceRecord(fence, tuple(LegRecord(leg.slot) for leg in fence.legs)),) if fence else ()
        draft = Decision(
            id=decision_id(verdict),
            subject=subject_text(verdict.subject),
            state=State.PROPOSED,
            attachment=who,
            fences=records,
            evidence=verdict.evidence,
            reasons=(),
            score=verdict.score,
            level=verdict.level,
            finding=verdict.finding,
            rates=verdict.rates,
            mode=mode,
            simulated=mode == "dry-run",
            created_ns=verdict.tick_end_ns,
            until_ns=until_ns,
            first_bad_ns=verdict.first_bad_ns,
            compromise=policy.compromised(verdict.evidence),
            strikes=strike,
            explains=verdict.explains,
            policy_digest=self._digests.policy,
            scorer_digest=verdict.scorer,
            verdict_id=verdict.id,
            proposed_wall_ns=self._clerk.clock.now_ns(),
            facts=facts,
        )
        why = (Reason("fence", True, fence.why),) if fence else ()
        said = Reason("mode", True, f"the strictest mode that applies is {mode}")
        return replace(draft, reasons=(ruling.reason, *why, said, *ask(draft, situation)))

    def _old_news(self, verdict: Verdict, past: Sequence[Decision], situation: Situation) -> str:
        """Why a verdict leads to nothing new: a person said no, or the evidence is from before the last fence ended."""
        rules = situation.rules
        ended = [one for one in past if one.state in ENDED and not one.simulated]
        since_ns = situation.now_ns - int(rules.limits.retry_after_s * 1e9)
        for one in ended:
            if one.state is State.REJECTED and one.created_ns > since_ns:
                return f"decision {one.id} against the same subject was rejected by a person"
        ends = [self._clerk.ledger.moves(one.id)[-1].at_ns for one in ended if one.state is State.RELEASED]
        if ends and policy.fresh_score(verdict, since_ns=max(ends)) < rules.scoring.isolate:
            return "the evidence is from before the last fence was released"
        return ""

    def _notice(self, verdict: Verdict, text: str) -> None:
        """Tell people of a subject once per set of detectors, not once per tick."""
        subject = subject_text(verdict.subject)
        detectors = tuple(sorted({one.detector for one in verdict.evidence}))
        if self._noticed.get(subject) == detectors:
            return
        self._noticed[subject] = detectors
        facts = "; ".join(one.text for one in verdict.evidence)
        self._clerk.note(f"{text}. {facts}", about=subject)


def _waits(decision: Decision) -> bool:
    """True when a person has to approve it: the mode or a limit wants that."""
    return (decision.mode == "approve" and "hold" not in decision.facts) or bool(refusals(decision.reasons))


def _approval(decision: Decision) -> str:
    return f"mode {decision.mode}, and no limit speaks against it"


def decision_id(verdict: Verdict) -> str:
    """The same verdict leads to the same decision, also when it is heard twice."""
    return "d" + hashlib.sha256(verdict.id.encode()).hexdigest()[:11]


def _subjects(live: Decision | None, verdict: Verdict) -> dict[str, str]:
    """All names under which the attachment was accused: their rates together are its traffic."""
    known = live.facts.get("subjects", "").split() if live else []
    return {"subjects": " ".join(dict.fromkeys([*known, subject_text(verdict.subject)]))}
