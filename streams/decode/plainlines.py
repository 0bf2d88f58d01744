"""Lines of flat JSON read without a parser, compiled: what collectors write when nothing is odd about it.

Most of a line are keys that nobody here reads, and most of it stands in the line before. The loop below keeps a
pattern: a line, cut where values were seen to change. Of the next line it compares what stands between those values
with the pattern, eight octets at a time, and reads the values; the other fields are those of the line before. It
understands one way of writing JSON: no spaces, no escapes, ASCII, whole numbers without a sign. A frame in which a
single octet is otherwise is left to the parser, whose word on what is wrong stands.
"""

import numpy as np
from numpy.typing import NDArray

from streams.decode.compiled import borrowing, inlined
from streams.decode.octets import BEGIN, BREAK, COLON, COMMA, END, ONE, QUOTE, TWO, quote, same
from streams.decode.values import (
    LIST,
    NUMBER,
    OCTETS,
    STAMP,
    TEXT,
    TEXTS,
    TOKEN,
    Integers,
    Octets,
    numbered,
    seconds_at,
    value_at,
)

PAIRS = 256  # of a line; more is for the parser
LONGEST = 1 << 14  # of a line; longer is for the parser
NOT_PLAIN, NO_ROOM = -1, -2
RECORDS, PATTERN, PIECES, STATE = 2, 3, 4, 5
"""What `state` holds besides: records told, pairs of the pattern, and its pieces."""

_KEY, _VALUE, _AFTER, _FIELD, _CHANGES, _NEW_KEY, _NEW_VALUE, _NEW_AFTER, _FROM, _LONG, _OF, ROWS = range(12)
"""What `shape` holds: of each pair of the pattern where key and value begin and the value ends, its field, and whether
it changes; the same of a line that becomes the pattern; of each piece where it begins, its octets, and what follows.
"""
_NAME, _KIND, _MOST, _ABSENT, _GROUP = range(5)
_UNWANTED, _UNSEEN = -1, -(1 << 63)


@borrowing
def read_lines(
    frame: Octets,
    cut: int,
    rest: Octets,
    end: int,
    names: Octets,
    fields: Integers,
    pattern: Octets,
    shape: Integers,
    told: Integers,
    slots: NDArray[np.int32],
    ink: Octets,
    entries: Integers,
    ranks: Integers,
    state: Integers,
) -> int:
    """Tell the fields of all lines, of `frame` up to `cut` and of `rest` up to `end`; how many lines there were.

    NOT_PLAIN where one is not understood, NO_ROOM where `told`, `ink` or `entries` do not suffice. Behind either end
    stand sixteen octets or more. `fields` are, for each, the end of its name in `names`, its kind, its highest number,
    what it is where it is absent, and its group.
    """
    done = _lines(frame, cut, names, fields, pattern, shape, told, slots, ink, entries, ranks, state)
    if done >= 0:
        done = _lines(rest, end, names, fields, pattern, shape, told, slots, ink, entries, ranks, state)
    return done


@borrowing
def _lines(
    data: Octets,
    end: int,
    names: Octets,
    fields: Integers,
    pattern: Octets,
    shape: Integers,
    told: Integers,
    slots: NDArray[np.int32],
    ink: Octets,
    entries: Integers,
    ranks: Integers,
    state: Integers,
) -> int:
    at, behind = np.uint64(0), np.uint64(end)
    while at < behind:
        if data[at] != BREAK:
            record = state[RECORDS]
            if record >= len(told) or state[TEXTS] + fields.shape[1] >= len(entries):
                return NO_ROOM
            start = at
            if state[PIECES] > 0:
                at = _again(data, start, fields, pattern, shape, told, record, slots, ink, entries, ranks, state)
            if at == start:
                at = _anew(data, start, names, fields, pattern, shape, told, record, slots, ink, entries, ranks, state)
            if state[OCTETS] < 0:
                return NO_ROOM
            if at == start or at > behind or (at < behind and data[at] != BREAK):
                return NOT_PLAIN
            state[RECORDS] += 1
        at += ONE
    return int(state[RECORDS])


@inlined
def _again(
    data: Octets,
    start: np.uint64,
    fields: Integers,
    pattern: Octets,
    shape: Integers,
    told: Integers,
    record: int,
    slots: NDArray[np.int32],
    ink: Octets,
    entries: Integers,
    ranks: Integers,
    state: Integers,
) -> np.uint64:
    """Tell the fields of a line that fits the pattern; where it ends, or `start` where it does not."""
    for field in range(told.shape[1]):
        told[record, field] = told[record - 1, field]
    at, pieces = start, state[PIECES]
    for piece in range(pieces):
        size = np.uint64(shape[_LONG, piece])
        if at + size > np.uint64(len(data)) or not same(data, at, pattern, np.uint64(shape[_FROM, piece]), size):
            return start
        at += size
        if piece + 1 < pieces:
            value = at
            at = _take(data, value, shape[_OF, piece], fields, told, record, slots, ink, entries, ranks, state)
            if at == value:
                return start
    return at


