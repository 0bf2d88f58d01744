"""Lines that differ in their numbers alone, told without matching each: what a device says it says by a template.

The first line of a shape is matched in full. What follows is laid beside it, octet by octet and number by number:
where nothing but numbers differs, the same words stand in the same places. It holds for phrases that say so of
themselves (`Phrase.by_shape`). Before the first colon and space, where the envelope is, numbers must be as long as in
that line.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.decode.compiled import borrowing
from streams.decode.datagrams import Datagrams
from streams.decode.phrasebook import Fit, Phrasebook, named

OTHER, NOTHING = -2, -1

Ints = NDArray[np.int64]
Bits = NDArray[np.uint64]

_REMEMBERED = 4_096
_PARTS, _PART = 4, 255  # of an IPv4 address
_ZERO, _NINE, _DOT, _COLON, _SPACE = b"09.: "
_BASIS, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # FNV-1a's, 64 bits
_RUN = np.uint8(_ZERO)


@dataclass(frozen=True, slots=True)
class _Shape:
    """The first line of a shape: `kind` is OTHER, NOTHING, or where the accused begins."""

    example: bytes
    may: int
    kind: int
    phrase: int = 0
    bounds: tuple[int, ...] = ()  # ascending, where words begin and end
    words: tuple[tuple[str, int, int], ...] = ()  # name, and its two among the bounds


@dataclass(frozen=True, slots=True)
class Told:
    """Of n lines the address that each accuses, or NOTHING, or OTHER where it has to be matched by itself."""

    accused: Ints
    shape: Ints
    shapes: Sequence[_Shape]
    begin: Ints
    end: Ints
    payload: bytes

    @property
    def phrase(self) -> Ints:
        """The phrase that each line fits; no meaning where nobody is accused."""
        return np.array([one.phrase for one in self.shapes], np.int64)[self.shape]

    def fits(self, chosen: Ints) -> list[Fit]:
        """What stands in the groups of the phrase in these lines, each of which accuses somebody."""
        found: dict[int, Fit] = {}
        for number in np.unique(self.shape[chosen]).tolist():
            alike = chosen[self.shape[chosen] == number]
            found |= zip(alike.tolist(), self._fits(self.shapes[number], alike), strict=True)
        return [found[at] for at in chosen.tolist()]

    def _fits(self, shape: _Shape, alike: Ints) -> list[Fit]:
        places = np.empty((len(alike), len(shape.bounds)), np.int64)
        data, example = np.frombuffer(self.payload, np.uint8), np.frombuffer(shape.example, np.uint8)
        _bounded(data, self.begin[alike], self.end[alike], example, np.array(shape.bounds, np.int64), places)
        return [
            Fit(shape.phrase, {name: self.payload[at[one] : at[other]].decode() for name, one, other in shape.words})
            for at in places.tolist()
        ]


class Shapes:
    """The shapes seen of late. They change how much work a line is, and never what it says."""

    def __init__(self, book: Phrasebook, whole: Callable[[bytes], bytes]) -> None:
        """`whole` gives program and text of a line, as phrases are matched against them."""
        self._book, self._whole = book, whole
        self._known: dict[int, _Shape] = {}

    def tell(self, heard: Datagrams, lines: Ints, may: Bits) -> Told:
        """What these lines of a frame say; `may` are the phrases that may fit each."""
        data, begin, end = np.frombuffer(heard.payload, np.uint8), heard.offset[lines], heard.offset[lines + 1]
        digest = np.empty(len(lines), np.uint64)
        _digested(data, begin, end, may, digest)
        unique, first, which = np.unique(digest, return_index=True, return_inverse=True)
        which = which.reshape(-1)
        shapes = [
            self._shape(key, heard.one(int(lines[at])), int(may[at]))
            for key, at in zip(unique.tolist(), first.tolist(), strict=True)
        ]
        examples = np.frombuffer(b"".join([one.example for one in shapes]), np.uint8)
        offset = np.cumsum([0, *(len(one.example) for one in shapes)])
        kind = np.array([one.kind for one in shapes], np.int64)
        accused = np.empty(len(lines), np.int64)
        allowed = np.array([one.may for one in shapes], np.uint64)
        _followed(data, begin, end, may, which, examples, offset, kind, allowed, accused)
        return Told(accused, which, shapes, begin, end, heard.payload)

    def _shape(self, digest: int, raw: bytes, may: int) -> _Shape:
        found = self._known.get(digest)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[digest] = self._learned(raw, may)
        return found

    def _learned(self, raw: bytes, may: int) -> _Shape:
        whole = self._whole(raw)
        fit = self._book.fit(whole, may)
        first = self._book.matching(whole, may)
        if first != (None if fit is None else fit.number) or not self._book.by_shape(may, first):
            return _Shape(raw, may, OTHER)
        if fit is None:
            return _Shape(raw, may, NOTHING)
        spans = self._book.spans(fit, whole)
        line = raw.rstrip(b"\0 \t\r\n")
        ahead = len(line) - len(whole)  # of the text, which ends both
        text = whole[min(begin for begin, _ in spans.values()) :]
        bounds = sorted({ahead + one for span in spans.values() for one in span})
        if not line.endswith(text) or not _is_dotted(fit.words["accused"]) or any(_cuts(raw, one) for one in bounds):
            return _Shape(raw, may, OTHER)
        words = [(name, bounds.index(ahead + one), bounds.index(ahead + two)) for name, (one, two) in spans.items()]
        return _Shape(raw, may, ahead + spans["accused"][0], fit.number, tuple(bounds), tuple(words))


def _is_dotted(text: str) -> bool:
    return text.count(".") == _PARTS - 1 and ":" not in text and named(text) is not None


def _cuts(line: bytes, at: int) -> bool:
    """Whether a number goes on at this place."""
    return line[max(at - 1, 0) : at].isdigit() and line[at : at + 1].isdigit()


@borrowing
def _is_digit(octet: int) -> bool:
    return _ZERO <= octet <= _NINE


@borrowing
def _digested(data: NDArray[np.uint8], begin: Ints, end: Ints, may: Bits, digest: Bits) -> None:
    """A number for each line, the same for lines of one shape."""
    for line in range(len(begin)):
        value = (_BASIS ^ may[line]) * _PRIME
        fixed, before = True, np.uint8(0)
        for at in range(begin[line], end[line]):
            octet = data[at]
            if _is_digit(octet):
                octet = _RUN
            if octet != _RUN or fixed or before != _RUN:
                value = (value ^ np.uint64(octet)) * _PRIME
            fixed = fixed and not (before == _COLON and octet == _SPACE)
            before = octet
        digest[line] = value


@borrowing
def _followed(
    data: NDArray[np.uint8],
    begin: Ints,
    end: Ints,
    may: Bits,
    which: Ints,
    examples: NDArray[np.uint8],
    offset: Ints,
    kind: Ints,
    allowed: Bits,
    accused: Ints,
) -> None:
    for line in range(len(begin)):
        shape = which[line]
        accused[line] = OTHER
        if kind[shape] == OTHER or may[line] != allowed[shape]:
            continue
        example, sought, place = examples[offset[shape] : offset[shape + 1]], kind[shape : shape + 1], accused[line:]
        if not _beside(data, begin[line], end[line], example, sought, place):
            accused[line] = OTHER
        elif kind[shape] == NOTHING:
            accused[line] = NOTHING
        else:
            accused[line] = _address(data, accused[line], end[line])


@borrowing
def _bounded(
    data: NDArray[np.uint8], begin: Ints, end: Ints, example: NDArray[np.uint8], sought: Ints, places: Ints
) -> None:
    for line in range(len(begin)):
        _beside(data, begin[line], end[line], example, sought, places[line])


@borrowing
def _beside(data: NDArray[np.uint8], at: int, end: int, example: NDArray[np.uint8], sought: Ints, places: Ints) -> bool:
    """Find in a line what stands at each place `sought` of the example; False when more than numbers differs."""
    like, fixed, before, done = 0, True, np.uint8(0), 0
    while at < end and like < len(example):
        if done < len(sought) and like == sought[done]:
            places[done] = at
            done += 1
        octet = data[at]
        if _is_digit(octet) and _is_digit(example[like]):
            at, like = at + 1, like + 1
            while not fixed and at < end and _is_digit(data[at]):
                at += 1
            while not fixed and like < len(example) and _is_digit(example[like]):
                like += 1
        elif octet == example[like]:
            fixed = fixed and not (before == _COLON and octet == _SPACE)
            at, like = at + 1, like + 1
        else:
            return False
        before = octet
    if done < len(sought) and like == sought[done]:
        places[done] = at
    return at == end and like == len(example)


@borrowing
def _address(data: NDArray[np.uint8], at: int, end: int) -> int:
    """The IPv4 address that stands there, in its usual form; OTHER when it is none."""
    number = 0
    for part in range(_PARTS):
        value, begun = 0, at
        while at < end and _is_digit(data[at]) and value <= _PART:
            value = value * 10 + data[at] - _ZERO
            at += 1
        if value > _PART or at == begun or (data[begun] == _ZERO and at - begun > 1):
            return OTHER
        number = (number << 8) + value
        if part < _PARTS - 1:
            if at >= end or data[at] != _DOT:
                return OTHER
            at += 1
    return number
