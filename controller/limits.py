"""What keeps Cordon from becoming the outage: questions asked of every fence, at its proposal and again when applied.

Each answer is a reason in words. What is refused is not dropped: it waits for a person, who reads why. Some refusals
hold for people too (`ABSOLUTE`): whoever wants those fences has to change the site or policy file first.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from controller.domain.address import Address, Port, address_of, lies_in, prefix_of
from controller.domain.decision import State
from controller.domain.errors import BadInput
from controller.domain.estate import GATEWAYS, Estate, Expected, Host, PortRole
from controller.domain.fence import FenceKind, SlotKind
from controller.domain.record import Decision, Reason
from controller.domain.rulebook import Rulebook
from controller.domain.verdict import Evidence, Witness
from controller.locating import interfaces_at, same_place
from controller.planning import FAINT, PORT_WIDE, SERVICE

STANDING = frozenset({State.APPROVED, State.APPLYING, State.ENFORCED, State.RELEASING, State.STUCK})
"""States that count towards the blast radius: fenced, or about to be."""

VIRTUAL_MACS = ("00:00:5e:00:01:", "00:00:5e:00:02:", "00:00:0c:07:ac:", "00:00:0c:9f:f", "00:07:b4:")
"""Prefixes of virtual-router MACs: VRRP and CARP (RFC 9568, 7.3), HSRP versions 1 and 2, GLBP."""


class Rule(StrEnum):
    """Names of the questions, as they stand in a decision's reasons."""

    KILL_SWITCH = "kill-switch"
    NO_FENCE = "no-fence"
    ALLOW_LIST = "allow-list"
    LIFELINE = "lifeline"
    PORT_ROLE = "port-role"
    PROTECTED = "protected"
    TIED = "tied-to-a-port"
    SHARED_PORT = "shared-port"
    NEVER_ALONE = "never-automatic"
    TENANTS = "tenants"
    BLAST_RADIUS = "blast-radius"
    SENSOR = "sensor-sanity"
    CORROBORATION = "corroboration"
    FRESHNESS = "freshness"
    QUIET_HOURS = "quiet-hours"
    TRIED = "tried-before"


ABSOLUTE = frozenset({Rule.KILL_SWITCH, Rule.NO_FENCE, Rule.ALLOW_LIST, Rule.LIFELINE, Rule.PORT_ROLE})
"""Refusals that an approval does not lift."""


@dataclass(frozen=True, slots=True)
class Situation:
    """All that limits look at besides the decision. `now_ns` is event time."""

    estate: Estate
    rules: Rulebook
    now_ns: int
    live: tuple[Decision, ...] = ()
    recent: tuple[Decision, ...] = ()
    silent: frozenset[str] = frozenset()  # addresses of exporters that were heard before and are not now
    accused: Mapping[str, int] = field(default_factory=dict)  # subjects lately at isolate, by exporter
    killed: bool = False
    lifelines: frozenset[Address] = frozenset()  # addresses that Cordon itself lives on


def ask(decision: Decision, around: Situation) -> tuple[Reason, ...]:
    """Every question with its answer, refusals first. Pure."""
    questions = _OF_SEGMENTS if decision.of_segment else _QUESTIONS
    answers = [answer for question in questions for answer in question(decision, around)]
    return tuple(sorted(answers, key=lambda reason: reason.allows))


