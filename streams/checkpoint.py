"""The log of one partition of cordon.state, and how it is read: the checkpoint is the truth, not a group's offset.

Three kinds of records stand in it, told apart by their key:

    claim   somebody takes the partition. Its offset is the owner's epoch: later claims have higher ones by nature.
    full    a piece of a checkpoint that holds everything.
    delta   a piece of a checkpoint that holds the buckets changed since the one before.

A checkpoint counts when all its pieces stand there, under the epoch of the last claim before them, and, for a delta,
when it follows the checkpoint of the same epoch that has the number before. Everything else is a writer that died half
way or one that was superseded and does not know it yet, and is passed over.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from controller.domain.errors import BadInput

CLAIM, FULL, DELTA = b"claim", b"full", b"delta"
PIECE = 768 * 1024
"""Bytes of a checkpoint in one message: with header and batch well under 900 kB."""

_HEADER = struct.Struct("<BqIII")  # version, epoch, number, piece, pieces
_VERSION = 2


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of one activity partition after the activity message at `offset`."""

    offset: int
    seen: Mapping[str, int]  # origin → offset of the last source message taken in
    tally: bytes
    meta: bytes
    buckets: Mapping[int, bytes] = field(default_factory=dict)
    waiting: bytes = b""  # parts of activity that were read, and are taken in when the rest of their stretch comes

    def then(self, delta: "Checkpoint") -> "Checkpoint":
        """The checkpoint with a later delta laid over it."""
        return replace(delta, buckets={**self.buckets, **delta.buckets})


def pieces(checkpoint: Checkpoint, *, epoch: int, number: int, size: int = PIECE) -> Iterator[bytes]:
    """The values of the records, of about `size` bytes, that together are this checkpoint."""
    document = msgspec.msgpack.encode(
        (
            checkpoint.offset,
            dict(checkpoint.seen),
            checkpoint.tally,
            checkpoint.meta,
            dict(checkpoint.buckets),
            checkpoint.waiting,
        )
    )
    cuts = range(0, len(document), size)
    for index, start in enumerate(cuts):
        yield _HEADER.pack(_VERSION, epoch, number, index, len(cuts)) + document[start : start + size]


class Fold:
    """What a state log says, read record by record from its beginning or from the first piece of a full checkpoint."""

    def __init__(self) -> None:
        self.checkpoint: Checkpoint | None = None
        self.rests_on = 0  # offset of the first piece of the full checkpoint under `checkpoint`
        self.ignored = 0  # records of superseded writers, and of formats that are not spoken
        self._epoch: int | None = None  # of the last claim
        self._last: tuple[int, int] | None = None  # epoch and number of `checkpoint`
        self._open: dict[int, bytes] = {}
        self._opened: tuple[bytes, int] | None = None  # kind and number of the open checkpoint
        self._opened_at = 0

    def record(self, offset: int, key: bytes | None, value: bytes) -> None:
        """Read the next record. Never raises: what cannot be understood is ignored and counted."""
        if key == CLAIM:
            self._epoch = offset
            self._abandon()
            return
        try:
            version, epoch, number, index, count = _HEADER.unpack_from(value)
        except struct.error:
            self.ignored += 1
            return
        if self._epoch is None and key == FULL and index == 0:
            self._epoch = epoch  # reading began at a full checkpoint, after the claim that it was written under
        if version != _VERSION or epoch != self._epoch or key not in (FULL, DELTA):
            self.ignored += 1
            return
        if self._opened != (key, number):
            self._abandon()
            self._opened, self._opened_at = (key, number), offset
        self._open[index] = value[_HEADER.size :]
        if len(self._open) == count:
            self._close(key, epoch, number)

    def _close(self, key: bytes, epoch: int, number: int) -> None:
        pieces_read, self._open, self._opened = self._open, {}, None
        try:
            checkpoint = _decode(b"".join(pieces_read[index] for index in sorted(pieces_read)))
        except BadInput:
            self.ignored += len(pieces_read)
            return
        if key == FULL and (self._last is None or self._last < (epoch, number)):
            self.checkpoint, self.rests_on = checkpoint, self._opened_at
        elif key == DELTA and self.checkpoint is not None and self._last == (epoch, number - 1):
            self.checkpoint = self.checkpoint.then(checkpoint)
        else:
            self.ignored += len(pieces_read)
            return
        self._last = epoch, number

    def _abandon(self) -> None:
        self.ignored += len(self._open)
        self._open, self._opened = {}, None

    @property
    def epoch(self) -> int | None:
        """Offset of the last claim."""
        return self._epoch


def _decode(raw: bytes) -> Checkpoint:
    try:
        offset, seen, tally, meta, buckets, waiting = msgspec.msgpack.decode(
            raw, type=tuple[int, dict[str, int], bytes, bytes, dict[int, bytes], bytes]
        )
    except msgspec.MsgspecError as error:
        raise BadInput(f"checkpoint: {error}") from None
    return Checkpoint(offset, seen, tally, meta, buckets, waiting)
