"""A PostgreSQL server behind a path that swallows every packet: nobody hangs up, and nobody answers."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy import postgres
from tests.integration.apache import without

ROOT = Path(__file__).parents[2]
STORY = """
import subprocess, sys, tempfile
from pathlib import Path
from controller.domain.errors import LedgerUnavailable
from controller.ledger import Ledger
from deploy.postgres import Postgres

RULE = "add rule inet cut out tcp {} 5433 drop"
RULES = "add table inet cut; add chain inet cut out {{ type filter hook output priority 0; }}; {}; {}"

with tempfile.TemporaryDirectory(prefix="cordon-pg-") as where, Postgres(Path(where), port=5433) as server:
    ledger = Ledger.open(server.create("ledger"))
    print("whole", ledger.head())
    subprocess.run(["nft", RULES.format(RULE.format("dport"), RULE.format("sport"))], check=True)
    try:
        ledger.head()
    except LedgerUnavailable:
        print("unavailable")
    subprocess.run(["nft", "delete table inet cut"], check=True)
    print("whole", ledger.head())
    ledger.close()
"""


@pytest.mark.root
@pytest.mark.timeout(120)
def test_a_database_that_falls_silent_is_an_unavailable_ledger_and_a_whole_one_when_it_speaks_again() -> None:
    without(postgres.missing())
    if os.geteuid() != 0 or not (shutil.which("nft") and shutil.which("unshare")):
        pytest.skip("a network namespace of its own needs root, unshare and nft")
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable, "-c", STORY],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.stdout.split("\n")[:3] == ["whole 0", "unavailable", "whole 0"], done.stdout + done.stderr
