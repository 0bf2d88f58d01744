"""The ledger: what was decided, by whom and why. `Ledger` is the port of that name over SQLite or PostgreSQL.

Every method is one short transaction. A move locks the chain's head, so that all moves of all processes stand in one
sequence without holes, each sealed with the hash of the one before.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from sqlalchemy import and_, delete, or_, select
from sqlmodel import Session, col

from controller.domain.decision import By, Move, State, after, seal
from controller.domain.errors import StaleDecision, UnknownSubject
from controller.domain.fence import Slot, SlotState
from controller.domain.record import Decision, LegRecord, Proof, Request, Spoken, with_leg
from controller.domain.verdict import Verdict
from controller.domain.wire import DeadLetter, Heartbeat
from controller.ledger_codec import from_text, to_text
from controller.ledger_database import Database, open_database
from controller.ledger_projection import DAY, plain, take_dead, take_heartbeats, take_verdicts
from controller.ledger_rows import decision_row, evidence_rows, leg_rows, move_of, request_of
from controller.ledger_tables import (
    ChainRow,
    DecisionRow,
    LegRow,
    MoveRow,
    NativeRow,
    OffsetRow,
    PageRow,
    ProofRow,
    RequestRow,
    SwitchRow,
    SymptomRow,
    TranscriptRow,
)

LINKED_WITHIN = 14 * DAY
"""Decisions against one host, or with one symptom, that lie no further apart are one incident that came back."""


class _Rehearsed(Exception):
    """All that was written is to be forgotten."""


class Ledger:
    """Keeps decisions and their moves. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._read: dict[str, Decision] = {}  # live decisions as last read, so that polling does not parse them again

    @classmethod
    def open(cls, url: str) -> "Ledger":
        """Open sqlite:///file or postgresql://…, laying the tables where missing. Raises ConfigError."""
        return cls(open_database(url))

    def close(self) -> None:
        """Give the connections back."""
        self.database.close()

    def take_in(
        self,
        *,
        verdicts: Sequence[Verdict],
        heartbeats: Sequence[Heartbeat],
        dead: Sequence[DeadLetter],
        offsets: Mapping[str, int],
    ) -> None:
        """Project what came from Kafka and keep the offsets in the same transaction."""
        with self.database.writing() as session:
            take_verdicts(self.database, session, verdicts)
            take_heartbeats(self.database, session, heartbeats)
            take_dead(session, dead)
            self.database.put(session, [OffsetRow(partition=name, next=number) for name, number in offsets.items()])

    def offsets(self) -> Mapping[str, int]:
        """The next offset of each "topic/partition" that was taken in."""
        with self.database.reading() as session:
            return {row.partition: row.next for row in session.scalars(select(OffsetRow))}

    def propose(self, decision: Decision, *, actor: str, why: str, approved: str = "") -> Decision:
        """Keep a new decision with its first move; links it to the incident that it continues, if it names none.

        `approved` is why it is approved at once: then it comes back so, both moves made in one transaction.
        Raises StaleDecision when its subject or host already has a live decision (simulated ones count apart), or when
        this verdict was already decided on: a replayed verdict is the same one.
        """
        with self.database.writing() as session:
            head = self._head(session)
            self._refuse_second(session, decision)
            incident = decision.incident or self._incident(session, decision)
            made = replace(decision, state=State.PROPOSED, version=1, incident=incident)
            end = replace(made, state=after(made.state, By.APPROVE), version=2) if approved else made
            at_ns = made.created_ns
            self._save(session, end)
            self._chain(session, head, made, By.PROPOSE, before="", at_ns=at_ns, actor=actor, why=why)
            if approved:
                self._chain(
                    session, head, end, By.APPROVE, before=made.state.value, at_ns=at_ns, actor=actor, why=approved
                )
            return end

    def rehearse(self, decision: Decision) -> None:
        """Go through what keeping a new decision takes, and keep nothing: the first real one finds all of it ready."""
        with suppress(_Rehearsed), self.database.writing() as session:
            head = self._head(session)
            self._refuse_second(session, decision)
            made = replace(decision, version=1, incident=self._incident(session, decision))
            self._save(session, made)
            self._chain(session, head, made, By.PROPOSE, before="", at_ns=made.created_ns, actor="", why="")
            session.flush()
            self._save(session, replace(made, version=2))
            session.flush()
            raise _Rehearsed

    def move(self, decision: Decision, by: By, *, at_ns: int, actor: str, why: str) -> Decision:
        """Make a move and keep the decision as given; returns it in its new state.

        Raises StaleDecision when `decision.version` is not the ledger's, IllegalMove when MOVES has no such row.
        """
        with self.database.writing() as session:
            head = self._head(session)
            row = self._current(session, decision)
            before = State(row.state)
            moved = replace(decision, state=after(before, by), version=row.version + 1)
            self._save(session, moved)
            self._chain(session, head, moved, by, before=before.value, at_ns=at_ns, actor=actor, why=why)
            return moved

    def keep(self, decision: Decision) -> Decision:
        """Keep evidence, legs or effect without a move; the same optimistic lock as `move`."""
        with self.database.writing() as session:
            return self._keep(session, decision)

    def record(self, decision: Decision, leg: LegRecord, *, native: SlotState) -> Decision:
        """Keep one leg's change with its undo, and what no fence claims of its slot; on the disk when it returns."""
        with self.database.writing() as session:
            self.database.put(session, [NativeRow(slot=str(leg.slot), document=to_text(native))])
            return self._keep(session, with_leg(decision, leg.slot, leg))

    def decision(self, decision_id: str) -> Decision:
        """One decision. Raises UnknownSubject."""
        with self.database.reading() as session:
            row = session.get(DecisionRow, plain(decision_id))
            if row is None:
                raise UnknownSubject(f"no decision has the id {decision_id[:80]!r}")
            return from_text(row.document, Decision)

    def live(self) -> tuple[Decision, ...]:
        """Decisions that have not ended, oldest first; the simulated ones too. Cheap to ask often."""
        order = (col(DecisionRow.created_ns), col(DecisionRow.id))
        with self.database.reading() as session:
            versions = session.execute(
                select(col(DecisionRow.id), col(DecisionRow.version)).where(col(DecisionRow.live)).order_by(*order)
            ).all()
            known = self._read
            missing = [name for name, version in versions if name not in known or known[name].version != version]
            rows = session.scalars(select(DecisionRow).where(col(DecisionRow.id).in_(missing))) if missing else ()
            fresh = {row.id: from_text(row.document, Decision) for row in rows}
        self._read = {name: fresh.get(name) or known[name] for name, _ in versions}
        return tuple(self._read.values())

    def strikes(self, host: str, *, since_ns: int) -> int:
        """How many decisions against this host were enforced since; simulated ones never were."""
        enforced = select(col(MoveRow.decision_id)).where(
            col(MoveRow.after) == State.ENFORCED.value, col(MoveRow.at_ns) >= since_ns
        )
        with self.database.reading() as session:
            found = select(col(DecisionRow.id)).where(col(DecisionRow.host) == host, col(DecisionRow.id).in_(enforced))
            return len(session.scalars(found).all())

    def recent(self, *, since_ns: int) -> tuple[Decision, ...]:
        """Decisions created since (event time), oldest first, whatever became of them."""
        with self.database.reading() as session:
            found = (
                select(DecisionRow)
                .where(col(DecisionRow.created_ns) >= since_ns)
                .order_by(col(DecisionRow.created_ns), col(DecisionRow.id))
            )
            return tuple(from_text(row.document, Decision) for row in session.scalars(found))

    def moves(self, decision_id: str = "") -> tuple[Move, ...]:
        """All moves in order, or one decision's."""
        found = select(MoveRow).order_by(col(MoveRow.sequence))
        if decision_id:
            found = found.where(col(MoveRow.decision_id) == plain(decision_id))
        with self.database.reading() as session:
            return tuple(move_of(row) for row in session.scalars(found))

    def head(self) -> int:
        """Sequence number of the last move. Nothing was moved while it stays the same."""
        with self.database.reading() as session:
            return session.scalars(select(col(ChainRow.sequence))).one()

    def native(self, slot: Slot) -> SlotState | None:
        """What a slot held before the first live fence on it; None while there is none."""
        with self.database.reading() as session:
            row = session.get(NativeRow, str(slot))
            return None if row is None else from_text(row.document, SlotState)

    def rebase_native(self, slot: Slot, state: SlotState) -> None:
        """Replace the native state: what no live fence claims is as a person made it."""
        with self.database.writing() as session:
            self.database.put(session, [NativeRow(slot=str(slot), document=to_text(state))])

    def forget_native(self, slot: Slot) -> None:
        """The last fence left the slot."""
        with self.database.writing() as session:
            session.execute(delete(NativeRow).where(col(NativeRow.slot) == str(slot)))

    def requests(self) -> tuple[Request, ...]:
        """Requests without an answer, oldest first."""
        with self.database.reading() as session:
            found = (
                select(RequestRow)
                .where(col(RequestRow.answered_ns) == 0)
                .order_by(col(RequestRow.at_ns), col(RequestRow.id))
            )
            return tuple(request_of(row) for row in session.scalars(found))

    def request(self, request_id: str) -> Request:
        """One request, with its answer when there is one. Raises UnknownSubject."""
        with self.database.reading() as session:
            row = session.get(RequestRow, plain(request_id))
            if row is None:
                raise UnknownSubject(f"no request has the id {request_id[:80]!r}")
            return request_of(row)

    def ask(self, request: Request) -> None:
        """File a request for the controller; the same id a second time changes nothing."""
        row = RequestRow(
            id=request.id,
            kind=request.kind.value,
            actor=plain(request.actor),
            why=plain(request.why),
            at_ns=request.at_ns,
            about=plain(request.about),
        )
        with self.database.writing() as session:
            self.database.put_if_absent(session, [row])

    def answer(self, request_id: str, answer: str, *, at_ns: int, decision_id: str = "") -> None:
        """Answer a request; the first answer stays. Raises UnknownSubject."""
        with self.database.writing() as session:
            row = session.get(RequestRow, request_id, with_for_update=True)
            if row is None:
                raise UnknownSubject(f"no request has the id {request_id[:80]!r}")
            if not row.answered_ns:
                row.answer, row.answered_ns, row.decision_id = plain(answer, 100_000), at_ns, plain(decision_id)

    def transcribe(self, decision_id: str, spoken: Sequence[Spoken]) -> None:
        """Keep what was said to devices for a decision, in order."""
        with self.database.writing() as session:
            session.add_all(
                TranscriptRow(decision_id=decision_id, at_ns=one.at_ns, document=to_text(one)) for one in spoken
            )

    def prove(self, device: str, *, reached: bool, text: str, at_ns: int) -> None:
        """Keep what became of an attempt to log in to a device; the last success stays beside a later failure."""
        with self.database.writing() as session:
            row = session.get(ProofRow, plain(device), with_for_update=True)
            reached_ns = at_ns if reached else (row.reached_ns if row is not None else 0)
            fresh = ProofRow(
                device=plain(device), at_ns=at_ns, reached=reached, text=plain(text), reached_ns=reached_ns
            )
            session.merge(fresh)

    def proofs(self) -> Mapping[str, Proof]:
        """The last attempt to log in to each device, by its name."""
        with self.database.reading() as session:
            return {
                row.device: Proof(row.device, row.at_ns, row.reached, row.text, row.reached_ns)
                for row in session.scalars(select(ProofRow))
            }

    def page(self, *, what: str, about: str, at_ns: int) -> None:
        """Keep an alarm for a person, whether or not a pager could be reached."""
        with self.database.writing() as session:
            session.add(PageRow(what=plain(what), about=plain(about), at_ns=at_ns))

    def killed(self) -> bool:
        """True while the kill switch is on."""
        with self.database.reading() as session:
            last = select(col(SwitchRow.state)).order_by(col(SwitchRow.id).desc()).limit(1)
            return session.scalars(last).first() == "on"

    def set_killed(self, state: str, *, actor: str, why: str, at_ns: int) -> None:
        """Turn the kill switch `on` or `off`; kept with who and why. Raises ValueError for any other word."""
        if state not in ("on", "off"):
            raise ValueError(f"the kill switch is on or off, not {state!r}")
        with self.database.writing() as session:
            session.add(SwitchRow(state=state, actor=plain(actor), why=plain(why), at_ns=at_ns))

    def _keep(self, session: Session, decision: Decision) -> Decision:
        row = self._current(session, decision)
        kept = replace(decision, state=State(row.state), version=row.version + 1)
        self._save(session, kept)
        return kept

    def _head(self, session: Session) -> ChainRow:
        """The chain's head, ours until the transaction ends."""
        return session.scalars(select(ChainRow).with_for_update()).one()

    def _current(self, session: Session, decision: Decision) -> DecisionRow:
        row = session.get(DecisionRow, decision.id, with_for_update=True)
        if row is None:
            raise UnknownSubject(f"no decision has the id {decision.id[:80]!r}")
        if row.version != decision.version:
            raise StaleDecision(
                f"decision {decision.id} is {row.state} in version {row.version}; version {decision.version} is old"
            )
        return row

    def _refuse_second(self, session: Session, decision: Decision) -> None:
        same_target = [col(DecisionRow.subject) == decision.subject]
        if decision.attachment.host:
            same_target.append(col(DecisionRow.host) == decision.attachment.host)
        clashes = [and_(col(DecisionRow.live), or_(*same_target))]
        if decision.verdict_id:
            clashes.append(col(DecisionRow.verdict_id) == decision.verdict_id)
        of_its_kind = and_(col(DecisionRow.simulated) == decision.simulated, or_(*clashes))
        found = session.scalars(
            select(DecisionRow).where(or_(col(DecisionRow.id) == decision.id, of_its_kind)).limit(1)
        ).first()
        if found is not None:
            how = "has a live decision" if found.live else "was decided on"
            raise StaleDecision(f"{decision.subject} already {how}: {found.id}, which is {found.state}")

    def _incident(self, session: Session, decision: Decision) -> str:
        """The incident of the newest decision against the same host or with a symptom in common, else a new one."""
        alike = [col(DecisionRow.subject) == decision.subject]
        if decision.attachment.host:
            alike.append(col(DecisionRow.host) == decision.attachment.host)
        if decision.explains:
            texts = [plain(one) for one in decision.explains]
            alike.append(
                col(DecisionRow.id).in_(select(col(SymptomRow.decision_id)).where(col(SymptomRow.symptom).in_(texts)))
            )
        earlier = session.scalars(
            select(col(DecisionRow.incident))
            .where(or_(*alike), col(DecisionRow.created_ns) >= decision.created_ns - LINKED_WITHIN)
            .order_by(col(DecisionRow.created_ns).desc(), col(DecisionRow.id).desc())
            .limit(1)
        ).first()
        return earlier or f"incident-{decision.id}"

    def _save(self, session: Session, decision: Decision) -> None:
        session.merge(decision_row(decision))
        session.flush()
        session.execute(delete(LegRow).where(col(LegRow.decision_id) == decision.id))
        self.database.put(session, leg_rows(decision))
        self.database.put_if_absent(session, evidence_rows(decision))
        self.database.put_if_absent(
            session, [SymptomRow(decision_id=decision.id, symptom=plain(one)) for one in set(decision.explains)]
        )

    def _chain(
        self,
        session: Session,
        head: ChainRow,
        decision: Decision,
        by: By,
        *,
        before: str,
        at_ns: int,
        actor: str,
        why: str,
    ) -> None:
        sequence, actor, why = head.sequence + 1, plain(actor), plain(why)
        sealed = seal(
            sequence=sequence,
            decision_id=decision.id,
            by=by.value,
            before=before,
            after=decision.state.value,
            at_ns=at_ns,
            actor=actor,
            why=why,
            previous=head.hash,
        )
        session.add(
            MoveRow(
                sequence=sequence,
                decision_id=decision.id,
                by=by.value,
                before=before,
                after=decision.state.value,
                at_ns=at_ns,
                actor=actor,
                why=why,
                previous=head.hash,
                hash=sealed,
            )
        )
        head.sequence, head.hash = sequence, sealed
