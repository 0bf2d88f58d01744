"""What exporters of NetFlow v9 and IPFIX sent in a frame: sets, by what is known of their templates, to records."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.domain.errors import BadInput
from streams.decode.datagrams import Datagrams
from streams.decode.exports import Heads, heads, sets
from streams.decode.layouts import FIRST_DATA, IPFIX, V9, Layout, templates, values
from streams.decode.meaning import Origin, believable, hear_sampling, meant
from streams.decode.records import Records
from streams.decode.templates import Speaker, Templates, Waiting

_TEMPLATES, _OPTIONS = ((V9, 0), (IPFIX, 2)), ((V9, 1), (IPFIX, 3))


@dataclass(frozen=True, slots=True)
class Exported:
    """What the chosen datagrams came to; the arrays hold indices of datagrams."""

    records: Records | None
    skipped: int  # records that tell of no traffic
    broken: NDArray[np.int64]  # not read to the end
    unknown: NDArray[np.int64]  # data came before its template
    absurd: NDArray[np.int64]  # one for each record with counts that cannot be


def exported(frame: Datagrams, version: NDArray[np.int64], chosen: NDArray[np.int64], known: Templates) -> Exported:
    """Read the chosen datagrams, which are of NetFlow v9 or IPFIX as `version` says, and learn what they teach."""
    found = sets(frame, version, chosen)
    head = heads(frame, version, np.unique(found.datagram))
    reading = _Reading(frame, version, head, known)
    for datagram, number, start, end in np.stack((found.datagram, found.number, found.start, found.end)).T.tolist():
        reading.take(datagram, number, start, end)
    reading.finish()
    return _read(reading, np.array(reading.rows, np.int64).reshape(-1, 4).T, found.broken)


def _read(reading: "_Reading", rows: NDArray[np.int64], broken: NDArray[np.int64]) -> Exported:
    layouts, exporters = reading.layouts, reading.frame.exporters
    tiny = np.array([layout.tiny for layout in layouts], np.bool_)[rows[3]]
    skipped = sum((end - start) // layouts[which].least for _, start, end, which in rows[:, tiny].T.tolist())
    datagram, start, end, which = np.compress(~tiny, rows, axis=1)
    payload = np.frombuffer(b"".join((reading.frame.payload, *(one.octets for one in reading.waited))), np.uint8)
    read = values(payload, start, end, which, layouts)
    origin = reading.origin(datagram, which)
    traffic = np.array([layout.counts_traffic for layout in layouts], np.bool_)[which][read.of]
    telling = np.array([layout.tells_sampling for layout in layouts], np.bool_)[which][read.of]
    if telling.any():
        hear_sampling(read.picked(telling), origin, exporters, reading.known)
    sound = believable(read)
    wanted = traffic & sound
    records = None
    if wanted.any():
        kept = read if wanted.all() else read.picked(wanted)
        records = meant(kept, origin, layouts, exporters, reading.known, payload)
    home = reading.home(datagram)
    return Exported(
        records=records,
        skipped=skipped + int((~traffic).sum()),
        broken=np.concatenate((broken, np.array(reading.broken, np.int64), home[read.cut])),
        unknown=np.array(sorted(reading.unknown), np.int64),
        absurd=home[read.of[traffic & ~sound]],
    )


class _Reading:
    """One frame, set by set: templates are learned, and each set of data finds its layout."""

    def __init__(self, frame: Datagrams, version: NDArray[np.int64], head: Heads, known: Templates) -> None:
        self.frame, self.known = frame, known
        self._version, self._head = version, head
        self._versions, self._domains = version.tolist(), head.domain.tolist()
        self._exporters = frame.exporter.tolist()
        self.layouts: list[Layout] = []
        self.rows: list[tuple[int, int, int, int]] = []  # datagram, start, end, layout
        self.broken: list[int] = []
        self.unknown: set[int] = set()
        self.waited: list[Waiting] = []  # each a datagram of its own, behind those of the frame
        self._released_by: list[int] = []
        self._octets = len(frame.payload)
        self._later: list[tuple[int, int, int, int]] = []
        self._which: dict[tuple[int, int, int, int], int] = {}
        self._repeated: set[tuple[int, int, int, int, bytes]] = set()  # said before, and nothing changed since

    def take(self, datagram: int, number: int, start: int, end: int) -> None:
        """Take the next set."""
        if number >= FIRST_DATA:
            which = self._layout(datagram, number)
            if which is None:
                self._later.append((datagram, number, start, end))
            else:
                self.rows.append((datagram, start, end, which))
            return
        kind = (self._versions[datagram], number)
        if kind in _TEMPLATES or kind in _OPTIONS:
            body = self.frame.payload[start:end]
            said = (*self._key(datagram, number), body)
            if said in self._repeated:
                return
            before = self.known.changes
            sound = self._learn(datagram, body, options=kind in _OPTIONS)
            if self.known.changes != before:
                self._repeated.clear()
            if sound:
                self._repeated.add(said)

    def finish(self) -> None:
        """Read what came before its template in this frame; the rest has to wait for a later one."""
        for datagram, number, start, end in self._later:
            which = self._layout(datagram, number)
            if which is not None:
                self.rows.append((datagram, start, end, which))
                continue
            self.unknown.add(datagram)
            head = self._head
            self.known.keep(
                Waiting(
                    self._speaker(datagram),
                    number,
                    int(self.frame.receipt_ns[datagram]),
                    int(head.export_ns[datagram]),
                    int(head.uptime_ms[datagram]),
                    self.frame.payload[start:end],
                )
            )

    def _speaker(self, datagram: int) -> Speaker:
        exporter = self.frame.exporters[self._exporters[datagram]]
        return Speaker(exporter, self._versions[datagram], self._domains[datagram])

    def _key(self, datagram: int, number: int) -> tuple[int, int, int, int]:
        return self._exporters[datagram], self._versions[datagram], self._domains[datagram], number

    def _layout(self, datagram: int, number: int) -> int | None:
        key = self._key(datagram, number)
        which = self._which.get(key)
        if which is None:
            layout = self.known.layout(self._speaker(datagram), number)
            if layout is None:
                return None
            which = self._which[key] = len(self.layouts)
            self.layouts.append(layout)
        return which

    def _learn(self, datagram: int, body: bytes, *, options: bool) -> bool:
        """Take in a set of templates; whether it could be read."""
        speaker = self._speaker(datagram)
        try:
            for number, layout in templates(body, version=speaker.version, options=options):
                if layout is None:
                    self.known.withdraw(speaker, number)
                    self._which.clear()
                    continue
                if self.known.layout(speaker, number) != layout:
                    self._which.pop(self._key(datagram, number), None)
                self.known.learn(speaker, number, layout)
                for waiting in self.known.released(speaker, number):
                    self._release(datagram, number, waiting)
        except BadInput:
            self.broken.append(datagram)
            return False
        return True

    def _release(self, datagram: int, number: int, waiting: Waiting) -> None:
        which = self._layout(datagram, number)
        if which is not None:
            start, self._octets = self._octets, self._octets + len(waiting.octets)
            self.rows.append((len(self.frame) + len(self.waited), start, self._octets, which))
            self.waited.append(waiting)
            self._released_by.append(datagram)

    def home(self, datagram: NDArray[np.int64]) -> NDArray[np.int64]:
        """The datagrams of this frame to which these belong: what waited belongs to the one that released it."""
        return np.concatenate((np.arange(len(self.frame)), np.array(self._released_by, np.int64)))[datagram]

    def origin(self, datagram: NDArray[np.int64], which: NDArray[np.int64]) -> Origin:
        """What is said of sets by the headers of their datagrams."""

        def said(column: NDArray[np.int64], waited: list[int]) -> NDArray[np.int64]:
            return np.concatenate((column, np.array(waited, np.int64)))[datagram]

        home = self.home(datagram)
        return Origin(
            which=which,
            exporter=self.frame.exporter[home],
            version=self._version[home],
            domain=self._head.domain[home],
            receipt_ns=said(self.frame.receipt_ns, [one.receipt_ns for one in self.waited]),
            export_ns=said(self._head.export_ns, [one.export_ns for one in self.waited]),
            uptime_ms=said(self._head.uptime_ms, [one.uptime_ms for one in self.waited]),
        )
