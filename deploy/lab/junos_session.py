"""One terminal session on an EX switch: operational mode, configuration mode, questions, pipes and paging.

Sources: Junos OS CLI user guide, and the sessions recorded from Junos 17.3 and 22.4.
"""

from collections.abc import Callable, Mapping
from functools import partial

from deploy.lab import junos_show
from deploy.lab.device import Reply
from deploy.lab.ios_grammar import Ambiguous, Grammar, Incomplete, Invalid, Match
from deploy.lab.junos_configure import LEAVING, Editor, Refused, enter, release, words_of
from deploy.lab.junos_output import BadPipe, Output, configuration, piped
from deploy.lab.junos_schema import Misread, descend, read, split
from deploy.lab.junos_switch import JunosSwitch
from deploy.lab.junos_tree import below, value

_OPERATIONAL = Grammar(
    [
        ("show version", "show version"),
        ("show configuration", "show configuration"),
        ("show configuration <path:line>", "show configuration"),
        ("show interfaces", "show interfaces"),
        ("show interfaces <name>", "show interfaces"),
        ("show interfaces (extensive|detail|statistics)", "show statistics"),
        ("show interfaces <name> (extensive|detail|statistics)", "show statistics"),
        ("show interfaces terse [<name>]", "show terse"),
        ("show interfaces <name> terse", "show terse"),
        ("show interfaces descriptions", "show descriptions"),
        ("show vlans [<vlan>]", "show vlans"),
        ("show ethernet-switching table", "show macs"),
        ("show ethernet-switching table interface <name>", "show macs"),
        ("show ethernet-switching table vlan-name <vlan>", "show macs"),
        ("show ethernet-switching table address <mac>", "show macs"),
        ("show arp [no-resolve]", "show arp"),
        ("show firewall", "show firewall"),
        ("show firewall filter <filter>", "show firewall"),
        ("show system uptime", "show uptime"),
        ("show system commit", "show commits"),
        ("set cli screen-length <lines:0-100000>", "screen length"),
        ("set cli screen-width <columns:0-1024>", "screen width"),
        ("set cli complete-on-space (on|off)", "complete"),
        ("configure", "configure"),
        ("configure shared", "configure"),
        ("configure private", "configure"),
        ("configure exclusive", "configure"),
        ("edit", "configure"),
        ("request system reboot", "reboot"),
        ("exit", "leave"),
        ("quit", "leave"),
    ]
)
_SHOW: Mapping[str, Callable[[JunosSwitch, Mapping[str, str], float], list[str]]] = {
    "show version": junos_show.version,
    "show interfaces": junos_show.interfaces,
    "show statistics": junos_show.statistics,
    "show terse": junos_show.terse,
    "show descriptions": junos_show.descriptions,
    "show vlans": junos_show.vlans,
    "show macs": junos_show.mac_table,
    "show arp": junos_show.arp,
    "show firewall": junos_show.firewall,
    "show uptime": junos_show.uptime,
    "show commits": junos_show.commits,
}
_EDITING = (
    "commit",
    "delete",
    "edit",
    "exit",
    "insert",
    "quit",
    "rollback",
    "run",
    "set",
    "show",
    "top",
    "up",
)


