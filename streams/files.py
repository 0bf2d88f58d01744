"""Lines of a file or a pipe become frames: one Kafka message holds many records."""

import gzip
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Protocol, cast

RECORDS = 1000
FRAME = 512 * 1024
CHUNK = 256 * 1024
LINE = 900_000
"""Longer lines fit in no message of the standard size: what is cut off is missed by the decoder, and counted there."""


class Readable(Protocol):
    """A binary file that gives what is there without waiting for more."""

    def read1(self, size: int = ..., /) -> bytes:
        """At most `size` bytes; none at the end of the file."""


def opened(path: Path) -> Readable:
    """A file of lines, plain or gzip; "-" is standard input."""
    if str(path) == "-":
        return cast("Readable", sys.stdin.buffer)
    return cast("Readable", gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb"))


class Lines:
    """Whole lines out of a file that may still grow."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._begun = b""
        self.ended = False  # the last `read` found nothing new

    def read(self) -> list[bytes]:
        """The lines that have become whole since the last call."""
        chunk = self._file.read1(CHUNK)
        self.ended = not chunk
        *whole, self._begun = (self._begun + chunk).split(b"\n")
        return whole

    def rest(self) -> list[bytes]:
        """The last line, when it had no end."""
        rest, self._begun = self._begun, b""
        return [rest] if rest else []


def frames(lines: Iterable[bytes], *, records: int = RECORDS, size: int = FRAME) -> Iterator[bytes]:
    """Join lines into frames of at most `records` lines and about `size` bytes; empty lines are left out."""
    batch: list[bytes] = []
    held = 0
    for line in lines:
        stripped = line.rstrip(b"\r\n")[:LINE]
        if not stripped:
            continue
        if batch and (len(batch) >= records or held + len(stripped) > size):
            yield b"\n".join(batch)
            batch, held = [], 0
        batch.append(stripped)
        held += len(stripped) + 1
    if batch:
        yield b"\n".join(batch)


def close(file: Readable) -> None:
    """Close what `opened` opened, but not standard input."""
    if file is not sys.stdin.buffer:
        cast("IO[bytes]", file).close()
