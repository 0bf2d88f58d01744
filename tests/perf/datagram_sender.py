"""Sends NetFlow v5 datagrams from many loopback addresses at a rate, by sendmmsg: port rate count size exporters."""

import ctypes
import socket
import struct
import sys
import time

import numpy as np

BATCH = 32
MESSAGE = np.dtype(
    {
        "names": ["name", "namelen", "iov", "iovlen", "control", "controllen", "flags", "length"],
        "formats": ["<u8", "<u4", "<u8", "<u8", "<u8", "<u8", "<i4", "<u4"],
        "offsets": [0, 8, 16, 24, 32, 40, 48, 56],
        "itemsize": 64,
    }
)


def main() -> None:
    port, rate, count, size, exporters = (int(one) for one in sys.argv[1:])
    libc = ctypes.CDLL(None, use_errno=True)
    records = (size - 24) // 48 if size >= 72 else 0
    octets = np.zeros((BATCH, size), np.uint8)
    octets[:, :4] = np.frombuffer(struct.pack(">HH", 5, records), np.uint8)
    vector = np.zeros((BATCH, 2), np.uint64)
    vector[:, 0] = octets.ctypes.data + np.arange(BATCH) * size
    vector[:, 1] = size
    headers = np.zeros(BATCH, MESSAGE)
    headers["iov"], headers["iovlen"] = vector.ctypes.data + np.arange(BATCH) * 16, 1
    sockets = []
    for number in range(1, exporters + 1):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind((f"127.0.1.{number}", 0))
        one.connect(("127.0.0.1", port))
        sockets.append(one)
    sent, started = 0, time.perf_counter()
    while sent < count:
        turn, who = divmod(sent // BATCH, exporters)
        batch = min(BATCH, count - sent)
        numbers = ((np.arange(BATCH) + turn * BATCH) * records).astype(">u4")
        octets[:, 16:20] = numbers.view(np.uint8).reshape(BATCH, 4)
        done = 0
        while done < batch:
            at = ctypes.c_void_p(headers.ctypes.data + done * MESSAGE.itemsize)
            done += max(0, int(libc.sendmmsg(sockets[who].fileno(), at, batch - done, 0)))
        sent += batch
        ahead = sent / rate - (time.perf_counter() - started)
        if ahead > 0.0005:
            time.sleep(ahead)


if __name__ == "__main__":
    main()
