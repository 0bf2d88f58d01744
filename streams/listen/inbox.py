"""Where the connections' thread leaves lines for the loop that hands them on: bounded, in order, with a bell."""

import os
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ROOM = 8 * 1024 * 1024
"""Octets that may lie here. Whoever would add more waits, and so does the sender at the other end of its connection."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of one listed sender, read together."""

    sender: int
    at_ns: int
    lines: Sequence[bytes]
    octets: int


class Inbox:
    """Lines on their way from one thread to another, and what went wrong with connections."""

    def __init__(self, *, room: int = ROOM) -> None:
        self._room = room
        self._lock = threading.Lock()
        self._held: list[Lines] = []
        self._octets = 0
        self._faults: Counter[tuple[str, str]] = Counter()
        self._refused: Counter[str] = Counter()
        self.bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def put(self, lines: Lines) -> None:
        """Leave lines. They are always taken; ask `full` before reading more."""
        with self._lock:
            if not self._held:
                os.eventfd_write(self.bell, 1)
            self._held.append(lines)
            self._octets += lines.octets

    @property
    def full(self) -> bool:
        """True when nothing more should be read for now."""
        return self._octets >= self._room

    @property
    def octets(self) -> int:
        """How much lies here."""
        return self._octets

    @property
    def oldest_ns(self) -> int:
        """When the lines that lie here longest were read; 0 when there are none."""
        with self._lock:
            return self._held[0].at_ns if self._held else 0

    def take(self) -> list[Lines]:
        """Everything that lies here; the bell is silent again."""
        with self._lock:
            taken, self._held, self._octets = self._held, [], 0
            return taken

    def hush(self) -> None:
        """Take note of the bell."""
        os.eventfd_read(self.bell)

    def fault(self, sender: str, what: str, times: int = 1) -> None:
        """Count what went wrong with a listed sender's connections."""
        with self._lock:
            self._faults[sender, what] += times

    def refuse(self, sender: str) -> None:
        """Note the connection of somebody who is not listed."""
        with self._lock:
            self._refused[sender] += 1

    def refused(self) -> Mapping[str, int]:
        """Strangers since the last call."""
        with self._lock:
            found, self._refused = self._refused, Counter()
            return found

    @property
    def faults(self) -> Mapping[tuple[str, str], int]:
        """(sender, what) → how often."""
        with self._lock:
            return dict(self._faults)

    def close(self) -> None:
        """Give the bell back to the system."""
        os.close(self.bell)
