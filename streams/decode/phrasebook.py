"""Vendors' sentences as data: which lines mean that a source was stopped, or that a device suffers.

A book is the TOML files of `phrases/`. All patterns are matched in one pass over a line (an RE2 set, linear in the
line's length whatever it holds); only the pattern that was found is asked for its groups.
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

GROUPS = frozenset({"accused", "peer", "port", "protocol", "rule", "what", "interface"})
"""Names a pattern may give its groups; `accused` and `peer` are addresses, the rest become facts."""


_UNKNOWN: Mapping[str, str] = MappingProxyType(dict.fromkeys(GROUPS, "?"))
_REMEMBERED = 16_384


@dataclass(frozen=True, slots=True)
class Phrase:
    """One sentence. `text` says it in plain words with the groups put in; `example` and `expects` are its test."""

    name: str
    kind: ClaimKind
    pattern: str
    text: str
    example: str
    expects: dict[str, str] = field(default_factory=dict)
    traffic: TrafficClass = TrafficClass.ALL
    compromise: bool = False
    count: float = 1.0


@dataclass(frozen=True, slots=True)
class Chapter:
    """One file: a vendor and its phrases."""

    vendor: str
    witness: Witness
    phrases: tuple[Phrase, ...]


class Phrasebook:
    """All phrases, compiled once. Raises ConfigError for a pattern that is no RE2 or names an unknown group."""

    def __init__(self, chapters: Iterable[tuple[str, Chapter]]) -> None:
        self.entries = tuple((chapter, phrase) for _, chapter in chapters for phrase in chapter.phrases)
        self._set = re2.Set.SearchSet()
        self._compiled: list[tuple[Any, Sequence[tuple[int, str]]]] = []  # with its groups
        for chapter, phrase in self.entries:
            key = f"{chapter.vendor}/{phrase.name}"
            try:
                compiled = re2.compile(phrase.pattern.encode())  # on octets it spares counting characters
            except re2.error as error:
                raise ConfigError(file=chapter.vendor, key=key, expected="an RE2 pattern", got=str(error)) from None
            names = [(number, name.decode()) for name, number in compiled.groupindex.items()]
            if strange := {name for _, name in names} - GROUPS:
                raise ConfigError(
                    file=chapter.vendor, key=key, expected=f"groups of {sorted(GROUPS)}", got=str(strange)
                )
            self._compiled.append((compiled, names))
            self._set.Add(phrase.pattern)
        self._set.Compile()

    def claim(self, line: LogLine) -> Claim | None:
        """What the line claims, by the first phrase of the book that fits; None when no phrase does."""
        whole = line.whole.encode()
        fitting = self._set.Match(whole)
        if fitting is None:
            return None
        for index in sorted(fitting):
            pattern, names = self._compiled[index]
            found = pattern.search(whole)
            if found is not None:
                groups = found.groups()
                words = {name: value.decode() for number, name in names if (value := groups[number - 1])}
                if (claim := self._made(index, words, line)) is not None:
                    return claim
        return None

    def _made(self, index: int, words: Mapping[str, str], line: LogLine) -> Claim | None:
        chapter, phrase = self.entries[index]
        accused, peer = named(words.get("accused")), named(words.get("peer"))
        if phrase.kind is ClaimKind.WEB_EXPLOIT:
            accused = named(line.sender)
        elif phrase.kind is ClaimKind.FIREWALL_REPORT and accused is None:
            return None
        shown = {**_UNKNOWN, **words, "sender": line.sender or "a log"}
        return Claim(
            kind=phrase.kind,
            witness=chapter.witness,
            sender=line.sender,
            at_ns=line.at_ns,
            phrase=f"{chapter.vendor}/{phrase.name}",
            text=phrase.text.format_map(shown),
            accused=accused,
            peer=peer,
            facts={name: value[:200] for name, value in words.items()},
            traffic=phrase.traffic,
            compromise=phrase.compromise,
            count=phrase.count,
        )


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
