"""Evidence from a shell: a decision as one file, the proof that it is whole, and input that could not be used."""

from pathlib import Path
from typing import Annotated

import typer

from api.commands import AsJson, DecisionId, File, TokenText, Url, asked, ended


def bundle(
    decision_id: DecisionId,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="default: cordon-ID.zip here")] = None,
    url: Url = "",
    token_text: TokenText = "",
    file: File = None,
) -> None:
    """Download a decision with its evidence, moves and lines as one zip file."""
    from api.client import CannotDo, connection, download, part

    try:
        way = connection(url=url, token=token_text, file=file)
        content = download(way, f"/decisions/{part(decision_id)}/bundle.zip")
    except CannotDo as error:
        ended(str(error), error.status)
    target = out or Path(f"cordon-{part(decision_id)}.zip")
    try:
        target.write_bytes(content)
    except OSError as error:
        ended(f"{target}: {error.strerror}", 2)
    typer.echo(str(target))


def verify(file: Annotated[Path, typer.Argument(help="a file that `cordon bundle` wrote")]) -> None:
    """Prove that a bundle is whole: every part has its digest, every move its seal. Needs nothing but the file."""
    import hashlib

    from api.bundles import faults
    from api.client import REFUSED

    try:
        content = file.read_bytes()
    except OSError as error:
        ended(f"{file}: {error.strerror}", 2)
    found = list(faults(content))
    for fault in found:
        typer.echo(f"{file}: {fault}")
    if found:
        raise typer.Exit(REFUSED)
    typer.echo(f"{file}: whole; SHA-256 {hashlib.sha256(content).hexdigest()}")


def dead_letters(
    reason: Annotated[str, typer.Option(help="only those whose reason begins so")] = "",
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    offset: Annotated[int, typer.Option(min=0)] = 0,
    url: Url = "",
    token_text: TokenText = "",
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """List input that could not be used, newest first, with its reason and first bytes."""
    from api import printing

    query = {"reason": reason, "limit": limit, "offset": offset}
    answer = asked("GET", "/dead-letters", query=query, url=url, token=token_text, file=file)
    if as_json:
        return printing.document(answer)
    rows = [
        (
            printing.clock(one["at_ns"]),
            one["source"],
            one["reason"],
            str(one["count"]),
            str(one["length"]),
            one["sha256"][:12],
            one["kept"][:60],
        )
        for one in answer["items"]
    ]
    columns = ("received", "source", "reason", "records", "octets", "SHA-256", "begins")
    return printing.table(f"{len(rows)} of {answer['total']} dead letters", columns, rows)
