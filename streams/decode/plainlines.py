"""Lines of flat JSON read without a parser, compiled: what collectors write when nothing is odd about it.

Most of a line are keys that nobody here reads, and most of it stands in the line before. The loop below goes over its
octets once, eight at a time, and takes of each wanted key the number or where its text stands. It understands one way
of writing JSON: no spaces, no escapes, ASCII, whole numbers without a sign. A frame in which a single octet is
otherwise is left to the parser, whose word on what is wrong stands.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.decode.columns import interned
from streams.decode.compiled import borrowing, inlined
from streams.decode.interning import empty_slots

ABSENT, NUMBER, TEXT, LIST = 0, 1, 2, 3
_QUOTE, _COMMA, _COLON, _OPEN, _CLOSE, _BEGIN, _END = b'",:[]{}'
_BEYOND = b"\n" * 16  # behind a frame: nothing that is read goes on there
_KEYS = 256  # of a line; more is for the parser
_ONE, _TWO, _EIGHT = np.uint64(1), np.uint64(2), np.uint64(8)
_EACH, _HIGH = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_PLACES = np.uint64(0x0001020304050607)  # times 1 << 8 * n has n as its highest octet
_QUOTES, _ESCAPES, _CONTROLS = (_EACH * np.uint64(one) for one in (0x22, 0x5C, 0x20))
_OTHERS = ~_HIGH


@dataclass(frozen=True, slots=True)
class Texts:
    """A column of n texts: the distinct ones, and which each is."""

    values: list[Any]
    index: NDArray[np.int32]


def texts(column: Sequence[Any]) -> Texts:
    """A column as a parser gives it."""
    return Texts(*interned(column))


@dataclass(frozen=True, slots=True)
class Fields:
    """n records and what stands in each of the wanted fields, in the order in which they were asked for."""

    frame: NDArray[np.uint8]
    kind: NDArray[np.uint8]  # n × fields
    value: NDArray[np.int64]  # n × fields: the number, or where the text or the list begins
    size: NDArray[np.int32]  # n × fields: octets of the text or list

    def __len__(self) -> int:
        return len(self.kind)

    def are(self, kinds: NDArray[np.uint8], highest: NDArray[np.int64]) -> bool:
        """Whether each field is of its kind wherever it is, and a number not over its highest."""
        return _are(self.kind, self.value, kinds, highest)

    def numbers(self, field: int, absent: int) -> NDArray[np.int64]:
        """A field of numbers."""
        return np.where(self.kind[:, field] == ABSENT, absent, self.value[:, field])

    def texts(self, field: int) -> Texts:
        """A field of texts or lists, "" where it is absent."""
        first, index = np.empty(len(self), np.int32), np.empty(len(self), np.int32)
        chosen = first[: _distinct(self.frame, self.value, self.size, field, empty_slots(len(self)), first, index)]
        starts, sizes = self.value[chosen, field].tolist(), self.size[chosen, field].tolist()
        values = [
            self.frame[start : start + size].tobytes().decode("ascii")
            for start, size in zip(starts, sizes, strict=True)
        ]
        return Texts(values, index)

    def dotted(self, field: int) -> tuple[NDArray[np.uint64], NDArray[np.bool_]] | None:
        """A field of IPv4 addresses, mapped into IPv6 and without the higher word, and where there are any.

        None where one is written otherwise or is none.
        """
        low, there = np.zeros(len(self), np.uint64), np.zeros(len(self), np.bool_)
        return (low, there) if _dotted(self.frame, self.value, self.size, field, low, there) else None


def read(frame: bytes, wanted: Sequence[str]) -> Fields | None:
    """The wanted fields of each line; None where a line is written otherwise, repeats a wanted key, or is no object."""
    octets = np.frombuffer(frame + _BEYOND, np.uint8)
    most = _breaks(octets)
    keys = [key.encode() for key in wanted]
    names = np.frombuffer(b"".join(keys), np.uint8)
    ends = np.cumsum([len(key) for key in keys])
    room = (most, len(keys))
    kind, value, size = np.empty(room, np.uint8), np.empty(room, np.int64), np.empty(room, np.int32)
    begins, values = np.empty(_KEYS + 1, np.uint64), np.empty(_KEYS, np.uint64)
    fields = np.empty(_KEYS, np.int64)
    count = _read(octets, len(frame), names, ends, begins, values, fields, kind, value, size)
    return Fields(octets, kind[:count], value[:count], size[:count]) if count > 0 else None


@borrowing
def _breaks(data: NDArray[np.uint8]) -> int:
    """How many ends of lines there are."""
    count = 0
    for at in range(len(data)):
        count += data[at] == 10
    return count


@borrowing
def _read(
    data: NDArray[np.uint8],
    end: int,
    names: NDArray[np.uint8],
    ends: NDArray[np.int64],
    begins: NDArray[np.uint64],
    values: NDArray[np.uint64],
    fields: NDArray[np.int64],
    kind: NDArray[np.uint8],
    value: NDArray[np.int64],
    size: NDArray[np.int32],
) -> int:
    """Fill the fields; how many lines there were, -1 where one is not understood.

    Of the pairs of key and value of the line before is kept where each begins, where its value begins, and the field.
    """
    at, record, pairs = np.uint64(0), 0, 0
    while at < np.uint64(end):
        if data[at] != 10:
            if data[at] != _BEGIN:
                return -1
            start = at + _ONE
            at = _again(data, start, begins, values, fields, pairs, kind, value, size, record) if pairs else start
            if at == start:
                at, pairs = _anew(data, start, names, ends, begins, values, fields, kind, value, size, record)
            if pairs == 0 or at > np.uint64(end) or (at < np.uint64(end) and data[at] != 10):
                return -1
            record += 1
        at += _ONE
    return record


@inlined
def _again(
    data: NDArray[np.uint8],
    start: np.uint64,
    begins: NDArray[np.uint64],
    values: NDArray[np.uint64],
    fields: NDArray[np.int64],
    pairs: int,
    kind: NDArray[np.uint8],
    value: NDArray[np.int64],
    size: NDArray[np.int32],
    record: int,
) -> np.uint64:
    """Fill the fields of a record that has the keys of the one before; where it ends, or `start` where it has not."""
    for field in range(kind.shape[1]):
        kind[record, field], value[record, field] = kind[record - 1, field], value[record - 1, field]
        size[record, field] = size[record - 1, field]
    at, reach = start, np.uint64(0)  # up to where the line before goes on as this one does
    for pair in range(pairs):
        before, after = begins[pair], begins[pair + 1]
        if reach <= before:
            reach = before + _alike(data, at, before, begins[pairs])
        key = values[pair] - before
        begins[pair], values[pair] = at, at + key
        if reach >= after:
            at += after - before
        elif reach < before + key:
            return start
        else:
            told, at = at + key, _take(data, at + key, fields[pair], kind, value, size, record)
            if at == told or data[at] != (_COMMA if pair + 1 < pairs else _END):
                return start
            at += _ONE
            reach = np.uint64(0)
    begins[pairs] = at
    return at


@borrowing
def _anew(
    data: NDArray[np.uint8],
    at: np.uint64,
    names: NDArray[np.uint8],
    ends: NDArray[np.int64],
    begins: NDArray[np.uint64],
    values: NDArray[np.uint64],
    fields: NDArray[np.int64],
    kind: NDArray[np.uint8],
    value: NDArray[np.int64],
    size: NDArray[np.int32],
    record: int,
) -> tuple[np.uint64, int]:
    """Fill the fields of one record; where it ends, and how many pairs it has: 0, not understood."""
    for field in range(kind.shape[1]):
        kind[record, field], value[record, field], size[record, field] = ABSENT, 0, 0
    for pair in range(_KEYS):
        begins[pair] = at
        start = _quote(data, at + _ONE)
        if data[at] != _QUOTE or data[start] != _QUOTE or data[start + _ONE] != _COLON:
            return at, 0
        field = _field(data, int(at) + 1, int(start - at) - 1, names, ends)
        start += _TWO
        values[pair], fields[pair] = start, field
        if field >= 0 and kind[record, field] != ABSENT:
            return at, 0
        at = _take(data, start, field, kind, value, size, record)
        if at == start:
            return at, 0
        at += _ONE
        if data[at - _ONE] != _COMMA:
            begins[pair + 1] = at
            return at, pair + 1 if data[at - _ONE] == _END else 0
    return at, 0


@inlined
def _take(
    data: NDArray[np.uint8],
    start: np.uint64,
    field: int,
    kind: NDArray[np.uint8],
    value: NDArray[np.int64],
    size: NDArray[np.int32],
    record: int,
) -> np.uint64:
    """Read a value, and note it where its field is wanted; behind it, or `start` where it is not understood."""
    what, at, number = _value(data, start)
    if field >= 0:
        kind[record, field] = what
        if what == NUMBER:
            value[record, field], size[record, field] = number, 0
        else:
            quote = np.uint64(what == TEXT)
            value[record, field] = np.int64(start + quote)
            size[record, field] = np.int32(at - start - quote - quote)
    return start if what == ABSENT else at


@inlined
def eight(data: NDArray[np.uint8], at: np.uint64) -> np.uint64:
    """Eight octets, the first the lowest."""
    octets = np.uint64(0)
    for place in range(8):
        octets |= np.uint64(data[at + np.uint64(place)]) << np.uint64(8 * place)
    return octets


@inlined
def _first(marks: np.uint64) -> np.uint64:
    """The first of eight octets whose highest bit is marked; there is one."""
    lowest = marks & (~marks + _ONE)
    return ((lowest >> np.uint64(7)) * _PLACES) >> np.uint64(56)


@inlined
def _alike(data: NDArray[np.uint8], at: np.uint64, other: np.uint64, end: np.uint64) -> np.uint64:
    """How many octets are the same in two places, up to where the second ends."""
    start = other
    while other < end:
        apart = eight(data, at) ^ eight(data, other)
        if apart != 0:
            other += _first((((apart & _OTHERS) + _OTHERS) | apart) & _HIGH)
            break
        at += _EIGHT
        other += _EIGHT
    return min(other, end) - start


@inlined
def _quote(data: NDArray[np.uint8], at: np.uint64) -> np.uint64:
    """The next quote; where an escape, a control character or what is not ASCII comes before it, that."""
    while True:
        octets = eight(data, at)
        quote, escape = octets ^ _QUOTES, octets ^ _ESCAPES
        # An octet borrows from the next only where it is marked itself: the first mark is true.
        marks = ((quote - _EACH) & ~quote) | ((escape - _EACH) & ~escape) | ((octets - _CONTROLS) & ~octets) | octets
        if marks & _HIGH != 0:
            return at + _first(marks & _HIGH)
        at += _EIGHT


@inlined
def _digits(data: NDArray[np.uint8], at: np.uint64) -> tuple[np.uint64, np.int64]:
    """Behind a whole number that fits 64 bits, and the number; `at` itself where there is none."""
    start, number = at, np.int64(0)
    while 48 <= data[at] <= 57:
        number = number * 10 + np.int64(data[at]) - 48
        at += _ONE
    digits = at - start
    if digits > 1 and (data[start] == 48 or digits > 19 or (digits == 19 and data[start] > 56)):
        at = start
    return at, number


@inlined
def _value(data: NDArray[np.uint8], at: np.uint64) -> tuple[int, np.uint64, np.int64]:
    """A value's kind, ABSENT for what is not understood, where it ends, and the number that it is."""
    start, number = at, np.int64(0)
    if data[at] == _QUOTE:
        at = _quote(data, at + _ONE)
        return (TEXT if data[at] == _QUOTE else ABSENT), at + _ONE, number
    if data[at] != _OPEN:
        at, number = _digits(data, at)
        return (NUMBER if at > start else ABSENT), at, number
    at += _ONE
    if data[at] == _CLOSE:
        return LIST, at + _ONE, number
    while True:
        start = at
        if data[at] == _QUOTE:
            at = _quote(data, at + _ONE)
            if data[at] != _QUOTE:
                return ABSENT, at, number
            at += _ONE
        else:
            at, _ = _digits(data, at)
        if at == start or (data[at] != _COMMA and data[at] != _CLOSE):
            return ABSENT, at, number
        at += _ONE
        if data[at - _ONE] == _CLOSE:
            return LIST, at, number


