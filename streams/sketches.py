"""Sketches of the peers and ports that a view touches in a second, and how many distinct ones they tell of."""

import numpy as np
from numpy.typing import NDArray

from streams.amounts import MILLI
from streams.decode.compiled import compiled
from streams.rows import SKETCH_BITS, Col

Ints = NDArray[np.int64]

SKETCH_BYTES = 2 * SKETCH_BITS // 8
"""Of peers and of ports, in one second. A view has those of the last second, and behind them of the one before."""

DISTINCT = -SKETCH_BITS * np.log(np.maximum(SKETCH_BITS - np.arange(SKETCH_BITS + 1), 0.5) / SKETCH_BITS)
"""How many there were, by how many bits of a sketch they set: linear counting over 256 bits (Whang, Vander-Zanden and
Taylor 1990), good to some 5 % up to a few hundred."""

_SPREADS = (int(Col.PEERS_SPREAD), int(Col.PORTS_SPREAD))
_WORDS = SKETCH_BITS // 64
_ONES, _PAIRS, _FOURS = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333), np.uint64(0x0F0F0F0F0F0F0F0F)
_EIGHTS = np.uint64(0x0101010101010101)


def as_words(sketch: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Sketches of n views as words: of this second and the one before, peers and ports."""
    return sketch.view(np.uint64).reshape(len(sketch), -1)


@compiled
def drawn(
    sketch: NDArray[np.uint8], second: Ints, view: Ints, bit_row: NDArray[np.int32], bits: NDArray[np.int16], now: int
) -> None:
    """Set bits of this second; what stood there becomes the second before, if it is."""
    for at in range(len(bits)):
        one = view[bit_row[at]]
        if second[one] < now:
            words = sketch[one].view(np.uint64)
            for place in range(words.shape[1]):
                words[1, place] = words[0, place] if second[one] == now - 1 else np.uint64(0)
                words[0, place] = 0
            second[one] = now
        sketch[one, 0, bits[at] >> 3] |= np.uint8(1 << (bits[at] & 7))


@compiled
def contacts(
    words: NDArray[np.uint64], second: Ints, lane: NDArray[np.int32], rate: Ints, views: Ints, now: int
) -> NDArray[np.float64]:
    """Distinct peers and ports a second (n × 2) in the fuller of the last two seconds, by sketches and what lasts."""
    found = np.empty((len(views), 2), np.float64)
    for at in range(len(views)):
        view = views[at]
        for kind in range(2):
            found[at, kind] = touched(words, view, kind, now - second[view], rate[lane[view]])
    return found


@compiled
def touched(words: NDArray[np.uint64], view: int, kind: int, age: int, rate: Ints) -> float:
    """Distinct peers (kind 0) or ports (1) a second, of a view whose sketch was drawn `age` seconds ago."""
    ones = 0
    for before in range(2 - age):  # the second before counts while this one is young
        found = 0
        for word in range(_WORDS):
            found += _bits(words[view, (2 * before + kind) * _WORDS + word])
        ones = max(ones, found)
    return float(DISTINCT[ones] + rate[_SPREADS[kind]] / (MILLI * MILLI))


@compiled
def _bits(word: np.uint64) -> int:
    """How many bits are set: added up in pairs, fours and octets."""
    word -= (word >> np.uint64(1)) & _ONES
    word = (word & _PAIRS) + ((word >> np.uint64(2)) & _PAIRS)
    word = (word + (word >> np.uint64(4))) & _FOURS
    return int((word * _EIGHTS) >> np.uint64(56))
