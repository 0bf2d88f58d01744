"""The `cordon` command: a table of what there is, and the loading of only that which is asked for.

Help is shown from the table alone, so that it comes at once; a command's module is imported when the command runs or
completes its own options.
"""

import importlib
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command's function or Typer app stands, and its line in the help."""

    where: str  # module:name
    help: str
    panel: str


RUN, DECIDE, LOOK = "Run", "Decide", "Look"

COMMANDS: Mapping[str, Entry] = MappingProxyType(
    {
        "demo": Entry("deploy.commands:demo", "Two offenders among 400 hosts, found and isolated", RUN),
        "up": Entry("deploy.commands:up", "Run everything, supervised", RUN),
        "replay": Entry("deploy.commands:replay", "What Cordon would have done about recorded traffic", RUN),
        "streams": Entry("streams.commands:app", "The worker that scores, and the clock", RUN),
        "controller": Entry("controller.commands:app", "The process that decides and fences", RUN),
        "api": Entry("api.commands:serve", "The HTTP interface", RUN),
        "lab": Entry("deploy.lab.net.commands:app", "A hosting network with real packets, on this machine", RUN),
        "send": Entry("streams.commands:send", "Publish records or log lines from a file", RUN),
        "decisions": Entry("api.commands:decisions", "List decisions", DECIDE),
        "show": Entry("api.commands:show", "One decision, whole", DECIDE),
        "approve": Entry("api.commands:approve", "Let a proposed decision be carried out", DECIDE),
        "reject": Entry("api.commands:reject", "Refuse a proposed decision", DECIDE),
        "release": Entry("api.commands:release", "Take a fence down", DECIDE),
        "extend": Entry("api.commands:extend", "Let a fence stand longer", DECIDE),
        "kill": Entry("api.commands:kill", "Stop all new fences", DECIDE),
        "revive": Entry("api.commands:revive", "Allow new fences again", DECIDE),
        "segment": Entry("api.asking:segment", "A segment at its own firewall: plan, apply, check, isolate", DECIDE),
        "token": Entry("api.commands:token", "Make and withdraw tokens for the API", DECIDE),
        "explain": Entry("api.commands:explain", "Why a host is scored as it is", LOOK),
        "simulate": Entry("api.asking:simulate", "What would be done about a host, with the lines", LOOK),
        "reach": Entry("api.asking:reach", "Whether a device lets Cordon in", LOOK),
        "requests": Entry("api.asking:requests", "What was asked of the controller, and its answers", LOOK),
        "bundle": Entry("api.evidence:bundle", "All that is known of a decision, as one file", LOOK),
        "verify": Entry("api.evidence:verify", "Prove that such a file is whole, offline", LOOK),
        "dead-letters": Entry("api.evidence:dead_letters", "Input that could not be used, and why", LOOK),
        "health": Entry("api.commands:health", "Processes, lag and sensors", LOOK),
        "check": Entry("controller.commands:check", "Check site, policy, dialects and devices", LOOK),
        "audit": Entry("controller.commands:audit", "Verify the chain of all moves", LOOK),
        "undo-sheet": Entry("controller.commands:undo_sheet", "How to take every live fence down by hand", LOOK),
        "dialects": Entry("drivers.commands:dialects", "The platforms that Cordon speaks", LOOK),
    }
)


def load(where: str, name: str) -> Any:
    """The command that `module:attribute` stands for: a Typer app, or a function that becomes a command."""
    module, _, attribute = where.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    if isinstance(found, typer.Typer):
        app = found
    else:
        app = typer.Typer(add_completion=False)
        app.command(name)(found)
    command = typer.main.get_command(app)
    command.name = name
    return command


class Shelf(TyperGroup):
    """A group that lists its commands from the table and imports one only to run it."""

    def __init__(self, **settings: Any) -> None:
        """Put a label on the shelf for each entry."""
        super().__init__(**settings)
        labels: MutableMapping[str, Any] = self.commands
        for name, entry in COMMANDS.items():
            labels[name] = TyperCommand(name, help=entry.help, rich_help_panel=entry.panel)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command itself in place of its label."""
        name, label, rest = super().resolve_command(ctx, args)
        if name is None or label is None:
            return name, label, rest
        return name, load(COMMANDS[name].where, name), rest


app = typer.Typer(
    cls=Shelf, no_args_is_help=True, help="Isolate a compromised host before it takes the network down, and prove why."
)


@app.callback()
def cordon() -> None:
    """Isolate a compromised host before it takes the network down, and prove why."""


def main() -> None:
    """Run the command line; Cordon's own errors become one line and status 2."""
    from controller.domain.errors import CordonError

    try:
        app()
    except CordonError as error:
        sys.stderr.write(f"cordon: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
