"""From a device's answers to values: pure, and never optimistic.

An answer in which a question's proof is missing, or a value that cannot be read, raises BadInput: the caller says
`Unreadable`, and what the device holds is unknown.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import ip_network

from controller.domain.address import Prefix, address_of, mac_of
from controller.domain.errors import BadInput
from controller.domain.fence import SlotKind
from controller.domain.sight import Learned, Route, Sight
from controller.domain.verdict import TrafficClass
from drivers.dialect import Dialect, Holds, Read, Row, SightReads
from drivers.items import Item, Value, family_of
from drivers.render import Place, quoted

Answers = Mapping[str, str]

_SPAN = re.compile(r"(\d+)(ms|[wdhms])")
_SECONDS = {"w": 604_800.0, "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


@dataclass(frozen=True, slots=True)
class Reading:
    """What the answers say of one slot."""

    place: Place  # with the facts and VLAN names that the device told
    items: tuple[Item, ...]
    foreign: tuple[str, ...]
    vlans: frozenset[int]
    taken: Mapping[str, frozenset[int]]


@dataclass(frozen=True, slots=True)
class _Found:
    groups: Mapping[str, str]
    spans: tuple[tuple[str, int, int], ...]  # question, start, end


def read_slot(dialect: Dialect, kind: SlotKind, place: Place, answers: Answers) -> Reading:
    """What the answers to the questions of this kind of slot say. Raises BadInput."""
    for name in dialect.questions_of(kind):
        prove(dialect, name, place.fields, answers)
    told = told_by(dialect, place, answers)
    items: dict[Item, None] = {}
    spans: list[tuple[str, int, int]] = []
    for row in dialect.rows_of(kind):
        for found in _joined(row.read, told.fields, answers):
            item = _item(dialect, row, found.groups, told)
            if "vlan_name" in found.groups:
                told = _called(told, item, found.groups["vlan_name"])
            items[item] = None
            spans += found.spans
        if row.holds is Holds.VLAN and not any(item.row == row.name for item in items):
            items |= {Item(row.name, (("vlan", 1),)): None for _ in _default_vlan(dialect, told, answers)}
    return Reading(
        place=told,
        items=tuple(items),
        foreign=(*_foreign(dialect, kind, told, answers), *_strange(dialect, kind, told, answers, spans)),
        vlans=_vlans(dialect, told, answers),
        taken={pool: frozenset(_seats(seats.taken, told, answers)) for pool, seats in dialect.seats.items()},
    )


def prove(dialect: Dialect, name: str, fields: Mapping[str, str], answers: Answers) -> None:
    """Check that an answer is whole and about what was asked. Raises BadInput."""
    question, answer = dialect.questions[name], answers.get(name)
    if answer is None:
        raise BadInput(f"the question {name!r} was not answered")
    if not answer and question.absent:
        return
    if not re.search(quoted(question.proof, fields), answer, re.MULTILINE):
        raise BadInput(f"the answer to {name!r} is not one: {answer[:200]!r}")


def told_by(dialect: Dialect, place: Place, answers: Answers) -> Place:
    """The place with what the device itself said of it: its facts, and its names of VLANs."""
    fields = dict(place.fields)
    for name, read in dialect.facts.items():
        if read.question in answers:
            found = next(_search(read, fields, answers), None)
            if found is not None:
                fields[name] = found.groups["fact"]
    names: dict[int, str] = {}
    if dialect.vlans is not None:
        for found in _search(dialect.vlans.read, fields, answers):
            if "vlan_name" in found.groups:
                names[int(found.groups["vlan"])] = found.groups["vlan_name"]
    return Place(fields, names)


def _called(place: Place, item: Item, name: str) -> Place:
    """The place where a VLAN is called as the port calls it: by name or by number, so that undo writes the same."""
    numbers = [value for _, value in item.values if isinstance(value, int)]
    return replace(place, vlan_names={**place.vlan_names, **dict.fromkeys(numbers, name)})


def totals(dialect: Dialect, fields: Mapping[str, str], answers: Answers) -> tuple[int, int, int | None]:
    """Octets and packets that came in by a port, and how many MACs were learned there, if asked. Raises BadInput."""
    if dialect.counters is None:
        raise BadInput("the dialect has no counters")
    told, macs_read = told_by(dialect, Place(fields), answers), dialect.counters.macs
    for name in dialect.counters.questions:
        if name in answers or macs_read is None or name != macs_read.question:
            prove(dialect, name, told.fields, answers)
    found = next(_search(dialect.counters.totals, told.fields, answers), None)
    if found is None:
        raise BadInput("no counters in the answer")
    macs = None
    if macs_read is not None and macs_read.question in answers:
        macs = len({mac_of(one.groups["mac"]) for one in _search(macs_read, told.fields, answers)})
    return int(found.groups["octets_in"]), int(found.groups["packets_in"]), macs


def sight(dialect: Dialect, device: str, fields: Mapping[str, str], answers: Answers) -> Sight:
    """What the answers show of the network around a device. Raises BadInput."""
    reads = dialect.sight
    if reads is None:
        raise BadInput("the dialect shows nothing of the network around a device")
    for name in reads.questions:
        prove(dialect, name, fields, answers)

    def found(of: Sequence[Read]) -> Iterator[Mapping[str, str]]:
        return (one.groups for one in _joined(of, fields, answers))

    return Sight(
        device=device,
        carries=frozenset(
            (_long(reads, one["port"]), number) for one in found(reads.carries) for number in _numbers(one["vlan"])
        ),
        trunks=frozenset(_long(reads, one["port"]) for one in found(reads.trunks)),
        learned=frozenset(
            Learned(mac_of(one["mac"]), number, _long(reads, one["port"]))
            for one in found(reads.learned)
            for number in _numbers(one["vlan"])
        ),
        routes=frozenset(
            Route(source, _long(reads, one["port"]), address_of(one["via"]) if "via" in one else None)
            for one in found(reads.routes)
            if (source := _source(one)) is not None
        ),
        secluded=frozenset(number for one in found(reads.secluded) for number in _numbers(one["vlan"])),
    )


def _numbers(text: str) -> tuple[int, ...]:
    """One VLAN, or a list of them."""
    return tuple(map(int, re.findall(r"\d+", text)))


def _long(reads: SightReads, name: str) -> str:
    """An interface's name without abbreviations."""
    kind = re.match(r"[A-Za-z-]*", name)
    short = kind[0] if kind else ""
    return reads.spelled.get(short, short) + name[len(short) :]


