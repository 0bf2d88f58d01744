"""The board: everything in its place on a terminal, a line per event elsewhere, and nothing said is lost."""

import io
from dataclasses import replace

from rich.console import Console

from deploy.lab.board import LiveBoard, Milestone, PlainBoard, Row, board


def test_what_happens_after_the_live_board_is_closed_is_still_said() -> None:
    out = io.StringIO()
    shown = LiveBoard(Console(file=out, force_terminal=True, width=120))
    shown.event("before [the] end")
    shown.timeline("Scenario 1: vps001", [Milestone("first bad record", 0.0, "vps001")])
    told = out.getvalue()
    assert "before [the] end" in told
    assert "Scenario 1: vps001" in told
    shown.event("staying up")
    assert "staying up" in out.getvalue()[len(told) :]


def test_a_decision_is_told_once_for_each_state() -> None:
    out = io.StringIO()
    shown = PlainBoard(out)
    proposed = Row(id="d1", subject="host:198.18.1.11", host="vps001", score=94.0, state="proposed", fences="", why="")
    again = replace(proposed, id="d2", state="failed")
    shown.decisions([again, proposed])
    shown.decisions([again, proposed])
    assert out.getvalue().count("decision on vps001: failed") == 1
    assert out.getvalue().count("decision on vps001: proposed") == 1


def test_without_a_terminal_the_board_is_plain_lines() -> None:
    assert isinstance(board(io.StringIO()), PlainBoard)
