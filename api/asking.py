"""What people ask of the controller from a shell. The API keeps the question; the controller answers it.

Exit status: 0 a yes, or told; 1 a no; 2 wrong usage; 3 nobody answered in time.
"""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from api.commands import AsJson, File, TokenText, Url, Why, asked, ended, given_reason

Wait = Annotated[float, typer.Option(help="seconds to wait for the controller's answer", min=0, max=3_600)]
Segment = Annotated[str, typer.Argument(help="a segment of the site file that has a firewall of its own")]

POLL_S = 0.2


def simulate(
    host: Annotated[str, typer.Argument(help="a host's name or address")],
    reason: Why = "simulated from a shell",
    wait: Wait = 30.0,
    url: Url = "",
    token_text: TokenText = "",
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Show what would be done about a host now, with the lines and every reason; nothing is sent."""
    _answered("simulate", host, reason, wait=wait, url=url, token=token_text, file=file, as_json=as_json)


def reach(
    device: Annotated[str, typer.Argument(help="a device of the site file")],
    reason: Why = "asked from a shell",
    wait: Wait = 30.0,
    url: Url = "",
    token_text: TokenText = "",
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Have the controller log in to a device and ask it one thing. Exit status 1 when it cannot."""
    _answered("reachability", device, reason, wait=wait, url=url, token=token_text, file=file, as_json=as_json)


def requests(
    open_: Annotated[
        bool | None, typer.Option("--open/--answered", help="only those not yet, or already, answered")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    offset: Annotated[int, typer.Option(min=0)] = 0,
    url: Url = "",
    token_text: TokenText = "",
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """List what was asked of the controller, newest first."""
    from api import printing

    query = {"answered": None if open_ is None else str(not open_).lower(), "limit": limit, "offset": offset}
    answer = asked("GET", "/requests", query=query, url=url, token=token_text, file=file)
    if as_json:
        return printing.document(answer)
    columns = ("id", "kind", "about", "who", "asked", "answered", "answer")
    rows = [
        (
            *(one[name] for name in ("id", "kind", "about", "actor")),
            printing.clock(one["at_ns"]),
            printing.clock(one["answered_ns"]),
            one["answer"].partition("\n")[0],
        )
        for one in answer["items"]
    ]
    return printing.table(f"{len(rows)} of {answer['total']} requests", columns, rows)


segment = typer.Typer(no_args_is_help=True, add_completion=False, help="A segment at its own firewall.")


@segment.command()
def plan(
    name: Segment,
    reason: Why = "asked from a shell",
    wait: Wait = 30.0,
    url: Url = "",
    token_text: TokenText = "",
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Show the difference between what the firewall holds and what the site file declares; nothing is sent."""
    _answered("segment_plan", name, reason, wait=wait, url=url, token=token_text, file=file, as_json=as_json)


@segment.command()
def apply(
    name: Segment,
    reason: Why = "",
    wait: Wait = 30.0,
    url: Url = "",
    token_text: TokenText = "",
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Propose what the site file declares; it is carried out once two different people have approved it."""
    why = given_reason(reason)
    _answered("segment_apply", name, why, wait=wait, url=url, token=token_text, file=file, as_json=as_json)


@segment.command()
def check(
    name: Segment,
    reason: Why = "asked from a shell",
    wait: Wait = 60.0,
    url: Url = "",
    token_text: TokenText = "",
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Compare, and look for ways around the firewall. Exit status 1 when something is not as it should be."""
    _answered("segment_check", name, reason, wait=wait, url=url, token=token_text, file=file, as_json=as_json)


@segment.command()
def isolate(
    name: Segment,
    reason: Why = "",
    wait: Wait = 30.0,
    url: Url = "",
    token_text: TokenText = "",
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Propose that nothing crosses the firewall any more; carried out once two different people have approved it."""
    why = given_reason(reason)
    _answered("segment_isolate", name, why, wait=wait, url=url, token=token_text, file=file, as_json=as_json)


def _answered(
    kind: str, about: str, why: str, *, wait: float, url: str, token: str, file: Path | None, as_json: bool
) -> None:
    """File a request and tell the answer."""
    from api import printing
    from api.client import REFUSED, UNREACHABLE

    body = {"kind": kind, "about": about, "reason": why}
    request: dict[str, Any] = asked("POST", "/requests", body=body, url=url, token=token, file=file)
    path = f"/requests/{request['id']}"
    deadline = time.monotonic() + wait
    while not request["answered_ns"]:
        if time.monotonic() >= deadline:
            ended(f"the controller has not answered yet; `cordon requests` will show it: {request['id']}", UNREACHABLE)
        time.sleep(POLL_S)
        request = asked("GET", path, url=url, token=token, file=file)
    if as_json:
        printing.document(request)
    else:
        printing.passage(request["answer"])
    if request["answer"].startswith("not "):
        raise typer.Exit(REFUSED)
