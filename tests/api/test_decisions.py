import hashlib
import json
from dataclasses import replace

import pytest

from controller.domain.address import prefix_of
from controller.domain.decision import By, State
from controller.domain.fence import Action, Change, Entry, SlotState
from controller.domain.record import Decision, LegState
from controller.ledger_codec import from_document
from controller.ledger_tokens import Role
from tests.api.house import ENFORCED, House
from tests.controller.ledger_cases import NOON_NS, flood

REASON = {"reason": "seen it"}


def test_a_list_shows_what_is_needed_to_choose(house: House) -> None:
    house.propose("d-1", host="vps-1")
    (one,) = house.get("/decisions")["items"]
    shown = {name: one[name] for name in ("id", "state", "host", "score", "fences", "devices", "level")}
    assert shown == {
        "id": "d-1",
        "state": "proposed",
        "host": "vps-1",
        "score": 95.0,
        "fences": ["block_address"],
        "devices": ["sw-1"],
        "level": "isolate",
    }


def test_filters_pages_and_order(house: House) -> None:
    house.propose("d-1", device="sw-1", score=81.0)
    house.propose("d-2", device="sw-2", score=99.0, simulated=True)
    house.propose("d-3", By.REJECT, created_ns=NOON_NS + 5)

    def ids(**query: object) -> list[str]:
        return [one["id"] for one in house.get("/decisions", **query)["items"]]

    assert ids() == ["d-3", "d-1", "d-2"]
    assert ids(sort="worst", limit=1) == ["d-2"]
    assert ids(state=["proposed", "rejected"]) == ["d-3", "d-1", "d-2"]
    assert ids(state="rejected") == ids(live=False) == ids(since_ns=NOON_NS + 1) == ["d-3"]
    assert ids(device="sw-2") == ids(simulated=True) == ids(min_score=99) == ["d-2"]
    assert ids(limit=1, offset=1) == ["d-1"]
    assert ids(tenant="nobody") == []
    assert house.get("/decisions", limit=1)["total"] == 3


def test_a_decision_is_shown_with_lines_undo_evidence_reasons_moves_and_timeline(house: House) -> None:
    one = house.propose("d-1", By.APPROVE, By.APPLY)
    leg = one.fences[0].legs[0]
    entry = Entry(Action.DROP, prefix_of("2001:db8::/64"))
    change = Change(leg.slot, SlotState(), SlotState(entries=frozenset({entry})), ("deny it",), ("allow it",))
    recorded = replace(leg, change=change, state=LegState.VERIFIED, recorded_ns=NOON_NS + 1, verified_ns=NOON_NS + 2)
    one = house.ledger.record(one, recorded, native=SlotState())
    one = house.ledger.move(one, By.VERIFY, at_ns=NOON_NS + 3, actor="controller", why="read back")
    facts = {"fallen_ns": str(NOON_NS + 4)}
    house.ledger.keep(replace(one, effect="fallen", facts=facts))
    shown = house.get("/decisions/d-1")
    (fence,) = shown["plan"]
    (leg_shown,) = fence["legs"]
    assert (leg_shown["slot"]["device"], leg_shown["state"]) == ("sw-1", "verified")
    assert leg_shown["change"]["apply"] == ["deny it"]
    assert leg_shown["change"]["undo"] == ["allow it"]
    assert leg_shown["change"]["want"]["entries"][0]["source"] == "2001:db8::/64"
    assert shown["evidence"][0]["facts"]["ratio"] == 2000.0
    assert shown["reasons"] == [{"rule": "blast_radius", "allows": True, "text": "1 of at most 4 on sw-1"}]
    assert shown["attachment"]["neighbours"] == ["vps-x", "vps-y"]
    assert shown["attachment"]["guest"] == "hv-1/vnet1"
    assert [move["by"] for move in shown["moves"]] == ["propose", "approve", "apply", "verify"]
    assert [one["what"] for one in shown["timeline"]] == [
        "first_bad",
        "verdict",
        "move:propose",
        "move:approve",
        "move:apply",
        "recorded",
        "verified",
        "move:verify",
        "effect:fallen",
    ]


def test_a_story_is_told_in_the_order_in_which_it_happened_though_event_time_runs_behind(house: House) -> None:
    one = house.propose("d-1")
    one = house.ledger.move(one, By.APPROVE, at_ns=NOON_NS + 500, actor="ann", why="by the wall")
    one = house.ledger.move(one, By.APPLY, at_ns=NOON_NS + 250, actor="controller", why="by event time")
    leg = replace(one.fences[0].legs[0], recorded_ns=NOON_NS + 600, verified_ns=NOON_NS + 900)
    one = house.ledger.record(one, leg, native=SlotState())
    house.ledger.move(one, By.VERIFY, at_ns=NOON_NS + 400, actor="controller", why="read back, by event time")
    told = [(one["what"], one["clock"]) for one in house.get("/decisions/d-1")["timeline"]]
    assert told[-5:] == [
        ("move:approve", "event"),
        ("move:apply", "event"),
        ("recorded", "wall"),
        ("verified", "wall"),
        ("move:verify", "event"),
    ]


