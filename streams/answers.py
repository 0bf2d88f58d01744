"""What Places answered before, by number, so that a frame asks only about whom it is the first to name.

Of strangers there is nothing to ask: a flood names as many as it has packets, and all of them are answered alike.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.decode.columns import Columns
from streams.decode.compiled import borrowing
from streams.decode.interning import Directory, numbered
from streams.keys import ATTACHMENT, hash_words, key_array
from streams.places import STRANGER, Charged, Owner, Places
from streams.rows import SKETCH_BITS

REMEMBERED = 100_000
"""Charges, MACs, exporters, or addresses of which Places told something."""

_STRANGERS = 5
"""So many times as many addresses are remembered in all: one takes but some octets."""

_NOBODY = -1
_NONE, _STRANGER = 0, 1  # of owners by number
_LOW = 0xFFFF_FFFF


class Named(NamedTuple):
    """What is known of n addresses."""

    key: NDArray[np.int32]  # number of the owner's key; -1 when the address is not ours
    group: NDArray[np.bool_]
    hashed: NDArray[np.uint64]
    bit: NDArray[np.int16]  # of a sketch
    owner: NDArray[np.int32]  # by number; all strangers have one


_KINDS = np.int32, np.bool_, np.uint64, np.int16, np.int32  # of these columns


class _Naming:
    """Columns of `Named` that grow."""

    def __init__(self) -> None:
        self._room, self._count = Named._make(np.empty(1_024, kind) for kind in _KINDS), 0

    def add(self, more: Named) -> None:
        """Put these behind the others. What was given out before stays as it is."""
        count = self._count + len(more.key)
        if count > len(self._room.key):
            self._room = Named._make(_wider(one, self._count, 2 * count) for one in self._room)
        rooms: tuple[NDArray[Any], ...] = self._room
        for column, values in zip(rooms, more, strict=True):
            column[self._count : count] = values
        self._count = count

    @property
    def named(self) -> Named:
        """All of them."""
        return Named._make(column[: self._count] for column in self._room)


def _wider(column: NDArray[Any], count: int, room: int) -> NDArray[Any]:
    wider = np.empty(room, column.dtype)
    wider[:count] = column[:count]
    return wider


@dataclass(frozen=True, slots=True)
class Keys:
    """N keys by number."""

    key: NDArray[np.bytes_]
    attached: NDArray[np.bool_]
    home: NDArray[np.int16]  # the activity partition


@dataclass(frozen=True, slots=True)
class Charges:
    """n charges."""

    key: NDArray[np.int32]  # number of who pays; -1 where that is nobody
    facts: NDArray[np.int64]  # n × 4: vantage, flags, interface, MAC
    stray: NDArray[np.bool_]


class Answers:
    """The answers in one scope; forgotten when they grow too many. Remembering changes no result.

    `homes` tells the activity partition of keys. Numbers mean something within one `age` only.
    """

    def __init__(
        self,
        places: Places,
        scope: bytes,
        homes: Callable[[NDArray[np.bytes_]], NDArray[np.int64]],
        *,
        remembered: int = REMEMBERED,
    ) -> None:
        self._places, self._scope, self._homes, self._remembered = places, scope, homes, remembered
        self.age = 0
        self._begin()

    def _begin(self) -> None:
        self._macs, self._asked = Directory(), Directory()
        self._exporters: dict[str, int] = {}
        self._keys: dict[bytes, int] = {}
        self._owners: list[Owner | None] = [None, STRANGER]
        self._owned: dict[bytes, int] = {}  # by address the owner's number
        self._begin_addresses()
        self.charges = Charges(np.zeros(0, np.int32), np.zeros((0, 4), np.int64), np.zeros(0, np.bool_))
        self.keys = Keys(key_array(()), np.zeros(0, np.bool_), np.zeros(0, np.int16))

    def _begin_addresses(self) -> None:
        self._addresses, self._naming = Directory(), _Naming()

    def room(self) -> None:
        """Forget what there is too much of: numbers that were told before mean nothing any more."""
        if max(len(self._asked), len(self._macs), len(self._exporters), len(self._owned)) > self._remembered:
            self.age += 1
            self._begin()
        elif len(self._addresses) > _STRANGERS * self._remembered:
            self.age += 1
            self._begin_addresses()

    @property
    def named(self) -> Named:
        """What is known of the addresses, by number."""
        return self._naming.named

    @property
    def words(self) -> NDArray[np.uint64]:
        """The addresses by number, two words each."""
        return self._addresses.pairs(0)

    def hear(self, flows: Columns) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The number of each address of a frame, and of each record's charge."""
        place = self._placed(flows)
        charge = self._charged(flows, place)
        if len(self._keys) > len(self.keys.key):
            new = key_array(list(self._keys)[len(self.keys.key) :])
            self.keys = Keys(
                np.concatenate((self.keys.key, new)),
                np.concatenate((self.keys.attached, np.char.endswith(new, ATTACHMENT))),
                np.concatenate((self.keys.home, self._homes(new).astype(np.int16))),
            )
        return place, charge

    def _number(self, key: bytes) -> int:
        return self._keys.setdefault(key, len(self._keys)) if key else _NOBODY

    def _placed(self, flows: Columns) -> NDArray[np.int32]:
        """The number of each address of the frame."""
        known = len(self._addresses)
        place = self._addresses.numbers(flows.words)
        words = self._addresses.pairs(known)
        if len(words):
            raw, owner = words.astype(">u8"), np.full(len(words), _STRANGER, np.int32)
            told_of = np.flatnonzero(self._places.told_of(words))
            owner[told_of] = [self._owner(one) for one in raw[told_of].view("V16").reshape(-1).tolist()]
            key, group = np.full(len(words), _NOBODY, np.int32), np.zeros(len(words), np.bool_)
            found = [one for number in owner[told_of].tolist() if (one := self._owners[number])]
            key[told_of], group[told_of] = [self._number(one.key) for one in found], [one.group for one in found]
            hashed = hash_words(raw.view("<u8"))
            self._naming.add(Named(key, group, hashed, (hashed % np.uint64(SKETCH_BITS)).astype(np.int16), owner))
        return place

    def _owner(self, raw: bytes) -> int:
        """The number of who owns an address of which Places tells something."""
        number = self._owned.get(raw)
        if number is None:
            number = self._owned[raw] = len(self._owners)
            self._owners.append(self._places.owner(raw, self._scope))
        return number

    def _charged(self, flows: Columns, place: NDArray[np.int32]) -> NDArray[np.int32]:
        """The number of each record's charge."""
        exporters = [self._exporters.setdefault(one, len(self._exporters)) for one in flows.exporters]
        macs = np.zeros((len(flows.macs), 2), np.uint64)
        macs[:, 1] = flows.macs
        known, charge = len(self._asked), np.empty(len(flows), np.int32)
        asked = self._asked.room(len(flows))
        _ask(
            np.array(exporters, np.int64),
            self._macs.numbers(macs),
            self.named.owner[place],
            np.ascontiguousarray(flows.exporter),
            np.ascontiguousarray(flows.in_if),
            np.ascontiguousarray(flows.src_mac),
            np.ascontiguousarray(flows.src),
            asked.slots,
            asked.table,
            asked.size,
            charge,
        )
        if len(self._asked) > known:
            self._charge(self._asked.pairs(known).view(np.int64).tolist())
        return charge

    def _charge(self, asked: list[tuple[int, int]]) -> None:
        """Ask about what no frame asked before."""
        exporters, macs = list(self._exporters), self._macs.pairs(0)[:, 1].tolist()
        found = [
            self._places.charge(
                exporter=exporters[high >> 32],
                in_if=high & _LOW,
                source=self._owners[low & _LOW],
                mac=macs[low >> 32],
            )
            for high, low in asked
        ]
        keys = [self._number(one.key) if one.who is not Charged.NOBODY else _NOBODY for one in found]
        facts = [(one.vantage, one.flags, one.interface, one.mac) for one in found]
        self.charges = Charges(
            np.append(self.charges.key, np.array(keys, np.int32)),
            np.concatenate((self.charges.facts, np.array(facts, np.int64))),
            np.append(self.charges.stray, np.array([one.stray for one in found], np.bool_)),
        )


@borrowing
def _ask(
    exporters: NDArray[np.int64],
    macs: NDArray[np.int32],
    owner: NDArray[np.int32],
    exporter: NDArray[np.int32],
    in_if: NDArray[np.int64],
    src_mac: NDArray[np.int32],
    src: NDArray[np.int32],
    slots: NDArray[np.int32],
    asked: NDArray[np.uint64],
    size: NDArray[np.int64],
    charge: NDArray[np.int32],
) -> None:
    """Number what is asked about each record, two words of a directory.

    They are exporter and interface, MAC and owner (0: none).
    """
    for at in range(len(src)):
        source = np.int64(owner[np.uint64(src[at])]) if src[at] >= 0 else _NONE
        high = np.uint64(exporters[np.uint64(exporter[at])] << 32 | in_if[at])
        low = np.uint64(np.int64(macs[np.uint64(src_mac[at])]) << 32 | source)
        charge[at] = numbered(high, low, slots, asked, size)
