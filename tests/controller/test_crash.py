"""The controller killed at every call through a port: what is left is verified, rolled back, or stuck with a page."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.domain.address import Vlan
from controller.domain.decision import ENDED, By, State, first_break
from controller.domain.fence import SlotState
from controller.domain.verdict import Verdict
from tests.controller.fakes import PLAIN, Count, Killed, Mortal
from tests.controller.house import House, World, world
from tests.controller.memory_ledger import MemoryLedger
from tests.controller.network_cases import NOON_NS, verdict

SETTLED = ENDED | {State.ENFORCED}
Work = Callable[[House], object]


def mortal(town: World, count: Count) -> House:
    """A controller that is killed at the count's call, whichever port that goes through."""
    devices = {name: Mortal(device, count) for name, device in town.devices.items()}
    return House(town, ledger=Mortal(town.ledger, count), devices=devices)


def native(town: World) -> bool:
    return all(state in (PLAIN, replace(PLAIN)) for device in town.devices.values() for state in device.slots.values())


def hearing(said: Verdict) -> Work:
    return lambda house: house.hear(said)


def releasing(house: House) -> object:
    (live,) = house.ledger.live()
    return house.enforcer.release(live.id)


def survivors(town: World, work: Work, *, after: bool, prepare: Work | None = None) -> int:
    """How many calls the work makes when nobody kills it."""
    count = Count(after=after)
    if prepare:
        prepare(House(town))
    work(mortal(town, count))
    return count.calls


def check(town: World, *heard_again: Verdict) -> State:
    """Start a new controller over what is left; the state in which the one decision ends up.

    What was not kept together with its offsets is heard again, as Kafka would have it.
    """
    again = House(town)
    again.reconciler.hear(heard_again)
    again.settle()
    again.later(20)
    again.reconciler.sweep()
    assert again.lanes.idle(20.0)
    again.settle()
    assert again.failures == []
    assert first_break(town.ledger.moves()) is None
    decisions = town.ledger.recent(since_ns=0)
    (left,) = decisions
    if left.state in ENDED:
        assert native(town)
        assert town.sheet.kept == ()
    elif left.state is State.ENFORCED:
        assert not native(town)
        assert [one.id for one in town.sheet.kept] == [left.id]
    else:
        raise AssertionError(f"{left.state} is neither verified nor undone")
    return left.state


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
@pytest.mark.parametrize("address", ["198.18.2.3", "198.18.2.20"], ids=["one leg", "two legs"])
def test_a_controller_killed_anywhere_while_it_fences_leaves_nothing_unknown(address: str, after: bool) -> None:
    town = World(MemoryLedger())
    calls = survivors(town, hearing(verdict(address)), after=after)
    assert check(town) is State.ENFORCED
    ends = []
    for dies_at in range(calls):
        town = World(MemoryLedger())
        with pytest.raises(Killed):
            hearing(verdict(address))(mortal(town, Count(dies_at, after)))
        ends.append(check(town, verdict(address)))
    assert set(ends) == {State.ENFORCED, State.FAILED}


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
def test_a_controller_killed_anywhere_while_it_releases_ends_the_release(after: bool) -> None:
    def fenced(house: House) -> object:
        made = house.fenced(verdict("198.18.2.20"))
        return house.ledger.move(made, By.RELEASE, at_ns=NOON_NS, actor="alice", why="it is over")

    calls = survivors(World(MemoryLedger()), releasing, after=after, prepare=fenced)
    for dies_at in range(1, calls):
        town = World(MemoryLedger())
        fenced(House(town))
        with pytest.raises(Killed):
            releasing(mortal(town, Count(dies_at, after)))
        assert check(town) is State.RELEASED


@pytest.mark.parametrize("lines", [0, 1])
@pytest.mark.parametrize("comes_back", ["as it was left", "as it was before", "with another VLAN"])
def test_a_device_that_dies_half_way_is_settled_when_it_comes_back(tmp_path: Path, lines: int, comes_back: str) -> None:
    with world(tmp_path) as town:
        town.holds["sw1"] = frozenset({"quarantine", "throttle"})
        device = town.devices["sw1"]
        device.dies_after = lines
        house = House(town)
        (made,) = house.hear(verdict("198.18.2.3"))
        assert made.state is State.STUCK
        assert len(town.pager.pages) == 1
        device.dead = False
        (slot,) = {leg.slot for record in made.fences for leg in record.legs}
        changes: dict[str, Callable[[], Any]] = {
            "as it was left": lambda: None,
            "as it was before": lambda: device.restart(),
            "with another VLAN": lambda: device.slots.update({slot: SlotState(vlan=Vlan(77), enabled=True)}),
        }
        changes[comes_back]()
        house.reconciler.sweep()
        assert house.lanes.idle(20.0)
        assert town.state(made) is State.FAILED
        assert device.state(slot) == PLAIN
