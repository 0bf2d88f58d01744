"""Did the traffic fall behind the fence? Judged from the rates that the streams report for subjects under watch.

The streams leave out what a device sampled and then discarded, so what they report is what still gets through. A
subject of whom nobody reports is *unproven*, which calls a person and never leads to a wider fence.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from controller.clerk import Clerk
from controller.domain.address import subject_text
from controller.domain.decision import State
from controller.domain.errors import StaleDecision
from controller.domain.record import Decision
from controller.domain.rulebook import Effect as Rules
from controller.domain.verdict import Rates, Verdict

FALLEN = "fallen"
STILL_SENDING = "still_sending"
UNPROVEN = "unproven"


def judge(decision: Decision, reported: Sequence[Rates], *, now_ns: int, rules: Rules) -> str:
    """What the reports since the fence stood say of it; empty while it is too early to say. Pure.

    Fallen: bits and packets of all its subjects together are at most the policy's share of what the verdict had.
    """
    begun_ns = int(decision.facts.get("enforced_ns", "0"))
    if reported:
        bits, packets = sum(one.bits for one in reported), sum(one.packets for one in reported)
        if bits <= decision.rates.bits * rules.fallen_to and packets <= decision.rates.packets * rules.fallen_to:
            return FALLEN
    if now_ns - begun_ns < int(rules.wait_s * 1e9):
        return ""
    return STILL_SENDING if reported else UNPROVEN


class Effects:
    """Follows enforced decisions until it is known whether their subjects' traffic fell."""

    def __init__(self, clerk: Clerk, rules: Rules) -> None:
        self._clerk, self._rules = clerk, rules
        self._following: dict[str, Decision] = {}
        self._reports: dict[str, tuple[int, Rates]] = {}  # subject → event time, what gets through

    def follow(self, live: Iterable[Decision]) -> None:
        """Take the live decisions as they are now."""
        self._following = {
            one.id: one
            for one in live
            if one.state is State.ENFORCED and not one.simulated and not one.of_segment  # nobody's traffic to fall
        }
        wanted = {subject for one in self._following.values() for subject in subjects_of(one)}
        self._reports = {subject: report for subject, report in self._reports.items() if subject in wanted}

    def watches(self, subject: str) -> bool:
        """True while some enforced decision's effect depends on this subject."""
        return any(subject in subjects_of(one) for one in self._following.values())

    def hear(self, verdict: Verdict) -> None:
        """Take a subject's rates; the newest counts."""
        subject = subject_text(verdict.subject)
        if self.watches(subject) and verdict.tick_end_ns >= self._reports.get(subject, (0, verdict.rates))[0]:
            self._reports[subject] = (verdict.tick_end_ns, verdict.rates)

    def judge(self) -> None:
        """Keep what is now known of each decision's effect; call a person when traffic did not, or may not, fall."""
        for decision in tuple(self._following.values()):
            begun_ns = int(decision.facts.get("enforced_ns", "0"))
            reports = [self._reports[name] for name in subjects_of(decision) if name in self._reports]
            since = [rates for at_ns, rates in reports if at_ns > begun_ns]
            effect = judge(decision, since, now_ns=self._clerk.time.now_ns(), rules=self._rules)
            if effect and effect != decision.effect:
                self._keep(decision, effect)

    def _keep(self, decision: Decision, effect: str) -> None:
        facts = {**decision.facts, f"{effect}_ns": str(self._clerk.time.now_ns())}
        try:
            kept = self._clerk.ledger.keep(replace(decision, effect=effect, facts=facts))
        except StaleDecision:
            return  # judged again with the next round
        self._following[kept.id] = kept
        if effect == STILL_SENDING:
            self._clerk.page("fenced, and its traffic did not fall", about=decision.id)
        elif effect == UNPROVEN and not decision.effect:
            self._clerk.page("fenced, and nobody reports whether its traffic fell", about=decision.id)


def subjects_of(decision: Decision) -> tuple[str, ...]:
    """All names under which the decision's attachment was accused."""
    return tuple(dict.fromkeys([decision.subject, *decision.facts.get("subjects", "").split()]))
