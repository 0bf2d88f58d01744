"""What people do with Cordon from a shell. Everything but `token` and `serve` speaks to the API.

Exit status: 0 done, 1 refused, 2 wrong usage, 3 nobody answered. What a command needs is loaded when it runs.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

Url = Annotated[str, typer.Option("--url", envvar="CORDON_URL", help="the API, http://host:port")]
TokenText = Annotated[str, typer.Option("--token", envvar="CORDON_TOKEN", help="a bearer token", show_envvar=True)]
File = Annotated[
    Path | None,
    typer.Option("--connection", envvar="CORDON_CONNECTION", help="default: .cordon/connection.toml"),
]
AsJson = Annotated[bool, typer.Option("--json", help="print the API's own answer")]
DecisionId = Annotated[str, typer.Argument(help="a decision's id, as `cordon decisions` shows it")]
Why = Annotated[str, typer.Option("--reason", "-r", help="why; it stands in the audit for good")]
Version = Annotated[int | None, typer.Option("--version", help="refuse if the decision has changed since")]
LedgerUrl = Annotated[str, typer.Option("--ledger", envvar="CORDON_LEDGER", help="default: the connection file's")]


def decisions(
    state: Annotated[list[str] | None, typer.Option(help="only in this state; may be given again")] = None,
    live: Annotated[
        bool | None, typer.Option("--live/--ended", help="only those that have not, or have, ended")
    ] = None,
    host: Annotated[str, typer.Option(help="only against this host")] = "",
    device: Annotated[str, typer.Option(help="only with a fence on this device")] = "",
    segment: Annotated[str, typer.Option(help="only in this segment")] = "",
    tenant: Annotated[str, typer.Option(help="only of this tenant")] = "",
    sort: Annotated[str, typer.Option(help="newest, oldest, worst or soonest")] = "newest",
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    offset: Annotated[int, typer.Option(min=0)] = 0,
    url: Url = "",
    token_text: TokenText = "",
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """List decisions."""
    from api import printing

    query = {
        "state": state,
        "live": None if live is None else str(live).lower(),
        "host": host,
        "device": device,
        "segment": segment,
        "tenant": tenant,
        "sort": sort,
        "limit": limit,
        "offset": offset,
    }
    answer = asked("GET", "/decisions", query=query, url=url, token=token_text, file=file)
    if as_json:
        return printing.document(answer)
    rows = [printing.decision_row(one) for one in answer["items"]]
    return printing.table(f"{len(rows)} of {answer['total']} decisions", printing.DECISION_COLUMNS, rows)


def show(
    decision_id: DecisionId, url: Url = "", token_text: TokenText = "", file: File = None, as_json: AsJson = False
) -> None:
    """Show one decision whole: evidence, reasons, lines with their undo, timeline."""
    from api.client import part

    answer = asked("GET", f"/decisions/{part(decision_id)}", url=url, token=token_text, file=file)
    _told(answer, as_json=as_json)


def approve(
    decision_id: DecisionId,
    reason: Why = "",
    version: Version = None,
    url: Url = "",
    token_text: TokenText = "",
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Let a proposed decision be carried out."""
    body = {"reason": given_reason(reason), "version": version}
    _move(decision_id, "approve", body, url=url, token=token_text, file=file, as_json=as_json)


