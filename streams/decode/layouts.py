"""How the records of a template are laid out, and the loop that reads them, compiled.

Templates of NetFlow v9 (RFC 3954, 5.2 and 6.1) and IPFIX (RFC 7011, 3.4), fields of any length up to eight octets
(RFC 7011, 6.2: reduced sizes), addresses, and IPFIX's fields of variable length (7).
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from controller.domain.errors import BadInput
from streams.decode.compiled import borrowing
from streams.decode.elements import BACK, ELEMENTS, IP_SECTION, PREFERRED, REVERSE, SLOTS, UNITS, WIDE, Slot, Unit
from streams.decode.packets import number

V9, IPFIX = 9, 10
FIRST_DATA = 256
VARIABLE = 0xFFFF
SHORTEST = 4
"""Octets. Shorter records of one length say nothing that is read here, and a set of them would take much room."""

_UNREAD = -1
_NUMBER, _ADDRESS, _SECTION = range(3)
"""How a field is read: a number, an address of two, or where a section stands and how long it is."""
_ENTERPRISE = 0x8000
_SCOPE_INTERFACE_V9 = 2  # RFC 3954, 6.1
_TIMES = (Slot.START, Slot.END, Slot.DURATION)
_COUNTS = frozenset({Slot.OCTETS, Slot.PACKETS})
_pair = struct.Struct(">HH").unpack_from


@dataclass(frozen=True)
class Layout:
    """The fields of a record, in order: element numbers and lengths.

    An enterprise's own elements are -1, those of the other direction have BACK added.
    """

    elements: tuple[int, ...]
    lengths: tuple[int, ...]
    scopes: int = 0  # so many fields at the front say what an option is about
    options: bool = False
    scopes_are_elements: bool = True  # NetFlow v9 numbers scopes in its own way

    @cached_property
    def slots(self) -> tuple[int, ...]:
        """Where each field's value goes, -1 for nowhere. Of several that say the same one is read."""
        wanted = [self._slot(place) for place in range(len(self.elements))]
        best: dict[int, int] = {}
        for place in sorted(range(len(wanted)), key=lambda place: (_rank(self.elements[place]), place)):
            if wanted[place] != _UNREAD:
                best.setdefault(wanted[place], place)
        return tuple(slot if best.get(slot) == place else _UNREAD for place, slot in enumerate(wanted))

    def _slot(self, place: int) -> int:
        element = self.elements[place]
        if place < self.scopes and not self.scopes_are_elements:
            return Slot.INTERFACE if element == _SCOPE_INTERFACE_V9 else _UNREAD
        slot = ELEMENTS.get(element, _UNREAD)
        return Slot.INTERFACE if slot == Slot.INPUT and self.options else slot

    @cached_property
    def held(self) -> frozenset[int]:
        """The slots that are filled."""
        return frozenset(self.slots) - {_UNREAD}

    @cached_property
    def filled(self) -> frozenset[int]:
        """The same, with the second words of addresses."""
        return self.held | {slot + 1 for slot in self.held & WIDE}

    @cached_property
    def units(self) -> tuple[int, int, int]:
        """Of start, end and duration."""
        found = dict.fromkeys(_TIMES, Unit.UPTIME_MS)
        for element, slot in zip(self.elements, self.slots, strict=True):
            if slot in found:
                found[Slot(slot)] = UNITS[element]
        return (found[Slot.START], found[Slot.END], found[Slot.DURATION])

    @cached_property
    def least(self) -> int:
        """Octets of the shortest record."""
        return sum(1 if length == VARIABLE else length for length in self.lengths)

    @property
    def tiny(self) -> bool:
        """Whether its records are too short to say anything."""
        return self.least < SHORTEST and VARIABLE not in self.lengths

    @property
    def counts_traffic(self) -> bool:
        """Whether its records say how much was sent."""
        return not self.options and (self.samples_packets or bool(self.held & _COUNTS))

    @property
    def samples_packets(self) -> bool:
        """Whether its records are packets that were sampled, each told by its first octets (RFC 5476, 6.4)."""
        return Slot.SECTION in self.held and not self.held & _COUNTS

    @property
    def section_is_ip(self) -> bool:
        """Whether these octets begin with the IP header, and not with the frame's."""
        return any(
            slot == Slot.SECTION and element == IP_SECTION
            for element, slot in zip(self.elements, self.slots, strict=True)
        )

    @property
    def tells_sampling(self) -> bool:
        """Whether its records say how traffic is sampled."""
        return self.options and bool(self.held & {Slot.INTERVAL, Slot.POPULATION})


def _rank(element: int) -> int:
    return PREFERRED.index(element) if element in PREFERRED else len(PREFERRED)


