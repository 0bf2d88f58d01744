"""The ledger's tables, and the rules that the database itself keeps.

Rows are built from domain values, inside the ledger only: SQLModel tables validate nothing. Documents are the JSON of
`ledger_codec`; the columns beside them are what is searched for. Times are nanoseconds since the epoch. Two tables,
`moves` and `switch_turns`, only grow: triggers refuse to change or remove a row, on SQLite and PostgreSQL alike.
"""

from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Index, LargeBinary, MetaData, Text, text
from sqlmodel import Field, SQLModel

VERSION = 2
"""Of the tables. A ledger of a later version is not opened; an earlier one is brought up by `MIGRATIONS`."""

MIGRATIONS: dict[int, tuple[str, ...]] = {
    2: ("ALTER TABLE requests ADD COLUMN decision_id VARCHAR NOT NULL DEFAULT ''",),
}
"""Statements that take the tables from the version before to this one."""

NS = BigInteger()
APPEND_ONLY = ("moves", "switch_turns")


class Table(SQLModel):
    """What all tables share: a catalogue of their own, apart from any other SQLModel in the process."""

    metadata = MetaData()


def _number() -> Any:
    return Field(default=0, sa_type=BigInteger)


def _long() -> Any:
    return Field(default="", sa_type=Text)


class SchemaRow(Table, table=True):
    """Which version of the tables this is: one row."""

    __tablename__ = "schema_version"

    id: int = Field(default=1, primary_key=True)
    version: int


class ChainRow(Table, table=True):
    """The head of the chain of moves: one row, locked while a move is made, so that no sequence has holes."""

    __tablename__ = "chain"

    id: int = Field(default=1, primary_key=True)
    sequence: int = _number()
    hash: str


class DecisionRow(Table, table=True):
    """A decision as its moves left it. `version` is the optimistic lock."""

    __tablename__ = "decisions"
    __table_args__ = (
        Index(
            "one_live_per_subject",
            "subject",
            "simulated",
            unique=True,
            sqlite_where=text("live"),
            postgresql_where=text("live"),
        ),
        Index(
            "one_live_per_host",
            "host",
            "simulated",
            unique=True,
            sqlite_where=text("live AND host <> ''"),
            postgresql_where=text("live AND host <> ''"),
        ),
        Index("decisions_by_time", "created_ns"),
        Index("decisions_by_incident", "incident"),
    )

    id: str = Field(primary_key=True)
    subject: str
    host: str
    tenant: str
    segment: str
    state: str
    live: bool
    simulated: bool
    mode: str
    score: float
    created_ns: int = _number()
    until_ns: int = _number()
    incident: str
    verdict_id: str = Field(index=True)
    version: int
    document: str = _long()


class LegRow(Table, table=True):
    """One leg of one decision, for the question which device holds what."""

    __tablename__ = "legs"

    decision_id: str = Field(primary_key=True)
    position: int = Field(primary_key=True)
    fence: str
    device: str = Field(index=True)
    slot: str
    state: str
    verified_ns: int = _number()


class SymptomRow(Table, table=True):
    """A device symptom that a decision explains: what links incidents whose offenders differ."""

    __tablename__ = "symptoms"

    decision_id: str = Field(primary_key=True)
    symptom: str = Field(primary_key=True, index=True)


class EvidenceRow(Table, table=True):
    """Every finding that a decision ever rested on, at most one a second from each source; the newest stay in it."""

    __tablename__ = "evidence"

    decision_id: str = Field(primary_key=True)
    detector: str = Field(primary_key=True)
    source: str = Field(primary_key=True)
    traffic: str = Field(primary_key=True)
    second: int = Field(primary_key=True, sa_type=BigInteger)
    document: str = _long()


class MoveRow(Table, table=True):
    """One move. Rows are added and nothing else."""

    __tablename__ = "moves"

    sequence: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    decision_id: str = Field(index=True)
    by: str
    before: str
    after: str
    at_ns: int = _number()
    actor: str
    why: str = _long()
    previous: str
    hash: str


class NativeRow(Table, table=True):
    """What a slot held before the first live fence on it."""

    __tablename__ = "native_states"

    slot: str = Field(primary_key=True)
    document: str = _long()


class OffsetRow(Table, table=True):
    """The next offset of a partition that was taken in."""

    __tablename__ = "offsets"

    partition: str = Field(primary_key=True)
    next: int = _number()


