"""Tables of numbers as octets: by rows, so that a stretch of rows is a slice, and every column as narrow as it is.

A column is kept as what it is above its least value, in the fewest octets that hold all of it; one that is the same
everywhere takes none. Nothing is rounded: a float is its 64 bits. What takes no time to pack and to read is worth more
here than what a compressor would save on top.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

_WORD = (1 << 64) - 1
_KINDS = {"i": np.dtype("<i8"), "u": np.dtype("<u8"), "f": np.dtype("<f8")}
_WIDTHS = {1: "<u1", 2: "<u2", 4: "<u4", 8: "<u8"}


class Column(msgspec.Struct, array_like=True, frozen=True):
    """What one column of a block is: `kind` is i, u or f; `width` octets a row hold what it is above `base`."""

    name: str
    kind: str
    width: int
    base: int


@dataclass(frozen=True, slots=True)
class Block:
    """A table as octets."""

    columns: tuple[Column, ...]
    rows: NDArray[np.void]

    def parts(self, cuts: NDArray[np.int64]) -> list[memoryview]:
        """The rows from each cut up to, not with, the next; they are the block's own octets."""
        octets = memoryview(self.rows.view(np.uint8).data if self.rows.itemsize else b"")
        return [octets[low:high] for low, high in pairwise((cuts * self.rows.itemsize).tolist())]


def packed(table: Mapping[str, NDArray[Any]]) -> Block:
    """A table of columns of one length as a block. A column of n × k becomes k columns, "name.0" and on."""
    plain = list(chain.from_iterable(_plain(name, column) for name, column in table.items()))
    columns = tuple(_column(name, column) for name, column in plain)
    length = len(plain[0][1]) if plain else 0
    rows = np.empty(length, _layout(columns))
    for column, (_, values) in zip(columns, plain, strict=True):
        if column.width:
            words = values.view(f"<u{values.itemsize}")
            rows[column.name] = words - words.dtype.type(column.base & _WORD) if column.base else words
    return Block(columns, rows)


def unpacked(columns: Sequence[Column], length: int, raw: bytes) -> dict[str, NDArray[Any]]:
    """The columns of `length` rows. Raises ValueError or KeyError for what no block holds."""
    layout = _layout(columns)
    if length < 0 or length * layout.itemsize != len(raw):
        raise ValueError(f"{len(raw)} octets are not {length} rows of {layout.itemsize}")
    rows = np.frombuffer(raw, layout, count=length) if raw else None
    found = {}
    for column in columns:
        base = np.uint64(column.base & _WORD)
        words = np.full(length, base) if rows is None or not column.width else rows[column.name] + base
        found[column.name] = words.view(_KINDS[column.kind])
    return found


def joined(table: Mapping[str, NDArray[Any]], name: str, across: int) -> NDArray[Any]:
    """The n × `across` column that was packed under this name."""
    return np.stack([table[f"{name}.{number}"] for number in range(across)], axis=1)


def words(octets: NDArray[Any]) -> NDArray[np.uint64]:
    """Strings of octets, each a whole number of words long, as n × k words that sort as the strings do."""
    across = octets.dtype.itemsize * (octets.shape[1] if octets.ndim == 2 else 1) // 8
    return np.frombuffer(octets.tobytes(), ">u8").reshape(len(octets), across).astype(np.uint64)


def octets(found: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """The n × 8k octets of which `words` made these."""
    return np.frombuffer(found.astype(">u8").tobytes(), np.uint8).reshape(len(found), 8 * found.shape[1])


def _plain(name: str, column: NDArray[Any]) -> list[tuple[str, NDArray[Any]]]:
    """Columns of one dimension; numbers without a sign that are narrow already stay so."""
    kind = _KINDS["f" if column.dtype.kind == "f" else "u" if column.dtype == np.uint64 else "i"]
    if column.dtype.kind == "u" and column.itemsize < kind.itemsize:
        kind = column.dtype
    if column.ndim == 1:
        return [(name, np.ascontiguousarray(column, kind))]
    return [(f"{name}.{number}", np.ascontiguousarray(part, kind)) for number, part in enumerate(column.T)]


def _column(name: str, values: NDArray[Any]) -> Column:
    kind = "i" if values.itemsize < 8 else values.dtype.kind
    if not len(values):
        return Column(name, kind, 0, 0)
    whole = values.view(np.int64) if kind == "f" else values
    low, high = int(whole.min()), int(whole.max())
    return Column(name, kind, next(width for width in (0, *_WIDTHS) if high - low < 1 << 8 * width), low)


def _layout(columns: Sequence[Column]) -> np.dtype[np.void]:
    return np.dtype([(column.name, _WIDTHS[column.width]) for column in columns if column.width])
