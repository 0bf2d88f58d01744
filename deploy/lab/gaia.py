"""An emulated Check Point gateway (Gaia R81.10), alone or as one member of a cluster.

Options of its plan: `expert_password` (without it expert mode is refused), `login_shell` "bash" (a login goes
straight to expert mode), `banner`, `cluster` ("gw-1=192.0.2.1,gw-2=192.0.2.2") with `cluster_state` ACTIVE, STANDBY
or DOWN.
"""

from collections.abc import Sequence

from deploy.lab.device import DevicePlan, Packets, Passed
from deploy.lab.gaia_clish import Session
from deploy.lab.gaia_gateway import gateway_of
from deploy.lab.gaia_programs import Programs
from deploy.lab.iproute import IpRoute
from deploy.lab.programs import Coreutils


class GaiaDevice:
    """One gateway. SAM rules act at once, on this member alone, until their time is over or it restarts."""

    platform = "checkpoint_gaia"

    def __init__(self, plan: DevicePlan) -> None:
        """Wired as the plan says."""
        self.name = plan.name
        self._gateway = gateway_of(plan)
        Coreutils(self._gateway.machine).install()
        self._gateway.machine.programs["ip"] = IpRoute(self._gateway.links, self._gateway.neighbours).ip
        Programs(self._gateway).install()

    def login(self, user: str) -> Session:
        """One more session; the first holds the configuration lock."""
        return Session(self._gateway, user)

    def forward(self, bursts: Sequence[Packets], *, now: float) -> list[Passed]:
        """What passes under the rules of this moment."""
        return self._gateway.forward(bursts, now)

    def configuration(self) -> list[str]:
        """The clish configuration, then SAM rules and SAM policy rules, without the time that they have left."""
        lines = sorted(self._gateway.settings.lines.values())
        lines += sorted(f"fw sam -{rule.action} {rule.criteria.text}" for rule in self._gateway.sam.rules)
        for database in self._gateway.policies.values():
            lines += [rule.line() for rule in database.live.values()]
        return lines

    def tick(self, *, now: float) -> None:
        """Let rules with a timeout end."""
        self._gateway.tick(now)

    def power_cycle(self, *, now: float) -> None:
        """Start again with what was saved; SAM rules and sessions are gone."""
        self._gateway.restart(now)
