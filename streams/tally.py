"""Counts that travel with the activity, so that they are counted exactly as often as the activity is: once.

Combine holds nothing between frames. It sends what it counted in a frame along with the frame's activity, to one
activity partition, where the sums are kept in the checkpoint beside the scores.
"""

from collections.abc import Mapping

import msgspec

from controller.domain.errors import BadInput
from streams.activity import Combined, ExporterSeen


class Counts(msgspec.Struct, array_like=True):
    """Records of one source topic: received = scored + dead + skipped."""

    received: int = 0
    dead: int = 0
    skipped: int = 0


class Exporter(msgspec.Struct, array_like=True):
    """What was heard of one exporter."""

    records: int = 0
    last_ns: int = 0  # latest receipt stamp
    fragments_visible: bool = False
    skewed: int = 0  # records whose own times were void
    skew_ns: int = 0  # largest distance between a record's own time and its receipt
    sampling: int = 0  # last rate heard


class Tally(msgspec.Struct, array_like=True):
    """Sums over frames. Adding is associative, and commutative but for `sampling`, which is the last one heard."""

    sources: dict[str, Counts] = msgspec.field(default_factory=dict)
    exporters: dict[str, Exporter] = msgspec.field(default_factory=dict)

    def add(self, other: "Tally") -> None:
        """Add what another tally counted."""
        for topic, more in other.sources.items():
            mine = self.sources.setdefault(topic, Counts())
            mine.received += more.received
            mine.dead += more.dead
            mine.skipped += more.skipped
        for address, heard in other.exporters.items():
            seen = self.exporters.setdefault(address, Exporter())
            seen.records += heard.records
            seen.last_ns = max(seen.last_ns, heard.last_ns)
            seen.fragments_visible = seen.fragments_visible or heard.fragments_visible
            seen.skewed += heard.skewed
            seen.skew_ns = max(seen.skew_ns, heard.skew_ns)
            seen.sampling = heard.sampling or seen.sampling

    def encode(self) -> bytes:
        """Bytes that `tally_from` reads."""
        return msgspec.msgpack.encode(self)


def tally_from(raw: bytes) -> Tally:
    """Read `Tally.encode`. Raises BadInput."""
    try:
        return msgspec.msgpack.decode(raw, type=Tally)
    except msgspec.MsgspecError as error:
        raise BadInput(f"tally: {error}") from None


def tally_of(combined: Combined, topic: str) -> Tally:
    """What one frame counted."""
    counts = Counts(combined.received, combined.dead, combined.skipped)
    return Tally({topic: counts}, {address: _exporter(seen) for address, seen in combined.exporters.items()})


def _exporter(seen: ExporterSeen) -> Exporter:
    return Exporter(
        records=seen.records,
        last_ns=seen.last_ns,
        fragments_visible=seen.fragments_visible,
        skewed=seen.skewed,
        skew_ns=seen.skew_ns,
        sampling=seen.sampling,
    )


def exporters_document(tally: Tally) -> Mapping[str, Mapping[str, int]]:
    """Exporters as a heartbeat shows them."""
    return {
        address: {name: int(getattr(seen, name)) for name in seen.__struct_fields__}
        for address, seen in tally.exporters.items()
    }