def refusals(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """What stands against acting without a person."""
    return tuple(reason for reason in reasons if not reason.allows)


def absolute(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """What stands against acting even with a person's approval."""
    return tuple(reason for reason in refusals(reasons) if reason.rule in ABSOLUTE)


def lifeline_ports(around: Situation) -> frozenset[Port]:
    """Ports that carry the controller, broker, ledger, collectors, devices' management, jump or forensics hosts."""
    return frozenset(port for host in around.estate.site.hosts if _is_lifeline(host, around) for port in host.ports)


def _kill_switch(_: Decision, around: Situation) -> Iterator[Reason]:
    if around.killed:
        yield Reason(Rule.KILL_SWITCH, False, "the kill switch is on: nothing new is fenced")


def _has_fence(decision: Decision, _: Situation) -> Iterator[Reason]:
    if not decision.fences:
        yield Reason(Rule.NO_FENCE, False, "no device upstream of what suffers can hold a fence against this subject")


def _allow_list(decision: Decision, around: Situation) -> Iterator[Reason]:
    who = decision.attachment
    for name in around.rules.limits.allow:
        if name in (who.host, who.tenant) or _covers(name, who.addresses):
            yield Reason(Rule.ALLOW_LIST, False, f"{name} is on the allow-list and is never fenced")


def _lifelines(decision: Decision, around: Situation) -> Iterator[Reason]:
    host = around.estate.hosts.get(decision.attachment.host)
    if host is not None and _is_lifeline(host, around):
        yield Reason(Rule.LIFELINE, False, f"Cordon or its forensics lives on {host.name}")
    carrying = lifeline_ports(around)
    for record in decision.fences:
        if record.fence.kind in PORT_WIDE:
            for leg in record.fence.legs:
                if Port(leg.slot.device, leg.slot.name) in carrying:
                    yield Reason(Rule.LIFELINE, False, f"{leg.slot} carries what Cordon itself needs")


def _segment(decision: Decision, around: Situation) -> Iterator[Reason]:
    segment = around.estate.segments.get(decision.attachment.segment)
    if segment is None:
        yield Reason(Rule.NO_FENCE, False, "its segment does not stand in the site file any more")
        return
    for host in around.estate.site.hosts:
        if host.segment == segment.name or any(lies_in(one, segment.prefixes) for one in host.addresses):
            if _is_lifeline(host, around):
                yield Reason(Rule.LIFELINE, False, f"Cordon or its forensics lives on {host.name}, in this segment")
            elif host.protected:
                yield Reason(Rule.PROTECTED, False, f"{host.name}, in this segment, is a {host.role.replace('_', ' ')}")
    for address in map(str, filter(lambda one: lies_in(one, segment.prefixes), around.lifelines)):
        yield Reason(Rule.LIFELINE, False, f"Cordon itself needs {address}, in this segment")


def _port_role(decision: Decision, around: Situation) -> Iterator[Reason]:
    slots = [
        leg.slot for record in decision.fences for leg in record.fence.legs if leg.slot.kind is not SlotKind.FIREWALL
    ]
    for slot in slots:
        found = interfaces_at(Port(slot.device, slot.name), around.estate)
        if not found:
            yield Reason(Rule.PORT_ROLE, False, f"{slot} does not stand in the site file")
        for one in found:
            if one.role is not PortRole.EDGE:
                yield Reason(Rule.PORT_ROLE, False, f"{slot} is {one.role}, not an edge port")


def _protected(decision: Decision, around: Situation) -> Iterator[Reason]:
    who, estate = decision.attachment, around.estate
    wide = any(record.fence.kind in PORT_WIDE for record in decision.fences)
    names = (*((who.host,) if who.host else ()), *(who.neighbours if wide or not who.host else ()))
    for host in (estate.hosts[name] for name in names if name in estate.hosts):
        if host.protected:
            yield Reason(Rule.PROTECTED, False, f"{host.name} is a {host.role.replace('_', ' ')}: a person decides")
        elif any(estate.is_protected(address) for address in host.addresses):
            yield Reason(Rule.PROTECTED, False, f"{host.name} has an address in a protected prefix")
    if who.mac:
        owner = estate.by_mac.get(who.mac)
        if owner is not None and owner.role in GATEWAYS:
            yield Reason(Rule.PROTECTED, False, f"MAC {who.mac} is that of {owner.name}, a gateway")
        if who.mac.startswith(VIRTUAL_MACS):
            yield Reason(Rule.PROTECTED, False, f"MAC {who.mac} is a virtual router's")


def _tied(decision: Decision, _: Situation) -> Iterator[Reason]:
    who = decision.attachment
    if not who.ports and who.guest is None:
        yield Reason(Rule.TIED, False, f"the estate ties {who.host or decision.subject} to no port")
    else:
        yield Reason(Rule.TIED, True, who.how)


def _shared_port(decision: Decision, _: Situation) -> Iterator[Reason]:
    for record in decision.fences:
        fence = record.fence
        if decision.attachment.shared and fence.kind in {FenceKind.SHUT, FenceKind.QUARANTINE}:
            text = f"{fence.kind} takes {len(decision.attachment.neighbours)} neighbours on the shared port along"
            yield Reason(Rule.SHARED_PORT, False, text)
        if fence.kind is FenceKind.THROTTLE and f"{SERVICE}storage" in fence.collateral:
            yield Reason(Rule.SHARED_PORT, False, "the port carries storage, which a throttle would starve")


def _never_alone(decision: Decision, around: Situation) -> Iterator[Reason]:
    for record in decision.fences:
        if record.fence.kind is FenceKind.SHUT and not around.rules.fences.automatic_shut:
            yield Reason(Rule.NEVER_ALONE, False, "the policy lets people only shut a port (fences.automatic_shut)")


def _people_only(decision: Decision, _: Situation) -> Iterator[Reason]:
    kinds = ", ".join(record.fence.kind.replace("_", " ") for record in decision.fences)
    yield Reason(Rule.NEVER_ALONE, False, f"{kinds}: {decision.approvals} different people have to approve it")


def _tenants(decision: Decision, around: Situation) -> Iterator[Reason]:
    most = around.rules.limits.blast.tenants_per_fence
    for record in decision.fences:
        touched = _touched(decision)
        if len(touched) > most:
            text = f"{record.fence.kind} touches {len(touched)} tenants where the policy has {most}"
            yield Reason(Rule.TENANTS, False, f"{text}: {', '.join(sorted(touched))}")


def _blast_radius(decision: Decision, around: Situation) -> Iterator[Reason]:
    blast, estate = around.rules.limits.blast, around.estate
    standing = [
        one
        for one in around.live
        if one.id != decision.id
        and one.state in STANDING
        and one.simulated <= decision.simulated
        and not one.of_segment
    ]
    yield _within(len(standing) + 1, blast.global_subjects, "subjects in the whole network")
    window_ns = int(blast.window_s * 1e9)
    lately = [
        one
        for one in around.recent
        if one.id != decision.id
        and one.created_ns > around.now_ns - window_ns
        and one.state in STANDING | {State.RELEASED}
        and one.simulated <= decision.simulated
        and not one.of_segment
    ]
    yield _within(len(lately) + 1, blast.per_window, f"new fences within {blast.window_s:g} s")
    for device in sorted(_devices(decision)):
        yield _within(1 + sum(device in _devices(one) for one in standing), blast.per_device, f"subjects on {device}")
    segment = decision.attachment.segment
    if segment:
        hosts = [host for host in estate.site.hosts if host.segment == segment]
        inside = [one for one in standing if one.attachment.segment == segment]
        most = max(1, math.ceil(blast.per_segment_share * len(hosts)))
        yield _within(len(inside) + 1, most, f"subjects of {len(hosts)} in segment {segment}")
        tenants = {host.tenant for host in hosts}
        most = max(1, math.ceil(blast.per_segment_share * len(tenants)))
        touched = _touched(decision).union(*map(_touched, inside))
        yield _within(len(touched), most, f"tenants of {len(tenants)} in segment {segment}")


def _sensor(decision: Decision, around: Situation) -> Iterator[Reason]:
    """One sensor that accuses a crowd at once may be mad: the lesson of balancers that trusted one signal."""
    blast = around.rules.limits.blast
    for source in sorted({one.source for one in decision.evidence if one.witness is Witness.FLOW}):
        address = _address(source)
        device = around.estate.exporters.get(address) if address else None
        if device is None:
            continue
        behind = sum(1 for _ in around.estate.behind(device.name))
        most = max(blast.per_device, math.ceil(blast.per_segment_share * behind))
        number = around.accused.get(source, 0)
        if number > most:
            text = f"exporter {source} ({device.name}) accuses {number} of {behind} hosts at once: it may be the sensor"
            yield Reason(Rule.SENSOR, False, text)


def _corroboration(decision: Decision, around: Situation) -> Iterator[Reason]:
    policy = around.rules.limits.corroboration
    heard = [
        one for one in decision.evidence if one.force_at(tick_ns(decision)) > FAINT and _counts(one, decision, around)
    ]
    trusted = {one.source for one in heard if one.witness is Witness.FLOW and _trusted(one.source, around)}
    kinds = sorted({one.witness.value for one in heard})
    witnesses = {(one.witness, one.source) for one in heard}
    names = ", ".join(sorted(f"{kind} {source}" for kind, source in witnesses)) or "nobody that counts"
    if trusted:
        enough = len(witnesses) >= policy.witnesses
        text = (
            f"{len(witnesses)} witnesses ({names}), a trusted exporter among them; the policy wants {policy.witnesses}"
        )
    else:
        enough = len(kinds) >= policy.kinds_without_trusted_flow
        need = policy.kinds_without_trusted_flow
        text = f"no trusted exporter among the witnesses ({names}): {len(kinds)} kinds where the policy wants {need}"
    yield Reason(Rule.CORROBORATION, enough, text)


def _freshness(decision: Decision, around: Situation) -> Iterator[Reason]:
    limits = around.rules.limits
    age = (around.now_ns - tick_ns(decision)) / 1e9
    if age > limits.verdict_max_age_s:
        text = f"the verdict is {age:.0f} s old where the policy allows {limits.verdict_max_age_s:g}"
        yield Reason(Rule.FRESHNESS, False, text)
    flows = [one for one in decision.evidence if one.witness is Witness.FLOW]
    if flows:
        oldest = (tick_ns(decision) - max(one.at_ns for one in flows)) / 1e9
        if oldest > limits.sensor_max_age_s:
            text = f"no sensor spoke for {oldest:.0f} s where the policy allows {limits.sensor_max_age_s:g}"
            yield Reason(Rule.FRESHNESS, False, text)
        if all(one.source in around.silent for one in flows):
            yield Reason(Rule.FRESHNESS, False, f"exporter {flows[0].source} has fallen silent")


def _quiet_hours(_: Decision, around: Situation) -> Iterator[Reason]:
    minute = around.now_ns // 60_000_000_000 % 1440
    for quiet in around.rules.limits.quiet:
        window = Expected("quiet", (), from_minute=quiet.from_minute, until_minute=quiet.until_minute)
        if window.covers(minute):
            yield Reason(Rule.QUIET_HOURS, False, f"minute {minute} of the UTC day is in quiet hours")


def _tried(decision: Decision, around: Situation) -> Iterator[Reason]:
    since = around.now_ns - int(around.rules.limits.retry_after_s * 1e9)
    for one in around.recent:
        if (
            one.id != decision.id
            and one.state in {State.FAILED, State.REJECTED, State.STUCK}
            and one.created_ns > since
            and not {"unsuitable", "interrupted"} & set(one.facts)
            and same_place(one.attachment, decision.attachment)
        ):
            yield Reason(Rule.TRIED, False, f"decision {one.id} against the same subject {one.state} before")


_QUESTIONS: tuple[Callable[[Decision, Situation], Iterator[Reason]], ...] = (
    _kill_switch,
    _has_fence,
    _allow_list,
    _lifelines,
    _port_role,
    _protected,
    _tied,
    _shared_port,
    _never_alone,
    _tenants,
    _blast_radius,
    _sensor,
    _corroboration,
    _freshness,
    _quiet_hours,
    _tried,
)


_OF_SEGMENTS = (_kill_switch, _allow_list, _segment, _people_only)
"""A fence around a segment rests on no evidence and is nobody's but people's."""


def tick_ns(decision: Decision) -> int:
    """Event time of the last verdict that the decision took in."""
    tail = decision.verdict_id.rpartition("@")[2]
    return int(tail) if tail.isdigit() else decision.created_ns


def _within(number: int, most: int, of: str) -> Reason:
    return Reason(Rule.BLAST_RADIUS, number <= most, f"this would make {number} {of}; the policy has {most}")


def _devices(decision: Decision) -> frozenset[str]:
    return frozenset(device for record in decision.fences for device in record.fence.devices)


def _touched(decision: Decision) -> frozenset[str]:
    beside = {name for record in decision.fences for name in record.fence.collateral if not name.startswith(SERVICE)}
    return frozenset(beside | ({decision.attachment.tenant} if decision.attachment.tenant else set()))


def _counts(evidence: Evidence, decision: Decision, around: Situation) -> bool:
    """A tenant's own log speaks of that tenant only; everybody else has to be a declared sensor of ours."""
    address = _address(evidence.source)
    if address is None:
        return False
    if evidence.witness in {Witness.ACCESS_LOG, Witness.HOST_LOG}:
        owner = next(
            (host for host in around.estate.site.hosts if address in (*host.log_addresses, *host.addresses)), None
        )
        return owner is not None and owner.tenant == decision.attachment.tenant
    declared = any(address in source.exporters for source in around.estate.site.sources)
    return declared or _trusted(evidence.source, around)


def _trusted(source: str, around: Situation) -> bool:
    address = _address(source)
    if address is None or source in around.silent:
        return False
    return lies_in(address, around.estate.site.management) or address in around.estate.exporters


def _is_lifeline(host: Host, around: Situation) -> bool:
    management = around.estate.site.management
    return any(one in around.lifelines or lies_in(one, management) for one in host.addresses) or host.role.value in {
        "forensics",
        "management",
    }


def _covers(name: str, prefixes: tuple[str, ...]) -> bool:
    try:
        allowed = prefix_of(name)
    except BadInput:
        return False
    return any(allowed.version == theirs.version and allowed.overlaps(theirs) for theirs in map(prefix_of, prefixes))


def _address(text: str) -> Address | None:
    try:
        return address_of(text)
    except BadInput:
        return None
