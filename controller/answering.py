"""Questions that only the controller can answer.

What would be done against a host, does a device let us in, what does a segment's firewall hold, what leads around it.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from controller.clerk import Clerk
from controller.decider import Decider
from controller.domain.errors import CordonError, DeviceError, Unsupported
from controller.domain.estate import Device, Estate
from controller.domain.fence import Slot, SlotKind
from controller.domain.record import Decision, Request, RequestKind
from controller.domain.sight import Sight
from controller.lanes import Lanes
from controller.planning import FIREWALL_SLOT
from controller.ports import Network
from controller.segments import Segments
from controller.surveying import Surveyor, devices_of


class Answers:
    """Answers the ledger's open requests, each once; what needs a device waits in that device's lane.

    An answer is text for people. One that begins with "not " is a no.
    """

    def __init__(
        self,
        *,
        clerk: Clerk,
        decider: Decider,
        surveyor: Surveyor,
        segments: Segments,
        lanes: Lanes,
        network: Network,
        estate: Estate,
    ) -> None:
        self._clerk, self._decider, self._surveyor, self._segments = clerk, decider, surveyor, segments
        self._lanes, self._network, self._estate = lanes, network, estate
        self._looks: dict[str, _Look] = {}

    def attend(self) -> None:
        """Take up what was asked since. Raises LedgerUnavailable."""
        for request in self._clerk.ledger.requests():
            if request.kind in (RequestKind.KILL, RequestKind.REVIVE):
                state = "on" if request.kind is RequestKind.KILL else "off"
                now_ns = self._clerk.clock.now_ns()
                self._clerk.ledger.set_killed(state, actor=request.actor, why=request.why, at_ns=now_ns)
                self._answer(request, f"the kill switch is {state}")
            elif request.kind is RequestKind.REACHABILITY:
                self._in_lane(request, [request.about], partial(self._reached, request.about))
            elif request.kind is RequestKind.SIMULATE:
                self._simulate(request)
            else:
                self._of_segment(request)

    def reach(self, device: str) -> str:
        """Log in, ask one thing, and say how long that took. Raises UnknownSubject."""
        begun = self._clerk.clock.monotonic()
        slot = first_slot(self._estate, device)
        if slot is None:
            return f"not asked: no interface of {device} stands in the site file"
        try:
            self._network.device(device).observe(slot)
        except DeviceError as error:
            return f"not reachable: {error}"
        return f"reachable: {device} answered about {slot} in {self._clerk.clock.monotonic() - begun:.2f} s"

    def _reached(self, device: str) -> tuple[str, str]:
        return self.reach(device), ""

    def _simulate(self, request: Request) -> None:
        host = self._estate.hosts.get(request.about)
        about = str(host.addresses[0]) if host is not None and host.addresses else request.about
        try:
            draft = self._decider.imagine(about)
        except CordonError as error:
            self._answer(request, f"not located, so nothing would be done: {error}")
            return
        self._in_lane(request, devices_of(draft), lambda: (self._told(draft), ""))

    def _told(self, draft: Decision) -> str:
        """The fence with its lines, and every reason for and against it, as text."""
        lines = [f"{'for' if one.allows else 'against'}: {one.rule}: {one.text}" for one in draft.reasons]
        try:
            surveys = self._surveyor.slots(replace(draft, simulated=True))
        except DeviceError as error:
            return "\n".join([*lines, f"not planned: {error}"])
        finally:
            self._surveyor.scribe.write(draft.id)
        for survey in surveys:
            lines += [f"{survey.slot}:", *(f"  {line}" for line in survey.change.apply or ("already so",))]
        return "\n".join(lines)

    def _of_segment(self, request: Request) -> None:
        segments, about = self._segments, request.about
        try:
            firewall = segments.firewall(about)
        except CordonError as error:
            self._answer(request, f"not done: {error}")
            return
        if request.kind is RequestKind.SEGMENT_CHECK:
            self._check(request, firewall)
        elif request.kind is RequestKind.SEGMENT_APPLY:
            self._in_lane(request, [firewall], lambda: segments.apply(request))
        elif request.kind is RequestKind.SEGMENT_ISOLATE:
            self._in_lane(request, [firewall], lambda: segments.isolate(request))
        else:
            self._in_lane(request, [firewall], lambda: (segments.plan(about), ""))

    def _check(self, request: Request, firewall: str) -> None:
        """Let every device show what it sees, each in its own lane; whoever is last compares."""
        if request.id in self._looks:
            return
        look = self._looks[request.id] = _Look(set(self._estate.devices))
        for name in self._estate.devices:
            self._lanes.submit(
                f"request {request.id} {name}", [name], partial(self._see, request, look, name), urgency=-2.0
            )

    def _see(self, request: Request, look: "_Look", name: str) -> None:
        try:
            seen = self._network.device(name).look()
        except Unsupported:
            last = look.done(name)
        except CordonError as error:
            last = look.done(name, silent=str(error))
        else:
            last = look.done(name, sight=seen)
        if last:
            try:
                answer = self._segments.compare(request.about, look.sights, look.silent)
            except CordonError as error:
                answer = f"not done: {error}"
            self._looks.pop(request.id, None)
            self._answer(request, answer)

    def _in_lane(
        self, request: Request, devices: list[str] | tuple[str, ...], work: Callable[[], tuple[str, str]]
    ) -> None:
        def job() -> None:
            try:
                answer, decision_id = work()
            except CordonError as error:
                answer, decision_id = f"not done: {error}", ""
            self._answer(request, answer, decision_id)

        self._lanes.submit(f"request {request.id}", devices, job, urgency=-2.0)

    def _answer(self, request: Request, answer: str, decision_id: str = "") -> None:
        now_ns = self._clerk.clock.now_ns()
        self._clerk.ledger.answer(request.id, answer, at_ns=now_ns, decision_id=decision_id)


@dataclass(slots=True)
class _Look:
    """What the devices have shown so far of the network around a segment. For several threads."""

    waiting: set[str]
    sights: list[Sight] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def done(self, device: str, *, sight: Sight | None = None, silent: str = "") -> bool:
        """Take one device's word; True when it was the last."""
        with self.lock:
            self.waiting.discard(device)
            self.sights += [sight] if sight is not None else []
            self.silent += [silent] if silent else []
            return not self.waiting


def first_slot(estate: Estate, device: str) -> Slot | None:
    """A slot that proves that a device lets us in and can be read; None where the estate has none."""
    known: Device | None = estate.devices.get(device)
    if known is not None and any(segment.firewall == device for segment in estate.segments.values()):
        return Slot(device, SlotKind.FIREWALL, FIREWALL_SLOT)
    for port, interface in estate.interfaces.items():
        if port.device == device and interface.role.value == "edge":
            return Slot(device, SlotKind.PORT, interface.name)
    return None
