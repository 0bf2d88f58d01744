"""One terminal session on a Catalyst: its modes, dialogs and paging.

Sources: IOS configuration fundamentals command reference; "Configuration Rollback Confirmed Change" and "Configuration
Replace" in the managing configuration files guide; dialog texts as in recorded sessions.
"""

from collections.abc import Callable
from functools import partial

from deploy.lab.device import Reply
from deploy.lab.ios_configure import Editor
from deploy.lab.ios_exec import MODES, SHOW, filtered
from deploy.lab.ios_grammar import Ambiguous, Incomplete, Invalid, Match, Rejected
from deploy.lab.ios_switch import Revert, Switch

_ENTERING = "Enter configuration commands, one per line.  End with CNTL/Z.\n"
_REPLACING = (
    "This will apply all necessary additions and deletions\n"
    "to replace the current running configuration with the\n"
    "contents of the specified configuration file, which is\n"
    "assumed to be a complete configuration, not a partial\n"
    "configuration. Enter Y if you are sure you want to proceed. ? [no]: "
)


class Session:
    """A terminal line. Its place in the modes is its own; everything else belongs to the switch."""

    def __init__(self, switch: Switch, user: str) -> None:
        """Privileged at once unless the plan gives an enable secret."""
        self._switch = switch
        self._user = user
        self._secret = switch.plan.options.get("enable_secret", "")
        self._privileged = not self._secret
        self._editor: Editor | None = None
        self._page = 24
        self._question = ""
        self._answer: Callable[[str, float], Reply] | None = None

    @property
    def mode(self) -> str:
        """exec, enable, config, config-if and so on; dialog or password while a question is open."""
        if self._answer:
            return "password" if self._question == "Password: " else "dialog"
        if self._editor:
            return self._editor.level.mode
        return "enable" if self._privileged else "exec"

    @property
    def prompt(self) -> str:
        """Host name with the mode, or the open question."""
        if self._answer:
            return self._question
        host = self._switch.running.value((), "hostname")
        if self._editor:
            return f"{host[:20]}({self._editor.level.mode})#"
        return f"{host}{'#' if self._privileged else '>'}"

    def greeting(self) -> str:
        """The login banner."""
        banner = self._switch.plan.options.get("banner", "")
        return f"{banner}\n" if banner else ""

    def closed(self) -> None:
        """A session that ends in configuration mode leaves behind what it has typed: on this platform it is live."""
        self._editor = None
        self._answer = None

    def refusal(self, text: str) -> Reply:
        """What the switch prints for a line that it does not know."""
        refusal = Invalid(len(text) - len(text.lstrip()))
        return Reply(refusal.text(text, self.prompt), accepted=False)

    def line(self, text: str, *, now: float) -> Reply:
        """One line; ctrl-Z at its end leaves configuration mode after it."""
        self._switch.tick(now)
        typed, ended, _ = text.replace("\r", "").partition("\x1a")
        if self._answer:
            answer, self._answer = self._answer, None
            return answer(typed.strip(), now)
        before = self._switch.running.revision
        reply = self._guarded(typed, now)
        if ended:
            self._editor = None
        changed = self._switch.running.revision != before
        return Reply(reply.text, reply.close, reply.pages, reply.accepted, configured=changed)

    def _guarded(self, typed: str, now: float) -> Reply:
        if not typed.strip() or typed.lstrip().startswith("!"):
            return Reply()
        try:
            return self._config(typed, now) if self._editor else self._exec(typed, now)
        except (Invalid, Incomplete, Ambiguous, Rejected) as refusal:
            return Reply(refusal.text(typed, self.prompt), accepted=False)

    def _config(self, typed: str, now: float) -> Reply:
        words = typed.split(maxsplit=1)
        if words[0].lower() == "do":
            if len(words) == 1:
                raise Incomplete
            return self._exec(words[1], now)
        editor = self._editor
        if editor is None:
            return Reply()
        printed = editor.run(typed)
        if editor.left:
            self._editor = None
        return Reply(printed)

    def _exec(self, typed: str, now: float) -> Reply:
        command, piped, rest = typed.partition("|")
        mode = "exec" if not self._privileged else "enable-classic" if self._switch.classic else "enable"
        match = MODES[mode].match(command, self._switch)
        if match.verb in SHOW:
            lines = "\n".join(SHOW[match.verb](self._switch, match.values, now)).split("\n")
            return self._paged(filtered(lines, rest, len(command) + 1) if piped else lines)
        if piped:
            raise Invalid(len(command))
        return self._verbs()[match.verb](match, now)

    def _verbs(self) -> dict[str, Callable[[Match, float], Reply]]:
        return {
            "nothing": lambda _, __: Reply(),
            "leave": lambda _, __: Reply(close=True),
            "length": self._length,
            "enable": self._enable,
            "disable": self._disable,
            "configure": lambda _, __: self._configure(_ENTERING),
            "ask source": self._ask_source,
            "configure revert": self._configure_revert,
            "confirm": self._confirm,
            "revert now": self._revert_now,
            "revert timer": self._revert_timer,
            "replace": self._replace,
            "write": self._save,
            "ask copy": self._ask_copy,
            "ask file": self._ask_file,
            "archive": self._archive,
            "reload": self._reload,
        }

    def _paged(self, lines: list[str]) -> Reply:
        size = self._page - 1
        if self._page == 0 or len(lines) <= size:
            return Reply("\n".join(lines) + "\n" if lines else "")
        pages = [lines[at : at + size] for at in range(0, len(lines), size)]
        return Reply(pages=tuple("\n".join(page) + "\n" for page in pages))

    def _ask(self, question: str, answer: Callable[[str, float], Reply], text: str = "") -> Reply:
        self._question, self._answer = question, answer
        return Reply(text)

    def _length(self, match: Match, _: float) -> Reply:
        self._page = int(match.values["lines"])
        return Reply()

    def _enable(self, _: Match, __: float) -> Reply:
        if self._privileged:
            return Reply()
        return self._ask("Password: ", partial(self._password, tries=3))

    def _password(self, typed: str, _: float, *, tries: int) -> Reply:
        if typed == self._secret:
            self._privileged = True
            return Reply()
        if tries == 1:
            return Reply("% Bad secrets\n\n", accepted=False)
        return self._ask("Password: ", partial(self._password, tries=tries - 1))

    def _disable(self, _: Match, __: float) -> Reply:
        self._privileged = False
        return Reply()

    def _configure(self, text: str) -> Reply:
        self._editor = Editor(self._switch)
        return Reply(text)

    def _ask_source(self, _: Match, __: float) -> Reply:
        question = "Configuring from terminal, memory, or network [terminal]? "
        return self._ask(question, self._from)

    def _from(self, typed: str, _: float) -> Reply:
        if "terminal".startswith(typed.lower()):
            return self._configure(_ENTERING)
        return Reply('?Must be "terminal", "memory" or "network"\n', accepted=False)

    def _configure_revert(self, match: Match, now: float) -> Reply:
        path = self._switch.running.value(("archive",), "path")
        if not path:
            raise Rejected("% Archive feature not enabled\n")
        if self._switch.revert:
            raise Rejected("% A Rollback Confirmed Change is already in progress\n")
        before = self._switch.running.copy()
        name = self._keep(path)
        self._switch.revert = Revert(now + 60 * int(match.values["minutes"]), before, self._user)
        return self._configure(f"Rollback Confirmed Change: Backing up current running config to {name}\n\n{_ENTERING}")

    def _pending(self) -> Revert:
        revert = self._switch.revert
        if revert is None:
            raise Rejected("%No Rollback Confirmed Change pending\n")
        if revert.user != self._user:
            raise Rejected("%Rollback Confirmed Change is owned by another user\n")
        return revert

    def _confirm(self, _: Match, __: float) -> Reply:
        self._pending()
        self._switch.revert = None
        return Reply()

    def _revert_now(self, _: Match, __: float) -> Reply:
        revert = self._pending()
        self._switch.revert = None
        self._switch.install(revert.before)
        return Reply(
            "Rollback Confirmed Change: rolling to the backed up configuration\n\n"
            "Total number of passes: 1\nRollback Done\n\n"
        )

    def _revert_timer(self, match: Match, now: float) -> Reply:
        revert = self._pending()
        self._switch.revert = Revert(now + 60 * int(match.values["minutes"]), revert.before, revert.user)
        return Reply()

    def _replace(self, match: Match, _: float) -> Reply:
        name = match.values["file"]
        if name != "nvram:startup-config" and name not in self._switch.files:
            raise Rejected(f"%Error opening {name} (No such file or directory)\n")
        if match.line.endswith(" force"):
            return self._replaced(name)
        return self._ask(_REPLACING, partial(self._sure, name=name))

    def _sure(self, typed: str, _: float, *, name: str) -> Reply:
        return self._replaced(name) if typed.lower().startswith("y") else Reply()

    def _replaced(self, name: str) -> Reply:
        saved = self._switch.startup if name == "nvram:startup-config" else self._switch.files[name]
        before = self._switch.running.revision
        self._switch.install(saved)
        changed = self._switch.running.revision != before
        return Reply(
            "Total number of passes: 1\nRollback Done\n\n"
            if changed
            else "The rollback configlet from the last pass is empty\n",
            configured=changed,
        )

    def _save(self, _: Match | str, __: float) -> Reply:
        self._switch.save()
        return Reply("Building configuration...\n[OK]\n")

    def _ask_copy(self, _: Match, __: float) -> Reply:
        return self._ask("Destination filename [startup-config]? ", self._save)

    def _ask_file(self, match: Match, _: float) -> Reply:
        place, colon, name = match.values["file"].partition(":")
        if not colon:
            raise Invalid(20)
        return self._ask(
            f"Destination filename [{name or 'running-config'}]? ",
            partial(self._copied, place=place, name=name),
        )

    def _copied(self, typed: str, _: float, *, place: str, name: str) -> Reply:
        name = f"{place}:{typed or name}"
        self._switch.files[name] = self._switch.running.copy()
        size = sum(len(line) + 1 for line in self._switch.running.lines())
        return Reply(f"{size} bytes copied in 0.512 secs ({size * 2} bytes/sec)\n")

    def _keep(self, path: str) -> str:
        number = sum(name.startswith(path) for name in self._switch.files) + 1
        name = f"{path}-{number}"
        self._switch.files[name] = self._switch.running.copy()
        return name

    def _archive(self, _: Match, __: float) -> Reply:
        path = self._switch.running.value(("archive",), "path")
        if not path:
            raise Rejected("% Archive feature not enabled\n")
        self._keep(path)
        return Reply()

    def _reload(self, _: Match, __: float) -> Reply:
        if self._switch.unsaved():
            question = "System configuration has been modified. Save? [yes/no]: "
            return self._ask(question, self._reload_save)
        return self._proceed()

    def _reload_save(self, typed: str, _: float) -> Reply:
        if typed.lower().startswith("y"):
            self._switch.save()
        elif not typed.lower().startswith("n"):
            question = "System configuration has been modified. Save? [yes/no]: "
            return self._ask(question, self._reload_save, "% Please answer 'yes' or 'no'.\n")
        return self._proceed()

    def _proceed(self) -> Reply:
        return self._ask("Proceed with reload? [confirm]", self._restart)

    def _restart(self, typed: str, now: float) -> Reply:
        if typed.lower() not in ("", "y"):
            return Reply()
        self._switch.restart(now)
        return Reply(close=True)
