"""Frames of records become activity: one row per host or attachment, exporter and tick, for each activity partition."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from controller.domain.estate import Estate, Source, SourceFormat
from controller.domain.rulebook import Rulebook
from streams.accusing import Accuser
from streams.decode import Reject, fastnetmon, goflow2, logs, pmacct
from streams.decode.columns import Flows
from streams.decode.flows import Trust
from streams.grouping import Grouping
from streams.hearing import Heard, heard
from streams.keys import buckets_of, key_array, scope_digest
from streams.lessons import Memory
from streams.links import suffering
from streams.messages import Body, encode
from streams.packing import bodies
from streams.places import Places
from streams.rows import Claim, Sighting, Symptom


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


def _formats(wanted: Collection[SourceFormat]) -> Mapping[SourceFormat, _Format]:
    """What reads each format. Compiled code is loaded only where a source needs it, and then at once."""
    made = {
        SourceFormat.GOFLOW2_JSON: _Format(lambda frame, trust, _: goflow2.decode(frame, trust)),
        SourceFormat.PMACCT_JSON: _Format(lambda frame, trust, _: pmacct.decode(frame, trust)),
        SourceFormat.FASTNETMON_JSON: _Format(lambda frame, trust, _: fastnetmon.decode(frame, trust)),
    }
    if SourceFormat.DATAGRAMS in wanted:
        made[SourceFormat.DATAGRAMS] = _datagrams()
    if SourceFormat.SYSLOG in wanted:
        logs.prepare()
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
        self._formats = _formats({source.format for source in estate.site.sources})
        self._prepare()

    def _prepare(self) -> None:
        """Load what is compiled, or compile it, by a record of one of our hosts: no live frame should wait for that."""
        ours = [str(address) for host in self._estate.site.hosts[:1] for address in host.addresses[:1]]
        said = {"type": "NETFLOW_V5", "bytes": 1, "packets": 1, "src_addr": "".join(ours), "dst_addr": "".join(ours)}
        source = Source("", SourceFormat.GOFLOW2_JSON)
        self._flows(goflow2.decode(msgspec.json.encode(said), self._trust(source, 1)), source)

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
        symptoms = suffering(flows.links, flows.linked, self._estate, self._rules.detectors.attribution)
        if flows.columns is None:
            said_of_links = self._told_body(source, [], [], symptoms)
            return Combined(flows.received, flows.skipped, flows.rejects, 0, (said_of_links,) * self._partitions)
        columns = flows.columns
        grouped = self._grouping.rows(columns, scope_digest(source.scope))
        rows = grouped.rows
        home = np.zeros(0, np.int64) if rows is None else self._home(rows.key)
        said = heard(columns, home, grouped.counted, tick_ns=self._tick_ns)
        sightings = _sightings(said, columns.exporters)
        heads = [
            Body(source.topic, ticks, list(columns.exporters), symptoms=symptoms, sightings=sightings)
            for ticks in _shares(said, self._partitions)
        ]
        return Combined(
            received=flows.received,
            skipped=flows.skipped,
            rejects=flows.rejects,
            rows=0 if rows is None else len(rows),
            bodies=tuple(
                [encode(head, None) for head in heads] if rows is None else bodies(heads, rows, grouped.keys, home)
            ),
            exporters=_seen(said, columns.exporters),
            latest_ns=int(columns.receipt_ns.max()),
        )

    def _home(self, keys: NDArray[np.bytes_]) -> NDArray[np.int64]:
        """The partition of each key."""
        answer: NDArray[np.int64] = buckets_of(keys, self._rules.scoring.buckets) % self._partitions
        return answer

    def _homes(self, keys: list[bytes]) -> list[int]:
        return self._home(key_array(keys)).tolist() if keys else []

    def _logs(self, value: bytes, source: Source, kafka_ns: int) -> Combined:
        said = self._accuser.frame(value, source=source, kafka_ns=kafka_ns)
        claims: list[list[Claim]] = [[] for _ in range(self._partitions)]
        for claim, home in zip(said.claims, self._homes([claim.key for claim in said.claims]), strict=True):
            claims[home].append(claim)
        ticks, lines = np.unique(said.heard // self._tick_ns, return_counts=True)
        heard = list(zip(ticks.tolist(), lines.tolist(), strict=True))
        made = [
            self._told_body(source, heard if partition == 0 else [], mine, said.symptoms)
            for partition, mine in enumerate(claims)
        ]
        return Combined(
            received=said.received,
            skipped=said.skipped,
            rejects=said.rejects,
            rows=len(said.claims),
            bodies=tuple(made),
            exporters={
                sender: ExporterSeen(count, last_ns, fragments_visible=False)
                for sender, (count, last_ns) in said.senders.items()
            },
            latest_ns=max((last_ns for _, last_ns in said.senders.values()), default=0),
        )

    def _told_body(
        self, source: Source, heard: list[tuple[int, int]], claims: list[Claim], symptoms: list[Symptom]
    ) -> bytes:
        if not (heard or claims or symptoms):
            return b""
        return encode(Body(source.topic, heard, [], claims=claims, symptoms=symptoms), None)


def _shares(said: Heard, partitions: int) -> list[list[tuple[int, int]]]:
    """Ticks, and the records of each that a partition counts, for each partition."""
    shares: list[list[tuple[int, int]]] = [[] for _ in range(partitions)]
    for partition, tick, records in said.shares.tolist():
        shares[partition].append((tick, records))
    return [sorted(one) for one in shares]


def _sightings(said: Heard, names: tuple[str, ...]) -> list[Sighting]:
    """Each exporter in each tick of the frame: every partition hears them, for each judges silence by itself."""
    return [
        Sighting(names[exporter], tick, records, last_ns, sampling)
        for exporter, tick, records, last_ns, sampling in sorted(said.sightings.tolist())
    ]


def _seen(said: Heard, names: tuple[str, ...]) -> dict[str, ExporterSeen]:
    return {
        name: ExporterSeen(records, last_ns, bool(visible), skewed, skew_ns, sampling)
        for name, (records, last_ns, visible, skewed, skew_ns, sampling) in zip(
            names, said.exporters.tolist(), strict=True
        )
        if records
    }
