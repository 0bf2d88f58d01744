"""Replays: a folder holds what happened and what is expected of it. A new case is a new folder.

`parameters.toml` names a scenario to be filmed at a provider (with its seed), or a capture to be turned into records
by pmacctd; `policy.toml`, where there is one, the rules; `expected.json` what must come out. Keys of the latter:
`decisions` (all of them), `acted_at_most`, `waiting_at_least`, `waiting_because` (words among the reasons),
`offenders` (all subjects at isolate), `findings` by subject, `silent`, `why_dead`, `received`, `changed` (devices that
hold other lines in the end).
"""

import json
import os
import shutil
import signal
import subprocess
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.lab.filming import film
from deploy.lab.provider import provider
from deploy.lab.scenarios import journey
from deploy.lab.sitefile import site
from deploy.rerun import Request, rerun
from deploy.tomlwriting import toml_text

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CORPUS = Path(os.environ.get("CORDON_CORPUS", ROOT.parent / "shared" / "data"))
BEGIN_NS = 1_795_000_200 * 1_000_000_000
CASES = sorted(path.parent for path in HERE.glob("*/parameters.toml"))
WAITING = {"proposed"}

PMACCTD = """\
daemonize: false
pcap_savefile: {capture}
pcap_savefile_wait: true
plugins: print[records]
aggregate[records]: src_host, dst_host, src_port, dst_port, proto, tcpflags, timestamp_start
print_output[records]: json
print_output_file[records]: {output}
print_output_file_append[records]: true
print_refresh_time[records]: 600
plugin_buffer_size[records]: 1024
plugin_pipe_size[records]: 1024000
"""


@dataclass(frozen=True)
class Case:
    name: str
    parameters: dict[str, Any]
    expected: dict[str, Any]
    policy: Path | None


def case(folder: Path) -> Case:
    policy = folder / "policy.toml"
    return Case(
        folder.name,
        tomllib.loads((folder / "parameters.toml").read_text()),
        json.loads((folder / "expected.json").read_text()),
        policy if policy.exists() else None,
    )


def filmed(given: Case, folder: Path) -> Request:
    parameters = given.parameters
    source = provider(parameters["seed"])
    made = film(
        source,
        journey(source, parameters["scenario"]),
        folder,
        hours=parameters["hours"],
        seconds=parameters["seconds"],
        quiet_s=parameters.get("quiet_s", 0.0),
        begin_ns=BEGIN_NS,
    )
    described = folder / "site.toml"
    described.write_text(toml_text(site(source, {}, key_file=folder / "none")))
    return Request(
        files=(made.flows, made.logs),
        site=described,
        policy=given.policy,
        emulate=parameters.get("emulate", False),
    )


def captured(given: Case, folder: Path) -> Request:
    """Records that Debian's pmacctd makes of a capture."""
    capture = CORPUS / given.parameters["capture"]
    if not capture.exists():
        pytest.skip(f"the corpus is missing: {capture}")
    if shutil.which("pmacctd") is None:
        pytest.skip("pmacctd is missing (Debian: pmacct)")
    output, settings = folder / "records.json", folder / "pmacctd.conf"
    settings.write_text(PMACCTD.format(capture=capture, output=output))
    with (folder / "pmacctd.log").open("wb") as log:
        process = subprocess.Popen(["pmacctd", "-f", str(settings)], stdout=log, stderr=log)
        _wait(lambda: "finished reading PCAP" in (folder / "pmacctd.log").read_text())
        _wait(_idle(process.pid))
        process.send_signal(signal.SIGINT)
        process.wait(20)
    return Request(
        files=(output,),
        ours=tuple(given.parameters["ours"]),
        policy=given.policy,
        emulate=given.parameters.get("emulate", False),
    )


def _idle(pid: int) -> Callable[[], bool]:
    """A state: neither pmacctd nor its plugin has used the processor for a second, so that their pipe is empty."""
    seen: list[tuple[float, int]] = []

    def idle() -> bool:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        spent = sum(int(part) for one in (pid, *children) for part in _stat(one)[11:13])
        if not seen or seen[-1][1] != spent:
            seen.append((time.monotonic(), spent))
        return time.monotonic() - seen[-1][0] > 1.0

    return idle


def _stat(pid: object) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _wait(state: Callable[[], bool], deadline_s: float = 20.0) -> None:
    end = time.monotonic() + deadline_s
    while not state():
        assert time.monotonic() < end, "the state did not come"


def _param(folder: Path) -> Any:
    parameters = tomllib.loads((folder / "parameters.toml").read_text())
    marks = [pytest.mark.corpus] if "capture" in parameters else []
    return pytest.param(folder, id=folder.name, marks=marks)


@pytest.mark.parametrize("folder", [_param(folder) for folder in CASES])
def test_a_replay_ends_as_expected(folder: Path, tmp_path: Path) -> None:
    given = case(folder)
    make = captured if "capture" in given.parameters else filmed
    report = rerun(make(given, tmp_path))
    assert report["received"] == report["scored"] + report["dead"] + report["skipped"]
    for what, wanted in given.expected.items():
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


def _offenders(report: dict[str, Any], wanted: list[str]) -> bool:
    loud = [one for one in report["verdicts"] if one["level"] == "isolate" and one["finding"] == "offender"]
    return sorted(one["subject"] for one in loud) == sorted(wanted)


def _findings(report: dict[str, Any], wanted: dict[str, str]) -> bool:
    found = {one["subject"]: one["finding"] for one in report["verdicts"]}
    return {subject: found.get(subject) for subject in wanted} == wanted


CHECKS: dict[str, Callable[[dict[str, Any], Any], bool]] = {
    "decisions": _decisions,
    "acted_at_most": lambda report, most: len(report["decisions"]) - len(_waiting(report)) <= most,
    "waiting_at_least": lambda report, least: len(_waiting(report)) >= least,
    "waiting_because": _because,
    "offenders": _offenders,
    "findings": _findings,
    "silent": lambda report, wanted: report["silent"] == wanted,
    "why_dead": lambda report, wanted: set(report["why_dead"]) == set(wanted),
    "received": lambda report, wanted: report["received"] == wanted,
    "changed": lambda report, wanted: sorted(report["changed"]) == sorted(wanted),
}


def _shown(report: dict[str, Any]) -> str:
    return json.dumps({**report, "verdicts": report["verdicts"][:12], "decisions": report["decisions"][:6]}, indent=1)
