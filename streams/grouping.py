"""Flow columns into rows: who is charged for each record, and the sums for each subject, exporter, tick and span.

Rows are gathered over a stretch of frames, so that what many frames tell of a subject in a tick is one row.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.domain.address import Prefix
from controller.domain.estate import Expected
from streams.answers import REMEMBERED, Answers, Keys, Named
from streams.decode.columns import Columns
from streams.held import Rowsheet
from streams.places import Places
from streams.ranges import ranges, within
from streams.rows import Rows
from streams.sheets import Known, Told

_GROUP = np.uint64(1 << 40)  # IEEE 802: the lowest bit of the first octet


@dataclass(frozen=True, slots=True)
class Grouped:
    """Rows, of each a number that is equal for equal keys, and the activity partition where it is at home."""

    rows: Rows
    number: NDArray[np.int64]
    home: NDArray[np.int64]


class Grouping:
    """Who is charged for what, in one scope. Holds the estate's look-ups."""

    def __init__(
        self,
        places: Places,
        expected: tuple[Expected, ...],
        scope: bytes,
        *,
        homes: Callable[[NDArray[np.bytes_]], NDArray[np.int64]],
        tick_ns: int,
        remembered: int = REMEMBERED,
    ) -> None:
        """`homes` tells the activity partitions of keys."""
        self.answers, self.tick_ns = Answers(places, scope, homes, remembered=remembered), tick_ns
        self._expected = tuple((one, _Side.of(one.sources), _Side.of(one.destinations)) for one in expected)

    def told(self, flows: Columns, charge: NDArray[np.int32]) -> Told:
        """The columns that are added up."""
        columns: dict[str, NDArray[Any]] = {"charge": charge, "expected": self._expecting(flows)}
        for name in Told._fields:
            if name not in columns:
                columns[name] = np.ascontiguousarray(getattr(flows, name))
        return Told(**columns)

    def _expecting(self, flows: Columns) -> NDArray[np.bool_]:
        """Records that lie in a window of expected bulk traffic."""
        wanted = np.zeros(len(flows), np.bool_)
        if not self._expected:
            return wanted
        minutes, of_minute = np.unique(flows.receipt_ns // 60_000_000_000 % 1440, return_inverse=True)
        words = np.ascontiguousarray(flows.words)
        for window, sources, targets in self._expected:
            source = np.append(sources.holds(words), False)
            target = np.append(targets.holds(words) | (not window.destinations), False)
            if source.any():
                open_now = np.array([window.covers(one) for one in minutes.tolist()], np.bool_)[of_minute]
                wanted |= source[flows.src] & target[flows.dst] & open_now
        return wanted


class Gathering:
    """The rows of a stretch of frames of one scope, and then of the next."""

    def __init__(self, grouping: Grouping) -> None:
        self._grouping, self._sheet = grouping, Rowsheet()
        self._names: dict[str, int] = {}  # exporters by number
        self._sealed: list[Grouped] = []
        self._age = grouping.answers.age
        self._whole: tuple[Keys, Named, NDArray[np.uint64]] | None = None  # what the rows' numbers mean

    def __len__(self) -> int:
        return len(self._sheet) + sum(len(one.rows) for one in self._sealed)

    @property
    def names(self) -> list[str]:
        """The exporters of the rows."""
        return list(self._names)

    def add(self, flows: Columns) -> NDArray[np.int16]:
        """Add the records of a frame; of each the activity partition that counts it, 0 where it is nobody's."""
        answers = self._grouping.answers
        answers.room()
        if self._age != answers.age:
            self._seal()
            self._age = answers.age
        place, charge = answers.hear(flows)
        named, charges, keys = answers.named, answers.charges, answers.keys
        speaker = [self._names.setdefault(name, len(self._names)) for name in flows.exporters]
        known = Known(
            speaker=np.array(speaker, np.int64),
            address=place,
            owner=named.key,
            group=named.group,
            bit=named.bit,
            group_mac=flows.macs & _GROUP > 0,
            paying=charges.key,
            facts=charges.facts,
            stray=charges.stray,
            attached=keys.attached,
            home=keys.home,
        )
        self._whole = keys, named, answers.words
        return self._sheet.add(self._grouping.told(flows, charge), known, tick_ns=self._grouping.tick_ns)

    def taken(self) -> list[Grouped]:
        """The rows; what follows is another stretch."""
        self._seal()
        sealed, self._sealed, self._names = self._sealed, [], {}
        return sealed

    def _seal(self) -> None:
        """Put down what the rows so far say; their numbers may mean something else from now on."""
        sheet = self._sheet
        if self._whole is not None and len(sheet):
            keys, named, words = self._whole
            number, peers = sheet.keys, sheet.peers(named.hashed)
            rows = Rows(
                key=keys.key[number],
                peer_row=peers.row,
                peer=words[peers.address].astype(">u8").view("S16").reshape(-1),
                peer_bytes=peers.octets,
                **sheet.columns(),
            )
            self._sealed.append(Grouped(rows, number, keys.home[number].astype(np.int64)))
        sheet.clear()
        self._whole = None


@dataclass(frozen=True, slots=True)
class _Side:
    """One side of a window of expected traffic. An IPv6 prefix, however short, means no IPv4 address."""

    four: NDArray[np.uint64]
    six: NDArray[np.uint64]

    @staticmethod
    def of(prefixes: Sequence[Prefix]) -> "_Side":
        return _Side(*(ranges(one for one in prefixes if one.version == version) for version in (4, 6)))

    def holds(self, words: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which of n addresses, two words each, lie on this side."""
        mapped = (words[:, 0] == 0) & (words[:, 1] >> np.uint64(32) == 0xFFFF)
        return np.where(mapped, within(words, self.four), within(words, self.six))
