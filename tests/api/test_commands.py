"""The shell's commands against a running API."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from api import asking, commands, evidence
from controller.domain.wire import DeadLetter
from controller.ledger import Ledger
from tests.api.house import ENFORCED
from tests.api.process import ROOT, Served, served
from tests.controller.ledger_cases import NOON_NS, decision

ASKING = {
    "simulate": asking.simulate,
    "reach": asking.reach,
    "requests": asking.requests,
    "bundle": evidence.bundle,
    "verify": evidence.verify,
    "dead-letters": evidence.dead_letters,
}
NAMES = ("decisions", "show", "approve", "reject", "release", "extend", "explain", "health", "kill", "revive", "serve")


@dataclass(frozen=True)
class Shell:
    """A shell on the machine where the API runs."""

    served: Served
    ledger: Ledger

    def run(self, *words: str, file: bool = True) -> Result:
        way = ["--connection", str(self.served.connection)] if file else []
        return CliRunner().invoke(cordon(), [*words, *way])

    def propose(self, name: str, *steps: Any, **changes: Any) -> None:
        one = self.ledger.propose(decision(name, **changes), actor="controller", why="score 95")
        for step in steps:
            one = self.ledger.move(one, step, at_ns=NOON_NS, actor="controller", why="w")


def cordon() -> typer.Typer:
    app = typer.Typer()
    for name in NAMES:
        app.command(name)(getattr(commands, name))
    for name, command in ASKING.items():
        app.command(name)(command)
    app.add_typer(commands.token, name="token")
    app.add_typer(asking.segment, name="segment")
    return app


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with served(tmp_path_factory.mktemp("api")) as one:
        ledger = Ledger.open(one.ledger)
        yield Shell(one, ledger)
        ledger.close()


def test_a_decision_is_listed_shown_and_approved(shell: Shell) -> None:
    shell.propose("c-1", host="vps-1")
    listed = shell.run("decisions", "--host", "vps-1", "--live")
    assert (listed.exit_code, listed.output.split("\t")[:4]) == (0, ["c-1", "proposed", "enforce", "vps-1"])
    assert "sends 90.0 Mbit/s, 2,000 times its own 45.0 kbit/s" in shell.run("show", "c-1").output
    approved = shell.run("approve", "c-1", "--reason", "seen it")
    assert (approved.exit_code, approved.output) == (0, "c-1 is approved\n")
    last = shell.ledger.moves("c-1")[-1]
    assert (last.actor, last.why) == ("local operator", "seen it")


@pytest.mark.parametrize(
    ("name", "steps", "words", "state"),
    [
        ("m-1", (), ["reject"], "rejected"),
        ("m-2", ENFORCED, ["release"], "releasing"),
        ("m-3", ENFORCED, ["extend", "--by", "60"], "enforced"),
    ],
)
def test_a_person_moves_a_decision(
    shell: Shell, name: str, steps: tuple[Any, ...], words: list[str], state: str
) -> None:
    shell.propose(name, *steps, until_ns=NOON_NS // 2)
    assert shell.run(*words, name, "-r", "why not").output == f"{name} is {state}\n"


def test_what_is_refused_ends_with_status_1_and_the_reason(shell: Shell) -> None:
    shell.propose("r-1")
    refused = shell.run("release", "r-1", "-r", "why not")
    assert (refused.exit_code, "possible: approve, endorse, lapse, reject" in refused.output) == (1, True)
    stale = shell.run("approve", "r-1", "-r", "why not", "--version", "7")
    assert (stale.exit_code, "not 7; read it again" in stale.output) == (1, True)
    assert shell.run("show", "nothing").exit_code == 1
    assert shell.run("show", "../health").exit_code == 1
    wrong = shell.run("decisions", "--url", shell.served.url, "--token", "cordon_0_0", file=False)
    assert (wrong.exit_code, "not valid" in wrong.output) == (1, True)


def test_wrong_usage_ends_with_status_2(shell: Shell, tmp_path: Path) -> None:
    assert shell.run("approve", "c-1").exit_code == 2
    assert shell.run("decisions", "--limit", "0").exit_code == 2
    missing = shell.run("decisions", "--connection", str(tmp_path / "nothing"), file=False)
    assert (missing.exit_code, "cordon up or demo" in missing.output) == (2, True)


def test_nobody_there_ends_with_status_3(shell: Shell) -> None:
    silent = shell.run("decisions", "--url", "http://127.0.0.1:1", "--token", "t", file=False)
    assert (silent.exit_code, "does not answer" in silent.output) == (3, True)
    assert shell.run("decisions", "--url", "nonsense", "--token", "t", file=False).exit_code == 3


def test_json_is_the_apis_own_answer(shell: Shell) -> None:
    shell.propose("j-1")
    assert json.loads(shell.run("show", "j-1", "--json").output)["id"] == "j-1"
    assert json.loads(shell.run("decisions", "--json").output)["total"] >= 1
    assert json.loads(shell.run("explain", "dns-1", "--json").output)["host"] == "dns-1"


def test_what_strangers_sent_moves_no_cursor(shell: Shell) -> None:
    shell.propose(
        "x-1", subject="host:198.18.3.3", attachment=decision("x", host="esc\x1b]0;owned\x07\n\x9bname").attachment
    )
    for words in (("decisions",), ("show", "x-1"), ("decisions", "--json"), ("show", "x-1", "--json")):
        output = shell.run(*words).output
        assert not set(output) & {"\x1b", "\x07", "\x9b"}, words
    assert "esc ]0;owned" in shell.run("show", "x-1").output


def test_health_ends_with_status_1_while_cordon_is_not_ready(shell: Shell) -> None:
    done = shell.run("health")
    assert (done.exit_code, "streams was never heard" in done.output) == (1, True)


def test_a_host_is_explained(shell: Shell) -> None:
    done = shell.run("explain", "198.18.0.8")
    assert "Its role, dns, is protected" in done.output


def test_the_kill_switch_is_turned_there_and_back(shell: Shell) -> None:
    assert "the kill switch is on (local operator: mad)" in shell.run("kill", "-r", "mad").output
    assert shell.ledger.killed()
    assert "is off" in shell.run("revive", "-r", "well").output
    assert not shell.ledger.killed()


def test_a_token_is_made_used_listed_and_revoked(shell: Shell) -> None:
    made = shell.run("token", "create", "--name", "bob", "--role", "operator")
    token = made.output.strip()
    assert made.exit_code == 0
    way = ("--url", shell.served.url, "--token", token)
    assert shell.run("decisions", *way, file=False).exit_code == 0
    forbidden = shell.run("kill", "-r", "r", *way, file=False)
    assert (forbidden.exit_code, "needs the role approver" in forbidden.output) == (1, True)
    ident = token.split("_")[1]
    assert f"{ident}\tbob\toperator" in shell.run("token", "list").output
    assert shell.run("token", "revoke", ident).exit_code == 0
    assert shell.run("decisions", *way, file=False).exit_code == 1


def test_a_token_that_cannot_be_is_refused(shell: Shell) -> None:
    assert shell.run("token", "create", "--name", "bob", "--role", "king").exit_code == 2
    assert shell.run("token", "create", "--name", " ").exit_code == 2
    assert shell.run("token", "revoke", "nothing").exit_code == 1
    assert shell.run("token", "list", "--ledger", "mysql://x").exit_code == 2
    assert shell.run("token", "list", "--ledger", "sqlite:////proc/nowhere/l").exit_code == 3


def test_importing_the_commands_loads_no_framework() -> None:
    program = "import sys, api.commands; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded & {"fastapi", "sqlmodel", "sqlalchemy", "httpx", "uvicorn", "pydantic", "controller"} == set()


def answering(shell: Shell, answer: str, decision_id: str = "") -> threading.Thread:
    """Somebody who answers the next request, as the controller does."""

    def work() -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for one in shell.ledger.requests():
                shell.ledger.answer(one.id, answer, at_ns=NOON_NS, decision_id=decision_id)
                return

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("words", "answer", "status"),
    [
        (("simulate", "vps-1"), "for: fence: drops\nhv-1:port:eth0:\n  a line", 0),
        (("reach", "hv-1"), "reachable: hv-1 answered in 0.21 s", 0),
        (("reach", "hv-1"), "not reachable: hv-1: no answer", 1),
        (("segment", "plan", "vps"), "not done: segment vps stands behind no firewall", 1),
        (("segment", "apply", "vps", "-r", "why not"), "decision d-5 is proposed", 0),
        (("segment", "check", "vps"), "not well: fw-1 holds nothing\nVLAN leak: x", 1),
        (("segment", "isolate", "vps", "-r", "why not"), "decision d-6 is proposed", 0),
    ],
)
def test_the_controller_is_asked_and_its_answer_is_told(
    shell: Shell, words: tuple[str, ...], answer: str, status: int
) -> None:
    controller = answering(shell, answer)
    done = shell.run(*words)
    controller.join()
    assert (done.exit_code, done.output) == (status, f"{answer}\n")


def test_a_controller_that_does_not_answer_in_time_ends_with_status_3(shell: Shell) -> None:
    late = shell.run("reach", "hv-1", "--wait", "0")
    assert (late.exit_code, "has not answered yet" in late.output) == (3, True)
    (waiting,) = shell.ledger.requests()
    listed = shell.run("requests", "--open")
    assert listed.output.split("\t")[:4] == [waiting.id, "reachability", "hv-1", "local operator"]
    shell.ledger.answer(waiting.id, "told", at_ns=NOON_NS)
    assert shell.run("reach", "nowhere").exit_code == 1
    assert shell.run("segment", "apply", "vps").exit_code == 2, "without a reason"


def test_a_bundle_is_downloaded_and_proved_whole_offline(shell: Shell, tmp_path: Path) -> None:
    shell.propose("b-1", *ENFORCED)
    file = tmp_path / "b-1.zip"
    assert shell.run("bundle", "b-1", "--out", str(file)).exit_code == 0
    whole = shell.run("verify", str(file), file=False)
    assert (whole.exit_code, "whole; SHA-256" in whole.output) == (0, True)
    file.write_bytes(file.read_bytes()[:-30])
    assert shell.run("verify", str(file), file=False).exit_code == 1
    assert shell.run("verify", str(tmp_path / "nothing"), file=False).exit_code == 2
    assert shell.run("bundle", "nothing", "--out", str(file)).exit_code == 1


def test_dead_letters_are_listed_with_their_reason(shell: Shell) -> None:
    letter = DeadLetter("cordon.flows", "not JSON: line 1", NOON_NS, 9, "ab" * 32, b"{\x1b[2J", 3)
    shell.ledger.take_in(verdicts=(), heartbeats=(), dead=(letter,), offsets={})
    listed = shell.run("dead-letters", "--reason", "not JSON").output
    assert "cordon.flows\tnot JSON: line 1\t3\t9\tabababababab\t{" in listed
    assert "\x1b" not in listed
    assert shell.run("dead-letters", "--reason", "gossip").output == ""
