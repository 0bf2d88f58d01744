"""Lines of flat JSON read without a parser, compiled: what collectors write when nothing is odd about it.

Most of a line are keys that nobody here reads. The loop below goes over its octets once, and takes of each wanted key
the number or where its text stands. It understands one way of writing JSON: no spaces, no escapes, ASCII, whole numbers
without a sign. A frame in which a single octet is otherwise is left to the parser, whose word on what is wrong stands.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.decode.columns import interned
from streams.decode.compiled import compiled, inlined

ABSENT, NUMBER, TEXT, LIST = 0, 1, 2, 3
_QUOTE, _COMMA, _COLON, _OPEN, _CLOSE, _BEGIN, _END = b'",:[]{}'
_BEYOND = b"\n\n\n\n"  # behind a frame: nothing that is read goes on there
_KEYS = 256  # of a line; more is for the parser
_ONE = np.uint64(1)


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
    kind: NDArray[np.uint8]  # fields × n
    value: NDArray[np.int64]  # fields × n: the number, or where the text or the list begins
    size: NDArray[np.int32]  # fields × n: octets of the text or list

    def __len__(self) -> int:
        return int(self.kind.shape[1])

    def only(self, field: int, kind: int) -> bool:
        """Whether the field is of this kind wherever it is."""
        column = self.kind[field]
        return bool(((column == kind) | (column == ABSENT)).all())

    def numbers(self, field: int, absent: int) -> NDArray[np.int64]:
        """A field of numbers."""
        column = self.kind[field]
        return self.value[field] if column.all() else np.where(column == ABSENT, absent, self.value[field])

    def texts(self, field: int) -> Texts:
        """A field of texts or lists, "" where it is absent."""
        first = np.empty(len(self), np.int32)
        index = np.empty(len(self), np.int32)
        count = _distinct(self.frame, self.value[field], self.size[field], first, index)
        starts, sizes = self.value[field][first[:count]].tolist(), self.size[field][first[:count]].tolist()
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
        return (low, there) if _dotted(self.frame, self.value[field], self.size[field], low, there) else None


def read(frame: bytes, wanted: Sequence[str]) -> Fields | None:
    """The wanted fields of each line; None where a line is written otherwise, repeats a wanted key, or is no object."""
    if not frame.isascii() or b"\\" in frame:
        return None
    most = frame.count(b"\n") + 1
    keys = [key.encode() for key in wanted]
    names = np.frombuffer(b"".join(keys), np.uint8)
    ends = np.cumsum([len(key) for key in keys])
    kind = np.zeros((len(keys), most), np.uint8)
    value, size = np.zeros((len(keys), most), np.int64), np.zeros((len(keys), most), np.int32)
    octets = np.frombuffer(frame + _BEYOND, np.uint8)
    count = _read(octets, len(frame), names, ends, kind, value, size)
    if count <= 0:
        return None
    return Fields(octets, kind[:, :count], value[:, :count], size[:, :count])


@compiled
def _read(
    data: NDArray[np.uint8],
    end: int,
    names: NDArray[np.uint8],
    ends: NDArray[np.int64],
    kind: NDArray[np.uint8],
    value: NDArray[np.int64],
    size: NDArray[np.int32],
) -> int:
    """Fill the fields; how many lines there were, -1 where one is not understood."""
    at, record = np.uint64(0), 0
    begins, values = np.zeros((2, _KEYS + 1), np.uint64), np.zeros((2, _KEYS), np.uint64)
    fields, places = np.zeros((2, _KEYS), np.int64), 0
    while at < np.uint64(end):
        if data[at] != 10:
            if data[at] != _BEGIN:
                return -1
            at, places = _line(data, at + _ONE, names, ends, begins, values, fields, places, kind, value, size, record)
            if places == 0 or at > np.uint64(end) or (at < np.uint64(end) and data[at] != 10):
                return -1
            record += 1
        at += _ONE
    return record


@compiled
def _line(
    data: NDArray[np.uint8],
    at: np.uint64,
    names: NDArray[np.uint8],
    ends: NDArray[np.int64],
    begins: NDArray[np.uint64],
    values: NDArray[np.uint64],
    fields: NDArray[np.int64],
    before: int,
    kind: NDArray[np.uint8],
    value: NDArray[np.int64],
    size: NDArray[np.int32],
    record: int,
) -> tuple[np.uint64, int]:
    """Fill the fields of one record; where it ends, and how many pairs of key and value it has: 0, not understood.

    Of the pairs of this line and of the one before it, which had `before`, is noted where each begins, where its value
    begins, and the field. What is the same as in the line before is not read again.
    """
    now, last = record & 1, 1 - record & 1
    reach = np.uint64(0)  # up to here the line before goes on as this one does
    for place in range(_KEYS):
        begins[now, place] = at
        alike, other = np.uint64(0), np.uint64(0)
        if place < before:
            other = begins[last, place]
            if reach <= other:
                reach = other + _alike(data, at, other, begins[last, before])
            alike = reach - other
        field = 0
        if alike > 0 and other + alike >= begins[last, place + 1]:
            field = int(fields[last, place])
            fields[now, place], values[now, place] = field, at + (values[last, place] - other)
            if field >= 0:
                if kind[field, record] != ABSENT:
                    return at, 0
                kind[field, record], value[field, record] = kind[field, record - 1], value[field, record - 1]
                size[field, record] = size[field, record - 1]
            at += begins[last, place + 1] - other
        else:
            if alike > 0 and other + alike >= values[last, place]:
                field, start = int(fields[last, place]), at + (values[last, place] - other)
            else:
                start = _quote(data, at + _ONE)
                if data[at] != _QUOTE or data[start] != _QUOTE or data[start + _ONE] != _COLON:
                    return at, 0
                field = _field(data, int(at) + 1, int(start - at) - 1, names, ends)
                start += np.uint64(2)
            fields[now, place], values[now, place], reach = field, start, np.uint64(0)
            if field >= 0 and kind[field, record] != ABSENT:
                return at, 0
            at = _take(data, start, field, kind, value, size, record)
            if at == start:
                return at, 0
            at += _ONE
        if data[at - _ONE] != _COMMA:
            begins[now, place + 1] = at
            return at, place + 1 if data[at - _ONE] == _END else 0
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
    what, at = _value(data, start)
    if field >= 0:
        kind[field, record] = what
        if what == NUMBER:
            value[field, record] = _number(data, start, at)
        else:
            quote = np.uint64(what == TEXT)
            value[field, record] = np.int64(start + quote)
            size[field, record] = np.int32(at - start - quote - quote)
    return start if what == ABSENT else at


@inlined
def _alike(data: NDArray[np.uint8], at: np.uint64, other: np.uint64, end: np.uint64) -> np.uint64:
    """How many octets are the same in two places, up to where the second ends."""
    start = other
    while other < end and data[at] == data[other]:
        at += _ONE
        other += _ONE
    return other - start


@inlined
def _quote(data: NDArray[np.uint8], at: np.uint64) -> np.uint64:
    """The next quote; where a control character comes before it, that."""
    while data[at] != _QUOTE and data[at] >= 32:
        at += _ONE
    return at


@inlined
def _digits(data: NDArray[np.uint8], at: np.uint64) -> np.uint64:
    """Behind a whole number that fits 64 bits; `at` itself where there is none."""
    start = at
    while 48 <= data[at] <= 57:
        at += _ONE
    digits = at - start
    if digits > 1 and (data[start] == 48 or digits > 19 or (digits == 19 and data[start] > 56)):
        return start
    return at


@inlined
def _number(data: NDArray[np.uint8], at: np.uint64, end: np.uint64) -> int:
    number = np.int64(0)
    while at < end:
        number = number * 10 + np.int64(data[at]) - 48
        at += _ONE
    return int(number)


@inlined
def _value(data: NDArray[np.uint8], at: np.uint64) -> tuple[int, np.uint64]:
    """A value's kind, ABSENT for what is not understood, and where it ends."""
    start = at
    if data[at] == _QUOTE:
        at = _quote(data, at + _ONE)
        return (TEXT if data[at] == _QUOTE else ABSENT), at + _ONE
    if data[at] != _OPEN:
        at = _digits(data, at)
        return (NUMBER if at > start else ABSENT), at
    at += _ONE
    if data[at] == _CLOSE:
        return LIST, at + _ONE
    while True:
        start = at
        if data[at] == _QUOTE:
            at = _quote(data, at + _ONE)
            if data[at] != _QUOTE:
                return ABSENT, at
            at += _ONE
        else:
            at = _digits(data, at)
        if at == start or (data[at] != _COMMA and data[at] != _CLOSE):
            return ABSENT, at
        at += _ONE
        if data[at - _ONE] == _CLOSE:
            return LIST, at


