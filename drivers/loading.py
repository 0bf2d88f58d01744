"""Load a dialect and check everything in it that could otherwise fail when a fence is needed."""

import hashlib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from ipaddress import ip_network
from typing import Any

from controller.domain import toml
from controller.domain.address import Vlan
from controller.domain.crossing import Passage, Separation, Transport
from controller.domain.errors import BadInput, ConfigError
from controller.domain.fence import Action, Entry, FenceKind, SlotKind, SlotState
from controller.domain.verdict import TrafficClass
from drivers.dialect import FIELD, GROUPS, IDENTITY, PLACE_FIELDS, Dialect, Family, Holds, Read, Row
from drivers.difference import unsupported
from drivers.render import quoted

_FOLDER = "dialects"
_MACRO = re.compile(r"%([a-z][a-z0-9]*)%")
_V4, _V6 = ip_network("192.0.2.5/32"), ip_network("2001:db8:0:5::/64")
_NET4, _NET6 = ip_network("192.0.2.0/24"), ip_network("2001:db8::/48")


def platforms() -> tuple[str, ...]:
    """Names of the platforms that have a dialect."""
    files = resources.files("drivers").joinpath(_FOLDER).iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))


def dialect_of(platform: str) -> Dialect:
    """The platform's dialect, checked. Raises ConfigError when there is none or it is wrong."""
    known = platforms()
    if platform not in known:
        raise ConfigError(file="site.toml", key="devices.platform", expected="one of " + ", ".join(known), got=platform)
    file = resources.files("drivers").joinpath(_FOLDER, f"{platform}.toml")
    return load(file.read_text(encoding="utf-8"), file=f"{platform}.toml")


