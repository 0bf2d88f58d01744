"""The conversation with one device: what counts as a refusal, when configuration mode is left, what is recorded.

netmiko's own `send_config_set` takes refusals for success and stays in configuration mode after an error, so it is not
used; nor is its `send_command`, which guesses at prompts and echoes by timing.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from controller.domain.errors import CommandRefused, Unreachable
from controller.domain.fence import Transcript
from drivers.dialect import Talk
from drivers.session import Login, NetmikoTerminal, Terminal, failures

LINE_LIMIT = 400
"""Characters that are joined to one shell line: netmiko's terminal is 511 wide, and a wrapped echo is hard to read."""

PROMPT_LENGTH = 300
"""Characters at the end of what was printed among which a prompt is looked for."""

_STATUS = re.compile(r"^rc=(\d+)\s*?$", re.MULTILINE)
_OK = re.compile(r"^ok\s*?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Query:
    """A question as it is sent. A refusal that matches `absent` is the answer "nothing there": empty text."""

    text: str
    absent: str = ""


class Session(Protocol):
    """A conversation with one device."""

    def ask(self, queries: Sequence[Query]) -> tuple[str, ...]:
        """The answers, one for each query. Raises Unreachable or CommandRefused."""
        ...

    def configure(self, lines: Sequence[str], *, confirm_within_s: int) -> Transcript:
        """Send configuration lines; raises CommandRefused at the first that is refused, Unreachable, Rehearsed."""
        ...

    def confirm(self) -> Transcript:
        """Keep what `configure` left pending; nothing where nothing is."""
        ...

    def close(self) -> None:
        """End it; the next call opens it again."""
        ...


class SshSession:
    """A session that is opened when first used, kept open, and opened again when a question finds it broken.

    One caller at a time: a lock guards the conversation. A change that was under way when the session broke is never
    sent twice; a question is.
    """

    def __init__(
        self,
        login: Login,
        talk: Talk,
        refusals: Sequence[str],
        *,
        opener: Callable[[Login, Talk], Terminal] = NetmikoTerminal,
    ) -> None:
        self._login, self._talk, self._opener = login, talk, opener
        self._refusal = re.compile("|".join(f"(?:{pattern})" for pattern in refusals), re.MULTILINE)
        self._lock = threading.Lock()
        self._terminal: Terminal | None = None
        self._pending_s = 0

    def ask(self, queries: Sequence[Query]) -> tuple[str, ...]:
        """The answers, one for each query; asked again on a new session when the old one turns out to be broken."""
        with self._lock:
            kept = self._terminal is not None
            try:
                with self._reporting():
                    return self._ask(self._open(), queries)
            except Unreachable:
                if not kept:
                    raise
            with self._reporting():
                return self._ask(self._open(), queries)

    def configure(self, lines: Sequence[str], *, confirm_within_s: int) -> Transcript:
        """Send the lines one after the other until one is refused; configuration mode is left whatever happens."""
        with self._lock, self._reporting():
            terminal = self._open()
            record = _Record(self._login)
            if not lines:
                return record.transcript()
            if self._talk.shell:
                self._run(terminal, lines, record)
            else:
                self._edit(terminal, lines, record, minutes=-(-confirm_within_s // 60))
            return record.transcript(pending_s=self._pending_s)

    def confirm(self) -> Transcript:
        """Keep what the device would otherwise take back by itself."""
        with self._lock, self._reporting():
            record = _Record(self._login)
            if not self._pending_s:
                return record.transcript()
            terminal = self._open()
            for line in self._talk.confirm:
                self._line(terminal, line, record, read_s=self._talk.commit_s)
            self._pending_s = 0
            return record.transcript()

    def close(self) -> None:
        """End the session."""
        with self._lock:
            self._drop()

    def _open(self) -> Terminal:
        if self._terminal is not None and not self._terminal.is_open:
            self._drop()
        if self._terminal is None:
            self._terminal = self._opener(self._login, self._talk)
        return self._terminal

    def _drop(self) -> None:
        terminal, self._terminal, self._pending_s = self._terminal, None, 0
        if terminal is not None:
            try:
                terminal.hang_up()
            except failures():
                return  # it was broken already

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except CommandRefused:
            raise
        except failures() as error:
            self._drop()
            reason = _first_line(str(error)) or type(error).__name__
            raise Unreachable(self._login.name, _masked(self._login, reason)) from error

    def _ask(self, terminal: Terminal, queries: Sequence[Query]) -> tuple[str, ...]:
        if self._talk.shell:
            return self._ask_shell(terminal, queries)
        answers = []
        for query in queries:
            answer = self._exchange(terminal, query.text, read_s=self._talk.answer_s)
            answers.append(self._accepted(query, answer, refused=bool(self._refusal.search(answer))))
        return tuple(answers)

    def _ask_shell(self, terminal: Terminal, queries: Sequence[Query]) -> tuple[str, ...]:
        answers: list[str] = []
        for batch in _batches([f"{query.text}; echo rc=$?" for query in queries]):
            output = self._exchange(terminal, "; ".join(batch), read_s=self._talk.answer_s)
            start = 0
            for _ in batch:
                query = queries[len(answers)]
                status = _STATUS.search(output, start)
                answer = output[start : status.start() if status else None].lstrip("\n")
                refused = status is None or status[1] != "0" or bool(self._refusal.search(answer))
                answers.append(self._accepted(query, answer, refused=refused))
                start = status.end() if status else len(output)
        return tuple(answers)

    def _accepted(self, query: Query, answer: str, *, refused: bool) -> str:
        if not refused:
            return _masked(self._login, answer)
        if query.absent and re.search(query.absent, answer, re.MULTILINE):
            return ""
        raise CommandRefused(self._login.name, line=query.text, answer=_masked(self._login, answer))

    def _run(self, terminal: Terminal, lines: Sequence[str], record: "_Record") -> None:
        position = 0
        for batch in _batches(lines):
            text = " && echo ok && ".join(batch) + "; echo rc=$?"
            output = self._exchange(terminal, text, read_s=self._talk.answer_s)
            status = _STATUS.search(output)
            *done, last = _OK.split(output[: status.start()] if status else output)
            for answer in done:
                self._checked(lines[position], answer, record)
                position += 1
            if status is None or status[1] != "0":
                self._refused(lines[position], last, record)
            self._checked(lines[position], last, record)
            position += 1

    def _edit(self, terminal: Terminal, lines: Sequence[str], record: "_Record", *, minutes: int) -> None:
        talk = self._talk
        timed = {"minutes": str(minutes)}
        entered = False
        if minutes and talk.enter_timed:
            entered = self._enter_timed(terminal, [_fill(line, timed) for line in talk.enter_timed], record)
            self._pending_s = minutes * 60 if entered else 0
        try:
            for line in talk.enter if not entered else ():
                self._line(terminal, line, record)
            for line in lines:
                self._line(terminal, line, record)
            if minutes and talk.commit_timed:
                commit = [_fill(line, timed) for line in talk.commit_timed]
                self._pending_s = minutes * 60
            else:
                commit = list(talk.commit)
            for line in commit:
                self._line(terminal, line, record, read_s=talk.commit_s)
        except CommandRefused:
            for line in talk.abandon:
                self._line(terminal, line, record)
            self._pending_s = 0
            raise
        finally:
            self._leave(terminal, record)

    def _enter_timed(self, terminal: Terminal, lines: Sequence[str], record: "_Record") -> bool:
        for line in lines:
            answer = self._exchange(terminal, line, read_s=self._talk.commit_s)
            record.keep(line, answer)
            if self._talk.untimed and re.search(self._talk.untimed, answer, re.MULTILINE):
                return False
            if self._refusal.search(answer):
                self._leave(terminal, record)
                raise CommandRefused(self._login.name, line=line, answer=answer)
        return True

    def _leave(self, terminal: Terminal, record: "_Record") -> None:
        try:
            for line in self._talk.leave:
                record.keep(line, self._exchange(terminal, line, read_s=self._talk.answer_s))
        except failures():
            self._drop()  # a session that hangs in configuration mode is not kept

    def _line(self, terminal: Terminal, line: str, record: "_Record", *, read_s: float | None = None) -> None:
        answer = self._exchange(terminal, line, read_s=read_s or self._talk.answer_s)
        self._checked(line, answer, record)

    def _checked(self, line: str, answer: str, record: "_Record") -> None:
        if self._refusal.search(answer):
            self._refused(line, answer, record)
        record.keep(line, answer)

    def _refused(self, line: str, answer: str, record: "_Record") -> None:
        record.keep(line, answer)
        raise CommandRefused(self._login.name, line=_masked(self._login, line), answer=_masked(self._login, answer))

    def _exchange(self, terminal: Terminal, line: str, *, read_s: float) -> str:
        """Type a line and give what is printed until the next prompt, without the echo.

        Raises ConnectionError when the session ends first, TimeoutError when no prompt comes within `read_s`.
        """
        prompt = _fill(self._talk.prompt, {"hostname": re.escape(terminal.hostname)})
        pattern = re.compile(rf"(?m:{prompt})\s*\Z")
        terminal.heard(0.0)
        terminal.type(line + "\n")
        output, until = "", time.monotonic() + read_s
        while not (found := pattern.search(output, max(0, len(output) - PROMPT_LENGTH))):
            if more := terminal.heard(until - time.monotonic()):
                output += more
            elif not terminal.is_open:
                raise ConnectionError(f"the session ended before {_short(line)!r} was answered")
            elif time.monotonic() > until:
                raise TimeoutError(f"no answer to {_short(line)!r} within {read_s:g} s")
        first, newline, rest = output[: found.start()].partition("\n")
        return rest if newline and line.strip() in first else output[: found.start()]


class _Record:
    """The exchanges of one change, secrets masked."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self._exchanges: list[tuple[str, str]] = []

    def keep(self, line: str, answer: str) -> None:
        self._exchanges.append((_masked(self._login, line), _masked(self._login, answer.strip())))

    def transcript(self, *, pending_s: int = 0) -> Transcript:
        return Transcript(self._login.name, tuple(self._exchanges), pending_confirm_s=pending_s)


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """Texts that go out together, up to a limit; a longer one goes alone."""
    batch: list[str] = []
    for text in texts:
        joined = sum(len(one) + len(" && echo ok && ") for one in batch) + len(text)
        if batch and joined > LINE_LIMIT:
            yield batch
            batch = []
        batch.append(text)
    if batch:
        yield batch


def _fill(template: str, fields: Mapping[str, str]) -> str:
    for name, text in fields.items():
        template = template.replace("{" + name + "}", text)
    return template


def _short(line: str) -> str:
    return line if len(line) <= 80 else line[:77] + "..."


def _masked(login: Login, text: str) -> str:
    for secret in (login.password, login.second_secret):
        if secret:
            text = text.replace(secret, "********")
    return text


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
