"""Short transactions on SQLite or PostgreSQL, and one error for everybody when the database does not answer."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy import exc as sql_errors
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from controller.domain.decision import GENESIS
from controller.domain.errors import ConfigError, LedgerUnavailable
from controller.ledger_tables import VERSION, Table, lay

LAYING = 0x636F72646F6E  # PostgreSQL advisory lock under which tables are laid: "cordon"
BUSY_MS = 5_000
CONNECT_S = 3
GONE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
"""When a PostgreSQL server that no longer answers counts as gone, in libpq's words: after about 10 s, and not after the
quarter of an hour for which the kernel would try."""


class Database:
    """Transactions over one database. Safe to share between threads; one per process.

    `reading` and `writing` raise LedgerUnavailable when the database cannot be reached, is locked beyond five seconds,
    or lost the connection half way: then nothing was kept.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._line = threading.Lock()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state of the ledger and writes nothing."""
        with _named_errors(), self.engine.connect() as connection, Session(connection) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that holds the write lock on SQLite from its first moment; commits, or keeps nothing at all."""
        with _named_errors(), self._turn(), self.engine.connect() as connection:
            connection = connection.execution_options(begin="BEGIN IMMEDIATE")
            with Session(connection, expire_on_commit=False) as session, session.begin():
                yield session

    def _turn(self) -> AbstractContextManager[object]:
        return nullcontext() if self.engine.dialect.name != "sqlite" else self._first_in_line()

    @contextmanager
    def _first_in_line(self) -> Iterator[None]:
        """Threads that write to SQLite stand in line: those that wait for its own lock look again ever more seldom."""
        if not self._line.acquire(timeout=BUSY_MS / 1000):
            raise LedgerUnavailable("the ledger does not answer: another writer of this process does not end")
        try:
            yield
        finally:
            self._line.release()

    def put(self, session: Session, rows: Sequence[Table], *, over: Callable[[Any, Any], Any] | None = None) -> None:
        """Put rows in; where a key is taken, over the old row if `over(old columns, new columns)` holds."""
        if not rows:
            return
        table = type(rows[0]).__table__  # type: ignore[attr-defined]  # SQLModel sets it at run time, without a stub
        insert = (sqlite if self.engine.dialect.name == "sqlite" else postgresql).insert(table)
        keys = [column.name for column in table.primary_key]
        changed = {column.name: insert.excluded[column.name] for column in table.columns if column.name not in keys}
        statement = insert.on_conflict_do_update(
            index_elements=keys, set_=changed, where=None if over is None else over(table.c, insert.excluded)
        )
        session.execute(statement, [row.model_dump() for row in rows])

    def put_if_absent(self, session: Session, rows: Sequence[Table]) -> None:
        """Put rows in, passing over those whose key is taken."""
        if rows:
            table = type(rows[0]).__table__  # type: ignore[attr-defined]  # as above
            insert = (sqlite if self.engine.dialect.name == "sqlite" else postgresql).insert(table)
            session.execute(insert.on_conflict_do_nothing(), [row.model_dump() for row in rows])

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()


def open_database(url: str) -> Database:
    """Connect, and lay the tables where they are missing.

    `url` is sqlite:///relative, sqlite:////absolute or postgresql://user@host/name. A new SQLite file is readable by
    its owner alone. Raises ConfigError for any other form and for tables of a later version, LedgerUnavailable when
    nothing answers.
    """
    engine = _engine(url)
    try:
        _lay(engine)
    except BaseException:
        engine.dispose()
        raise
    return Database(engine)


def _lay(engine: Engine) -> None:
    with _named_errors(), engine.connect() as connection:
        connection = connection.execution_options(begin="BEGIN IMMEDIATE")
        with connection.begin():
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LAYING})
            found = lay(connection, genesis=GENESIS)
            if found > VERSION:
                raise ConfigError(file="ledger", key="version", expected=f"{VERSION} or earlier", got=str(found))


def _engine(url: str) -> Engine:
    scheme, mark, rest = url.partition("://")
    if scheme in ("postgresql", "postgres") and mark:
        return create_engine(
            make_url(f"postgresql+psycopg://{rest}"),
            pool_pre_ping=True,
            pool_size=8,
            max_overflow=16,
            pool_timeout=CONNECT_S,
            connect_args={
                "connect_timeout": CONNECT_S,
                "options": "-c lock_timeout=5s -c statement_timeout=15s",
                **GONE,
            },
        )
    if scheme != "sqlite" or not mark or not rest.startswith("/") or rest in ("/", "/:memory:"):
        raise ConfigError(
            file="ledger", key="url", expected="sqlite:///file or postgresql://user@host/name", got=_without_secret(url)
        )
    _claim(Path(rest[1:].partition("?")[0]))
    engine = create_engine(url, pool_size=8, max_overflow=16, pool_timeout=CONNECT_S)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _claim(file: Path) -> None:
    """Create the file for its owner alone; the log that SQLite writes beside it takes over the mode."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise LedgerUnavailable(f"the ledger {file} cannot be opened: {error.strerror}") from error


def _prepare_sqlite(connection: Any, _record: object) -> None:
    """Write-ahead log for two writing processes; a commit is on the disk when it returns, for undo comes first."""
    connection.isolation_level = None
    for pragma in (f"busy_timeout={BUSY_MS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


@contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except (sql_errors.OperationalError, sql_errors.InterfaceError, sql_errors.TimeoutError) as error:
        raise LedgerUnavailable(f"the ledger does not answer: {_first_line(error)}") from error
    except sql_errors.DBAPIError as error:
        if type(error.orig) is sqlite3.DatabaseError or error.connection_invalidated:
            raise LedgerUnavailable(f"the ledger cannot be used: {_first_line(error)}") from error
        raise


def _first_line(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    return (str(cause).strip() or type(cause).__name__).splitlines()[0]


def _without_secret(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}" if "@" in rest else url
