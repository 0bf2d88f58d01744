"""Messages of activity: the bytes in which rows travel from combining to scoring. Private to streams, and versioned.

Rows are laid out by column, one column behind the other, each in the least width that holds it; a column of zeros takes
no room. `packing` writes the same for all partitions at once.
"""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from controller.domain.errors import BadInput
from streams.amounts import Counts, narrow
from streams.decode.compiled import compiled
from streams.keys import WIDTH
from streams.rows import NCOL, SKETCH_BITS, Arrivals, Claim, Rows, Sighting, Symptom
from streams.squeezing import restored, squeezed

VERSION = 5
HEAD = bytes((ord("C"), VERSION))
SQUEEZE_ABOVE = 900_000
"""Octets above which a body is squeezed, so that it fits a message of Kafka. To squeeze all would take longer than to
make them; where room counts, the broker's own compression does it."""

PLAIN = ("key", "tick", "first", "exporter", "span", "vantage", "flags", "interface", "mac")
COUNTS = len(PLAIN)
PEERS = COUNTS + NCOL
LISTS = ("peer_row", "peer_bytes", "bit_row", "bit")
BITS = PEERS + LISTS.index("bit_row")
COLUMNS = PEERS + len(LISTS)
"""In this order: one for each of PLAIN, the counts by Col, and what belongs to peers and to bits of sketches."""

KINDS: dict[int, Any] = {1: np.dtype("u1"), 2: np.dtype("<u2"), 4: np.dtype("<u4"), 8: np.dtype("<i8")}
_PEER = 16
MOST_PEERS = 64
"""Of a row, in a message; combining names three."""


class Texts(msgspec.Struct, array_like=True):
    """Texts of one width: from `start` on the first of them, and what each has in the places where not all are alike.

    Hosts of one network have most of their octets in common.
    """

    count: int = 0
    differ: bytes = b""  # these places, ascending
    start: int = 0


class Laid(msgspec.Struct, array_like=True):
    """Rows as octets. Column number n has the `size` that stands in `pieces` after its `start`; 0: all zeros."""

    rows: int
    bits: int
    tick: int  # what the ticks of rows begin with
    first_ns: int
    pieces: bytes  # COLUMNS × (start, size), 64 bits each
    keys: Texts
    peers: Texts  # addresses
    octets: memoryview


class Body(msgspec.Struct, array_like=True):
    """One message of activity."""

    topic: str
    heard: list[tuple[int, int]]  # (tick, records): records that are counted here and in no other partition's body
    names: list[str]  # exporters
    rows: Laid | None = None
    claims: list[Claim] = []
    symptoms: list[Symptom] = []
    sightings: list[Sighting] = []


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Body)


def encode(body: Body, rows: Rows | Arrivals | None) -> bytes:
    """Body and rows as bytes."""
    if rows is not None and len(rows):
        body.rows = _laid(rows)
    return squeezed(_ENCODER.encode(body), SQUEEZE_ABOVE, head=HEAD)


def decode(raw: bytes) -> tuple[Body, Arrivals | None]:
    """Read `encode`. Raises BadInput."""
    if raw[:2] != HEAD:
        raise BadInput(f"not activity of version {VERSION}")
    try:
        body = _DECODER.decode(restored(memoryview(raw)[len(HEAD) :]))
        return body, None if body.rows is None else _arrivals(body.rows)
    except (msgspec.MsgspecError, ValueError, OverflowError) as error:
        raise BadInput(f"activity: {error}") from None


def records(raw: bytes) -> int:
    """How many source records a message of activity stands for; 0 when it cannot be read."""
    try:
        body = _DECODER.decode(restored(memoryview(raw)[len(HEAD) :]))
    except (msgspec.MsgspecError, BadInput):
        return 0
    return sum(count for _, count in body.heard)


def _laid(rows: Rows | Arrivals) -> Laid:
    if isinstance(rows, Arrivals):
        keys, who, counts = rows.keys, rows.who, rows.columns
    else:
        keys, who = np.unique(rows.key, return_inverse=True)
        counts = Counts.dense(rows.counts).columns()
    tick, first_ns = int(rows.tick.min()), int(rows.first_ns.min())
    none = np.zeros(0, np.int64)
    columns: list[NDArray[Any]] = [who, rows.tick - tick, rows.first_ns - first_ns]
    columns += [getattr(rows, name) for name in PLAIN[3:]]
    columns += [counts.get(number, none) for number in range(NCOL)]
    columns += [getattr(rows, name) for name in LISTS]
    pieces, octets, at = np.zeros((COLUMNS, 2), np.int64), [], 0
    for number, column in enumerate(columns):
        if number in (0, BITS) or column.any():  # these two say how many there are
            told = narrow(column)
            pieces[number] = at, told.dtype.itemsize
            octets.append(told.tobytes())
            at += len(octets[-1])
    texts = []
    for of in (keys, rows.peer):
        made, spelled = _texts(of, at)
        texts.append(made)
        octets.append(spelled)
        at += len(spelled)
    return Laid(
        rows=len(rows),
        bits=len(rows.bit_row),
        tick=tick,
        first_ns=first_ns,
        pieces=pieces.tobytes(),
        keys=texts[0],
        peers=texts[1],
        octets=memoryview(b"".join(octets)),
    )


