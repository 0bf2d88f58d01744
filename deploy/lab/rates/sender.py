"""Sends datagrams of many exporters at a rate, by sendmmsg(2): a process of its own, whose time is nobody's else.

`python -m deploy.lab.rates.sender KIND PORT RECORDS_PER_S SECONDS SENT_BEFORE [again]` says on standard output what it
did, as JSON. Numbers in datagrams go on from those that each exporter has sent before. Where all datagrams were sent,
they are sent anew, and in them are flows of other ports; with `again` the same flows.
"""

import ctypes
import json
import socket
import sys
import time
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from deploy.lab.rates.crowd import EXPORTERS, NEAR_PORTS
from deploy.lab.rates.stencils import Goes, Stencil, stencils

BATCH = 32
AHEAD_S = 0.0005
_MESSAGE = np.dtype(
    {
        "names": ["iov", "iovlen"],  # struct mmsghdr of the 64-bit kernel ABI; its socket is connected
        "formats": ["<u8", "<u8"],
        "offsets": [16, 24],
        "itemsize": 64,
    }
)


class Exporter:
    """One address that sends its datagrams over and over, the numbers in them going on."""

    def __init__(self, address: str, port: int, stencil: Stencil, *, before: int) -> None:
        self._stencil, self._sent = stencil, before
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 0))
        self._socket.connect(("127.0.0.1", port))
        count, size = stencil.octets.shape
        self._vector = np.zeros((count, 2), np.uint64)
        self._vector[:, 0] = stencil.octets.ctypes.data + np.arange(count) * size
        self._vector[:, 1] = stencil.lengths
        self._headers = np.zeros(count, _MESSAGE)
        self._headers["iov"], self._headers["iovlen"] = self._vector.ctypes.data + np.arange(count) * 16, 1
        offsets = np.array([place.offset for place in stencil.places], np.int64)
        self._columns = (offsets[:, None] + np.arange(4)).ravel()
        self._first = np.array([place.first for place in stencil.places], np.int64)
        self._step = np.array([place.step for place in stencil.places], np.int64)
        self._clocks = np.array([place.goes is Goes.SECONDS for place in stencil.places], np.bool_)
        self._words = stencil.octets.reshape(-1)[: count * size // 2 * 2].view(">u2")
        near = np.zeros((count, 0), np.int64) if stencil.near is None else stencil.near
        self._near = (np.arange(count)[:, None] * size + near) // 2
        self._ports = self._words[self._near].astype(np.int64) - NEAR_PORTS.start
        self._libc = ctypes.CDLL(None, use_errno=True)

    def send(self, now_s: int) -> int:
        """Send the next batch; how many datagrams that were."""
        rows = len(self._stencil.octets)
        start = self._sent % rows
        count = min(BATCH, rows - start)
        self._number(self._stencil.octets[start : start + count], now_s)
        done = 0
        while done < count:
            at = ctypes.c_void_p(self._headers.ctypes.data + (start + done) * _MESSAGE.itemsize)
            done += max(0, int(self._libc.sendmmsg(self._socket.fileno(), at, count - done, 0)))
        self._sent += count
        return count

    def close(self) -> None:
        """Send no more."""
        self._socket.close()

    def _number(self, batch: NDArray[np.uint8], now_s: int) -> None:
        number = np.arange(self._sent, self._sent + len(batch))[:, None]
        value = np.where(self._clocks, now_s, self._first + number * self._step)
        batch[:, self._columns] = (value & 0xFFFF_FFFF).astype(">u4").view(np.uint8).reshape(len(batch), -1)
        rounds, begin = divmod(self._sent, len(self._near))
        mine = slice(begin, begin + len(batch))
        self._words[self._near[mine]] = (self._ports[mine] + rounds) % len(NEAR_PORTS) + NEAR_PORTS.start


def main() -> None:
    """Send at the rate for so long, or as fast as this process can."""
    kind, port, rate, seconds, before = sys.argv[1], int(sys.argv[2]), *(float(one) for one in sys.argv[3:6])
    made = stencils(kind, len(EXPORTERS))
    if sys.argv[6:] == ["again"]:
        made = [replace(one, near=None) for one in made]
    records = made[0].records
    senders = [
        Exporter(address, port, stencil, before=int(before)) for address, stencil in zip(EXPORTERS, made, strict=True)
    ]
    wanted = int(rate * seconds / records)
    sent = turn = 0
    started = time.perf_counter()
    while sent < wanted:
        sent += senders[turn % len(senders)].send(int(time.time()))  # noqa: TID251 - exporters date what they send
        turn += 1
        ahead = sent * records / rate - (time.perf_counter() - started)
        if ahead > AHEAD_S:
            time.sleep(ahead)
    took = time.perf_counter() - started
    json.dump({"datagrams": sent, "records": sent * records, "seconds": took}, sys.stdout)


if __name__ == "__main__":
    main()