def load(text: str, *, file: str) -> Dialect:
    """A dialect from the text of its file. Raises ConfigError naming the key and what is expected there."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(file=file, key="(the whole file)", expected="valid TOML", got=str(error)) from None
    macros = document.pop("macros", {})
    if isinstance(rows := document.get("rows"), list):
        document["rows"] = list(_written_out(rows, file=file))
    document = _put(document, _put(macros, macros))
    document["digest"] = hashlib.sha256(text.encode()).hexdigest()
    for unknown in _MACRO.findall(repr(document)):
        raise ConfigError(file=file, key="macros", expected="a macro or variant of that name", got=f"%{unknown}%")
    dialect = toml.build(document, Dialect, file=file)
    for key, expected in _faults(dialect):
        raise ConfigError(file=file, key=key, expected=expected)
    return dialect


def _written_out(rows: Iterable[object], *, file: str) -> Iterator[object]:
    for row in rows:
        variants = row.pop("variants", None) if isinstance(row, dict) else None
        if variants is None:
            yield row
            continue
        for variant in variants:
            if not isinstance(variant, dict) or not all(isinstance(text, str) for text in variant.values()):
                raise ConfigError(file=file, key="rows.variants", expected="tables of text", got=repr(variant))
            yield _put(row, variant)


def _put(value: Any, variant: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _MACRO.sub(lambda found: variant.get(found[1], found[0]), value)
    if isinstance(value, list):
        return [_put(one, variant) for one in value]
    if isinstance(value, dict):
        return {name: _put(one, variant) for name, one in value.items()}
    return value


def _faults(dialect: Dialect) -> Iterator[tuple[str, str]]:
    if not dialect.refusals:
        yield "refusals", "at least one pattern of a refusal"
    if not dialect.provenance:
        yield "provenance", "the models and versions that this was written for"
    yield from _patterns(dialect)
    yield from _places(dialect)
    yield from _talk(dialect)
    names = [row.name for row in dialect.rows]
    for index, row in enumerate(dialect.rows):
        key = f"rows[{index}] ({row.name})"
        if names.count(row.name) > 1:
            yield key, "a name that no other row has"
        yield from _row(dialect, row, key)
    yield from _cover(dialect)


def _places(dialect: Dialect) -> Iterator[tuple[str, str]]:
    known = {"vlan", "enabled", "rate_bps", "isolated", "entries"} | {
        f"entries.{one}" for one in (*TrafficClass, *Action)
    }
    for index, foreign in enumerate(dialect.foreign):
        for place in set(foreign.places) - known:
            yield f"foreign[{index}].places", f"some of {', '.join(sorted(known))}, not {place}"


def _talk(dialect: Dialect) -> Iterator[tuple[str, str]]:
    talk = dialect.talk
    if not talk.prompt:
        yield "talk.prompt", "a pattern of the prompt"
    if (talk.enter_timed or talk.commit_timed) and not talk.confirm:
        yield "talk.confirm", "the lines that keep a timed change"
    if len(talk.envelope) not in (0, 3):
        yield "talk.envelope", "three texts: before, between and after"
    for name, question in dialect.questions.items():
        if not any(re.match(pattern, question.ask) for pattern in talk.asks):
            yield f"questions.{name}.ask", "a question that one of talk.asks matches"
    for row in dialect.rows:
        for line in (*row.lines, *talk.enter, *talk.commit):
            if any(re.match(pattern, line) for pattern in talk.asks):
                yield "talk.asks", f"patterns that no configuring line matches, and {line!r} does"


def _reads(dialect: Dialect) -> Iterator[tuple[str, Read, frozenset[str]]]:
    for index, row in enumerate(dialect.rows):
        for read in row.read:
            yield f"rows[{index}] ({row.name}).read", read, GROUPS
    for index, ours in enumerate(dialect.ours):
        yield f"ours[{index}].read", ours.read, frozenset()
    for index, foreign in enumerate(dialect.foreign):
        yield f"foreign[{index}].read", foreign.read, frozenset({"what"})
    for name, read in dialect.facts.items():
        yield f"facts.{name}", read, frozenset({"fact"})
    for name, seats in dialect.seats.items():
        yield f"seats.{name}.taken", seats.taken, frozenset({"seat"})
    if dialect.vlans is not None:
        yield "vlans.read", dialect.vlans.read, frozenset({"vlan", "vlan_name"})
    if dialect.vlan_default is not None:
        yield "vlan_default", dialect.vlan_default, frozenset()
    if dialect.sight is not None:
        groups = frozenset({"port", "vlan", "vlan_name", "mac", "ofport", "source", "via"})
        yield from ((f"sight ({read.question})", read, groups) for read in dialect.sight.reads)
    if dialect.counters is not None:
        yield "counters.totals", dialect.counters.totals, frozenset({"octets_in", "packets_in"})
        if dialect.counters.macs is not None:
            yield "counters.macs", dialect.counters.macs, frozenset({"mac"})


def _patterns(dialect: Dialect) -> Iterator[tuple[str, str]]:
    known = PLACE_FIELDS | dialect.options.keys() | dialect.facts.keys()
    plain = [
        ("interface", dialect.interface),
        ("talk.prompt", dialect.talk.prompt),
        ("talk.untimed", dialect.talk.untimed),
    ]
    plain += [(f"refusals[{index}]", pattern) for index, pattern in enumerate(dialect.refusals)]
    plain += [(f"talk.asks[{index}]", pattern) for index, pattern in enumerate(dialect.talk.asks)]
    plain += [(f"options.{name}.pattern", option.pattern) for name, option in dialect.options.items()]
    for name, question in dialect.questions.items():
        plain += [(f"questions.{name}.proof", question.proof), (f"questions.{name}.absent", question.absent)]
        for unknown in sorted(set(FIELD.findall(question.ask)) - known):
            yield f"questions.{name}.ask", f"a field among {', '.join(sorted(known))}, not {unknown}"
    for key, read, groups in _reads(dialect):
        plain += [(f"{key}.pattern", read.pattern), (f"{key}.within", read.within)]
        if read.question not in dialect.questions:
            yield f"{key}.question", "one of " + ", ".join(dialect.questions)
        found = set(re.findall(r"\(\?P<(\w+)>", read.pattern + read.within)) - {"block"}
        if not found <= groups:
            yield (
                f"{key}.pattern",
                f"named groups among {', '.join(sorted(groups))}, not {', '.join(sorted(found - groups))}",
            )
        if read.within and "(?P<block>" not in read.within:
            yield f"{key}.within", "a group named block"
        for unknown in sorted(set(FIELD.findall(read.pattern + read.within)) - known):
            yield f"{key}.pattern", f"a field among {', '.join(sorted(known))}, not {unknown}"
    for name in dialect.sight.questions if dialect.sight is not None else ():
        if name not in dialect.questions or set(FIELD.findall(dialect.questions[name].ask)) - dialect.options.keys():
            yield "sight.questions", f"questions about the device as a whole, not {name}"
    for key, pattern in plain:
        try:
            re.compile("(?:" + quoted(pattern, dict.fromkeys((*known, "hostname"), "x")) + ")")
        except re.error as error:
            yield key, f"a regular expression ({error})"


def _row(dialect: Dialect, row: Row, key: str) -> Iterator[tuple[str, str]]:
    for name in ("slots", "read", "set", "unset"):
        if not getattr(row, name):
            yield f"{key}.{name}", "something"
    fields = dialect.fields_of(row)
    closed = (
        PLACE_FIELDS
        | IDENTITY.keys()
        | {"timer"}
        | dialect.options.keys()
        | dialect.facts.keys()
        | dialect.words.keys()
    )
    closed |= {row.seat} if row.seat else set()
    for unknown in sorted(fields - closed):
        yield f"{key}.set", f"fields among {', '.join(sorted(closed))}, not {unknown}"
    if row.seat and row.seat not in dialect.seats:
        yield f"{key}.seat", "one of " + ", ".join(dialect.seats)
    names = {other.name for other in dialect.rows}
    for other in {row.inside, *row.without} - {""} - names:
        yield key, f"names of rows in inside and without, not {other}"
    if "timer" in fields and dialect.expiry is None:
        yield "expiry", "how a line says that it ends"
    if any("\n" in line or not line.strip() for line in row.lines):
        yield f"{key}.set", "lines that are one line each"
    yield from _identity(dialect, row, key)


def _identity(dialect: Dialect, row: Row, key: str) -> Iterator[tuple[str, str]]:
    belongs = {Holds.VLAN: {"vlan"}, Holds.SHUT: set(), Holds.ISOLATED: set(), Holds.RATE: {"rate"}, Holds.GUARD: set()}
    identity = set(dialect.identity_of(row))
    if row.holds in belongs and not identity <= belongs[row.holds]:
        yield f"{key}.set", f"no fields of other attributes: {', '.join(sorted(identity - belongs[row.holds]))}"
    if row.holds is Holds.ENTRIES and not row.frame:
        if Family.ANY not in row.families and "source" not in identity:
            yield f"{key}.set", "the source, or families = ['any'], or frame = true"
        if row.action is Action.LIMIT and "rate" not in identity:
            yield f"{key}.set", "the rate of a limit"
        if len(row.traffic) != 1 and "traffic" not in identity:
            yield f"{key}.traffic", "one class, or lines that name it"
    needed = {Holds.PREFIX: {"source"}, Holds.INSIDE: {"inside"}, Holds.PASSAGE: {"source", "target"}}
    for name in sorted(needed.get(row.holds, set()) - identity):
        yield f"{key}.set", f"the {name} of what it holds"
    if "rate" in identity and dialect.rate is None:
        yield "rate", "limits of the rates that the platform can hold"


def samples(dialect: Dialect) -> dict[str, list[tuple[SlotKind, SlotState, SlotState]]]:
    """For each fence kind (filter_class as filter_class:<traffic class>) states that it means: slot, have, want."""
    rate = dialect.rate.min_bps if dialect.rate else 8000
    found: dict[str, list[tuple[SlotKind, SlotState, SlotState]]] = {}

    def entries(
        kind: str, slot: SlotKind, traffic: TrafficClass, action: Action = Action.DROP, segment: str = ""
    ) -> None:
        for source in (_V4, _V6):
            one = Entry(action, source, traffic, rate if action is Action.LIMIT else None, segment)
            open_ = SlotState(enabled=True)
            found.setdefault(kind, []).append((slot, open_, SlotState(enabled=True, entries=frozenset({one}))))

    for slot in SlotKind:
        for traffic in TrafficClass:
            kind = "block_address" if traffic is TrafficClass.ALL else f"filter_class:{traffic}"
            entries(kind, slot, traffic)
    entries("isolate_segment", SlotKind.FIREWALL, TrafficClass.ALL, segment="segment")
    entries("throttle", SlotKind.PORT, TrafficClass.ALL, Action.LIMIT)
    open_ = SlotState(vlan=Vlan(1), enabled=True)
    found["throttle"].append((SlotKind.PORT, open_, SlotState(vlan=Vlan(1), enabled=True, rate_bps=rate)))
    found["quarantine"] = [(SlotKind.PORT, open_, SlotState(vlan=Vlan(99), enabled=True))]
    found["shut"] = [(SlotKind.PORT, open_, SlotState(vlan=Vlan(1), enabled=False))]
    ours = (_NET4, _NET6)
    passing = {Passage(one, one, transport) for one in ours for transport in Transport}
    wall = Separation(frozenset(ours), frozenset(passing))
    found["separate_segment"] = [(SlotKind.SEGMENT, SlotState(), SlotState(separation=wall))]
    found["cut_guest"] = [(SlotKind.GUEST, SlotState(enabled=True), SlotState(enabled=False))]
    return found


def holdable(dialect: Dialect) -> frozenset[str]:
    """Fence kinds that the rows can hold, whatever the file says of them."""
    vlans = frozenset({99})
    return frozenset(
        kind
        for kind, states in samples(dialect).items()
        if any(
            dialect.rows_of(slot) and not unsupported(dialect, slot, want, have, vlans) for slot, have, want in states
        )
    )


def _cover(dialect: Dialect) -> Iterator[tuple[str, str]]:
    kinds = {kind.value for kind in FenceKind} - {"filter_class"}
    kinds |= {f"filter_class:{traffic}" for traffic in TrafficClass if traffic is not TrafficClass.ALL}
    for unknown in sorted(dialect.cover.keys() - kinds):
        yield f"cover.{unknown}", "one of " + ", ".join(sorted(kinds))
    able = holdable(dialect)
    for kind in sorted(able - dialect.cover.keys()):
        yield f'cover."{kind}"', "what the fence really does, since rows hold it"
    for kind in sorted(dialect.cover.keys() - able):
        yield f'cover."{kind}"', "rows that hold it"


def options_of(dialect: Dialect, given: Mapping[str, str], *, device: str) -> dict[str, str]:
    """The device's options, defaults filled in. Raises ConfigError for one that is unknown or not as it must be."""
    for name in given:
        if name not in dialect.options:
            expected = "one of " + (", ".join(dialect.options) or "nothing: this platform has no options")
            raise ConfigError(file="site.toml", key=f"devices.{device}.options.{name}", expected=expected)
    found = {}
    for name, option in dialect.options.items():
        value = given.get(name, option.default)
        if not re.fullmatch(option.pattern, value):
            expected = f"text that matches {option.pattern}"
            raise ConfigError(
                file="site.toml", key=f"devices.{device}.options.{name}", expected=expected, got=repr(value)
            )
        found[name] = value
    return found


def interface_name(dialect: Dialect, name: str) -> str:
    """An interface's name as it may stand in a line. Raises BadInput for a name that the platform cannot have."""
    if not re.fullmatch(dialect.interface, name):
        raise BadInput(f"not an interface of {dialect.platform}: {name!r}")
    return name
