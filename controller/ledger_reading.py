"""The ledger as people read it: lists with filters and pages, the proof of the chain, the projections of Kafka.

Nothing here writes. A page is (how many there are in all, those on the page).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import Select, func, select
from sqlmodel import Session, col

from controller.domain.decision import GENESIS, Move, first_break
from controller.domain.record import Decision, Request, Spoken
from controller.domain.verdict import Evidence, Level, Verdict
from controller.domain.wire import DeadLetter, Heartbeat, heartbeat_from, verdict_from
from controller.ledger_codec import from_text
from controller.ledger_database import Database
from controller.ledger_projection import plain
from controller.ledger_rows import move_of, request_of
from controller.ledger_tables import (
    ChainRow,
    DeadCountRow,
    DeadLetterRow,
    DecisionRow,
    EvidenceRow,
    HeartbeatRow,
    HostRow,
    LegRow,
    MoveRow,
    PageRow,
    RequestRow,
    SwitchRow,
    TranscriptRow,
)

Row = TypeVar("Row")


class Order(StrEnum):
    """In which order decisions are listed."""

    NEWEST = "newest"
    OLDEST = "oldest"
    WORST = "worst"  # highest score first
    SOONEST = "soonest"  # those that end next; those without an end last


@dataclass(frozen=True, slots=True)
class Filter:
    """Which decisions; what is empty or None does not filter. Times are event time ns, `until_ns` exclusive."""

    states: tuple[str, ...] = ()
    live: bool | None = None
    simulated: bool | None = None
    subject: str = ""
    host: str = ""
    segment: str = ""
    tenant: str = ""
    device: str = ""
    incident: str = ""
    since_ns: int | None = None
    until_ns: int | None = None
    min_score: float | None = None


@dataclass(frozen=True, slots=True)
class MoveFilter:
    """Which moves; what is empty or None does not filter."""

    decision_id: str = ""
    actor: str = ""
    by: str = ""
    since_ns: int | None = None
    until_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """What a walk along the whole chain found. `broken_at` is the first move that does not follow from those before."""

    moves: int
    head: str
    broken_at: int | None

    @property
    def whole(self) -> bool:
        """True when no move was changed, removed or put in since it was made."""
        return self.broken_at is None


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn of the kill switch."""

    state: str = "off"
    actor: str = ""
    why: str = ""
    at_ns: int = 0


@dataclass(frozen=True, slots=True)
class Alarm:
    """A page to a person."""

    id: int
    what: str
    about: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class Incident:
    """Decisions that belong together: one host again and again, or several behind the same symptoms. Oldest first."""

    id: str
    decisions: tuple[Decision, ...] = field(default=())

    @property
    def again(self) -> tuple[str, ...]:
        """Hosts (subjects, where no host is known) that were loud more than once."""
        names = [one.attachment.host or one.subject for one in self.decisions]
        return tuple(name for name in dict.fromkeys(names) if names.count(name) > 1)

    @property
    def symptoms(self) -> tuple[str, ...]:
        """Device symptoms that the decisions explain."""
        return tuple(dict.fromkeys(text for one in self.decisions for text in one.explains))


