"""Who gets in, what is refused on the way, and how errors look."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.auth import OPEN
from controller.domain.errors import LedgerUnavailable
from controller.ledger_tokens import Role
from tests.api.house import ENFORCED, House
from tests.controller.ledger_cases import NOON_NS

MINUTE_NS = 60_000_000_000
PARAMETERS = {"decision_id": "d-1", "name": "vps-1", "incident_id": "incident-d-1", "request_id": "q-1"}


def operations(house: House) -> Iterator[tuple[str, str, dict[str, Any]]]:
    document = house.client.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for verb, operation in methods.items():
            yield verb.upper(), path.removeprefix("/api/v1"), operation


def filled(path: str) -> str:
    return path.format(**PARAMETERS)


def body_for(path: str) -> dict[str, object]:
    if path == "/kill-switch":
        return {"state": "on", "reason": "r"}
    if path == "/requests":
        return {"kind": "simulate", "about": "vps-1", "reason": "r"}
    return {"reason": "r"} | ({"seconds": 60} if path.endswith("extend") else {})


def is_problem(answer: Any) -> bool:
    document = answer.json()
    return bool(
        answer.headers["content-type"] == "application/problem+json"
        and document["status"] == answer.status_code
        and {"type", "title", "detail", "instance", "request_id"} <= set(document)
        and document["request_id"] == answer.headers["x-request-id"]
    )


def test_nothing_but_the_probes_is_told_without_a_token(house: House) -> None:
    for verb, path, _ in operations(house):
        answer = house.ask(verb, filled(path), None, json=body_for(path))
        if f"/api/v1{path}" in OPEN:
            assert answer.status_code in (200, 503)
        else:
            assert answer.status_code == 401, (verb, path)
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert is_problem(answer)


def test_a_path_that_does_not_exist_is_not_told_from_one_that_does(house: House) -> None:
    assert house.ask("GET", "/nothing", None).status_code == 401
    assert house.ask("GET", "/nothing").status_code == 404


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "Bearer cordon_",
        "Bearer cordon_0_0",
        "Bearer nonsense",
        "Bearer " + "x" * 3_000,
        "Bearer cordon_\xff_\xfe",
    ],
)
def test_a_token_that_is_none_is_refused(house: House, header: str) -> None:
    answer = house.client.get("/api/v1/decisions", headers={"Authorization": header.encode("latin-1")})
    assert answer.status_code == 401


def test_the_right_id_with_another_secret_is_refused(house: House) -> None:
    right = house.presented[Role.APPROVER]
    wrong = right[:-1] + ("A" if right[-1] != "A" else "B")
    answer = house.client.get("/api/v1/me", headers={"Authorization": f"Bearer {wrong}"})
    assert (answer.status_code, "invalid_token" in answer.headers["www-authenticate"]) == (401, True)


def test_an_expired_or_revoked_token_is_refused(house: House) -> None:
    short = house.tokens.create(name="bob", role=Role.VIEWER, now_ns=NOON_NS, expires_ns=NOON_NS + 1)
    headers = {"Authorization": f"Bearer {short}"}
    assert house.client.get("/api/v1/me", headers=headers).status_code == 200
    house.clock.now += 1
    assert house.client.get("/api/v1/me", headers=headers).status_code == 401
    assert house.ask("GET", "/me").status_code == 200
    viewer = next(one for one in house.tokens.all() if one.name == "viewer-ann")
    house.tokens.revoke(viewer.id, now_ns=NOON_NS)
    assert house.ask("GET", "/me").status_code == 401


def test_a_tokens_last_use_is_noted_once_a_minute(house: House) -> None:
    def used() -> int:
        return next(one for one in house.tokens.all() if one.name == "viewer-ann").last_used_ns

    house.get("/me")
    house.clock.now += MINUTE_NS // 2
    house.get("/me")
    assert used() == NOON_NS
    house.clock.now += MINUTE_NS // 2
    house.get("/me")
    assert used() == NOON_NS + MINUTE_NS


def test_no_token_stands_in_the_ledger_as_it_was_handed_out(house: House) -> None:
    house.ledger.database.engine.dispose()
    with house.ledger.database.engine.connect() as connection:
        dump = "\n".join(connection.connection.dbapi_connection.iterdump())  # type: ignore[union-attr]  # sqlite3's own
    for presented in house.presented.values():
        assert presented.split("_")[1] in dump
        assert presented.split("_", 2)[2] not in dump


RIGHTS = {
    ("POST", "approve"): Role.APPROVER,
    ("POST", "reject"): Role.OPERATOR,
    ("POST", "release"): Role.OPERATOR,
    ("POST", "extend"): Role.OPERATOR,
    ("PUT", "kill-switch"): Role.APPROVER,
    ("POST", "requests"): Role.OPERATOR,
}


def test_each_role_may_do_what_it_may_and_no_more(house: House) -> None:
    house.propose("d-1", *ENFORCED)
    for verb, path, _ in operations(house):
        needed = RIGHTS.get((verb, path.rsplit("/", 1)[-1]), Role.VIEWER)
        for role in Role:
            answer = house.ask(verb, filled(path), role, json=body_for(path) if verb != "GET" else None)
            assert (answer.status_code == 403) == (not role.covers(needed)), (verb, path, role, answer.text)


def test_everything_that_changes_something_is_a_right_of_its_own(house: House) -> None:
    changing = {(verb, path.rsplit("/", 1)[-1]) for verb, path, _ in operations(house) if verb != "GET"}
    assert changing == set(RIGHTS)


def test_an_unknown_query_parameter_is_an_error_everywhere(house: House) -> None:
    house.propose("d-1", *ENFORCED)
    for verb, path, _ in operations(house):
        answer = house.ask(
            verb, filled(path), Role.APPROVER, params={"surprise": "1"}, json=body_for(path) if verb != "GET" else None
        )
        assert answer.status_code == 422, (verb, path)
        assert answer.json()["errors"][0]["where"] == ["query", "surprise"]


def test_every_operation_is_documented_with_the_errors_it_can_give(house: House) -> None:
    for verb, path, operation in operations(house):
        assert operation["summary"]
        assert operation["description"], (verb, path)
        refused = {code for code in operation["responses"] if code >= "400"}
        assert refused >= {"422", "500", "503"}
        for code in refused:
            assert list(operation["responses"][code]["content"]) == ["application/problem+json"]


def test_a_body_over_the_limit_is_not_read(house: House) -> None:
    house.propose()
    large = {"reason": "x" * 10_000}
    declared = house.ask("POST", "/decisions/d-1/approve", Role.APPROVER, json=large)
    streamed = house.ask(
        "POST",
        "/decisions/d-1/approve",
        Role.APPROVER,
        content=(b"x" * 1_000 for _ in range(10)),
        headers={"Content-Type": "application/json"},
    )
    for answer in (declared, streamed):
        assert answer.status_code == 413
        assert is_problem(answer)


@pytest.mark.parametrize("length", ["-1", "ten", "²"])
def test_a_length_that_is_no_number_is_a_bad_request(house: House, length: str) -> None:
    answer = house.ask("POST", "/decisions", Role.APPROVER, headers={"Content-Length": length.encode("latin-1")})
    assert answer.status_code == 400
    assert is_problem(answer)


def test_answers_carry_security_headers_and_no_leave_for_other_sites(house: House) -> None:
    for answer in (house.ask("GET", "/decisions"), house.ask("GET", "/nothing"), house.ask("GET", "/me", None)):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["cache-control"] == "no-store"
    asked = house.ask("GET", "/decisions", headers={"Origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in asked.headers


def test_a_request_keeps_the_name_it_came_with_if_it_is_a_name(house: House) -> None:
    assert house.ask("GET", "/me", headers={"X-Request-ID": "abc-1"}).headers["x-request-id"] == "abc-1"
    forged = house.ask("GET", "/me", headers={"X-Request-ID": "a b\tc"}).headers["x-request-id"]
    assert len(forged) == 32


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [("GET", "/nothing", 404), ("DELETE", "/decisions", 405), ("PUT", "/decisions/d-1/approve", 405)],
)
def test_what_is_not_there_is_a_problem_too(house: House, verb: str, path: str, status: int) -> None:
    answer = house.ask(verb, path)
    assert answer.status_code == status
    assert is_problem(answer)


class BrokenReading:
    """A ledger that fails in a way of the test's choice."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, name: str) -> Any:
        def fail(*_: object, **__: object) -> object:
            raise self.error

        return fail


