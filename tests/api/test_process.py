"""What the API's process holds and loads: HTTP and the database, nothing of devices and streams."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.client import call, connection
from tests.api.house import SITE
from tests.api.process import ROOT, Served, served

ENDED_EARLY = """
import signal, sys, weakref
import uvicorn
from api.__main__ import main

class Thing: ...

run = uvicorn.Server.run
def told_to_end_first(server, sockets):
    thing = Thing()
    reference = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGTERM))
    del thing  # the signal's handler runs in this callback, where whatever it raises is dropped
    run(server, sockets)

uvicorn.Server.run = told_to_end_first
sys.exit(main(sys.argv[1:]))
"""

FORBIDDEN = ("netmiko", "paramiko", "asyncssh", "kafka", "aiokafka", "faust", "mode", "drivers", "streams", "deploy")

LISTED = """
import sys
from pathlib import Path
from starlette.testclient import TestClient
import api.__main__
from api.app import create_app
from api.settings import Settings
app = create_app(Settings(ledger=sys.argv[1], site=Path(sys.argv[2])))
with TestClient(app) as client:
    paths = client.get("/openapi.json").json()["paths"]
    for path in paths:
        client.get(path)
print(" ".join(sys.modules))
"""


def remote_ends(pid: int) -> set[tuple[str, str]]:
    """(local, remote) of every TCP socket that the process holds, as /proc writes them; UDP sockets too."""
    held = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except FileNotFoundError:
            continue
        if found := re.fullmatch(r"socket:\[(\d+)\]", target):
            held.add(found[1])
    ends = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            local, remote, inode = (line.split()[index] for index in (1, 2, 9))
            if inode in held:
                ends.add((local, remote))
    return ends


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as one:
        yield one


def test_the_process_loads_nothing_that_speaks_to_devices_or_kafka(tmp_path: Path, running: Served) -> None:
    site = tmp_path / "site.toml"
    done = subprocess.run(
        [sys.executable, "-c", LISTED, running.ledger, str(site)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert {"fastapi", "sqlmodel", "uvicorn", "api", "controller"} <= loaded
    assert loaded & set(FORBIDDEN) == set()
    beyond = {name for name in done.stdout.split() if name.startswith("controller.")}
    assert {name.split(".")[1] for name in beyond} <= {
        "domain",
        "ports",
        "desk",
        *(name.split(".")[1] for name in beyond if name.startswith("controller.ledger")),
    }


def test_the_process_maps_no_library_of_devices_or_kafka(running: Served) -> None:
    call(connection(url="", token="", file=running.connection), "GET", "/health")
    maps = Path(f"/proc/{running.pid}/maps").read_text()
    assert "sqlite" in maps
    assert [name for name in FORBIDDEN if re.search(rf"/{name}/", maps)] == []


def test_the_process_has_no_connection_but_http(running: Served) -> None:
    way = connection(url="", token="", file=running.connection)
    for path in ("/decisions", "/hosts", "/health", "/audit/chain", "/estate"):
        call(way, "GET", path)
    port = f"{int(running.url.rpartition(':')[2]):04X}"
    ends = remote_ends(running.pid)
    assert ("0100007F:" + port, "00000000:0000") in ends
    assert {local.rpartition(":")[2] for local, _ in ends} == {port}


def test_the_process_holds_the_ledger_and_no_other_file_of_ours(tmp_path: Path, running: Served) -> None:
    call(connection(url="", token="", file=running.connection), "GET", "/decisions")
    targets = set()
    for descriptor in Path(f"/proc/{running.pid}/fd").iterdir():
        try:
            targets.add(str(descriptor.readlink()))
        except FileNotFoundError:
            continue
    files = {Path(one).name for one in targets if one.startswith(str(tmp_path))}
    assert files <= {"ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm"}
    assert "ledger.sqlite3" in files


def test_a_restart_ends_the_token_of_the_last_start(tmp_path: Path) -> None:
    with served(tmp_path) as first:
        old = connection(url="", token="", file=first.connection)
    with served(tmp_path) as second:
        assert call(connection(url="", token="", file=second.connection), "GET", "/me")["role"] == "approver"
        with pytest.raises(Exception, match="not valid"):
            call(connection(url=second.url, token=old.token, file=None), "GET", "/me")


def test_a_signal_before_the_server_runs_ends_the_process_wherever_it_strikes(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text(SITE)
    arguments = ["--ledger", f"sqlite:///{tmp_path / 'ledger.sqlite3'}", "--site", str(site)]
    done = subprocess.run(
        [sys.executable, "-c", ENDED_EARLY, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("listening on ")


@pytest.mark.parametrize(
    ("ledger", "site", "status", "said"),
    [
        ("sqlite:////proc/nowhere/l.sqlite3", "site.toml", 3, "cannot be opened"),
        ("mysql://x", "site.toml", 2, "expected sqlite:///file or postgresql://"),
        ("sqlite:///{where}/l.sqlite3", "missing.toml", 2, "missing.toml"),
    ],
)
def test_a_wrong_option_fails_before_anything_is_served(
    tmp_path: Path, ledger: str, site: str, status: int, said: str
) -> None:
    (tmp_path / "site.toml").write_text('version = 1\nname = "n"\nprefixes = []\n')
    arguments = ["--ledger", ledger.format(where=tmp_path), "--site", str(tmp_path / site)]
    done = subprocess.run(
        [sys.executable, "-m", "api", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == status
    assert said in done.stderr
    assert "Traceback" not in done.stderr
