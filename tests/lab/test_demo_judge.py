"""The judge believes the devices: what it says of a run follows from journals, configurations and test packets."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.lab.judge import Fence, Judgement, Leg, Named, Run, Snapshot, Truth, changed, journal_lines, judge

S = 1_000_000_000
BEGUN = 1_000 * S
PASSING = ((True, 110), (True, 110))

RUN = Run(mode="enforce", broker="embedded", seed=1, records=300_000, messages=600)
TRUTH = Truth(1, "vps001", ("host:198.18.0.5",), BEGUN, BEGUN + S // 4, BEGUN + 3 * S)
NAMED = Named(
    "host:198.18.0.5",
    BEGUN + 2 * S,
    acted=True,
    fences=(Fence("block_address", (Leg("sw01", BEGUN + 3 * S),)),),
    evidence=({"detector": "flood_ratio", "text": "90 Mbit/s", "facts": {"ratio": 2000}, "weight": 0.9},),
)
BEFORE = Snapshot(
    {"sw01": ["a"], "sw02": ["b"]},
    {
        name: {"platform": "cisco_ios", "config_lines": 0, "refused": 0, "sessions": 0, "more": 1}
        for name in ("sw01", "sw02")
    },
    {"vps001": PASSING, "vps002": PASSING},
)
AFTER = Snapshot(
    {"sw01": ["a", "fence"], "sw02": ["b"]},
    {
        "sw01": {"platform": "cisco_ios", "config_lines": 4, "refused": 1, "sessions": 1},
        "sw02": {"platform": "cisco_ios", "config_lines": 0, "refused": 0, "sessions": 1},
    },
    {"vps001": ((False, None), (True, 110)), "vps002": PASSING},
)
HEARD = {"sw01": [1_000.3, 1_001.0, 1_002.0, 1_002.5]}


def verdict(
    run: Run = RUN,
    *,
    truths: tuple[Truth, ...] = (TRUTH,),
    named: tuple[Named, ...] = (NAMED,),
    after: Snapshot = AFTER,
) -> Judgement:
    return judge(run, truths=truths, named=named, before=BEFORE, after=after, lines=HEARD)


def test_an_isolated_offender_and_untouched_neighbours_are_ok() -> None:
    found = verdict()
    assert found.ok
    assert found.reasons == ()
    (incident,) = found.document["incidents"]
    assert incident == {
        "scenario": 1,
        "expected": ["host:198.18.0.5"],
        "offender": "host:198.18.0.5",
        "verdict_s": 2.0,
        "isolated_s": 2.75,
        "traffic_fell_s": 2.75,
        "fences": [
            {"kind": "block_address", "legs": [{"device": "sw01", "platform": "cisco_ios", "verified_s": 2.75}]}
        ],
        "bystanders_touched": 0,
        "config_lines_sent": 4,
        "evidence": [{"detector": "flood_ratio", "text": "90 Mbit/s", "facts": {"ratio": 2000}}],
    }
    assert found.document["devices"]["sw01"] == {
        "platform": "cisco_ios",
        "config_lines": 4,
        "refused": 1,
        "sessions": 1,
    }
    assert found.document["records_per_message"] == 500.0


def test_the_summary_has_every_key_that_was_promised() -> None:
    assert list(verdict().document) == [
        "version", "mode", "broker", "seed", "records", "messages", "records_per_message", "incidents", "devices",
        "false_actions", "exit", "reasons",
    ]  # fmt: skip
    json.dumps(verdict().document)


@pytest.mark.parametrize(
    ("what", "named", "truth", "reason"),
    [
        ("nobody named", (), TRUTH, "not named"),
        (
            "no leg verified",
            (replace(NAMED, fences=(Fence("block_address", (Leg("sw01", 0),)),)),),
            TRUTH,
            "not isolated",
        ),
        (
            "one of two legs verified",
            (replace(NAMED, fences=(Fence("block_address", (Leg("sw01", BEGUN), Leg("sw02", 0))),)),),
            TRUTH,
            "not isolated",
        ),
        ("still sending", (NAMED,), replace(TRUTH, fell_ns=0), "did not fall"),
    ],
)
def test_a_missing_isolation_fails_the_run(what: str, named: tuple[Named, ...], truth: Truth, reason: str) -> None:
    found = verdict(named=named, truths=(truth,))
    assert not found.ok, what
    assert reason in found.reasons[0]


def test_a_neighbour_whose_packets_go_another_way_than_before_was_touched() -> None:
    moved = replace(AFTER, passes={**AFTER.passes, "vps002": ((True, 999), (True, 110))})
    assert changed(BEFORE, moved) == {"vps001", "vps002"}
    found = verdict(after=moved)
    assert not found.ok
    assert found.document["incidents"][0]["bystanders_touched"] == 1


def test_acting_against_somebody_else_is_a_false_action_and_merely_proposing_is_none() -> None:
    other = replace(NAMED, subject="host:198.18.0.9")
    assert verdict(named=(NAMED, other)).document["false_actions"] == 1
    assert not verdict(named=(NAMED, other)).ok
    assert verdict(named=(NAMED, replace(other, acted=False))).ok


def test_one_line_configured_in_dry_run_fails_the_run() -> None:
    dry = replace(RUN, mode="dry-run")
    planned = replace(NAMED, fences=(Fence("block_address", (Leg("sw01", 0),)),))
    assert not verdict(dry, named=(planned,)).ok
    untouched = replace(BEFORE, counters=AFTER.counters | {"sw01": {**AFTER.counters["sw01"], "config_lines": 0}})
    quiet = verdict(dry, named=(planned,), after=untouched)
    assert quiet.ok
    assert quiet.document["incidents"][0]["isolated_s"] is None


def test_what_nobody_approved_is_no_failure_and_is_said() -> None:
    asked = replace(RUN, mode="approve", approved=False)
    waiting = replace(NAMED, acted=False, fences=())
    found = verdict(asked, named=(waiting,), after=BEFORE)
    assert found.ok
    assert found.reasons == ("nobody approved in time",)
    assert not verdict(replace(asked, approved=True), named=(waiting,), after=BEFORE).ok


def test_a_night_with_nothing_wrong_is_ok_only_if_nothing_was_done() -> None:
    calm = (Truth(3),)
    assert verdict(truths=calm, named=(), after=BEFORE).ok
    assert not verdict(truths=calm, named=(NAMED,), after=AFTER).ok


def test_the_console_and_lines_that_changed_nothing_are_not_counted(tmp_path: Path) -> None:
    entries = [
        {"time": 1.0, "session": 1, "event": "open"},
        {"time": 2.0, "session": 1, "mode": "exec", "line": "show vlan", "accepted": True, "configured": False},
        {"time": 3.0, "session": 1, "mode": "config", "line": "shutdown", "accepted": True, "configured": True},
        {"time": 4.0, "session": 0, "mode": "config", "line": "no shutdown", "accepted": True, "configured": True},
    ]
    (tmp_path / "sw01.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    assert journal_lines(tmp_path) == {"sw01": (3.0,)}
