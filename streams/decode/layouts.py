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
from streams.decode.compiled import compiled
from streams.decode.elements import ELEMENTS, PREFERRED, SLOTS, UNITS, WIDE, Slot, Unit
from streams.decode.packets import number

V9, IPFIX = 9, 10
FIRST_DATA = 256
VARIABLE = 0xFFFF
SHORTEST = 4
"""Octets. Shorter records say nothing that is read here, and a set of them would take much room."""

_UNREAD = -1
_ENTERPRISE = 0x8000
_SCOPE_INTERFACE_V9 = 2  # RFC 3954, 6.1
_TIMES = (Slot.START, Slot.END, Slot.DURATION)
_pair = struct.Struct(">HH").unpack_from


@dataclass(frozen=True)
class Layout:
    """The fields of a record, in order: element numbers (-1 for an enterprise's own) and lengths."""

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
    def counts_traffic(self) -> bool:
        """Whether its records say how much was sent."""
        return not self.options and bool(self.held & {Slot.OCTETS, Slot.PACKETS})

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
            element, at = _UNREAD, at + 4
        elements.append(element)
        lengths.append(length)
    if at > len(body):
        raise BadInput("template cut short")
    return at, tuple(elements), tuple(lengths)


@dataclass(frozen=True, slots=True)
class Values:
    """n records: a column for each Slot, 0 where a record has no such field, and the set that each stood in."""

    column: NDArray[np.uint64]  # SLOTS × n
    of: NDArray[np.int64]
    cut: NDArray[np.bool_]  # of each set: it ended within a record

    def picked(self, chosen: NDArray[np.bool_]) -> "Values":
        """These records only."""
        return Values(self.column[:, chosen], self.of[chosen], self.cut)


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
    room = int(((end - start) // least[which]).sum()) + 1 if len(layouts) else 1
    column, of = np.zeros((SLOTS, room), np.uint64), np.zeros(room, np.int64)
    if not len(start):
        return Values(column[:, :0], of[:0], cut)
    first = np.concatenate(([0], np.cumsum([len(layout.lengths) for layout in layouts]))).astype(np.int64)
    lengths = np.array([length for layout in layouts for length in layout.lengths], np.int64)
    slots = np.array([slot for layout in layouts for slot in layout.slots], np.int64)
    wide = np.array([slot in WIDE for slot in range(SLOTS)], np.bool_)
    count = _read(data, start, end, which, first, lengths, slots, least, wide, column, of, cut)
    return Values(column[:, :count], of[:count], cut)


@compiled
def _read(
    data: NDArray[np.uint8],
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    which: NDArray[np.int64],
    first: NDArray[np.int64],
    lengths: NDArray[np.int64],
    slots: NDArray[np.int64],
    least: NDArray[np.int64],
    wide: NDArray[np.bool_],
    column: NDArray[np.uint64],
    of: NDArray[np.int64],
    cut: NDArray[np.bool_],
) -> int:
    """Fill the columns; how many records there were."""
    count = 0
    for place in range(len(start)):
        at, stop, layout = start[place], end[place], which[place]
        while stop - at >= least[layout] and not cut[place]:
            for field in range(first[layout], first[layout + 1]):
                size, slot = lengths[field], slots[field]
                if size == 0xFFFF:
                    size, at = _size(data, at, stop)
                if size > stop - at:
                    cut[place] = True
                    break
                if slot >= 0:
                    if not wide[slot]:
                        column[slot, count] = np.uint64(number(data, at + max(size - 8, 0), min(size, 8)))
                    elif size == 16:
                        column[slot, count] = np.uint64(number(data, at, 8))
                        column[slot + 1, count] = np.uint64(number(data, at + 8, 8))
                at += size
            if cut[place]:
                column[:, count] = 0
            else:
                of[count] = place
                count += 1
    return count


@compiled
def _size(data: NDArray[np.uint8], at: int, stop: int) -> tuple[int, int]:
    """Length of a field of variable length, and where it begins (RFC 7011, 7); longer than there is room, if cut."""
    if stop - at < 1:
        return 1, stop
    if data[at] < 255:
        return int(data[at]), at + 1
    if stop - at < 3:
        return 1, stop
    return number(data, at + 1, 2), at + 3
