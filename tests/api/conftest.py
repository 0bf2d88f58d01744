from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from api.settings import Settings
from controller.ledger import Ledger
from controller.ledger_tokens import Role, Tokens
from tests.api.house import SITE, House, StoppedClock
from tests.controller.ledger_cases import NOON_NS


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """The API over a ledger and a site of its own, with a caller of each role."""
    site = tmp_path / "site.toml"
    site.write_text(SITE)
    url = f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    ledger, clock = Ledger.open(url), StoppedClock()
    tokens = Tokens(ledger.database)
    presented = {role: tokens.create(name=f"{role}-ann", role=role, now_ns=NOON_NS) for role in Role}
    app = create_app(Settings(ledger=url, site=site, body_limit=4_096), clock=clock)
    with TestClient(app) as client:
        yield House(client, ledger, tokens, presented, clock)
    ledger.close()
