"""The demonstration as a newcomer starts it: real processes, real SSH, and a judge that knows nothing of Cordon."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SEED = "5"


def demo(home: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    summary = home / "summary.json"
    done = subprocess.run(
        [sys.executable, "-m", "deploy.cli", "demo", "--home", str(home), "--summary", str(summary), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert summary.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    return done.returncode, json.loads(summary.read_text())


def lines_configured(summary: dict[str, Any]) -> int:
    return sum(device["config_lines"] for device in summary["devices"].values())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_both_offenders_are_isolated_and_nobody_else_is_touched(tmp_path: Path) -> None:
    status, summary = demo(tmp_path, "--seed", SEED)
    assert (status, summary["exit"], summary["reasons"]) == (0, "ok", [])
    assert summary["false_actions"] == 0
    assert summary["records_per_message"] >= 100
    assert len(summary["devices"]) >= 6
    assert len({device["platform"] for device in summary["devices"].values()}) >= 4
    assert [incident["scenario"] for incident in summary["incidents"]] == [1, 2]
    for incident in summary["incidents"]:
        assert incident["offender"] in incident["expected"]
        assert incident["verdict_s"] <= 5  # event time
        assert incident["isolated_s"] is not None
        assert incident["traffic_fell_s"] is not None
        assert incident["bystanders_touched"] == 0
        assert incident["config_lines_sent"] > 0
        assert all(leg["verified_s"] is not None for fence in incident["fences"] for leg in fence["legs"])
    assert "times its own normal" in json.dumps(summary["incidents"][0]["evidence"])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_without_the_day_before_the_flood_that_only_a_baseline_shows_is_missed(tmp_path: Path) -> None:
    status, summary = demo(tmp_path, "--seed", SEED, "--no-warm-up", "--scenario", "1")
    assert (status, summary["exit"]) == (1, "failed")
    assert summary["incidents"][0]["offender"] is None
    assert lines_configured(summary) == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_rehearsal_names_the_offender_and_configures_nothing(tmp_path: Path) -> None:
    status, summary = demo(tmp_path, "--seed", SEED, "--no-warm-up", "--scenario", "2", "--mode", "dry-run")
    assert (status, summary["exit"]) == (0, "ok")
    (incident,) = summary["incidents"]
    assert incident["offender"] in incident["expected"]
    assert incident["isolated_s"] is None
    assert lines_configured(summary) == 0
