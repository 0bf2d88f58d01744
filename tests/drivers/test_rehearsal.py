"""No configuring line leaves a rehearsal: not of any dialect, not in disguise."""

from collections.abc import Sequence

import pytest

from controller.domain.errors import Rehearsed
from controller.domain.fence import SlotKind, Transcript
from drivers.conversation import Query
from drivers.dialect import FIELD
from drivers.loading import dialect_of, options_of, platforms
from drivers.rehearsal import Rehearsal
from drivers.render import fill


class Recorder:
    """A session that remembers what reached it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.configured: list[str] = []

    def ask(self, queries: Sequence[Query]) -> tuple[str, ...]:
        self.asked += [query.text for query in queries]
        return tuple("" for _ in queries)

    def configure(self, lines: Sequence[str], *, confirm_within_s: int) -> Transcript:
        self.configured += lines
        return Transcript("x", ())

    def confirm(self) -> Transcript:
        self.configured.append("confirm")
        return Transcript("x", ())

    def close(self) -> None:
        return


@pytest.mark.parametrize("platform", platforms())
def test_every_question_passes_and_no_line_of_the_dialect_does(platform: str) -> None:
    dialect, behind = dialect_of(platform), Recorder()
    rehearsal = Rehearsal("x", behind, dialect.talk.asks)
    place = {**options_of(dialect, {}, device="x"), "interface": "eth7", "tag": "eth7", "slot": "a", "ofport": "7"}
    questions = [Query(fill(question.ask, place)) for question in dialect.questions.values()]
    rehearsal.ask(questions)
    assert behind.asked == [query.text for query in questions]
    behind.asked.clear()
    talk = dialect.talk
    lines = [line for row in dialect.rows for line in row.lines]
    lines += [*talk.enter, *talk.enter_timed, *talk.commit, *talk.commit_timed, *talk.abandon, *talk.leave]
    for line in lines:
        typed = FIELD.sub("7", line)
        for disguise in (typed, f"{questions[0].text}\n{typed}"):
            with pytest.raises(Rehearsed):
                rehearsal.ask([Query(disguise)])
    with pytest.raises(Rehearsed):
        rehearsal.configure(lines, confirm_within_s=0)
    rehearsal.confirm()
    assert behind.asked == []
    assert behind.configured == []


def test_every_kind_of_slot_is_held_by_some_platform() -> None:
    for kind in SlotKind:
        assert any(dialect_of(platform).rows_of(kind) for platform in platforms())
