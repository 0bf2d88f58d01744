"""A Linux host that runs Open vSwitch, so far with its shell alone."""

from collections.abc import Sequence

from deploy.lab.device import Cli, DevicePlan, Packets, Passed
from deploy.lab.programs import Coreutils
from deploy.lab.shell import Machine, Shell


class OvsDevice:
    """A switch that passes everything."""

    def __init__(self, plan: DevicePlan) -> None:
        self.name = plan.name
        self.platform = plan.platform
        self._machine = Machine(plan.hostname)
        Coreutils(self._machine).install()

    def login(self, user: str) -> Cli:
        """Open one shell."""
        return Shell(self._machine, user)

    def forward(self, bursts: Sequence[Packets], *, now: float) -> list[Passed]:
        """Pass everything."""
        return [Passed(burst.packets, burst.octets, burst.vlan) for burst in bursts]

    def configuration(self) -> list[str]:
        """Give nothing."""
        return []

    def tick(self, *, now: float) -> None:
        """Do nothing."""

    def power_cycle(self, *, now: float) -> None:
        """Forget nothing."""
