"""Answers of the API for people: Rich on a terminal, plain lines where the output goes elsewhere.

Evidence quotes what strangers sent: nothing that could move a cursor reaches the terminal.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import typer

STYLES = {
    "proposed": "yellow",
    "approved": "cyan",
    "applying": "cyan",
    "enforced": "bold red",
    "releasing": "cyan",
    "stuck": "bold white on red",
    "failed": "red",
}


def document(answer: Any) -> None:
    """The answer as JSON."""
    typer.echo(json.dumps(answer, indent=2))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows under headings; tab-separated without headings where nobody looks."""
    if not sys.stdout.isatty():
        for row in rows:
            typer.echo("\t".join(_one_line(cell) for cell in row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=title, title_justify="left", header_style="bold")
    for name in columns:
        drawn.add_column(name, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(_one_line(cell), style=STYLES.get(cell, "")) for cell in row))
    Console().print(drawn)


def lines(heading: str, texts: Sequence[str]) -> None:
    """A heading and its lines; nothing at all where there are no lines."""
    if not texts:
        return
    if sys.stdout.isatty():
        from rich.console import Console

        out = Console(highlight=False, soft_wrap=True, markup=False)
        out.print(_one_line(heading), style="bold")
        for text in texts:
            out.print(f"  {_one_line(text)}")
        return
    typer.echo(_one_line(heading))
    for text in texts:
        typer.echo(f"  {_one_line(text)}")


def passage(text: str) -> None:
    """An answer of several lines as it stands, without what could move a cursor."""
    for line in text.splitlines():
        typer.echo(_one_line(line))


def clock(at_ns: int) -> str:
    """A time for people, UTC to the millisecond; a dash for never."""
    if not at_ns:
        return "-"
    whole, rest = divmod(at_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(whole, tz=UTC):%Y-%m-%d %H:%M:%S}.{rest // 1_000_000:03d}"


def decision_row(one: Mapping[str, Any]) -> tuple[str, ...]:
    """A decision in a list."""
    return (
        one["id"],
        one["state"],
        "dry-run" if one["simulated"] else one["mode"],
        one["host"] or one["subject"],
        f"{one['score']:.0f}",
        ", ".join(one["fences"]) or "-",
        ", ".join(one["devices"]) or "-",
        clock(one["created_ns"]),
        clock(one["until_ns"]),
    )


DECISION_COLUMNS = ("id", "state", "mode", "host", "score", "fences", "devices", "since", "until")


def decision(one: Mapping[str, Any]) -> None:
    """A decision whole."""
    lines(
        f"{one['id']}: {one['state']}{' (dry-run)' if one['simulated'] else ''}, version {one['version']}",
        [
            f"{one['subject']} is {one['host'] or 'not known by name'}, tenant {one['tenant'] or '-'}",
            f"score {one['score']:.0f} ({one['level']}), taken to be {one['finding']}",
            f"at {', '.join(one['ports']) or 'no known port'}: {one['attachment']['how'] or '-'}",
            f"since {clock(one['created_ns'])} until {clock(one['until_ns'])}; incident {one['incident']}",
        ],
    )
    lines("evidence", [f"{item['detector']} ({item['source']}): {item['text']}" for item in one["evidence"]])
    lines("reasons", [f"{'+' if item['allows'] else '-'} {item['rule']}: {item['text']}" for item in one["reasons"]])
    for fence in one["plan"]:
        lines(f"fence {fence['kind']}: {fence['why']}", [text for leg in fence["legs"] for text in _leg(leg)])
    lines("timeline", [f"{clock(item['at_ns'])} {item['clock']:<5}  {item['text']}" for item in one["timeline"]])


def _leg(leg: Mapping[str, Any]) -> list[str]:
    change = leg["change"] or {"apply": (), "undo": ()}
    slot = leg["slot"]
    return [
        f"{slot['device']} {slot['kind']} {slot['name']}: {leg['state']}{' — ' + leg['note'] if leg['note'] else ''}",
        *(f"    > {text}" for text in change["apply"]),
        *(f"    < {text}" for text in change["undo"]),
    ]


def _one_line(text: str) -> str:
    """Text on one line, without control characters."""
    return "".join(one if one.isprintable() else " " for one in text)
