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
from streams.decode.compiled import borrowing, inlined

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
    octets = np.frombuffer(value, np.uint8)
    count, exporters = (int(number) for number in np.frombuffer(value, "<u4", 2, 4))
    at = _HEAD + 16 * exporters
    if at + _EACH * count > len(value):
        raise BadInput("frame of datagrams cut short")
    names = tuple(value[begin : begin + 16] for begin in range(_HEAD, at, 16))
    receipt, sender, offset = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count + 1, np.int64)
    if not _placed(octets, at, exporters, receipt, sender, offset):
        raise BadInput("frame of datagrams contradicts itself")
    return Datagrams(names, receipt, sender, offset, value)


@borrowing
def _placed(
    frame: NDArray[np.uint8],
    at: int,
    exporters: int,
    receipt: NDArray[np.int64],
    sender: NDArray[np.int64],
    offset: NDArray[np.int64],
) -> bool:
    """Fill the last three by what stands at `at`; whether that fits the frame and its exporters."""
    count, sound = len(receipt), True
    end = at + _EACH * count
    for place in range(count):
        receipt[place] = _little(frame, at + 8 * place, 8)
        sender[place] = _little(frame, at + 8 * count + 4 * place, 4)
        sound = sound and sender[place] < exporters
        offset[place] = end
        end += _little(frame, at + 12 * count + 4 * place, 4)
    offset[count] = end
    return sound and end == len(frame)


@inlined
def _little(frame: NDArray[np.uint8], at: int, octets: int) -> int:
    """A little-endian number of up to eight octets."""
    place, value = np.uint64(at), np.uint64(0)
    for step in range(octets):
        value |= np.uint64(frame[place + np.uint64(step)]) << np.uint64(8 * step)
    return np.int64(value)  # type: ignore[return-value]
