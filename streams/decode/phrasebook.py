"""Vendors' sentences as data: which lines mean that a source was stopped, or that a device suffers.

A book is the TOML files of `phrases/`. The words that each phrase needs are sought in all lines of a frame in one pass
(see `sieve`); only the phrases whose words stand in a line are asked for their groups, by RE2, which is linear in the
line's length whatever it holds.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import re2

from controller.domain import toml
from controller.domain.address import Address, address_of
from controller.domain.errors import BadInput, ConfigError
from controller.domain.verdict import TrafficClass, Witness
from streams.decode.claims import Claim, ClaimKind
from streams.decode.envelope import LogLine
from streams.decode.sieve import Words, bits

GROUPS = frozenset({"accused", "peer", "port", "protocol", "rule", "what", "interface"})
"""Names a pattern may give its groups; `accused` and `peer` are addresses, the rest become facts."""


NAMING = frozenset({ClaimKind.FIREWALL_REPORT, ClaimKind.IDS_ALERT})
"""Kinds of claims that accuse the address that a line names."""

ANY = -1
"""The bits of all phrases."""

_UNKNOWN: Mapping[str, str] = MappingProxyType(dict.fromkeys(GROUPS, "?"))
_REMEMBERED = 16_384


@dataclass(frozen=True, slots=True)
class Phrase:
    """One sentence. `text` says it in plain words with the groups put in; `example` and `expects` are its test.

    `needs` are words, ASCII and without regard to case, of which one stands in every line that fits; none may hold a
    colon and a space, where a program's name and its text are put together. A phrase without them fits no worse, but
    each line has to be matched against it in full. `by_shape` says that numbers matter to it as numbers alone: where a
    line fits, one that has other digits there fits as well, and its words stand in the same places.
    """

    name: str
    kind: ClaimKind
    pattern: str
    text: str
    example: str
    expects: dict[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    by_shape: bool = False
    traffic: TrafficClass = TrafficClass.ALL
    compromise: bool = False
    count: float = 1.0


@dataclass(frozen=True, slots=True)
class Chapter:
    """One file: a vendor and its phrases."""

    vendor: str
    witness: Witness
    phrases: tuple[Phrase, ...]


@dataclass(frozen=True, slots=True)
class Fit:
    """A phrase that fits a line, and what stands in its groups."""

    number: int
    words: Mapping[str, str]


class Phrasebook:
    """All phrases, compiled once. Raises ConfigError for a pattern that is no RE2 or names an unknown group."""

    def __init__(self, chapters: Iterable[tuple[str, Chapter]]) -> None:
        self.entries = tuple((chapter, phrase) for _, chapter in chapters for phrase in chapter.phrases)
        self._compiled = [_compiled(chapter.vendor, phrase) for chapter, phrase in self.entries]
        self._groups = [_groups(pattern) for pattern in self._compiled]
        self.words = Words([phrase.needs for _, phrase in self.entries])
        self._bits = [(number, int(bits([number]))) for number in range(len(self.entries))]

    def fit(self, whole: bytes, may: int = ANY) -> Fit | None:
        """The first phrase of the book that fits `whole`; `may` are the bits of those whose words stand there."""
        for number, bit in self._bits:
            if may & bit and (found := self._compiled[number].search(whole)) is not None:
                groups = found.groups()
                words = {name: value.decode() for place, name in self._groups[number] if (value := groups[place])}
                if self.entries[number][1].kind not in NAMING or named(words.get("accused")) is not None:
                    return Fit(number, words)
        return None

    def matching(self, whole: bytes, may: int) -> int | None:
        """The first phrase of these whose pattern matches, though what stands for the accused may be no address."""
        found = (number for number, bit in self._bits if may & bit and self._compiled[number].search(whole) is not None)
        return next(found, None)

    def by_shape(self, may: int, last: int | None) -> bool:
        """Whether to all phrases of these bits, up to the `last`, numbers matter as numbers alone."""
        until = None if last is None else last + 1
        return all(self.entries[number][1].by_shape for number, bit in self._bits[:until] if may & bit)

    def spans(self, fit: Fit, whole: bytes) -> Mapping[str, tuple[int, int]]:
        """Where in a line the words of a phrase stand that fits it."""
        found = self._compiled[fit.number].search(whole)
        return {name: found.span(place + 1) for place, name in self._groups[fit.number] if name in fit.words}

    def claim(self, line: LogLine, may: int = ANY) -> Claim | None:
        """What the line claims, by the first phrase of the book that fits; None when no phrase does."""
        fit = self.fit(line.whole.encode(), may)
        return None if fit is None else self.said(fit, sender=line.sender, first_ns=line.at_ns, last_ns=line.at_ns)

    def said(self, fit: Fit, *, sender: str, first_ns: int, last_ns: int, lines: int = 1) -> Claim:
        """What so many lines of one sender claim that fit alike; `fit` is the last one's."""
        chapter, phrase = self.entries[fit.number]
        shown = {**_UNKNOWN, **fit.words, "sender": sender or "a log"}
        return Claim(
            kind=phrase.kind,
            witness=chapter.witness,
            sender=sender,
            at_ns=last_ns,
            first_ns=first_ns,
            phrase=f"{chapter.vendor}/{phrase.name}",
            text=phrase.text.format_map(shown),
            accused=named(sender if phrase.kind is ClaimKind.WEB_EXPLOIT else fit.words.get("accused")),
            peer=named(fit.words.get("peer")),
            facts={name: value[:200] for name, value in fit.words.items()},
            traffic=phrase.traffic,
            compromise=phrase.compromise,
            count=phrase.count * lines,
        )


def _compiled(vendor: str, phrase: Phrase) -> Any:
    """The pattern of a phrase, on octets, which spares counting characters. Raises ConfigError."""
    key = f"{vendor}/{phrase.name}"
    try:
        pattern = re2.compile(phrase.pattern.encode())
    except re2.error as error:
        raise ConfigError(file=vendor, key=key, expected="an RE2 pattern", got=str(error)) from None
    if strange := {name for _, name in _groups(pattern)} - GROUPS:
        raise ConfigError(file=vendor, key=key, expected=f"groups of {sorted(GROUPS)}", got=str(strange))
    for word in phrase.needs:
        if not word or not word.isascii() or ": " in word:
            raise ConfigError(file=vendor, key=key, expected="needs of ASCII words without a colon and space", got=word)
    return pattern


def _groups(pattern: Any) -> Sequence[tuple[int, str]]:
    return [(number - 1, name.decode()) for name, number in pattern.groupindex.items()]


def chapter(text: str, *, file: str) -> Chapter:
    """Read one file of phrases. Raises ConfigError."""
    return toml.read(text, Chapter, file=file)


@functools.cache
def shipped() -> Phrasebook:
    """The book that comes with Cordon."""
    folder = files("streams.decode").joinpath("phrases")
    texts = sorted((one.name, one.read_text("utf-8")) for one in folder.iterdir() if one.name.endswith(".toml"))
    return Phrasebook([(name, chapter(text, file=name)) for name, text in texts])


@functools.lru_cache(_REMEMBERED)
def named(text: str | None) -> Address | None:
    """The address that a text names; None when it names none. The same few senders and hosts are named all the time."""
    try:
        return address_of(text) if text else None
    except BadInput:
        return None
