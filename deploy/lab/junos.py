"""An emulated Juniper EX switch (Junos 21.4, Enhanced Layer 2 Software).

Option of its plan: `configuration`, `set` and `delete` lines that are already committed when it starts.
"""

from collections.abc import Sequence

from deploy.lab.device import DevicePlan, Packets, Passed
from deploy.lab.junos_forward import forward
from deploy.lab.junos_session import Session
from deploy.lab.junos_switch import switch_of
from deploy.lab.junos_tree import as_set


class JunosDevice:
    """One switch. Nothing that is typed acts before it is committed, and what is committed survives a power loss."""

    platform = "juniper_junos"

    def __init__(self, plan: DevicePlan) -> None:
        """Wired as the plan says. Raises Misread for a line of the option that it would not understand."""
        self.name = plan.name
        self._switch = switch_of(plan)

    def login(self, user: str) -> Session:
        """One more session, in operational mode."""
        return Session(self._switch, user)

    def forward(self, bursts: Sequence[Packets], *, now: float) -> list[Passed]:
        """What passes under the active configuration at `now`."""
        self._switch.tick(now)
        return forward(self._switch, bursts, now)

    def configuration(self) -> list[str]:
        """The active configuration as `set` lines, in the switch's own order."""
        return list(as_set(self._switch.running))

    def tick(self, *, now: float) -> None:
        """Take back a commit that was not confirmed in time."""
        self._switch.tick(now)

    def power_cycle(self, *, now: float) -> None:
        """Start again from the committed configuration; candidates and locks are gone."""
        self._switch.restart(now)
