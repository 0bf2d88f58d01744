"""Run lint and every test suite in order, each timed, with one closing table. `make test` is this file.

The suites stand in SUITES; what takes longer than `make test` may is marked and runs with --full only.
"""

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

PYTHON = sys.executable
BIN = Path(PYTHON).parent


@dataclass(frozen=True, slots=True)
class Suite:
    """One command whose exit status is its result."""

    name: str
    command: tuple[str, ...]
    full_only: bool = False


def _pytest(*paths: str) -> tuple[str, ...]:
    return (PYTHON, "-m", "pytest", "-q", *paths)


SUITES = (
    Suite("lint", (str(BIN / "ruff"), "format", "--check", "--quiet", ".")),
    Suite("lint", (str(BIN / "ruff"), "check", "--quiet", ".")),
    Suite("lint", (str(BIN / "mypy"),)),
    Suite("lint", (str(BIN / "lint-imports"),)),
    Suite("controller", _pytest("tests/controller")),
    Suite("streams", _pytest("tests/streams")),
    Suite("drivers", _pytest("tests/drivers")),
    Suite("api", _pytest("tests/api")),
    Suite("deploy", _pytest("tests/deploy")),
    Suite("lab", _pytest("tests/lab")),
    Suite("contract", _pytest("tests/contract")),
    Suite("replays", _pytest("tests/replays")),
    Suite("integration", _pytest("tests/integration")),
    Suite("network", _pytest("tests/network/test_bare.py", "tests/network/test_drivers.py")),
    Suite(
        "scenarios",
        _pytest(*(f"tests/network/test_{name}.py" for name in ("scenarios", "dry_run", "collectors", "segment"))),
    ),
    Suite(
        "faults",
        _pytest(*(f"tests/network/test_{name}.py" for name in ("faults", "outages", "goflow2"))),
        full_only=True,
    ),
)


def main() -> int:
    """Run the suites; 0 when all passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="also what make test only samples")
    parser.add_argument("--only", help="one suite by name")
    asked = parser.parse_args()
    results: list[tuple[str, str, float]] = []
    for suite in SUITES:
        if (asked.only and suite.name != asked.only) or (suite.full_only and not asked.full):
            continue
        print(f"── {suite.name}: {' '.join(Path(part).name for part in suite.command)}", flush=True)
        start = time.monotonic()
        sample = () if asked.full or "pytest" not in suite.command else ("-m", "not full")
        status = subprocess.run((*suite.command, *sample), check=False, stdin=subprocess.DEVNULL).returncode
        results.append((suite.name, "passed" if status == 0 else f"FAILED ({status})", time.monotonic() - start))
    print("\nsuite        result         seconds")
    for name, result, seconds in results:
        print(f"{name:<12} {result:<14} {seconds:7.1f}")
    return 0 if all(result == "passed" for _, result, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
