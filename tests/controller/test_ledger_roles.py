"""The grants that deploy/migrations/README.md gives to the API's database role are enough, and no more than it says."""

import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from controller.desk import Desk
from controller.domain.decision import By, State
from controller.domain.record import Request, RequestKind
from controller.ledger import Ledger
from controller.ledger_reading import Reading
from controller.ledger_tokens import Role, Tokens
from tests.controller.ledger_cases import NOON_NS, decision

README = Path(__file__).parents[2] / "deploy" / "migrations" / "README.md"


class StoppedClock:
    def now_ns(self) -> int:
        return NOON_NS


@pytest.fixture
def api_ledger(postgresql: str) -> Iterator[Ledger]:
    """A ledger with an enforced decision, opened as the role that the README makes for the API."""
    name = f"roles_{uuid.uuid4().hex}"
    with psycopg.connect(postgresql.format(name="postgres"), autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]  # a name cannot be a parameter
        server.execute("DROP ROLE IF EXISTS cordon_api")
        server.execute("CREATE ROLE cordon_api LOGIN")
    url = postgresql.format(name=name)
    owned = Ledger.open(url)
    one = owned.propose(decision(), actor="c", why="w")
    for by in (By.APPROVE, By.APPLY, By.VERIFY):
        one = owned.move(one, by, at_ns=NOON_NS, actor="c", why="w")
    grants = re.findall(r"^    (GRANT [^;]+);$", README.read_text(), re.MULTILINE)
    assert len(grants) >= 5
    with owned.database.writing() as session:
        for grant in grants:
            session.execute(text(grant))
    owned.close()
    api = Ledger.open(url.replace("cordon@", "cordon_api@"))
    yield api
    api.close()
    with psycopg.connect(url, autocommit=True) as server:
        server.execute("DROP OWNED BY cordon_api")


def test_the_apis_role_can_do_what_people_do(api_ledger: Ledger) -> None:
    desk = Desk(api_ledger, StoppedClock())
    assert desk.release("d-1", actor="ann", why="w").state is State.RELEASING
    desk.kill(actor="ann", why="w")
    tokens = Tokens(api_ledger.database)
    token = tokens.create(name="ann", role=Role.VIEWER, now_ns=NOON_NS)
    assert tokens.bearer(token, now_ns=NOON_NS) is not None
    api_ledger.ask(Request("q-1", RequestKind.SIMULATE, "ann", "w", NOON_NS, "vps-1"))
    assert [one.id for one in api_ledger.requests()] == ["q-1"]
    assert api_ledger.proofs() == {}
    reading = Reading(api_ledger.database)
    assert reading.transcripts("d-1") == ()
    assert reading.chain().whole
    assert reading.hosts() == (0, ())


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM decisions",
        "DELETE FROM evidence",
        "UPDATE evidence SET document = ''",
        "DELETE FROM moves",
        "ALTER TABLE moves DISABLE TRIGGER ALL",
        "DELETE FROM tokens",
        "UPDATE offsets SET next = 0",
        "UPDATE requests SET answer = 'yes'",
        "INSERT INTO login_proofs VALUES ('sw-1', 1, true, '', 1)",
        "DELETE FROM transcripts",
        "INSERT INTO native_states VALUES ('x', '{}')",
    ],
)
def test_the_apis_role_cannot_do_what_is_the_controllers(api_ledger: Ledger, statement: str) -> None:
    with pytest.raises(DBAPIError, match=r"permission denied|must be owner"), api_ledger.database.writing() as session:
        session.execute(text(statement))
