"""Received datagrams become frames, one or more for each partition, in the layout of `streams.decode.datagrams`."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.decode.datagrams import MAGIC
from streams.listen.slots import Slots

FRAME = 900_000
"""Octets of a frame at most, so that it fits a message of Kafka's usual size."""

_EACH = 16


@dataclass(frozen=True, slots=True)
class Bundle:
    """One frame, and how many datagrams of each listed sender are in it."""

    partition: int
    value: bytes
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
    home = np.where(number >= 0, partition[number], -1) if len(partition) else np.full(len(number), -1)
    for one in np.unique(home[home >= 0]).tolist():
        chosen = np.flatnonzero(home == one)
        for piece in _pieces(chosen, lengths[chosen]):
            who, index, counts = np.unique(number[piece], return_inverse=True, return_counts=True)
            size = lengths[piece]
            value = b"".join(
                (
                    MAGIC,
                    struct.pack("<2I", len(piece), len(who)),
                    *(addresses[sender] for sender in who.tolist()),
                    stamps[piece].astype("<i8").tobytes(),
                    index.astype("<u4").tobytes(),
                    size.astype("<u4").tobytes(),
                    *slots.joined(piece, size),
                )
            )
            yield Bundle(one, value, who, counts)


def _pieces(chosen: NDArray[np.int64], lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Cut so that no piece is larger than a frame may be; a datagram is always smaller."""
    filled = np.cumsum(lengths + _EACH + _EACH)
    while len(chosen):
        fits = max(1, int(np.searchsorted(filled, FRAME, side="right")))
        yield chosen[:fits]
        chosen, filled = chosen[fits:], filled[fits:] - filled[fits - 1]
