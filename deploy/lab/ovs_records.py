"""What ovs-vsctl's commands do to the database, and how they print records. Source: ovs-vsctl(8)."""

import csv
import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from deploy.lab.ovs_db import (
    TABLES,
    Atom,
    Column,
    Database,
    DbError,
    Row,
    Shape,
    Value,
    bare,
    in_order,
    parse,
    parse_atom,
    show,
    split,
    to_json,
    unquote,
)
from deploy.lab.shell import lines_of

SYSTEM = "6fd0e5a4-2a39-4a57-9d1c-0f3d9b2a7c11"
COMPARE: Mapping[str, Callable[[int, int], bool]] = MappingProxyType(
    {"<": int.__lt__, ">": int.__gt__, "<=": int.__le__, ">=": int.__ge__}
)
TERM = re.compile(
    r"(?P<column>[\w-]+)(?::(?P<key>\"[^\"]*\"|[^=!<>{}]+?))?(?P<operator>!=|<=|>=|=|<|>)(?P<value>.*)", re.DOTALL
)


class Absent(Exception):
    """A question was answered with no."""


@dataclass(frozen=True, slots=True)
class Style:
    """How records are printed; `layout` "" is what the command itself likes."""

    layout: str = ""
    data: str = "string"
    headings: bool = True
    oneline: bool = False


@dataclass(slots=True)
class Command:
    """One of the commands of a command line."""

    name: str
    args: list[str]
    style: Style
    options: dict[str, str] = field(default_factory=dict)


def _record(database: Database, command: Command) -> tuple[str, Row | None]:
    table = database.table(command.args[0])
    row = database.row(table, command.args[1])
    if row is None and "--if-exists" not in command.options:
        raise DbError(f'no row "{command.args[1]}" in table {table}')
    return table, row


def _writable(database: Database, table: str, name: str) -> tuple[str, Column]:
    column = database.column(table, name)
    meta = TABLES[table][column]
    if meta.read_only:
        raise DbError(f"cannot modify read-only column {column} in table {table}")
    return column, meta


def _get(database: Database, command: Command) -> str:
    table, row = _record(database, command)
    if row is None:
        return ""
    lines = []
    for term in command.args[2:]:
        name, separator, key = term.partition(":")
        column = database.column(table, name)
        value, meta = row[column], TABLES[table][column]
        if not separator:
            lines.append(show(meta, value))
        elif not isinstance(value, dict):
            raise DbError(f"cannot specify key to get for non-map column {column}")
        elif unquote(key) in value:
            lines.append(show(Column(meta.kind), value[unquote(key)]))
        elif "--if-exists" in command.options:
            lines.append("")
        else:
            raise DbError(f'no key "{key}" in {table} record "{row["name"]}" column {column}')
    return lines_of(lines)


def _set(database: Database, command: Command) -> str:
    table, row = _record(database, command)
    for argument in command.args[2:]:
        if not argument.partition("=")[2]:
            raise DbError(f'{argument}: argument does not end in "=" followed by a value.')
        left, _, text = argument.partition("=")
        name, separator, key = left.partition(":")
        column, meta = _writable(database, table, name)
        if separator:
            if meta.shape is not Shape.MAP:
                raise DbError(f"cannot specify key to set for non-map column {column}")
            new: Value = {unquote(key): _item(meta, text)}
            if row is not None:
                new = {**_map(row[column]), **_map(new)}
        else:
            new = parse(meta, text)
        if row is not None:
            row[column] = new
    return ""


def _clear(database: Database, command: Command) -> str:
    table, row = _record(database, command)
    for name in command.args[2:]:
        column, meta = _writable(database, table, name)
        if meta.shape is Shape.ONE:
            raise DbError(
                f'"clear" operation cannot be applied to column {column} of table {table}, which is not '
                "allowed to be empty"
            )
        if row is not None:
            row[column] = {} if meta.shape is Shape.MAP else []
    return ""