@compiled
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


@compiled
def _distinct(
    data: NDArray[np.uint8],
    start: NDArray[np.int64],
    size: NDArray[np.int32],
    first: NDArray[np.int32],
    index: NDArray[np.int32],
) -> int:
    """Number texts in the order in which they come; `first` is a record that has each, and their count is returned."""
    room = 16
    while room < 2 * len(start):
        room *= 2
    slots, mask = np.full(room, -1, np.int32), np.uint64(room - 1)
    count = 0
    for at in range(len(start)):
        if at and start[at] == start[at - 1] and size[at] == size[at - 1]:
            index[at] = index[at - 1]
            continue
        mixed = np.uint64(size[at])
        for place in range(start[at], start[at] + size[at]):
            mixed = (mixed ^ np.uint64(data[place])) * np.uint64(0x100000001B3)
        slot = (mixed ^ (mixed >> np.uint64(29))) & mask
        while True:
            found = slots[slot]
            if found < 0:
                slots[slot] = count
                first[count], index[at] = at, count
                count += 1
                break
            other = first[found]
            same = size[other] == size[at]
            place = 0
            while same and place < size[at]:
                same = data[start[other] + place] == data[start[at] + place]
                place += 1
            if same:
                index[at] = found
                break
            slot = (slot + np.uint64(1)) & mask
    return count


@compiled
def _dotted(
    data: NDArray[np.uint8],
    start: NDArray[np.int64],
    size: NDArray[np.int32],
    low: NDArray[np.uint64],
    there: NDArray[np.bool_],
) -> bool:
    """Fill the addresses; whether each of them was one, or absent."""
    for at in range(len(start)):
        if size[at] == 0:
            continue
        part, digits, parts, number = 0, 0, 0, 0
        for place in range(start[at], start[at] + size[at]):
            one = int(data[place])
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
