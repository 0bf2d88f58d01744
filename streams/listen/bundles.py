"""Received datagrams and lines become frames for each partition, in the layout of `streams.decode.datagrams`."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from streams.decode.datagrams import MAGIC
from streams.listen.inbox import Lines
from streams.listen.slots import Slots

FRAME = 900_000
"""Octets of a frame at most, so that it fits a message of Kafka's usual size."""

EACH = 32
"""Octets of a frame that a datagram takes beside its own, at most: what is said of it, and of its sender."""

Octets: TypeAlias = bytes | NDArray[np.uint8]
"""What a message says. An array is sent as it lies, which spares a copy of a frame."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """One frame, and how many datagrams of each listed sender are in it."""

    partition: int
    value: Octets
    senders: NDArray[np.int64]  # numbers among the listed
    datagrams: NDArray[np.int64]  # of each of them


def bundles(
    slots: Slots,
    number: NDArray[np.int64],
    stamps: NDArray[np.int64],
    *,
    addresses: Sequence[bytes],
    partition: NDArray[np.int64],
) -> Iterator[Bundle]:
    """Frames of the datagrams in `slots` whose sender is listed, in the order in which they were received.

    `number` is each datagram's sender among the listed, -1 for none; `partition` is that of each listed sender.
    """
    lengths = slots.lengths
    home = np.where(number >= 0, partition[number], -1)
    for one in np.flatnonzero(np.bincount(home[home >= 0])).tolist():
        chosen = np.flatnonzero(home == one)
        for piece in _pieces(chosen, lengths[chosen]):
            size = lengths[piece]
            head, senders, counts = _headed(number[piece], stamps[piece], size, addresses)
            yield Bundle(one, slots.joined(piece, size, head=head), senders, counts)


def bundles_of_lines(
    read: Sequence[Lines], *, addresses: Sequence[bytes], partition: NDArray[np.int64], since_ns: int
) -> Iterator[Bundle]:
    """Frames of lines in the order in which they were read; none is stamped before `since_ns`."""
    by_home: dict[int, list[Lines]] = {}
    for one in read:
        by_home.setdefault(int(partition[one.sender]), []).append(one)
    for home, mine in sorted(by_home.items()):
        many = [len(one.lines) for one in mine]
        number = np.repeat(np.array([one.sender for one in mine], np.int64), many)
        stamps = np.repeat(np.maximum(np.array([one.at_ns for one in mine], np.int64), since_ns), many)
        lines = [line for one in mine for line in one.lines]
        lengths = np.fromiter(map(len, lines), np.int64, len(lines))
        for piece in _pieces(np.arange(len(lines)), lengths):
            part = slice(int(piece[0]), int(piece[-1]) + 1)
            head, senders, counts = _headed(number[part], stamps[part], lengths[part], addresses)
            yield Bundle(home, b"".join((head, *lines[part])), senders, counts)


def _headed(
    number: NDArray[np.int64], stamps: NDArray[np.int64], lengths: NDArray[np.int64], addresses: Sequence[bytes]
) -> tuple[bytes, NDArray[np.int64], NDArray[np.int64]]:
    """What stands before the octets of a frame, which senders are in it, and how many datagrams of each."""
    counts = np.bincount(number, minlength=len(addresses))
    senders = np.flatnonzero(counts)
    index = (np.cumsum(counts > 0) - 1)[number]
    head = b"".join(
        (
            MAGIC,
            struct.pack("<2I", len(number), len(senders)),
            *(addresses[sender] for sender in senders.tolist()),
            stamps.astype("<i8").tobytes(),
            index.astype("<u4").tobytes(),
            lengths.astype("<u4").tobytes(),
        )
    )
    return head, senders, counts[senders]


def _pieces(chosen: NDArray[np.int64], lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Cut so that no piece is larger than a frame may be; what makes up a frame is always smaller."""
    filled = np.cumsum(lengths + EACH)
    while len(chosen):
        fits = max(1, int(np.searchsorted(filled, FRAME, side="right")))
        yield chosen[:fits]
        chosen, filled = chosen[fits:], filled[fits:] - filled[fits - 1]