def _add(database: Database, command: Command) -> str:
    table, row = _record(database, command)
    column, meta = _writable(database, table, command.args[2])
    added = parse(_several(meta), ",".join(command.args[3:]))
    if row is None:
        return ""
    if isinstance(added, dict):
        row[column] = {**added, **_map(row[column])}
        return ""
    both = in_order([*_list(row[column]), *_list(added)])
    if meta.shape is not Shape.SET and len(both) > 1:
        details = f"Attempted to store {len(both)} elements in set of up to 1 integers."
        raise DbError(f'transaction error: {{"details":"{details}","error":"constraint violation"}}')
    row[column] = both
    return ""


def _remove(database: Database, command: Command) -> str:
    table, row = _record(database, command)
    column, meta = _writable(database, table, command.args[2])
    if meta.shape is Shape.ONE:
        raise DbError(
            f'"remove" operation would put 0 values in column {column} of table {table} but the minimum number is 1'
        )
    gone = [item for argument in command.args[3:] for item in split(argument)]
    if meta.shape is Shape.MAP:
        keys = [item.partition("=") for item in gone]
        left = {
            key: value
            for key, value in _map(row[column] if row else {}).items()
            if not any(unquote(k) == key and (not eq or unquote(v) == str(value)) for k, eq, v in keys)
        }
        if row is not None:
            row[column] = left
        return ""
    atoms = [parse_atom(meta, item) for item in gone]
    if row is not None:
        row[column] = [value for value in _list(row[column]) if value not in atoms]
    return ""


def _list_records(database: Database, command: Command) -> str:
    table = database.table(command.args[0])
    rows = [_record(database, replace(command, args=[table, name]))[1] for name in command.args[1:]]
    chosen = [row for row in rows if row is not None] if command.args[1:] else list(database.tables[table].values())
    return _print(database, table, chosen, command)


def _find(database: Database, command: Command) -> str:
    table = database.table(command.args[0])
    terms = [_term(database, table, text) for text in command.args[1:]]
    chosen = [row for row in database.tables[table].values() if all(term(row) for term in terms)]
    return _print(database, table, chosen, command)


def _term(database: Database, table: str, text: str) -> Callable[[Row], bool]:
    match = TERM.fullmatch(text)
    if not match:
        raise DbError(f"{text}: argument does not contain an operator")
    column = database.column(table, match["column"])
    meta, operator = TABLES[table][column], match["operator"]
    key = unquote(match["key"]) if match["key"] else None
    wanted: Value = _item(meta, match["value"]) if key else parse(meta, match["value"])

    def holds(row: Row) -> bool:
        value: Value | None = _map(row[column]).get(key) if key else row[column]
        if value is None:
            return False
        if operator in ("=", "!="):
            same = (
                all(_map(value).get(k) == v for k, v in wanted.items()) if isinstance(wanted, dict) else value == wanted
            )
            return same == (operator == "=")
        mine, theirs = _list(value), _list(wanted)
        numbers = [item for item in (*mine, *theirs) if isinstance(item, int)]
        return len(mine) == len(theirs) == 1 and len(numbers) == 2 and COMPARE[operator](*numbers)

    return holds


def _print(database: Database, table: str, rows: list[Row], command: Command) -> str:
    style = command.style
    names = [name for name in command.options.get("--columns", "").split(",") if name] or list(TABLES[table])
    columns = [database.column(table, name.strip()) for name in names]
    layout = style.layout or "list"
    if layout == "json":
        data = [[to_json(row[column]) for column in columns] for row in rows]
        return json.dumps({"data": data, "headings": columns}, separators=(",", ":")) + "\n"
    cells = [[_cell(TABLES[table][column], row[column], style.data) for column in columns] for row in rows]
    if layout == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([columns, *cells] if style.headings else cells)
        return text.getvalue()
    if layout == "table":
        if not rows and not style.headings:
            return ""
        widths = [max(len(text) for text in column) for column in zip(columns, *cells, strict=True)]
        head = [columns, ["-" * width for width in widths]] if style.headings else []
        return lines_of(
            " ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
            for line in (*head, *cells)
        )
    shown = [
        lines_of(f"{name:<20}: {text}" if style.headings else text for name, text in zip(columns, line, strict=True))
        for line in cells
    ]
    return "\n".join(shown)


def _cell(meta: Column, value: Value, data: str) -> str:
    if data == "json":
        return json.dumps(to_json(value), separators=(",", ":"))
    return bare(value) if data == "bare" else show(meta, value)


