"""Keys to small numbers, many at a time: open addressing with double hashing, over arrays alone.

A dictionary of Python costs a quarter of a kilobyte and a third of a microsecond a key; this costs 32 octets and two
places of a table, and looks a hundred thousand keys up in a few rounds of NumPy.
"""

import numpy as np
from numpy.typing import NDArray

from streams.decode.compiled import compiled, inlined
from streams.keys import WIDTH, hash_words

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]

_WORDS = WIDTH // 8
_EMPTY, _GRAVE = -1, -2
_FILLED = 0.6
"""Share of the table, graves among it, from which it is made anew."""

_LEAST = 1024


class KeyTable:
    """Which key has which slot. Slots are small and dense; a dropped key's slot is given again."""

    def __init__(self) -> None:
        self._words = np.zeros((_LEAST, _WORDS), np.uint64)  # by slot; no key is all zeros
        self._places = np.full(_LEAST, _EMPTY, np.int32)
        self._filled = 0
        self._size = 0
        self._free: list[int] = []

    def __len__(self) -> int:
        return self._size - len(self._free)

    @property
    def size(self) -> int:
        """All slots that were ever given lie below."""
        return self._size

    def find(self, keys: NDArray[np.bytes_]) -> Ints:
        """The slots of these keys; -1 where there is none."""
        return self._probe(_words(keys))[0]

    def add(self, keys: NDArray[np.bytes_]) -> Ints:
        """Give slots to distinct keys that have none."""
        again = min(len(self._free), len(keys))
        slots = np.array(
            [*(self._free.pop() for _ in range(again)), *range(self._size, self._size + len(keys) - again)], np.int64
        )
        self._size += len(keys) - again
        if self._size > len(self._words):
            wider = np.zeros((max(self._size, 2 * len(self._words)), _WORDS), np.uint64)
            wider[: len(self._words)] = self._words
            self._words = wider
        self._words[slots] = _words(keys)
        if self._filled + len(keys) > _FILLED * len(self._places):
            self._rebuild()
        else:
            self._put(slots)
        return slots

    def drop(self, slots: Ints) -> None:
        """Forget the keys of these slots."""
        self._places[self._probe(self._words[slots])[1]] = _GRAVE
        self._words[slots] = 0
        self._free += slots.tolist()

    def held(self) -> Ints:
        """Slots that have a key, ascending."""
        return np.flatnonzero(self._words[: self._size, -1])

    def keys(self, slots: Ints) -> NDArray[np.bytes_]:
        """The keys of slots; b"" for one that has none."""
        return self._words[slots].view(f"S{WIDTH}")[:, 0]

    def key(self, slot: int) -> bytes:
        """The key of a slot that has one."""
        return bytes(self._words[slot].tobytes())

    def _probe(self, words: Words) -> tuple[Ints, Ints]:
        """Slot and place of each key; slot -1 where the table has none."""
        return _probed(self._places, self._words, words, *_path(words, len(self._places) - 1))

    def _put(self, slots: Ints) -> None:
        """Write slots of distinct keys that the table does not hold; it has room for them."""
        mask = len(self._places) - 1
        place, step = _path(self._words[slots], mask)
        left = np.arange(len(slots))
        while len(left):
            spare = left[self._places[place[left]] < 0]
            self._filled += int((self._places[np.unique(place[spare])] == _EMPTY).sum())
            self._places[place[spare]] = slots[spare]
            # Of several that want one place the last has written itself there.
            left = left[self._places[place[left]] != slots[left]]
            place[left] = (place[left] + step[left]) & mask

    def _rebuild(self) -> None:
        held = self.held()
        room = len(self._places)
        while len(held) > _FILLED / 2 * room:
            room *= 2
        self._places = np.full(room, _EMPTY, np.int32)
        self._filled = 0
        self._put(held)


def _words(keys: NDArray[np.bytes_]) -> Words:
    # A copy: what is compiled is compiled once, for arrays of one layout that may be written.
    words: Words = np.array(keys, f"S{WIDTH}").view("<u8").reshape(-1, _WORDS)
    return words


def _path(words: Words, mask: int) -> tuple[Ints, Ints]:
    """Where a key is looked for first, and how far on each time: odd, so that every place is reached."""
    # The low bits choose bucket and partition: within one partition they say little.
    state = hash_words(words)
    place = (state >> np.uint64(16)).astype(np.int64) & mask
    step = (state >> np.uint64(40)).astype(np.int64) | 1
    return place, step


@compiled
def _probed(places: NDArray[np.int32], held: Words, words: Words, place: Ints, step: Ints) -> tuple[Ints, Ints]:
    """Slot and place of each key, and -1 where the table has none; `place` says where each is looked for first."""
    mask, slots = len(places) - 1, np.full(len(words), _EMPTY, np.int64)
    for at in range(len(words)):
        while places[place[at]] != _EMPTY:
            slot = places[place[at]]
            if slot >= 0 and _same(held, slot, words, at):
                slots[at] = slot
                break
            place[at] = (place[at] + step[at]) & mask
    return slots, place


@inlined
def _same(held: Words, slot: int, words: Words, at: int) -> bool:
    differs = np.uint64(0)
    for word in range(_WORDS):
        differs |= held[slot, word] ^ words[at, word]
    return bool(differs == 0)
