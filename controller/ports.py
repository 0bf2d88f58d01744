"""What the use cases need of the world. Adapters at the rim and ten-line fakes in tests both fit these."""

from collections.abc import Sequence
from typing import Protocol

from controller.domain.fence import Change, Counters, Held, Slot, SlotState, Transcript
from controller.domain.wire import DecisionNote


class NetworkDevice(Protocol):
    """One device that can hold fences. Nothing vendor-shaped crosses here. One caller at a time."""

    name: str

    def observe(self, slot: Slot) -> Held:
        """Ask the device what the slot holds now. Raises Unreachable, CommandRefused, Unreadable or Unsupported."""
        ...

    def plan(self, want: SlotState, have: Held) -> Change:
        """Lines from `have` to `want` and back; pure. Raises Unsupported or ForeignState before anything is sent."""
        ...

    def push(self, lines: Sequence[str], *, confirm_within_s: int = 0) -> Transcript:
        """Send configuration lines; leaves configuration mode whatever happens.

        With `confirm_within_s` and a dialect that can, the device takes the change back by itself unless `confirm`
        is called in time. Raises CommandRefused at the first refusal, Unreachable when the session breaks.
        """
        ...

    def confirm(self) -> Transcript:
        """Keep what `push` left pending. Does nothing where the dialect has no timer."""
        ...

    def counters(self, interface: str) -> Counters:
        """The interface's own totals now. Raises Unreachable or Unreadable."""
        ...

    def close(self) -> None:
        """End the session; the next call opens one."""
        ...


class Network(Protocol):
    """All devices of the estate by name."""

    def device(self, name: str) -> NetworkDevice:
        """The device; opening a session may wait until it is first used. Raises UnknownSubject."""
        ...

    def holds(self, device: str) -> frozenset[str]:
        """Fence kinds, as text, that the device's dialect can hold; filter_class as filter_class:<traffic class>."""
        ...


class Clock(Protocol):
    """The world's time, for waiting and for stamping what people do. Decisions use event time."""

    def now_ns(self) -> int:
        """Wall clock, nanoseconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...

    def pause(self, seconds: float) -> None:
        """Wait."""
        ...


class Announcer(Protocol):
    """The decisions topic."""

    def announce(self, note: DecisionNote) -> None:
        """Tell the streams which subject is under watch. Loss is tolerable: the next note repeats it."""
        ...


class Pager(Protocol):
    """A person who is called."""

    def page(self, *, what: str, about: str) -> None:
        """Raise an alarm. The ledger already holds the reason; this only carries it to somebody."""
        ...
