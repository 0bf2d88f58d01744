from dataclasses import replace
from typing import Any

import pytest

from api.readiness import assess
from controller.domain.wire import Heartbeat, dead_letter
from tests.api.house import House
from tests.controller.ledger_cases import NOON_NS

SECOND = 1_000_000_000
COUNTS = {"received": 10, "scored": 7, "dead": 2, "skipped": 1, "late": 3}


def beat(process: str, instance: str = "1", **changes: Any) -> Heartbeat:
    return replace(Heartbeat(process=process, instance=instance, at_ns=NOON_NS), **changes)


def picture(*beats: Heartbeat) -> Any:
    return assess(beats, now_ns=NOON_NS, max_age_s=10.0, killed=False, logins=(), dead={}, decisions={})


def test_it_is_ready_when_streams_and_controller_were_heard_lately(house: House) -> None:
    assert house.ask("GET", "/health/live", None).json() == {"status": "live"}
    answer = house.ask("GET", "/health/ready", None)
    assert answer.status_code == 503
    assert answer.json()["detail"] == "streams was never heard; controller was never heard"
    beats = (beat("streams"), beat("controller"))
    house.ledger.take_in(verdicts=(), heartbeats=beats, dead=(), offsets={})
    assert house.ask("GET", "/health/ready", None).json() == {"status": "ready"}
    house.clock.now += 11 * SECOND
    answer = house.ask("GET", "/health/ready", None)
    assert (answer.status_code, "not heard for 10 s" in answer.json()["detail"]) == (503, True)


def test_one_live_worker_of_several_is_enough(house: House) -> None:
    gone = beat("streams", "1", at_ns=NOON_NS - 60 * SECOND)
    assert picture(gone, beat("streams", "2"), beat("controller")).ready


@pytest.mark.parametrize("at_ns", [NOON_NS - 11 * SECOND, NOON_NS + 11 * SECOND])
def test_a_heartbeat_from_long_ago_or_from_the_future_is_not_fresh(at_ns: int) -> None:
    shown = picture(beat("streams", at_ns=at_ns), beat("controller"))
    assert not shown.ready
    assert [one.fresh for one in shown.processes] == [False, True]


def test_lag_and_the_oldest_event_are_those_of_the_live_processes() -> None:
    gone = beat("streams", "1", at_ns=0, lag={"f/0": 900}, oldest_ns=1)
    shown = picture(
        gone,
        beat("streams", "2", lag={"f/0": 3, "f/1": 0}, oldest_ns=50),
        beat("controller", lag={"v/0": 1}, oldest_ns=60),
    )
    assert (shown.lag, shown.oldest_ns) == ({"f/0": 3, "f/1": 0, "v/0": 1}, 50)


def test_a_chain_that_lets_no_canary_through_is_a_fault_and_the_newest_of_each_partition_is_shown() -> None:
    def told(ago_s: int, took_ms: int) -> dict[str, int]:
        return {"event_ns": 1, "heard_ns": NOON_NS - ago_s * SECOND, "took_ms": took_ms}

    before = beat("controller", "1", canaries={"cordon.activity/0": told(50, 1), "cordon.activity/1": told(59, 900)})
    after = beat("controller", "2", canaries={"cordon.activity/0": told(3, 700)})
    shown = picture(beat("streams"), before, after)
    assert [(one.partition, one.age_s, one.took_ms) for one in shown.canaries] == [
        ("cordon.activity/0", 3.0, 700),
        ("cordon.activity/1", 59.0, 900),
    ]
    assert shown.ready
    stuck = replace(before, canaries={"cordon.activity/1": told(61, 900)})
    assert picture(beat("streams"), stuck, after).faults == ["nothing has come through cordon.activity/1 for 61 s"]


