"""How many datagrams one CPU-second takes from the wire into frames, and through Kafka. Asserts no speed.

The sender is a process of its own, so that only the listener's time is counted. Beside each figure stands what the
kernel alone takes: the same datagrams read by recvmmsg and thrown away.
"""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest

from controller.domain.address import packed
from streams.listen.ears import Channel, Ear, Listener
from streams.listen.senders import Listed
from streams.listen.slots import Slots
from streams.listen.steering import Place, drops, open_group, places

SENDER = Path(__file__).with_name("datagram_sender.py")
BENCH = Path(__file__).parents[2] / "bench"
DATAGRAMS = 200_000
RATE = 150_000
BUFFER = 8 * 1024 * 1024
RECORDS = {1464: 30, 300: 5}
EXPORTERS = 8
WALL = time.time_ns  # noqa: TID251 - the sockets of this test are real, and so is its clock


class Away:
    """Takes everything and keeps nothing."""

    room = 1 << 30

    def __init__(self) -> None:
        self.octets = 0

    def send(self, topic: str, value: bytes, **_: object) -> bool:
        self.octets += len(value)
        return True

    def settle(self) -> None:
        """Nothing is on its way."""


def addresses() -> list[bytes]:
    return [packed(ip_address(f"127.0.1.{number}")) for number in range(1, EXPORTERS + 1)]


@contextmanager
def traffic(port: int, size: int) -> Iterator[Callable[[], bool]]:
    """Datagrams of all exporters on their way; ask whether they still are."""
    arguments = [str(one) for one in (port, RATE, DATAGRAMS, size, EXPORTERS)]
    process = subprocess.Popen([sys.executable, str(SENDER), *arguments], stdin=subprocess.DEVNULL)
    try:
        yield lambda: process.poll() is None
    finally:
        process.kill()
        process.wait()


def opened() -> tuple[list[socket.socket], list[Place], int]:
    dealt = places(addresses(), partitions=4)
    group = open_group(ip_address("127.0.0.1"), 0, listed=addresses(), dealt=dealt, buffer_bytes=BUFFER)
    return group, dealt, int(group[0].getsockname()[1])


def kernel_alone(size: int) -> float:
    """Microseconds of CPU a datagram costs whatever is done with it."""
    group, _, port = opened()
    slots = Slots(512)
    taken = 0
    with traffic(port, size) as flows:
        start = time.process_time()
        quiet = 0
        while flows() or not quiet:
            now = sum(slots.receive(one.fileno(), 64) for one in group)
            slots.clear()
            taken, quiet = taken + now, not now
            time.sleep(0.001)
        spent = time.process_time() - start
    for one in group:
        one.close()
    return spent / taken * 1e6


def into_frames(size: int) -> tuple[float, int]:
    """Microseconds of CPU a datagram costs from the wire into a frame, and how many the kernel dropped."""
    group, dealt, port = opened()
    ears = [Ear(one, place, 10**9) for one, place in zip(group, dealt, strict=True)]
    channel = Channel("flows", 4, (0, 1, 2, 3), Listed(addresses()), ears, 50_000_000, 300_000_000, Slots(1024))
    listener = Listener([channel], Away(), tick_ns=250_000_000, wall_ns=WALL, nap=time.sleep)
    with traffic(port, size) as flows:
        start = time.process_time()
        while flows():
            listener.turn()
        seen = -1
        while seen < (seen := int(channel.counts.received.sum())):
            listener.turn()
            channel.flush(WALL(), Away())
        spent = time.process_time() - start
    lost = sum(drops(ear.socket) for ear in ears)
    taken = int(channel.counts.received.sum())
    assert taken + lost == DATAGRAMS
    assert int(channel.sequences.missed.sum()) == lost * RECORDS.get(size, 1)
    listener.finish()
    return spent / taken * 1e6, lost


@pytest.mark.slow
@pytest.mark.parametrize("size", [1464, 300])
def test_datagrams_per_cpu_second_into_frames(size: int) -> None:
    floor = kernel_alone(size)
    us, lost = into_frames(size)
    figures = {
        "octets": size,
        "kernel_us": round(floor, 2),
        "us": round(us, 2),
        "datagrams_per_cpu_s": round(1e6 / us),
        "dropped": lost,
    }
    BENCH.mkdir(exist_ok=True)
    file = BENCH / "listen.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**known, f"datagrams_of_{size}": figures}, indent=2) + "\n")
