"""A bash-like login shell of an emulated Linux machine, and the small programs that every machine has.

A platform brings its own programs (`ovs-vsctl`, `nft`, …); this module runs lines: pipelines, lists, redirections,
here-documents and exit statuses. Source: the bash reference manual; GNU coreutils for the small programs.
"""

import copy
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from deploy.lab.device import Reply
from deploy.lab.words import Command, SyntaxFault, here_document, parts, pipeline

NOT_FOUND = 127
USAGE = 2
OUT, ERR = "\0out", "\0err"  # where output goes that nobody sent elsewhere
TRUNCATING = frozenset({">", "2>", "&>"})


@dataclass(frozen=True, slots=True)
class Call:
    """One program is started: its arguments without its name, its input, who started it and when."""

    args: tuple[str, ...]
    stdin: str
    user: str
    now: float
    terminal: bool = False  # the output goes to a terminal: some programs print other text there

    @property
    def root(self) -> bool:
        """Whether the program runs with all rights."""
        return self.user == "root"


@dataclass(frozen=True, slots=True)
class Result:
    """What a program did. `refused`: it did not understand or would not do it, as opposed to answering "no"."""

    out: str = ""
    err: str = ""
    status: int = 0
    refused: bool = False
    configured: bool = False


def refuse(err: str, status: int = 1) -> Result:
    """Build the result of a program that prints an error and fails."""
    return Result(err=err if err.endswith("\n") else err + "\n", status=status, refused=True)


Program = Callable[[Call], Result]


@dataclass(slots=True)
class Machine:
    """What all sessions of one machine share: its name, files and programs.

    Programs are functions or bound methods, never closures over state: a copy of the machine must be complete.
    """

    hostname: str
    programs: dict[str, Program] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    booted: float | None = None  # seconds since the epoch; None: before the first line


class Fate(Enum):
    """What becomes of a command when its here-document ends."""

    RUN = "run"
    REFUSE = "refuse"
    PRETEND = "pretend"


@dataclass(slots=True)
class _Outcome:
    """What a line has printed so far; both streams end on the terminal, in order."""

    text: list[str] = field(default_factory=list)
    status: int = 0
    accepted: bool = True
    configured: bool = False
    close: bool = False


