from sqlalchemy import text

from controller.domain.decision import By
from controller.ledger_tokens import Role
from tests.api.house import ENFORCED, House
from tests.controller.ledger_cases import NOON_NS


def test_every_move_is_audited_in_pages_newest_first(house: House) -> None:
    house.propose("d-1", *ENFORCED)
    house.ask("POST", "/decisions/d-1/release", Role.OPERATOR, json={"reason": "well again"})
    page = house.get("/audit/moves", limit=2)
    assert page["total"] == 5
    assert [(one["by"], one["actor"]) for one in page["items"]] == [
        ("release", "operator-ann"),
        ("verify", "controller"),
    ]
    assert house.get("/audit/moves", actor="operator-ann")["total"] == 1
    assert house.get("/audit/moves", by="verify", decision_id="d-1", since_ns=NOON_NS)["total"] == 1


def test_the_chain_is_verified_and_a_forgery_shown_where_it_is(house: House) -> None:
    house.propose("d-1", By.APPROVE)
    assert house.get("/audit/chain") | {"head": ""} == {"whole": True, "moves": 2, "head": "", "broken_at": None}
    with house.ledger.database.writing() as session:
        session.execute(text("DROP TRIGGER moves_no_update"))
        session.execute(text("UPDATE moves SET \"by\" = 'bribe', actor = 'nobody' WHERE sequence = 2"))
    assert house.get("/audit/chain")["broken_at"] == 2
    assert house.get("/audit/moves")["items"][0]["by"] == "bribe"
    assert house.get("/decisions/d-1")["moves"][1]["actor"] == "nobody"


def test_an_incident_says_who_was_loud_both_times(house: House) -> None:
    house.propose("d-1", By.REJECT, host="vps-1", explains=("fw-1: failover",))
    house.propose("d-2", host="vps-1", created_ns=NOON_NS + 172_800_000_000_000)
    house.propose("d-3", host="vps-2")
    page = house.get("/incidents")
    assert page["total"] == 2
    again = page["items"][0]
    assert (again["again"], again["symptoms"], len(again["decisions"])) == (["vps-1"], ["fw-1: failover"], 2)
    assert house.get(f"/incidents/{again['id']}") == again
    assert house.ask("GET", "/incidents/nothing").status_code == 404


def test_the_kill_switch_is_turned_with_a_reason(house: House) -> None:
    assert house.get("/kill-switch") == {"state": "off", "actor": "", "why": "", "at_ns": 0}
    turn = {"state": "on", "reason": "sensors are mad"}
    expected = {"state": "on", "actor": "approver-ann", "why": "sensors are mad", "at_ns": NOON_NS}
    assert house.ask("PUT", "/kill-switch", Role.APPROVER, json=turn).json() == expected
    again = house.ask("PUT", "/kill-switch", Role.APPROVER, json=turn | {"reason": "me too"})
    assert again.json() == house.get("/kill-switch") == expected
    assert house.ledger.killed()
    assert house.ask("PUT", "/kill-switch", Role.APPROVER, json={"state": "off"}).status_code == 422
    assert house.ask("PUT", "/kill-switch", Role.APPROVER, json=turn | {"state": "maybe"}).status_code == 422
