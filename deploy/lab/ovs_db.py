"""The part of Open vSwitch's configuration database that a switch port lives in: tables, columns, values, their texts.

Source: ovs-vswitchd.conf.db(5), RFC 7047 (values, constraints, JSON), ovs-vsctl(8) (string format).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from uuid import UUID, uuid5

Atom = int | bool | str | UUID
Value = Atom | list[Atom] | dict[str, str | int]
Row = dict[str, Value]

NAMESPACE = UUID("8a4ed0f6-9c0b-5ad2-8c0e-2d3b2f1f6e11")  # row identifiers follow from the rows' names


class DbError(Exception):
    """What the database or its client says against a request."""


class Shape(StrEnum):
    """How many values a column holds."""

    ONE = "one"
    OPTIONAL = "optional"
    SET = "set"
    MAP = "map"


@dataclass(frozen=True, slots=True)
class Column:
    """Type and constraints of one column."""

    kind: type
    shape: Shape = Shape.ONE
    low: int | None = None
    high: int | None = None
    choices: tuple[str, ...] = ()
    read_only: bool = False


def _texts(*names: str, shape: Shape) -> dict[str, Column]:
    return dict.fromkeys(names, Column(str, shape))


def _in_order(columns: dict[str, Column]) -> Mapping[str, Column]:
    """Lists show a row's identifier first and then its columns by name."""
    return MappingProxyType({"_uuid": Column(UUID, read_only=True), **dict(sorted(columns.items()))})


_OPTIONAL_INT = Column(int, Shape.OPTIONAL)
_RATE = Column(int, low=0)
_VLAN_MODES = ("access", "dot1q-tunnel", "native-tagged", "native-untagged", "trunk")

PORT = _in_order(
    {
        "name": Column(str, read_only=True),
        "tag": Column(int, Shape.OPTIONAL, 0, 4095),
        "trunks": Column(int, Shape.SET, 0, 4095),
        "cvlans": Column(int, Shape.SET, 0, 4095),
        "vlan_mode": Column(str, Shape.OPTIONAL, choices=_VLAN_MODES),
        "interfaces": Column(UUID, Shape.SET),
        "qos": Column(UUID, Shape.OPTIONAL),
        "mac": Column(str, Shape.OPTIONAL),
        "protected": Column(bool),
        "fake_bridge": Column(bool),
        "bond_fake_iface": Column(bool),
        "bond_updelay": Column(int),
        "bond_downdelay": Column(int),
        "bond_mode": Column(str, Shape.OPTIONAL, choices=("active-backup", "balance-slb", "balance-tcp")),
        "lacp": Column(str, Shape.OPTIONAL, choices=("active", "off", "passive")),
        "rstp_statistics": Column(int, Shape.MAP),
        "statistics": Column(int, Shape.MAP),
        **_texts("bond_active_slave", shape=Shape.OPTIONAL),
        **_texts("external_ids", "other_config", "rstp_status", "status", shape=Shape.MAP),
    }
)
INTERFACE = _in_order(
    {
        "name": Column(str, read_only=True),
        "type": Column(str),
        "ofport": _OPTIONAL_INT,
        "ofport_request": Column(int, Shape.OPTIONAL, 1, 65279),
        "ifindex": _OPTIONAL_INT,
        "mtu": _OPTIONAL_INT,
        "mtu_request": _OPTIONAL_INT,
        "link_speed": _OPTIONAL_INT,
        "link_resets": _OPTIONAL_INT,
        "cfm_fault": Column(bool, Shape.OPTIONAL),
        "cfm_flap_count": _OPTIONAL_INT,
        "cfm_health": _OPTIONAL_INT,
        "cfm_mpid": _OPTIONAL_INT,
        "cfm_remote_mpids": Column(int, Shape.SET),
        "lacp_current": Column(bool, Shape.OPTIONAL),
        "ingress_policing_rate": _RATE,
        "ingress_policing_burst": _RATE,
        "ingress_policing_kpkts_rate": _RATE,
        "ingress_policing_kpkts_burst": _RATE,
        "statistics": Column(int, Shape.MAP),
        **_texts(
            "admin_state",
            "cfm_remote_opstate",
            "duplex",
            "error",
            "link_state",
            "mac",
            "mac_in_use",
            shape=Shape.OPTIONAL,
        ),
        **_texts("cfm_fault_status", shape=Shape.SET),
        **_texts("bfd", "bfd_status", "external_ids", "lldp", "options", "other_config", "status", shape=Shape.MAP),
    }
)
BRIDGE = _in_order(
    {
        "name": Column(str, read_only=True),
        "ports": Column(UUID, Shape.SET),
        "datapath_id": Column(str, Shape.OPTIONAL, read_only=True),
        "datapath_type": Column(str),
        "datapath_version": Column(str, read_only=True),
        "fail_mode": Column(str, Shape.OPTIONAL, choices=("secure", "standalone")),
        "protocols": Column(
            str,
            Shape.SET,
            choices=("OpenFlow10", "OpenFlow11", "OpenFlow12", "OpenFlow13", "OpenFlow14", "OpenFlow15"),
        ),
        "flood_vlans": Column(int, Shape.SET, 0, 4095),
        "mcast_snooping_enable": Column(bool),
        "rstp_enable": Column(bool),
        "stp_enable": Column(bool),
        "auto_attach": Column(UUID, Shape.OPTIONAL),
        "controller": Column(UUID, Shape.SET),
        "ipfix": Column(UUID, Shape.OPTIONAL),
        "mirrors": Column(UUID, Shape.SET),
        "netflow": Column(UUID, Shape.OPTIONAL),
        "sflow": Column(UUID, Shape.OPTIONAL),
        "flow_tables": Column(int, Shape.MAP),
        **_texts("external_ids", "other_config", "rstp_status", "status", shape=Shape.MAP),
    }
)
TABLES: Mapping[str, Mapping[str, Column]] = MappingProxyType(
    {
        "Bridge": BRIDGE,
        "Interface": INTERFACE,
        "Port": PORT,
        **dict.fromkeys(
            ("AutoAttach", "CT_Timeout_Policy", "CT_Zone", "Controller", "Datapath", "Flow_Sample_Collector_Set",
             "Flow_Table", "IPFIX", "Manager", "Mirror", "NetFlow", "Open_vSwitch", "QoS", "Queue", "SSL", "sFlow"),
            _in_order({"external_ids": Column(str, Shape.MAP)}),
        ),
    }
)  # fmt: skip


