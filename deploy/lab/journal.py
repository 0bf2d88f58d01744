"""What an emulated device heard, line by line: the witness of what was really sent.

One JSON object per line. A typed line: `{"time", "session", "mode", "line", "accepted", "configured"}`; the ends of a
session: `{"time", "session", "event": "open" | "close"}`. Session 0 is the console, where the laboratory itself edits.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

CONSOLE = 0
MASK = "********"


@dataclass(slots=True)
class Counts:
    """Totals of one device since its start, console excluded."""

    config_lines: int = 0
    refused: int = 0
    sessions: int = 0

    def as_dict(self) -> dict[str, int]:
        """Give the totals by name."""
        return asdict(self)


class Journal:
    """Totals of one device, and its file when there is one; every entry is flushed as it is written."""

    def __init__(self, path: Path | None) -> None:
        self.counts = Counts()
        self._file: TextIO | None = path.open("a", encoding="utf-8") if path else None

    def opened(self, *, now: float) -> int:
        """Note a new session and give its number, from 1."""
        self.counts.sessions += 1
        self._write({"time": now, "session": self.counts.sessions, "event": "open"})
        return self.counts.sessions

    def ended(self, session: int, *, now: float) -> None:
        """Note the end of a session."""
        self._write({"time": now, "session": session, "event": "close"})

    def heard(self, session: int, mode: str, line: str, *, accepted: bool, configured: bool, now: float) -> None:
        """Note one line, the mode in which it was typed and what the device made of it."""
        if session != CONSOLE:
            self.counts.config_lines += configured
            self.counts.refused += not accepted
        self._write(
            {
                "time": now,
                "session": session,
                "mode": mode,
                "line": line,
                "accepted": accepted,
                "configured": configured,
            }
        )

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()

    def _write(self, entry: dict[str, object]) -> None:
        if self._file:
            self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            self._file.flush()
