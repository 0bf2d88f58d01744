import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from controller.ledger import Ledger
from deploy import postgres
from deploy.postgres import Postgres


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a running server, with {name} where a database's name belongs."""
    if missing := postgres.missing():
        pytest.skip(missing)
    with tempfile.TemporaryDirectory(prefix="cordon-pg-") as where, Postgres(Path(where)) as server:
        yield server.url("{name}")


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty ledger, on each kind of database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    server: str = request.getfixturevalue("postgresql")
    name = f"ledger_{abs(hash(request.node.nodeid)):x}"
    with psycopg.connect(server.format(name="postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]  # a name cannot be a parameter
    return server.format(name=name)


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    opened = Ledger.open(ledger_url)
    yield opened
    opened.close()
