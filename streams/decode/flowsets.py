"""What exporters of NetFlow v9 and IPFIX sent in a frame: sets, by what is known of their templates, to records."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.domain.errors import BadInput
from streams.decode.datagrams import Datagrams
from streams.decode.exports import Heads, Sets, heads, sets
from streams.decode.interning import interned
from streams.decode.layouts import FIRST_DATA, IPFIX, V9, Layout, templates, values
from streams.decode.meaning import Origin, believable, hear_sampling, meant
from streams.decode.records import Records
from streams.decode.templates import Speaker, Templates, Waiting

_TEMPLATES, _OPTIONS = ((V9, 0), (IPFIX, 2)), ((V9, 1), (IPFIX, 3))
_UNKNOWN = -1


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
    reading = _Reading(frame, version, head, known, found)
    reading.read()
    return _read(reading, np.concatenate((np.zeros((4, 0), np.int64), *reading.rows), axis=1), found.broken)


def _read(reading: "_Reading", rows: NDArray[np.int64], broken: NDArray[np.int64]) -> Exported:
    layouts, exporters = reading.layouts, reading.frame.exporters
    tiny = np.array([layout.tiny for layout in layouts], np.bool_)[rows[3]]
    skipped = sum((end - start) // layouts[which].least for _, start, end, which in rows[:, tiny].T.tolist())
    datagram, start, end, which = np.compress(~tiny, rows, axis=1)
    octets = reading.frame.payload
    if reading.waited:
        octets = b"".join((octets, *(one.octets for one in reading.waited)))
    payload = np.frombuffer(octets, np.uint8)
    read = values(payload, start, end, which, layouts)
    origin = reading.origin(datagram, which)
    traffic = np.array([layout.counts_traffic for layout in layouts], np.bool_)[which][read.of]
    telling = np.array([layout.tells_sampling for layout in layouts], np.bool_)[which]
    if telling.any():
        hear_sampling(read.picked(telling[read.of]), origin, exporters, reading.known)
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
    """One frame: templates are learned set by set, and sets of data find their layouts, those of a kind together."""

    def __init__(
        self, frame: Datagrams, version: NDArray[np.int64], head: Heads, known: Templates, found: Sets
    ) -> None:
        self.frame, self.known = frame, known
        self._version, self._head, self._found = version, head, found
        # What kind of set each is: those of one exporter, version, domain and number mean the same, until one teaches.
        said = frame.exporter[found.datagram] << 16 | version[found.datagram], head.domain[found.datagram] << 16
        self._kinds, self._kind = interned(said[0].astype(np.uint64), (said[1] | found.number).astype(np.uint64))
        self.layouts: list[Layout] = []
        self.rows: list[NDArray[np.int64]] = []  # datagram, start, end, layout; 4 × n
        self.broken: list[int] = []
        self.unknown: set[int] = set()
        self.waited: list[Waiting] = []  # each a datagram of its own, behind those of the frame
        self._released_by: list[int] = []
        self._octets = len(frame.payload)
        self._settled = 0  # sets before this one have been read
        self._later: list[int] = []  # sets of data that came before their template
        self._which: dict[tuple[int, int, int, int], int] = {}

    def read(self) -> None:
        """Read all sets. What came before its template in this frame comes last; the rest waits for a later one."""
        found = self._found
        for at in np.flatnonzero(found.number < FIRST_DATA).tolist():
            self._taught(at)
        self._settle(len(found.number))
        for at in self._later:
            datagram, number = int(found.datagram[at]), int(found.number[at])
            which = self._layout(datagram, number)
            if which is not None:
                self._row(datagram, int(found.start[at]), int(found.end[at]), which)
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
                    self.frame.payload[int(found.start[at]) : int(found.end[at])],
                )
            )

    def _row(self, datagram: int, start: int, end: int, which: int) -> None:
        self.rows.append(np.array(((datagram,), (start,), (end,), (which,)), np.int64))

    def _taught(self, at: int) -> None:
        """Take in a set that is none of data. Most repeat what was said before, and change nothing."""
        found = self._found
        datagram, number = int(found.datagram[at]), int(found.number[at])
        kind = (int(self._version[datagram]), number)
        if kind not in _TEMPLATES and kind not in _OPTIONS:
            return
        speaker, body = self._speaker(datagram), self.frame.payload[int(found.start[at]) : int(found.end[at])]
        if self.known.repeats(speaker, number, body):
            return
        self._settle(at)
        if self._learn(datagram, body, options=kind in _OPTIONS):
            self.known.heard(speaker, number, body)

    def _settle(self, end: int) -> None:
        """Find the layouts of the sets of data before this set, as templates are now."""
        begin, self._settled, found = self._settled, end, self._found
        data = begin + np.flatnonzero(found.number[begin:end] >= FIRST_DATA)
        if not len(data):
            return
        table = np.full(len(self._kinds), _UNKNOWN, np.int64)
        kinds, first = np.unique(self._kind[data], return_index=True)
        for kind, at in zip(kinds.tolist(), data[first].tolist(), strict=True):
            which = self._layout(int(found.datagram[at]), int(found.number[at]))
            table[kind] = _UNKNOWN if which is None else which
        layout = table[self._kind[data]]
        self._later += data[layout == _UNKNOWN].tolist()
        there = data[layout != _UNKNOWN]
        self.rows.append(
            np.stack((found.datagram[there], found.start[there], found.end[there], layout[layout != _UNKNOWN]))
        )

    def _speaker(self, datagram: int) -> Speaker:
        exporter = self.frame.exporters[int(self.frame.exporter[datagram])]
        return Speaker(exporter, int(self._version[datagram]), int(self._head.domain[datagram]))

    def _key(self, datagram: int, number: int) -> tuple[int, int, int, int]:
        place = self.frame.exporter[datagram], self._version[datagram], self._head.domain[datagram]
        return int(place[0]), int(place[1]), int(place[2]), number

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
            self._row(len(self.frame) + len(self.waited), start, self._octets, which)
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
