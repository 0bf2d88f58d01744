"""What people ask of the controller: rows that the API writes and reads, and never answers itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from api.settings import Settings
from controller.domain.record import Request, RequestKind
from controller.ledger import Ledger
from controller.ledger_tokens import Role, Tokens
from tests.api.house import SITE, House, StoppedClock
from tests.controller.ledger_cases import NOON_NS

FIREWALLED = """
[[devices]]
name = "fw-1"
platform = "linux_nftables"
host = "192.0.2.12"

[[segments]]
name = "hosting"
prefixes = ["198.18.3.0/24"]
firewall = "fw-1"
inside = ["eth1"]
crossings = [{ begins = "outside", peers = ["0.0.0.0/0"], transport = "tcp", ports = ["443"], why = "the web" }]
"""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    site = tmp_path / "site.toml"
    site.write_text(SITE + FIREWALLED)
    url = f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    ledger, clock = Ledger.open(url), StoppedClock()
    tokens = Tokens(ledger.database)
    presented = {role: tokens.create(name=f"{role}-ann", role=role, now_ns=NOON_NS) for role in Role}
    with TestClient(create_app(Settings(ledger=url, site=site), clock=clock)) as client:
        yield House(client, ledger, tokens, presented, clock)
    ledger.close()


def body(kind: str, about: str, reason: str = "to know") -> dict[str, str]:
    return {"kind": kind, "about": about, "reason": reason}


@pytest.mark.parametrize(
    ("kind", "about"),
    [
        ("simulate", "vps-1"),
        ("simulate", "198.18.0.7"),
        ("reachability", "hv-1"),
        ("segment_plan", "hosting"),
        ("segment_check", "hosting"),
        ("segment_apply", "hosting"),
        ("segment_isolate", "hosting"),
    ],
)
def test_a_request_is_a_row_that_the_controller_answers_and_the_api_shows(house: House, kind: str, about: str) -> None:
    answer = house.ask("POST", "/requests", Role.OPERATOR, json=body(kind, about))
    assert answer.status_code == 202, answer.text
    (waiting,) = house.ledger.requests()
    assert (waiting.kind, waiting.about, waiting.actor) == (RequestKind(kind), about, "operator-ann")
    place = answer.headers["location"].removeprefix("/api/v1")
    assert house.get(place)["answered_ns"] == 0
    house.ledger.answer(waiting.id, "told\nand more", at_ns=NOON_NS + 5, decision_id="d-9")
    told = house.get(place)
    assert (told["answer"], told["answered_ns"], told["decision_id"]) == ("told\nand more", NOON_NS + 5, "d-9")


def test_requests_are_listed_in_pages_by_kind_and_by_whether_they_are_answered(house: House) -> None:
    for number in range(3):
        house.ledger.ask(Request(f"q-{number}", RequestKind.SIMULATE, "ann", "why", NOON_NS + number, "vps-1"))
    house.ledger.ask(Request("q-9", RequestKind.KILL, "ann", "why", NOON_NS - 1))
    house.ledger.answer("q-1", "told", at_ns=NOON_NS)
    page = house.get("/requests", limit=2)
    assert (page["total"], [one["id"] for one in page["items"]]) == (4, ["q-2", "q-1"])
    assert [one["id"] for one in house.get("/requests", limit=2, offset=2)["items"]] == ["q-0", "q-9"]
    assert [one["id"] for one in house.get("/requests", answered=True)["items"]] == ["q-1"]
    assert house.get("/requests", kind="simulate", answered=False)["total"] == 2


@pytest.mark.parametrize(
    ("kind", "about", "words"),
    [
        ("reachability", "nowhere", "no device is called 'nowhere'"),
        ("segment_plan", "hv-1", "no segment is called 'hv-1'"),
        ("simulate", "nobody", "no host is called 'nobody'"),
    ],
)
def test_what_means_nothing_is_refused_before_it_is_kept(house: House, kind: str, about: str, words: str) -> None:
    answer = house.ask("POST", "/requests", Role.OPERATOR, json=body(kind, about))
    assert (answer.status_code, words in answer.json()["detail"]) == (404, True)
    assert answer.headers["content-type"] == "application/problem+json"
    assert house.ledger.requests() == ()


@pytest.mark.parametrize(
    "wrong",
    [
        body("kill", "x"),
        body("simulate", ""),
        body("simulate", "vps-1", " "),
        {**body("simulate", "vps-1"), "more": 1},
        {"kind": "simulate"},
    ],
)
def test_a_request_that_cannot_be_read_is_refused(house: House, wrong: dict[str, object]) -> None:
    assert house.ask("POST", "/requests", Role.OPERATOR, json=wrong).status_code == 422
    assert house.ask("POST", "/requests?x=1", Role.OPERATOR, json=body("simulate", "vps-1")).status_code == 422
    assert house.ask("GET", "/requests", params={"kind": "gossip"}).status_code == 422
    assert house.ledger.requests() == ()


def test_viewers_read_and_do_not_ask(house: House) -> None:
    assert house.ask("POST", "/requests", Role.VIEWER, json=body("simulate", "vps-1")).status_code == 403
    assert house.get("/requests")["total"] == 0
    assert house.ask("GET", "/requests/q-none").status_code == 404


def test_a_request_that_is_sent_again_under_its_name_is_one_request(house: House) -> None:
    named = {"X-Request-ID": "mine-1"}
    for _ in range(2):
        answer = house.ask("POST", "/requests", Role.OPERATOR, json=body("simulate", "vps-1"), headers=named)
        assert (answer.status_code, answer.json()["id"]) == (202, "q-mine-1")
    other = house.ask("POST", "/requests", Role.OPERATOR, json=body("simulate", "dns-1"), headers=named)
    assert other.status_code == 409
    assert house.get("/requests")["total"] == 1


def test_the_estate_shows_what_may_cross(house: House) -> None:
    vps, hosting = house.get("/estate/segments")["items"]
    assert vps["crossings"] is None
    assert hosting["inside"] == ["eth1"]
    assert hosting["crossings"] == [
        {
            "begins": "outside",
            "peers": ["0.0.0.0/0"],
            "transport": "tcp",
            "ports": ["443"],
            "hosts": [],
            "why": "the web",
        }
    ]


def test_two_approvers_are_needed_where_a_decision_says_so(house: House) -> None:
    from tests.api.segments import separation_proposal

    house.ledger.propose(separation_proposal(), actor="olga", why="after the outage")
    first = house.ask("POST", "/decisions/d-wall/approve", Role.APPROVER, json={"reason": "agreed"})
    assert (first.json()["state"], first.json()["approvals"]) == ("proposed", 2)
    same = house.ask("POST", "/decisions/d-wall/approve", Role.APPROVER, json={"reason": "agreed again"})
    assert (same.status_code, "another person" in same.json()["detail"]) == (409, True)
    token = house.tokens.create(name="bob", role=Role.APPROVER, now_ns=NOON_NS)
    second = house.client.post(
        "/api/v1/decisions/d-wall/approve", json={"reason": "me too"}, headers={"Authorization": f"Bearer {token}"}
    )
    assert second.json()["state"] == "approved"
    assert [one["by"] for one in second.json()["moves"]] == ["propose", "endorse", "approve"]
    wall = second.json()["plan"][0]["legs"][0]["change"]["want"]["separation"]
    assert "0.0.0.0/0 to 198.18.3.0/24 tcp port 443" in wall["passages"]
