"""What a verdict calls for: nothing, a notice, or a fence; in which mode and until when.

Only an offender can lead to a fence. Whether the fence may be automatic is asked of `limits`; here stands what the
owner of the network wants.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from controller.domain.decision import State
from controller.domain.estate import Estate
from controller.domain.fence import Fence, FenceKind
from controller.domain.record import Attachment, Decision, Reason
from controller.domain.rulebook import Fences, Rulebook, strictest
from controller.domain.verdict import Evidence, Finding, Level, Verdict, score_of

NARROW = frozenset({FenceKind.FILTER_CLASS, FenceKind.BLOCK_ADDRESS, FenceKind.CUT_GUEST})
"""Fences that may be held while a person is asked: they touch one subject and nobody beside it."""


class Call(StrEnum):
    """What a verdict calls for."""

    NOTHING = "nothing"
    NOTICE = "notice"  # an incident note for people
    HOLD = "hold"  # contain: the narrowest fence for minutes, where the policy has a hold
    FENCE = "fence"


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the policy says of one verdict, and why."""

    call: Call
    reason: Reason


def rule(verdict: Verdict, rules: Rulebook) -> Ruling:
    """What the verdict calls for. Always has a reason, for nothing too."""
    score = f"score {verdict.score:.0f}"
    if verdict.finding is not Finding.OFFENDER:
        words = verdict.finding.value.replace("_", " ")
        text = f"{score}, but the finding is {words}: only an offender is fenced"
        return Ruling(Call.NOTHING, Reason("finding", False, text))
    if verdict.level >= Level.ISOLATE:
        return Ruling(Call.FENCE, Reason("score", True, f"{score} is at or above isolate ({rules.scoring.isolate:g})"))
    if verdict.level >= Level.CONTAIN and rules.fences.hold_s > 0:
        text = f"{score} is at or above contain ({rules.scoring.contain:g}): hold for {rules.fences.hold_s:g} s"
        return Ruling(Call.HOLD, Reason("score", True, text))
    if verdict.level >= Level.WATCH:
        return Ruling(Call.NOTICE, Reason("score", False, f"{score} is below isolate ({rules.scoring.isolate:g})"))
    return Ruling(Call.NOTHING, Reason("score", False, f"{score} is below watch ({rules.scoring.watch:g})"))


def mode_of(attachment: Attachment, fence: Fence | None, estate: Estate, rules: Rulebook) -> str:
    """The strictest of the policy's mode, the segment's and those of the devices that the fence touches."""
    segment = estate.segments.get(attachment.segment)
    devices = [estate.devices[name] for name in fence.devices if name in estate.devices] if fence else []
    return strictest(rules.mode, segment.mode if segment else "", *(device.mode for device in devices))


def compromised(evidence: Iterable[Evidence]) -> bool:
    """True when some of the evidence is of a break-in: such a decision ends when a person says so."""
    return any(one.compromise for one in evidence)


def strikes(attachments_before: Iterable[Decision]) -> int:
    """Which offence this is within probation, from the earlier decisions against the same attachment."""
    held = {State.RELEASED, State.ENFORCED, State.RELEASING, State.STUCK}
    return 1 + sum(1 for one in attachments_before if not one.simulated and one.state in held)


def ttl_ns(strike: int, fences: Fences) -> int:
    """How long the fence of the n-th offence stands: doubled with each, never above the policy's most."""
    seconds = fences.ttl_s
    for _ in range(strike - 1):
        if seconds >= fences.max_ttl_s:
            break
        seconds *= 2
    return int(min(seconds, fences.max_ttl_s) * 1e9)


def until_ns(verdict: Verdict, strike: int, fences: Fences) -> int:
    """Event time of the end: volume ends by itself; evidence of a break-in waits for a person (0)."""
    return 0 if compromised(verdict.evidence) else verdict.tick_end_ns + ttl_ns(strike, fences)


def extended_until_ns(decision: Decision, verdict: Verdict, fences: Fences) -> int:
    """The end after a further verdict: never earlier, 0 (a person) once there is evidence of a break-in.

    Moves only when a tenth of the time is gained, so that a loud subject does not write the ledger full.
    """
    if decision.until_ns == 0 or compromised(verdict.evidence):
        return 0
    later = verdict.tick_end_ns + ttl_ns(decision.strikes, fences)
    return later if later - decision.until_ns > ttl_ns(decision.strikes, fences) // 10 else decision.until_ns


def fresh_score(verdict: Verdict, *, since_ns: int) -> float:
    """The score from evidence seen after `since_ns`: what led to a fence that ended does not lead to the next one."""
    return score_of([one.force_at(verdict.tick_end_ns) for one in verdict.evidence if one.at_ns > since_ns])
