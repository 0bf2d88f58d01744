"""What Places answered before, by number, so that a frame asks only about whom it is the first to name."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.decode.columns import Columns
from streams.decode.compiled import borrowing
from streams.decode.interning import Directory, numbered
from streams.keys import ATTACHMENT, hash_words, key_array
from streams.places import Charged, Owner, Places
from streams.rows import SKETCH_BITS

REMEMBERED = 100_000
"""Addresses, charges, MACs or exporters."""

_NOBODY = -1
_LOW = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Named:
    """What is known of n addresses."""

    key: NDArray[np.int32]  # number of the owner's key; -1 when the address is not ours
    group: NDArray[np.bool_]
    hashed: NDArray[np.uint64]
    bit: NDArray[np.int16]  # of a sketch

    def then(self, key: NDArray[np.int32], group: NDArray[np.bool_], hashed: NDArray[np.uint64]) -> "Named":
        """These, and after them others."""
        bit = (hashed % np.uint64(SKETCH_BITS)).astype(np.int16)
        return Named(
            np.append(self.key, key),
            np.append(self.group, group),
            np.append(self.hashed, hashed),
            np.append(self.bit, bit),
        )


_NONE_NAMED = Named(np.zeros(0, np.int32), np.zeros(0, np.bool_), np.zeros(0, np.uint64), np.zeros(0, np.int16))


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
    """The answers in one scope; forgotten whole when they grow too many. Remembering changes no result.

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
        self._addresses, self._macs, self._asked = Directory(), Directory(), Directory()
        self._exporters: dict[str, int] = {}
        self._keys: dict[bytes, int] = {}
        self._owners: list[Owner] = []
        self.named = _NONE_NAMED
        self.charges = Charges(np.zeros(0, np.int32), np.zeros((0, 4), np.int64), np.zeros(0, np.bool_))
        self.keys = Keys(key_array(()), np.zeros(0, np.bool_), np.zeros(0, np.int16))

    def room(self) -> None:
        """Forget everything where there is too much: numbers that were told before mean nothing any more."""
        if max(len(self._addresses), len(self._asked), len(self._macs), len(self._exporters)) > self._remembered:
            self.age += 1
            self._begin()

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
        raw = self._addresses.pairs(known).astype(">u8")
        if len(raw):
            new = [self._places.owner(one, self._scope) for one in raw.view("V16").reshape(-1).tolist()]
            self._owners += new
            self.named = self.named.then(
                np.array([self._number(one.key) for one in new], np.int32),
                np.array([one.group for one in new], np.bool_),
                hash_words(raw.view("<u8")),
            )
        return place

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
            place,
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
                source=self._owners[(low & _LOW) - 1] if low & _LOW else None,
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
    place: NDArray[np.int32],
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

    They are exporter and interface, MAC and address (0: none).
    """
    for at in range(len(src)):
        address = np.int64(place[np.uint64(src[at])]) + 1 if src[at] >= 0 else 0
        high = np.uint64(exporters[np.uint64(exporter[at])] << 32 | in_if[at])
        low = np.uint64(np.int64(macs[np.uint64(src_mac[at])]) << 32 | address)
        charge[at] = numbered(high, low, slots, asked, size)
