"""From wanted and held items to lines, and back: pure, and guarded against injection.

A field's text is made from a typed value (a prefix, a VLAN, a number, a traffic class), or it is a name that matched
the dialect's own pattern before it came here. Text from a log line or a tenant's label cannot reach a device.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network, ip_network

from controller.domain.errors import BadInput
from controller.domain.estate import SEGMENT_NAME
from drivers.dialect import FIELD, SEPARATES, Dialect, Row
from drivers.items import Item, Value, family_of


@dataclass(frozen=True, slots=True)
class Place:
    """Fields that are the same for all of a slot's lines: interface, tag, options of the device, facts that it told."""

    fields: Mapping[str, str]
    vlan_names: Mapping[int, str] = field(default_factory=dict)


def tag_of(interface: str) -> str:
    """An interface's name with nothing but letters, digits and hyphens, for names of lists and policies."""
    return re.sub(r"[^A-Za-z0-9]", "-", interface)


def fill(template: str, fields: Mapping[str, str]) -> str:
    """Put fields into a template. Raises BadInput for one that is not known here."""

    def one(found: re.Match[str]) -> str:
        try:
            return fields[found.group(1)]
        except KeyError:
            raise BadInput(f"no value for {{{found.group(1)}}} in {template!r}") from None

    return FIELD.sub(one, template)


def quoted(pattern: str, fields: Mapping[str, str]) -> str:
    """Put fields into a pattern, each quoted so that it matches itself."""
    return FIELD.sub(lambda found: re.escape(fields.get(found.group(1), "\0")), pattern)


