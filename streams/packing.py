"""Rows of a frame as bodies for each activity partition, in the layout of `streams.messages`, compiled.

A frame of samples has rows by the hundred and columns by the dozen, for each of the partitions: to cut, shrink and copy
each by NumPy would cost more than all that goes before.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.decode.compiled import compiled
from streams.keys import WIDTH
from streams.messages import BITS, COLUMNS, COUNTS, PEERS, Body, Laid, Texts, encode
from streams.rows import NCOL, Rows


class Table(NamedTuple):
    """n rows and what belongs to them, as `streams.rows.Rows` has it."""

    number: NDArray[np.int64]  # of the key: equal for equal keys
    key: NDArray[np.uint64]  # n × 4: its octets as words
    tick: NDArray[np.int64]
    first_ns: NDArray[np.int64]
    exporter: NDArray[np.int32]
    span: NDArray[np.int32]
    vantage: NDArray[np.int8]
    flags: NDArray[np.int8]
    interface: NDArray[np.int64]
    mac: NDArray[np.int64]
    counts: NDArray[np.int64]
    peer_row: NDArray[np.int32]
    peer: NDArray[np.uint64]  # × 2
    peer_bytes: NDArray[np.int64]
    bit_row: NDArray[np.int32]
    bit: NDArray[np.int16]


class Packed(NamedTuple):
    """The columns of each partition."""

    octets: NDArray[np.uint8]
    ends: NDArray[np.int64]  # of partitions, in `octets`
    pieces: NDArray[np.int64]  # partitions × columns × 2: start among the partition's octets, octets of a number
    row_ends: NDArray[np.int64]
    bit_ends: NDArray[np.int64]
    texts: NDArray[np.int64]  # partitions × 4: how many keys, where they stand among the octets, the same of peers
    differ: NDArray[np.uint64]  # partitions × 6: octets in which not all keys, or peers, are alike are not zero


def bodies(heads: Sequence[Body], rows: Rows, number: NDArray[np.int64], home: NDArray[np.int64]) -> list[bytes]:
    """A body for each partition: `heads` with the rows that are at home there.

    `number` says which rows have the same key.
    """
    table = Table(
        number, _words(rows.key), rows.tick, rows.first_ns, rows.exporter, rows.span, rows.vantage, rows.flags,
        np.ascontiguousarray(rows.interface), np.ascontiguousarray(rows.mac), rows.counts, rows.peer_row,
        _words(rows.peer), rows.peer_bytes, rows.bit_row, rows.bit,
    )  # fmt: skip
    tick, first_ns = int(rows.tick.min()), int(rows.first_ns.min())
    found = _packed(table, home, len(heads), np.array([tick, first_ns], np.int64))
    octets, differ = found.octets.data, found.differ.view(np.uint8) != 0
    made, at, row_at, bit_at = [], 0, 0, 0
    ends = np.stack((found.ends, found.row_ends, found.bit_ends), axis=1).tolist()
    for place, (head, (end, row_end, bit_end)) in enumerate(zip(heads, ends, strict=True)):
        if row_end > row_at:
            keys, keys_at, peers, peers_at = found.texts[place].tolist()
            head.rows = Laid(
                rows=row_end - row_at,
                bits=bit_end - bit_at,
                tick=tick,
                first_ns=first_ns,
                pieces=found.pieces[place].tobytes(),
                keys=Texts(keys, _places_of(differ[place, :WIDTH]), keys_at),
                peers=Texts(peers, _places_of(differ[place, WIDTH:]), peers_at),
                octets=octets[at:end],
            )
        made.append(encode(head, None))
        at, row_at, bit_at = end, row_end, bit_end
    return made


def _words(texts: NDArray[np.bytes_]) -> NDArray[np.uint64]:
    """Texts of a whole number of words, as these."""
    return np.ascontiguousarray(texts).view(np.uint64).reshape(len(texts), texts.itemsize // 8)


def _places_of(differ: NDArray[np.bool_]) -> bytes:
    return np.flatnonzero(differ).astype(np.uint8).tobytes()


@compiled
def _packed(table: Table, home: NDArray[np.int64], partitions: int, base: NDArray[np.int64]) -> Packed:
    rows, counts = len(home), table.counts
    order, ends = _by_home(home, partitions)
    peers, peer_ends = _by_home(home[table.peer_row], partitions)
    bits, bit_ends = _by_home(home[table.bit_row], partitions)
    key, first_row, key_ends = _keys(table.number, order, ends)
    place = _places(order, ends)
    most = rows * PEERS + 2 * len(peers) + 2 * len(bits) + partitions * (COLUMNS + 1)  # and gaps before columns
    most += len(first_row) * WIDTH // 8 + 2 * len(peers) + partitions * (WIDTH // 8 + 2)
    octets = np.empty(8 * most, np.uint8)
    pieces, octet_ends = np.zeros((partitions, COLUMNS, 2), np.int64), np.zeros(partitions, np.int64)
    texts, differ = np.zeros((partitions, 4), np.int64), np.zeros((partitions, WIDTH // 8 + 2), np.uint64)
    at, low, low_peer, low_bit, low_key = 0, 0, 0, 0, 0
    for partition in range(partitions):
        mine, met = order[low : ends[partition]], peers[low_peer : peer_ends[partition]]
        marked, into, begin = bits[low_bit : bit_ends[partition]], pieces[partition], at
        low, low_peer, low_bit = ends[partition], peer_ends[partition], bit_ends[partition]
        at = _put(key, mine, 0, octets, at, into[0])
        at = _put(table.tick, mine, base[0], octets, at, into[1])
        at = _put(table.first_ns, mine, base[1], octets, at, into[2])
        at = _put(table.exporter, mine, 0, octets, at, into[3])
        at = _put(table.span, mine, 0, octets, at, into[4])
        at = _put(table.vantage, mine, 0, octets, at, into[5])
        at = _put(table.flags, mine, 0, octets, at, into[6])
        at = _put(table.interface, mine, 0, octets, at, into[7])
        at = _put(table.mac, mine, 0, octets, at, into[8])
        used = _used(counts, mine)
        for column in range(NCOL):
            if used[column]:
                at = _write(counts[:, column], mine, 0, int(used[column]), octets, at, into[COUNTS + column])
        at = _put(place[table.peer_row], met, 0, octets, at, into[PEERS])
        at = _put(table.peer_bytes, met, 0, octets, at, into[PEERS + 1])
        at = _put(place[table.bit_row], marked, 0, octets, at, into[BITS])
        at = _put(table.bit, marked, 0, octets, at, into[BITS + 1])
        for column in (0, BITS):  # they say how many there are, and stand where they are all zeros
            if into[column, 1] == 0:
                at = _zeros(len(mine) if column == 0 else len(marked), octets, at, into[column])
        named, low_key = first_row[low_key : key_ends[partition]], key_ends[partition]
        texts[partition, 0], texts[partition, 1] = len(named), at - begin
        at = _put_texts(table.key, named, octets, at, differ[partition, : WIDTH // 8])
        texts[partition, 2], texts[partition, 3] = len(met), at - begin
        at = _put_texts(table.peer, met, octets, at, differ[partition, WIDTH // 8 :])
        into[:, 0] -= begin
        while at % 8:
            octets[at] = 0
            at += 1
        octet_ends[partition] = at
    return Packed(octets[:at], octet_ends, pieces, ends, bit_ends, texts, differ)


@compiled
def _put_texts(
    texts: NDArray[np.uint64], chosen: NDArray[np.int64], octets: NDArray[np.uint8], at: int, differ: NDArray[np.uint64]
) -> int:
    """Write the first of the chosen texts, and what all have in the places where one is not like it."""
    if len(chosen) == 0:
        return at
    words, flat = texts.shape[1], texts.reshape(-1).view(np.uint8)
    for one in chosen:
        for word in range(words):
            differ[word] |= texts[one, word] ^ texts[chosen[0], word]
    width, first = 8 * words, 8 * words * chosen[0]
    octets[at : at + width] = flat[first : first + width]
    at += width
    places = np.flatnonzero(differ.copy().view(np.uint8))
    for one in chosen:
        for place in places:
            octets[at] = flat[width * one + place]
            at += 1
    return at


@compiled
def _by_home(home: NDArray[np.int64], partitions: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Things in the order of their partitions, and where each partition ends among them."""
    ends = np.zeros(partitions, np.int64)
    for one in home:
        ends[one] += 1
    for partition in range(1, partitions):
        ends[partition] += ends[partition - 1]
    order, at = np.empty(len(home), np.int64), ends.copy()
    for place in range(len(home) - 1, -1, -1):
        at[home[place]] -= 1
        order[at[home[place]]] = place
    return order, ends


