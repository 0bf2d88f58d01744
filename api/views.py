"""Domain values as documents. Pure."""

from collections.abc import Sequence

from api.people import owner
from api.schemas.decisions import (
    AttachmentOut,
    DecisionDetail,
    DecisionSummary,
    EvidenceOut,
    FenceOut,
    IncidentOut,
    LegOut,
    MoveOut,
    RatesOut,
    ReasonOut,
)
from api.schemas.network import HostOut, VerdictOut
from api.timeline import timeline
from controller.domain.address import subject_text
from controller.domain.decision import Move
from controller.domain.estate import Estate, Host
from controller.domain.record import Decision
from controller.domain.verdict import Verdict
from controller.ledger_reading import Incident


def summary(decision: Decision) -> DecisionSummary:
    """A decision as it stands in a list."""
    return DecisionSummary.model_validate(_summary_fields(decision))


def detail(decision: Decision, moves: Sequence[Move]) -> DecisionDetail:
    """A decision with everything that led to it and came of it."""
    return DecisionDetail.model_validate(
        {
            **_summary_fields(decision),
            "attachment": AttachmentOut.model_validate(decision.attachment),
            "plan": [
                FenceOut(
                    kind=record.fence.kind,
                    traffic=record.fence.traffic,
                    collateral=list(record.fence.collateral),
                    why=record.fence.why,
                    legs=[LegOut.model_validate(leg) for leg in record.legs],
                )
                for record in decision.fences
            ],
            "evidence": [EvidenceOut.model_validate(one) for one in decision.evidence],
            "reasons": [ReasonOut.model_validate(one) for one in decision.reasons],
            "rates": RatesOut.model_validate(decision.rates),
            "explains": decision.explains,
            "policy_digest": decision.policy_digest,
            "scorer_digest": decision.scorer_digest,
            "verdict_id": decision.verdict_id,
            "facts": dict(decision.facts),
            "moves": [MoveOut.model_validate(move) for move in moves],
            "timeline": timeline(decision, moves),
        }
    )


def _summary_fields(decision: Decision) -> dict[str, object]:
    where = decision.attachment
    own = (
        "id",
        "subject",
        "state",
        "mode",
        "simulated",
        "level",
        "score",
        "finding",
        "created_ns",
        "until_ns",
        "first_bad_ns",
        "proposed_wall_ns",
        "verified_wall_ns",
        "effect",
        "incident",
        "strikes",
        "compromise",
        "approvals",
        "version",
    )
    return {
        **{name: getattr(decision, name) for name in own},
        "host": where.host,
        "tenant": where.tenant,
        "segment": where.segment,
        "addresses": list(where.addresses),
        "ports": [str(port) for port in where.ports],
        "fences": [record.fence.kind for record in decision.fences],
        "devices": list(dict.fromkeys(name for record in decision.fences for name in record.fence.devices)),
    }


def verdict_out(verdict: Verdict, estate: Estate) -> VerdictOut:
    """A verdict, and who its subject is."""
    host = owner(estate, verdict.subject)
    return VerdictOut(
        subject=subject_text(verdict.subject),
        host=host.name if host else "",
        tenant=host.tenant if host else "",
        segment=host.segment if host else "",
        role=host.role.value if host else "",
        score=round(verdict.score, 1),
        level=verdict.level.name.lower(),
        finding=verdict.finding,
        at_ns=verdict.tick_end_ns,
        first_bad_ns=verdict.first_bad_ns,
        evidence=[EvidenceOut.model_validate(one) for one in verdict.evidence],
        rates=RatesOut.model_validate(verdict.rates),
        peers=list(verdict.peers),
        explains=list(verdict.explains),
        exporter=verdict.exporter,
        interface=verdict.interface,
        mac=verdict.mac,
    )


def host_out(host: Host) -> HostOut:
    """A host of the estate."""
    return HostOut(
        name=host.name,
        tenant=host.tenant,
        role=host.role.value,
        segment=host.segment,
        addresses=[str(one) for one in host.addresses],
        prefixes=[str(one) for one in host.prefixes],
        mac=host.mac,
        ports=[str(one) for one in host.ports],
        guest=str(host.guest) if host.guest else None,
        protected=host.protected,
    )


def incident_out(incident: Incident) -> IncidentOut:
    """Decisions that belong together, and who was loud more than once."""
    times = [one.created_ns for one in incident.decisions]
    return IncidentOut(
        id=incident.id,
        first_ns=min(times),
        last_ns=max(times),
        hosts=list(dict.fromkeys(one.attachment.host or one.subject for one in incident.decisions)),
        again=list(incident.again),
        symptoms=list(incident.symptoms),
        decisions=[summary(one) for one in incident.decisions],
    )