def fields_of(dialect: Dialect, place: Place, row: Row, item: Item, *, expires_s: int | None) -> dict[str, str]:
    """Every field that the lines of one item may use. Raises BadInput for a value that has no place in a line."""
    made = {**place.fields}
    values = dict(item.values)
    source = values.get("source")
    if isinstance(source, IPv4Network | IPv6Network):
        made |= {
            "source": str(source),
            "network": str(source.network_address) if _is_host(source) else str(source),
            "address": str(source.network_address),
            "netmask": str(source.netmask),
            "wildcard": str(source.hostmask),
            "label": tag_of(str(source)),
        }
        values = {**values, "family": family_of(source).value, "length": source.prefixlen}
    made |= {
        name: str(values[name]) for name in ("family", "length", "traffic", "vlan") if values.get(name) is not None
    }
    if isinstance(length := values.get("length"), int):
        made["mask"] = str(ip_network(f"0.0.0.0/{length}" if values["family"] == "ipv4" else f"::/{length}").netmask)
    if "vlan" in values:
        made |= {"vlan_name": place.vlan_names[number]} if (number := _int(values["vlan"])) in place.vlan_names else {}
    made |= {name: str(values[name]) for name in ("target", "ports", "inside") if values.get(name) is not None}
    if values.get("segment"):
        made["segment"] = segment_name(str(values["segment"]))
    if "rate" in values and dialect.rate is not None:
        rate = _int(values["rate"])
        burst = rate * dialect.rate.burst_ms // 1000
        made |= {"rate_bps": str(rate), "rate_kbps": str(rate // 1000)}
        made |= {"burst_bits": str(burst), "burst_kbits": str(burst // 1000), "burst_bytes": str(burst // 8)}
    if item.seat is not None:
        made[row.seat] = str(item.seat)
    made["timer"] = ""
    if dialect.expiry is not None and expires_s:
        made["timer"] = fill(dialect.expiry.timer, {"expires": str(min(expires_s, dialect.expiry.max_s))})
    traffic = made.get("traffic", row.traffic[0].value if len(row.traffic) == 1 else "")
    for name, spellings in dialect.words.items():
        spelled = _spelling(spellings, family=made.get("family", ""), traffic=traffic, source=source)
        if spelled is not None:
            made[name] = fill(spelled, made)
    return made


def _spelling(spellings: Mapping[str, str], *, family: str, traffic: str, source: Value) -> str | None:
    span = "host" if isinstance(source, IPv4Network | IPv6Network) and _is_host(source) else "net"
    for key in (f"{traffic}_{family}", f"{family}_{span}", family, traffic):
        if key in spellings:
            return spellings[key]
    return None


def segment_name(text: str) -> str:
    """A segment's name as it may stand in a line. Raises BadInput."""
    if not SEGMENT_NAME.fullmatch(text):
        raise BadInput(f"a segment's name may have letters, digits, '.', '_' and '-', 32 at most: {text!r}")
    return text


def _is_host(prefix: IPv4Network | IPv6Network) -> bool:
    return prefix.prefixlen == prefix.max_prefixlen


def _int(value: Value) -> int:
    if not isinstance(value, int):
        raise BadInput(f"not a number: {value!r}")
    return value


def seated(
    dialect: Dialect,
    rows: Mapping[str, Row],
    wanted: Sequence[Item],
    held: Iterable[Item],
    taken: Mapping[str, frozenset[int]],
) -> tuple[Item, ...]:
    """The wanted items, each in the seat that it has on the device, or in the lowest one that is free.

    Raises BadInput when all seats are taken.
    """
    sitting = {item.key: item.seat for item in held}
    used = {pool: set(numbers) for pool, numbers in taken.items()}
    for item in held:
        if item.seat is not None:
            used.setdefault(rows[item.row].seat, set()).add(item.seat)
    placed = []
    for item in wanted:
        pool = rows[item.row].seat
        if not pool:
            placed.append(item)
            continue
        seat = sitting.get(item.key)
        if seat is None:
            seats = dialect.seats[pool]
            free = (n for n in range(seats.first, seats.last + 1) if n not in used.setdefault(pool, set()))
            seat = next(free, None)
            if seat is None:
                raise BadInput(f"every {pool} from {seats.first} to {seats.last} is in use")
            used[pool].add(seat)
        placed.append(replace(item, seat=seat))
    return tuple(placed)


def lines(
    dialect: Dialect,
    place: Place,
    rows: Mapping[str, Row],
    *,
    held: Sequence[Item],
    wanted: Sequence[Item],
    expires_s: int | None = None,
) -> tuple[str, ...]:
    """The lines that take a slot from `held` to `wanted`: what must go, last first; then what must come, in order.

    With `expires_s`, what is already held but ends before half that time is set anew. Equal items give no lines. What
    separates a segment is set as one: another order of its parts would let others pass.
    """
    order = {name: index for index, name in enumerate(rows)}
    old = {item.key: item for item in held}
    new = {item.key: item for item in wanted}
    if old != new and any(rows[item.row].holds in SEPARATES for item in (*held, *wanted)):
        gone, old = list(old.values()), {}
    else:
        gone = [item for key, item in old.items() if key not in new]
    steps: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    for item in sorted(gone, key=lambda one: -order[one.row]):
        row = rows[item.row]
        if not _goes_with(row, item, gone, rows):
            steps.append(_step(dialect, place, row, item, row.unset))
    for key, item in sorted(new.items(), key=lambda pair: order[pair[1].row]):
        row, before = rows[item.row], old.get(key)
        if before is None:
            steps.append(_step(dialect, place, row, item, row.set, expires_s=expires_s))
        elif before.values != item.values or _ends_early(dialect, row, before, expires_s):
            steps.append(_step(dialect, place, row, item, row.change or row.set, expires_s=expires_s))
    made = tuple(_in_context(steps))
    if made and dialect.talk.envelope:
        opening, between, closing = dialect.talk.envelope
        return (opening + between.join(made) + closing,)
    return made


def _step(
    dialect: Dialect, place: Place, row: Row, item: Item, templates: Sequence[str], *, expires_s: int | None = None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    fields = fields_of(dialect, place, row, item, expires_s=expires_s)
    return tuple(fill(line, fields) for line in row.context), tuple(fill(line, fields) for line in templates)


def _in_context(steps: Iterable[tuple[tuple[str, ...], tuple[str, ...]]]) -> Iterable[str]:
    current: tuple[str, ...] = ()
    for context, made in steps:
        if context != current:
            yield from context
        yield from made
        current = context


def _goes_with(row: Row, item: Item, gone: Sequence[Item], rows: Mapping[str, Row]) -> bool:
    """True when a row around this item goes away too, and takes the item with it."""
    if not row.inside:
        return False
    known = _all_values(item, row)
    return any(
        other.row == row.inside and all(known.get(name, value) == value for name, value in other.values)
        for other in gone
    ) or _goes_with(rows[row.inside], item, gone, rows)


def _all_values(item: Item, row: Row) -> dict[str, Value]:
    known = dict(item.values)
    source = known.get("source")
    if isinstance(source, IPv4Network | IPv6Network):
        known |= {"family": family_of(source).value, "length": source.prefixlen}
    if len(row.traffic) == 1:
        known.setdefault("traffic", row.traffic[0].value)
    return known


def _ends_early(dialect: Dialect, row: Row, item: Item, expires_s: int | None) -> bool:
    if dialect.expiry is None or not any("{timer}" in line for line in row.set):
        return False
    if item.left_s is None or expires_s is None:
        return (item.left_s is None) != (expires_s is None)
    return item.left_s * 2 < min(expires_s, dialect.expiry.max_s)
