"""Questions that only the controller can answer: what would be done against a host, and does a device let us in."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from controller.clerk import Clerk
from controller.decider import Decider
from controller.domain.errors import CordonError, DeviceError
from controller.domain.estate import Device, Estate
from controller.domain.fence import Slot, SlotKind
from controller.domain.record import Decision, Request, RequestKind
from controller.lanes import Lanes
from controller.planning import FIREWALL_SLOT
from controller.ports import Network
from controller.surveying import Surveyor, devices_of


class Answers:
    """Answers the ledger's open requests, each once; what needs a device waits in that device's lane."""

    def __init__(
        self, *, clerk: Clerk, decider: Decider, surveyor: Surveyor, lanes: Lanes, network: Network, estate: Estate
    ) -> None:
        self._clerk, self._decider, self._surveyor = clerk, decider, surveyor
        self._lanes, self._network, self._estate = lanes, network, estate

    def attend(self) -> None:
        """Take up what was asked since. Raises LedgerUnavailable."""
        for request in self._clerk.ledger.requests():
            if request.kind in (RequestKind.KILL, RequestKind.REVIVE):
                state = "on" if request.kind is RequestKind.KILL else "off"
                now_ns = self._clerk.clock.now_ns()
                self._clerk.ledger.set_killed(state, actor=request.actor, why=request.why, at_ns=now_ns)
                self._answer(request, f"the kill switch is {state}")
            elif request.kind is RequestKind.REACHABILITY:
                self._in_lane(request, [request.about], partial(self.reach, request.about))
            else:
                self._simulate(request)

    def reach(self, device: str) -> str:
        """Log in, ask one thing, and say how long that took. Raises UnknownSubject."""
        begun = self._clerk.clock.monotonic()
        slot = first_slot(self._estate, device)
        if slot is None:
            return f"{device}: no interface of it stands in the site file"
        try:
            self._network.device(device).observe(slot)
        except DeviceError as error:
            return f"not reachable: {error}"
        return f"reachable: {device} answered about {slot} in {self._clerk.clock.monotonic() - begun:.2f} s"

    def _simulate(self, request: Request) -> None:
        try:
            draft = self._decider.imagine(request.about)
        except CordonError as error:
            self._answer(request, f"nothing would be done: {error}")
            return
        self._in_lane(request, devices_of(draft), lambda: self._told(draft))

    def _told(self, draft: Decision) -> str:
        """The fence with its lines, and every reason for and against it, as text."""
        lines = [f"{'for' if one.allows else 'against'}: {one.rule}: {one.text}" for one in draft.reasons]
        try:
            surveys = self._surveyor.slots(replace(draft, simulated=True))
        except DeviceError as error:
            return "\n".join([*lines, f"not planned: {error}"])
        for survey in surveys:
            lines += [f"{survey.slot}:", *(f"  {line}" for line in survey.change.apply or ("already so",))]
        return "\n".join(lines)

    def _in_lane(self, request: Request, devices: list[str] | tuple[str, ...], work: Callable[[], str]) -> None:
        def job() -> None:
            try:
                answer = work()
            except CordonError as error:
                answer = str(error)
            self._answer(request, answer)

        self._lanes.submit(f"request {request.id}", devices, job, urgency=-2.0)

    def _answer(self, request: Request, answer: str) -> None:
        self._clerk.ledger.answer(request.id, answer, at_ns=self._clerk.clock.now_ns())


def first_slot(estate: Estate, device: str) -> Slot | None:
    """A slot that proves that a device lets us in and can be read; None where the estate has none."""
    known: Device | None = estate.devices.get(device)
    if known is not None and any(segment.firewall == device for segment in estate.segments.values()):
        return Slot(device, SlotKind.FIREWALL, FIREWALL_SLOT)
    for port, interface in estate.interfaces.items():
        if port.device == device and interface.role.value == "edge":
            return Slot(device, SlotKind.PORT, interface.name)
    return None
