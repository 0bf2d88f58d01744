"""Whether each device still lets Cordon in: tried when the controller starts and daily, and kept with its time."""

from functools import partial

from controller.answering import first_slot
from controller.clerk import Clerk
from controller.domain.errors import CordonError
from controller.domain.estate import Estate
from controller.domain.record import Proof
from controller.domain.rulebook import Logins as Rules
from controller.lanes import Lanes
from controller.ports import Network


class Logins:
    """Logs in to devices and keeps what became of it. What it does to a device waits in that device's lane."""

    def __init__(
        self, *, clerk: Clerk, live: Network, fresh: Network, lanes: Lanes, estate: Estate, rules: Rules
    ) -> None:
        """`live` are the sessions that fences go over, kept open; those of `fresh` are opened for each proof."""
        self._clerk, self._live, self._fresh = clerk, live, fresh
        self._lanes, self._estate, self._rules = lanes, estate, rules

    def warm(self) -> None:
        """Open the session to every device before it is needed; the login is a proof like any other."""
        for name in self._estate.devices:
            self._lanes.submit(f"warm {name}", [name], partial(self._prove, name, self._live), urgency=-3.0)

    def attend(self) -> None:
        """Try the devices whose proof is due: daily, and sooner where the last attempt failed."""
        proofs, now_ns = self._clerk.ledger.proofs(), self._clerk.clock.now_ns()
        for name in self._estate.devices:
            proof = proofs.get(name)
            if proof is not None and now_ns >= proof.at_ns + int(self._wait_s(proof) * 1e9):
                self._lanes.submit(f"login {name}", [name], partial(self._again, name), urgency=-3.0)

    def _wait_s(self, proof: Proof) -> float:
        return self._rules.every_s if proof.reached else self._rules.retry_s

    def _again(self, name: str) -> None:
        device = self._fresh.device(name)
        device.close()
        try:
            self._prove(name, self._fresh)
        finally:
            device.close()

    def _prove(self, name: str, network: Network) -> None:
        clock, ledger = self._clerk.clock, self._clerk.ledger
        slot = first_slot(self._estate, name)
        if slot is None:
            text = "nothing of it stands in the site file that could be asked"
            ledger.prove(name, reached=False, text=text, at_ns=clock.now_ns())
            return
        begun = clock.monotonic()
        try:
            network.device(name).observe(slot)
        except CordonError as error:
            before = ledger.proofs().get(name)
            ledger.prove(name, reached=False, text=str(error), at_ns=clock.now_ns())
            if before is None or before.reached:
                tell = self._clerk.note if before is None else self._clerk.page
                tell(f"cannot log in, so no fence can be held there: {error}", about=name)
            return
        text = f"logged in and answered about {slot.name} in {clock.monotonic() - begun:.2f} s"
        ledger.prove(name, reached=True, text=text, at_ns=clock.now_ns())