@borrowing
def _anew(
    data: Octets,
    start: np.uint64,
    names: Octets,
    fields: Integers,
    pattern: Octets,
    shape: Integers,
    told: Integers,
    record: int,
    slots: NDArray[np.int32],
    ink: Octets,
    entries: Integers,
    ranks: Integers,
    state: Integers,
) -> np.uint64:
    """Tell the fields of any line, which becomes the pattern; where it ends, or `start` where it is not understood."""
    if data[start] != BEGIN:
        return start
    for field in range(told.shape[1]):
        told[record, field] = _UNSEEN
    at, pairs, guess = start + ONE, 0, 0
    while True:
        key = at
        after = quote(data, key + ONE)
        if pairs == PAIRS or data[key] != QUOTE or data[after] != QUOTE or data[after + ONE] != COLON:
            return start
        field = _field(data, key + ONE, after - key - ONE, names, fields, guess)
        value = after + TWO
        if field >= 0:
            guess = field + 1
            if told[record, field] != _UNSEEN:
                return start
        at = _take(data, value, field, fields, told, record, slots, ink, entries, ranks, state)
        if at == value:
            return start
        shape[_NEW_KEY, pairs], shape[_NEW_VALUE, pairs] = np.int64(key - start), np.int64(value - start)
        shape[_NEW_AFTER, pairs] = np.int64(at - start)
        shape[_FIELD, pairs] = field
        pairs += 1
        at += ONE
        if data[at - ONE] != COMMA:
            break
    if data[at - ONE] != END or at - start > np.uint64(LONGEST):
        return start
    _miss(fields, told, record, slots, ink, entries, ranks, state)
    _cut(data, start, at, pairs, pattern, shape, state)
    return at


@inlined
def _miss(
    fields: Integers,
    told: Integers,
    record: int,
    slots: NDArray[np.int32],
    ink: Octets,
    entries: Integers,
    ranks: Integers,
    state: Integers,
) -> None:
    """Tell the fields that a line has not."""
    for field in range(told.shape[1]):
        if told[record, field] == _UNSEEN:
            told[record, field] = fields[_ABSENT, field]
            if fields[_KIND, field] not in (NUMBER, STAMP):
                group, nothing = fields[_GROUP, field], np.uint64(0)
                told[record, field] = numbered(ink, nothing, nothing, group, slots, ink, entries, ranks, state)


@inlined
def _cut(
    data: Octets, start: np.uint64, end: np.uint64, pairs: int, pattern: Octets, shape: Integers, state: Integers
) -> None:
    """Make a line the pattern, and cut it where its values changed, now or before, since lines had these keys."""
    alike = state[PATTERN] == pairs
    for pair in range(pairs):
        if alike:
            key, size = np.uint64(shape[_NEW_KEY, pair]), np.uint64(shape[_NEW_VALUE, pair] - shape[_NEW_KEY, pair])
            alike = shape[_VALUE, pair] - shape[_KEY, pair] == np.int64(size)
            alike = alike and same(data, start + key, pattern, np.uint64(shape[_KEY, pair]), size)
    for pair in range(pairs):
        value, size = np.uint64(shape[_NEW_VALUE, pair]), np.uint64(shape[_NEW_AFTER, pair] - shape[_NEW_VALUE, pair])
        if not alike:
            shape[_CHANGES, pair] = 0
        elif shape[_AFTER, pair] - shape[_VALUE, pair] != np.int64(size) or not same(
            data, start + value, pattern, np.uint64(shape[_VALUE, pair]), size
        ):
            shape[_CHANGES, pair] = 1
    pieces, begin = 0, 0
    for pair in range(pairs):
        for row in range(3):
            shape[_KEY + row, pair] = shape[_NEW_KEY + row, pair]
        if shape[_CHANGES, pair]:
            shape[_FROM, pieces], shape[_LONG, pieces] = begin, shape[_VALUE, pair] - begin
            shape[_OF, pieces] = shape[_FIELD, pair]
            begin = shape[_AFTER, pair]
            pieces += 1
    long = np.int64(end - start)
    shape[_FROM, pieces], shape[_LONG, pieces] = begin, long - begin
    for place in range(long):
        pattern[place] = data[start + np.uint64(place)]
    state[PATTERN], state[PIECES] = pairs, pieces + 1


@inlined
def _take(
    data: Octets,
    start: np.uint64,
    field: int,
    fields: Integers,
    told: Integers,
    record: int,
    slots: NDArray[np.int32],
    ink: Octets,
    entries: Integers,
    ranks: Integers,
    state: Integers,
) -> np.uint64:
    """Read a value, and tell it where its field is wanted; behind it, or `start` where it is not understood."""
    what, at, number = value_at(data, start)
    if at == start or field < 0:
        return at
    wanted, begin, size = fields[_KIND, field], start, at - start
    if (wanted not in (TOKEN, STAMP, what)) or (wanted == STAMP and what == LIST):
        return start
    if what == NUMBER and wanted != TOKEN and number > fields[_MOST, field]:
        return start
    if wanted == STAMP and what == TEXT:
        number = seconds_at(data, start + ONE, at - ONE)
    if wanted == TEXT:
        begin, size = start + ONE, size - TWO
    if wanted not in (NUMBER, STAMP) or (number == 0 and what == TEXT and size > TWO):
        number = numbered(data, begin, size, fields[_GROUP, field], slots, ink, entries, ranks, state)
        number = -1 - number if wanted == STAMP else number
    told[record, field] = number
    return at


@borrowing
def _field(data: Octets, start: np.uint64, length: np.uint64, names: Octets, fields: Integers, guess: int) -> int:
    """The number of a wanted key, -1 for another; it is looked for first where it would stand in order."""
    count = fields.shape[1]
    for step in range(count):
        field = guess + step
        field = field - count if field >= count else field
        first = np.uint64(fields[_NAME, field - 1]) if field else np.uint64(0)
        if np.uint64(fields[_NAME, field]) - first == length and same(data, start, names, first, length):
            return field
    return _UNWANTED
