"""Domain values as rows and back, where a row is more than a document."""

from enum import StrEnum
from typing import TypeVar, cast

from controller.domain.decision import ENDED, By, Move, State
from controller.domain.record import Decision, Request, RequestKind
from controller.ledger_codec import to_text
from controller.ledger_projection import SECOND, plain
from controller.ledger_tables import DecisionRow, EvidenceRow, LegRow, MoveRow, RequestRow

Word = TypeVar("Word", bound=StrEnum)


def move_of(row: MoveRow) -> Move:
    """The move in a row, as it stands there: a word that is no move or state is kept, for the audit to show."""
    return Move(
        sequence=row.sequence,
        decision_id=row.decision_id,
        by=_word(By, row.by),
        before=_word(State, row.before) if row.before else None,
        after=_word(State, row.after),
        at_ns=row.at_ns,
        actor=row.actor,
        why=row.why,
        previous=row.previous,
        hash=row.hash,
    )


def _word(kind: type[Word], text: str) -> Word:
    return kind(text) if text in kind.__members__.values() else cast("Word", text)


def request_of(row: RequestRow) -> Request:
    """The request in a row."""
    return Request(
        id=row.id,
        kind=RequestKind(row.kind),
        actor=row.actor,
        why=row.why,
        at_ns=row.at_ns,
        about=row.about,
        answer=row.answer,
        answered_ns=row.answered_ns,
        decision_id=row.decision_id,
    )


def decision_row(decision: Decision) -> DecisionRow:
    """The row of a decision: the whole of it as a document, and beside that what is searched for."""
    return DecisionRow(
        id=decision.id,
        subject=plain(decision.subject),
        host=plain(decision.attachment.host),
        tenant=plain(decision.attachment.tenant),
        segment=plain(decision.attachment.segment),
        state=decision.state.value,
        live=decision.state not in ENDED,
        simulated=decision.simulated,
        mode=plain(decision.mode),
        score=decision.score,
        created_ns=decision.created_ns,
        until_ns=decision.until_ns,
        incident=plain(decision.incident),
        verdict_id=plain(decision.verdict_id),
        version=decision.version,
        document=to_text(decision),
    )


def leg_rows(decision: Decision) -> list[LegRow]:
    """A row for each leg of a decision, in order."""
    legs = [(record.fence.kind, leg) for record in decision.fences for leg in record.legs]
    return [
        LegRow(
            decision_id=decision.id,
            position=position,
            fence=kind.value,
            device=plain(leg.slot.device),
            slot=plain(str(leg.slot)),
            state=leg.state.value,
            verified_ns=leg.verified_ns,
        )
        for position, (kind, leg) in enumerate(legs)
    ]


def evidence_rows(decision: Decision) -> list[EvidenceRow]:
    """A row for each finding that a decision rests on now."""
    return [
        EvidenceRow(
            decision_id=decision.id,
            detector=plain(one.detector),
            source=plain(one.source),
            traffic=one.traffic.value,
            second=one.at_ns // SECOND,
            document=to_text(one),
        )
        for one in decision.evidence
    ]
