"""Frames of records become activity: one row per host or attachment, exporter and tick, for each activity partition.

Frames of a partition are gathered until somebody asks what they come to.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from controller.domain.estate import Estate, Source, SourceFormat
from controller.domain.rulebook import Rulebook
from streams.accusing import Accuser
from streams.decode import Reject, fastnetmon, goflow2, logs, pmacct
from streams.decode.columns import Flows
from streams.decode.flows import Trust
from streams.gathering import Gathered
from streams.grouping import Gathering, Grouping
from streams.hearing import Heard, heard
from streams.keys import buckets_of, key_array, scope_digest
from streams.lessons import Memory
from streams.links import suffering
from streams.places import Places
from streams.rows import Sighting


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
    rows: int = 0  # and claims
    bodies: tuple[bytes, ...] = ()  # one per activity partition, where the frame was not gathered with others
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
        self._places = Places(estate)
        self._groupings: dict[str, Grouping] = {}
        self._devices = frozenset(str(exporter) for exporter in estate.exporters)
        self._accuser = Accuser(estate)
        self._formats = _formats({source.format for source in estate.site.sources})
        self._prepare()

    def _prepare(self) -> None:
        """Load what is compiled, or compile it, by a record of one of our hosts: no live frame should wait for that."""
        ours = [str(address) for host in self._estate.site.hosts[:1] for address in host.addresses[:1]]
        said = {"type": "NETFLOW_V5", "bytes": 1, "packets": 1, "src_addr": "".join(ours), "dst_addr": "".join(ours)}
        source = Source("", SourceFormat.GOFLOW2_JSON)
        gathered = self.gathered(source)
        self._flows(goflow2.decode(msgspec.json.encode(said), self._trust(source, 1)), gathered)
        gathered.told()

    def memory(self, source: Source, saved: bytes | None = None) -> Memory | None:
        """What reading a partition of `source` has to remember: anew, or as it was saved; None where that is nothing.

        Raises BadInput for what was never saved.
        """
        known = self._formats.get(source.format)
        return None if known is None else known.memory(saved)

    def gathered(self, source: Source) -> Gathered:
        """What messages of a source's partition say, of which nothing was read yet."""
        grouping = self._groupings.get(source.scope)
        if grouping is None:
            grouping = self._groupings[source.scope] = Grouping(
                self._places,
                self._estate.site.expected,
                scope_digest(source.scope),
                homes=self._home,
                tick_ns=self._tick_ns,
            )
        return Gathered(source.topic, Gathering(grouping), partitions=self._partitions)

    def take(
        self, value: bytes, gathered: Gathered, *, source: Source, kafka_ns: int, memory: Memory | None = None
    ) -> Combined:
        """Add what a Kafka message of `source` says to what is gathered; `kafka_ns` is its timestamp.

        Never raises for bad input. A message teaches `memory`, and is read as if nothing came before it where there is
        none. Nothing is added where it raises.
        """
        if source.format is SourceFormat.SYSLOG:
            return self._logs(value, gathered, source, kafka_ns)
        flows = self._formats[source.format].decode(value, self._trust(source, kafka_ns), memory)
        return self._flows(flows, gathered)

    def frame(self, value: bytes, *, source: Source, kafka_ns: int, memory: Memory | None = None) -> Combined:
        """One message by itself, with a body for each activity partition; b"" where there is nothing to say."""
        gathered = self.gathered(source)
        combined = self.take(value, gathered, source=source, kafka_ns=kafka_ns, memory=memory)
        return replace(combined, rows=combined.rows + len(gathered.flows), bodies=tuple(gathered.whole()))

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

    def _flows(self, flows: Flows, gathered: Gathered) -> Combined:
        symptoms = suffering(flows.links, flows.linked, self._estate, self._rules.detectors.attribution)
        columns = flows.columns
        if columns is None:
            gathered.suffer(symptoms)
            return Combined(flows.received, flows.skipped, flows.rejects)
        home = gathered.flows.add(columns)
        said = heard(columns, home, partitions=self._partitions, tick_ns=self._tick_ns)
        gathered.suffer(symptoms)
        for partition, tick, records in said.shares.tolist():
            gathered.hear(partition, tick, records)
        for exporter, tick, records, last_ns, sampling in said.sightings.tolist():
            gathered.see(Sighting(columns.exporters[exporter], tick, records, last_ns, sampling))
        return Combined(
            received=flows.received,
            skipped=flows.skipped,
            rejects=flows.rejects,
            exporters=_seen(said, columns.exporters),
            latest_ns=int(columns.receipt_ns.max()),
        )

    def _home(self, keys: NDArray[np.bytes_]) -> NDArray[np.int64]:
        """The partition of each key."""
        answer: NDArray[np.int64] = buckets_of(keys, self._rules.scoring.buckets) % self._partitions
        return answer

    def _logs(self, value: bytes, gathered: Gathered, source: Source, kafka_ns: int) -> Combined:
        said = self._accuser.frame(value, source=source, kafka_ns=kafka_ns)
        homes = self._home(key_array([claim.key for claim in said.claims])).tolist() if said.claims else []
        for claim, home in zip(said.claims, homes, strict=True):
            gathered.claim(home, claim)
        ticks, lines = np.unique(said.heard // self._tick_ns, return_counts=True)
        for tick, count in zip(ticks.tolist(), lines.tolist(), strict=True):
            gathered.hear(0, tick, count)
        gathered.suffer(said.symptoms)
        return Combined(
            received=said.received,
            skipped=said.skipped,
            rejects=said.rejects,
            rows=len(said.claims),
            exporters={
                sender: ExporterSeen(count, last_ns, fragments_visible=False)
                for sender, (count, last_ns) in said.senders.items()
            },
            latest_ns=max((last_ns for _, last_ns in said.senders.values()), default=0),
        )


def _seen(said: Heard, names: tuple[str, ...]) -> dict[str, ExporterSeen]:
    return {
        name: ExporterSeen(records, last_ns, bool(visible), skewed, skew_ns, sampling)
        for name, (records, last_ns, visible, skewed, skew_ns, sampling) in zip(
            names, said.exporters.tolist(), strict=True
        )
        if records
    }