def blank(table: str, name: str) -> Row:
    """Make a row with every column at its default."""
    row: Row = {}
    for column, meta in TABLES[table].items():
        row[column] = {} if meta.shape is Shape.MAP else [] if meta.shape is not Shape.ONE else _default(meta)
    row["_uuid"] = uuid5(NAMESPACE, f"{table} {name}")
    row["name"] = name
    return row


def _default(meta: Column) -> Atom:
    if meta.kind is str:
        return ""
    return False if meta.kind is bool else 0


@dataclass(slots=True)
class Database:
    """All rows, by table and name; identifier columns refer to rows by `_uuid`."""

    tables: dict[str, dict[str, Row]] = field(default_factory=lambda: {table: {} for table in TABLES})

    def table(self, name: str) -> str:
        """Find a table by a unique beginning of its name, whatever the case; DbError."""
        return _by_prefix(
            name,
            list(TABLES),
            unknown=f'unknown table "{name}"',
            several=lambda found: f'"{name}" matches multiple table names: {", ".join(found[:2])}',
        )

    def column(self, table: str, name: str) -> str:
        """Find a column by a unique beginning of its name; DbError."""
        return _by_prefix(
            name,
            list(TABLES[table]),
            unknown=f'{table} does not contain a column whose name matches "{name}"',
            several=lambda found: (
                f'{table} contains more than one column whose name matches "{name}": {", ".join(found)}'
            ),
        )

    def row(self, table: str, record: str) -> Row | None:
        """Find a row by name or identifier."""
        rows = self.tables[table]
        return rows.get(record) or next((row for row in rows.values() if str(row["_uuid"]) == record), None)


def _by_prefix(name: str, known: list[str], *, unknown: str, several: Callable[[list[str]], str]) -> str:
    wanted = name.lower().replace("-", "_")
    found = [candidate for candidate in sorted(known) if candidate.lower().startswith(wanted)]
    exact = [candidate for candidate in found if candidate.lower() == wanted]
    if exact or len(found) == 1:
        return (exact or found)[0]
    raise DbError(several(found) if found else unknown)


