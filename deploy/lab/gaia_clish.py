"""One login on a Gaia gateway: clish, its configuration lock, and expert mode behind it.

Sources: Check Point R81 Gaia administration guide (clish commands, configuration lock, expert mode); messages as in the
guide and in recorded sessions.
"""

from collections.abc import Callable
from ipaddress import ip_network

from deploy.lab.device import Reply
from deploy.lab.gaia_gateway import Gateway
from deploy.lab.gaia_show import SHOW
from deploy.lab.ios_grammar import Ambiguous, Grammar, Incomplete, Invalid, Match
from deploy.lab.shell import Shell

_ROUTE = "set static-route (default|<target>) nexthop"
_CLISH = Grammar(
    [
        ("show version all", "version"),
        ("show hostname", "hostname"),
        ("show interfaces", "interfaces"),
        ("show interfaces all", "interfaces all"),
        ("show interface <name>", "interface"),
        ("show route", "route"),
        ("show route static", "route"),
        ("show arp dynamic all", "arp"),
        ("show configuration [<feature>]", "configuration"),
        ("show config-state", "config-state"),
        ("show config-lock", "config-lock"),
        ("show cluster state", "cluster"),
        ("show uptime", "uptime"),
        ("set clienv rows <rows:0-100000>", "rows"),
        ("set hostname <name>", "set hostname"),
        ("set interface <name> state (on|off)", "set state"),
        ("set interface <name> comments <text:line>", "set comments"),
        (f"{_ROUTE} gateway address <gateway:ip> (on|off)", "set route"),
        (f"{_ROUTE} (blackhole|reject)", "set route"),
        ("set static-route (default|<target>) off", "drop route"),
        ("lock database override", "lock"),
        ("unlock database", "unlock"),
        ("save config", "save"),
        ("expert", "expert"),
        ("exit", "leave"),
        ("quit", "leave"),
        ("reboot", "reboot"),
        ("fw <rest:line>", "program"),
        ("fw6 <rest:line>", "program"),
        ("cphaprob <rest:line>", "program"),
    ]
)
_WRITING = ("set hostname", "set state", "set comments", "set route", "drop route", "save")
_LOCKED = (
    "CLINFR0519  Configuration lock present. Can not execute this command. "
    "To acquire the lock use the command 'lock database override'.\n"
)


