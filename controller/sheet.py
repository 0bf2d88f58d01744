"""The undo sheet: how to take every live fence down by hand, in a plain file that needs no database to read."""

import os
import threading
from collections.abc import Sequence
from pathlib import Path

from controller.domain.record import Decision
from controller.surveying import PLACED


def render(decisions: Sequence[Decision]) -> str:
    """The sheet's text: each leg's undo, the newest first, so that legs on one slot come off in order. Pure."""
    legs = [
        (leg.recorded_ns, decision, record.fence.kind, leg)
        for decision in decisions
        for record in decision.fences
        for leg in record.legs
        if leg.change is not None and leg.state in PLACED
    ]
    lines = [
        "Cordon: how to take every live fence off its device by hand.",
        "Work from top to bottom: the newest change stands first. Stop Cordon first, or it sets the fences again.",
        f"{len(legs)} changes on {len({leg.slot.device for *_, leg in legs})} devices.",
    ]
    for _, decision, kind, leg in sorted(legs, key=lambda one: (-one[0], str(one[3].slot))):
        change = leg.change
        if change is None:
            continue
        who = decision.attachment.host or ", ".join(map(str, decision.attachment.ports))
        lines += [
            "",
            f"device {leg.slot.device} ({change.dialect}), {leg.slot.kind} {leg.slot.name}: {kind}",
            f"  decision {decision.id} ({decision.state}, {leg.state}) against {decision.subject}, {who}",
            *(f"    {line}" for text in change.undo for line in text.splitlines()),
            *(() if change.undo else ("    nothing to take back",)),
        ]
    return "\n".join(lines) + "\n"


class UndoSheet:
    """Keeps the sheet in a file that only its owner reads; whoever reads it sees the old sheet or the new one."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)

    def keep(self, decisions: Sequence[Decision]) -> None:
        """Write the sheet anew; on the disk when it returns. Raises OSError."""
        text = render(decisions)
        with self._lock:
            if self._path.exists() and self._path.read_text(encoding="utf-8") == text:
                return
            beside = self._path.with_suffix(".new")
            handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
