from pathlib import Path

from typer.testing import CliRunner

from controller.commands import app
from controller.ledger import Ledger
from tests.controller.ledger_cases import decision

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"
FILES = ["--site", str(EXAMPLES / "site.toml"), "--policy", str(EXAMPLES / "policy.toml")]
RUNNER = CliRunner()


def test_check_reads_files_and_dialects_and_says_where_fragments_can_be_seen() -> None:
    done = RUNNER.invoke(app, ["check", *FILES, "--offline"])
    assert done.exit_code == 0, done.output
    assert "device sw01 (cisco_ios): holds block_address" in done.output
    assert "never with NetFlow v5" in done.output
    assert "visible only where a firewall or an IDS names them" in done.output


def test_check_that_cannot_log_in_says_so_and_fails() -> None:
    environment = {"CORDON_SW01": "x", "CORDON_SW01_ENABLE": "x"}
    done = RUNNER.invoke(app, ["check", "--site", "nowhere.toml", "--policy", "nowhere.toml"], env=environment)
    assert done.exit_code == 2


def test_a_missing_secret_is_named_before_anything_is_tried() -> None:
    done = RUNNER.invoke(app, ["check", *FILES])
    assert done.exit_code == 2
    assert "CORDON_SW01" in done.output


def test_plan_shows_the_fences_best_first() -> None:
    done = RUNNER.invoke(app, ["plan", "198.18.1.11", *FILES])
    assert done.exit_code == 0, done.output
    lines = [line.split()[0] for line in done.output.splitlines()[1:]]
    assert lines[0] == "cut_guest"
    assert "vps001 of tenant-a" in done.output


def test_plan_for_a_stranger_says_why_not() -> None:
    done = RUNNER.invoke(app, ["plan", "203.0.113.9", *FILES])
    assert done.exit_code == 1
    assert "not one of ours" in done.output


def test_audit_verifies_the_chain_and_finds_a_break(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    ledger = Ledger.open(url)
    ledger.propose(decision(), actor="cordon/policy", why="a test")
    ledger.close()
    done = RUNNER.invoke(app, ["audit", "--ledger", url])
    assert done.exit_code == 0
    assert "1 moves, the chain is whole" in done.output


def test_the_undo_sheet_is_printed_without_a_database(tmp_path: Path) -> None:
    assert RUNNER.invoke(app, ["undo-sheet", "--run-dir", str(tmp_path)]).exit_code == 2
    (tmp_path / "undo-sheet.txt").write_text("no shutdown\n")
    done = RUNNER.invoke(app, ["undo-sheet", "--run-dir", str(tmp_path)])
    assert done.output == "no shutdown\n"


def test_run_says_in_one_line_what_is_wrong(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    done = RUNNER.invoke(app, ["run", *FILES, "--ledger", url, "--broker", "kafka"])
    assert done.exit_code == 2
    assert "host:port" in done.output
    assert "Traceback" not in done.output
