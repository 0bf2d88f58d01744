"""Frames of records become activity: one row per host or attachment, exporter and tick, for each activity partition."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.domain.estate import Estate, Source
from controller.domain.rulebook import Rulebook
from streams.decode import Reject


@dataclass(frozen=True, slots=True)
class ExporterSeen:
    """What one frame told of one exporter."""

    records: int
    last_ns: int  # latest receipt stamp
    fragments_visible: bool  # its records carry what tells fragments apart
    skewed: int = 0  # records whose own times were void
    skew_ns: int = 0  # largest distance between a record's own end time and its receipt
    sampling: int = 0  # last sampling rate; 0 when records carried none


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


class Combiner:
    """Combines frames. Holds the estate's look-ups and settings and nothing of the frames that it has seen."""

    def __init__(self, estate: Estate, rules: Rulebook, *, partitions: int) -> None:
        self._estate, self._rules, self._partitions = estate, rules, partitions

    def frame(self, value: bytes, *, source: Source, kafka_ns: int) -> Combined:
        """Combine one Kafka message of `source`; `kafka_ns` is its timestamp. Never raises for bad input."""
        raise NotImplementedError
