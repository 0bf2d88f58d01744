"""How bash reads a command line: words, quotes, operators, braces, here-documents.

Only what operators type and programs send; whatever else bash would do with a line is a `SyntaxFault`, not a guess.
Source: the bash reference manual, sections 3.1 (syntax), 3.5 (expansions), 3.6 (redirections).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

OPERATORS = ("&>", "2>&1", "2>>", "2>", "<<<", "<<-", "<<", ">>", "1>&2", ">&2", "&&", "||", ";", "|", "&", ">", "<")
REDIRECTIONS = frozenset({"&>", "2>", "2>>", "<<<", "<<", "<<-", ">>", ">", "<"})
MERGES = frozenset({"2>&1", "1>&2", ">&2"})
ENDS = frozenset({";", "&&", "||", "&"})

Substitute = Callable[[str], str]


class SyntaxFault(Exception):
    """The line is none that bash would execute; the text is what bash says of it."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word after expansion, or an operator."""

    text: str
    start: int  # where in the line it began
    operator: bool = False


@dataclass(slots=True)
class Command:
    """One simple command with its redirections in order: (operator, target)."""

    words: list[str] = field(default_factory=list)
    redirections: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Part:
    """One pipeline as it was typed, and the operator before it: "", ";", "&", "&&" or "||"."""

    joined_by: str
    source: str


def here_document(line: str) -> tuple[str, bool] | None:
    """Give the delimiter that a line's here-document waits for, and whether leading tabs are taken off it."""
    for token, following in _pairs(list(tokens(line, {}, lambda _: ""))):
        if token.operator and token.text in ("<<", "<<-") and following:
            return following.text, token.text == "<<-"
    return None


def parts(line: str) -> list[Part]:
    """Split one line into its pipelines, unexpanded, for `$?` in a later one is the status of the one before."""
    found: list[Part] = []
    joined_by, start, empty = "", 0, True
    for token in tokens(line, {}, lambda _: ""):
        if token.operator and token.text in ENDS:
            if empty:
                raise SyntaxFault(_unexpected(token.text))
            found.append(Part(joined_by, line[start : token.start]))
            joined_by, start, empty = token.text, token.start + len(token.text), True
        else:
            empty = False
    if not empty:
        found.append(Part(joined_by, line[start:]))
    elif joined_by in ("&&", "||"):
        raise SyntaxFault("syntax error: unexpected end of file")
    return found


def pipeline(source: str, variables: Mapping[str, str], substitute: Substitute) -> list[Command]:
    """Expand one pipeline into its commands; SyntaxFault when one of them is missing."""
    commands = [Command()]
    target_next = False
    for token, following in _pairs(list(tokens(source, variables, substitute))):
        current = commands[-1]
        if target_next:
            target_next = False
        elif not token.operator:
            current.words.append(token.text)
        elif token.text in REDIRECTIONS:
            if following is None or following.operator:
                raise SyntaxFault(_unexpected(following.text if following else "newline"))
            current.redirections.append((token.text, following.text))
            target_next = True
        elif token.text in MERGES:
            current.redirections.append((token.text, ""))
        elif not (current.words or current.redirections) or following is None:
            raise SyntaxFault(_unexpected(token.text))
        else:
            commands.append(Command())
    return commands


def tokens(line: str, variables: Mapping[str, str], substitute: Substitute) -> Iterator[Token]:
    """Words and operators of a line, quotes removed, variables and `$(…)` put in, braces expanded."""
    at = 0
    while at < len(line):
        if line[at] in " \t\n":
            at += 1
        elif line[at] == "#":
            return
        elif operator := next((o for o in OPERATORS if line.startswith(o, at)), None):
            yield Token(operator, at, operator=True)
            at += len(operator)
        elif line[at] in "()":
            raise SyntaxFault(_unexpected(line[at]))
        else:
            word = _Word(line, at, variables, substitute)
            word.read()
            for text in word.texts():
                yield Token(text, at)
            at = word.at


class _Word:
    """Reads one word; pieces are (text, quoted), since only unquoted braces expand and only bare words vanish."""

    def __init__(self, line: str, at: int, variables: Mapping[str, str], substitute: Substitute) -> None:
        self.at = at
        self._line = line
        self._variables = variables
        self._substitute = substitute
        self._pieces: list[tuple[str, bool]] = []

    def read(self) -> None:
        """Advance to the end of the word."""
        line = self._line
        while self.at < len(line) and line[self.at] not in " \t\n;|&<>()":
            char = line[self.at]
            if char == "\\":
                self._pieces.append((line[self.at + 1 : self.at + 2], True))
                self.at += 2
            elif char == "'":
                self._single()
            elif char == '"':
                self._double()
            elif char == "$":
                self._pieces.append((self._dollar(), False))
            else:
                self._pieces.append((char, False))
                self.at += 1

    def texts(self) -> list[str]:
        """The words that this one became: none when an unquoted variable was empty, several by braces."""
        if not any(text or is_quoted for text, is_quoted in self._pieces):
            return []
        return _braces(self._pieces)

    def _single(self) -> None:
        end = self._line.find("'", self.at + 1)
        if end < 0:
            raise SyntaxFault("unexpected EOF while looking for matching `''")
        self._pieces.append((self._line[self.at + 1 : end], True))
        self.at = end + 1

    def _double(self) -> None:
        line = self._line
        self.at += 1
        text = ""
        while self.at < len(line) and line[self.at] != '"':
            if line[self.at] == "\\" and line[self.at + 1 : self.at + 2] in ("$", "`", '"', "\\"):
                text += line[self.at + 1]
                self.at += 2
            elif line[self.at] == "$":
                text += self._dollar()
            else:
                text += line[self.at]
                self.at += 1
        if self.at >= len(line):
            raise SyntaxFault("unexpected EOF while looking for matching `\"'")
        self._pieces.append((text, True))
        self.at += 1

    def _dollar(self) -> str:
        rest = self._line[self.at :]
        if rest.startswith("$("):
            end = _closing(self._line, self.at + 1)
            inner = self._line[self.at + 2 : end]
            self.at = end + 1
            return self._substitute(inner).rstrip("\n")
        if match := re.match(r"\$(?:\{(\w+|\?)\}|(\w+|\?))", rest):
            self.at += match.end()
            return self._variables.get(match[1] or match[2], "")
        self.at += 1
        return "$"


def _closing(line: str, opening: int) -> int:
    depth = 0
    for at in range(opening, len(line)):
        depth += {"(": 1, ")": -1}.get(line[at], 0)
        if not depth:
            return at
    raise SyntaxFault("unexpected EOF while looking for matching `)'")


def _braces(pieces: list[tuple[str, bool]]) -> list[str]:
    """Expand the first unquoted `{a,b}` of a word, as bash does before anything else sees it."""
    text = "".join(piece for piece, _ in pieces)
    bare = "".join("\0" * len(piece) if quoted else piece for piece, quoted in pieces)
    match = re.search(r"(?<!\$)\{([^{}\s]*,[^{}\s]*)\}", bare)
    if not match:
        return [text]
    head, tail = text[: match.start()], text[match.end() :]
    at = match.start(1)
    parts = []
    for part in match[1].split(","):
        parts.append(head + text[at : at + len(part)] + tail)
        at += len(part) + 1
    return parts


def _pairs(stream: list[Token]) -> Iterator[tuple[Token, Token | None]]:
    return zip(stream, [*stream, None][1:], strict=True)


def _unexpected(token: str) -> str:
    return f"syntax error near unexpected token `{token}'"
