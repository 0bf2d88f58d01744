"""Which fields of flat JSON are wanted, and what many lines say in them, as columns."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.decode.columns import interned
from streams.decode.interning import empty_slots
from streams.decode.plainlines import LONGEST, NO_ROOM, PAIRS, ROWS, STATE, read_lines
from streams.decode.spelling import MAC, spelled
from streams.decode.values import NUMBER, TEXT, TEXTS

_BEYOND = b"\n" * 16  # behind a frame: nothing that is read goes on there


@dataclass(frozen=True, slots=True)
class Texts:
    """A column of n texts: the distinct ones, and which each is."""

    values: list[Any]
    index: NDArray[np.int32]


def texts(column: Sequence[Any]) -> Texts:
    """A column as a parser gives it."""
    return Texts(*interned(column))


@dataclass(frozen=True, slots=True)
class Wanted:
    """A field: its key, of what kind it must be, and for a number its highest and what it is where it is absent."""

    name: str
    kind: int = TEXT
    most: int = 0
    absent: int = 0
    group: int = 0  # ADDRESS or MAC


class Layout:
    """Wanted fields, and their places."""

    def __init__(self, fields: Sequence[Wanted]) -> None:
        self.place = {one.name: place for place, one in enumerate(fields)}
        names = [one.name.encode() for one in fields]
        self._names = np.frombuffer(b"".join(names) + _BEYOND, np.uint8)
        self._fields = np.array(
            [
                list(accumulate(map(len, names))),
                [one.kind for one in fields],
                [one.most for one in fields],
                [one.absent for one in fields],
                [one.group or 1 + MAC + place for place, one in enumerate(fields)],
            ],
            np.int64,
        )
        self._interned = sum(one.kind != NUMBER for one in fields)

    def read(self, frame: bytes) -> "Fields | None":
        """The fields of each line; None where one is written otherwise, repeats a wanted key, or is no object."""
        line = frame.find(b"\n") + 1 or len(frame)
        if not 0 < line <= LONGEST:
            return None
        likely = len(frame) // line * 5 // 4 + 8
        found = self._read(frame, likely, 2 * likely + 64, 32 * likely + 4096)
        if found is NO_ROOM:
            lines = frame.count(b"\n") + 1
            most = lines * self._interned + len(self.place) + 1
            found = self._read(frame, lines, most, len(frame) + 16)
        return found if isinstance(found, Fields) else None

    def _read(self, frame: bytes, lines: int, most: int, octets: int) -> "Fields | int":
        cut = frame.rfind(b"\n", 0, max(len(frame) - len(_BEYOND), 0)) + 1
        rest = np.frombuffer(frame[cut:] + _BEYOND, np.uint8)
        told = np.empty((lines, len(self.place)), np.int64)
        ink, entries = np.empty(octets, np.uint8), np.empty((most, 4), np.int64)
        pattern, shape = np.empty(LONGEST + len(_BEYOND), np.uint8), np.empty((ROWS, PAIRS + 1), np.int64)
        state, ranks = np.zeros(STATE, np.int64), np.zeros(len(self.place) + 1 + MAC, np.int64)
        count = read_lines(
            np.frombuffer(frame, np.uint8), cut, rest, len(frame) - cut, self._names, self._fields,
            pattern, shape, told, empty_slots(most), ink, entries, ranks, state,
        )  # fmt: skip
        if count <= 0:
            return count
        return Fields(self.place, told[:count].T.copy(), *_named(ink, entries[: state[TEXTS]], ranks))


@dataclass(frozen=True, slots=True)
class Shared:
    """Of each text the IPv4 address or the MAC that it is, whether it is one in the usual spelling, and the others."""

    number: NDArray[np.uint64]
    there: NDArray[np.bool_]
    others: list[tuple[int, str]]  # by their number


@dataclass(frozen=True, slots=True)
class Fields:
    """n records and what stands in each of the wanted fields."""

    place: dict[str, int]
    told: NDArray[np.int64]  # fields × n: see `values`
    values: list[list[str]]  # by field
    addresses: Shared
    macs: Shared

    def __len__(self) -> int:
        return int(self.told.shape[1])

    def only(self, chosen: NDArray[np.int64]) -> "Fields":
        """These records only."""
        return replace(self, told=np.take(self.told, chosen, axis=1))

    def numbers(self, name: str) -> NDArray[np.int64]:
        """A field of numbers."""
        told: NDArray[np.int64] = self.told[self.place[name]]
        return told

    def texts(self, name: str) -> Texts:
        """A field of texts, or of what is told as it is written; "" where it is absent."""
        place = self.place[name]
        return Texts(self.values[place], self.told[place].astype(np.int32))

    def written(self, name: str) -> list[str]:
        """Stamps that are no plain number of seconds or ns, in quotes: number -1 - n of the field is the n-th."""
        return self.values[self.place[name]]


def _named(
    ink: NDArray[np.uint8], entries: NDArray[np.int64], ranks: NDArray[np.int64]
) -> tuple[list[list[str]], Shared, Shared]:
    """Texts by field, and those that are numbered together."""
    number, there = np.zeros((MAC, len(entries)), np.uint64), np.zeros((MAC, len(entries)), np.bool_)
    others = np.empty(len(entries), np.int64)
    left = spelled(ink, entries, number, there, others)
    values: list[list[str]] = [[] for _ in range(len(ranks) - 1 - MAC)]
    odd: list[list[tuple[int, str]]] = [[] for _ in range(MAC)]
    octets = ink.tobytes() if left else b""
    for start, size, group, place in entries[others[:left]].tolist():
        text = octets[start : start + size].decode("ascii")
        if group > MAC:
            values[group - 1 - MAC].append(text)
        else:
            odd[group - 1].append((place, text))
    addresses, macs = (Shared(number[at, : ranks[at + 1]], there[at, : ranks[at + 1]], odd[at]) for at in range(MAC))
    return values, addresses, macs