def seconds_of(text: str) -> int:
    """A time in whole seconds, rounded down: `3600`, `12.5s` or `1d2h3m4s5ms`. Raises BadInput."""
    plain = text.strip()
    if re.fullmatch(r"\d+(\.\d+)?s?", plain):
        return int(float(plain.rstrip("s")))
    if not re.fullmatch(r"(?:\d+(?:ms|[wdhms]))+", plain):
        raise BadInput(f"not a time: {text!r}")
    return int(sum(int(number) * _SECONDS[unit] for number, unit in _SPAN.findall(plain)))


def _search(read: Read, fields: Mapping[str, str], answers: Answers) -> Iterator[_Found]:
    text = answers.get(read.question, "")
    if opening(read.within or read.pattern) not in text:
        return
    pattern = re.compile(quoted(read.pattern, fields), re.MULTILINE)
    if not read.within:
        blocks: list[tuple[int, str, dict[str, str]]] = [(0, text, {})]
    else:
        blocks = [
            (found.start("block"), found["block"], {k: v for k, v in found.groupdict().items() if k != "block" and v})
            for found in re.finditer(quoted(read.within, fields), text, re.MULTILINE)
        ]
    for offset, block, outer in blocks:
        for found in pattern.finditer(block):
            inner = {name: value for name, value in found.groupdict().items() if value is not None}
            yield _Found(outer | inner, ((read.question, offset + found.start(), offset + found.end()),))


@lru_cache(maxsize=4_096)
def opening(pattern: str) -> str:
    """The plain text that every match of a pattern begins with; empty where that is not certain.

    Most of what a slot could hold is not there, and compiling its patterns would take longer than the device's answer.
    """
    depth, escaped, listed = 0, False, False
    for letter in pattern:
        if escaped or letter == "\\":
            escaped = not escaped
        elif listed or letter == "[":
            listed = letter != "]"
        elif letter == "|" and not depth:
            return ""
        else:
            depth += (letter == "(") - (letter == ")")
    plain = re.match(r"\^?([^\\.^$*+?{}\[\]|()]*)(.?)", pattern)
    if plain is None:
        return ""
    return plain[1][:-1] if plain[2] in set("*?{") else plain[1]


def _joined(reads: Sequence[Read], fields: Mapping[str, str], answers: Answers) -> Iterator[_Found]:
    """The natural join of reads: what matches all of them and agrees on the groups that they share."""
    rest = [_Found({}, ())] if reads else []
    for read in reads:
        more = list(_search(read, fields, answers))
        rest = [
            _Found({**one.groups, **two.groups}, one.spans + two.spans)
            for one in rest
            for two in more
            if all(one.groups[name] == two.groups[name] for name in one.groups.keys() & two.groups.keys())
        ]
    yield from rest


