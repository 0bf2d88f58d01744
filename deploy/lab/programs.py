"""The small programs that every emulated Linux machine has, after GNU coreutils, grep and procps."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType

from deploy.lab.shell import Call, Machine, Program, Result, lines_of, refuse, unescape

KERNEL = "6.1.0-28-amd64"


@dataclass(frozen=True, slots=True)
class Coreutils:
    """The programs that look at the machine itself."""

    machine: Machine

    def install(self) -> None:
        """Put the small programs on the machine."""
        own: tuple[Program, ...] = (
            self.cat,
            self.tee,
            self.hostname,
            self.uptime,
            self.uname,
            self.which,
            self.command,
        )
        names = ("cat", "tee", "hostname", "uptime", "uname", "which", "command")
        self.machine.programs.update(zip(names, own, strict=True))
        self.machine.programs.update(PROGRAMS)

    def cat(self, call: Call) -> Result:
        """Print files, or the input."""
        out, err = "", ""
        for path in call.args or ("-",):
            if path == "-":
                out += call.stdin
            elif path in self.machine.files:
                out += self.machine.files[path]
            else:
                err += f"cat: {path}: No such file or directory\n"
        return Result(out, err, 1 if err else 0)

    def tee(self, call: Call) -> Result:
        """Write the input to files and on."""
        files = self.machine.files
        for path in call.args:
            if path != "-a":
                files[path] = (files.get(path, "") if "-a" in call.args else "") + call.stdin
        return Result(call.stdin)

    def hostname(self, call: Call) -> Result:
        """Print the host's name."""
        if call.args[:1] in (("-s",), ("--short",)):
            return Result(self.machine.hostname.split(".")[0] + "\n")
        return Result(self.machine.hostname + "\n")

    def uptime(self, call: Call) -> Result:
        """Print how long the machine has been up."""
        seconds = max(0, int(call.now - (self.machine.booted or call.now)))
        days, rest = divmod(seconds, 86_400)
        hours, minutes = rest // 3600, rest // 60 % 60
        up = f"{days} day{'s' if days > 1 else ''}, " if days else ""
        up += f"{hours:2d}:{minutes:02d}" if hours else f"{minutes} min"
        clock = datetime.fromtimestamp(call.now, UTC).strftime("%H:%M:%S")
        return Result(f" {clock} up {up},  1 user,  load average: 0.08, 0.03, 0.01\n")

    def uname(self, call: Call) -> Result:
        """Print the kernel's name or release."""
        name = self.machine.hostname.split(".")[0]
        everything = f"Linux {name} {KERNEL} #1 SMP PREEMPT_DYNAMIC Debian 6.1.119-1 x86_64 GNU/Linux"
        known = {"": "Linux", "-s": "Linux", "-a": everything, "-r": KERNEL, "-n": name, "-m": "x86_64"}
        option = " ".join(call.args)
        if option not in known:
            return refuse(f"uname: extra operand '{option}'\nTry 'uname --help' for more information.")
        return Result(known[option] + "\n")

    def which(self, call: Call) -> Result:
        """Print where programs are; status 1 when one is missing."""
        found = [name for name in call.args if name in self.machine.programs and name != "command"]
        return Result(lines_of(f"/usr/bin/{name}" for name in found), status=0 if len(found) == len(call.args) else 1)

    def command(self, call: Call) -> Result:
        """Answer `command -v NAME`."""
        if call.args[:1] == ("-v",):
            return self.which(replace(call, args=call.args[1:]))
        return refuse("-bash: command: usage: command [-pVv] command [arg ...]", 2)


def _echo(call: Call) -> Result:
    args = list(call.args)
    options = ""
    while args and re.fullmatch(r"-[neE]+", args[0]):
        options += args.pop(0)[1:]
    text = " ".join(args)
    return Result((unescape(text) if "e" in options else text) + ("" if "n" in options else "\n"))


def _printf(call: Call) -> Result:
    if not call.args:
        return refuse("-bash: printf: usage: printf [-v var] format [arguments]", 2)
    layout, *values = call.args
    pieces = re.split(r"(%[sdq%])", unescape(layout))
    out = ""
    while True:
        taking = False
        for piece in pieces:
            if piece in ("%s", "%d", "%q"):
                taking = True
                out += values.pop(0) if values else ""
            else:
                out += "%" if piece == "%%" else piece
        if not (values and taking):
            return Result(out)


