"""What came from Kafka, projected into tables for everybody who has no Kafka: verdicts, heartbeats, dead letters."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import and_, delete, func, or_, select, update
from sqlmodel import Session, col

from controller.domain.address import subject_text
from controller.domain.verdict import Level, Verdict
from controller.domain.wire import DeadLetter, Heartbeat, heartbeat_json, verdict_json
from controller.ledger_database import Database
from controller.ledger_tables import DeadCountRow, DeadLetterRow, HeartbeatRow, HostRow

SECOND = 1_000_000_000
DAY = 86_400 * SECOND

QUIET_HOSTS = 200  # subjects below watch that are kept, by score
KEPT_DEAD_LETTERS = 1_000
KEPT_REASONS = 500
OTHER_REASONS = "other reasons"
MOST_RECORDS = 10**9  # that one dead letter may claim to have cost


def plain(text: str, limit: int = 2_000) -> str:
    """Text that every database takes: no NUL, no lone surrogates, not endless."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")[:limit]


def take_verdicts(database: Database, session: Session, verdicts: Sequence[Verdict]) -> None:
    """Keep the newest verdict on each subject: at once when its level changes, else at most one a second."""
    newest = {subject_text(one.subject): one for one in sorted(verdicts, key=lambda one: one.tick_end_ns)}
    rows = [
        HostRow(
            subject=plain(subject),
            level=int(one.level),
            score=one.score,
            finding=one.finding.value,
            at_ns=one.tick_end_ns,
            document=verdict_json(one).decode(),
        )
        for subject, one in newest.items()
    ]
    if not rows:
        return
    database.put(session, rows, over=_newer)
    clear = select(col(HostRow.subject)).where(col(HostRow.level) < Level.WATCH)
    loudest = clear.order_by(col(HostRow.score).desc(), col(HostRow.subject)).limit(QUIET_HOSTS)
    forgotten = select(func.max(col(HostRow.at_ns)) - DAY).scalar_subquery()
    session.execute(
        delete(HostRow).where(
            or_(
                and_(col(HostRow.level) < Level.WATCH, col(HostRow.subject).not_in(loudest)),
                col(HostRow.at_ns) < forgotten,
            )
        )
    )


def _newer(old: Any, new: Any) -> Any:
    return and_(new.at_ns > old.at_ns, or_(new.at_ns >= old.at_ns + SECOND, new.level != old.level))


def take_heartbeats(database: Database, session: Session, beats: Sequence[Heartbeat]) -> None:
    """Keep the newest heartbeat of each process; one silent for a day is gone for good."""
    newest = {(one.process, one.instance): one for one in sorted(beats, key=lambda one: one.at_ns)}
    rows = [
        HeartbeatRow(
            process=plain(one.process),
            instance=plain(one.instance),
            at_ns=one.at_ns,
            document=heartbeat_json(one).decode(),
        )
        for one in newest.values()
    ]
    if rows:
        database.put(session, rows, over=lambda old, new: new.at_ns > old.at_ns)
        forgotten = select(func.max(col(HeartbeatRow.at_ns)) - DAY).scalar_subquery()
        session.execute(delete(HeartbeatRow).where(col(HeartbeatRow.at_ns) < forgotten))


def take_dead(session: Session, letters: Sequence[DeadLetter]) -> None:
    """Keep the newest dead letters whole and count them all, by what stands before the colon of their reason."""
    if not letters:
        return
    session.add_all(
        DeadLetterRow(
            source=plain(one.source),
            reason=plain(one.reason),
            at_ns=one.at_ns,
            length=one.length,
            sha256=plain(one.sha256, 64),
            kept=one.kept,
            count=one.count,
        )
        for one in letters
    )
    session.flush()
    last = select(func.max(col(DeadLetterRow.id)) - KEPT_DEAD_LETTERS).scalar_subquery()
    session.execute(delete(DeadLetterRow).where(col(DeadLetterRow.id) <= last))
    _count(session, letters)


def _count(session: Session, letters: Iterable[DeadLetter]) -> None:
    pieces: Counter[str] = Counter()
    records: Counter[str] = Counter()
    for one in letters:
        kind = plain(one.reason.partition(":")[0], 80)
        pieces[kind] += 1
        records[kind] += min(max(one.count, 0), MOST_RECORDS)
    known = set(session.scalars(select(col(DeadCountRow.reason))))
    for kind in sorted(pieces):
        name = kind if kind in known or len(known) < KEPT_REASONS else OTHER_REASONS
        if name not in known:
            session.add(DeadCountRow(reason=name))
            session.flush()
            known.add(name)
        session.execute(
            update(DeadCountRow)
            .where(col(DeadCountRow.reason) == name)
            .values(
                letters=col(DeadCountRow.letters) + pieces[kind],
                records=col(DeadCountRow.records) + records[kind],
            )
        )