def templates(body: bytes, *, version: int, options: bool) -> Iterator[tuple[int, Layout | None]]:
    """The templates of a set, each with its number; None for one that is withdrawn.

    Raises:
        BadInput: a template is cut short, or cannot describe a record.

    """
    at = 0
    while at + 4 <= len(body):
        template, size = _pair(body, at)
        if template == 0 and version == V9:
            return  # padding
        at += 4
        if version == IPFIX and size == 0:
            yield template, None
            continue
        if template < FIRST_DATA:
            if not any(body[at - 4 :]):
                return
            raise BadInput("template with a number that is not its to have")
        fields, scopes = size, 0
        if options:
            if at + 2 > len(body):
                raise BadInput("template cut short")
            (scopes,) = struct.unpack_from(">H", body, at)
            at += 2
            if version == V9:
                at, fields, scopes = _after_v9_head(at, scopes, body)
        at, elements, lengths = _fields(body, at, fields, version)
        if sum(lengths) == 0 or scopes > fields:
            raise BadInput("template that describes nothing")
        yield template, Layout(elements, lengths, scopes, options, version == IPFIX)


def _after_v9_head(at: int, options: int, body: bytes) -> tuple[int, int, int]:
    """In NetFlow v9 both lengths of an options template are octets: of the scopes, before `at`, and of the options."""
    scopes = struct.unpack_from(">H", body, at - 4)[0]
    return at, (scopes + options) // 4, scopes // 4


def _fields(body: bytes, at: int, count: int, version: int) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    elements, lengths = [], []
    for _ in range(count):
        if at + 4 > len(body):
            raise BadInput("template cut short")
        element, length = _pair(body, at)
        at += 4
        if version == IPFIX and element & _ENTERPRISE:
            reverse = body[at : at + 4] == REVERSE.to_bytes(4, "big")
            element, at = BACK | (element ^ _ENTERPRISE) if reverse else _UNREAD, at + 4
        elements.append(element)
        lengths.append(length)
    if at > len(body):
        raise BadInput("template cut short")
    return at, tuple(elements), tuple(lengths)


@dataclass(frozen=True, slots=True)
class Values:
    """n records: what stands in each slot, and the set that each record stood in."""

    rows: NDArray[np.uint64]  # a row for each slot that any layout has; the last is 0 everywhere
    row: NDArray[np.int64]  # of each Slot
    of: NDArray[np.int64]
    cut: NDArray[np.bool_]  # of each set: it ended within a record

    def column(self, slot: int) -> NDArray[np.uint64]:
        """The values of a slot; 0 where a record has no such field."""
        answer: NDArray[np.uint64] = self.rows[self.row[slot]]
        return answer

    def picked(self, chosen: NDArray[np.bool_]) -> "Values":
        """These records only; their rows stand apart as those of `values` do, so that loops meet one layout."""
        of = self.of[chosen]
        rows = np.empty((len(self.rows), len(of) + 1), np.uint64)[:, : len(of)]
        np.compress(chosen, self.rows, axis=1, out=rows)
        return Values(rows, self.row, of, self.cut)


