"""The command line is a table: help loads nothing, and every entry leads somewhere."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli import COMMANDS, app, load

ROOT = Path(__file__).parents[2]
HEAVY = {
    "aiokafka", "api", "asyncssh", "controller.enforcer", "drivers", "faust", "fastapi", "httpx", "kafka", "msgspec",
    "netmiko", "numpy", "paramiko", "sqlalchemy", "sqlmodel", "streams", "uvicorn",
}  # fmt: skip


def modules_after(*arguments: str) -> tuple[str, set[str]]:
    """What a command line prints, and the modules that it has imported in the end."""
    code = (
        "import sys, atexit, deploy.cli\n"
        "atexit.register(lambda: sys.stderr.write('\\n'.join(sys.modules)))\n"
        f"sys.argv = ['cordon', *{list(arguments)!r}]\n"
        "deploy.cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout, set(done.stderr.split("\n"))


def test_help_lists_every_command_and_loads_none_of_them() -> None:
    printed, modules = modules_after("--help")
    assert all(name in printed for name in COMMANDS)
    assert not modules & HEAVY
    assert len(modules) < 450


@pytest.mark.parametrize("name", COMMANDS)
def test_every_entry_leads_to_a_command_that_can_say_what_it_does(name: str) -> None:
    command = load(COMMANDS[name].where, name)
    assert command.name == name
    assert CliRunner().invoke(app, [name, "--help"]).exit_code == 0


def test_a_misspelt_command_is_answered_with_the_one_that_was_meant() -> None:
    done = CliRunner().invoke(app, ["decision"])
    assert done.exit_code == 2
    assert "decisions" in done.output


def test_completion_offers_the_commands_of_the_table() -> None:
    done = CliRunner().invoke(
        app,
        [],
        env={"_CORDON_COMPLETE": "complete_bash", "COMP_WORDS": "cordon de", "COMP_CWORD": "1"},
        prog_name="cordon",
    )
    assert done.output.split() == ["demo", "decisions", "dead-letters"]
