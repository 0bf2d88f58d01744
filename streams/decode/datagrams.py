"""A frame of datagrams: export packets as they were received, beside who sent each one and when it came.

Layout, little endian: magic `CDG1`, u32 datagrams n, u32 exporters e; e × 16 bytes, the exporters' addresses (IPv4
mapped into IPv6); n × i64 receipt, ns since 1970; n × u32 exporter (index into the addresses); n × u32 length; then the
datagrams' octets one behind the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.domain.errors import BadInput

MAGIC = b"CDG1"
_HEAD = 12
_EACH = 16  # octets a datagram adds beside its own


@dataclass(frozen=True, slots=True)
class Datagrams:
    """n datagrams; datagram i is `payload[offset[i] : offset[i + 1]]`."""

    exporters: tuple[bytes, ...]  # packed, 16 octets each
    receipt_ns: NDArray[np.int64]  # n
    exporter: NDArray[np.int64]  # n, index into `exporters`
    offset: NDArray[np.int64]  # n + 1
    payload: bytes  # the whole frame

    def __len__(self) -> int:
        return len(self.receipt_ns)

    def one(self, index: int) -> bytes:
        """The octets of one datagram."""
        return self.payload[int(self.offset[index]) : int(self.offset[index + 1])]


def frame(
    exporters: Sequence[bytes], senders: Sequence[int], receipt_ns: Sequence[int], data: Sequence[bytes]
) -> bytes:
    """A frame of datagrams; `senders` are indices into `exporters`, one for each datagram, as are the receipt times."""
    return b"".join(
        (
            MAGIC,
            np.array([len(data), len(exporters)], "<u4").tobytes(),
            *exporters,
            np.array(receipt_ns, "<i8").tobytes(),
            np.array(senders, "<u4").tobytes(),
            np.array([len(one) for one in data], "<u4").tobytes(),
            *data,
        )
    )


def unframed(value: bytes) -> Datagrams:
    """Read a frame.

    Raises:
        BadInput: it is none, is cut short, or its figures contradict each other.

    """
    if len(value) < _HEAD or value[:4] != MAGIC:
        raise BadInput("not a frame of datagrams")
    count, exporters = (int(number) for number in np.frombuffer(value, "<u4", 2, 4))
    head = _HEAD + 16 * exporters + _EACH * count
    if head > len(value):
        raise BadInput("frame of datagrams cut short")
    at = _HEAD
    names = tuple(value[at + 16 * i : at + 16 * i + 16] for i in range(exporters))
    at += 16 * exporters
    receipt = np.frombuffer(value, "<i8", count, at).astype(np.int64)
    sender = np.frombuffer(value, "<u4", count, at + 8 * count).astype(np.int64)
    length = np.frombuffer(value, "<u4", count, at + 12 * count).astype(np.int64)
    offset = np.full(count + 1, head, np.int64)
    offset[1:] += np.cumsum(length)
    if int(offset[-1]) != len(value) or (count and int(sender.max()) >= exporters):
        raise BadInput("frame of datagrams contradicts itself")
    return Datagrams(names, receipt, sender, offset, value)
