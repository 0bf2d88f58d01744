import stat
from dataclasses import replace
from pathlib import Path

from controller.domain.decision import State
from controller.domain.fence import Change, SlotState
from controller.domain.record import Decision, LegRecord, LegState, with_leg
from controller.sheet import UndoSheet, render
from tests.controller.ledger_cases import decision


def fenced(name: str, *undo: str, at_ns: int = 1, state: LegState = LegState.VERIFIED) -> Decision:
    one = decision(name, state=State.ENFORCED)
    (leg,) = one.fences[0].legs
    change = Change(leg.slot, SlotState(), SlotState(enabled=False), ("apply",), undo, dialect="cisco_ios")
    return with_leg(one, leg.slot, LegRecord(leg.slot, state, change, recorded_ns=at_ns))


def test_the_newest_change_stands_first() -> None:
    text = render([fenced("a", "undo of a", at_ns=1), fenced("b", "undo of b", at_ns=2)])
    assert text.index("undo of b") < text.index("undo of a")
    assert "2 changes on 1 devices" in text


def test_every_line_of_an_undo_stands_by_itself() -> None:
    text = render([fenced("a", "interface ge1", "no shutdown", "nft -f - <<'EOF'\ndelete x\nEOF")])
    assert [line.strip() for line in text.splitlines()][-5:] == [
        "interface ge1",
        "no shutdown",
        "nft -f - <<'EOF'",
        "delete x",
        "EOF",
    ]


def test_what_is_planned_or_undone_is_not_on_the_sheet() -> None:
    gone = [fenced("a", "undo", state=state) for state in (LegState.PLANNED, LegState.UNDONE, LegState.RELEASED)]
    assert "0 changes" in render(gone)
    assert "1 changes" in render([fenced("a", "undo", state=LegState.UNKNOWN)])


def test_the_file_is_its_owners_alone_and_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "deeper" / "undo-sheet.txt"
    sheet = UndoSheet(file)
    sheet.keep([fenced("a", "undo of a")])
    before = file.stat().st_ino
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    sheet.keep([fenced("a", "undo of a")])
    assert file.stat().st_ino == before
    sheet.keep([replace(fenced("b", "undo of b"))])
    assert "undo of b" in file.read_text()
    assert "undo of a" not in file.read_text()
    assert list(file.parent.iterdir()) == [file]
