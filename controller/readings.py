"""The port's own word: two readings of its counters, the first taken as early as suspicion rises."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping

from controller.comparing import counted
from controller.domain.address import Port, subject_text
from controller.domain.errors import DeviceError
from controller.domain.fence import Counters
from controller.domain.record import Attachment, Decision, Reason
from controller.domain.rulebook import Corroboration
from controller.domain.verdict import Rates, Verdict, Witness
from controller.ports import Clock, Network

RULE = "port-counters"
_REMEMBERED = 10_000
_KEPT_GAPS = 10
"""A first reading older than so many gaps averages over what was before, and is taken anew."""


class Said:
    """The rates that verdicts last told of each subject: what begins within a tick looks small in its first verdict."""

    def __init__(self) -> None:
        self._rates: OrderedDict[str, Rates] = OrderedDict()
        self._lock = threading.Lock()

    def hear(self, verdicts: Iterable[Verdict]) -> None:
        """Take in verdicts, in their order; the longest unheard subjects are forgotten."""
        with self._lock:
            for one in verdicts:
                subject = subject_text(one.subject)
                self._rates[subject] = one.rates
                self._rates.move_to_end(subject)
            while len(self._rates) > _REMEMBERED:
                self._rates.popitem(last=False)

    def rates(self, decision: Decision) -> Rates:
        """The newest rates of a decision's subject."""
        with self._lock:
            return self._rates.get(decision.subject, decision.rates)


class Readings:
    """Asks ports for their counters and keeps the first reading of each until the second makes the pair."""

    def __init__(self, network: Network, clock: Clock, rules: Corroboration, said: Said) -> None:
        self._network, self._clock, self._rules, self.said = network, clock, rules, said
        self._first: dict[Port, Counters] = {}
        self._heard: dict[Port, Counters] = {}  # the newest that were asked for together with something else
        self._lock = threading.Lock()

    def take_first(self, who: Attachment) -> None:
        """Read the counters of the subject's ports and keep them; a device that cannot answer is asked again later."""
        for port in entries_of(who):
            try:
                reading = self._network.device(port.device).counters(port.interface)
            except DeviceError:
                continue
            with self._lock:
                self._first[port] = reading

    def kept(self, who: Attachment) -> Mapping[Port, Counters]:
        """First readings that are still young enough to make a pair."""
        oldest = self._clock.monotonic() - _KEPT_GAPS * self._rules.counter_gap_s
        with self._lock:
            return {port: one for port in entries_of(who) if (one := self._first.get(port)) and one.at_s >= oldest}

    def begin(self, decision: Decision) -> frozenset[Port]:
        """Make sure that there is a young first reading where one will be needed; which ports wait for a second."""
        if not self.needed(decision):
            return frozenset()
        if len(self.kept(decision.attachment)) < len(entries_of(decision.attachment)):
            self.take_first(decision.attachment)
        return frozenset(self.kept(decision.attachment))

    def hear(self, port: Port, reading: Counters) -> None:
        """Keep a reading that was taken together with a look at the port."""
        with self._lock:
            self._heard[port] = reading

    def needed(self, decision: Decision) -> bool:
        """True when the evidence is of volume and the policy wants the port to confirm it."""
        return self._rules.counters and any(one.witness is Witness.FLOW for one in decision.evidence)

    def confirm(self, decision: Decision) -> Reason:
        """Take second readings until the port agrees with the newest verdict, or the policy's patience is over.

        A port that cannot be asked confirms nothing. Counters of several ports of one host are added. A port on which
        several MACs were learned is shared, whatever the site says.
        """
        if not self.needed(decision):
            return Reason(RULE, True, "the evidence is not of volume: the port's counters were not asked")
        who = decision.attachment
        ports = entries_of(who)
        first = self.kept(who)
        if not ports or len(first) < len(ports):
            return Reason(RULE, False, "the port's counters could not be read")
        heard = self._heard_of(first)
        shared = (who.shared and who.guest is None) or any((one.macs or 0) > 1 for one in heard.values())
        begun, last = self._clock.monotonic(), first
        second = heard if self._apart(first, heard) else {}
        while True:
            try:
                second = second or self._second(last)
            except DeviceError as error:
                return Reason(RULE, False, f"the port's counters could not be read: {error}")
            answer = counted(_sum(first), _sum(second), self.said.rates(decision), self._rules, shared=shared)
            if answer.agrees or self._clock.monotonic() - begun >= self._rules.counter_wait_s:
                return Reason(RULE, answer.agrees, answer.text)
            last, second = second, {}

    def _heard_of(self, first: Mapping[Port, Counters]) -> Mapping[Port, Counters]:
        """Readings of these ports that came with a look since the first; each is given once."""
        with self._lock:
            heard = {port: self._heard.pop(port) for port in first if port in self._heard}
        return {port: one for port, one in heard.items() if one.at_s > first[port].at_s}

    def _apart(self, first: Mapping[Port, Counters], heard: Mapping[Port, Counters]) -> bool:
        """True when all were heard again, and long enough after."""
        gap_s = self._rules.counter_gap_s
        return len(heard) == len(first) and all(heard[port].at_s - one.at_s >= gap_s for port, one in first.items())

    def _second(self, last: Mapping[Port, Counters]) -> Mapping[Port, Counters]:
        """Ask the same ports again, once they have had time to count. Raises DeviceError."""
        wait = max(one.at_s for one in last.values()) + self._rules.counter_gap_s - self._clock.monotonic()
        if wait > 0:
            self._clock.pause(wait)
        return {port: self._network.device(port.device).counters(port.interface) for port in last}


def entries_of(who: Attachment) -> tuple[Port, ...]:
    """Where the subject's frames enter: its guest interface where Cordon can reach it, else its ports."""
    return (who.guest,) if who.guest is not None else who.ports


def _sum(readings: Mapping[Port, Counters]) -> Counters:
    some = tuple(readings.values())
    return Counters(
        interface=" + ".join(one.interface for one in some),
        at_s=sum(one.at_s for one in some) / len(some),
        octets_in=sum(one.octets_in for one in some),
        packets_in=sum(one.packets_in for one in some),
    )