def values(
    data: NDArray[np.uint8],
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    which: NDArray[np.int64],
    layouts: Sequence[Layout],
) -> Values:
    """Read the records of sets that stand in data[start:end], each laid out as layouts[which] says."""
    cut = np.zeros(len(start), np.bool_)
    least = np.array([max(layout.least, 1) for layout in layouts], np.int64)
    room = int(((end - start) // least[which]).sum()) + 1
    used = [layouts[one] for one in np.unique(which).tolist()]
    held = sorted(frozenset[int]().union(*(layout.filled for layout in used)))
    row = np.full(SLOTS + 1, len(held), np.int64)
    row[held] = np.arange(len(held))
    rows, of = np.empty((len(held) + 1, room), np.uint64), np.empty(room, np.int64)
    for slot in (slot for slot in held if not all(slot in layout.filled for layout in used)):
        rows[row[slot]] = 0
    rows[-1] = 0
    first = np.concatenate(([0], np.cumsum([len(layout.lengths) for layout in layouts]))).astype(np.int64)
    lengths = np.array([length for layout in layouts for length in layout.lengths], np.int64)
    slots = np.array([slot for layout in layouts for slot in layout.slots], np.int64)
    kind = np.where(slots == Slot.SECTION, _SECTION, np.where(np.isin(slots, list(WIDE)), _ADDRESS, _NUMBER))
    fixed = np.array([VARIABLE not in layout.lengths for layout in layouts], np.bool_)
    place = np.where(slots >= 0, row[slots], _UNREAD)
    count = _read(data, start, end, which, first, lengths, place, least, fixed, kind, rows, of, cut)
    return Values(rows[:, :count], row, of[:count], cut)


@borrowing
def _read(
    data: NDArray[np.uint8],
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    which: NDArray[np.int64],
    first: NDArray[np.int64],
    lengths: NDArray[np.int64],
    place: NDArray[np.int64],
    least: NDArray[np.int64],
    fixed: NDArray[np.bool_],
    kind: NDArray[np.int64],
    rows: NDArray[np.uint64],
    of: NDArray[np.int64],
    cut: NDArray[np.bool_],
) -> int:
    """Fill the rows; how many records there were."""
    count = 0
    for one in range(len(start)):
        at, stop, layout = start[one], end[one], which[one]
        low, high = first[layout], first[layout + 1]
        fields = lengths[low:high], place[low:high], kind[low:high]
        before = count
        if fixed[layout]:
            count += (stop - at) // least[layout]
            _fixed(data, at, least[layout], count - before, *fields, rows, before)
        else:
            while stop - at >= least[layout] and at >= 0:
                at = _varying(data, at, stop, *fields, rows, count)
                count += at >= 0
            cut[one] = at < 0
        of[before:count] = one
    return count


@borrowing
def _fixed(
    data: NDArray[np.uint8],
    at: int,
    apart: int,
    records: int,
    lengths: NDArray[np.int64],
    place: NDArray[np.int64],
    kind: NDArray[np.int64],
    rows: NDArray[np.uint64],
    before: int,
) -> None:
    """Records that are all of one length, field by field."""
    for field in range(len(lengths)):
        size, row = lengths[field], place[field]
        if row >= 0 and kind[field] == _NUMBER:
            _numbers(data, at + max(size - 8, 0), min(size, 8), apart, records, rows[row], before)
        elif row >= 0 and kind[field] == _SECTION:
            for record in range(records):
                rows[row, before + record], rows[row + 1, before + record] = at + record * apart, size
        elif row >= 0 and size == 16:
            _numbers(data, at, 8, apart, records, rows[row], before)
            _numbers(data, at + 8, 8, apart, records, rows[row + 1], before)
        elif row >= 0:
            rows[row : row + 2, before : before + records] = 0
        at += size


@borrowing
def _varying(
    data: NDArray[np.uint8],
    at: int,
    stop: int,
    lengths: NDArray[np.int64],
    place: NDArray[np.int64],
    kind: NDArray[np.int64],
    rows: NDArray[np.uint64],
    record: int,
) -> int:
    """One record with fields of variable length; where the next one begins, -1 where this one is cut short."""
    for field in range(len(lengths)):
        size, row = lengths[field], place[field]
        if size == 0xFFFF:
            size, at = _size(data, at, stop)
        if size > stop - at:
            return -1
        if row >= 0 and kind[field] == _NUMBER:
            rows[row, record] = np.uint64(number(data, at + max(size - 8, 0), min(size, 8)))
        elif row >= 0 and kind[field] == _SECTION:
            rows[row, record], rows[row + 1, record] = at, size
        elif row >= 0:
            rows[row, record] = np.uint64(number(data, at, 8)) if size == 16 else np.uint64(0)
            rows[row + 1, record] = np.uint64(number(data, at + 8, 8)) if size == 16 else np.uint64(0)
        at += size
    return at


@borrowing
def _numbers(
    data: NDArray[np.uint8], at: int, size: int, apart: int, records: int, column: NDArray[np.uint64], first: int
) -> None:
    """One field of records that are `apart` octets long each."""
    if size == 4:
        for record in range(records):
            place = at + record * apart
            column[first + record] = (
                np.uint64(data[place]) << np.uint64(24)
                | np.uint64(data[place + 1]) << np.uint64(16)
                | np.uint64(data[place + 2]) << np.uint64(8)
                | np.uint64(data[place + 3])
            )
    elif size == 2:
        for record in range(records):
            place = at + record * apart
            column[first + record] = np.uint64(data[place]) << np.uint64(8) | np.uint64(data[place + 1])
    elif size == 1:
        for record in range(records):
            column[first + record] = data[at + record * apart]
    else:
        for record in range(records):
            column[first + record] = np.uint64(number(data, at + record * apart, size))


@borrowing
def _size(data: NDArray[np.uint8], at: int, stop: int) -> tuple[int, int]:
    """Length of a field of variable length, and where it begins (RFC 7011, 7); longer than there is room, if cut."""
    if stop - at < 1:
        return 1, stop
    if data[at] < 255:
        return int(data[at]), at + 1
    if stop - at < 3:
        return 1, stop
    return number(data, at + 1, 2), at + 3
