"""The controller's use cases put together on a real ledger, fake devices and a clock that stands."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from controller.clerk import Clerk, EventTime
from controller.decider import Decider
from controller.domain.decision import State
from controller.domain.estate import Estate
from controller.domain.record import Decision
from controller.domain.rulebook import Rulebook
from controller.domain.verdict import Verdict
from controller.effect import Effects
from controller.enforcer import Enforcer
from controller.lanes import Lanes
from controller.ledger import Ledger
from controller.readings import Readings, Said
from controller.reconciler import Reconciler
from controller.segments import Segments
from controller.surroundings import Surroundings
from controller.surveying import Surveyor, Tools
from tests.controller.fakes import (
    FakeAnnouncer,
    FakeClock,
    FakeDevice,
    FakeNetwork,
    FakePager,
    FakeSheet,
    Rehearsing,
)
from tests.controller.network_cases import NOON_NS, estate, rules


@dataclass
class World:
    """What outlives the controller's process: ledger, devices, clock, people."""

    ledger: Any  # the real ledger, or the one in memory
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOON_NS))
    devices: dict[str, FakeDevice] = field(default_factory=dict)
    pager: FakePager = field(default_factory=FakePager)
    sheet: FakeSheet = field(default_factory=FakeSheet)
    announcer: FakeAnnouncer = field(default_factory=FakeAnnouncer)
    holds: dict[str, frozenset[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("sw1", "sw2", "hv1", "fw1"):
            self.devices.setdefault(name, FakeDevice(name, self.clock))

    @property
    def only(self) -> Decision:
        """The one decision that there is, ended or not."""
        (found,) = self.ledger.recent(since_ns=0)
        return found

    @property
    def sent(self) -> list[str]:
        return [line for device in self.devices.values() for line in device.sent]

    def state(self, decision: Decision) -> State:
        return self.ledger.decision(decision.id).state


class House:
    """One run of the controller's process over a world. Ports may be wrapped, to break or to be killed at."""

    def __init__(
        self,
        world: World,
        *,
        rules_: Rulebook | None = None,
        estate_: Estate | None = None,
        ledger: Any = None,
        devices: dict[str, Any] | None = None,
        kill_file: bool = False,
    ) -> None:
        self.world = world
        self.rules, self.estate = rules_ or rules(), estate_ or estate()
        self.ledger: Any = ledger or world.ledger
        self.time = EventTime()
        self.time.advance(world.clock.ns)
        self.killed = kill_file
        self.clerk = Clerk(self.ledger, world.pager, world.sheet, world.clock, self.time)
        self.around = Surroundings(
            estate=self.estate, rules=self.rules, ledger=self.ledger, time=self.time, kill_file=lambda: self.killed
        )
        spoken: dict[str, Any] = devices if devices is not None else dict(world.devices)
        network = FakeNetwork(spoken, world.holds)
        asking = FakeNetwork({name: Rehearsing(one) for name, one in spoken.items()}, world.holds)
        corroboration = self.rules.limits.corroboration
        said = Said()
        self.readings = Readings(network, world.clock, corroboration, said)
        self.surveyor = Surveyor(
            clerk=self.clerk,
            live=Tools(network, self.readings),
            rehearsal=Tools(asking, Readings(asking, world.clock, corroboration, said)),
            fences=self.rules.fences,
            estate=self.estate,
        )
        self.effects = Effects(self.clerk, self.rules.effect)
        self.decider = Decider(clerk=self.clerk, around=self.around, holds=network.holds, effects=self.effects)
        self.enforcer = Enforcer(
            clerk=self.clerk, surveyor=self.surveyor, situation=self.around.now, fences=self.rules.fences
        )
        self.segments = Segments(clerk=self.clerk, network=asking, around=self.around)
        self.failures: list[Exception] = []
        self.lanes = Lanes(self._failed)
        self.reconciler = Reconciler(
            clerk=self.clerk,
            enforcer=self.enforcer,
            decider=self.decider,
            effects=self.effects,
            around=self.around,
            lanes=self.lanes,
            readings=self.readings,
            announcer=world.announcer,
            rules=self.rules,
        )

    def hear(self, *verdicts: Verdict) -> list[Decision]:
        """Decide and carry out what is approved, here and now; the decisions as they ended up."""
        return [self.enforcer.carry_out(one.id) for one in self.decider.hear(verdicts)]

    def fenced(self, said: Verdict) -> Decision:
        """Hear a verdict that has to lead to a fence."""
        (made,) = self.hear(said)
        assert made.state is State.ENFORCED, (made.state, [one.text for one in made.reasons if not one.allows])
        return made

    def released(self, decision: Decision, *, actor: str = "operator") -> Decision:
        """Have a person end a fence."""
        from controller.domain.decision import By

        newest = self.ledger.decision(decision.id)
        self.ledger.move(newest, By.RELEASE, at_ns=self.time.now_ns(), actor=actor, why="it is over")
        return self.enforcer.release(decision.id)

    def later(self, seconds: float) -> int:
        """Let event time and the clock go on; event time now."""
        self.world.clock.pause(seconds)
        self.time.advance(self.world.clock.ns)
        return self.time.now_ns()

    def settle(self) -> None:
        """Attend until the ledger asks for nothing more."""
        for _ in range(4):
            self.reconciler.attend()
            assert self.lanes.idle(20.0)

    def _failed(self, _: str, error: Exception) -> None:
        self.failures.append(error)


@contextmanager
def world(tmp_path: Path, name: str = "ledger") -> Iterator[World]:
    ledger = Ledger.open(f"sqlite:///{tmp_path / name}.sqlite3")
    try:
        yield World(ledger)
    finally:
        ledger.close()


def but(one: Decision, **changes: Any) -> Decision:
    return replace(one, **changes)


def texts(decisions: Sequence[Decision]) -> list[str]:
    return [reason.text for one in decisions for reason in one.reasons if not reason.allows]
