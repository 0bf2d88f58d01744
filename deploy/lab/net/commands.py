"""`cordon lab`: a hosting network with real packets, put up, looked at and taken down. Root only."""

import json
import os
import signal
import subprocess
import tempfile
import time
from typing import Annotated, NoReturn

import typer

app = typer.Typer(help="A hosting network with real packets, on this machine. Needs root.", no_args_is_help=True)

PATIENCE_S = 40.0


@app.command()
def up(
    *,
    containers: Annotated[int, typer.Option(min=2, max=100, help="behind the hypervisor's one switch port")] = 6,
    sampling: Annotated[int, typer.Option(min=1, help="packets per sFlow sample at every switch")] = 64,
    mode: Annotated[str, typer.Option(help="of the policy: enforce, approve or dry-run")] = "enforce",
) -> None:
    """Put it up, and leave it up. Prints what `cordon up` needs."""
    from deploy.supervisor import python

    words = ("--containers", str(containers), "--sampling", str(sampling), "--mode", mode)
    with tempfile.TemporaryFile("w+") as errors:
        keeper = subprocess.Popen(
            python("-m", "deploy.lab.net", *words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        folder = keeper.stdout.readline().strip() if keeper.stdout else ""
        if not folder:
            keeper.wait()
            errors.seek(0)
            _refuse(errors.read().strip())
    print(f"the lab is up; its files are in {folder}")
    print(f"cordon up --site {folder}/site.toml --policy {folder}/policy.toml --known-hosts {folder}/known_hosts")


@app.command()
def down() -> None:
    """Take it down, or remove what is left of one that died. Nothing of it stays."""
    from deploy.lab.net.lock import Lock, holder, sweep
    from deploy.lab.net.namespaces import LabError

    keeper = holder()
    if keeper:
        os.kill(keeper, signal.SIGTERM)
        end = time.monotonic() + PATIENCE_S
        while holder():
            if time.monotonic() > end:
                _refuse(f"process {keeper} did not take its lab down within {PATIENCE_S:.0f} s")
            time.sleep(0.05)
        print("the lab is down")
        return
    lock = Lock()
    try:
        lock.take()
        found = sweep()
    except (LabError, PermissionError) as error:
        _refuse(str(error))
    finally:
        lock.leave()
    print(f"no lab was up; removed {', '.join(found)}" if found else "no lab was up")


@app.command()
def status(*, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Say which devices answer, and who hangs where in which VLAN."""
    from deploy.lab.net.looking import attached, look
    from deploy.lab.net.namespaces import LabError

    try:
        seen = look(attached())
    except LabError as error:
        _refuse(str(error))
    if as_json:
        print(json.dumps(seen, indent=2))
        return
    print(f"lab {seen['run']}, files in {seen['folder']}, kept up by process {seen['holder']}")
    for device in seen["devices"]:
        print(f"  {device['name']:<10} {device['platform']:<15} {device['address']:<15} {device['answers']}")
    for host in seen["machines"]:
        print(f"  {host['name']:<10} {host['ipv4']:<15} {host['port']:<15} VLAN {host['vlan']}")


@app.command()
def attack(
    name: Annotated[str, typer.Argument(help="which flood; `cordon lab attack list` names them", metavar="NAME|list")],
    *,
    origin: Annotated[str, typer.Option("--from", help="machine that floods, if not the usual one")] = "",
    pps: Annotated[float, typer.Option(min=0.0, help="packets a second; 0: the flood's own rate")] = 0.0,
    seconds: Annotated[float, typer.Option(min=0.1, max=600.0, help="how long at most; Ctrl-C ends it earlier")] = 20.0,
) -> None:
    """Let one machine flood the lab, and say what arrived where and what neighbours lost."""
    from deploy.lab.net.floods import about
    from deploy.lab.net.looking import attached
    from deploy.lab.net.namespaces import LabError
    from deploy.lab.net.story import story

    if name == "list":
        for one, told in about().items():
            print(f"  {one:<12} {told}")
        return
    try:
        lab = attached()
        if name not in about() or (origin and origin not in lab.plan.by_name):
            _refuse(f"no such flood or machine: {name} {origin}".rstrip())
        for line in story(lab, name, origin=origin, pps=pps, seconds=seconds):
            print(line, flush=True)
    except LabError as error:
        _refuse(str(error))


def _refuse(why: str) -> NoReturn:
    raise SystemExit(why)
