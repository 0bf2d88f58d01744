"""The API as a process of its own, as it runs in production."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.api.house import SITE

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Served:
    """A running API process."""

    pid: int
    url: str
    ledger: str
    connection: Path


@contextmanager
def served(where: Path, *, ledger: str = "") -> Iterator[Served]:
    """Start the process and wait until it listens; it ends when the block ends, and must do so with status 0."""
    site, connection = where / "site.toml", where / "connection.toml"
    site.write_text(SITE)
    ledger = ledger or f"sqlite:///{where / 'ledger.sqlite3'}"
    command = ["-m", "api", "--ledger", ledger, "--site", str(site), "--connection", str(connection)]
    with subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line.startswith("listening on http://127.0.0.1:"), line
            yield Served(process.pid, line.split()[-1], ledger, connection)
            process.terminate()
            assert process.wait(timeout=30) == 0
        finally:
            process.kill()  # where it would not end by itself: the block waits for it