def parse(meta: Column, text: str) -> Value:
    """Read a column's value as ovs-vsctl takes it on its command line; DbError says what is wrong."""
    items = split(text)
    if meta.shape is Shape.MAP:
        pairs: dict[str, str | int] = {}
        for item in items:
            key, separator, value = item.partition("=")
            if not separator:
                raise DbError(f'{text}: map requires "key=value" pairs')
            pairs[unquote(key)] = int(value) if meta.kind is int else unquote(value)
        return pairs
    if meta.shape is not Shape.SET and len(items) > 1:
        raise DbError(f"{text}: {len(items)} value(s) specified but the maximum number is 1")
    atoms = [parse_atom(meta, item) for item in items]
    if meta.shape is Shape.ONE:
        if not atoms:
            raise DbError(f"{text}: 0 value(s) specified but the minimum number is 1")
        return atoms[0]
    return in_order(atoms)


def in_order(atoms: list[Atom]) -> list[Atom]:
    """Give a set's values once each, numbers by size, texts by name: so the database keeps them."""
    return sorted(dict.fromkeys(atoms), key=lambda atom: (atom, "") if isinstance(atom, int) else (0, str(atom)))


def parse_atom(meta: Column, text: str) -> Atom:
    """Read one value within its constraints."""
    if meta.kind is int:
        if not re.fullmatch(r"[+-]?\d+", text):
            raise DbError(f'"{text}" is not a valid integer or range')
        number = int(text)
        low, high = meta.low, meta.high
        if low is not None and number < low and high is None:
            raise DbError(f"constraint violation: {number} is less than minimum allowed value {low}")
        if low is not None and high is not None and not low <= number <= high:
            raise DbError(f"constraint violation: {number} is not in the valid range {low} to {high} (inclusive)")
        return number
    if meta.kind is bool:
        if text not in ("true", "false"):
            raise DbError(f'"{text}" is not a valid boolean')
        return text == "true"
    if meta.kind is UUID:
        try:
            return UUID(text)
        except ValueError:
            raise DbError(f'"{text}" is not a valid UUID') from None
    value = unquote(text)
    if meta.choices and value not in meta.choices:
        raise DbError(f"constraint violation: {value} is not one of the allowed values ([{', '.join(meta.choices)}])")
    return value


def split(text: str) -> list[str]:
    """Take a set or map apart at its commas; brackets and braces may be left out."""
    text = text.strip()
    if text[:1] in ("[", "{") and text[-1:] in ("]", "}"):
        text = text[1:-1]
    return [item for item in re.findall(r'(?:"(?:\\.|[^"\\])*"|[^,\s])+', text) if item]


def unquote(text: str) -> str:
    """Take the quotes off a string."""
    if len(text) > 1 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def show(meta: Column, value: Value) -> str:
    """Give a value in the "string" format, as `get` and `list` print it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_atom(key)}={_atom(item)}" for key, item in sorted(value.items())) + "}"
    if isinstance(value, list):
        if meta.shape is Shape.OPTIONAL and value:
            return _atom(value[0])
        return "[" + ", ".join(_atom(item) for item in value) + "]"
    return _atom(value)


def bare(value: Value) -> str:
    """Give a value in the "bare" format: no quotes, no brackets, blanks between."""
    if isinstance(value, dict):
        return " ".join(f"{key}={_plain(item)}" for key, item in sorted(value.items()))
    if isinstance(value, list):
        return " ".join(_plain(item) for item in value)
    return _plain(value)


def to_json(value: Value) -> object:
    """Give a value as RFC 7047 writes it."""
    if isinstance(value, dict):
        return ["map", [[key, item] for key, item in sorted(value.items())]]
    if isinstance(value, list):
        items = [to_json(item) for item in value]
        return items[0] if len(items) == 1 else ["set", items]
    if isinstance(value, UUID):
        return ["uuid", str(value)]
    return value


def _plain(atom: Atom) -> str:
    return ("false", "true")[atom] if isinstance(atom, bool) else str(atom)


def _atom(atom: Atom) -> str:
    if isinstance(atom, str) and (not re.fullmatch(r"[A-Za-z_][\w.-]*", atom) or atom in ("true", "false")):
        return '"' + atom.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return _plain(atom)