class Shell:
    """One login session on a machine."""

    def __init__(self, machine: Machine, user: str) -> None:
        self._machine = machine
        self._user = user
        self._status = 0
        self._waiting: list[str] = []  # the line that a here-document belongs to, and its body so far
        self._delimiter = ""
        self._fate = Fate.RUN
        self._strip_tabs = False
        self._interactive = True
        self._name = "-bash"  # how a login shell signs its messages

    @property
    def mode(self) -> str:
        """`shell`, or `heredoc` while the body of a here-document is typed."""
        return "heredoc" if self._waiting else "shell"

    @property
    def prompt(self) -> str:
        """`root@name:~# `, for others `user@name:~$ `, and `> ` inside a here-document."""
        if self._waiting:
            return "> "
        return f"{self._user}@{self._machine.hostname.split('.')[0]}:~{'#' if self._user == 'root' else '$'} "

    def greeting(self) -> str:
        """Message of the day of the machine, if it has one."""
        return self._machine.files.get("/etc/motd", "")

    def line(self, text: str, *, now: float) -> Reply:
        """Run one line, or take it into the here-document that is open."""
        text = text.replace("\x1a", "")
        if self._waiting:
            body = text.lstrip("\t") if self._strip_tabs else text
            if body != self._delimiter:
                self._waiting.append(body)
                return Reply()
            return self._end_document(now)
        if awaited := _document(text):
            self._waiting = [text]
            self._delimiter, self._strip_tabs = awaited
            return Reply()
        return self._reply(text, "", now)

    def run(self, command: str, *, now: float) -> tuple[Reply, int]:
        """Run one command as `ssh host command` does, here-documents inside it included."""
        self._name = "bash: line 1"
        self._interactive = False
        first, *rest = command.split("\n")
        reply = self.line(first, now=now)
        for line in rest:
            following = self.line(line, now=now)
            reply = replace(
                following,
                text=reply.text + following.text,
                accepted=reply.accepted and following.accepted,
                configured=reply.configured or following.configured,
            )
        if self._waiting:
            last = self.line(self._delimiter, now=now)
            reply = replace(last, text=reply.text + last.text)
        return reply, self._status

    def refusal(self, text: str) -> Reply:
        """Answer as if the line's program were not installed; a here-document is read to its end all the same."""
        if self._in_document(text):
            self._fate = Fate.REFUSE
            return replace(self.line(text, now=0.0), accepted=False)
        self._status = NOT_FOUND
        name = (text.split() or [""])[0]
        return Reply(f"{self._name}: {name}: command not found\n", accepted=False)

    def pretend(self, text: str, *, now: float) -> Reply:
        """Answer as if the line were run, or the command whose here-document it belongs to; nothing changes."""
        if self._in_document(text):
            self._fate = Fate.PRETEND
            return self.line(text, now=now)
        twin = copy.deepcopy(self)
        reply = twin.line(text, now=now)
        self._status = twin._status
        return reply

    def closed(self) -> None:
        """Nothing is held by a shell session."""

    def _in_document(self, text: str) -> bool:
        """Say whether a line opens a here-document, belongs to one, or ends it."""
        return bool(self._waiting) or ("\n" not in text and _document(text) is not None)

    def _end_document(self, now: float) -> Reply:
        """Run the command whose here-document is complete, as its fate has it."""
        command, *lines = self._waiting
        fate, self._fate, self._waiting = self._fate, Fate.RUN, []
        document = "".join(f"{line}\n" for line in lines)
        match fate:
            case Fate.REFUSE:
                return self.refusal(command.partition("<<")[0])
            case Fate.PRETEND:
                return copy.deepcopy(self)._reply(command, document, now)
        return self._reply(command, document, now)

    def _reply(self, line: str, document: str, now: float) -> Reply:
        if self._machine.booted is None:
            self._machine.booted = now
        done = _Outcome(status=self._status)
        self._list(line, document, now, done)
        self._status = done.status
        return Reply("".join(done.text), close=done.close, accepted=done.accepted, configured=done.configured)

    def _list(self, line: str, document: str, now: float, done: _Outcome, *, inside: bool = False) -> None:
        """Run the line's pipelines one by one, into `done`; `inside` a `$(…)` nothing goes to the terminal."""
        try:
            for part in parts(line):
                skipped = (part.joined_by == "&&" and done.status != 0) or (part.joined_by == "||" and done.status == 0)
                if not skipped and not done.close:
                    self._pipeline(part.source, document, now, done, inside=inside)
        except SyntaxFault as fault:
            done.text.append(f"{self._name}: {fault}\n")
            done.status, done.accepted = USAGE, False

    def _pipeline(self, source: str, document: str, now: float, done: _Outcome, *, inside: bool) -> None:
        def substitute(inner: str) -> str:
            captured = _Outcome(status=done.status)
            self._list(inner, "", now, captured, inside=True)
            done.accepted &= captured.accepted
            done.configured |= captured.configured
            return "".join(captured.text)

        commands = pipeline(source, self._variables(done.status), substitute)
        flowing = ""
        for index, command in enumerate(commands):
            if command.words and command.words[0] in ("exit", "logout") and len(commands) == 1:
                done.close = True
                done.status = (
                    int(command.words[1]) if command.words[1:2] and command.words[1].isdigit() else done.status
                )
                return
            for operator, target in command.redirections:
                if operator in TRUNCATING and target != "/dev/null":
                    self._machine.files[target] = ""
            try:
                stdin = self._input(command, document, flowing)
            except FileNotFoundError as missing:
                done.text.append(f"{self._name}: {missing}: No such file or directory\n")
                done.status, done.accepted = 1, False
                return
            last = index == len(commands) - 1
            sinks = _sinks(command)
            on_terminal = self._interactive and last and not inside and sinks[0] == OUT
            result = self._start(command.words, Call((), stdin, self._user, now, on_terminal))
            flowing = self._deliver(result, sinks, done, last=last)
            done.status = result.status
            done.accepted &= not result.refused
            done.configured |= result.configured

    def _deliver(self, result: Result, sinks: tuple[str, str], done: _Outcome, *, last: bool) -> str:
        """Put both outputs where they were sent; give what flows on to the next program."""
        flowing = ""
        for text, sink in ((result.err, sinks[1]), (result.out, sinks[0])):
            if sink == ERR or (sink == OUT and last):
                done.text.append(text)
            elif sink == OUT:
                flowing += text
            elif sink != "/dev/null":
                self._machine.files[sink] = self._machine.files.get(sink, "") + text
        return flowing

    def _start(self, words: list[str], call: Call) -> Result:
        if not words:
            return Result()
        name, *args = words
        if name == "sudo":
            if not args:
                return refuse("usage: sudo -h | -K | -k | -V\n", 1)
            return self._start([word for word in args if word not in ("-n", "-E")], replace(call, user="root"))
        program = self._machine.programs.get(name.rsplit("/", 1)[-1])
        if program is None:
            if "/" in name:
                return refuse(f"{self._name}: {name}: No such file or directory", NOT_FOUND)
            return refuse(f"{self._name}: {name}: command not found", NOT_FOUND)
        return program(replace(call, args=tuple(args)))

    def _input(self, command: Command, document: str, flowing: str) -> str:
        stdin = flowing
        for operator, target in command.redirections:
            if operator in ("<<", "<<-"):
                stdin = document
            elif operator == "<<<":
                stdin = target + "\n"
            elif operator == "<":
                if target not in self._machine.files and target != "/dev/null":
                    raise FileNotFoundError(target)
                stdin = self._machine.files.get(target, "")
        return stdin

    def _variables(self, status: int) -> Mapping[str, str]:
        home = "/root" if self._user == "root" else f"/home/{self._user}"
        return {
            "?": str(status),
            "USER": self._user,
            "HOME": home,
            "HOSTNAME": self._machine.hostname,
            "SHELL": "/bin/bash",
            "PWD": home,
        }


def _document(line: str) -> tuple[str, bool] | None:
    try:
        return here_document(line)
    except SyntaxFault:
        return None


def _sinks(command: Command) -> tuple[str, str]:
    """Where standard output and error of a command go: OUT, ERR or a file; redirections act from left to right."""
    out, err = OUT, ERR
    for operator, target in command.redirections:
        match operator:
            case ">" | ">>":
                out = target
            case "2>" | "2>>":
                err = target
            case "&>":
                out = err = target
            case "2>&1":
                err = out
            case "1>&2" | ">&2":
                out = err
    return out, err


def unescape(text: str) -> str:
    """Give the text that backslash escapes of `printf` and `echo -e` stand for."""
    known = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "a": "\a", "b": "\b", "0": "\0"}
    return re.sub(r"\\(.)", lambda match: known.get(match[1], match[0]), text)


def lines_of(texts: Iterable[str]) -> str:
    """Join lines, each ended by a newline."""
    return "".join(f"{text}\n" for text in texts)
