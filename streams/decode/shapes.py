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
from streams.decode.octets import eight
from streams.decode.phrasebook import Fit, Phrasebook, named

OTHER, NOTHING = -2, -1

Ints = NDArray[np.int64]
Bits = NDArray[np.uint64]

_REMEMBERED = 4_096
_RECENT = 4
_WIDTH = 8  # octets that are compared at once
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
        self._forget()

    def _forget(self) -> None:
        self._shapes: list[_Shape] = []
        self._numbers: dict[int, int] = {}  # by digest
        self._recent = np.full(_RECENT, -1, np.int64)  # those that lines had last
        self._lay_out()

    def _lay_out(self) -> None:
        shapes = self._shapes
        self._examples = np.frombuffer(b"".join([one.example for one in shapes]), np.uint8)
        self._offset = np.cumsum([0, *(len(one.example) for one in shapes)])
        self._kind = np.array([one.kind for one in shapes], np.int64)
        self._may = np.array([one.may for one in shapes], np.uint64)

    def tell(self, heard: Datagrams, lines: Ints, may: Bits) -> Told:
        """What these lines of a frame say; `may` are the phrases that may fit each."""
        if len(self._shapes) >= _REMEMBERED:
            self._forget()
        data, begin, end = np.frombuffer(heard.payload, np.uint8), heard.offset[lines], heard.offset[lines + 1]
        shape, accused = np.full(len(lines), -1, np.int64), np.full(len(lines), OTHER, np.int64)
        _recognised(data, begin, end, may, *self._known, self._recent, shape, accused)
        rest = np.flatnonzero(shape < 0)
        if len(rest):
            shape[rest] = self._numbered(heard, lines[rest], may[rest])
            told = accused[rest]
            _followed(data, begin[rest], end[rest], may[rest], *self._known, shape[rest], told)
            accused[rest] = told
            found = np.unique(shape[rest])[:_RECENT]
            self._recent[: len(found)] = found
        return Told(accused, shape, self._shapes, begin, end, heard.payload)

    @property
    def _known(self) -> tuple[NDArray[np.uint8], Ints, Ints, Bits]:
        return self._examples, self._offset, self._kind, self._may

    def _numbered(self, heard: Datagrams, lines: Ints, may: Bits) -> list[int]:
        """The shapes of lines that none of the recent ones is beside; those not seen before are learned."""
        digest = np.empty(len(lines), np.uint64)
        data = np.frombuffer(heard.payload, np.uint8)
        _digested(data, heard.offset[lines], heard.offset[lines + 1], may, digest)
        keys = digest.tolist()
        for at, key in enumerate(keys):
            if key not in self._numbers:
                self._numbers[key] = len(self._shapes)
                self._shapes.append(self._learned(heard.one(int(lines[at])), int(may[at])))
        if len(self._shapes) != len(self._kind):
            self._lay_out()
        return [self._numbers[key] for key in keys]

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
def _is_digit(octet: np.uint8) -> bool:
    return bool(_ZERO <= octet <= _NINE)


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
def _recognised(
    data: NDArray[np.uint8],
    begin: Ints,
    end: Ints,
    may: Bits,
    examples: NDArray[np.uint8],
    offset: Ints,
    kind: Ints,
    allowed: Bits,
    recent: Ints,
    shape: Ints,
    accused: Ints,
) -> None:
    """Tell the lines that have the shape of one of the last; the others keep what stands there."""
    for line in range(len(begin)):
        for place in range(len(recent)):
            number = recent[place]
            if number < 0 or may[line] != allowed[number]:
                continue
            example = examples[offset[number] : offset[number + 1]]
            said = _said(data, begin[line], end[line], example, kind[number : number + 1], accused[line : line + 1])
            if said:
                shape[line] = number
                for other in range(place, 0, -1):
                    recent[other] = recent[other - 1]
                recent[0] = number
                break


@borrowing
def _followed(
    data: NDArray[np.uint8],
    begin: Ints,
    end: Ints,
    may: Bits,
    examples: NDArray[np.uint8],
    offset: Ints,
    kind: Ints,
    allowed: Bits,
    shape: Ints,
    accused: Ints,
) -> None:
    """Tell lines by their shapes, unless two shapes have one digest."""
    for line in range(len(begin)):
        number = shape[line]
        if may[line] == allowed[number]:
            example = examples[offset[number] : offset[number + 1]]
            _said(data, begin[line], end[line], example, kind[number : number + 1], accused[line : line + 1])


@borrowing
def _said(data: NDArray[np.uint8], begin: int, end: int, example: NDArray[np.uint8], kind: Ints, accused: Ints) -> bool:
    """Whom a line accuses that has the shape of this example; False, and OTHER, where it has not."""
    alike = _beside(data, begin, end, example, kind, accused)
    if not alike:
        accused[0] = OTHER
    elif kind[0] < 0:
        accused[0] = kind[0]
    else:
        accused[0] = _address(data, accused[0], end)
    return alike


@borrowing
def _bounded(
    data: NDArray[np.uint8], begin: Ints, end: Ints, example: NDArray[np.uint8], sought: Ints, places: Ints
) -> None:
    for line in range(len(begin)):
        _beside(data, begin[line], end[line], example, sought, places[line])


@borrowing
def _beside(data: NDArray[np.uint8], at: int, end: int, example: NDArray[np.uint8], sought: Ints, places: Ints) -> bool:
    """Find in a line what stands at each place `sought` of the example; False when more than numbers differs."""
    like, last, fixed, before, done = 0, len(example), True, np.uint8(0), 0
    while at < end and like < last:
        if not fixed and _is_digit(before):
            at, like, before = _behind(data, at, end), _behind(example, like, last), np.uint8(0)
            continue
        if done < len(sought) and like == sought[done]:
            places[done] = at
            done += 1
        if not fixed:
            stop = sought[done] if done < len(sought) and sought[done] >= 0 else last
            if (
                like + _WIDTH <= stop
                and at + _WIDTH <= end
                and eight(data, np.uint64(at)) == eight(example, np.uint64(like))
            ):
                at, like = at + _WIDTH, like + _WIDTH
                before = data[at - 1]
                continue
        octet = data[at]
        if octet != example[like] and not (_is_digit(octet) and _is_digit(example[like])):
            return False
        fixed = fixed and not (before == _COLON and octet == _SPACE)
        at, like, before = at + 1, like + 1, octet
    if not fixed and _is_digit(before):
        at, like = _behind(data, at, end), _behind(example, like, last)
    if done < len(sought) and like == sought[done]:
        places[done] = at
    return at == end and like == last


@borrowing
def _behind(data: NDArray[np.uint8], at: int, end: int) -> int:
    """Where a number ends that goes on here."""
    while at < end and _is_digit(data[at]):
        at += 1
    return at


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