@borrowing
def _are(
    kind: NDArray[np.uint8], value: NDArray[np.int64], kinds: NDArray[np.uint8], highest: NDArray[np.int64]
) -> bool:
    sound = True
    for record in range(kind.shape[0]):
        for field in range(kind.shape[1]):
            what = kind[record, field]
            high = what == NUMBER and value[record, field] > highest[field]
            sound &= (what == kinds[field] or what == ABSENT) and not high
    return sound


@borrowing
def _field(data: NDArray[np.uint8], start: int, length: int, names: NDArray[np.uint8], ends: NDArray[np.int64]) -> int:
    """The number of a wanted key, -1 for another."""
    first = 0
    for field in range(len(ends)):
        if ends[field] - first == length:
            same = True
            for place in range(length):
                same = same and data[start + place] == names[first + place]
            if same:
                return field
        first = ends[field]
    return -1


@borrowing
def _distinct(
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int32],
    field: int,
    slots: NDArray[np.int32],
    first: NDArray[np.int32],
    index: NDArray[np.int32],
) -> int:
    """Number texts in the order in which they come; `first` is a record that has each, and their count is returned."""
    count, mask = 0, np.uint64(len(slots) - 1)
    for at in range(len(index)):
        start, size = np.uint64(starts[at, field]), np.uint64(sizes[at, field])
        if at and starts[at, field] == starts[at - 1, field] and sizes[at, field] == sizes[at - 1, field]:
            index[at] = index[at - 1]
            continue
        slot = _mixed(data, start, size) & mask
        while True:
            found = slots[slot]
            if found < 0:
                slots[slot] = count
                first[count], index[at] = at, count
                count += 1
                break
            other = first[found]
            begin = np.uint64(starts[other, field])
            if np.uint64(sizes[other, field]) == size and _alike(data, start, begin, begin + size) == size:
                index[at] = found
                break
            slot = (slot + _ONE) & mask
    return count


