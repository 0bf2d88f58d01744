"""Datagrams straight from the kernel into memory that was laid out beforehand: many a system call, no object for each.

Linux only: recvmmsg(2), and receive stamps of the kernel (SO_TIMESTAMPNS, socket(7)). The layouts are those of the
64-bit kernel ABI: struct mmsghdr, struct iovec, struct sockaddr_in and sockaddr_in6, struct cmsghdr.
"""

import ctypes
import errno
import os
import socket

import numpy as np
from numpy.typing import NDArray

NEAR = 1_600
"""Octets of a datagram that lie together with the others': what fits an Ethernet frame, close enough for the cache."""

FAR = 65_536 - NEAR
"""What a longer one goes on to. None is longer than both (RFC 768), and only pages that are written to cost memory."""

SO_TIMESTAMPNS = 35
_MSG_DONTWAIT = 0x40
_NAME, _CONTROL = 28, 64  # octets of a sockaddr_in6; room for the one control message that is asked for
_HEADER = np.dtype(
    {
        "names": ["name", "namelen", "iov", "iovlen", "control", "controllen", "flags", "length"],
        "formats": ["<u8", "<u4", "<u8", "<u8", "<u8", "<u8", "<i4", "<u4"],
        "offsets": [0, 8, 16, 24, 32, 40, 48, 56],
        "itemsize": 64,
    }
)
_STAMP = np.dtype({"names": ["kind", "s", "ns"], "formats": ["<i4", "<i8", "<i8"], "offsets": [12, 16, 24]})
_MAPPED = np.frombuffer(bytes(10) + b"\xff\xff", np.uint8)
_QUIET = frozenset({errno.EAGAIN, errno.EINTR, errno.ECONNREFUSED})


class Slots:
    """Room for `count` datagrams, filled from any number of sockets and then read as columns."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.used = 0
        self._octets, self._beyond = np.empty(count * NEAR, np.uint8), np.empty(count * FAR, np.uint8)
        self._names = np.zeros((count, _NAME), np.uint8)
        self._control = np.zeros((count, _CONTROL), np.uint8)
        self._vector = np.zeros((count, 2, 2), np.uint64)
        self._headers = np.zeros(count, _HEADER)
        at = np.arange(count, dtype=np.uint64)
        for place, (room, size) in enumerate(((self._octets, NEAR), (self._beyond, FAR))):
            self._vector[:, place, 0] = room.ctypes.data + at * size
            self._vector[:, place, 1] = size
        self._headers["name"] = self._names.ctypes.data + at * _NAME
        self._headers["iov"] = self._vector.ctypes.data + at * 32
        self._headers["iovlen"] = 2
        self._headers["control"] = self._control.ctypes.data + at * _CONTROL
        self._headers["namelen"], self._headers["controllen"] = _NAME, _CONTROL
        self._near = memoryview(self._octets)  # type: ignore[arg-type]  # arrays speak the buffer protocol
        self._far = memoryview(self._beyond)  # type: ignore[arg-type]  # arrays speak the buffer protocol
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._base = self._headers.ctypes.data

    @property
    def free(self) -> int:
        """How many more datagrams there is room for."""
        return self.count - self.used

    def receive(self, descriptor: int, most: int) -> int:
        """Take what waits at a socket, at most `most` and what there is room for; 0 when nothing does. Raises OSError.

        What an ICMP message said of an earlier datagram is no error of a socket that only listens.
        """
        wanted = min(most, self.free)
        if not wanted:
            return 0
        at = ctypes.c_void_p(self._base + self.used * _HEADER.itemsize)
        taken = int(self._libc.recvmmsg(descriptor, at, wanted, _MSG_DONTWAIT, None))
        if taken < 0:
            number = ctypes.get_errno()
            if number in _QUIET:
                return 0
            raise OSError(number, os.strerror(number))
        self.used += taken
        return taken

    def clear(self) -> None:
        """Forget everything, and be as empty as at first."""
        self._headers["namelen"][: self.used] = _NAME
        self._headers["controllen"][: self.used] = _CONTROL
        self._control[: self.used, 12:16] = 0
        self.used = 0

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Octets of each datagram."""
        return self._headers["length"][: self.used].astype(np.int64)

    def stamps(self, now_ns: int) -> NDArray[np.int64]:
        """When the kernel received each datagram, ns since 1970; `now_ns` where it did not say."""
        return self._stamped(self._control[: self.used], now_ns)

    def last_stamp(self, now_ns: int) -> int:
        """When the kernel received the last datagram."""
        return int(self._stamped(self._control[self.used - 1 : self.used], now_ns)[0])

    def _stamped(self, control: NDArray[np.uint8], now_ns: int) -> NDArray[np.int64]:
        said = control[:, : _STAMP.itemsize].copy().view(_STAMP)[:, 0]
        stamps: NDArray[np.int64] = np.where(
            said["kind"] == SO_TIMESTAMPNS, said["s"] * 1_000_000_000 + said["ns"], now_ns
        )
        return stamps

    @property
    def senders(self) -> NDArray[np.uint8]:
        """Addresses (n × 16), IPv4 in its mapped form."""
        names = self._names[: self.used]
        found = names[:, 8:24].copy()
        old = names[:, 0] == socket.AF_INET
        if old.any():
            found[old, :12] = _MAPPED
            found[old, 12:] = names[old, 4:8]
        return found

    def head(self, octets: int) -> NDArray[np.uint8]:
        """The first octets of each datagram (n × octets); beyond its length they mean nothing."""
        return self._octets.reshape(self.count, NEAR)[: self.used, :octets]

    def one(self, index: int) -> memoryview:
        """A datagram's octets; valid until `clear`."""
        length = int(self._headers["length"][index])
        start = index * NEAR
        if length <= NEAR:
            return self._near[start : start + length]
        return memoryview(b"".join(self._long(index, length)))

    def joined(self, chosen: NDArray[np.int64], lengths: NDArray[np.int64]) -> list[memoryview]:
        """The chosen datagrams' octets, in that order; valid until `clear`. `lengths` are those of the chosen."""
        starts = chosen * NEAR
        view = self._near
        if not len(lengths) or int(lengths.max()) <= NEAR:
            return [view[a:b] for a, b in zip(starts.tolist(), (starts + lengths).tolist(), strict=True)]
        told = zip(chosen.tolist(), lengths.tolist(), strict=True)
        return [part for index, length in told for part in self._long(index, length)]

    def _long(self, index: int, length: int) -> tuple[memoryview, memoryview]:
        near, far = index * NEAR, index * FAR
        return self._near[near : near + min(length, NEAR)], self._far[far : far + max(length - NEAR, 0)]