class Session:
    """A terminal line. What it edits belongs to the switch, except a private candidate, which goes with it."""

    def __init__(self, switch: JunosSwitch, user: str) -> None:
        """Starts in operational mode."""
        self._switch = switch
        self._user = user
        switch.logins += 1
        self._number = switch.logins
        self._editor: Editor | None = None
        self._length = 24
        self._question = ""
        self._answer: Callable[[str, float], Reply] | None = None

    @property
    def mode(self) -> str:
        """operational, configuration, or dialog while a question is open."""
        if self._answer:
            return "dialog"
        return "configuration" if self._editor else "operational"

    @property
    def prompt(self) -> str:
        """`user@host> `, or the [edit] line and `user@host# `, or the open question."""
        if self._answer:
            return self._question
        name = f"{self._user}@{value(self._switch.running, ('system',), 'host-name')}"
        if self._editor is None:
            return f"{name}> "
        pending = self._switch.pending
        waits = f"# commit confirmed will be rolled back in {pending.minutes} minutes\r\n" if pending else ""
        path = "".join(f" {step}" for step in self._editor.editing.path)
        return f"{waits}[edit{path}]\r\n{name}# "

    def greeting(self) -> str:
        """The release line that follows a login."""
        return f"--- JUNOS {junos_show.VERSION} Kernel 32-bit  JNPR-12.1-20230118.7f1f5d4_buil\n"

    def closed(self) -> None:
        """Locks and private work are given back; the shared candidate keeps what was typed."""
        if self._editor:
            release(self._switch, self._editor.editing)
        self._editor = None
        self._answer = None

    def refusal(self, text: str) -> Reply:
        """What the switch prints for a line that it does not know."""
        return self._caret(len(text) - len(text.lstrip()), "unknown command.")

    def line(self, text: str, *, now: float) -> Reply:
        """One line. Every answer ends in the empty line that stands before a Junos prompt."""
        self._switch.tick(now)
        typed = text.replace("\r", "").replace("\x1a", "").rstrip()
        if self._answer:
            answer, self._answer = self._answer, None
            return answer(typed.strip(), now)
        if self._editor and self._editor.editing not in self._switch.editing:
            self._editor = None
        if not typed.strip():
            return Reply("\n")
        try:
            reply = self._configuring(typed, now) if self._editor else self._operate(typed, now)
        except (Refused, BadPipe) as refusal:
            text = str(refusal) if isinstance(refusal, Refused) else ""
            return Reply(f"{text}\n", accepted=False) if text else self._bad_pipe(typed, refusal)
        except Misread as misread:
            reply = self._misread(typed, misread)
        except Invalid as invalid:
            sentence = "unknown command." if invalid.column <= _first(typed) + _known(typed) else _EXPECTING
            reply = self._caret(invalid.column, sentence)
        except Incomplete:
            reply = self._caret(len(typed) + 1, _EXPECTING)
        except Ambiguous as ambiguous:
            word = ambiguous.upto.split()[-1]
            reply = self._caret(len(ambiguous.upto) - len(word), f"'{word}' is ambiguous.")
        if reply.pages or reply.close or self._answer:
            return reply
        return Reply(f"{reply.text}\n", accepted=reply.accepted, configured=reply.configured)

    def _caret(self, column: int, sentence: str) -> Reply:
        last = self.prompt.rsplit("\n", 1)[-1]
        return Reply(f"{' ' * (len(last) + column)}^\n{sentence}\n", accepted=False)

    def _bad_pipe(self, typed: str, refusal: Exception) -> Reply:
        word = refusal.word if isinstance(refusal, BadPipe) else ""
        reply = self._caret(max(0, typed.rfind(word)) if word else len(typed) + 1, "syntax error.")
        return Reply(f"{reply.text}\n", accepted=False)

    def _misread(self, typed: str, misread: Misread) -> Reply:
        words = split(typed)
        skipped = _leading(typed)
        if misread.missing or misread.index + skipped >= len(words):
            return self._caret(len(typed) + 1, "missing argument.")
        return self._caret(words[misread.index + skipped][1], "syntax error.")

    # -- operational mode

    def _operate(self, typed: str, now: float) -> Reply:
        command, *stages = (part.strip() for part in _split_pipes(typed))
        match = _OPERATIONAL.match(command, self._switch)
        if match.verb == "show configuration":
            words = words_of(match.values.get("path", ""))
            ((path, _),) = read(words) if words else [((), descend(()))]
            tree = below(self._switch.running, path)
            output = configuration(tree, path) if tree is not None else Output(())
            if not path:
                last = self._switch.history[0]
                head = f"## Last commit: {junos_show.stamp(last.at)} by {last.user}"
                output = Output((head, *output.lines), output.tree, path)
            return self._printed(output, stages)
        if match.verb in _SHOW:
            lines = _SHOW[match.verb](self._switch, match.values, now)
            if lines and lines[0].startswith("error: "):
                raise Refused(lines[0] + "\n")
            return self._printed(Output(tuple(lines)), stages)
        if stages:
            raise BadPipe(stages[0])
        return self._act(match, now)

    def _act(self, match: Match, now: float) -> Reply:
        match match.verb:
            case "screen length":
                self._length = int(match.values["lines"])
                return Reply(f"Screen length set to {self._length}\n")
            case "screen width":
                return Reply(f"Screen width set to {match.values['columns']}\n")
            case "complete":
                return Reply(f"{'Disabling' if match.line.endswith('off') else 'Enabling'} complete-on-space\n")
            case "configure":
                kind = match.line.split()[-1]
                return self._configure(kind if kind in ("private", "exclusive") else "shared", now)
            case "reboot":
                return self._ask("Reboot the system ? [yes,no] (no) ", self._reboot)
            case _:
                return Reply(close=True)

    def _configure(self, kind: str, now: float) -> Reply:
        editing, text = enter(self._switch, self._user, self._number, kind, now)
        self._editor = Editor(self._switch, editing)
        return Reply(text)

    def _reboot(self, typed: str, now: float) -> Reply:
        if not typed or not "yes".startswith(typed.lower()):
            return Reply("\n")
        self._switch.restart(now)
        return Reply("Shutdown NOW!\n", close=True)

    def _ask(self, question: str, answer: Callable[[str, float], Reply], text: str = "") -> Reply:
        self._question, self._answer = question, answer
        return Reply(text)

    def _printed(self, output: Output, stages: list[str]) -> Reply:
        lines, paged = piped(output, stages)
        size = self._length - 1
        if not paged or self._length == 0 or len(lines) <= size:
            return Reply("".join(f"{line}\n" for line in lines))
        pages = ["".join(f"{line}\n" for line in lines[at : at + size]) for at in range(0, len(lines), size)]
        return Reply(pages=(*pages[:-1], f"{pages[-1]}\n"))

    # -- configuration mode

    def _configuring(self, typed: str, now: float) -> Reply:
        editor = self._editor
        if editor is None:
            return Reply()
        first, _, rest = typed.strip().partition(" ")
        fitting = [first] if first in _EDITING else [verb for verb in _EDITING if verb.startswith(first)]
        if not fitting:
            raise Invalid(_first(typed))
        if len(fitting) > 1:
            raise Ambiguous(typed[: _first(typed) + len(first)])
        words = words_of(rest)
        writing = {"set": editor.set, "delete": editor.delete, "insert": editor.insert, "edit": editor.edit}
        if fitting[0] in writing:
            return writing[fitting[0]](words)
        match fitting[0]:
            case "run":
                return self._operate(rest, now)
            case "show":
                return self._show(editor, rest)
            case "rollback":
                return editor.rollback(_number(words, 0))
            case "commit":
                return self._commit(editor, words, now)
            case "up":
                return editor.up(_number(words, 1))
            case "top":
                return self._top(editor, rest, now)
            case _:
                return self._exit(editor, words)

    def _top(self, editor: Editor, rest: str, now: float) -> Reply:
        if not rest.strip():
            return editor.up(len(editor.editing.path))
        kept, editor.editing.path = editor.editing.path, ()
        try:
            return self._configuring(rest, now)
        finally:
            if not rest.lstrip().startswith("ed"):
                editor.editing.path = kept

    def _show(self, editor: Editor, rest: str) -> Reply:
        command, *stages = (part.strip() for part in _split_pipes(rest))
        if stages and "compare".startswith(stages[0].split()[0]) and len(stages[0].split()[0]) > 2 and not command:
            words = stages[0].split()[1:]
            number = _number(words[1:], 0) if words and "rollback".startswith(words[0]) else 0
            return self._printed(editor.compare(number), stages[1:])
        return self._printed(editor.show(words_of(command)), stages)

    def _commit(self, editor: Editor, words: list[str], now: float) -> Reply:
        comment, minutes, quits = "", None, False
        at = 0
        while at < len(words):
            word = words[at]
            at += 1
            if word == "check" and len(words) == 1:
                return Reply(editor.check())
            if word == "confirmed":
                given = at < len(words) and words[at].isdigit()
                minutes = int(words[at]) if given else 10
                at += given
                if not 1 <= minutes <= 65535:
                    raise Misread(at - 1)
            elif word == "comment":
                if at == len(words):
                    raise Misread(at, missing=True)
                comment = words[at].strip('"')
                at += 1
            elif word == "and-quit":
                quits = True
            else:
                raise Misread(at - 1)
        reply = editor.commit(now, comment, minutes)
        if not quits:
            return reply
        self._leave(editor)
        return Reply(reply.text + LEAVING, configured=reply.configured)

    def _exit(self, editor: Editor, words: list[str]) -> Reply:
        if words not in ([], ["configuration-mode"]):
            raise Misread(0)
        if editor.editing.path and not words:
            return editor.up(1)
        if not editor.modified:
            self._leave(editor)
            return Reply(LEAVING)
        text = "The configuration has been changed but not committed\n"
        if editor.editing.kind == "exclusive":
            text += "warning: Auto rollback on exiting 'configure exclusive'\n"
        shared = editor.editing.kind == "shared"
        question = f"{'Exit with' if shared else 'Discard'} uncommitted changes? [yes,no] (yes) "
        return self._ask(question, partial(self._exit_answer, editor=editor), text)

    def _exit_answer(self, typed: str, _: float, *, editor: Editor) -> Reply:
        if typed and "no".startswith(typed.lower()):
            return Reply("\n")
        if not "yes".startswith(typed.lower()):
            return self._ask(self._question, partial(self._exit_answer, editor=editor))
        warning = "" if editor.editing.kind == "shared" else "warning: discarding uncommitted changes\nload complete\n"
        self._leave(editor)
        return Reply(f"{warning}{LEAVING}\n")

    def _leave(self, editor: Editor) -> None:
        release(self._switch, editor.editing)
        self._editor = None


_EXPECTING = "syntax error, expecting <command>."


def _first(typed: str) -> int:
    return len(typed) - len(typed.lstrip())


def _known(typed: str) -> int:
    """How far into the first word an unknown command can be told from every known one."""
    return len(typed.split(maxsplit=1)[0]) - 1


def _leading(typed: str) -> int:
    """Words before the path of statements: `set`, `top set`, `show configuration`, `run show configuration`."""
    words = typed.split()
    count = 1
    if len(words) > 1 and words[0] in ("top", "run"):
        count += 1
        words = words[1:]
    return count + (len(words) > 1 and words[0].startswith("sh") and words[1].startswith("conf"))


def _number(words: list[str], default: int) -> int:
    if not words:
        return default
    if len(words) > 1 or not words[0].isdigit():
        raise Misread(0)
    return int(words[0])


def _split_pipes(text: str) -> list[str]:
    parts, quoted, current = [], False, ""
    for letter in text:
        quoted ^= letter == '"'
        if letter == "|" and not quoted:
            parts.append(current)
            current = ""
        else:
            current += letter
    return [*parts, current]
