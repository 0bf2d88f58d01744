"""Fences around a whole segment: what they are made of, and the proposal by which people ask for one."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from controller.domain.crossing import Passage, Separation, separation
from controller.domain.decision import State
from controller.domain.errors import BadInput, UnknownSubject
from controller.domain.estate import Estate, Segment
from controller.domain.fence import Action, Effect, Entry, Fence, FenceKind, Leg, Slot, SlotKind
from controller.domain.record import Attachment, Decision, FenceRecord, LegRecord, Reason
from controller.domain.rulebook import Rulebook, strictest
from controller.domain.verdict import Finding, Level, Rates
from controller.planning import FIREWALL_SLOT


def behind_its_firewall(name: str, estate: Estate) -> Segment:
    """The segment of that name. Raises UnknownSubject, or BadInput where no firewall of its own stands before it."""
    segment = estate.segments.get(name)
    if segment is None:
        raise UnknownSubject(f"no segment is called {name[:80]!r}")
    if not segment.firewall:
        raise BadInput(f"segment {name} stands behind no firewall of its own in the site file")
    return segment


def separating(segment: Segment) -> Fence:
    """The wall around a segment with the crossings that its owner declared. Raises BadInput where none are declared."""
    if segment.crossings is None:
        raise BadInput(
            f"the site file does not say what may cross {segment.firewall}: segments.{segment.name}.crossings"
        )
    wall = separation(segment.prefixes, segment.crossings, segment.inside)
    slot = Slot(segment.firewall, SlotKind.SEGMENT, segment.name)
    words = "; ".join(one.why for one in segment.crossings if one.why) or f"{len(segment.crossings)} crossings"
    return Fence(
        kind=FenceKind.SEPARATE_SEGMENT,
        legs=(Leg(slot, Effect(separation=wall)),),
        why=f"of what {segment.name} sends and hears only this crosses {segment.firewall}: {words}",
    )


def isolating(segment: Segment, estate: Estate) -> Fence:
    """A segment closed in both directions at its firewall, and whom that touches."""
    entries = frozenset(Entry(Action.DROP, prefix, segment=segment.name) for prefix in segment.prefixes)
    tenants = sorted({host.tenant for host in estate.site.hosts if host.segment == segment.name and host.tenant})
    return Fence(
        kind=FenceKind.ISOLATE_SEGMENT,
        legs=(Leg(Slot(segment.firewall, SlotKind.FIREWALL, FIREWALL_SLOT), Effect(entries=entries)),),
        collateral=tuple(tenants),
        why=f"nothing crosses {segment.firewall} from or to {segment.name}",
    )


def proposal(
    fence: Fence, segment: Segment, *, estate: Estate, rules: Rulebook, ident: str, policy_digest: str, now_ns: int
) -> Decision:
    """A decision about a segment as people propose it: it rests on no evidence, and a person ends it."""
    mode = strictest(rules.mode, segment.mode, estate.devices[segment.firewall].mode)
    return Decision(
        id=ident,
        subject=subject_of_segment(fence, segment.name),
        state=State.PROPOSED,
        attachment=Attachment(
            host="",
            tenant="",
            segment=segment.name,
            ports=(),
            addresses=tuple(map(str, segment.prefixes)) if fence.kind is FenceKind.ISOLATE_SEGMENT else (),
            how=f"the site file puts {segment.name} behind {segment.firewall}",
        ),
        fences=(FenceRecord(fence, tuple(LegRecord(leg.slot) for leg in fence.legs)),),
        evidence=(),
        reasons=(Reason("fence", True, fence.why), Reason("mode", True, f"the strictest mode that applies is {mode}")),
        score=0.0,
        level=Level.CLEAR,
        finding=Finding.NO_NETWORK_CAUSE,
        rates=Rates(),
        mode=mode,
        simulated=mode == "dry-run",
        created_ns=now_ns,
        until_ns=0,
        policy_digest=policy_digest,
    )


def subject_of_segment(fence: Fence, name: str) -> str:
    """What a decision about a segment is against: one separation and another are two subjects."""
    walls = [leg.effect.separation for leg in fence.legs if leg.effect.separation is not None]
    if not walls:
        return f"segment:{name}"
    text = "\n".join(line for wall in walls for line in described(wall))
    return f"segment:{name}/{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def described(wall: Separation | None) -> tuple[str, ...]:
    """A separation in lines that people can compare, in a fixed order."""
    if wall is None:
        return ()
    prefixes = sorted(wall.prefixes, key=lambda one: (one.version, int(one.network_address), one.prefixlen))
    return (
        *(f"separated: {prefix}" for prefix in prefixes),
        *(f"separated: whatever enters by {name}" for name in sorted(wall.inside)),
        *(f"may cross: {passage}" for passage in sorted(wall.passages, key=Passage.sort_key)),
    )


def difference(held: Separation | None, wanted: Separation) -> tuple[str, ...]:
    """What would come (+) and go (-) on the firewall; empty when it holds what is wanted."""
    before, after = described(held), described(wanted)
    return (
        *(f"- {line}" for line in before if line not in after),
        *(f"+ {line}" for line in after if line not in before),
    )


def standing(live: Sequence[Decision], draft: Decision) -> tuple[Decision, ...]:
    """Live decisions of the draft's kind about its segment, rehearsed ones apart from the others, the oldest first."""
    kinds = {record.fence.kind for record in draft.fences}
    return tuple(
        one
        for one in live
        if one.attachment.segment == draft.attachment.segment
        and one.simulated == draft.simulated
        and {record.fence.kind for record in one.fences} == kinds
    )


def replacing(draft: Decision, old: Decision) -> Decision:
    """The draft, to be carried out in the place of another decision, which ends when this one stands."""
    return replace(draft, facts={**draft.facts, "replaces": old.id})