def reject(
    decision_id: DecisionId,
    reason: Why = "",
    version: Version = None,
    url: Url = "",
    token_text: TokenText = "",
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Turn a proposed decision down, or take back an approval that nobody has begun to carry out."""
    body = {"reason": given_reason(reason), "version": version}
    _move(decision_id, "reject", body, url=url, token=token_text, file=file, as_json=as_json)


def release(
    decision_id: DecisionId,
    reason: Why = "",
    version: Version = None,
    url: Url = "",
    token_text: TokenText = "",
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """End a fence."""
    body = {"reason": given_reason(reason), "version": version}
    _move(decision_id, "release", body, url=url, token=token_text, file=file, as_json=as_json)


def extend(
    decision_id: DecisionId,
    seconds: Annotated[float, typer.Option("--by", help="seconds beyond its present end", min=0)] = 3600.0,
    reason: Why = "",
    version: Version = None,
    url: Url = "",
    token_text: TokenText = "",
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Let an enforced fence last longer."""
    body = {"seconds": seconds, "reason": given_reason(reason), "version": version}
    _move(decision_id, "extend", body, url=url, token=token_text, file=file, as_json=as_json)


def explain(
    host: Annotated[str, typer.Argument(help="a host's name or address, or a subject")],
    url: Url = "",
    token_text: TokenText = "",
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Say why Cordon does with a host what it does."""
    from api import printing
    from api.client import part

    answer = asked("GET", f"/explain/{part(host)}", url=url, token=token_text, file=file)
    if as_json:
        return printing.document(answer)
    return printing.lines(answer["host"], answer["sentences"])


def health(url: Url = "", token_text: TokenText = "", file: File = None, as_json: AsJson = False) -> None:
    """Show processes, lag, sensors and losses. Exit status 1 when Cordon is not ready."""
    from api import printing
    from api.client import REFUSED

    answer = asked("GET", "/health", url=url, token=token_text, file=file)
    if as_json:
        printing.document(answer)
    else:
        _health(answer)
    if not answer["ready"]:
        raise typer.Exit(REFUSED)


def kill(
    reason: Why = "", url: Url = "", token_text: TokenText = "", file: File = None, as_json: AsJson = False
) -> None:
    """Stop all new fences, climbs and repairs; releases go on."""
    _turn("on", reason, url=url, token=token_text, file=file, as_json=as_json)


def revive(
    reason: Why = "", url: Url = "", token_text: TokenText = "", file: File = None, as_json: AsJson = False
) -> None:
    """Allow new fences again."""
    _turn("off", reason, url=url, token=token_text, file=file, as_json=as_json)


def serve(
    site: Annotated[Path, typer.Option("--site", help="the site file")],
    ledger: Annotated[str, typer.Option("--ledger", envvar="CORDON_LEDGER", help="sqlite:////file or postgresql://…")],
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: any free one, printed", min=0, max=65535)] = 8780,
    connection: Annotated[Path | None, typer.Option(help="write URL and a token of an approver here (0600)")] = None,
) -> None:
    """Serve the HTTP interface until SIGTERM."""
    from api.__main__ import main

    arguments = ["--ledger", ledger, "--site", str(site), "--host", host, "--port", str(port)]
    arguments += ["--connection", str(connection)] if connection else []
    raise typer.Exit(main(arguments))


token = typer.Typer(no_args_is_help=True, add_completion=False, help="Make and withdraw tokens; needs the ledger.")


@token.command("create")
def create_token(
    name: Annotated[str, typer.Option(help="the person or program that it signs for")],
    role: Annotated[str, typer.Option(help="viewer, operator or approver")] = "viewer",
    days: Annotated[float, typer.Option(help="until it expires; 0: never", min=0, max=36_500)] = 90,
    ledger: LedgerUrl = "",
    file: File = None,
) -> None:
    """Print a new token. Nobody can show it again: only its hash is kept."""
    from api.settings import WallClock
    from controller.ledger_tokens import Role

    if role not in list(Role):
        ended(f"{role!r} is no role: viewer, operator or approver", 2)
    now_ns = WallClock().now_ns()
    expires_ns = now_ns + int(days * 86_400e9) if days else 0
    try:
        print(_with_tokens(ledger, file, lambda tokens: tokens.create(
            name=name, role=Role(role), now_ns=now_ns, expires_ns=expires_ns
        )))  # fmt: skip
    except ValueError as error:
        ended(str(error), 2)


@token.command("list")
def list_tokens(ledger: LedgerUrl = "", file: File = None) -> None:
    """List tokens by id, with role, expiry and last use."""
    from api import printing

    found = _with_tokens(ledger, file, lambda tokens: tokens.all())
    columns = ("id", "name", "role", "created", "expires", "last used", "revoked")
    rows = [(one.id, one.name, one.role.value, *map(printing.clock, _times(one))) for one in found]
    printing.table("tokens", columns, rows)


@token.command("revoke")
def revoke_token(
    ident: Annotated[str, typer.Argument(help="the token's id")], ledger: LedgerUrl = "", file: File = None
) -> None:
    """End a token at once."""
    from api.settings import WallClock
    from controller.domain.errors import UnknownSubject

    try:
        _with_tokens(ledger, file, lambda tokens: tokens.revoke(ident, now_ns=WallClock().now_ns()))
    except UnknownSubject as error:
        ended(str(error), 1)


def _times(one: Any) -> tuple[int, int, int, int]:
    return one.created_ns, one.expires_ns, one.last_used_ns, one.revoked_ns


def _with_tokens(url: str, file: Path | None, act: Callable[[Any], Any]) -> Any:
    from api.client import REFUSED, UNREACHABLE, USAGE
    from api.settings import CONNECTION, read_connection
    from controller.domain.errors import ConfigError, LedgerUnavailable, UnknownSubject
    from controller.ledger import Ledger
    from controller.ledger_tokens import Tokens

    try:
        ledger = Ledger.open(url or read_connection(file or CONNECTION).ledger)
    except ConfigError as error:
        ended(f"{error}; or give --ledger", USAGE)
    except LedgerUnavailable as error:
        ended(str(error), UNREACHABLE)
    try:
        return act(Tokens(ledger.database))
    except UnknownSubject as error:
        ended(str(error), REFUSED)
    except LedgerUnavailable as error:
        ended(str(error), UNREACHABLE)
    finally:
        ledger.close()


def asked(
    verb: str,
    path: str,
    *,
    url: str,
    token: str,
    file: Path | None,
    query: dict[str, Any] | None = None,
    body: dict[str, Any] | None = None,
) -> Any:
    """What the API answers; ends the command with the reason when it does not."""
    from api.client import CannotDo, call, connection

    try:
        return call(connection(url=url, token=token, file=file), verb, path, query=query, body=body)
    except CannotDo as error:
        ended(str(error), error.status)


def _move(
    decision_id: str, verb: str, body: dict[str, Any], *, url: str, token: str, file: Path | None, as_json: bool
) -> None:
    from api import printing
    from api.client import part

    path = f"/decisions/{part(decision_id)}/{verb}"
    answer = asked("POST", path, body=body, url=url, token=token, file=file)
    if as_json:
        return printing.document(answer)
    given = {move["actor"] for move in answer["moves"] if move["by"] == "endorse"}
    waits = (
        f": {len(given)} of {answer['approvals']} people approved it" if answer["state"] == "proposed" and given else ""
    )
    return print(f"{answer['id']} is {answer['state']}{waits}")


def _turn(state: str, reason: str, *, url: str, token: str, file: Path | None, as_json: bool) -> None:
    from api import printing

    body = {"state": state, "reason": given_reason(reason)}
    answer = asked("PUT", "/kill-switch", body=body, url=url, token=token, file=file)
    if as_json:
        return printing.document(answer)
    return print(f"the kill switch is {answer['state']} ({answer['actor']}: {answer['why']})")


def _told(answer: Any, *, as_json: bool) -> None:
    from api import printing

    if as_json:
        return printing.document(answer)
    return printing.decision(answer)


def _health(answer: Any) -> None:
    from api import printing

    printing.lines("ready" if answer["ready"] else "not ready", answer["faults"])
    switch = ["the kill switch is on: nothing new is fenced"] if answer["killed"] else []
    printing.lines("kill switch", switch)
    rows = [
        (one["process"], one["instance"], "fresh" if one["fresh"] else "silent", f"{one['age_s']:.1f} s")
        for one in answer["processes"]
    ]
    printing.table("processes", ("process", "instance", "heard", "ago"), rows)
    printing.lines("behind, in messages", [f"{name}: {behind}" for name, behind in answer["lag"].items() if behind])
    through = [(one["partition"], f"{one['age_s']:.1f} s", f"{one['took_ms']} ms") for one in answer["canaries"]]
    printing.table("canaries", ("partition", "ago", "took"), through)
    printing.lines("devices that did not let Cordon in", answer["logins"])
    printing.lines("silent exporters", [one["address"] for one in answer["exporters"] if one["silent"]])
    rows = [
        (one["topic"], *(str(one[name]) for name in ("received", "scored", "dead", "skipped", "late")))
        for one in answer["sources"]
    ]
    printing.table("records", ("topic", "received", "scored", "dead", "skipped", "late"), rows)
    printing.lines("dead letters", [f"{count}: {reason}" for reason, count in answer["dead"].items()])


def given_reason(given: str) -> str:
    """The reason given, or asked for where somebody sits at the keyboard."""
    if given.strip():
        return given.strip()
    if not sys.stdin.isatty():
        ended("a reason is needed: --reason TEXT", 2)
    return str(typer.prompt("Reason")).strip()


def ended(message: str, status: int) -> NoReturn:
    """End the command with a word on standard error."""
    print(message, file=sys.stderr)
    raise typer.Exit(status)
