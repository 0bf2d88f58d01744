"""One flood after another: who stops it, and how long its packets get through meanwhile."""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from controller.desk import Desk
from controller.domain.decision import State
from controller.domain.record import Decision
from controller.ledger import Ledger
from controller.ledger_reading import Reading
from deploy import running
from deploy.lab.net.aside import Attack, Seen, Testimony, Witnesses
from deploy.lab.net.lab import Lab
from deploy.lab.net.plan import NOC, QUARANTINE, Machine
from deploy.lab.net.sites import FLOOD_PPS
from deploy.lab.race.fastnetmon import FastNetMon, Guard
from deploy.parts import Layout

BYSTANDERS = (("d2", "d3"), ("c1", "store1"), ("d4", "dns1"), ("s1", "d2"))
LAST_PLACES = ("world", "d1", "d3")
"""Where a flood may arrive."""

ARRIVES = {"fragments": ("fw1/inside",)}
"""Where else: pieces of packets that are never whole come no further than the firewall that drowns in them."""

INSIDE = "nsenter --target {} --mount --uts --ipc --net --pid"
GIVES_UP_S = 15.0
STILL_S = 0.6
WARM_S = 2.5
COUNTED_S = 1.5
LOOK_S = 0.1  # packets tell when a flood ended; whoever looks more often slows down who is measured
MILLI = 1e6


@dataclass(frozen=True, slots=True)
class Run:
    """One flood. Seconds count from its first packet; None: it was not stopped."""

    stopped_s: float | None  # to the last packet that got through
    through: int  # packets that did
    lost: Mapping[str, int]  # bystanders' packets, by pair
    verified_s: float | None = None
    stages_ms: Mapping[str, float] = field(default_factory=dict)


class SystemClock:
    """The wall clock, for moves that are made by hand."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch."""
        return time.time_ns()  # noqa: TID251 - an adapter: what is measured happens on the wall


@dataclass(frozen=True, slots=True)
class Cordon:
    """All of Cordon's processes, running."""

    ledger: Ledger
    tend: Callable[[], None]

    def decision_on(self, machine: Machine) -> Decision | None:
        """The live decision against a machine, the furthest on first."""
        mine = [one for one in self.ledger.live() if one.attachment.host == machine.name and one.fences]
        return max(mine, key=lambda one: (one.state is State.ENFORCED, one.created_ns), default=None)

    def warm(self) -> None:
        """Wait until every process has spoken and time runs."""
        clock = SystemClock()
        _wait(lambda: self._is_up(clock.now_ns()), self.tend, what="Cordon to be up", deadline_s=60.0)
        _pause(WARM_S, self.tend)

    def _is_up(self, now_ns: int) -> bool:
        beats = {beat.process: beat for beat in Reading(self.ledger.database).heartbeats()}
        there = {"streams", "controller", "listen"} <= set(beats)
        return there and now_ns - beats["streams"].event_ns < 2_000_000_000

    def release(self, machine: Machine) -> None:
        """Take down what is up against a machine, and wait until it is gone.

        What it sent until now has to be counted first, or it would be news after the release.
        """
        _pause(COUNTED_S, self.tend)
        desk = Desk(self.ledger, SystemClock())

        def over() -> bool:
            live = [one for one in self.ledger.live() if one.attachment.host == machine.name]
            for one in live:
                if one.state is State.ENFORCED:
                    desk.release(one.id, actor="race", why="the run is over")
            return not live or all(one.state is State.PROPOSED for one in live)

        _wait(over, self.tend, what=f"{machine.name} to be released", deadline_s=20.0)


@contextmanager
def cordon(lab: Lab, home: Path, *, broker: str) -> Iterator[Cordon]:
    """Start all of Cordon for a lab; an empty `broker` means the embedded one. It has no memory of earlier runs."""
    home.mkdir(parents=True)
    layout = Layout(
        run=home,
        site=lab.site,
        policy=lab.policy,
        broker=broker,
        ledger=f"sqlite:///{home / 'ledger.sqlite3'}",
        known_hosts=lab.known_hosts,
        embedded=not broker,
        partitions=1,
    )
    with running.raised(layout, host="127.0.0.1", port=0, say=lambda _: None) as supervisor:
        ledger = Ledger.open(layout.ledger)
        try:
            one = Cordon(ledger, supervisor.tend)
            one.warm()
            yield one
        finally:
            ledger.close()