class Reading:
    """Questions about a ledger. Each is one transaction and may raise LedgerUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def decisions(
        self, wanted: Filter, *, order: Order = Order.NEWEST, limit: int = 50, offset: int = 0
    ) -> tuple[int, tuple[Decision, ...]]:
        """Decisions that pass a filter."""
        found = select(DecisionRow).where(*_decision_terms(wanted)).order_by(*_ORDERS[order], col(DecisionRow.id))
        with self._database.reading() as session:
            total, rows = _page(session, found, limit, offset)
            return total, tuple(from_text(row.document, Decision) for row in rows)

    def evidence(self, decision_id: str) -> tuple[Evidence, ...]:
        """All that a decision ever rested on, oldest first: at most one finding a second from each source."""
        found = (
            select(EvidenceRow)
            .where(col(EvidenceRow.decision_id) == plain(decision_id))
            .order_by(col(EvidenceRow.second), col(EvidenceRow.detector), col(EvidenceRow.source))
        )
        with self._database.reading() as session:
            return tuple(from_text(row.document, Evidence) for row in session.scalars(found))

    def moves(self, wanted: MoveFilter, *, limit: int = 50, offset: int = 0) -> tuple[int, tuple[Move, ...]]:
        """Moves that pass a filter, newest first."""
        terms: list[Any] = []
        if wanted.decision_id:
            terms.append(col(MoveRow.decision_id) == plain(wanted.decision_id))
        if wanted.actor:
            terms.append(col(MoveRow.actor) == plain(wanted.actor))
        if wanted.by:
            terms.append(col(MoveRow.by) == plain(wanted.by))
        terms += _between(col(MoveRow.at_ns), wanted.since_ns, wanted.until_ns)
        found = select(MoveRow).where(*terms).order_by(col(MoveRow.sequence).desc())
        with self._database.reading() as session:
            total, rows = _page(session, found, limit, offset)
            return total, tuple(move_of(row) for row in rows)

    def stretch(self, first: int, last: int) -> tuple[Move, ...]:
        """All moves from one sequence number to another, both of them too."""
        found = select(MoveRow).where(col(MoveRow.sequence) >= first, col(MoveRow.sequence) <= last)
        with self._database.reading() as session:
            return tuple(move_of(row) for row in session.scalars(found.order_by(col(MoveRow.sequence))))

    def chain(self) -> Chain:
        """Walk the whole chain from the first move to the head. Takes about 10 µs a move."""
        with self._database.reading() as session:
            head = session.scalars(select(ChainRow)).one()
            walk = _Walk(session, head.sequence)
            broken = first_break(walk)
            if broken is None and (walk.sequence, walk.hash) != (head.sequence, head.hash):
                broken = walk.sequence + 1
            return Chain(moves=head.sequence, head=head.hash, broken_at=broken)

    def hosts(
        self, *, level: Level = Level.CLEAR, min_score: float = 0.0, limit: int = 50, offset: int = 0
    ) -> tuple[int, tuple[Verdict, ...]]:
        """The newest verdict on each subject, the worst first: all above watch, and the loudest of the others."""
        found = (
            select(HostRow)
            .where(col(HostRow.level) >= int(level), col(HostRow.score) >= min_score)
            .order_by(col(HostRow.score).desc(), col(HostRow.subject))
        )
        with self._database.reading() as session:
            total, rows = _page(session, found, limit, offset)
            return total, tuple(verdict_from(row.document.encode()) for row in rows)

    def verdicts(self, subjects: Sequence[str]) -> tuple[Verdict, ...]:
        """The newest verdict on each of these subjects, as far as there is one."""
        found = select(HostRow).where(col(HostRow.subject).in_([plain(one) for one in subjects]))
        with self._database.reading() as session:
            rows = session.scalars(found.order_by(col(HostRow.score).desc()))
            return tuple(verdict_from(row.document.encode()) for row in rows)

    def heartbeats(self) -> tuple[Heartbeat, ...]:
        """The newest heartbeat of every process."""
        found = select(HeartbeatRow).order_by(col(HeartbeatRow.process), col(HeartbeatRow.instance))
        with self._database.reading() as session:
            return tuple(heartbeat_from(row.document.encode()) for row in session.scalars(found))

    def dead_letters(self, *, reason: str = "", limit: int = 50, offset: int = 0) -> tuple[int, tuple[DeadLetter, ...]]:
        """Dead letters that are still kept whole, newest first, by what their reason begins with."""
        found = select(DeadLetterRow).order_by(col(DeadLetterRow.id).desc())
        if reason:
            found = found.where(col(DeadLetterRow.reason).startswith(plain(reason), autoescape=True))
        with self._database.reading() as session:
            total, rows = _page(session, found, limit, offset)
            return total, tuple(
                DeadLetter(
                    source=row.source,
                    reason=row.reason,
                    at_ns=row.at_ns,
                    length=row.length,
                    sha256=row.sha256,
                    kept=row.kept,
                    count=row.count,
                )
                for row in rows
            )

    def dead_counts(self) -> dict[str, tuple[int, int]]:
        """By kind of reason, how many letters and how many records there ever were."""
        with self._database.reading() as session:
            rows = session.scalars(select(DeadCountRow).order_by(col(DeadCountRow.records).desc()))
            return {row.reason: (row.letters, row.records) for row in rows}

    def transcripts(self, decision_id: str) -> tuple[Spoken, ...]:
        """What was said to devices for a decision, in the order in which it was written down."""
        found = select(TranscriptRow).where(col(TranscriptRow.decision_id) == plain(decision_id))
        with self._database.reading() as session:
            return tuple(
                from_text(row.document, Spoken) for row in session.scalars(found.order_by(col(TranscriptRow.id)))
            )

    def requests(
        self, *, kinds: Sequence[str] = (), answered: bool | None = None, limit: int = 50, offset: int = 0
    ) -> tuple[int, tuple[Request, ...]]:
        """What people asked of the controller, newest first."""
        found = select(RequestRow).order_by(col(RequestRow.at_ns).desc(), col(RequestRow.id))
        if kinds:
            found = found.where(col(RequestRow.kind).in_(kinds))
        if answered is not None:
            found = found.where(col(RequestRow.answered_ns) > 0 if answered else col(RequestRow.answered_ns) == 0)
        with self._database.reading() as session:
            total, rows = _page(session, found, limit, offset)
            return total, tuple(request_of(row) for row in rows)

    def alarms(self, *, limit: int = 50, offset: int = 0) -> tuple[int, tuple[Alarm, ...]]:
        """Pages to people, newest first."""
        found = select(PageRow).order_by(col(PageRow.id).desc())
        with self._database.reading() as session:
            total, rows = _page(session, found, limit, offset)
            return total, tuple(Alarm(id=row.id or 0, what=row.what, about=row.about, at_ns=row.at_ns) for row in rows)

    def switch(self) -> Turn:
        """The last turn of the kill switch; one that was never turned is off."""
        with self._database.reading() as session:
            row = session.scalars(select(SwitchRow).order_by(col(SwitchRow.id).desc()).limit(1)).first()
            return Turn(row.state, row.actor, row.why, row.at_ns) if row else Turn()

    def incidents(self, *, limit: int = 50, offset: int = 0) -> tuple[int, tuple[Incident, ...]]:
        """Incidents, the one with the newest decision first."""
        named = col(DecisionRow.incident) != ""
        found = (
            select(col(DecisionRow.incident))
            .where(named)
            .group_by(col(DecisionRow.incident))
            .order_by(func.max(col(DecisionRow.created_ns)).desc(), col(DecisionRow.incident))
        )
        with self._database.reading() as session:
            total, names = _page(session, found, limit, offset)
            return total, tuple(self._incident(session, name) for name in names)

    def incident(self, incident_id: str) -> Incident | None:
        """One incident; None when no decision belongs to it."""
        with self._database.reading() as session:
            found = self._incident(session, incident_id)
        return found if found.decisions else None

    def _incident(self, session: Session, incident_id: str) -> Incident:
        rows = session.scalars(
            select(DecisionRow)
            .where(col(DecisionRow.incident) == plain(incident_id))
            .order_by(col(DecisionRow.created_ns), col(DecisionRow.id))
        )
        return Incident(id=incident_id, decisions=tuple(from_text(row.document, Decision) for row in rows))


_ORDERS: dict[Order, tuple[Any, ...]] = {
    Order.NEWEST: (col(DecisionRow.created_ns).desc(),),
    Order.OLDEST: (col(DecisionRow.created_ns),),
    Order.WORST: (col(DecisionRow.score).desc(), col(DecisionRow.created_ns).desc()),
    Order.SOONEST: (col(DecisionRow.until_ns) == 0, col(DecisionRow.until_ns)),
}


class _Walk:
    """All moves up to a sequence number in order, a thousand at a time; remembers the last that it gave."""

    def __init__(self, session: Session, until: int) -> None:
        self._session, self._until = session, until
        self.sequence, self.hash = 0, GENESIS

    def __iter__(self) -> Iterator[Move]:
        while rows := self._next():
            for row in rows:
                self.sequence, self.hash = row.sequence, row.hash
                yield move_of(row)

    def _next(self) -> Sequence[MoveRow]:
        ahead = col(MoveRow.sequence) > self.sequence
        found = select(MoveRow).where(ahead, col(MoveRow.sequence) <= self._until)
        return self._session.scalars(found.order_by(col(MoveRow.sequence)).limit(1_000)).all()


def _page(session: Session, found: Select[Row], limit: int, offset: int) -> tuple[int, Sequence[Row]]:
    total = session.scalars(select(func.count()).select_from(found.order_by(None).subquery())).one()
    return total, session.scalars(found.limit(limit).offset(offset)).all()


def _between(column: Any, since_ns: int | None, until_ns: int | None) -> list[Any]:
    terms = []
    if since_ns is not None:
        terms.append(column >= since_ns)
    if until_ns is not None:
        terms.append(column < until_ns)
    return terms


def _decision_terms(wanted: Filter) -> list[Any]:
    exact = {
        DecisionRow.subject: wanted.subject,
        DecisionRow.host: wanted.host,
        DecisionRow.segment: wanted.segment,
        DecisionRow.tenant: wanted.tenant,
        DecisionRow.incident: wanted.incident,
    }
    terms: list[Any] = [col(column) == plain(text) for column, text in exact.items() if text]
    if wanted.states:
        terms.append(col(DecisionRow.state).in_(wanted.states))
    if wanted.live is not None:
        terms.append(col(DecisionRow.live).is_(wanted.live))
    if wanted.simulated is not None:
        terms.append(col(DecisionRow.simulated).is_(wanted.simulated))
    if wanted.device:
        on_device = select(col(LegRow.decision_id)).where(col(LegRow.device) == plain(wanted.device))
        terms.append(col(DecisionRow.id).in_(on_device))
    if wanted.min_score is not None:
        terms.append(col(DecisionRow.score) >= wanted.min_score)
    return terms + _between(col(DecisionRow.created_ns), wanted.since_ns, wanted.until_ns)