def test_an_exporter_is_silent_when_nobody_alive_hears_it() -> None:
    facts = {"last_ns": 5, "records": 10, "fragments_visible": 1}
    shown = picture(
        beat("streams", "1", exporters={"192.0.2.1": facts}, silent=("192.0.2.2",)),
        beat("streams", "2", exporters={"192.0.2.2": facts | {"last_ns": 9}}),
        beat("streams", "3", at_ns=0, exporters={"192.0.2.3": facts}),
        beat("streams", "4", exporters={"192.0.2.4": facts}, silent=("192.0.2.4",)),
    )
    assert {one.address: one.silent for one in shown.exporters} == {
        "192.0.2.1": False,
        "192.0.2.2": False,
        "192.0.2.3": True,
        "192.0.2.4": True,
    }
    assert shown.exporters[0].facts == {"fragments_visible": 1}


def test_what_a_listener_knows_of_an_exporter_is_shown_beside_what_workers_know_and_hides_no_silence() -> None:
    worker = beat("streams", exporters={"192.0.2.1": {"last_ns": 5, "records": 10}}, silent=("192.0.2.1",))
    ears = beat("listen", exporters={"192.0.2.1": {"last_ns": 9, "dropped": 3, "missed": 4}})
    [shown] = picture(worker, ears).exporters
    assert (shown.silent, shown.last_ns, shown.records) == (True, 9, 10)
    assert shown.facts == {"dropped": 3, "missed": 4}


def test_records_are_accounted_for_over_all_workers() -> None:
    whole = picture(beat("streams", "1", sources={"f": COUNTS}), beat("streams", "2", sources={"f": COUNTS}))
    (source,) = whole.sources
    assert (source.received, source.scored, source.dead, source.skipped, source.late) == (20, 14, 4, 2, 6)
    assert source.exact
    leaking = picture(beat("streams", "1", sources={"f": COUNTS}), beat("streams", "2", sources={"f": {"received": 1}}))
    assert not leaking.sources[0].exact


def test_health_in_detail_counts_decisions_and_losses(house: House) -> None:
    house.propose("d-1")
    dead = (dead_letter(b"\xff{", source="cordon.flows/0@7", reason="not JSON: x", at_ns=NOON_NS, count=4),)
    house.ledger.take_in(verdicts=(), heartbeats=(beat("streams"),), dead=dead, offsets={})
    shown = house.get("/health")
    assert (shown["ready"], shown["killed"]) == (False, False)
    assert (shown["decisions"], shown["dead"]) == ({"proposed": 1}, {"not JSON": 4})
    (letter,) = house.get("/dead-letters", reason="not JSON")["items"]
    assert (letter["kept"], letter["source"], letter["count"]) == ("\\xff{", "cordon.flows/0@7", 4)


def test_alarms_are_listed_newest_first(house: House) -> None:
    house.ledger.page(what="stuck", about="d-1", at_ns=1)
    house.ledger.page(what="unproven", about="d-2", at_ns=2)
    assert [one["what"] for one in house.get("/alarms")["items"]] == ["unproven", "stuck"]


def test_a_caller_sees_whose_token_it_holds(house: House) -> None:
    assert house.get("/me") == {"name": "viewer-ann", "role": "viewer", "expires_ns": 0}


def test_devices_that_did_not_let_cordon_in_lately_are_named_and_the_estate_shows_the_proof(house: House) -> None:
    assert house.get("/health")["logins"] == ["hv-1: nobody has tried to log in yet"]
    assert house.get("/estate/devices")["items"][0]["login"] is None
    house.ledger.prove("hv-1", reached=True, text="in 0.3 s", at_ns=NOON_NS)
    assert house.get("/health")["logins"] == []
    house.clock.now = NOON_NS + 3 * 86_400_000_000_000
    assert house.get("/health")["logins"] == ["hv-1: the last login was 72 hours ago"]
    house.ledger.prove("hv-1", reached=False, text="no route to host", at_ns=house.clock.now)
    assert house.get("/health")["logins"] == ["hv-1: no route to host"]
    assert house.get("/estate/devices")["items"][0]["login"] == {
        "at_ns": house.clock.now,
        "reached": False,
        "reached_ns": NOON_NS,
        "text": "no route to host",
    }
