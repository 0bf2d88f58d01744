"""The ledger's database as compose.yaml lays it: two roles, and the API's needs no more than what is granted to it."""

import os
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from controller.ledger import Ledger
from controller.ledger_reading import Reading
from deploy import postgres
from deploy.postgres import Postgres
from tests.integration.apache import without

MIGRATIONS = Path(__file__).parents[2] / "deploy" / "migrations"


def test_the_shipped_roles_open_the_ledger_and_only_its_owner_may_change_it() -> None:
    without(postgres.missing())
    with tempfile.TemporaryDirectory(prefix="cordon-pg-") as where, Postgres(Path(where)) as server:
        owner = server.url("cordon")
        administrator = server.url("postgres").replace("cordon@", "administrator@")
        psql(server.url("postgres"), text="CREATE ROLE administrator SUPERUSER LOGIN")
        psql(administrator, text="ALTER ROLE cordon RENAME TO somebody")  # the name is for roles.sql to give
        psql(administrator, file=MIGRATIONS / "roles.sql")
        with closing(Ledger.open(owner)) as ledger:
            assert ledger.moves() == ()
        psql(owner, file=MIGRATIONS / "api.sql")
        with closing(Ledger.open(owner.replace("cordon@", "cordon_api@"))) as ledger:
            assert Reading(ledger.database).chain().whole
            with pytest.raises(DBAPIError), ledger.database.writing() as session:
                session.execute(text("DROP TABLE moves"))


def psql(url: str, *, text: str = "", file: Path | None = None) -> None:
    programs = postgres.programs()
    assert programs is not None
    what = ["-f", str(file)] if file else ["-c", text]
    subprocess.run(
        [str(programs / "psql"), "-q", "-v", "ON_ERROR_STOP=1", *what, url],
        check=True,
        env={**os.environ, "LEDGER": "it's long", "LEDGER_API": "another"},
        capture_output=True,
    )