@compiled
def _keys(
    number: NDArray[np.int64], order: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Each row's key among those of its partition, the first row with each, and where a partition's keys end."""
    seen = np.full(number.max() + 1, -1, np.int64)
    key, first_row = np.empty(len(order), np.int64), np.empty(len(order), np.int64)
    key_ends = np.empty(len(ends), np.int64)
    low, count, start = 0, 0, 0
    for partition in range(len(ends)):
        for row in order[low : ends[partition]]:
            if seen[number[row]] < start:
                seen[number[row]] = count
                first_row[count] = row
                count += 1
            key[row] = seen[number[row]] - start
        low, start = ends[partition], count
        key_ends[partition] = count
    return key, first_row[:count].copy(), key_ends


@compiled
def _places(order: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each row stands within its partition."""
    place, low = np.empty(len(order), np.int64), 0
    for end in ends:
        for at in range(low, end):
            place[order[at]] = at - low
        low = end
    return place


@compiled
def _used(counts: NDArray[np.int64], mine: NDArray[np.int64]) -> NDArray[np.int64]:
    """All values of each column in these rows, laid over each other: it has as many bits as the largest."""
    used = np.zeros(NCOL, np.int64)
    for row in mine:
        for column in range(NCOL):
            used[column] |= counts[row, column]
    return used


@compiled
def _put(
    values: NDArray[np.signedinteger[Any]],
    chosen: NDArray[np.int64],
    less: int,
    octets: NDArray[np.uint8],
    at: int,
    piece: NDArray[np.int64],
) -> int:
    """Write values, none of them below `less`, in as few octets as hold them all; nothing where all are zeros."""
    highest = np.int64(0)
    for one in chosen:
        highest = max(highest, np.int64(values[one]) - less)
    return _write(values, chosen, less, int(highest), octets, at, piece) if highest > 0 else at


@compiled
def _write(
    values: NDArray[np.signedinteger[Any]],
    chosen: NDArray[np.int64],
    less: int,
    highest: int,
    octets: NDArray[np.uint8],
    at: int,
    piece: NDArray[np.int64],
) -> int:
    """Write values in as few octets as hold `highest`, from where numbers of that width may stand."""
    size = 1 if highest < 1 << 8 else 2 if highest < 1 << 16 else 4 if highest < 1 << 32 else 8
    while at % size:
        octets[at] = 0
        at += 1
    end = at + size * len(chosen)
    piece[0], piece[1] = at, size
    into = octets[at:end]
    if size == 1:
        _spell(values, chosen, less, into)
    elif size == 2:
        _spell(values, chosen, less, into.view(np.uint16))
    elif size == 4:
        _spell(values, chosen, less, into.view(np.uint32))
    else:
        _spell(values, chosen, less, into.view(np.int64))
    return end


@compiled
def _spell(
    values: NDArray[np.signedinteger[Any]], chosen: NDArray[np.int64], less: int, into: NDArray[np.integer[Any]]
) -> None:
    for at in range(len(chosen)):
        into[at] = np.int64(values[chosen[at]]) - less


@compiled
def _zeros(count: int, octets: NDArray[np.uint8], at: int, piece: NDArray[np.int64]) -> int:
    octets[at : at + count] = 0
    piece[0], piece[1] = at, 1
    return at + count
