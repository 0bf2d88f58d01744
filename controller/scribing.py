"""What was said to devices and answered, around every change: kept beside the decision that it was for."""

import threading
from collections.abc import Sequence

from controller.clerk import Clerk
from controller.domain.errors import CommandRefused
from controller.domain.fence import Change, Counters, Held, Slot, SlotState, Transcript
from controller.domain.record import Spoken
from controller.domain.sight import Sight
from controller.ports import NetworkDevice

LONGEST = 20_000
"""Characters of one answer that are kept."""


class Scribe:
    """Notes what is said for a decision, and writes it down once the work on it is done. For several threads.

    Only what surrounds a change is written: looking after a fence that stands leaves no page. What was noted when the
    process dies is lost; the lines themselves were recorded before they were sent.
    """

    def __init__(self, clerk: Clerk) -> None:
        self._clerk = clerk
        self._lock = threading.Lock()
        self._notes: dict[str, list[Spoken]] = {}

    def note(self, decision_id: str, slot: Slot, what: str, exchanges: Sequence[tuple[str, str]]) -> None:
        """Take down one conversation."""
        kept = tuple((line, answer[:LONGEST]) for line, answer in exchanges)
        spoken = Spoken(slot=slot, what=what, at_ns=self._clerk.clock.now_ns(), exchanges=kept)
        with self._lock:
            self._notes.setdefault(decision_id, []).append(spoken)

    def write(self, decision_id: str) -> None:
        """Write down what was noted for a decision. Raises LedgerUnavailable."""
        with self._lock:
            notes = self._notes.pop(decision_id, [])
        if any(one.what == "push" for one in notes):
            self._clerk.ledger.transcribe(decision_id, notes)


class Overheard:
    """A device whose conversations about one slot the scribe takes down. Fits `ports.NetworkDevice`."""

    def __init__(self, device: NetworkDevice, slot: Slot, *, scribe: Scribe, decision_id: str) -> None:
        self._device, self._slot, self._scribe, self._decision_id = device, slot, scribe, decision_id
        self.name = device.name

    def observe(self, slot: Slot) -> Held:
        """As the device."""
        held = self._device.observe(slot)
        self._note("observe", held.transcript)
        return held

    def plan(self, want: SlotState, have: Held) -> Change:
        """As the device."""
        return self._device.plan(want, have)

    def push(self, lines: Sequence[str], *, confirm_within_s: int = 0) -> Transcript:
        """As the device."""
        if not lines:
            return self._device.push(lines, confirm_within_s=confirm_within_s)
        try:
            said = self._device.push(lines, confirm_within_s=confirm_within_s)
        except CommandRefused as refused:
            self._note("push", [(refused.line, refused.answer)])
            raise
        self._note("push", said.exchanges)
        return said

    def confirm(self) -> Transcript:
        """As the device."""
        said = self._device.confirm()
        if said.exchanges:
            self._note("confirm", said.exchanges)
        return said

    def counters(self, interface: str) -> Counters:
        """As the device."""
        return self._device.counters(interface)

    def observe_and_count(self, slot: Slot) -> tuple[Held, Counters]:
        """As the device."""
        held, counters = self._device.observe_and_count(slot)
        self._note("observe", held.transcript)
        return held, counters

    def look(self) -> Sight:
        """As the device."""
        return self._device.look()

    def close(self) -> None:
        """As the device."""
        self._device.close()

    def _note(self, what: str, exchanges: Sequence[tuple[str, str]]) -> None:
        self._scribe.note(self._decision_id, self._slot, what, exchanges)
