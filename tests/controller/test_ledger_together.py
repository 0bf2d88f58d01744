"""Two processes on one ledger: the controller and the API write at the same time."""

import subprocess
import sys
from pathlib import Path

from controller.domain.decision import By, State, first_break
from controller.ledger import Ledger
from controller.ledger_reading import Reading
from tests.controller.ledger_cases import NOON_NS, decision

ROOT = Path(__file__).parents[2]

MOVER = """
import sys
from controller.domain.decision import By
from controller.domain.errors import StaleDecision
from controller.ledger import Ledger
ledger = Ledger.open(sys.argv[1])
seen = {one.id: one for one in ledger.live()}
print("ready", flush=True)
for name in sys.stdin.read().split():
    try:
        ledger.move(seen[name], By.APPROVE, at_ns=1, actor=sys.argv[2], why="race")
        print("moved", flush=True)
    except StaleDecision:
        print("stale", flush=True)
ledger.close()
"""

PROPOSER = """
import sys
from controller.domain.errors import StaleDecision
from controller.ledger import Ledger
from tests.controller.ledger_cases import decision
ledger = Ledger.open(sys.argv[1])
for number in range(20):
    try:
        mine = decision(f"{sys.argv[2]}-{number}", host=f"vps-{number}", subject=f"host:198.18.7.{number}")
        ledger.propose(mine, actor="c", why="race")
        print("proposed")
    except StaleDecision:
        print("stale")
ledger.close()
"""


def started(program: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_of_two_processes_that_move_one_decision_exactly_one_does(ledger: Ledger, ledger_url: str) -> None:
    names = [f"d-{number}" for number in range(20)]
    for name in names:
        ledger.propose(decision(name, subject=f"host:{name}"), actor="c", why="w")
    processes = [started(MOVER, ledger_url, who) for who in ("ann", "bob")]
    for one in processes:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in processes:
        assert one.stdin is not None
        one.stdin.write(" ".join(names))
        one.stdin.close()
        one.stdin = None
    ann, bob = (one.communicate(timeout=60)[0].split() for one in processes)
    assert [sorted(pair) for pair in zip(ann, bob, strict=True)] == [["moved", "stale"]] * 20
    assert {one.state for one in ledger.live()} == {State.APPROVED}
    assert first_break(ledger.moves()) is None
    assert ledger.head() == 40


def test_two_processes_that_propose_for_the_same_hosts_leave_one_live_decision_each(
    ledger: Ledger, ledger_url: str
) -> None:
    processes = [started(PROPOSER, ledger_url, who) for who in ("a", "b")]
    words = [word for one in processes for word in one.communicate(timeout=60)[0].split()]
    assert (words.count("proposed"), words.count("stale")) == (20, 20)
    assert sorted(one.attachment.host for one in ledger.live()) == sorted(f"vps-{n}" for n in range(20))
    assert Reading(ledger.database).chain().whole


def test_two_processes_may_lay_the_tables_of_a_new_ledger_at_once(ledger_url: str) -> None:
    program = "import sys; from controller.ledger import Ledger; Ledger.open(sys.argv[1]).close()"
    processes = [started(program, ledger_url) for _ in range(3)]
    for one in processes:
        one.communicate(timeout=60)
    assert [one.returncode for one in processes] == [0, 0, 0]


def test_a_process_that_is_killed_in_a_transaction_leaves_nothing_behind(ledger: Ledger, ledger_url: str) -> None:
    one = ledger.propose(decision(), actor="c", why="w")
    dying = (
        "import os, sys; from sqlalchemy import text; from controller.ledger import Ledger\n"
        "ledger = Ledger.open(sys.argv[1])\n"
        "with ledger.database.writing() as session:\n"
        "    session.execute(text(\"UPDATE decisions SET state = 'released', version = 9\"))\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    process = started(dying, ledger_url)
    process.communicate(timeout=60)
    assert process.returncode == -9
    assert ledger.move(one, By.APPROVE, at_ns=NOON_NS, actor="c", why="w").version == 2
