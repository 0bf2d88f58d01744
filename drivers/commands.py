"""`cordon dialects`: the platforms that Cordon speaks, and what their fences do."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from controller.domain.errors import ConfigError
from drivers.coverage import TITLES, page
from drivers.loading import dialect_of, load, platforms

dialects = typer.Typer(help="The platforms that Cordon speaks.", no_args_is_help=False)


@dialects.callback(invoke_without_command=True)
def list_all(context: typer.Context) -> None:
    """List the dialects with the fences that each can hold."""
    if context.invoked_subcommand is not None:
        return
    table = Table("Platform", "What it is", "Fences", "Digest")
    for platform in platforms():
        dialect = dialect_of(platform)
        fences = ", ".join(title for kind, title in TITLES.items() if kind in dialect.cover)
        table.add_row(platform, dialect.about, fences, dialect.digest[:12])
    Console().print(table)


@dialects.command()
def check(files: Annotated[list[Path], typer.Argument(help="Dialect files", exists=True, dir_okay=False)]) -> None:
    """Check dialect files as they are checked when Cordon starts."""
    wrong = 0
    for file in files:
        try:
            dialect = load(file.read_text(encoding="utf-8"), file=file.name)
        except ConfigError as error:
            print(error)
            wrong += 1
        else:
            print(f"{file.name}: {dialect.about}: {len(dialect.rows)} rows, {', '.join(sorted(dialect.cover))}")
    raise typer.Exit(code=1 if wrong else 0)


@dialects.command()
def coverage() -> None:
    """Print docs/coverage.md: what each platform's fences really do."""
    print(page([dialect_of(platform) for platform in platforms()]), end="")
