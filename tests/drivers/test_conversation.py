"""What is said to a device and when, on a terminal that a test writes the other side of."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from controller.domain.errors import CommandRefused, Unreachable
from drivers.conversation import Query, SshSession
from drivers.loading import dialect_of
from drivers.session import Login, Terminal

LOGIN = Login("sw1", "192.0.2.1", 22, "cordon", Path("known_hosts"), password="hunter2", second_secret="s3cond")
Answer = Callable[[str], str | None]


class Script:
    """A terminal whose device answers each typed line by a function: text, or None to hang up, or "…" for silence."""

    hostname = "sw1"

    def __init__(self, answer: Answer, prompt: str = "sw1#") -> None:
        self._answer, self._prompt = answer, prompt
        self._printed = ""
        self.typed: list[str] = []
        self.is_open = True

    def type(self, text: str) -> None:
        line = text.rstrip("\n")
        self.typed.append(line)
        answer = self._answer(line)
        if answer is None:
            self.is_open = False
        elif answer != "…":
            self._printed += f"{line}\n{answer}{self._prompt}"

    def heard(self, wait_s: float) -> str:
        if wait_s > 0 and not self._printed and self.is_open:
            threading.Event().wait(wait_s)
        printed, self._printed = self._printed, ""
        return printed

    def hang_up(self) -> None:
        self.is_open = False


class Line:
    """Hands out the terminals of a test, one for each login."""

    def __init__(self, *terminals: Script) -> None:
        self.terminals = list(terminals)
        self.logins = 0

    def __call__(self, login: Login, talk: object) -> Terminal:
        self.logins += 1
        if not self.terminals:
            raise ConnectionRefusedError("nobody listens")
        return self.terminals.pop(0)


def session(line: Line, platform: str = "cisco_ios", **talk: object) -> SshSession:
    dialect = dialect_of(platform)
    quick = replace(dialect.talk, answer_s=0.2, commit_s=0.2, **talk)  # type: ignore[arg-type]
    return SshSession(LOGIN, quick, dialect.refusals, opener=line)


def agreeable(_: str) -> str:
    return ""


def refusing(pattern: str, answer: str = "% Invalid input detected at '^' marker.\n") -> Answer:
    return lambda line: answer if pattern in line else ""


def test_session_opens_when_it_is_first_used_and_stays_open() -> None:
    terminal = Script(lambda line: f"about {line}\n")
    line = Line(terminal)
    talk = session(line)
    assert line.logins == 0
    assert talk.ask([Query("show a"), Query("show b")]) == ("about show a\n", "about show b\n")
    talk.ask([Query("show c")])
    assert line.logins == 1


def test_first_refused_line_stops_the_change_and_configuration_mode_is_left() -> None:
    terminal = Script(refusing("two"))
    with pytest.raises(CommandRefused) as refused:
        session(Line(terminal)).configure(["one", "two", "three"], confirm_within_s=0)
    assert refused.value.line == "two"
    assert "Invalid input" in refused.value.answer
    assert terminal.typed == ["configure terminal", "one", "two", "end"]


def test_unknown_percent_sign_is_a_refusal_and_a_log_line_or_warning_is_not() -> None:
    for answer in (
        "% Access VLAN does not exist. Creating vlan 99\n",
        "%Port is a member of a channel\n",
        "Command rejected: no\n",
    ):
        with pytest.raises(CommandRefused):
            session(Line(Script(refusing("one", answer)))).configure(["one"], confirm_within_s=0)
    for answer in ("%LINK-5-CHANGED: Interface Gi1/0/7\n", "%Warning: portfast\n", "Enter configuration commands\n"):
        session(Line(Script(refusing("one", answer)))).configure(["one"], confirm_within_s=0)


def test_candidate_is_thrown_away_when_a_line_is_refused() -> None:
    terminal = Script(refusing("two", "syntax error.\n"), prompt="sw1>")
    with pytest.raises(CommandRefused):
        session(Line(terminal), "juniper_junos").configure(["set one", "set two"], confirm_within_s=0)
    assert terminal.typed == ["configure private", "set one", "set two", "rollback 0", "exit configuration-mode"]


def test_refused_commit_is_a_refused_change() -> None:
    terminal = Script(refusing("commit", "error: configuration check-out failed\n"), prompt="sw1>")
    with pytest.raises(CommandRefused):
        session(Line(terminal), "juniper_junos").configure(["set one"], confirm_within_s=0)
    assert terminal.typed[-2:] == ["rollback 0", "exit configuration-mode"]


def test_timed_commit_is_kept_by_confirming_it() -> None:
    terminal = Script(agreeable, prompt="sw1>")
    talk = session(Line(terminal), "juniper_junos")
    assert talk.configure(["set one"], confirm_within_s=90).pending_confirm_s == 120
    assert "commit confirmed 2" in terminal.typed
    talk.confirm()
    assert terminal.typed[-3:] == ["configure private", "commit", "exit configuration-mode"]
    typed = len(terminal.typed)
    talk.confirm()
    assert len(terminal.typed) == typed, "nothing is pending any more"


def test_switch_without_an_archive_is_configured_without_a_timer() -> None:
    terminal = Script(refusing("revert", "% Archive is not configured\n"))
    talk = session(Line(terminal))
    assert talk.configure(["one"], confirm_within_s=60).pending_confirm_s == 0
    assert terminal.typed == ["configure terminal revert timer 1", "configure terminal", "one", "end"]
    assert talk.confirm().exchanges == ()


def test_switch_with_an_archive_takes_the_change_back_unless_it_is_confirmed() -> None:
    terminal = Script(agreeable)
    talk = session(Line(terminal))
    assert talk.configure(["one"], confirm_within_s=60).pending_confirm_s == 60
    talk.confirm()
    assert terminal.typed == ["configure terminal revert timer 1", "one", "end", "configure confirm"]


def test_silence_is_unreachable_and_the_session_is_given_up() -> None:
    terminal = Script(lambda line: "…" if line == "two" else "")
    with pytest.raises(Unreachable, match="no answer"):
        session(Line(terminal)).configure(["one", "two", "three"], confirm_within_s=0)
    assert "three" not in terminal.typed
    assert not terminal.is_open


def test_change_is_never_sent_twice_when_the_session_ends_in_it() -> None:
    first, second = Script(lambda line: None if line == "two" else ""), Script(agreeable)
    talk = session(Line(first, second))
    with pytest.raises(Unreachable, match="ended"):
        talk.configure(["one", "two"], confirm_within_s=0)
    assert second.typed == []


def test_question_is_asked_again_on_a_new_session_when_the_old_one_is_broken() -> None:
    answers = iter(["fine\n"])
    first, second = Script(lambda _: next(answers, None)), Script(lambda _: "again\n")
    line = Line(first, second)
    talk = session(line)
    assert talk.ask([Query("show a")]) == ("fine\n",)
    assert talk.ask([Query("show b")]) == ("again\n",)
    assert line.logins == 2


def test_device_that_cannot_be_reached_is_asked_once() -> None:
    line = Line()
    with pytest.raises(Unreachable, match="nobody listens"):
        session(line).ask([Query("show a")])
    assert line.logins == 1


def test_refused_question_is_an_answer_only_where_the_dialect_says_so() -> None:
    refusal = refusing("mls", "% Invalid input detected at '^' marker.\n")
    assert session(Line(Script(refusal))).ask([Query("show mls qos", absent="% Invalid input")]) == ("",)
    with pytest.raises(CommandRefused):
        session(Line(Script(refusal))).ask([Query("show mls qos")])


def test_secrets_stand_in_no_transcript_and_no_error() -> None:
    terminal = Script(lambda line: f"you said {line}\n")
    transcript = session(Line(terminal)).configure(["secret hunter2 and s3cond"], confirm_within_s=0)
    assert "hunter2" not in repr(transcript)
    assert "s3cond" not in repr(transcript)
    with pytest.raises(CommandRefused) as refused:
        session(Line(Script(refusing("x", "% bad: hunter2\n")))).configure(["x"], confirm_within_s=0)
    assert "hunter2" not in str(refused.value)
    assert "hunter2" not in repr(LOGIN)


class Shell(Script):
    """A shell with a few commands of its own: enough of `;`, `&&` and `$?` for what a session types."""

    def __init__(self, commands: dict[str, tuple[int, str]]) -> None:
        super().__init__(self._run, prompt="sw1# ")
        self._commands = commands
        self.ran: list[str] = []

    def _run(self, line: str) -> str:
        printed, status = "", 0
        for part in line.split("; "):
            for command in part.split(" && "):
                if command == "echo rc=$?":
                    printed += f"rc={status}\n"
                elif command == "echo ok":
                    printed += "ok\n"
                else:
                    status, text = self._commands.get(command, (0, ""))
                    printed += text
                    self.ran.append(command)
                    if status:
                        break
        return printed


def test_several_questions_of_a_shell_are_one_line() -> None:
    shell = Shell({"a": (0, "one\ntwo\n"), "b": (0, "")})
    assert session(Line(shell), "ovs_linux").ask([Query("a"), Query("b")]) == ("one\ntwo\n", "")
    assert len(shell.typed) == 1


def test_exit_status_of_a_question_is_a_refusal_unless_it_means_absence() -> None:
    shell = Shell({"list": (1, "Error: No such file or directory\n")})
    talk = session(Line(shell), "linux_nftables")
    assert talk.ask([Query("list", absent="No such file")]) == ("",)
    with pytest.raises(CommandRefused, match="No such file"):
        talk.ask([Query("list")])


def test_lines_of_a_shell_stop_at_the_first_that_fails_and_it_is_named() -> None:
    shell = Shell({"b": (1, "ovs-ofctl: br0: no such thing\n")})
    with pytest.raises(CommandRefused) as refused:
        session(Line(shell), "ovs_linux").configure(["a", "b", "c"], confirm_within_s=0)
    assert refused.value.line == "b"
    assert shell.ran == ["a", "b"]
    assert len(shell.typed) == 1


def test_long_changes_of_a_shell_are_sent_in_pieces() -> None:
    shell = Shell({})
    lines = [f"{'x' * 150}{number}" for number in range(7)]
    transcript = session(Line(shell), "ovs_linux").configure(lines, confirm_within_s=0)
    assert shell.ran == lines
    assert [line for line, _ in transcript.exchanges] == lines
    assert len(shell.typed) > 1


def test_shell_that_refuses_a_whole_line_prints_no_status_and_has_refused() -> None:
    terminal = Script(lambda _: "bash: syntax error near unexpected token\n", prompt="sw1# ")
    with pytest.raises(CommandRefused, match="syntax error"):
        session(Line(terminal), "ovs_linux").configure(["a"], confirm_within_s=0)


def test_no_lines_need_no_session() -> None:
    line = Line()
    lines: Sequence[str] = ()
    with pytest.raises(Unreachable):
        session(line).configure(["one"], confirm_within_s=0)
    assert session(Line(Script(agreeable))).configure(lines, confirm_within_s=0).exchanges == ()
