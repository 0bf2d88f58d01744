"""A small estate, and the API over it as tests speak to it."""

from dataclasses import dataclass
from typing import Any

from starlette.testclient import TestClient

from api.settings import WallClock
from controller.domain.decision import By
from controller.domain.record import Decision
from controller.ledger import Ledger
from controller.ledger_tokens import Role, Tokens
from tests.controller.ledger_cases import NOON_NS, decision

SITE = """
version = 1
name = "test house"
prefixes = ["198.18.0.0/15", "2001:db8::/32"]

[[segments]]
name = "vps"
prefixes = ["198.18.0.0/24"]
vlan = 10

[[devices]]
name = "hv-1"
platform = "ovs_linux"
host = "192.0.2.11"
username = "cordon-login"
password_env = "CORDON_SECRET_PLACE"
key_file = "/etc/cordon/secret-key"
exporter = "192.0.2.1"

[[interfaces]]
device = "hv-1"
name = "eth0"
if_index = 3
shared = true

[[hosts]]
name = "vps-1"
addresses = ["198.18.0.7", "2001:db8::7"]
tenant = "tenant-a"
role = "vps"
segment = "vps"
mac = "02:00:00:00:00:07"
ports = ["hv-1/eth0"]

[[hosts]]
name = "dns-1"
addresses = ["198.18.0.8"]
tenant = "ours"
role = "dns"
segment = "vps"
mac = "02:00:00:00:00:08"
ports = ["hv-1/eth0"]
prefixes = ["2001:db8:0:8::/64"]
"""

ENFORCED = (By.APPROVE, By.APPLY, By.VERIFY)


class StoppedClock(WallClock):
    """Time as a test says."""

    def __init__(self) -> None:
        self.now = NOON_NS

    def now_ns(self) -> int:
        return self.now


@dataclass(frozen=True)
class House:
    """The API, the ledger under it, and a token of each role."""

    client: TestClient
    ledger: Ledger
    tokens: Tokens
    presented: dict[Role, str]
    clock: StoppedClock

    def ask(self, verb: str, path: str, role: Role | None = Role.VIEWER, **rest: Any) -> Any:
        """The answer to a caller of this role; None: without a token."""
        headers = {"Authorization": f"Bearer {self.presented[role]}"} if role else {}
        return self.client.request(verb, f"/api/v1{path}", headers=headers | rest.pop("headers", {}), **rest)

    def get(self, path: str, **query: Any) -> Any:
        """The JSON that a viewer gets."""
        answer = self.ask("GET", path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def propose(self, name: str = "d-1", *steps: By, **changes: Any) -> Decision:
        """A decision in the ledger, moved so far."""
        one = self.ledger.propose(decision(name, **changes), actor="controller", why="score 95")
        for step in steps:
            one = self.ledger.move(one, step, at_ns=NOON_NS, actor="controller", why="w")
        return one
