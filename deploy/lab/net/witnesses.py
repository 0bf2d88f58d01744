"""Who received what of which flood, and which packets between neighbours were lost: one process, many namespaces.

`python -m deploy.lab.net.witnesses` reads one line of JSON, `{"watch": {place: [namespace, interface]}, "probes":
[{"name", "from", "to", "src", "dst"}], "every_s": S}`, and then answers each further line with a line of counts. It
ends with its input. Times are the kernel's own stamps of arrival, nanoseconds since the epoch.
"""

import json
import os
import selectors
import socket
import struct
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from deploy.lab.net.frames import stamp_of
from deploy.lab.net.namespaces import inside

ETH_P_ALL = 0x0003
SO_TIMESTAMPNS = 35  # asm-generic/socket.h
SO_RCVBUFFORCE = 33
BUFFER = 8 << 20
SNAP = 256  # octets of a frame that are looked at
PORT = 7  # UDP, RFC 862; nobody echoes here
SEEN_AT_ONCE = 256
STRAGGLING_S = 0.5  # a probe that takes longer is lost

_STAMP = struct.Struct("qq")
_PROBE = struct.Struct("!Q")


@dataclass(slots=True)
class Seen:
    """Frames of one flood at one place."""

    count: int = 0
    first_ns: int = 0
    last_ns: int = 0
    first_number: int = 0
    last_number: int = 0

    def add(self, at_ns: int, number: int) -> None:
        """One more."""
        if not self.count:
            self.first_ns, self.first_number = at_ns, number
        self.count += 1
        self.last_ns, self.last_number = at_ns, number


class Watch:
    """All that arrives at one place's card."""

    def __init__(self, space: str, interface: str) -> None:
        with inside(space):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self.socket.bind((interface, ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        self.socket.setblocking(False)
        self.floods: dict[int, Seen] = {}

    def take(self) -> None:
        """Look at what lies there."""
        for _ in range(SEEN_AT_ONCE):
            try:
                frame, control, _, sender = self.socket.recvmsg(SNAP, 64)
            except BlockingIOError:
                return
            stamped = None if sender[2] == socket.PACKET_OUTGOING else stamp_of(frame)
            if stamped:
                seconds, rest = _STAMP.unpack_from(control[0][2])
                self.floods.setdefault(stamped[0], Seen()).add(seconds * 1_000_000_000 + rest, stamped[1])


@dataclass(slots=True)
class Probe:
    """Numbered packets from one place to another."""

    out: socket.socket
    target: tuple[str, int]
    sent: dict[int, float] = field(default_factory=dict)  # number → when, of those that have not arrived
    count: int = 0
    received: int = 0
    lost: int = 0
    arrived_s: float = 0.0
    worst_gap_s: float = 0.0

    def send(self, now: float) -> None:
        """One more packet; a place that has no way out loses it like any other."""
        self.sent[self.count] = now
        self.count += 1
        try:
            self.out.sendto(_PROBE.pack(self.count - 1), self.target)
        except OSError:
            return

    def arrive(self, number: int, now: float) -> None:
        """One of them came through."""
        if self.sent.pop(number, None) is not None:
            self.received += 1
            self.worst_gap_s = max(self.worst_gap_s, now - (self.arrived_s or now))
            self.arrived_s = now

    def settle(self, now: float) -> None:
        """What is under way for too long is lost."""
        late = [number for number, at in self.sent.items() if now - at > STRAGGLING_S]
        for number in late:
            del self.sent[number]
        self.lost += len(late)


class Witnesses:
    """Everybody who looks or asks."""

    def __init__(
        self, watch: Mapping[str, tuple[str, str]], probes: Sequence[Mapping[str, str]], every_s: float
    ) -> None:
        self._watches = {place: Watch(*where) for place, where in watch.items()}
        self._probes: dict[str, Probe] = {}
        self._every_s = every_s
        self._selector = selectors.DefaultSelector()
        self._ended = False
        for watched in self._watches.values():
            self._selector.register(watched.socket, selectors.EVENT_READ, watched.take)
        for number, probe in enumerate(probes):
            self._open(number, probe)
        self._selector.register(sys.stdin, selectors.EVENT_READ, self._answer)

    def _open(self, number: int, asked: Mapping[str, str]) -> None:
        family = socket.AF_INET6 if ":" in asked["dst"] else socket.AF_INET
        with inside(asked["to"]):
            into = socket.socket(family, socket.SOCK_DGRAM)
            into.bind((asked["dst"], PORT + number))
        with inside(asked["from"]):
            out = socket.socket(family, socket.SOCK_DGRAM)
            out.bind((asked["src"], 0))
        for one in (into, out):
            one.setblocking(False)
        probe = self._probes[asked["name"]] = Probe(out, (asked["dst"], PORT + number))
        self._selector.register(into, selectors.EVENT_READ, partial(self._hear, probe, into))

    def _hear(self, probe: Probe, into: socket.socket) -> None:
        for _ in range(SEEN_AT_ONCE):
            try:
                body = into.recv(64)
            except BlockingIOError:
                return
            if len(body) == _PROBE.size:
                probe.arrive(_PROBE.unpack(body)[0], time.monotonic())

    def attend(self) -> None:
        """Look and ask until there is nobody left to tell."""
        due = time.monotonic()
        while not self._ended:
            now = time.monotonic()
            if self._probes and now >= due:
                for probe in self._probes.values():
                    probe.send(now)
                due = max(due + self._every_s, now - self._every_s)
            for key, _ in self._selector.select(max(0.0, due - now) if self._probes else None):
                key.data()

    def _answer(self) -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            self._ended = True
            return
        for watched in self._watches.values():
            watched.take()
        now = time.monotonic()
        for probe in self._probes.values():
            probe.settle(now)
        say(self.report())

    def report(self) -> Mapping[str, Any]:
        """Counts since the beginning."""
        return {
            "floods": {
                place: {
                    str(stamp): {
                        "count": seen.count,
                        "first_ns": seen.first_ns,
                        "last_ns": seen.last_ns,
                        "first_number": seen.first_number,
                        "last_number": seen.last_number,
                    }
                    for stamp, seen in watched.floods.items()
                }
                for place, watched in self._watches.items()
            },
            "probes": {
                name: {
                    "sent": probe.count,
                    "received": probe.received,
                    "lost": probe.lost,
                    "worst_gap_s": round(probe.worst_gap_s, 4),
                }
                for name, probe in self._probes.items()
            },
        }


def say(told: object) -> None:
    """One line of JSON."""
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Attend until the input ends."""
    asked = json.loads(sys.stdin.readline())
    witnesses = Witnesses(asked["watch"], asked["probes"], asked["every_s"])
    say({"event": "ready"})
    witnesses.attend()


if __name__ == "__main__":
    main()