def test_an_approval_is_a_move_in_the_ledger_in_the_callers_name(house: House) -> None:
    house.propose()
    answer = house.ask("POST", "/decisions/d-1/approve", Role.APPROVER, json=REASON)
    assert (answer.status_code, answer.json()["state"]) == (200, "approved")
    last = house.ledger.moves()[-1]
    assert (last.by, last.actor, last.why) == (By.APPROVE, "approver-ann", "seen it")


@pytest.mark.parametrize(
    ("verb", "steps", "body", "state"),
    [
        ("approve", (), REASON, State.APPROVED),
        ("reject", (), REASON, State.REJECTED),
        ("reject", (By.APPROVE,), REASON, State.LAPSED),
        ("release", ENFORCED, REASON, State.RELEASING),
        ("extend", ENFORCED, REASON | {"seconds": 60}, State.ENFORCED),
    ],
)
def test_a_person_moves_a_decision(
    house: House, verb: str, steps: tuple[By, ...], body: dict[str, object], state: State
) -> None:
    house.propose("d-1", *steps)
    assert house.ask("POST", f"/decisions/d-1/{verb}", Role.APPROVER, json=body).json()["state"] == state
    assert house.ledger.decision("d-1").state is state


def test_two_releases_at_once_are_one(house: House) -> None:
    house.propose("d-1", *ENFORCED)
    answers = [house.ask("POST", "/decisions/d-1/release", Role.OPERATOR, json=REASON) for _ in range(2)]
    assert [answer.json()["state"] for answer in answers] == ["releasing", "releasing"]
    assert answers[0].json() == answers[1].json()


def test_a_version_that_is_old_is_a_conflict(house: House) -> None:
    one = house.propose()
    house.ledger.keep(replace(one, evidence=(flood(NOON_NS + 1),)))
    answer = house.ask("POST", "/decisions/d-1/approve", Role.APPROVER, json=REASON | {"version": 1})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:cordon:problem:stale-decision")
    fresh = house.ask("POST", "/decisions/d-1/approve", Role.APPROVER, json=REASON | {"version": 2})
    assert fresh.status_code == 200


def test_a_move_that_cannot_be_says_what_can(house: House) -> None:
    house.propose()
    answer = house.ask("POST", "/decisions/d-1/release", Role.OPERATOR, json=REASON)
    assert answer.status_code == 409
    assert "possible: approve, endorse, lapse, reject" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"reason": ""},
        {"reason": "  "},
        {"reason": "two\nlines"},
        {"reason": "x" * 501},
        {"reason": "ok", "versoin": 1},
        {"reason": "ok", "version": 0},
        {"reason": "ok", "version": "1e400"},
        {"reason": 5},
        [],
        "approve",
        None,
    ],
)
def test_a_body_that_is_not_what_is_asked_for_is_refused(house: House, body: object) -> None:
    house.propose()
    answer = house.ask("POST", "/decisions/d-1/approve", Role.APPROVER, json=body)
    assert answer.status_code == 422
    assert house.ledger.decision("d-1").state is State.PROPOSED


@pytest.mark.parametrize("seconds", [0, -5, 1e9, 90_000, "NaN", None])
def test_an_extension_has_bounds(house: House, seconds: object) -> None:
    house.propose("d-1", *ENFORCED)
    answer = house.ask("POST", "/decisions/d-1/extend", Role.OPERATOR, json=REASON | {"seconds": seconds})
    assert answer.status_code == 422


def test_the_evidence_is_downloaded_whole_and_proves_itself(house: House) -> None:
    one = house.propose("d-1")
    for second in (1, 2):
        one = house.ledger.keep(replace(one, evidence=(flood(NOON_NS + second * 1_000_000_000),)))
    answer = house.ask("GET", "/decisions/d-1/bundle")
    assert answer.headers["content-disposition"] == 'attachment; filename="cordon-d-1.json"'
    document = answer.json()
    content = document["content"]
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(canonical.encode()).hexdigest() == document["sha256"]
    assert from_document(content["decision"], Decision) == one
    assert len(content["evidence"]) == 3
    assert content["chain"]["whole"] is True
    assert [move["by"] for move in content["moves"]] == ["propose"]


def test_what_nobody_decided_is_not_found(house: House) -> None:
    for verb, path in (("GET", ""), ("GET", "/bundle"), ("POST", "/approve")):
        answer = house.ask(verb, f"/decisions/nothing{path}", Role.APPROVER, json=REASON if verb == "POST" else None)
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:cordon:problem:unknown-subject")
