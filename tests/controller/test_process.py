"""The controller as a process: it starts on a real broker and ledger, hears, answers signals, and leaves cleanly."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controller.domain import wire
from controller.domain.decision import State
from controller.ledger import Ledger
from controller.ledger_reading import Reading
from deploy.broker import EmbeddedBroker
from streams.publish import create_topics
from tests.controller.network_cases import verdict
from tests.controller.test_intake import PLANS, Post

ROOT = Path(__file__).parents[2]
PATIENCE_S = 40.0
SITE = """
version = 1
name = "a port that no device of ours has"
prefixes = ["198.18.0.0/16"]
hosts = [{ name = "vps7", addresses = ["198.18.1.7"], tenant = "t", role = "vps" }]
"""


def until(holds: Callable[[], object], process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(tmp_path / "broker") as running:
        create_topics(running.access, PLANS)
        yield running


def start(tmp_path: Path, broker: EmbeddedBroker) -> "subprocess.Popen[bytes]":
    (tmp_path / "site.toml").write_text(SITE)
    (tmp_path / "policy.toml").write_text(
        f'version = 1\nmode = "enforce"\n[limits]\nkill_file = "{tmp_path / "stop"}"\n'
    )
    command = [
        *(sys.executable, "-m", "controller", "--embedded", "--broker", broker.bootstrap),
        *("--site", tmp_path / "site.toml", "--policy", tmp_path / "policy.toml"),
        *("--ledger", f"sqlite:///{tmp_path / 'ledger.sqlite3'}", "--run-dir", tmp_path),
    ]
    return subprocess.Popen(
        [str(one) for one in command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ)
    )


def test_the_process_hears_verdicts_obeys_signals_and_leaves_cleanly(tmp_path: Path, broker: EmbeddedBroker) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    reading = Reading(ledger.database)
    process = start(tmp_path, broker)
    post = Post(broker.bootstrap)
    try:
        until(lambda: any(beat.process == "controller" for beat in reading.heartbeats()), process)
        said = verdict(exporter="", interface=0, mac="")
        post(wire.VERDICTS, b"nonsense", wire.verdict_json(said))
        until(ledger.live, process)
        until(lambda: ledger.offsets().get(f"{wire.VERDICTS}/0") == 2, process)
        (waiting,) = ledger.live()
        assert waiting.state is State.PROPOSED
        assert "ties vps7 to no port" in " ".join(reason.text for reason in waiting.reasons)
        assert reading.dead_letters()[0] == 1
        process.send_signal(signal.SIGUSR1)
        until(ledger.killed, process)
        process.terminate()
        out, err = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, out) == (0, b"")
        assert b"Traceback" not in err
    finally:
        process.kill()
        process.communicate()
        post.close()
        ledger.close()