def _show(database: Database, command: Command) -> str:
    lines = [SYSTEM]
    for bridge in database.tables["Bridge"].values():
        lines.append(f"    Bridge {bridge['name']}")
        if bridge["fail_mode"]:
            lines.append(f"        fail_mode: {_list(bridge['fail_mode'])[0]}")
        if bridge["datapath_type"]:
            lines.append(f"        datapath_type: {bridge['datapath_type']}")
        for name, port in database.tables["Port"].items():
            lines.append(f"        Port {show(Column(str), name)}")
            lines += [
                f"            {column}: {show(TABLES['Port'][column], port[column])}"
                for column in ("tag", "trunks", "vlan_mode")
                if port[column]
            ]
            lines.append(f"            Interface {show(Column(str), name)}")
            kind = database.tables["Interface"][name]["type"]
            if kind:
                lines.append(f"                type: {kind}")
    return lines_of([*lines, '    ovs_version: "3.1.0"'])


def _ports_of(database: Database, command: Command) -> str:
    _bridge(database, command.args[0])
    return lines_of(sorted(name for name in database.tables["Port"] if name not in database.tables["Bridge"]))


def _bridges(database: Database, command: Command) -> str:
    return lines_of(database.tables["Bridge"])


def _bridge_exists(database: Database, command: Command) -> str:
    if command.args[0] not in database.tables["Bridge"]:
        raise Absent
    return ""


def _bridge_of(database: Database, command: Command) -> str:
    kind = "port" if command.name == "port-to-br" else "interface"
    if command.args[0] not in database.tables["Port"]:
        raise DbError(f"no {kind} named {command.args[0]}")
    return lines_of(database.tables["Bridge"])


def _wait_until(database: Database, command: Command) -> str:
    """Answer at once when it holds; the caller's time limit has otherwise run out."""
    _, row = _record(database, command)
    table = database.table(command.args[0])
    if row is None or not all(_term(database, table, text)(row) for text in command.args[2:]):
        raise DbError("terminating with signal 14 (Alarm clock)")
    return ""


def _bridge(database: Database, name: str) -> Row:
    row = database.tables["Bridge"].get(name)
    if row is None:
        raise DbError(f"no bridge named {name}")
    return row


def _item(meta: Column, text: str) -> str | int:
    value = parse_atom(replace(meta, shape=Shape.ONE, choices=()), text)
    return value if isinstance(value, int) else str(value)


def _several(meta: Column) -> Column:
    return meta if meta.shape is Shape.MAP else replace(meta, shape=Shape.SET)


def _map(value: Value) -> dict[str, str | int]:
    return value if isinstance(value, dict) else {}


def _list(value: Value) -> list[Atom]:
    return value if isinstance(value, list) else [] if isinstance(value, dict) else [value]


@dataclass(frozen=True, slots=True)
class Known:
    """A command: what it does, how many arguments it takes, its own options, and whether it writes."""

    work: Callable[[Database, Command], str]
    least: int
    most: int | None
    options: frozenset[str] = frozenset()
    writes: bool = False


KNOWN: Mapping[str, Known] = MappingProxyType(
    {
        "get": Known(_get, 2, None, frozenset({"--if-exists", "--id"})),
        "set": Known(_set, 3, None, frozenset({"--if-exists"}), writes=True),
        "add": Known(_add, 4, None, frozenset({"--if-exists"}), writes=True),
        "remove": Known(_remove, 4, None, frozenset({"--if-exists"}), writes=True),
        "clear": Known(_clear, 3, None, frozenset({"--if-exists"}), writes=True),
        "list": Known(_list_records, 1, None, frozenset({"--if-exists", "--columns"})),
        "find": Known(_find, 1, None, frozenset({"--columns"})),
        "show": Known(_show, 0, 0),
        "list-ports": Known(_ports_of, 1, 1),
        "list-ifaces": Known(_ports_of, 1, 1),
        "list-br": Known(_bridges, 0, 0),
        "br-exists": Known(_bridge_exists, 1, 1),
        "port-to-br": Known(_bridge_of, 1, 1),
        "iface-to-br": Known(_bridge_of, 1, 1),
        "wait-until": Known(_wait_until, 2, None, frozenset({"--if-exists"})),
        "init": Known(lambda *_: "", 0, 0),
    }
)
