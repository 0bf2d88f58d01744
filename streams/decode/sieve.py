"""Which of many lines can mean anything, found in one compiled pass over their octets.

In most lines none of the words stands without which no phrase fits. The words are sought all at once by the automaton
of Aho and Corasick ("Efficient string matching", 1975), ASCII letters without their case. What is left is matched in
full, so a line that is let through for nothing costs time, and one that is held back cannot have claimed anything.
"""

from collections import deque
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from streams.decode.compiled import borrowing

Bits = NDArray[np.uint64]

BLANK, ODD = np.uint8(1), np.uint8(2)
"""Of a line: nothing stands in it; a brace, or a NUL before its end, stands in it."""

_BITS = 64
_WORD, _BRACE, _NUL = 1, 2, 4


class Words:
    """For each phrase the words of which a line must hold one; a phrase without words may fit any line."""

    def __init__(self, needs: Sequence[Sequence[str]]) -> None:
        self._always = bits(number for number, words in enumerate(needs) if not words)
        trie: list[dict[int, int]] = [{}]
        says = [0]
        for number, words in enumerate(needs):
            for word in words:
                state = 0
                for octet in word.lower().encode():
                    if octet not in trie[state]:
                        trie[state][octet] = len(trie)
                        trie.append({})
                        says.append(0)
                    state = trie[state][octet]
                says[state] |= int(bits([number]))
        self._letter = _letters({octet for node in trie for octet in node})
        step = _automaton(trie, says, self._letter)
        # States are renumbered, so that those that say something come last, and stand for the place of their row.
        order = np.argsort(np.array(says) != 0, kind="stable")
        place = np.argsort(order) * step.shape[1]
        self._step = place[step[order]].astype(np.int32).reshape(-1)
        self._says = np.array(says, np.uint64)[order]
        self._begins = int(place[0])
        self._telling = int((self._says == 0).sum()) * step.shape[1]

    def sought(self, payload: bytes, offset: NDArray[np.int64]) -> tuple[Bits, NDArray[np.uint8]]:
        """For each line, `payload[offset[i] : offset[i + 1]]`, the phrases that may fit (see `bits`), and its marks."""
        told, marks = np.empty(len(offset) - 1, np.uint64), np.empty(len(offset) - 1, np.uint8)
        data, begins = np.frombuffer(payload, np.uint8), self._begins
        _sift(data, offset, _KIND, self._letter, self._step, self._says, begins, self._telling, told, marks)
        return told | self._always, marks


def bits(numbers: Iterable[int]) -> np.uint64:
    """The phrases of these numbers; beyond 64 several share a bit."""
    return np.uint64(sum({1 << number % _BITS for number in numbers}))


def _letters(octets: set[int]) -> NDArray[np.uint8]:
    """For each octet its number among those that stand in a word, without case; 0 for all others."""
    letter = np.zeros(256, np.uint8)
    letter[sorted(octets)] = np.arange(1, len(octets) + 1)
    upper = np.arange(ord("A"), ord("Z") + 1)
    letter[upper] = letter[upper + 32]
    return letter


def _automaton(trie: list[dict[int, int]], says: list[int], letter: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The state after each state and letter; `says` is completed by what shorter words say at the same place."""
    step = np.zeros((len(trie), int(letter.max()) + 1), np.int64)
    behind = [0] * len(trie)
    open_states = deque([0])
    while open_states:
        state = open_states.popleft()
        if state:
            step[state] = step[behind[state]]
        for octet, following in trie[state].items():
            behind[following] = int(step[state, letter[octet]]) if state else 0
            step[state, letter[octet]] = following
            says[following] |= says[behind[following]]
            open_states.append(following)
    return step


def _kinds() -> NDArray[np.uint8]:
    kind = np.full(256, _WORD, np.uint8)
    kind[list(b" \t\n\r\x0b\x0c")] = 0
    kind[[ord("{"), 0]] |= np.array([_BRACE, _NUL], np.uint8)
    return kind


_KIND = _kinds()


@borrowing
def _sift(
    data: NDArray[np.uint8],
    offset: NDArray[np.int64],
    kind: NDArray[np.uint8],
    letter: NDArray[np.uint8],
    step: NDArray[np.int32],
    says: Bits,
    begins: int,
    telling: int,
    told: Bits,
    marks: NDArray[np.uint8],
) -> None:
    # A step waits for the one before it, so two lines are gone through at once: one of either half.
    count, width = len(told), len(step) // len(says)
    half = (count + 1) // 2
    for line in range(half):
        other = line + half
        at, end = offset[line], offset[line + 1]
        at2, end2 = (offset[other], offset[other + 1]) if other < count else (end, end)
        state, seen, kinds = begins, np.uint64(0), np.uint8(0)
        state2, seen2, kinds2 = begins, np.uint64(0), np.uint8(0)
        for _ in range(min(end - at, end2 - at2)):
            octet, octet2 = data[at], data[at2]
            state, state2 = step[state + letter[octet]], step[state2 + letter[octet2]]
            kinds |= kind[octet]
            kinds2 |= kind[octet2]
            if state >= telling:
                seen |= says[state // width]
            if state2 >= telling:
                seen2 |= says[state2 // width]
            at, at2 = at + 1, at2 + 1
        for place in range(at, end):
            state = step[state + letter[data[place]]]
            kinds |= kind[data[place]]
            if state >= telling:
                seen |= says[state // width]
        told[line], marks[line] = seen, _marked(data, offset[line], end, kinds)
        if other < count:
            for place in range(at2, end2):
                state2 = step[state2 + letter[data[place]]]
                kinds2 |= kind[data[place]]
                if state2 >= telling:
                    seen2 |= says[state2 // width]
            told[other], marks[other] = seen2, _marked(data, offset[other], end2, kinds2)


@borrowing
def _marked(data: NDArray[np.uint8], at: int, end: int, kinds: np.uint8) -> np.uint8:
    """What is to be said of a line in which octets of these kinds stand."""
    mark = np.uint8(0) if kinds & _WORD else BLANK
    if kinds & _BRACE or (kinds & _NUL and _nul_within(data, at, end)):
        mark |= ODD
    return mark


@borrowing
def _nul_within(data: NDArray[np.uint8], at: int, end: int) -> bool:
    """Whether something follows a NUL."""
    while end > at and data[end - 1] == 0:
        end -= 1
    while at < end and data[at] != 0:
        at += 1
    return at < end
