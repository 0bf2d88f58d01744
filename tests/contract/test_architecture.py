"""Each import contract breaks when it is violated: a guard that nobody ever saw bite is not a guard."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("controller", "streams", "drivers", "api", "deploy")
LINT = Path(sys.executable).parent / "lint-imports"

VIOLATIONS = [
    ("controller-layers", "controller/policy.py", "import controller.ledger"),
    ("controller-layers", "controller/desk.py", "import controller.ledger"),
    ("controller-layers", "controller/enforcer.py", "import controller.intake"),
    ("controller-layers", "controller/somewhere_new.py", ""),
    ("strangers", "api/app.py", "import drivers.driver"),
    ("strangers", "streams/app.py", "import drivers.driver"),
    ("streams-see-nouns-only", "streams/app.py", "import controller.limits"),
    ("drivers-see-nouns-and-ports", "drivers/driver.py", "import controller.planning"),
    ("api-sees-the-ledger", "api/app.py", "import controller.enforcer"),
    ("api-touches-no-device-and-no-stream", "api/app.py", "import netmiko"),
    ("api-touches-no-device-and-no-stream", "controller/ledger.py", "import kafka"),
    ("controller-composes-drivers-at-its-root-only", "controller/enforcer.py", "import drivers.driver"),
    ("nobody-imports-deploy", "streams/app.py", "import deploy.cli"),
    ("the-lab-can-contradict-the-drivers", "deploy/lab/engine.py", "import drivers.dialect"),
    ("the-judge-is-a-stranger", "deploy/lab/judge.py", "import controller.limits"),
    ("pure-rooms", "controller/limits.py", "import time"),
    ("pure-rooms", "streams/score.py", "import random"),
    ("pure-rooms", "drivers/read.py", "import netmiko"),
]


def house(where: Path) -> Path:
    for room in ROOMS:
        shutil.copytree(ROOT / room, where / room, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(ROOT / "pyproject.toml", where)
    return where


def broken(where: Path) -> tuple[set[str], str]:
    """Names of the broken contracts, and all that the linter printed."""
    done = subprocess.run(
        [str(LINT), "--no-cache"],
        cwd=where,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(where), "COLUMNS": "300"},
    )
    names = set(re.findall(r"^(.+) BROKEN$", done.stdout, re.MULTILINE))
    assert (done.returncode == 0) == (not names) or "does not exist" in done.stdout + done.stderr, (
        done.stdout + done.stderr
    )
    return names, done.stdout + done.stderr


def names() -> dict[str, str]:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return {one["id"]: one["name"] for one in document["tool"]["importlinter"]["contracts"]}


def test_the_house_keeps_its_contracts(tmp_path: Path) -> None:
    kept, output = broken(house(tmp_path))
    assert kept == set(), output


@pytest.mark.parametrize(("contract", "file", "line"), VIOLATIONS)
def test_a_contract_breaks_when_it_is_violated(tmp_path: Path, contract: str, file: str, line: str) -> None:
    where = house(tmp_path)
    module = where / file
    module.write_text((module.read_text() if module.exists() else "") + f"\n{line}\n")
    found, output = broken(where)
    assert names()[contract] in found, output


def test_every_contract_has_a_violation_that_shows_it() -> None:
    assert set(names()) == {contract for contract, _, _ in VIOLATIONS}


def test_the_top_level_holds_the_fixed_rooms_and_no_other_package() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages == set(ROOMS)


def test_no_module_has_a_name_that_says_nothing() -> None:
    empty = {"utils", "helpers", "common", "base", "manager", "service"}
    modules = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    assert modules
    assert [str(path) for path in modules if path.stem in empty] == []


def test_each_library_has_one_home() -> None:
    homes = {
        "netmiko": {"drivers/session.py"},
        "faust": {"streams/app.py", "streams/membership.py", "streams/__main__.py"},
        "aiokafka": {f"streams/{name}.py" for name in ("state", "shift", "app", "membership", "inlet")},
        "confluent_kafka": {
            "streams/listen/outlet.py",
            "streams/inlet.py",
            "streams/producing.py",
            "deploy/lab/rates/publisher.py",
        },
        "kafka": {"streams/publish.py", "streams/granting.py", "controller/intake.py", "deploy/lab/rates/rig.py"},
        "asyncssh": {"deploy/lab/engine.py", "deploy/lab/emulators.py", "deploy/lab/rig.py", "deploy/enacting.py"},
    }
    wrong = []
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            for library in re.findall(r"^\s*(?:from|import) (\w+)", path.read_text(), re.MULTILINE):
                place = path.relative_to(ROOT).as_posix()
                if library in homes and place not in homes[library]:
                    wrong.append(f"{place} imports {library}")
                if library == "sqlmodel" and not place.startswith("controller/ledger"):
                    wrong.append(f"{place} imports sqlmodel")
                if library == "fastapi" and room != "api":
                    wrong.append(f"{place} imports fastapi")
    assert wrong == []
