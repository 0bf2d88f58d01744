"""Syslog messages out of a stream of octets, in both framings of RFC 6587.

They are octet counting (3.4.1), which RFC 5425 asks of TLS too, and non-transparent framing (3.4.2), which is lines. A
sender keeps to the framing of its first message. Memory is bounded whatever comes: of a message that is too long the
beginning is kept, and the rest is read past.
"""

import re

LONGEST = 256 * 1024
"""RFC 5425, 4.3.1 asks for 8,192 octets; events of an IDS with their packets in them are longer."""

_COUNT = re.compile(rb"([1-9]\d{0,9}) ")
_PART_OF_A_COUNT = re.compile(rb"[1-9]\d{0,9}\Z")
_BETWEEN = frozenset(b"\n\r\0")
"""Some senders end counted messages with what ends lines."""


class Framing:
    """What one connection sends. `cut` counts messages that were too long, `torn` those whose end or count was lost."""

    def __init__(self, *, longest: int = LONGEST) -> None:
        self._longest = longest
        self._held = bytearray()
        self._at = 0
        self._counts: bool | None = None  # None: nothing has come yet that tells
        self._to_skip = 0
        self._skips_line = False
        self.cut = self.torn = 0

    def feed(self, octets: bytes) -> list[bytes]:
        """The messages that have become whole."""
        self._held += octets
        if self._counts is False and not self._skips_line:
            end = self._held.rfind(b"\n") + 1
            lines = self._held[:end].split(b"\n")
            if max(map(len, lines)) <= self._longest and len(self._held) - end <= self._longest:
                del self._held[:end]
                return [one for line in lines if (one := bytes(line.strip(b"\r\0")))]
        self._at = 0
        found: list[bytes] = []
        while self._at < len(self._held) and self._step(found):
            pass
        del self._held[: self._at]
        return found

    def rest(self) -> list[bytes]:
        """What was begun when the connection ended: a last line without its end, or a part of a counted message."""
        held = bytes(self._held)
        self._held.clear()
        if self._counts:
            self.torn += bool(held or self._to_skip)
            begun = _COUNT.match(held)
            held = held[begun.end() :] if begun else b""
        else:
            held = held.strip(b"\n\r\0")
        return [held] if held else []

    def _step(self, found: list[bytes]) -> bool:
        """Read one message, or past something; False when more is needed for that."""
        if self._to_skip:
            passed = min(self._to_skip, len(self._held) - self._at)
            self._to_skip -= passed
            self._at += passed
            return True
        if self._skips_line:
            end = self._held.find(b"\n", self._at)
            self._skips_line = end < 0
            self._at = end + 1 if end >= 0 else len(self._held)
            return True
        if self._held[self._at] in _BETWEEN:
            self._at += 1
            return True
        if self._counts is not False:
            begun = _COUNT.match(self._held, self._at)
            if begun:
                self._counts = True
                return self._counted(begun.end(), int(begun[1]), found)
            if _PART_OF_A_COUNT.match(self._held, self._at):
                return False
            if self._counts:
                self.torn += 1  # where a count belongs stands something else: the next line end is as good as any
            else:
                self._counts = False
        return self._line(found)

    def _counted(self, start: int, length: int, found: list[bytes]) -> bool:
        kept = min(length, self._longest)
        if len(self._held) - start < kept:
            return False
        found.append(bytes(self._held[start : start + kept]))
        self._to_skip = length - kept
        self.cut += self._to_skip > 0
        self._at = start + kept
        return True

    def _line(self, found: list[bytes]) -> bool:
        end = self._held.find(b"\n", self._at)
        length = (end if end >= 0 else len(self._held)) - self._at
        if end < 0 and length <= self._longest:
            return False
        found.append(bytes(self._held[self._at : self._at + min(length, self._longest)]).rstrip(b"\r\0"))
        self.cut += length > self._longest
        self._skips_line = end < 0
        self._at += length + (end >= 0)
        return True
