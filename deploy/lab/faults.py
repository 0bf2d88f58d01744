"""What can be made to go wrong at an emulated device, and when.

A fault strikes a typed line, the way faults meet a person at a keyboard: the line is refused, taken without effect,
never answered, answered late, or it is the last thing that the session or the device hears.
"""

import re
from dataclasses import dataclass, replace
from enum import StrEnum


class Kind(StrEnum):
    """What happens to the line that a fault strikes."""

    REFUSE = "refuse"  # the platform's own refusal, nothing is executed
    IGNORE = "ignore"  # answered as if it were executed, nothing changes
    HANG = "hang"  # no answer, and the session stays deaf until it is closed
    DROP = "drop"  # the connection is cut before the line is executed
    DROP_AFTER = "drop_after"  # the line is executed, then the connection is cut before the answer
    POWER = "power"  # the device loses power before the line is executed and is gone for `seconds`
    SLOW = "slow"  # the answer comes `seconds` late


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: lines that `pattern` is found in are struck, `times` times (None: for ever)."""

    kind: Kind
    pattern: str = ""
    times: int | None = None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a fault that could never strike: ValueError for a broken pattern or a count below one."""
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"fault pattern {self.pattern!r}: {error}") from error
        if self.times is not None and self.times < 1:
            raise ValueError(f"a fault that strikes {self.times} times is none")


@dataclass(frozen=True, slots=True)
class Struck:
    """What one line meets: a delay in seconds, and at most one kind of failure."""

    delay: float = 0.0
    kind: Kind | None = None
    seconds: float = 0.0


class Faults:
    """The faults that are set at one device, in the order in which they were told."""

    def __init__(self) -> None:
        self._set: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Set one more fault."""
        self._set.append(fault)

    def clear(self) -> None:
        """Forget all faults; sessions that already hang stay deaf."""
        self._set.clear()

    def strike(self, line: str) -> Struck:
        """Say what happens to `line`: all delays add up, the first failure wins; those that took part are used up."""
        delay, chosen = 0.0, None
        left: list[Fault] = []
        for fault in self._set:
            failure = fault.kind is not Kind.SLOW
            if (failure and chosen) or not re.search(fault.pattern, line):
                left.append(fault)
                continue
            if failure:
                chosen = fault
            else:
                delay += fault.seconds
            if fault.times is None:
                left.append(fault)
            elif fault.times > 1:
                left.append(replace(fault, times=fault.times - 1))
        self._set = left
        return Struck(delay, chosen.kind, chosen.seconds) if chosen else Struck(delay)
