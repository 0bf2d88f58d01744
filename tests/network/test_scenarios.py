"""The situations that Cordon exists for, with real packets: what stops, what goes on, what nobody touched."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from deploy.lab.net.aside import Attack, Witnesses
from deploy.lab.net.lab import Lab
from deploy.lab.net.routing import FIREWALL_STATE
from deploy.lab.net.switching import STATE
from tests.network.guarding import DECIDE_S, Guarded, guarded
from tests.network.waiting import until

pytestmark = pytest.mark.root

NEIGHBOURS = (("c1", "world"), ("c4", "d3"), ("d3", "world"), ("v2", "dns1"), ("s1", "c1"), ("s3", "store1"))
STILL_S = 1.0  # of silence, at more than a thousand packets a second


@pytest.fixture(scope="module")
def cordon(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded(lab, tmp_path_factory.mktemp("cordon")) as one:
        yield one


@pytest.fixture(autouse=True)
def calm(cordon: Guarded) -> Iterator[None]:
    """Each test leaves the network as it found it."""
    yield
    for decision in cordon.decisions():
        if decision["state"] == "proposed":
            cordon.post(f"/decisions/{decision['id']}/reject", reason="the test is over")
        else:
            cordon.release(decision)


@pytest.fixture
def witnesses(lab: Lab) -> Iterator[Witnesses]:
    with Witnesses(lab, [*lab.plan.by_name, "world"], NEIGHBOURS) as there:
        yield there


def states(lab: Lab) -> dict[str, str]:
    """What every device holds, asked past SSH, without what counts."""
    return {
        name: device.shell.ask(FIREWALL_STATE if name == "fw1" else STATE) for name, device in lab.devices.items()
    }


def fences(decision: dict[str, Any]) -> set[tuple[str, str]]:
    return {(fence["kind"], leg["slot"]["device"]) for fence in decision["plan"] for leg in fence["legs"]}


def silence(witnesses: Witnesses, flood: Attack, *, but: frozenset[str] = frozenset()) -> None:
    """Until a flood that goes on arrives nowhere any more, or nowhere but there."""

    def arrived() -> int:
        told = witnesses.testimony()
        return sum(told.of(flood, place).count for place in told.floods if place not in but)

    def silent() -> bool:
        before = arrived()
        threading.Event().wait(STILL_S)
        return arrived() == before

    until(silent, what="the flood to arrive nowhere", deadline_s=DECIDE_S)


@pytest.mark.parametrize("flood", ["saturation", "saturation6"])
def test_container_behind_a_shared_port_is_cut_off_and_its_neighbours_lose_no_packet(
    lab: Lab, cordon: Guarded, witnesses: Witnesses, flood: str
) -> None:
    before = states(lab)
    with Attack(lab, flood, origin="c2", seconds=120.0) as attack:
        decision = cordon.await_decision("c2", "enforced")
        assert fences(decision) == {("block_address", "sw1")}
        silence(witnesses, attack)
        cordon.await_effect(decision, "fallen")
        cordon.release(decision, twice=True)
        held = witnesses.testimony().of(attack, "world").count
        until(lambda: witnesses.testimony().of(attack, "world").count > held, what="the released to be heard")
    assert witnesses.testimony().lost == {}
    assert {name: text for name, text in states(lab).items() if name not in {"sw1"}} == {
        name: text for name, text in before.items() if name not in {"sw1"}
    }