def _item(dialect: Dialect, row: Row, groups: Mapping[str, str], place: Place) -> Item:
    known: dict[str, Value] = {"segment": groups.get("segment", "")}
    source = _source(groups)
    if source is not None:
        known |= {"source": source, "family": family_of(source).value, "length": source.prefixlen}
    else:
        known |= {"source": None, "family": groups.get("family", row.families[0].value)}
    if "length" in groups:
        known["length"] = int(groups["length"])
    if "target" in groups:
        known["target"] = _source({"source": groups["target"]})
    known |= {name: groups[name] for name in ("ports", "inside") if name in groups}
    if row.traffic:
        known["traffic"] = row.traffic[0].value
    if "traffic" in groups:
        try:
            known["traffic"] = TrafficClass(groups["traffic"]).value
        except ValueError:
            raise BadInput(f"not a class of traffic: {groups['traffic']!r}") from None
    if "vlan" in groups:
        known["vlan"] = int(groups["vlan"])
    if "vlan_name" in groups:
        known["vlan"] = _vlan_number(groups["vlan_name"], place)
    if "rate_bps" in groups or "rate_kbps" in groups:
        known["rate"] = _rate(groups["rate_bps"]) if "rate_bps" in groups else int(groups["rate_kbps"]) * 1000
    try:
        values = tuple((name, known[name]) for name in dialect.identity_of(row))
    except KeyError as error:
        raise BadInput(f"{row.name}: the answer does not tell {error}") from None
    seat = int(groups["seat"]) if "seat" in groups else None
    return Item(row.name, values, seat=seat, left_s=_left(groups))


def _source(groups: Mapping[str, str]) -> Prefix | None:
    text = groups.get("source") or groups.get("network")
    if text is None:
        return None
    length = groups.get("length") or groups.get("netmask")
    if "wildcard" in groups:
        length = groups["wildcard"]  # ipaddress reads an inverted mask as what it is
    try:
        return ip_network(f"{text}/{length}" if length and "/" not in text else text)
    except ValueError:
        raise BadInput(f"not a prefix: {text!r}") from None


def _rate(text: str) -> int:
    """Bits per second, as a number or in k, m and g of thousands."""
    factor = {"k": 10**3, "m": 10**6, "g": 10**9}.get(text[-1:].lower(), 1)
    digits = text if factor == 1 else text[:-1]
    if not digits.isdecimal():
        raise BadInput(f"not a rate: {text!r}")
    return int(digits) * factor


def _vlan_number(name: str, place: Place) -> int:
    if name.isdecimal():
        return int(name)
    for number, known in place.vlan_names.items():
        if known == name:
            return number
    raise BadInput(f"VLAN {name!r} is on the port, but the device does not say which number it has")


def _default_vlan(dialect: Dialect, place: Place, answers: Answers) -> Iterator[_Found]:
    return _search(dialect.vlan_default, place.fields, answers) if dialect.vlan_default is not None else iter(())


def _left(groups: Mapping[str, str]) -> int | None:
    if "left" in groups:
        return seconds_of(groups["left"])
    if "timeout" in groups:
        return max(0, seconds_of(groups["timeout"]) - seconds_of(groups.get("age", "0")))
    return None


def _foreign(dialect: Dialect, kind: SlotKind, place: Place, answers: Answers) -> Iterator[str]:
    for foreign in dialect.foreign:
        if kind in foreign.slots:
            for found in _search(foreign.read, place.fields, answers):
                what = " ".join(found.groups.get("what", "").split())
                yield f"{'/'.join(foreign.places)}: {foreign.say}{': ' if what else ''}{what}"


def _strange(
    dialect: Dialect, kind: SlotKind, place: Place, answers: Answers, known: list[tuple[str, int, int]]
) -> Iterator[str]:
    for ours in dialect.ours:
        if kind not in ours.slots:
            continue
        for found in _search(ours.read, place.fields, answers):
            (question, start, end), *_ = found.spans
            if not any(name == question and low < end and start < high for name, low, high in known):
                text = " ".join(answers[question][start:end].split())
                yield f"{'/'.join(ours.places)}: under Cordon's name, but not as Cordon writes it: {text}"


def _vlans(dialect: Dialect, place: Place, answers: Answers) -> frozenset[int]:
    if dialect.vlans is None or dialect.vlans.read.question not in answers:
        return frozenset()
    every = dialect.vlans.every
    if every and re.search(quoted(every, place.fields), answers[dialect.vlans.read.question], re.MULTILINE):
        return frozenset(range(1, 4095))
    listed = (found.groups["vlan"] for found in _search(dialect.vlans.read, place.fields, answers))
    return frozenset(int(number) for text in listed for number in re.findall(r"\d+", text))


def _seats(read: Read, place: Place, answers: Answers) -> Iterator[int]:
    return (int(found.groups["seat"]) for found in _search(read, place.fields, answers))
