"""Vendors' sentences as data: which lines mean that a source was stopped, or that a device suffers.

A book is the TOML files of `phrases/`. All patterns are matched in one pass over a line (an RE2 set, linear in the
line's length whatever it holds); only the pattern that was found is asked for its groups.
"""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
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
        self._compiled: list[Any] = []
        for chapter, phrase in self.entries:
            key = f"{chapter.vendor}/{phrase.name}"
            try:
                compiled = re2.compile(phrase.pattern)
            except re2.error as error:
                raise ConfigError(file=chapter.vendor, key=key, expected="an RE2 pattern", got=str(error)) from None
            if strange := set(compiled.groupindex) - GROUPS:
                raise ConfigError(
                    file=chapter.vendor, key=key, expected=f"groups of {sorted(GROUPS)}", got=str(strange)
                )
            self._compiled.append(compiled)
            self._set.Add(phrase.pattern)
        self._set.Compile()

    def claim(self, line: LogLine) -> Claim | None:
        """What the line claims, by the first phrase of the book that fits; None when no phrase does."""
        whole = line.whole
        for index in sorted(self._set.Match(whole) or ()):
            found = self._compiled[index].search(whole)
            if found is not None and (claim := self._made(index, found.groupdict(), line)) is not None:
                return claim
        return None

    def _made(self, index: int, groups: Mapping[str, str | None], line: LogLine) -> Claim | None:
        chapter, phrase = self.entries[index]
        words = {name: value for name, value in groups.items() if value}
        accused, peer = named(words.get("accused")), named(words.get("peer"))
        if phrase.kind is ClaimKind.WEB_EXPLOIT:
            accused = named(line.sender)
        elif phrase.kind is ClaimKind.FIREWALL_REPORT and accused is None:
            return None
        shown = {**dict.fromkeys(GROUPS, "?"), **words, "sender": line.sender or "a log"}
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


def named(text: str | None) -> Address | None:
    """The address that a text names; None when it names none."""
    try:
        return address_of(text) if text else None
    except BadInput:
        return None
