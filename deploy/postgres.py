"""A PostgreSQL server of our own, from the machine's binaries, on a socket in its folder. For tests and lab.

PostgreSQL does not run as root: started by root, it becomes the user that Debian's package made for it.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

USER = "postgres"


def programs() -> Path | None:
    """The folder with initdb and pg_ctl: on PATH, or where Debian puts it."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").exists() and (place / "pg_ctl").exists()), None)


def missing() -> str:
    """What this machine lacks to run a server; empty when it lacks nothing."""
    if programs() is None:
        return "PostgreSQL's initdb and pg_ctl are not installed (Debian: apt install postgresql)"
    if os.geteuid() == 0 and shutil.which("runuser") is None:
        return "PostgreSQL does not run as root and runuser is not installed"
    return ""


@dataclass(frozen=True, slots=True)
class Postgres:
    """A server whose data outlives its process. Use as a context manager; `missing()` is empty.

    `directory` is made anew. A socket's path holds at most 107 bytes, so the directory's should be short.
    """

    directory: Path
    port: int = 0  # of 127.0.0.1, where clients are to come by TCP

    def url(self, database: str) -> str:
        """How the ledger is told to reach a database."""
        if self.port:
            return f"postgresql://cordon@127.0.0.1:{self.port}/{database}"
        return f"postgresql://cordon@/{database}?host={self.directory}"

    def create(self, database: str) -> str:
        """Make an empty database; its URL."""
        self._run("createdb", "-h", str(self.directory), "-p", str(self._number), "-U", "cordon", database)
        return self.url(database)

    def lay(self) -> None:
        """Make the cluster's files. Raises CalledProcessError."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(self.directory, user=USER)
        self._run("initdb", "-D", self._data, "-A", "trust", "-U", "cordon", "--no-sync", "-E", "UTF8")

    def start(self) -> None:
        """Run the server and return when it takes connections. Raises CalledProcessError; its log is in the folder."""
        near = "127.0.0.1" if self.port else ""
        options = (
            f"-k {self.directory} -p {self._number} -c listen_addresses={near} -c fsync=off -c shared_buffers=16MB"
        )
        self._run("pg_ctl", "-D", self._data, "-w", "-l", str(self.directory / "log"), "-o", options, "start")

    def kill(self) -> None:
        """End the server without a word to its clients; the next start recovers from the write-ahead log."""
        self._run("pg_ctl", "-D", self._data, "-w", "-m", "immediate", "stop")

    @property
    def runs(self) -> bool:
        """True between start and kill."""
        return (self.directory / "data" / "postmaster.pid").exists()

    def __enter__(self) -> Self:
        self.lay()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.runs:
            self.kill()

    @property
    def _number(self) -> int:
        return self.port or 5432  # which names the socket too

    @property
    def _data(self) -> str:
        return str(self.directory / "data")

    def _run(self, name: str, *arguments: str) -> None:
        where = programs()
        if where is None:
            raise FileNotFoundError(missing())
        as_user = ["runuser", "-u", USER, "--"] if os.geteuid() == 0 else []
        subprocess.run(
            [*as_user, str(where / name), *arguments],
            check=True,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
