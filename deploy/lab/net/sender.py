"""Sends a flood from a namespace: `python -m deploy.lab.net.sender NAMESPACE NAME ORIGIN PPS SECONDS CONTAINERS`.

One line of JSON when the first frame is on its way, one at the end; SIGTERM ends it early. Frames go to the card as
they are, many with one system call (sendmmsg(2)), each with a sequence number of its own.
"""

import ctypes
import json
import signal
import socket
import sys
import threading
import time

from deploy.lab.net.floods import Flood, flood
from deploy.lab.net.frames import ALL, TAIL, numbered_at
from deploy.lab.net.namespaces import inside
from deploy.lab.net.plan import network

BATCH = 64
PAUSE_S = 0.001


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Msghdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint32),
        ("iov", ctypes.POINTER(_Iovec)),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Mmsghdr(ctypes.Structure):
    _fields_ = (("header", _Msghdr), ("length", ctypes.c_uint))


class Cannon:
    """Frames in a ring, numbered anew each time they are sent."""

    def __init__(self, descriptor: int, frames: tuple[bytes, ...]) -> None:
        repeated = frames * -(-BATCH // len(frames))
        self._descriptor, self._count = descriptor, len(repeated)
        self._buffers = [ctypes.create_string_buffer(frame, len(frame)) for frame in repeated]
        self._at = [numbered_at(frame) for frame in repeated]
        self._vectors = (_Iovec * self._count)(
            *(_Iovec(ctypes.addressof(buffer), len(buffer)) for buffer in self._buffers)
        )
        self._messages = (_Mmsghdr * self._count)()
        for message, vector in zip(self._messages, self._vectors, strict=True):
            message.header.iov, message.header.iovlen = ctypes.pointer(vector), 1
        self._send = ctypes.CDLL(None, use_errno=True).sendmmsg
        self._next = 0
        self.sent = 0

    def fire(self, count: int) -> None:
        """Send up to `count` frames, and no more than lie in a row."""
        start = self._next
        count = min(count, BATCH, self._count - start)
        for place in range(count):
            number = self.sent + place
            TAIL.pack_into(self._buffers[start + place], self._at[start + place], number, ALL - number)
        done = self._send(self._descriptor, ctypes.byref(self._messages[start]), count, 0)
        done = max(done, 0)  # a full queue takes nothing, and is asked again
        self.sent += done
        self._next = (start + done) % self._count


def run(shot: Flood, seconds: float, descriptor: int, *, told: threading.Event) -> None:
    """Send at the flood's rate, evenly spread, until its time is over or it is `told` to end.

    Nothing ends it between sending frames and counting them.
    """
    cannon = Cannon(descriptor, shot.frames)
    begun = time.monotonic()
    cannon.fire(1)
    _say(event="begun", at_ns=time.time_ns())  # noqa: TID251 - a process of its own, and its one clock
    while (passed := time.monotonic() - begun) < seconds and not told.is_set():
        due = int(passed * shot.pps) + 1 - cannon.sent
        if due > 0:
            cannon.fire(due)
        if due <= BATCH:
            time.sleep(PAUSE_S)
    _say(event="ended", sent=cannon.sent, at_ns=time.time_ns())  # noqa: TID251 - a process of its own, and its one clock


def _say(**told: object) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Send one flood."""
    space, name, origin, pps, seconds, containers = sys.argv[1:]
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    with inside(space), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as card:
        card.bind(("eth0", 0))
        run(
            flood(network(containers=int(containers)), name, origin=origin, pps=float(pps)),
            float(seconds),
            card.fileno(),
            told=told,
        )


if __name__ == "__main__":
    main()
