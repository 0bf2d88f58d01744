"""Why Cordon does with a host what it does, in sentences that a person on the telephone can read out. Pure."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from api.people import Person, ports_of
from api.timeline import EFFECTS
from controller.domain.address import subject_text
from controller.domain.decision import ENDED, State
from controller.domain.record import Decision
from controller.domain.verdict import Finding, Verdict

STATES = {
    State.PROPOSED: "waits for a person to approve it",
    State.APPROVED: "is approved and about to be carried out",
    State.APPLYING: "is being carried out",
    State.ENFORCED: "is enforced",
    State.RELEASING: "is being released",
    State.RELEASED: "was released",
    State.REJECTED: "was rejected",
    State.LAPSED: "lapsed",
    State.FAILED: "failed, and what was changed was taken back",
    State.STUCK: "is stuck: what the devices hold is not known, and a person was paged",
}

FINDINGS = {
    Finding.OFFENDER: "an offender",
    Finding.VICTIM: "a victim: it answers traffic that others send",
    Finding.LOOP: "part of a layer-2 loop",
    Finding.GATEWAY: "a gateway that carries others' traffic",
    Finding.EXPECTED: "busy with traffic that is expected",
    Finding.NO_NETWORK_CAUSE: "not the cause of anything that the network shows",
}


def clock(at_ns: int) -> str:
    """A time for people, UTC."""
    return datetime.fromtimestamp(at_ns // 1_000_000_000, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def explained(who: Person, verdicts: Sequence[Verdict], decisions: Sequence[Decision]) -> list[str]:
    """What is known of a host, from who it is to what will happen next. `decisions` newest first."""
    live = next((one for one in decisions if one.state not in ENDED), None)
    return [*_identity(who), *_now(verdicts), *_decided(live or next(iter(decisions), None)), *_before(decisions, live)]


def _identity(who: Person) -> Iterator[str]:
    if who.host is None:
        where = f" ({ports_of(who.subject)})" if who.subject and ports_of(who.subject) else ""
        yield f"{who.asked}{where} is no host of the estate."
        return
    host = who.host
    ports = ", ".join(str(port) for port in host.ports) or "no known port"
    yield f"{host.name} ({host.role.value}, tenant {host.tenant}) hangs on {ports}."
    if host.protected:
        yield f"Its role, {host.role.value}, is protected: no automatic fence may name it."


def _now(verdicts: Sequence[Verdict]) -> Iterator[str]:
    if not verdicts:
        yield "The streams say nothing of it now."
    for one in verdicts:
        yield (
            f"At {clock(one.tick_end_ns)} its score as {subject_text(one.subject)} was {one.score:.0f} of 100 "
            f"({one.level.name.lower()}); it is taken to be {FINDINGS[one.finding]}."
        )
        yield from (f"Evidence ({item.witness.value}, {item.source}): {item.text}." for item in one.evidence)


def _decided(decision: Decision | None) -> Iterator[str]:
    if decision is None:
        yield "Nothing was decided about it."
        return
    kinds = ", ".join(record.fence.kind.value for record in decision.fences) or "no fence"
    shadow = " as a dry run" if decision.simulated else ""
    yield f"Decision {decision.id} of {clock(decision.created_ns)} ({kinds}{shadow}) {STATES[decision.state]}."
    for record in decision.fences:
        if record.fence.why:
            yield f"{record.fence.kind.value}: {record.fence.why}."
    for reason in decision.reasons:
        yield f"{'Allowed' if reason.allows else 'Not allowed'} by {reason.rule}: {reason.text}."
    if decision.attachment.shared and decision.attachment.neighbours:
        yield f"{len(decision.attachment.neighbours)} others hang on the same port."
    if decision.effect:
        yield f"Behind the fence {EFFECTS.get(decision.effect, decision.effect)}."
    if decision.state is State.ENFORCED:
        yield f"It ends at {clock(decision.until_ns)}." if decision.until_ns else "It ends when a person releases it."


def _before(decisions: Sequence[Decision], live: Decision | None) -> Iterator[str]:
    newest = live or next(iter(decisions), None)
    earlier = [one for one in decisions if one is not newest]
    if earlier:
        times = ", ".join(clock(one.created_ns) for one in earlier)
        yield f"It was loud before: {times}."
