"""Frames of records become activity: one row per host or attachment, exporter and tick, for each activity partition."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from controller.domain.estate import Estate, Source, SourceFormat
from controller.domain.rulebook import Rulebook
from streams.accusing import Accuser
from streams.decode import Reject, goflow2, pmacct
from streams.decode.columns import Columns, Flows
from streams.decode.flows import Trust
from streams.grouping import Grouping
from streams.keys import bucket_of, buckets_of, scope_digest
from streams.lessons import Memory
from streams.places import Places
from streams.rows import Body, Claim, Sighting, Symptom, encode


@dataclass(frozen=True, slots=True)
class ExporterSeen:
    """What one frame told of one exporter."""

    records: int
    last_ns: int  # latest receipt stamp
    fragments_visible: bool  # its records carry what tells fragments apart
    skewed: int = 0  # records whose own times were void, or far from their receipt
    skew_ns: int = 0  # largest distance between a record's own end time and its receipt
    sampling: int = 0  # largest sampling rate in force; 0 for log senders


@dataclass(frozen=True, slots=True)
class Combined:
    """One frame, combined. received = records in bodies + sum of reject counts + skipped, exactly."""

    received: int
    skipped: int
    rejects: tuple[Reject, ...]
    rows: int
    bodies: tuple[bytes, ...]  # one per activity partition; b"" when there is nothing to say
    exporters: Mapping[str, ExporterSeen] = field(default_factory=dict)
    latest_ns: int = 0  # latest receipt stamp in the frame; 0 when no record carried one

    @property
    def dead(self) -> int:
        """Records that became dead letters."""
        return sum(reject.count for reject in self.rejects)


@dataclass(frozen=True, slots=True)
class _Format:
    """How messages of a format are read, and what that has to remember: nothing, anew or as it was saved."""

    decode: Callable[[bytes, Trust, Memory | None], Flows]
    memory: Callable[[bytes | None], Memory | None] = lambda _: None


def _formats(wanted: Iterable[SourceFormat]) -> Mapping[SourceFormat, _Format]:
    """What reads each format. Compiled code is loaded only where a source needs it, and then at once."""
    made = {
        SourceFormat.GOFLOW2_JSON: _Format(lambda frame, trust, _: goflow2.decode(frame, trust)),
        SourceFormat.PMACCT_JSON: _Format(lambda frame, trust, _: pmacct.decode(frame, trust)),
    }
    if SourceFormat.DATAGRAMS in wanted:
        made[SourceFormat.DATAGRAMS] = _datagrams()
    return made


def _datagrams() -> _Format:
    from streams.decode import received
    from streams.decode.templates import Templates

    def decode(frame: bytes, trust: Trust, memory: Memory | None) -> Flows:
        return received.decode(frame, trust, memory if isinstance(memory, Templates) else None)

    received.prepare()
    return _Format(decode, lambda saved: Templates() if saved is None else Templates.restored(saved))


class Combiner:
    """Combines frames. Holds the estate's look-ups and settings and nothing of the frames that it has seen."""

    def __init__(self, estate: Estate, rules: Rulebook, *, partitions: int) -> None:
        self._estate, self._rules, self._partitions = estate, rules, partitions
        self._tick_ns = rules.scoring.tick_ms * 1_000_000
        self._grouping = Grouping(Places(estate), estate.site.expected, tick_ns=self._tick_ns)
        self._devices = frozenset(str(exporter) for exporter in estate.exporters)
        self._accuser = Accuser(estate)
        self._formats = _formats(source.format for source in estate.site.sources)

    def memory(self, source: Source, saved: bytes | None = None) -> Memory | None:
        """What reading a partition of `source` has to remember: anew, or as it was saved; None where that is nothing.

        Raises BadInput for what was never saved.
        """
        known = self._formats.get(source.format)
        return None if known is None else known.memory(saved)

    def frame(self, value: bytes, *, source: Source, kafka_ns: int, memory: Memory | None = None) -> Combined:
        """Combine one Kafka message of `source`; `kafka_ns` is its timestamp. Never raises for bad input.

        A message teaches `memory`, and is read as if nothing came before it where there is none.
        """
        if source.format is SourceFormat.SYSLOG:
            return self._logs(value, source, kafka_ns)
        flows = self._formats[source.format].decode(value, self._trust(source, kafka_ns), memory)
        return self._flows(flows, source)

    def _trust(self, source: Source, kafka_ns: int) -> Trust:
        named = frozenset(str(exporter) for exporter in source.exporters) or self._devices
        only = len(source.exporters) == 1
        return Trust(
            exporters=named,
            unnamed=str(source.exporters[0]) if only else source.topic,
            kafka_ns=kafka_ns,
            oldest_ns=int(self._rules.scoring.stamp_trust_s * 1e9),
            sampling_rate=source.sampling_rate,
            renormalised=source.renormalised,
        )

    def _flows(self, flows: Flows, source: Source) -> Combined:
        if flows.columns is None:
            return Combined(flows.received, flows.skipped, flows.rejects, 0, (b"",) * self._partitions)
        columns = flows.columns
        grouped = self._grouping.rows(columns, scope_digest(source.scope))
        rows, counted = grouped.rows, grouped.counted
        ticks = columns.receipt_ns // self._tick_ns
        if rows is None:
            home = np.zeros(len(columns), np.int64)
            owners = np.zeros(0, np.int64)
        else:
            owners = buckets_of(rows.key, self._rules.scoring.buckets) % self._partitions
            home = np.where(counted >= 0, owners[counted], 0)
        sightings = _sightings(columns, ticks)
        bodies = []
        for partition in range(self._partitions):
            body = Body(
                source.topic,
                _by_tick(ticks[home == partition]),
                list(columns.exporters),
                sightings=sightings,
            )
            mine = rows.pick(np.flatnonzero(owners == partition)) if rows is not None else None
            bodies.append(encode(body, mine))
        return Combined(
            received=flows.received,
            skipped=flows.skipped,
            rejects=flows.rejects,
            rows=0 if rows is None else len(rows),
            bodies=tuple(bodies),
            exporters=_seen(columns),
            latest_ns=int(columns.receipt_ns.max()),
        )

    def _logs(self, value: bytes, source: Source, kafka_ns: int) -> Combined:
        said = self._accuser.frame(value, source=source, kafka_ns=kafka_ns)
        bodies = []
        for partition in range(self._partitions):
            claims = [claim for claim in said.claims if self._partition(claim.key) == partition]
            heard = [(at_ns // self._tick_ns, count) for at_ns, count in said.heard] if partition == 0 else []
            bodies.append(self._log_body(source, heard, claims, said.symptoms))
        return Combined(
            received=said.received,
            skipped=said.skipped,
            rejects=said.rejects,
            rows=len(said.claims),
            bodies=tuple(bodies),
            exporters={
                sender: ExporterSeen(count, last_ns, fragments_visible=False)
                for sender, (count, last_ns) in said.senders.items()
            },
            latest_ns=max((last_ns for _, last_ns in said.senders.values()), default=0),
        )

    def _log_body(
        self, source: Source, heard: list[tuple[int, int]], claims: list[Claim], symptoms: list[Symptom]
    ) -> bytes:
        if not (heard or claims or symptoms):
            return b""
        return encode(Body(source.topic, heard, [], claims=claims, symptoms=symptoms), None)

    def _partition(self, key: bytes) -> int:
        return bucket_of(key, self._rules.scoring.buckets) % self._partitions


def _by_tick(ticks: NDArray[np.int64]) -> list[tuple[int, int]]:
    unique, counts = np.unique(ticks, return_counts=True)
    return list(zip(unique.tolist(), counts.tolist(), strict=True))


def _sightings(columns: Columns, ticks: NDArray[np.int64]) -> list[Sighting]:
    """Each exporter in each tick of the frame: every partition hears them, for each judges silence by itself."""
    found: dict[tuple[int, int], list[int]] = {}
    order = np.stack([columns.exporter.astype(np.int64), ticks])
    unique, index, counts = np.unique(order, axis=1, return_inverse=True, return_counts=True)
    index = index.reshape(-1)
    last = np.zeros(unique.shape[1], np.int64)
    np.maximum.at(last, index, columns.receipt_ns)
    rate = np.zeros(unique.shape[1], np.int64)
    np.maximum.at(rate, index, columns.sampling)
    for place, (exporter, tick) in enumerate(unique.T.tolist()):
        found[exporter, tick] = [int(counts[place]), int(last[place]), int(rate[place])]
    return [
        Sighting(columns.exporters[exporter], tick, records, last_ns, sampling)
        for (exporter, tick), (records, last_ns, sampling) in sorted(found.items())
    ]


def _seen(columns: Columns) -> dict[str, ExporterSeen]:
    seen = {}
    for index, name in enumerate(columns.exporters):
        mine = columns.exporter == index
        if mine.any():
            seen[name] = ExporterSeen(
                records=int(mine.sum()),
                last_ns=int(columns.receipt_ns[mine].max()),
                fragments_visible=bool(columns.fragments_visible[mine].any()),
                skewed=int(columns.skewed[mine].sum()),
                skew_ns=int(columns.skew_ns[mine].max()),
                sampling=int(columns.sampling[mine].max()),
            )
    return seen