def by_cordon(lab: Lab, one: Cordon, *, attack: str, origin: str, draw: random.Random) -> Run:
    """A flood, and Cordon against it."""
    machine, places = lab.plan.by_name[origin], ARRIVES.get(attack, LAST_PLACES)
    with Witnesses(lab, places, bystanders(origin)) as witnesses:
        _pause(draw.uniform(0.5, 1.5), one.tend)
        with Attack(lab, attack, origin=origin, seconds=GIVES_UP_S + 10.0) as flood:

            def enforced() -> bool:
                found = one.decision_on(machine)
                return found is not None and found.state is State.ENFORCED

            stopped = _waited(enforced, one.tend, deadline_s=GIVES_UP_S)
            seen = _ended(witnesses, flood, places, one.tend) if stopped else None
        told = witnesses.testimony()
    found = one.decision_on(machine)
    if seen is None or found is None:
        return Run(None, _total(told, flood, places), told.lost)
    begun = flood.begun_ns
    legs = [leg for record in found.fences for leg in record.legs]
    recorded, verified = max(leg.recorded_ns for leg in legs), max(leg.verified_ns for leg in legs)
    stages = {
        "export": found.first_bad_ns - begun,
        "detect": found.created_ns - found.first_bad_ns,
        "stream_score_decide": found.proposed_wall_ns - found.created_ns,
        "confirm_plan": recorded - found.proposed_wall_ns,
        "push": seen.last_ns - recorded,
        "verify": verified - seen.last_ns,
    }
    return Run(
        stopped_s=(seen.last_ns - begun) / 1e9,
        through=_total(told, flood, places),
        lost=told.lost,
        verified_s=(verified - begun) / 1e9,
        stages_ms={name: round(span / MILLI, 1) for name, span in stages.items()},
    )


def by_fastnetmon(lab: Lab, home: Path, *, average_s: int, origin: str, port: int, draw: random.Random) -> Run:
    """A flood, and FastNetMon against it, whose script moves the port into the quarantine VLAN."""
    machine = lab.plan.by_name[origin]
    switch, tag = lab.devices[machine.port.device].shell, lab.plan.segment[machine.segment].vlan
    # Without waiting for the switch to say that it is done, as a script would that is in a hurry.
    move = f"{INSIDE.format(switch.pid)} ovs-vsctl --no-wait set Port {machine.port.interface} tag={QUARANTINE}"
    guard = Guard((f"{machine.ipv4}/32",), int(FLOOD_PPS), average_s, str(NOC), port, move)
    with FastNetMon(guard, home) as peer, Witnesses(lab, LAST_PLACES, bystanders(origin)) as witnesses:
        _wait(lambda: peer.hears, _nothing, what="FastNetMon to listen", deadline_s=20.0)
        _pause(WARM_S + draw.uniform(0.5, 1.5), _nothing)
        with Attack(lab, "saturation", origin=origin, seconds=GIVES_UP_S + 10.0) as flood:

            def moved() -> bool:
                return switch.ask(f"ovs-vsctl get Port {machine.port.interface} tag").strip() == str(QUARANTINE)

            stopped = _waited(moved, _nothing, deadline_s=GIVES_UP_S)
            seen = _ended(witnesses, flood, LAST_PLACES, _nothing) if stopped else None
        told = witnesses.testimony()
    switch.ask(f"ovs-vsctl set Port {machine.port.interface} tag={tag}")
    if seen is None:
        return Run(None, _total(told, flood, LAST_PLACES), told.lost)
    return Run((seen.last_ns - flood.begun_ns) / 1e9, _total(told, flood, LAST_PLACES), told.lost)


def bystanders(origin: str) -> list[tuple[str, str]]:
    """The pairs of neighbours in which a flood's origin has no part."""
    return [pair for pair in BYSTANDERS if origin not in pair]


def _ended(witnesses: Witnesses, flood: Attack, places: Sequence[str], tend: Callable[[], None]) -> Seen:
    """What arrived, once nothing has arrived for a while. Raises TimeoutError when packets go on getting through."""
    end = time.monotonic() + GIVES_UP_S
    while time.monotonic() < end:
        before = _last(witnesses.testimony(), flood, places)
        _pause(STILL_S, tend)
        after = _last(witnesses.testimony(), flood, places)
        if after.count == before.count:
            return after
    raise TimeoutError("packets still get through a fence that was seen on its device")


def _last(told: Testimony, flood: Attack, places: Sequence[str]) -> Seen:
    return max((told.of(flood, place) for place in places), key=lambda seen: seen.last_ns)


def _total(told: Testimony, flood: Attack, places: Sequence[str]) -> int:
    return sum(told.of(flood, place).count for place in places)


def _nothing() -> None:
    """Nobody has to be looked after."""


def _waited(state: Callable[[], bool], tend: Callable[[], None], *, deadline_s: float) -> bool:
    end = time.monotonic() + deadline_s
    while not state():
        if time.monotonic() > end:
            return False
        tend()
        time.sleep(LOOK_S)
    return True


def _wait(state: Callable[[], bool], tend: Callable[[], None], *, what: str, deadline_s: float) -> None:
    if not _waited(state, tend, deadline_s=deadline_s):
        raise TimeoutError(f"waited {deadline_s:.0f} s for {what}")


def _pause(seconds: float, tend: Callable[[], None]) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        tend()
        time.sleep(min(left, 0.1))
