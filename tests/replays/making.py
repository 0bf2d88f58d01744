"""From a case's parameters to a request: a story that is filmed, a capture that pmacctd reads, or a recorded log."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from deploy.lab.filming import film
from deploy.lab.provider import provider
from deploy.lab.scenarios import journey
from deploy.lab.sitefile import site
from deploy.rerun import Request
from deploy.tomlwriting import toml_text

ROOT = Path(__file__).parents[2]
CORPUS = Path(os.environ.get("CORDON_CORPUS", ROOT.parent / "shared" / "data"))
BEGIN_NS = 1_795_000_200 * 1_000_000_000
FIVE = "src_host, dst_host, src_port, dst_port, proto, tcpflags"

PMACCTD = """\
daemonize: false
pcap_savefile: {capture}
pcap_savefile_wait: true
plugins: print[records]
aggregate[records]: {aggregate}
print_output[records]: json
print_output_file[records]: {output}
print_output_file_append[records]: true
print_refresh_time[records]: 600
plugin_buffer_size[records]: 1024
plugin_pipe_size[records]: 1024000
{settings}
"""


def made(parameters: Mapping[str, Any], policy: Path | None, folder: Path, shelf: Path) -> Request:
    """The request of a case; `folder` is its own, on `shelf` stands what several cases read."""
    if "scenario" in parameters:
        return _filmed(parameters, policy, folder)
    file = _logged(parameters) if "log" in parameters else _captured(parameters, shelf)
    return Request(
        files=(file,),
        ours=tuple(parameters["ours"]),
        policy=policy,
        teller=parameters.get("from", ""),
        emulate=parameters.get("emulate", False),
        through_kafka=parameters.get("through_kafka", False),
    )


def _filmed(parameters: Mapping[str, Any], policy: Path | None, folder: Path) -> Request:
    source = provider(parameters["seed"])
    reels = film(
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
        files=(reels.flows, reels.logs) if parameters.get("logs", True) else (reels.flows,),
        site=described,
        policy=policy,
        emulate=parameters.get("emulate", False),
    )


def _logged(parameters: Mapping[str, Any]) -> Path:
    return _of_corpus(parameters["log"])


def _of_corpus(name: str) -> Path:
    path = CORPUS / name
    if not path.exists():
        pytest.skip(f"the corpus is missing: {path}")
    return path


def _captured(parameters: Mapping[str, Any], shelf: Path) -> Path:
    """Records that Debian's pmacctd makes of a capture; those of an earlier case where they are the same."""
    capture = _of_corpus(parameters["capture"])
    if shutil.which("pmacctd") is None:
        pytest.skip("pmacctd is missing (Debian: apt install pmacct)")
    aggregate = parameters.get("aggregate", f"{FIVE}, timestamp_start")
    settings = parameters.get("settings", "")
    name = f"{capture.stem}-{abs(hash((aggregate, settings)))}"
    output, written, log = shelf / f"{name}.json", shelf / f"{name}.conf", shelf / f"{name}.log"
    if output.exists():
        return output
    written.write_text(PMACCTD.format(capture=capture, output=output, aggregate=aggregate, settings=settings))
    with log.open("wb") as said:
        process = subprocess.Popen(["pmacctd", "-f", str(written)], stdout=said, stderr=said)
        try:
            _wait(lambda: "finished reading PCAP" in log.read_text())
            _wait(_idle(process.pid))
            process.send_signal(signal.SIGINT)
            process.wait(20)
        finally:
            process.kill()
    return output


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