@pytest.mark.parametrize(
    ("error", "status", "tells"),
    [
        (LedgerUnavailable("the ledger does not answer: disk gone"), 503, "disk gone"),
        (RuntimeError("the password is hunter2"), 500, "request"),
    ],
)
def test_a_failure_says_no_more_than_it_should(house: House, error: Exception, status: int, tells: str) -> None:
    app: Any = house.client.app
    app.state.room = replace(app.state.room, reading=BrokenReading(error))
    answer = house.ask("GET", "/decisions")
    assert answer.status_code == status
    assert is_problem(answer)
    assert tells in answer.json()["detail"]
    assert "hunter2" not in answer.text
    assert ("retry-after" in answer.headers) == (status == 503)


def test_an_unreachable_ledger_is_told_at_the_door(house: House) -> None:
    app: Any = house.client.app
    room = app.state.room
    for opened in (room.ledger, house.ledger):
        opened.database.engine.dispose()
    for file in room.settings.site.parent.glob("ledger.sqlite3*"):
        file.write_text("no database\n" * 500)
    answer = house.ask("GET", "/me")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:cordon:problem:ledger-unavailable")
    assert is_problem(answer)
    assert house.ask("GET", "/health/ready", None).status_code == 503
    assert house.ask("GET", "/health/live", None).status_code == 200


texts = (
    st.text(max_size=30) | st.integers().map(str) | st.floats().map(str) | st.sampled_from(["", "true", "-1", "1e999"])
)


@settings(deadline=None, derandomize=True, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_query_brings_the_api_down(house: House, data: st.DataObject) -> None:
    reads = sorted(
        (path, [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"])
        for verb, path, operation in operations(house)
        if verb == "GET"
    )
    path, names = data.draw(st.sampled_from(reads))
    query = data.draw(st.dictionaries(st.sampled_from(names) | st.text(max_size=5), texts, max_size=4)) if names else {}
    answer = house.ask("GET", filled(path), params=query)
    assert answer.status_code in (200, 404, 422) or path == "/health/ready", answer.text


@settings(deadline=None, derandomize=True, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(min_size=1, max_size=60))
def test_no_name_brings_the_api_down(house: House, name: str) -> None:
    written = quote(name, safe="", errors="replace")
    for path in ("/hosts/{}", "/explain/{}", "/decisions/{}", "/incidents/{}", "/requests/{}"):
        assert house.ask("GET", path.format(written)).status_code in (200, 404, 422)


def test_the_document_shows_examples_and_names_every_way_to_get_in(house: House) -> None:
    document = house.client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert schemas["DecisionSummary"]["properties"]["subject"]["examples"] == ["host:198.18.0.7"]
    assert schemas["MoveIn"]["properties"]["reason"]["examples"]
    assert schemas["Problem"]["example"]["status"] == 409
    for _, path, operation in operations(house):
        assert bool(operation.get("security")) == (f"/api/v1{path}" not in OPEN)