@inlined
def _mixed(data: NDArray[np.uint8], at: np.uint64, size: np.uint64) -> np.uint64:
    """A number that is the same for the same text."""
    mixed, end = size, at + size
    while at < end:
        octets = eight(data, at)
        if end - at < _EIGHT:
            octets &= (_ONE << (_EIGHT * (end - at))) - _ONE
        mixed = (mixed ^ octets) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
        at += _EIGHT
    return mixed


@borrowing
def _dotted(
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int32],
    field: int,
    low: NDArray[np.uint64],
    there: NDArray[np.bool_],
) -> bool:
    """Fill the addresses; whether each of them was one, or absent."""
    for at in range(len(low)):
        size = sizes[at, field]
        if size == 0:
            continue
        part, digits, parts, number = 0, 0, 0, 0
        start = np.uint64(starts[at, field])
        for step in range(size):
            one = int(data[start + np.uint64(step)])
            if 48 <= one <= 57 and digits < 3 and not (digits and part == 0):
                part, digits = 10 * part + one - 48, digits + 1
            elif one == 46 and digits and part < 256:
                number, part, digits, parts = number << 8 | part, 0, 0, parts + 1
            else:
                return False
        if parts != 3 or not digits or part > 255:
            return False
        low[at], there[at] = np.uint64(0xFFFF_0000_0000 | number << 8 | part), True
    return True