def _texts(of: NDArray[np.bytes_], start: int) -> tuple[Texts, bytes]:
    """What is said of texts, and their octets, which will stand from `start` on."""
    if not len(of):
        return Texts(), b""
    table = np.ascontiguousarray(of).view(np.uint8).reshape(len(of), -1)
    differ = np.flatnonzero((table != table[0]).any(axis=0))
    return Texts(len(of), bytes(differ.tolist()), start), table[0].tobytes() + table[:, differ].tobytes()


def _spelled(texts: Texts, octets: NDArray[np.uint8], width: int, most: int) -> NDArray[np.bytes_]:
    """The texts, of which there may be `most`."""
    count, start, differ = texts.count, texts.start, np.frombuffer(texts.differ, np.uint8)
    if not count:
        return np.zeros(0, f"S{width}")
    end = start + width + count * len(differ)
    if not (0 < count <= most and 0 <= start <= end <= len(octets)) or (len(differ) and differ.max() >= width):
        raise ValueError("texts that reach beyond what there is")
    table = np.empty((count, width), np.uint8)
    table[:] = octets[start : start + width]
    table[:, differ] = octets[start + width : end].reshape(count, len(differ))
    table.flags.writeable = False  # as what is read of other columns
    return table.reshape(-1).view(f"S{width}")


def _arrivals(laid: Laid) -> Arrivals:
    """Rows of a message. What is compiled does not look where it reads: all that points somewhere is checked."""
    octets = np.frombuffer(bytes(laid.octets), np.uint8)  # where numbers of all widths may stand
    pieces = np.frombuffer(laid.pieces, np.int64).reshape(COLUMNS, 2)
    count = laid.rows
    if not (0 < count <= len(octets) and 0 <= laid.bits <= len(octets) and pieces[0, 1] and pieces[BITS, 1]):
        raise ValueError("rows without an end")
    keys = _spelled(laid.keys, octets, WIDTH, count)
    peers = _spelled(laid.peers, octets, _PEER, MOST_PEERS * count)
    lengths = np.full(COLUMNS, count)
    lengths[PEERS:BITS], lengths[BITS:] = len(peers), laid.bits
    if not _inside(pieces, lengths, len(octets)):
        raise ValueError("columns that reach beyond what there is")
    plain, met = np.empty((COUNTS, count), np.int64), np.empty((BITS - PEERS, len(peers)), np.int64)
    bits = np.empty((COLUMNS - BITS, laid.bits), np.int64)
    for first, table in ((0, plain), (PEERS, met), (BITS, bits)):
        _read(octets, pieces, first, table)
    limits = ((plain[0], len(keys)), (plain[3], 1 << 31), (met[0], count), (bits[0], count), (bits[1], 2 * SKETCH_BITS))
    if not all(_below(column, below) for column, below in limits):
        raise ValueError("rows that point nowhere")
    plain[1] += laid.tick
    plain[2] += laid.first_ns
    who, tick, first_ns, exporter, span, vantage, flags, interface, mac = plain
    spoken = enumerate(pieces[COUNTS:PEERS].tolist())
    return Arrivals(
        keys=keys,
        who=who,
        tick=tick,
        first_ns=first_ns,
        exporter=exporter,
        span=span,
        vantage=vantage.astype(np.int8),
        flags=flags.astype(np.int8),
        interface=interface,
        mac=mac,
        columns={number: _column(octets, start, size, count) for number, (start, size) in spoken if size},
        peer_row=met[0],
        peer=peers,
        peer_bytes=met[1],
        bit_row=bits[0],
        bit=bits[1].astype(np.int16),
    )


def _column(octets: NDArray[np.uint8], start: int, size: int, count: int) -> NDArray[Any]:
    return octets[start : start + size * count].view(KINDS[size])


@compiled
def _inside(pieces: NDArray[np.int64], lengths: NDArray[np.int64], end: int) -> bool:
    """Whether each column stands within the octets, in a width that there is."""
    for number in range(len(pieces)):
        start, size = pieces[number, 0], pieces[number, 1]
        if size not in (0, 1, 2, 4, 8) or (size > 0 and not 0 <= start <= end - size * lengths[number]):
            return False
    return True


@compiled
def _below(column: NDArray[np.int64], limit: int) -> bool:
    """Whether all lie from 0 up to, not with, `limit`."""
    within = True
    for figure in column:
        within &= 0 <= figure < limit
    return within


@compiled
def _read(octets: NDArray[np.uint8], pieces: NDArray[np.int64], first: int, table: NDArray[np.int64]) -> None:
    """Fill a table, a row for each column from `first` on."""
    for number in range(len(table)):
        at, size = pieces[first + number, 0], pieces[first + number, 1]
        row = table[number]
        if size == 0:
            row[:] = 0
        elif size == 1:
            for place in range(len(row)):
                row[place] = octets[at + place]
        elif size == 2:
            for place in range(len(row)):
                one = at + 2 * place
                row[place] = np.int64(octets[one]) | np.int64(octets[one + 1]) << 8
        else:
            for place in range(len(row)):
                one, value = at + size * place, np.uint64(0)
                for octet in range(size):
                    value |= np.uint64(octets[one + octet]) << np.uint64(8 * octet)
                row[place] = np.int64(value)
