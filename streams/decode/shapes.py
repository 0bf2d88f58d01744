"""Lines that differ in their numbers alone, told without matching each: what a device says it says by a template.

The first line of a shape is matched in full. What follows is laid beside it, octet by octet and number by number:
where nothing but numbers differs, the accused stands in the same place. It holds for phrases that say so of themselves
(`Phrase.by_shape`). Before the first colon and space, where the envelope is, numbers must be as long as in that line.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.decode.compiled import borrowing
from streams.decode.datagrams import Datagrams
from streams.decode.phrasebook import Phrasebook, named

OTHER, NOTHING = -2, -1

Ints = NDArray[np.int64]
Bits = NDArray[np.uint64]

_REMEMBERED = 4_096
_PARTS, _PART = 4, 255  # of an IPv4 address
_ZERO, _NINE, _DOT, _COLON, _SPACE = b"09.: "
_BASIS, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # FNV-1a's, 64 bits
_RUN = np.uint8(_ZERO)


@dataclass(frozen=True, slots=True)
class Told:
    """Of each line the address that it accuses, or NOTHING, or OTHER where it has to be matched by itself."""

    accused: Ints
    phrase: Ints  # its number in the book; no meaning where nobody is accused


@dataclass(frozen=True, slots=True)
class _Shape:
    """The first line of a shape: `kind` is OTHER, NOTHING, or where the accused begins."""

    example: bytes
    may: int
    kind: int
    phrase: int = 0


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
        shapes = [
            self._shape(key, heard.one(int(lines[at])), int(may[at]))
            for key, at in zip(unique.tolist(), first.tolist(), strict=True)
        ]
        examples = np.frombuffer(b"".join([one.example for one in shapes]), np.uint8)
        offset = np.cumsum([0, *(len(one.example) for one in shapes)])
        kind = np.array([one.kind for one in shapes], np.int64)
        accused = np.empty(len(lines), np.int64)
        allowed = np.array([one.may for one in shapes], np.uint64)
        _followed(data, begin, end, may, which.reshape(-1), examples, offset, kind, allowed, accused)
        return Told(accused, np.array([one.phrase for one in shapes], np.int64)[which.reshape(-1)])

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
        last = len(self._book.entries) if fit is None else fit.number
        if not self._book.by_shape(may, last):
            return _Shape(raw, may, OTHER)
        if fit is None:
            return _Shape(raw, may, NOTHING)
        text = fit.words.get("accused", "")
        tail = whole[self._book.accused_at(fit.number, whole) :] if text else b""
        line = raw.rstrip(b"\0 \t\r\n")
        at = len(line) - len(tail)
        accused = text.encode()
        alone = not line[at - 1 : at].isdigit() and not line[at + len(accused) : at + len(accused) + 1].isdigit()
        if not _is_dotted(text) or not line.endswith(tail) or not alone:
            return _Shape(raw, may, OTHER)
        return _Shape(raw, may, at, fit.number)


def _is_dotted(text: str) -> bool:
    return text.count(".") == _PARTS - 1 and named(text) is not None and ":" not in text


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
        at = _beside(data, begin[line], end[line], examples, offset[shape], offset[shape + 1], kind[shape])
        if at != OTHER:
            accused[line] = NOTHING if kind[shape] == NOTHING else _address(data, at, end[line])


@borrowing
def _beside(
    data: NDArray[np.uint8], at: int, end: int, examples: NDArray[np.uint8], like: int, last: int, sought: int
) -> int:
    """Where in a line stands what stands at `sought` in the example; OTHER when more than numbers differs."""
    found, fixed, before, begun = at, True, np.uint8(0), like
    while at < end and like < last:
        if like - begun == sought:
            found = at
        octet = data[at]
        if _is_digit(octet) and _is_digit(examples[like]):
            at, like = at + 1, like + 1
            while not fixed and at < end and _is_digit(data[at]):
                at += 1
            while not fixed and like < last and _is_digit(examples[like]):
                like += 1
        elif octet == examples[like]:
            fixed = fixed and not (before == _COLON and octet == _SPACE)
            at, like = at + 1, like + 1
        else:
            return OTHER
        before = octet
    return found if at == end and like == last else OTHER


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
