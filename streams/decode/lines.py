"""A frame into typed records: all lines at once, or line by line when one of them is bad."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from streams.decode import Reject

T = TypeVar("T", bound=msgspec.Struct)

LONGEST_LINE = 1 << 20
SAMPLES_PER_REASON = 16
"""So many bad lines of one reason are kept whole from a frame; the rest of them are counted with the last."""


@dataclass(frozen=True, slots=True)
class Decoded(Generic[T]):
    """Records and, beside each, its line where lines are known apart (else the whole frame)."""

    received: int
    records: list[T]
    rejects: list[Reject]
    frame: bytes
    lines: list[bytes] | None  # of the records; None: `frame` split at line ends
    chosen: Sequence[int] | None = None  # the records that are meant where not all are: the others are skipped

    @property
    def skipped(self) -> int:
        """How many records are passed over."""
        return 0 if self.chosen is None else len(self.records) - len(self.chosen)

    def raws(self, places: Sequence[int]) -> list[bytes]:
        """The lines of these of the records that are meant."""
        lines = self.lines
        if lines is None:
            lines = [line for line in self.frame.splitlines() if line.strip()]
        if len(lines) != len(self.records):
            return [self.frame] * len(places)
        return [lines[place if self.chosen is None else self.chosen[place]] for place in places]


def decode_lines(frame: bytes, decoder: "msgspec.json.Decoder[T]") -> Decoded[T]:
    """Decode newline-separated JSON. Never raises: a bad line costs itself and nothing else."""
    if not frame.strip():
        return Decoded(1, [], [Reject(frame, "empty frame")], frame, None)
    if len(frame) <= LONGEST_LINE or max(map(len, frame.splitlines())) <= LONGEST_LINE:
        try:
            records = decoder.decode_lines(frame)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            pass
        else:
            return Decoded(len(records), records, [], frame, None)
    return _one_by_one(frame, decoder)


def _one_by_one(frame: bytes, decoder: "msgspec.json.Decoder[T]") -> Decoded[T]:
    records: list[T] = []
    kept: list[bytes] = []
    bad: list[tuple[bytes, str]] = []
    for line in frame.split(b"\n"):
        if not line.strip():
            continue
        if len(line) > LONGEST_LINE:
            bad.append((line, "line over 1 MiB"))
            continue
        try:
            records.append(decoder.decode(line))
            kept.append(line)
        except msgspec.ValidationError as error:
            bad.append((line, _short(str(error))))
        except (msgspec.DecodeError, UnicodeDecodeError):
            bad.append((line, "not JSON"))
        except RecursionError:
            bad.append((line, "nested too deep"))
    return Decoded(len(records) + len(bad), records, gathered(bad), frame, kept)


def gathered(bad: Sequence[tuple[bytes, str]]) -> list[Reject]:
    """Rejects of bad lines, each whole up to SAMPLES_PER_REASON of a reason, the rest as a count."""
    rejects: list[Reject] = []
    by_reason: dict[str, list[bytes]] = {}
    for line, reason in bad:
        by_reason.setdefault(reason, []).append(line)
    for reason, lines in by_reason.items():
        whole = lines[: SAMPLES_PER_REASON - 1]
        rejects += [Reject(line, reason) for line in whole]
        rest = len(lines) - len(whole)
        if rest:
            rejects.append(Reject(lines[-1], reason, count=rest))
    return rejects


def _short(message: str) -> str:
    """The field that was wrong; what stood there is in the line itself."""
    _, at, path = message.partition(" - at `$")
    return f"wrong type or range: {path.rstrip('`').lstrip('.')}" if at and path != "`" else "not a record"
