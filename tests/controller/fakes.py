"""Hand-written stand-ins for what lies behind the controller's ports."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from controller.domain.crossing import Separation
from controller.domain.errors import CommandRefused, ForeignState, Rehearsed, Unreachable, Unsupported
from controller.domain.fence import Change, Counters, Entry, Held, Slot, SlotState, Transcript
from controller.domain.record import Decision
from controller.domain.sight import Sight
from controller.domain.wire import DecisionNote

EVERYTHING = frozenset(
    {
        "filter_class:fragments",
        "filter_class:malformed",
        "filter_class:odd_protocol",
        "block_address",
        "cut_guest",
        "throttle",
        "quarantine",
        "shut",
        "isolate_segment",
    }
)
PLAIN = SlotState(vlan=None, enabled=True)


class FakeClock:
    """Time that passes only when somebody waits."""

    def __init__(self, now_ns: int) -> None:
        self.ns = now_ns

    def now_ns(self) -> int:
        return self.ns

    def monotonic(self) -> float:
        return self.ns / 1e9

    def pause(self, seconds: float) -> None:
        self.ns += round(seconds * 1e9)


@dataclass
class FakeDevice:
    """A device whose configuration is a SlotState per slot; one line changes one attribute or one entry."""

    name: str
    clock: FakeClock
    slots: dict[Slot, SlotState] = field(default_factory=dict)
    foreign: dict[Slot, tuple[str, ...]] = field(default_factory=dict)
    unsupported: str = ""
    refuses: str = ""  # a line that contains this is refused
    lies: bool = False  # accepts everything and applies nothing
    dies_after: int = -1  # lines that arrive before the session breaks; -1: it holds
    dead: bool = False
    timer: bool = False  # takes changes back unless they are confirmed
    sight: Sight | None = None
    rates: tuple[float, float] = (90e6, 10_000.0)  # bits and packets per second that the counters show
    sent: list[str] = field(default_factory=list)
    journal: list[str] = field(default_factory=list)
    pending: dict[Slot, SlotState] = field(default_factory=dict)
    walls: dict[str, Separation | None] = field(default_factory=dict)
    written: dict[str, Entry] = field(default_factory=dict)  # entries by the text that stands for them in a line

    def state(self, slot: Slot) -> SlotState:
        return self.slots.get(slot, PLAIN)

    def observe(self, slot: Slot) -> Held:
        self._alive()
        self.journal.append(f"observe {slot.name}")
        return Held(slot, self.state(slot), foreign=self.foreign.get(slot, ()), vlans=frozenset({110, 120, 999}))

    def plan(self, want: SlotState, have: Held) -> Change:
        if self.unsupported:
            raise Unsupported(self.name, self.unsupported)
        if have.foreign and want != have.state:
            raise ForeignState(self.name, have.foreign[0])
        self.written |= {_entry_text(entry): entry for entry in want.entries | have.state.entries}
        walls = (want.separation, have.state.separation)
        self.walls |= {_wall_text(wall): wall for wall in walls}
        return Change(
            slot=have.slot,
            have=have.state,
            want=want,
            apply=_lines(have.slot, have.state, want),
            undo=_lines(have.slot, want, have.state),
            dialect="fake",
        )

    def push(self, lines: Sequence[str], *, confirm_within_s: int = 0) -> Transcript:
        self._alive()
        for number, line in enumerate(lines):
            if number == self.dies_after:
                self.dies_after, self.dead = -1, True
                raise Unreachable(self.name, "the session broke")
            self.sent.append(line)
            self.journal.append(line)
            if self.refuses and self.refuses in line:
                raise CommandRefused(self.name, line=line, answer="% Invalid input")
            if not self.lies:
                self._do(line)
        said = tuple((line, "") for line in lines)
        return Transcript(self.name, said, pending_confirm_s=confirm_within_s if self.timer and lines else 0)

    def confirm(self) -> Transcript:
        self.journal.append("confirm")
        self.pending.clear()
        return Transcript(self.name, ())

    def counters(self, interface: str) -> Counters:
        self._alive()
        self.journal.append(f"counters {interface}")
        at_s = self.clock.monotonic()
        bits, packets = self.rates
        return Counters(interface, at_s, octets_in=int(bits / 8 * at_s), packets_in=int(packets * at_s))

    def observe_and_count(self, slot: Slot) -> tuple[Held, Counters]:
        return self.observe(slot), self.counters(slot.name)

    def look(self) -> Sight:
        self._alive()
        if self.sight is None:
            return Sight(self.name, carries=frozenset({("up1", 999)}), secluded=frozenset({999}))
        return self.sight

    def close(self) -> None:
        self.journal.append("close")

    def restart(self, *native: tuple[Slot, SlotState]) -> None:
        """Lose what was not saved."""
        self.slots = dict(native)

    def _alive(self) -> None:
        if self.dead:
            raise Unreachable(self.name, "no answer")

    def _do(self, line: str) -> None:
        kind, name, what = line.split(" ", 2)
        slot = next((one for one in self.slots if (one.kind, one.name) == (kind, name)), None)
        slot = slot or Slot(self.name, kind, name)  # type: ignore[arg-type]  # the text of a SlotKind equals it
        if what.startswith("separation "):
            self.slots[slot] = replace(self.state(slot), separation=self.walls[what.removeprefix("separation ")])
        else:
            self.slots[slot] = _edited(self.state(slot), what, self.written)


class Rehearsing:
    """A device behind a session that can only ask."""

    def __init__(self, device: FakeDevice) -> None:
        self._device = device
        self.name = device.name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)

    def push(self, lines: Sequence[str], *, confirm_within_s: int = 0) -> Transcript:
        raise Rehearsed(self.name, f"{len(lines)} lines were not sent")


class FakeNetwork:
    """All devices by name, each able to hold everything unless told otherwise."""

    def __init__(self, devices: Mapping[str, Any], holds: Mapping[str, frozenset[str]] | None = None) -> None:
        self.devices, self.can = dict(devices), dict(holds or {})

    def device(self, name: str) -> Any:
        return self.devices[name]

    def holds(self, name: str) -> frozenset[str]:
        return self.can.get(name, EVERYTHING)


class FakePager:
    def __init__(self) -> None:
        self.pages: list[str] = []

    def page(self, *, what: str, about: str) -> None:
        self.pages.append(f"{about}: {what}")


class FakeSheet:
    def __init__(self) -> None:
        self.kept: tuple[Decision, ...] = ()
        self.full = False

    def keep(self, decisions: Sequence[Decision]) -> None:
        if self.full:
            raise OSError("no space left on device")
        self.kept = tuple(decisions)


class FakeAnnouncer:
    def __init__(self) -> None:
        self.notes: list[DecisionNote] = []

    def announce(self, note: DecisionNote) -> None:
        self.notes.append(note)


class Killed(BaseException):
    """The process is gone: nothing after this line ran."""


class Mortal:
    """Passes calls through until the n-th, at which the process is killed: before it takes effect, or just after."""

    def __init__(self, behind: Any, count: "Count") -> None:
        self._behind, self._count = behind, count

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._behind, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._count.around(lambda: found(*args, **kwargs))

        return call


@dataclass
class Count:
    """Counts the calls through all ports; `dies_at` is the call at which the process is killed, -1: never."""

    dies_at: int = -1
    after: bool = False  # the call takes effect, and its answer is never heard
    calls: int = 0

    def around(self, call: Callable[[], Any]) -> Any:
        self.calls += 1
        if self.calls - 1 == self.dies_at:
            if self.after:
                call()
            raise Killed
        return call()


def _entry_text(entry: Entry) -> str:
    return "/".join(map(str, (entry.action, entry.source, entry.traffic, entry.rate_bps, entry.segment)))


def _wall_text(wall: Separation | None) -> str:
    return "; ".join(sorted(map(str, wall.passages))) or "closed" if wall is not None else "open"


def _lines(slot: Slot, have: SlotState, want: SlotState) -> tuple[str, ...]:
    where = f"{slot.kind} {slot.name}"
    plain = [name for name in want.differs(have) if name not in ("entries", "separation")]
    lines = [f"{where} {name} {getattr(want, name)}" for name in plain]
    lines += [f"{where} separation {_wall_text(want.separation)}"] * (want.separation != have.separation)
    lines += sorted(f"{where} -entry {_entry_text(entry)}" for entry in have.entries - want.entries)
    lines += sorted(f"{where} +entry {_entry_text(entry)}" for entry in want.entries - have.entries)
    return tuple(lines)


def _edited(state: SlotState, what: str, entries: Mapping[str, Entry]) -> SlotState:
    name, _, value = what.partition(" ")
    if name == "+entry":
        return replace(state, entries=state.entries | {entries[value]})
    if name == "-entry":
        return replace(state, entries=state.entries - {entries[value]})
    if name in ("enabled", "isolated"):
        return replace(state, **{name: {"True": True, "False": False}.get(value)})
    number: Any = None if value == "None" else int(value)
    return replace(state, **{name: number})