def _identity(call: Call) -> Result:
    number = 0 if call.root else 1000
    if call.args and call.args[0] in ("-u", "-g"):
        return Result(f"{number}\n")
    if call.args == ("-un",):
        return Result(call.user + "\n")
    return Result(f"uid={number}({call.user}) gid={number}({call.user}) groups={number}({call.user})\n")


def _whoami(call: Call) -> Result:
    return Result(call.user + "\n")


def _date(call: Call) -> Result:
    moment = datetime.fromtimestamp(call.now, UTC)
    layout = next((arg[1:] for arg in call.args if arg.startswith("+")), "%a %b %e %H:%M:%S UTC %Y")
    return Result(moment.strftime(layout.replace("%s", str(int(call.now)))) + "\n")


def _grep(call: Call) -> Result:
    options = "".join(arg[1:] for arg in call.args if arg.startswith("-"))
    rest = [arg for arg in call.args if not arg.startswith("-")]
    if not rest or set(options) - set("EFqcvioxw"):
        return refuse("Usage: grep [OPTION]... PATTERNS [FILE]...\nTry 'grep --help' for more information.", 2)
    pattern = re.escape(rest[0]) if "F" in options else rest[0]
    if "E" not in options and "F" not in options:
        pattern = _basic(pattern)
    pattern = rf"^(?:{pattern})$" if "x" in options else rf"\b(?:{pattern})\b" if "w" in options else pattern
    try:
        expression = re.compile(pattern, re.IGNORECASE if "i" in options else 0)
    except re.error:
        return refuse("grep: Invalid regular expression", 2)
    found = [line for line in call.stdin.splitlines() if bool(expression.search(line)) != ("v" in options)]
    out = f"{len(found)}\n" if "c" in options else "" if "q" in options else lines_of(found)
    return Result(out, status=0 if found else 1)


def _basic(pattern: str) -> str:
    """A basic regular expression as Python writes it: there the bare brackets are the plain characters."""
    return re.sub(r"\\?[|+?(){}]", lambda match: match[0][1:] if match[0][0] == "\\" else "\\" + match[0], pattern)


def _sed(call: Call) -> Result:
    """One substitution, `s/pattern/replacement/` with p behind it or not: all that is used of sed here."""
    quiet, script = call.args[:1] == ("-n",), call.args[-1:]
    found = re.fullmatch(r"s/((?:[^/\\]|\\.)*)/((?:[^/\\]|\\.)*)/(p?)", script[0]) if script else None
    if found is None or len(call.args) != 1 + quiet:
        return refuse("sed: -e expression #1, char 1: unknown command")
    expression, replacement, prints = re.compile(_basic(found[1])), found[2], found[3]
    out = []
    for line in call.stdin.splitlines():
        changed, count = expression.subn(replacement, line, count=1)
        out += [changed] * ((not quiet) + bool(count and prints))
    return Result(lines_of(out))


def _number(call: Call) -> int:
    match = re.search(r"\d+", " ".join(call.args))
    return int(match[0]) if match else 10


def _count(call: Call) -> Result:
    lines, words, octets = call.stdin.count("\n"), len(call.stdin.split()), len(call.stdin.encode())
    if call.args == ("-l",):
        return Result(f"{lines}\n")
    if call.args == ("-c",):
        return Result(f"{octets}\n")
    return Result(f"{lines:7d} {words:7d} {octets:7d}\n")


PROGRAMS: Mapping[str, Program] = MappingProxyType(
    {
        "echo": _echo,
        "printf": _printf,
        "id": _identity,
        "whoami": _whoami,
        "true": lambda _: Result(),
        "false": lambda _: Result(status=1),
        ":": lambda _: Result(),
        "date": _date,
        "grep": _grep,
        "sed": _sed,
        "head": lambda call: Result(lines_of(call.stdin.splitlines()[: _number(call)])),
        "tail": lambda call: Result(lines_of(call.stdin.splitlines()[-_number(call) :])),
        "sort": lambda call: Result(lines_of(sorted(call.stdin.splitlines()))),
        "wc": _count,
        "stty": lambda _: Result(),
        "export": lambda _: Result(),
    }
)
