"""Messages of cordon.activity: parts, each naming the source messages that it came from.

Combine gathers a stretch of source messages, which ends at each clock mark, and tells each activity partition of it in
one piece or more, also where there is nothing to tell. So a reader that takes only the stretch after the last one it
took, per origin, and takes it whole, misses nothing and takes nothing twice, however often and in whatever packing a
part was sent. Layout: one byte of version, then for each part a header (see _HEADER), the origin, the tally and the
body.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from controller.domain.errors import BadInput

VERSION = b"\x02"
_HEADER = struct.Struct("<BHqIHHII")
"""Kind, length of the origin, last offset, messages before it, piece, pieces, length of the tally, of the body."""


class Kind(IntEnum):
    """What the source messages were."""

    FRAME = 0
    MARK = 1
    VOID = 2  # a mark that could not be used at all; its offset counts all the same


@dataclass(frozen=True, slots=True)
class Part:
    """What a stretch of source messages, or a piece of it, says to one activity partition."""

    kind: Kind
    origin: str  # topic/partition of the source messages
    offset: int  # of the last of them
    tally: bytes = b""
    body: bytes = b""  # FRAME: activity rows; MARK: event time as `wire.mark` writes it
    before: int = 0  # so many messages before the last one belong to the stretch
    piece: int = 0
    pieces: int = 1

    @property
    def first(self) -> int:
        """Offset of the first message of the stretch."""
        return self.offset - self.before

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
            _HEADER.pack(
                part.kind,
                len(origin),
                part.offset,
                part.before,
                part.piece,
                part.pieces,
                len(part.tally),
                len(part.body),
            ),
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
            header = _HEADER.unpack_from(message, at)
        except struct.error:
            raise BadInput("activity is cut short") from None
        kind, origin_size, offset, before, piece, pieces, tally_size, body_size = header
        at += _HEADER.size
        end = at + origin_size + tally_size + body_size
        if end > len(message):
            raise BadInput("activity is cut short")
        tally_at, body_at = at + origin_size, at + origin_size + tally_size
        if piece >= pieces:
            raise BadInput("activity of a piece that cannot be")
        try:
            origin, tally, body = message[at:tally_at].decode(), message[tally_at:body_at], message[body_at:end]
            parts.append(Part(Kind(kind), origin, offset, tally, body, before, piece, pieces))
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