class HostRow(Table, table=True):
    """The newest verdict on a subject, as it stood on the wire."""

    __tablename__ = "hosts"

    subject: str = Field(primary_key=True)
    level: int = Field(index=True)
    score: float = Field(index=True)
    finding: str
    at_ns: int = _number()
    document: str = _long()


class HeartbeatRow(Table, table=True):
    """The newest heartbeat of one process, as it stood on the wire."""

    __tablename__ = "heartbeats"

    process: str = Field(primary_key=True)
    instance: str = Field(primary_key=True)
    at_ns: int = _number()
    document: str = _long()


class DeadLetterRow(Table, table=True):
    """Input that could not be used; the newest are kept whole, all are counted in `DeadCountRow`."""

    __tablename__ = "dead_letters"

    id: int | None = Field(default=None, primary_key=True)
    source: str
    reason: str = Field(index=True)
    at_ns: int = _number()
    length: int = _number()
    sha256: str
    kept: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    count: int = _number()


class DeadCountRow(Table, table=True):
    """How many records were lost for one reason, in all."""

    __tablename__ = "dead_counts"

    reason: str = Field(primary_key=True)
    letters: int = _number()
    records: int = _number()


class RequestRow(Table, table=True):
    """A question for the controller, and its answer."""

    __tablename__ = "requests"

    id: str = Field(primary_key=True)
    kind: str
    actor: str
    why: str = _long()
    at_ns: int = _number()
    about: str = _long()
    answer: str = _long()
    answered_ns: int = _number()
    decision_id: str = ""


class TranscriptRow(Table, table=True):
    """One conversation with a device, for one decision."""

    __tablename__ = "transcripts"

    id: int | None = Field(default=None, primary_key=True)
    decision_id: str = Field(index=True)
    at_ns: int = _number()
    document: str = _long()


class ProofRow(Table, table=True):
    """The last attempt to log in to a device, and when one last succeeded."""

    __tablename__ = "login_proofs"

    device: str = Field(primary_key=True)
    at_ns: int = _number()
    reached: bool
    text: str = _long()
    reached_ns: int = _number()


class PageRow(Table, table=True):
    """An alarm for a person."""

    __tablename__ = "pages"

    id: int | None = Field(default=None, primary_key=True)
    what: str = _long()
    about: str = _long()
    at_ns: int = _number()


class SwitchRow(Table, table=True):
    """A turn of the kill switch. The last row is its state; rows are added and nothing else."""

    __tablename__ = "switch_turns"

    id: int | None = Field(default=None, primary_key=True)
    state: str
    actor: str
    why: str = _long()
    at_ns: int = _number()


class TokenRow(Table, table=True):
    """A bearer token, of which only a hash is kept. 0: never."""

    __tablename__ = "tokens"

    id: str = Field(primary_key=True)
    name: str
    role: str
    digest: str
    created_ns: int = _number()
    expires_ns: int = _number()
    last_used_ns: int = _number()
    revoked_ns: int = _number()


def lay(connection: Connection, *, genesis: str) -> int:
    """Create what is missing and bring earlier tables up to date; returns the version that was found, 0 for none.

    The caller holds the write lock, so that two processes that start at once lay the tables one after the other.
    """
    Table.metadata.create_all(connection)
    found = connection.execute(text("SELECT version FROM schema_version WHERE id = 1")).scalar()
    if found is None:
        connection.execute(text("INSERT INTO schema_version (id, version) VALUES (1, :v)"), {"v": VERSION})
        connection.execute(text("INSERT INTO chain (id, sequence, hash) VALUES (1, 0, :h)"), {"h": genesis})
        for statement in _guards(connection.dialect.name):
            connection.execute(text(statement))
        return 0
    for version in range(int(found) + 1, VERSION + 1):
        for statement in MIGRATIONS[version]:
            connection.execute(text(statement))
        connection.execute(text("UPDATE schema_version SET version = :v WHERE id = 1"), {"v": version})
    return int(found)


def _guards(dialect: str) -> tuple[str, ...]:
    """Triggers under which `APPEND_ONLY` tables only grow."""
    if dialect == "sqlite":
        return tuple(
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} only grows'); END"
            for table in APPEND_ONLY
            for verb in ("UPDATE", "DELETE")
        )
    function = (
        "CREATE FUNCTION only_grows() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% only grows', TG_TABLE_NAME; END $$"
    )
    return (
        function,
        *(
            f"CREATE TRIGGER {table}_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION only_grows()"
            for table in APPEND_ONLY
        ),
    )
