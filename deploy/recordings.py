"""Recorded input: which format a file speaks, when each of its lines was received, and frames with their event time.

Lines of several files are merged by time. A line that carries a receipt stamp keeps it; of others the record's own end
is taken, as a collector on the spot would have stamped it; a line without any time was received with the one before,
and a file without any, when it was written.
"""

import gzip
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import merge
from pathlib import Path
from typing import Annotated

import msgspec

from controller.domain.errors import BadInput
from controller.domain.estate import SourceFormat
from streams.decode.envelope import LogLine, opened
from streams.decode.stamps import stamp_ns
from streams.files import FRAME, LINE

MOST_RECORDS = 1_000
LOOKED_AT = 50  # lines of a file, to tell its format
_RECEIVED = re.compile(rb'"time_received_ns":\s*(\d+|"[^"]*")')
_ACCESS = re.compile(r"\[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\]")


class _Pmacct(msgspec.Struct):
    """The times of a pmacct record, the latest meaning first."""

    timestamp_arrival: int | float | str = 0
    timestamp_max: int | float | str = 0
    timestamp_end: int | float | str = 0
    stamp_updated: int | float | str = 0
    timestamp_min: int | float | str = 0
    timestamp_start: int | float | str = 0
    stamp_inserted: int | float | str = 0


_PMACCT = msgspec.json.Decoder(_Pmacct)


class _Fastnetmon(msgspec.Struct):
    """The one time of a FastNetMon record."""

    timestamp: Annotated[int, msgspec.Meta(ge=0, le=1 << 62)] | float | str = 0  # seconds


_FASTNETMON = msgspec.json.Decoder(_Fastnetmon)


@dataclass(frozen=True, slots=True)
class Piece:
    """One frame of a recording: what a collector would have written as one message, received up to `at_ns`."""

    format: SourceFormat
    value: bytes
    records: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class Recording:
    """One file, its lines in the order of their receipt."""

    path: Path
    format: SourceFormat
    lines: tuple[tuple[int, bytes], ...]

    def told_by(self, sender: str) -> "Recording":
        """The same log, as a collector would have written what it took from `sender`; records stay as they are."""
        if self.format is not SourceFormat.SYSLOG:
            return self
        lines = tuple((at_ns, _taken_from(sender, at_ns, line)) for at_ns, line in self.lines)
        return Recording(self.path, self.format, lines)

    @property
    def is_access_log(self) -> bool:
        """True when its lines are a web server's."""
        return any(_ACCESS.search(line.decode(errors="replace")) for _, line in self.lines[:LOOKED_AT])

    @property
    def begins_ns(self) -> int:
        """Receipt of its first line; 0 when it has none."""
        return self.lines[0][0] if self.lines else 0


def recording(path: Path, kind: SourceFormat | None = None) -> Recording:
    """Read a file, plain or gzip. Raises BadInput when it is empty, OSError when it cannot be read."""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        lines = [line.rstrip(b"\r\n")[:LINE] for line in file]
    lines = [line for line in lines if line.strip()]
    kind = kind or detected(lines[:LOOKED_AT])
    stamp = _STAMPS[kind]
    timed, last_ns = [], 0
    for line in lines:
        last_ns = stamp(line, last_ns) or last_ns
        timed.append((last_ns, line))
    first = next((at_ns for at_ns, _ in timed if at_ns), path.stat().st_mtime_ns)
    ordered = sorted(((at_ns or first, line) for at_ns, line in timed), key=lambda one: one[0])
    return Recording(path, kind, tuple(ordered))


def detected(lines: Sequence[bytes]) -> SourceFormat:
    """The format of a file by its first lines. Raises BadInput when they are empty."""
    for line in lines:
        if not line.lstrip().startswith(b"{"):
            return SourceFormat.SYSLOG
        if b'"sampler_address"' in line or _RECEIVED.search(line):
            return SourceFormat.GOFLOW2_JSON
        if (b'"event_type"' in line and b'"purge' in line) or b'"ip_src"' in line:
            return SourceFormat.PMACCT_JSON
        if b'"source_ip"' in line and b'"sample_ratio"' in line:
            return SourceFormat.FASTNETMON_JSON
    if not lines:
        raise BadInput("an empty file")
    return SourceFormat.SYSLOG


def _tagged(recording: Recording) -> Iterator[tuple[int, SourceFormat, bytes]]:
    return ((at_ns, recording.format, line) for at_ns, line in recording.lines)


def pieces(recordings: Iterable[Recording], *, tick_ns: int) -> Iterator[Piece]:
    """Frames of all recordings in the order of time. A frame holds one format, and no more than one tick of lines."""
    batch: list[bytes] = []
    held, until, kind = 0, 0, SourceFormat.SYSLOG
    for at_ns, found, line in merge(*map(_tagged, recordings), key=lambda one: one[0]):
        tick = at_ns // tick_ns
        full = len(batch) >= MOST_RECORDS or held + len(line) > FRAME
        if batch and (found is not kind or tick != until // tick_ns or full):
            yield Piece(kind, b"\n".join(batch), len(batch), until)
            batch, held = [], 0
        batch.append(line)
        held, until, kind = held + len(line) + 1, at_ns, found
    if batch:
        yield Piece(kind, b"\n".join(batch), len(batch), until)


def _taken_from(sender: str, at_ns: int, line: bytes) -> bytes:
    """A log line in the envelope that Vector gives it; JSON that is no event of its own (Suricata's EVE) has one."""
    if line.lstrip().startswith(b"{") and not _is_event(line):
        return line
    stamp = datetime.fromtimestamp(at_ns / 1e9, UTC).isoformat()
    return msgspec.json.encode({"message": line.decode(errors="replace"), "source_ip": sender, "timestamp": stamp})


def _is_event(line: bytes) -> bool:
    try:
        return not isinstance(opened(line.decode(errors="replace"), kafka_ns=0), LogLine)
    except BadInput:
        return False


def _goflow2(line: bytes, last_ns: int) -> int:
    found = _RECEIVED.search(line)
    if not found:
        return last_ns
    text = found[1].decode(errors="replace").strip('"')
    return stamp_ns(int(text) if text.isdigit() else text)


def _pmacct(line: bytes, last_ns: int) -> int:
    try:
        record = _PMACCT.decode(line)
    except msgspec.DecodeError:
        return last_ns
    stamps = (stamp_ns(getattr(record, name)) for name in _Pmacct.__struct_fields__)
    return next((one for one in stamps if one), last_ns)


def _fastnetmon(line: bytes, last_ns: int) -> int:
    try:
        return stamp_ns(str(_FASTNETMON.decode(line).timestamp)) or last_ns
    except msgspec.DecodeError:
        return last_ns


def _log(line: bytes, last_ns: int) -> int:
    text = line.decode(errors="replace")
    if found := _ACCESS.search(text):
        return int(datetime.strptime(found[1], "%d/%b/%Y:%H:%M:%S %z").astimezone(UTC).timestamp()) * 1_000_000_000
    try:
        entry = opened(text, kafka_ns=0)
    except BadInput:
        return last_ns
    if isinstance(entry, LogLine):
        return entry.at_ns or last_ns
    stamp = entry.get("timestamp", "")
    return stamp_ns(stamp) if isinstance(stamp, str) else last_ns


_STAMPS: dict[SourceFormat, Callable[[bytes, int], int]] = {
    SourceFormat.GOFLOW2_JSON: _goflow2,
    SourceFormat.PMACCT_JSON: _pmacct,
    SourceFormat.FASTNETMON_JSON: _fastnetmon,
    SourceFormat.SYSLOG: _log,
}
