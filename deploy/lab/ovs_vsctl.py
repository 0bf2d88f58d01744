"""`ovs-vsctl` of an emulated Open vSwitch: one command line is one transaction. Source: ovs-vsctl(8)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from deploy.lab.ovs_db import Database, DbError
from deploy.lab.ovs_records import KNOWN, Absent, Command, Style
from deploy.lab.shell import Call, Result, refuse

VERSION = "ovs-vsctl (Open vSwitch) 3.1.0\nDB Schema 8.3.1\n"
NO = 2  # exit status of `br-exists` for a bridge that does not exist
FLAGS = frozenset({"--no-wait", "--no-syslog", "--dry-run", "--pretty", "--no-leader-only", "--leader-only"})
WITH_VALUE = frozenset({"--format", "--data", "--timeout", "--db", "--columns", "--id"})
LOCAL = frozenset({"--if-exists", "--may-exist", "--columns", "--id", "--all"})
SHORT: Mapping[str, str] = MappingProxyType({"-f": "--format", "-d": "--data", "-t": "--timeout"})


class Vsctl:
    """The program, over the database of one machine; `refresh` brings what the switch fills in up to date."""

    def __init__(self, database: Database, refresh: Callable[[], None]) -> None:
        self.database = database
        self._refresh = refresh

    def run(self, call: Call) -> Result:
        """Run one command line: all its commands or none."""
        if call.args[:1] in (("--version",), ("-V",)):
            return Result(VERSION)
        if not call.root:
            return refuse(
                "ovs-vsctl: unix:/var/run/openvswitch/db.sock: database connection failed (Permission denied)"
            )
        self._refresh()
        before = self.database.tables
        self.database.tables = {
            table: {name: dict(row) for name, row in rows.items()} for table, rows in before.items()
        }
        try:
            commands = _commands(list(call.args))
            outputs = [KNOWN[command.name].work(self.database, command) for command in commands]
        except (DbError, Absent) as error:
            self.database.tables = before
            return Result(status=NO) if isinstance(error, Absent) else refuse(f"ovs-vsctl: {error}")
        if commands and commands[0].style.oneline:
            outputs = [output.rstrip("\n").replace("\n", "\\n") + "\n" for output in outputs]
        self._refresh()
        return Result("".join(outputs), configured=any(KNOWN[command.name].writes for command in commands))


def _commands(args: list[str]) -> list[Command]:
    style, rest, local = _globals(args)
    commands: list[Command] = []
    while rest:
        end = rest.index("--") if "--" in rest else len(rest)
        words, rest = rest[:end], rest[end + 1 :]
        if words or not commands:
            commands.append(_command(words, style, local))
        local = {}
    if not commands:
        raise DbError("missing command name (use --help for help)")
    return commands


def _globals(args: list[str]) -> tuple[Style, list[str], dict[str, str]]:
    """Read the options before the first command; those that belong to the command are handed on."""
    rest = list(args)
    style, local = Style(), dict[str, str]()
    for name, value in _options(rest):
        if name in LOCAL:
            local[name] = value
        elif name not in FLAGS and name not in ("--timeout", "--db") and not name.startswith("-v"):
            style = _styled(style, name, value)
    return style, rest[1:] if rest[:1] == ["--"] else rest, local


def _options(rest: list[str]) -> Iterator[tuple[str, str]]:
    """Take the options off the front of `rest`."""
    while rest and rest[0].startswith("-") and rest[0] != "--":
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        name = SHORT.get(name, name)
        if name in WITH_VALUE and not equals:
            if not rest:
                raise DbError(f"option '{name}' requires an argument")
            value = rest.pop(0)
        yield name, value


def _styled(style: Style, name: str, value: str) -> Style:
    match name:
        case "--format":
            if value not in ("list", "table", "csv", "json"):
                raise DbError(f'unknown output format "{value}"')
            return replace(style, layout=value)
        case "--data":
            if value not in ("string", "bare", "json"):
                raise DbError(f'unknown data format "{value}"')
            return replace(style, data=value)
        case "--bare":
            return replace(style, layout="list", data="bare", headings=False)
        case "--no-headings" | "--no-heading":
            return replace(style, headings=False)
        case "--oneline":
            return replace(style, oneline=True)
    raise DbError(f"unrecognized option '{name}'")


def _command(words: list[str], style: Style, local: dict[str, str]) -> Command:
    options = dict(local)
    while words and words[0].startswith("--"):
        name, _, value = words.pop(0).partition("=")
        options[name] = value
    if not words:
        raise DbError("missing command name (use --help for help)")
    name, *args = words
    if name not in KNOWN:
        raise DbError(f"unknown command '{name}'; use --help for help")
    known = KNOWN[name]
    if foreign := next((option for option in options if option not in known.options), None):
        raise DbError(f"'{name}' command has no '{foreign}' option")
    if len(args) < known.least:
        raise DbError(f"'{name}' command requires at least {known.least} arguments")
    if known.most is not None and len(args) > known.most:
        raise DbError(f"'{name}' command takes at most {known.most} arguments")
    return Command(name, args, style, options)
