"""Who may send, found for many datagrams at once, and who sends without being asked, counted in bounded memory."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import count

import numpy as np
from numpy.typing import NDArray

from controller.domain.address import unpacked
from streams.decode.compiled import borrowing

_MIX = 0x9E3779B97F4A7C15


class Listed:
    """The senders that are expected, numbered in the order given."""

    def __init__(self, addresses: Sequence[bytes]) -> None:
        self.addresses = tuple(addresses)
        self.names = tuple(str(unpacked(one)) for one in addresses)
        self._table = np.array([np.frombuffer(one, np.uint64) for one in addresses], np.uint64).reshape(-1, 2)
        for salt in count(_MIX, 2):
            self._salt = np.uint64(salt)
            keys = self._mixed(self._table)
            if len(np.unique(keys)) == len(keys):
                break
        self._order = np.argsort(keys)
        self._keys = keys[self._order]

    def __len__(self) -> int:
        return len(self.addresses)

    def numbers(self, senders: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The number of each sender (n × 16 octets); -1 where it is none of them."""
        words = np.ascontiguousarray(senders).view(np.uint64).reshape(-1, 2)
        found = np.empty(len(words), np.int64)
        _find(words, self._salt, self._keys, self._order, self._table, found)
        return found

    def _mixed(self, words: NDArray[np.uint64]) -> NDArray[np.uint64]:
        mixed: NDArray[np.uint64] = words[:, 1] ^ (words[:, 0] * self._salt)
        return mixed


@borrowing
def _find(
    words: NDArray[np.uint64],
    salt: np.uint64,
    keys: NDArray[np.uint64],
    order: NDArray[np.int64],
    table: NDArray[np.uint64],
    found: NDArray[np.int64],
) -> None:
    """Fill `found`: what comes together mostly is of one sender, who is sought once."""
    for at in range(len(words)):
        high, low = words[at, 0], words[at, 1]
        if at and words[at - 1, 0] == high and words[at - 1, 1] == low:
            found[at] = found[at - 1]
            continue
        key = low ^ (high * salt)
        least, most = 0, len(keys)
        while least < most:
            middle = (least + most) // 2
            if keys[middle] < key:
                least = middle + 1
            else:
                most = middle
        found[at] = -1
        if least < len(keys):
            number = order[least]
            if table[number, 0] == high and table[number, 1] == low:
                found[at] = number


class Strangers:
    """Datagrams and lines refused, by sender. Once `most` senders are known, all further ones are counted as one."""

    OTHERS = "others"

    def __init__(self, *, most: int = 256) -> None:
        self._most = most
        self._counts: dict[str, int] = {}

    def refuse(self, senders: NDArray[np.uint8]) -> None:
        """Count refused datagrams (n × 16 octets of address)."""
        if len(senders):
            found, counts = np.unique(np.ascontiguousarray(senders), axis=0, return_counts=True)
            for address, times in zip(found, counts.tolist(), strict=True):
                self.refuse_one(str(unpacked(address.tobytes())), times)

    def refuse_one(self, name: str, times: int = 1) -> None:
        """Count one sender."""
        if name not in self._counts and len(self._counts) >= self._most:
            name = self.OTHERS
        self._counts[name] = self._counts.get(name, 0) + times

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each was refused."""
        return dict(self._counts)

    @property
    def total(self) -> int:
        """How many were refused in all."""
        return sum(self._counts.values())

    def worst(self, most: int) -> Iterable[tuple[str, int]]:
        """Those refused most often."""
        return sorted(self._counts.items(), key=lambda one: (-one[1], one[0]))[:most]