class Session:
    """A login. The first one that may write holds the configuration lock until it ends or another overrides it."""

    def __init__(self, gateway: Gateway, user: str) -> None:
        """Starts in clish, or in expert mode when the plan's option `login_shell` is "bash"."""
        self._gateway = gateway
        self._user = user
        gateway.logins += 1
        self._number = gateway.logins
        self._login_shell = gateway.plan.options.get("login_shell", "clish")
        self._shell = Shell(gateway.machine, "root") if self._login_shell == "bash" else None
        self._under_bash = False  # clish was started from expert mode
        self._rows = 24
        self._question = ""
        self._answer: Callable[[str, float], Reply] | None = None
        self._owned_before = gateway.owner if gateway.lock is not None else ""
        if self._shell is None and gateway.lock is None:
            gateway.lock, gateway.owner = self._number, user

    @property
    def mode(self) -> str:
        """clish, expert, heredoc (in expert mode), password or dialog while a question is open."""
        if self._answer:
            return "password" if "password" in self._question else "dialog"
        if self._shell:
            return "expert" if self._shell.mode == "shell" else self._shell.mode
        return "clish"

    @property
    def prompt(self) -> str:
        """`host> `, `[Expert@host:0]# `, or the open question."""
        if self._answer:
            return self._question
        host = self._gateway.machine.hostname
        if self._shell:
            return f"[Expert@{host}:0]# " if self._shell.mode == "shell" else self._shell.prompt
        return f"{host}> "

    def greeting(self) -> str:
        """The banner, and who holds the configuration lock when somebody else does."""
        banner = self._gateway.plan.options.get("banner", "")
        text = f"{banner}\n" if banner else ""
        if self._owned_before and self._shell is None:
            text += (
                f"CLINFR0771  Config lock is owned by {self._owned_before}. "
                "Use the command 'lock database override' to acquire the lock.\n"
            )
        return text

    def closed(self) -> None:
        """The lock is given back."""
        if self._gateway.lock == self._number:
            self._gateway.lock, self._gateway.owner = None, ""
        self._answer = None

    def refusal(self, text: str) -> Reply:
        """What this mode prints for a line that it does not know."""
        if self._shell:
            return self._shell.refusal(text)
        return Reply(f"CLINFR0329  Invalid command:'{text.strip()}'.\n", accepted=False)

    def line(self, text: str, *, now: float) -> Reply:
        """One line of clish or of expert mode."""
        self._gateway.tick(now)
        typed = text.replace("\r", "").replace("\x1a", "")
        if self._answer:
            answer, self._answer = self._answer, None
            return answer(typed.strip(), now)
        if self._shell:
            return self._expert(self._shell, typed, now)
        if not typed.strip() or typed.lstrip().startswith("#"):
            return Reply()
        try:
            match = _CLISH.match(typed, self)
        except Incomplete:
            return Reply("CLINFR0349  Incomplete command.\n", accepted=False)
        except (Invalid, Ambiguous):
            return self.refusal(typed)
        name = match.values.get("name")
        if "interface" in match.line and name is not None and name not in self._gateway.links:
            return Reply(f"Interface {name} does not exist.\n", accepted=False)
        if match.verb in _WRITING and self._gateway.lock != self._number:
            return Reply(_LOCKED, accepted=False)
        return self._clish(match, typed, now)

    def has_interface(self, name: str) -> bool:
        """True for the gateway's interfaces."""
        return name in self._gateway.links

    def _expert(self, shell: Shell, typed: str, now: float) -> Reply:
        if typed.strip() == "clish" and shell.mode == "shell":
            self._shell, self._under_bash = None, True
            return Reply()
        reply = shell.line(typed, now=now)
        if reply.close and self._login_shell == "clish":
            self._shell = None
            return Reply(reply.text, accepted=reply.accepted, configured=reply.configured)
        return reply

    def _clish(self, match: Match, typed: str, now: float) -> Reply:
        if match.verb in SHOW:
            return self._paged(SHOW[match.verb](self._gateway, match.values, now))
        match match.verb:
            case "rows":
                self._rows = int(match.values["rows"])
                return Reply()
            case "program":
                return Shell(self._gateway.machine, "root").line(typed, now=now)
            case "lock":
                self._gateway.lock, self._gateway.owner = self._number, self._user
                return Reply()
            case "unlock":
                return self._unlock()
            case "save":
                self._gateway.saved = dict(self._gateway.settings.lines)
                return Reply()
            case "expert":
                return self._to_expert()
            case "reboot":
                return self._ask("Are you sure you want to reboot?(Y/N)[N]\n", self._reboot)
            case "leave":
                return self._leave()
            case _:
                return self._set(match)

    def _set(self, match: Match) -> Reply:
        put, name = self._gateway.settings.put, match.values.get("name", "")
        if match.verb.endswith("route"):
            return self._route(match)
        key = match.slot.removeprefix("set ") if match.verb == "set hostname" else f"interface {name} {match.verb[4:]}"
        changed = put(key, match.line)
        self._gateway.apply()
        return Reply(configured=changed)

    def _route(self, match: Match) -> Reply:
        target = match.values.get("target", "default")
        try:
            target = target if target == "default" else str(ip_network(target))
        except ValueError:
            return self.refusal(match.line)
        key = f"static-route {target}"
        if match.line.endswith(" off"):
            return Reply(configured=self._gateway.settings.drop(key))
        return Reply(configured=self._gateway.settings.put(key, match.line))

    def _unlock(self) -> Reply:
        if self._gateway.lock == self._number:
            self._gateway.lock, self._gateway.owner = None, ""
        return Reply()

    def _to_expert(self) -> Reply:
        if not self._gateway.plan.options.get("expert_password"):
            text = (
                "Expert password has not been defined. To set expert password, use the command 'set expert-password'.\n"
            )
            return Reply(text, accepted=False)
        return self._ask("Enter expert password:", self._password)

    def _password(self, typed: str, _: float) -> Reply:
        if typed != self._gateway.plan.options.get("expert_password"):
            return Reply("Wrong password.\n", accepted=False)
        self._shell = Shell(self._gateway.machine, "root")
        return Reply("\n\nWarning! All configurations should be done through clish\nYou are in expert mode now.\n\n")

    def _leave(self) -> Reply:
        if self._under_bash:
            self._shell, self._under_bash = Shell(self._gateway.machine, "root"), False
            return Reply()
        return Reply(close=True)

    def _reboot(self, typed: str, now: float) -> Reply:
        if typed.lower() not in ("y", "yes"):
            return Reply()
        self._gateway.restart(now)
        return Reply("\nAre you sure you want to reboot?(Y/N)[N]\ny\n", close=True)

    def _ask(self, question: str, answer: Callable[[str, float], Reply]) -> Reply:
        self._question, self._answer = question, answer
        return Reply()

    def _paged(self, lines: list[str]) -> Reply:
        size = self._rows - 1
        if self._rows == 0 or len(lines) <= size:
            return Reply("".join(f"{line}\n" for line in lines))
        pages = [lines[at : at + size] for at in range(0, len(lines), size)]
        return Reply(pages=tuple("".join(f"{line}\n" for line in page) for page in pages))
