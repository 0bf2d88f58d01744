"""Replays: a folder holds what happened and what is expected of it. A new case is a new folder.

`parameters.toml` names a scenario to be filmed at a provider (with its seed), a capture to be turned into records by
pmacctd (with its `aggregate` and further `settings`), or a recorded log; `policy.toml`, where there is one, the rules;
`expected.json` what must come out. Keys of the latter: `decisions` (all of them), `acted_at_most`, `waiting_at_least`,
`waiting_because` (words among the reasons), `offenders` (all subjects at isolate), `watched` (all offenders at watch or
above), `findings` and `evidence` (words) by subject, `silent`, `why_dead`, `received`, `changed` (devices that hold
other lines in the end), `held_back_at_least` (records that the fences stopped).
"""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.rerun import rerun
from tests.replays.making import made

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.glob("*/parameters.toml"))
WAITING = {"proposed"}


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where records of captures stand that several cases read."""
    return tmp_path_factory.mktemp("records")


def _param(folder: Path) -> Any:
    parameters = tomllib.loads((folder / "parameters.toml").read_text())
    marks = [] if "scenario" in parameters else [pytest.mark.corpus]
    return pytest.param(folder, id=folder.name, marks=marks)


@pytest.mark.parametrize("folder", [_param(folder) for folder in CASES])
def test_a_replay_ends_as_expected(folder: Path, tmp_path: Path, shelf: Path) -> None:
    policy = folder / "policy.toml"
    parameters = tomllib.loads((folder / "parameters.toml").read_text())
    expected = json.loads((folder / "expected.json").read_text())
    report = rerun(made(parameters, policy if policy.exists() else None, tmp_path, shelf))
    assert report["received"] == report["scored"] + report["dead"] + report["skipped"] > 0
    for what, wanted in expected.items():
        assert CHECKS[what](report, wanted), f"{what}: {_shown(report)}"


def _decisions(report: dict[str, Any], wanted: list[dict[str, Any]]) -> bool:
    found = [
        {"host": one["host"], "state": one["state"], "fences": [fence["kind"] for fence in one["fences"]]}
        for one in report["decisions"]
    ]
    return sorted(found, key=str) == sorted(wanted, key=str)


def _waiting(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in report["decisions"] if one["state"] in WAITING]


def _because(report: dict[str, Any], words: list[str]) -> bool:
    said = " ".join(reason["text"] for one in _waiting(report) for reason in one["reasons"] if not reason["allows"])
    return all(word in said for word in words)


def _offenders(report: dict[str, Any], levels: set[str]) -> list[str]:
    loud = [one for one in report["verdicts"] if one["level"] in levels and one["finding"] == "offender"]
    return sorted(one["subject"] for one in loud)


def _findings(report: dict[str, Any], wanted: dict[str, str]) -> bool:
    found = {one["subject"]: one["finding"] for one in report["verdicts"]}
    return {subject: found.get(subject) for subject in wanted} == wanted


def _evidence(report: dict[str, Any], wanted: dict[str, list[str]]) -> bool:
    found = {
        one["subject"]: " ".join(f"{each['detector']}: {each['text']}" for each in one["evidence"])
        for one in report["verdicts"]
    }
    return all(word in found.get(subject, "") for subject, words in wanted.items() for word in words)


CHECKS: dict[str, Callable[[dict[str, Any], Any], bool]] = {
    "decisions": _decisions,
    "acted_at_most": lambda report, most: len(report["decisions"]) - len(_waiting(report)) <= most,
    "waiting_at_least": lambda report, least: len(_waiting(report)) >= least,
    "waiting_because": _because,
    "offenders": lambda report, wanted: _offenders(report, {"isolate"}) == sorted(wanted),
    "watched": lambda report, wanted: _offenders(report, {"watch", "contain", "isolate"}) == sorted(wanted),
    "findings": _findings,
    "evidence": _evidence,
    "silent": lambda report, wanted: report["silent"] == wanted,
    "why_dead": lambda report, wanted: set(report["why_dead"]) == set(wanted),
    "received": lambda report, wanted: report["received"] == wanted,
    "changed": lambda report, wanted: sorted(report["changed"]) == sorted(wanted),
    "held_back_at_least": lambda report, least: report["held_back"] >= least,
}


def _shown(report: dict[str, Any]) -> str:
    return json.dumps({**report, "verdicts": report["verdicts"][:12], "decisions": report["decisions"][:6]}, indent=1)
