"""An emulated Cisco Catalyst (IOS 15.2 as on the 2960-X and 3750-X, IOS XE 16/17 as on the 9300).

Options of its plan: `classic` "yes" for the older family, where policing needs `mls qos`; `enable_secret` (a session
then starts in user mode; without it, at privilege 15 as a network account's does); `channels` (port-channels and their
members); `configuration` (lines typed into configuration mode before the first start, then saved); `banner`.
"""

from collections.abc import Sequence

from deploy.lab.device import DevicePlan, Packets, Passed
from deploy.lab.ios_configure import Editor
from deploy.lab.ios_forward import Plane
from deploy.lab.ios_grammar import Ambiguous, Incomplete, Invalid, Rejected
from deploy.lab.ios_session import Session
from deploy.lab.ios_switch import Switch


class IosDevice:
    """One switch. Sessions share its state; configuration is live line by line, and lost unless written."""

    platform = "cisco_ios"

    def __init__(self, plan: DevicePlan) -> None:
        """Wired as the plan says, with what `options["configuration"]` adds already saved to the startup file.

        Raises ValueError for a line of that option which the device would refuse.
        """
        self.name = plan.name
        self._switch = Switch(plan)
        self._plane = Plane(self._switch)
        editor = Editor(self._switch)
        for line in filter(str.strip, plan.options.get("configuration", "").splitlines()):
            try:
                editor.run(line)
            except (Invalid, Incomplete, Ambiguous, Rejected) as refusal:
                message = f"{plan.name}: {line!r} refused by the device: {refusal!r}"
                raise ValueError(message) from refusal
        self._switch.save()

    def login(self, user: str) -> Session:
        """One more session."""
        return Session(self._switch, user)

    def forward(self, bursts: Sequence[Packets], *, now: float) -> list[Passed]:
        """What passes under the running configuration at `now`."""
        self._switch.tick(now)
        return self._plane.forward(bursts, now)

    def configuration(self) -> list[str]:
        """The running configuration, indented, in the device's own order."""
        return self._switch.running.lines()

    def tick(self, *, now: float) -> None:
        """Undo a change whose revert timer has run out."""
        self._switch.tick(now)

    def power_cycle(self, *, now: float) -> None:
        """Start again from the startup configuration."""
        self._switch.restart(now)
