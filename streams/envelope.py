"""Messages of cordon.activity: parts, each naming the source message that it came from.

Combine makes exactly one part per source message and activity partition, also an empty one. So a reader that takes
only the part after the last one it took, per origin, misses nothing and takes nothing twice, however often and in
whatever packing a part was sent. Layout: one byte of version, then for each part a header (see _HEADER), the origin,
the tally and the body.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from controller.domain.errors import BadInput

VERSION = b"\x01"
_HEADER = struct.Struct("<BHqII")  # kind, length of origin, offset, length of tally, length of body


class Kind(IntEnum):
    """What the source message was."""

    FRAME = 0
    MARK = 1
    VOID = 2  # a message that could not be used at all; its offset counts all the same


@dataclass(frozen=True, slots=True)
class Part:
    """What one source message says to one activity partition."""

    kind: Kind
    origin: str  # topic/partition of the source message
    offset: int
    tally: bytes = b""
    body: bytes = b""  # FRAME: activity rows; MARK: event time as `wire.mark` writes it

    @property
    def size(self) -> int:
        """Bytes that it takes in a message, at most."""
        return _HEADER.size + 4 * len(self.origin) + len(self.tally) + len(self.body)


def pack(parts: Iterable[Part]) -> bytes:
    """One message of these parts, in this order."""
    pieces = [VERSION]
    for part in parts:
        origin = part.origin.encode()
        pieces += (
            _HEADER.pack(part.kind, len(origin), part.offset, len(part.tally), len(part.body)),
            origin,
            part.tally,
            part.body,
        )
    return b"".join(pieces)


def unpack(message: bytes) -> list[Part]:
    """The parts of a message. Raises BadInput for what `pack` did not write."""
    if not message.startswith(VERSION):
        raise BadInput("activity of another version")
    parts: list[Part] = []
    at = len(VERSION)
    while at < len(message):
        try:
            kind, origin_size, offset, tally_size, body_size = _HEADER.unpack_from(message, at)
        except struct.error:
            raise BadInput("activity is cut short") from None
        at += _HEADER.size
        end = at + origin_size + tally_size + body_size
        if end > len(message):
            raise BadInput("activity is cut short")
        tally_at, body_at = at + origin_size, at + origin_size + tally_size
        try:
            parts.append(
                Part(Kind(kind), message[at:tally_at].decode(), offset, message[tally_at:body_at], message[body_at:end])
            )
        except ValueError:
            raise BadInput("activity with an unknown kind or origin") from None
        at = end
    return parts


def messages(parts: Iterable[Part], *, limit: int) -> Iterator[bytes]:
    """Pack parts, in order, into as few messages as keep to `limit` bytes; a part above it goes alone."""
    batch: list[Part] = []
    size = 0
    for part in parts:
        if batch and size + part.size > limit:
            yield pack(batch)
            batch, size = [], 0
        batch.append(part)
        size += part.size
    if batch:
        yield pack(batch)
