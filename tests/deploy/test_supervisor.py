"""Processes start when they are ready, come back when they fall, and leave nobody behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.supervisor import Backoff, DidNotStart, Part, Supervisor

FOREVER = "import signal; signal.pause()"


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def wait_until(state: Callable[[], bool], deadline_s: float = 10.0) -> None:
    end = time.monotonic() + deadline_s
    while not state():
        assert time.monotonic() < end, "the state did not come"


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    with Supervisor(tmp_path / "logs", backoff=Backoff(first_s=0.01, most_s=0.02), grace_s=1.0) as one:
        yield one


def test_a_part_is_started_only_when_it_says_that_it_is_ready(supervisor: Supervisor, tmp_path: Path) -> None:
    sign = tmp_path / "ready"
    supervisor.start(
        Part("slow", python(f"open({str(sign)!r}, 'w').close(); {FOREVER}"), ready=sign.exists, deadline_s=10)
    )
    assert sign.exists()
    assert supervisor.running("slow")


def test_a_part_that_ends_before_it_is_ready_says_why(supervisor: Supervisor) -> None:
    with pytest.raises(DidNotStart, match="no such site file"):
        supervisor.start(Part("broken", python("raise SystemExit('no such site file')"), ready=lambda: False))


def test_a_part_that_is_never_ready_is_given_up_at_its_deadline(supervisor: Supervisor) -> None:
    with pytest.raises(DidNotStart, match="not ready"):
        supervisor.start(Part("mute", python(FOREVER), ready=lambda: False, deadline_s=0.2))


def test_a_part_that_was_killed_is_started_again(supervisor: Supervisor) -> None:
    supervisor.start(Part("worker", python(FOREVER)))
    first = supervisor.pids()["worker"]
    os.kill(first, signal.SIGKILL)

    def back() -> bool:
        supervisor.tend()
        return supervisor.pids().get("worker", first) != first

    wait_until(back)


def test_a_part_that_stalls_is_ended_and_started_again(supervisor: Supervisor) -> None:
    stalled: list[int] = []
    supervisor.start(Part("worker", python(FOREVER), alive=lambda: bool(stalled)))
    first = supervisor.pids()["worker"]
    supervisor.tend()
    assert gone(first)
    stalled.append(1)

    def back() -> bool:
        supervisor.tend()
        return "worker" in supervisor.pids()

    wait_until(back)


def test_restarts_come_later_each_time_and_never_later_than_the_longest_wait() -> None:
    backoff = Backoff(first_s=0.5, factor=2.0, most_s=3.0)
    assert [backoff.wait_s(failures) for failures in range(1, 6)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_what_is_meant_to_end_is_not_started_again(supervisor: Supervisor) -> None:
    supervisor.start(Part("once", python("pass"), mortal=True))
    wait_until(lambda: not supervisor.running("once"))
    supervisor.tend()
    assert not supervisor.running("once")


def test_stopping_ends_even_those_who_do_not_listen_and_their_children(supervisor: Supervisor, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = (
        "import os, signal, subprocess, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"child = subprocess.Popen([sys.executable, '-c', {FOREVER!r}]);"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}'); signal.pause()"
    )
    supervisor.start(Part("deaf", python(code), ready=lambda: pids.exists() and bool(pids.read_text())))
    both = [int(pid) for pid in pids.read_text().split()]
    supervisor.stop()
    wait_until(lambda: all(gone(pid) for pid in both))
    assert supervisor.pids() == {}


def test_parts_are_stopped_in_the_reverse_of_the_order_in_which_they_were_started(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    ended = tmp_path / "ended"
    for name in ("broker", "worker", "api"):
        sign = tmp_path / name
        code = (
            f"import signal, sys\ndef end(*_):\n    open({str(ended)!r}, 'a').write('{name} '); sys.exit()\n"
            f"signal.signal(signal.SIGTERM, end); open({str(sign)!r}, 'w').close(); signal.pause()"
        )
        supervisor.start(Part(name, python(code), ready=sign.exists))
    supervisor.stop()
    assert ended.read_text().split() == ["api", "worker", "broker"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent (PR_SET_PDEATHSIG)")
def test_parts_die_with_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    code = f"""
import sys, signal
from pathlib import Path
from deploy.supervisor import Part, Supervisor
keeper = Supervisor(Path({str(tmp_path)!r}))
child = keeper.start(Part("part", (sys.executable, "-c", {FOREVER!r})))
print(child.pid, flush=True)
signal.pause()
"""
    keeper = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], text=True
    )
    assert keeper.stdout
    with keeper.stdout:
        pid = int(keeper.stdout.readline())
        keeper.kill()
        keeper.wait()
    wait_until(lambda: gone(pid))


def test_a_part_that_falls_says_its_last_words_on_the_terminal(tmp_path: Path) -> None:
    said: list[str] = []
    with Supervisor(tmp_path / "logs", backoff=Backoff(first_s=5.0), say=said.append, grace_s=1.0) as one:
        process = one.launch(Part("controller", python("raise SystemExit('CORDON_FW01 is not set')")))
        process.wait()
        one.tend()
    assert said == ["controller ended with status 1 (CORDON_FW01 is not set); starting it again in 5.0 s"]
