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

from streams.decode.compiled import borrowing

NEAR = 1_600
"""Octets of a datagram that lie together with the others': what fits an Ethernet frame, close enough for the cache."""

FAR = 65_536 - NEAR
"""What a longer one goes on to. None is longer than both (RFC 768), and only pages that are written to cost memory."""

SO_TIMESTAMPNS = 35
_MSG_DONTWAIT = 0x40
_IPV4 = int(socket.AF_INET)
_NAME, _CONTROL = 28, 64  # octets of a sockaddr_in6; room for the one control message that is asked for
_HEADER = np.dtype(
    {
        "names": ["name", "namelen", "iov", "iovlen", "control", "controllen", "flags", "length"],
        "formats": ["<u8", "<u4", "<u8", "<u8", "<u8", "<u8", "<i4", "<u4"],
        "offsets": [0, 8, 16, 24, 32, 40, 48, 56],
        "itemsize": 64,
    }
)
_HEADER_OCTETS = _HEADER.itemsize
_KIND, _SECONDS, _NANOSECONDS = 12, 16, 24  # in the control message
_MAPPED = 0xFFFF_0000  # the second half of ::ffff:0:0 as a little-endian word, RFC 4291, 2.5.5.2
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
        self._lengths, self._heads = self._headers["length"], self._octets.reshape(count, NEAR)
        self._kinds = self._control[:, _KIND : _KIND + 4].view("<i4")[:, 0]
        self._seconds = self._control[:, _SECONDS : _SECONDS + 8].view("<i8")[:, 0]
        self._nanoseconds = self._control[:, _NANOSECONDS : _NANOSECONDS + 8].view("<i8")[:, 0]
        self._call = ctypes.CDLL(None, use_errno=True).recvmmsg
        self._call.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
        self._base = self._headers.ctypes.data

    @property
    def free(self) -> int:
        """How many more datagrams there is room for."""
        return self.count - self.used

    def receive(self, descriptor: int, most: int) -> int:
        """Take what waits at a socket, at most `most` and what there is room for; 0 when nothing does. Raises OSError.

        What an ICMP message said of an earlier datagram is no error of a socket that only listens.
        """
        used = self.used
        wanted = min(most, self.count - used)
        if not wanted:
            return 0
        taken: int = self._call(descriptor, self._base + used * _HEADER_OCTETS, wanted, _MSG_DONTWAIT, None)
        if taken < 0:
            number = ctypes.get_errno()
            if number in _QUIET:
                return 0
            raise OSError(number, os.strerror(number))
        self.used = used + taken
        return taken

    def clear(self) -> None:
        """Forget everything, and be as empty as at first."""
        self._headers["namelen"][: self.used] = _NAME
        self._headers["controllen"][: self.used] = _CONTROL
        self._kinds[: self.used] = 0
        self.used = 0

    def octets(self, last: int) -> int:
        """Octets of so many datagrams, those that came last."""
        return int(self._lengths[self.used - last : self.used].sum())

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Octets of each datagram."""
        return self._lengths[: self.used].astype(np.int64)

    def stamps(self, now_ns: int) -> NDArray[np.int64]:
        """When the kernel received each datagram, ns since 1970; `now_ns` where it did not say."""
        return self._stamped(slice(self.used), now_ns)

    def last_stamp(self, now_ns: int) -> int:
        """When the kernel received the last datagram."""
        return int(self._stamped(slice(self.used - 1, self.used), now_ns)[0])

    def _stamped(self, which: slice, now_ns: int) -> NDArray[np.int64]:
        said = self._seconds[which] * 1_000_000_000 + self._nanoseconds[which]
        stamps: NDArray[np.int64] = np.where(self._kinds[which] == SO_TIMESTAMPNS, said, now_ns)
        return stamps

    @property
    def senders(self) -> NDArray[np.uint8]:
        """Addresses (n × 16), IPv4 in its mapped form."""
        found = np.empty((self.used, 4), np.uint32)
        _addresses(self._names.view(np.uint32), found)
        return found.view(np.uint8)

    def head(self, octets: int) -> NDArray[np.uint8]:
        """The first octets of each datagram (n × octets); beyond its length they mean nothing."""
        return self._heads[: self.used, :octets]

    def one(self, index: int) -> memoryview:
        """A datagram's octets; valid until `clear`."""
        length = int(self._lengths[index])
        if length <= NEAR:
            return memoryview(self._heads[index, :length])  # type: ignore[arg-type]  # arrays speak the buffer protocol
        return memoryview(self.joined(np.array([index], np.int64), np.array([length], np.int64)))  # type: ignore[arg-type]

    def joined(self, chosen: NDArray[np.int64], lengths: NDArray[np.int64], *, head: bytes = b"") -> NDArray[np.uint8]:
        """The chosen datagrams' octets one behind the other, in that order, behind a head; `lengths` are theirs."""
        octets = np.empty(len(head) + int(lengths.sum()), np.uint8)
        octets[: len(head)] = np.frombuffer(head, np.uint8)
        _join(self._octets, self._beyond, chosen, lengths, octets[len(head) :])
        return octets


@borrowing
def _addresses(names: NDArray[np.uint32], found: NDArray[np.uint32]) -> None:
    """Fill `found` (n × 4 words) from struct sockaddr_in and sockaddr_in6."""
    for at in range(len(found)):
        if names[at, 0] & 0xFFFF == _IPV4:
            found[at, 0], found[at, 1], found[at, 2], found[at, 3] = 0, 0, _MAPPED, names[at, 1]
        else:
            for word in range(4):
                found[at, word] = names[at, 2 + word]


@borrowing
def _join(
    near: NDArray[np.uint8],
    far: NDArray[np.uint8],
    chosen: NDArray[np.int64],
    lengths: NDArray[np.int64],
    octets: NDArray[np.uint8],
) -> None:
    """Fill `octets`."""
    # An index that cannot be negative needs no look at its sign: many octets are then copied by one instruction.
    to = np.uint64(0)
    for place in range(len(chosen)):
        length = lengths[place]
        at = np.uint64(chosen[place] * NEAR)
        for octet in range(np.uint64(min(length, NEAR))):
            octets[to + octet] = near[at + octet]
        at, beyond = np.uint64(chosen[place] * FAR), to + np.uint64(NEAR)
        for octet in range(np.uint64(max(length - NEAR, 0))):
            octets[beyond + octet] = far[at + octet]
        to += np.uint64(length)
