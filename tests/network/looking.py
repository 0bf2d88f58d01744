"""What is looked at in every scenario: what devices hold, where a flood arrives, whether the released is heard."""

import threading
from typing import Any

from deploy.lab.net.aside import Attack, Witnesses
from deploy.lab.net.lab import Lab
from deploy.lab.net.routing import FIREWALL_STATE
from deploy.lab.net.switching import STATE
from tests.network.waiting import until

NEIGHBOURS = (("c1", "world"), ("c4", "d3"), ("d3", "world"), ("v4", "dns1"), ("s1", "c1"), ("s3", "store1"))
"""Bystanders; none of them floods in any scenario."""

STILL_S = 1.0  # of silence, at more than a thousand packets a second
SILENT_S = 60.0


def states(lab: Lab) -> dict[str, str]:
    """What every device holds, asked past SSH."""
    return {name: device.shell.ask(FIREWALL_STATE if name == "fw1" else STATE) for name, device in lab.devices.items()}


def changed(lab: Lab, before: dict[str, str]) -> set[str]:
    """Devices that do not hold what they held, octet for octet."""
    return {name for name, state in states(lab).items() if state != before[name]}


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

    until(silent, what="the flood to arrive nowhere", deadline_s=SILENT_S)


def heard_again(lab: Lab, witnesses: Witnesses, flood: str, origin: str, *, at: str = "world") -> None:
    """A few of the same packets, too few to be a flood, arrive as they did before anything was done."""
    held = witnesses.testimony()
    with Attack(lab, flood, origin=origin, pps=50.0) as trickle:
        until(
            lambda: witnesses.testimony().of(trickle, at).count > held.of(trickle, at).count + 10,
            what=f"{origin} to be heard again",
        )
