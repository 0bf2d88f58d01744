"""What a person sees of the demonstration: a live board on a terminal, one plain line per event elsewhere."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

LAST_EVENTS = 12


@dataclass(slots=True)
class Traffic:
    """Packets a second of one scenario's offender: what it offers, and what of it enters the network."""

    machine: str
    offered: int = 0
    entered: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One decision as the API tells it."""

    id: str
    subject: str
    host: str
    state: str
    score: float
    fences: str
    why: str


@dataclass(frozen=True, slots=True)
class Milestone:
    """One step of an incident's timeline; `after_s` counts from the first bad record. None: it did not happen."""

    what: str
    after_s: float | None
    detail: str = ""


@dataclass(slots=True)
class View:
    """All that the live board shows."""

    stage: str = ""
    share: float | None = None  # how much of the stage is done; None: not known
    traffic: dict[int, Traffic] = field(default_factory=dict)
    decisions: Sequence[Row] = ()
    events: list[tuple[float, str]] = field(default_factory=list)


class Board(Protocol):
    """Shows what happens."""

    def stage(self, text: str, share: float | None = None) -> None:
        """What is being done, and how much of it is behind us."""
        ...

    def event(self, text: str) -> None:
        """Something happened."""
        ...

    def traffic(self, scenario: int, traffic: Traffic) -> None:
        """What of an offender's traffic enters the network now."""
        ...

    def decisions(self, rows: Sequence[Row]) -> None:
        """How decisions stand now."""
        ...

    def timeline(self, title: str, milestones: Sequence[Milestone]) -> None:
        """One incident, told in the end."""
        ...

    def close(self) -> None:
        """The show is over."""
        ...


@dataclass(slots=True)
class States:
    """Remembers how decisions stood, to tell what is new of them."""

    known: dict[str, str] = field(default_factory=dict)

    def news(self, rows: Sequence[Row]) -> list[str]:
        """A sentence for every decision whose state changed since the last call."""
        found = []
        for row in rows:
            if self.known.get(row.id) != row.state:
                self.known[row.id] = row.state
                fences = f", {row.fences}" if row.fences else ""
                found.append(f"decision on {row.host or row.subject}: {row.state}, score {row.score:.0f}{fences}")
        return found


class PlainBoard:
    """One line per event, and a line for each tenth of a stage."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._began = time.monotonic()
        self._said: tuple[str, int] = ("", -1)
        self._states = States()
        self._flowing: dict[int, bool] = {}

    def stage(self, text: str, share: float | None = None) -> None:
        """Say a stage when it begins and each fifth of it."""
        step = -1 if share is None else int(share * 5)
        if (text, step) == self._said:
            return
        self._said = (text, step)
        self.event(text if share is None else f"{text} {share:4.0%}")

    def event(self, text: str) -> None:
        """Say it."""
        self._out.write(f"{time.monotonic() - self._began:6.1f} s  {text}\n")
        self._out.flush()

    def traffic(self, scenario: int, traffic: Traffic) -> None:
        """Say when traffic begins to flow and when it ends, and nothing in between."""
        flowing = traffic.entered > 0.2 * traffic.offered
        if self._flowing.get(scenario) == flowing:
            return
        self._flowing[scenario] = flowing
        tail = f" ({traffic.why})" if traffic.why else ""
        self.event(f"{traffic.machine}: {traffic.entered:,} of {traffic.offered:,} packets/s enter the network{tail}")

    def decisions(self, rows: Sequence[Row]) -> None:
        """Say what is new of each decision."""
        for text in self._states.news(rows):
            self.event(text)

    def timeline(self, title: str, milestones: Sequence[Milestone]) -> None:
        """Tell it line by line."""
        self._out.write(f"\n{title}\n")
        for one in milestones:
            self._out.write(f"  {_after(one):>10}  {one.what}{f'  {one.detail}' if one.detail else ''}\n")
        self._out.flush()

    def close(self) -> None:
        """Nothing is left to be said."""


class LiveBoard:
    """Everything in its place on a terminal, redrawn as it changes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._view = View()
        self._states = States()
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=8, transient=True)
        self._live.start()

    def stage(self, text: str, share: float | None = None) -> None:
        """Show it in the head."""
        self._view.stage, self._view.share = text, share

    def event(self, text: str) -> None:
        """Add it to the last events, or below the board when that is closed."""
        at_s = time.monotonic() - self._began
        if self._live.is_started:
            self._view.events.append((at_s, text))
        else:
            self._print(at_s, text)

    def traffic(self, scenario: int, traffic: Traffic) -> None:
        """Show it in the table of offenders."""
        self._view.traffic[scenario] = traffic

    def decisions(self, rows: Sequence[Row]) -> None:
        """Show them, and note what is new."""
        for text in self._states.news(rows):
            self.event(text)
        self._view.decisions = tuple(rows)

    def timeline(self, title: str, milestones: Sequence[Milestone]) -> None:
        """Leave it on the screen below the board."""
        self.close()
        table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 1))
        for one in milestones:
            style = "dim" if one.after_s is None else ""
            table.add_row(Text(_after(one), style="bold", justify="right"), Text(one.what, style=style), one.detail)
        self._console.print(table)
        self._console.print()

    def close(self) -> None:
        """Leave the last events on the screen."""
        if self._live.is_started:
            self._live.stop()
            for at_s, text in self._view.events:
                self._print(at_s, text)
            self._console.print()

    def _print(self, at_s: float, text: str) -> None:
        self._console.print(Text.assemble((f"{at_s:6.1f} s", "dim"), "  ", text))

    def _draw(self) -> RenderableType:
        view = self._view
        head = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=1.0, completed=view.share, width=40) if view.share is not None else Text("")
        head.add_row(Text(f"{time.monotonic() - self._began:6.1f} s", style="dim"), Text(view.stage, "bold"), bar)
        parts: list[RenderableType] = [head]
        if view.traffic:
            parts.append(Panel(_traffic_table(view.traffic), title="offenders", title_align="left"))
        if view.decisions:
            parts.append(Panel(_decision_table(view.decisions), title="decisions", title_align="left"))
        parts.append(Text("\n".join(f"{at_s:6.1f} s  {text}" for at_s, text in view.events[-LAST_EVENTS:])))
        return Group(*parts)


def _traffic_table(traffic: dict[int, Traffic]) -> Table:
    table = Table(box=None)
    for name in ("scenario", "machine", "offers", "enters the network", ""):
        table.add_column(name)
    for scenario, one in sorted(traffic.items()):
        share = one.entered / one.offered if one.offered else 0.0
        style = "bold red" if share > 0.2 else "bold green"
        bar = ProgressBar(total=1.0, completed=share, width=24, complete_style=style, finished_style=style)
        table.add_row(
            str(scenario), one.machine, f"{one.offered:,} packets/s", Text(f"{one.entered:,} packets/s", style), bar
        )
    return table


def _decision_table(rows: Sequence[Row]) -> Table:
    table = Table(box=None)
    for name in ("host", "score", "state", "fence", "why"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(row.host or row.subject, f"{row.score:.0f}", row.state, row.fences, row.why)
    return table


def _after(one: Milestone) -> str:
    return "-" if one.after_s is None else f"{one.after_s:+.2f} s"


def board(out: TextIO) -> Board:
    """The live board on a terminal, plain lines elsewhere."""
    console = Console(file=out)
    return LiveBoard(console) if console.is_terminal else PlainBoard(out)
