"""Devices that say they suffer, and who behind them is to be looked at while they do."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from controller.domain.estate import Estate
from controller.domain.rulebook import Rulebook
from controller.domain.verdict import Fact
from streams.detect import attribution
from streams.detecting import LEAST
from streams.reading import Reading
from streams.rows import Symptom
from streams.subjects import Subjects

_KINDS = 8


@dataclass(slots=True)
class Complaint:
    """What one device has complained of lately."""

    device: str
    last_ns: int
    kinds: dict[str, str]  # kind of symptom → the sentence said last
    explained: bool = False


@dataclass(frozen=True, slots=True)
class Blame:
    """A subject that exceeds its normal behind a suffering device."""

    at: int
    device: str
    symptom: str
    rank: int
    among: int
    strength: float

    def told(self, now: Reading) -> tuple[str, dict[str, Fact]]:
        """The sentence and its figures."""
        return attribution.say(now, self.at, self.symptom, self.device, self.rank, self.among)


class Suffering:
    """Complaints by device."""

    def __init__(self, estate: Estate, rules: Rulebook) -> None:
        self._estate, self._rules = estate, rules
        self._complaints: dict[str, Complaint] = {}
        self._behind: dict[str, frozenset[str]] = {}

    @property
    def busy(self) -> bool:
        """True while a device suffers."""
        return bool(self._complaints)

    def hear(self, symptoms: list[Symptom]) -> None:
        """Take in the symptoms of a tick."""
        for symptom in symptoms:
            if symptom.device not in self._estate.devices:
                continue
            complaint = self._complaints.setdefault(symptom.device, Complaint(symptom.device, 0, {}))
            complaint.last_ns = max(complaint.last_ns, symptom.at_ns)
            if symptom.kind in complaint.kinds or len(complaint.kinds) < _KINDS:
                complaint.kinds[symptom.kind] = symptom.text

    def blamed(self, now: Reading, subjects: Subjects) -> list[Blame]:
        """Subjects behind suffering devices that stand out, the worst first for each device."""
        blames: list[Blame] = []
        if not self._complaints:
            return blames
        strength = attribution.strength(now, self._rules.detectors)
        excess = attribution.excess(now)
        for device in sorted(self._complaints):
            behind = self._hosts_behind(device)
            names = [subjects.host[slot] for slot in now.slots.tolist()]
            mine = np.array([host is not None and host.name in behind for host in names], np.bool_)
            order = np.flatnonzero(mine)[np.argsort(-excess[mine], kind="stable")]
            symptom = "; ".join(text for _, text in sorted(self._complaints[device].kinds.items()))
            for rank, at in enumerate(order.tolist(), 1):
                if strength[at] >= LEAST:
                    blames.append(Blame(at, device, symptom, rank, len(order), float(strength[at])))
                    self._complaints[device].explained = True
        return blames

    def ended(self, now_ns: int) -> list[Symptom]:
        """Forget complaints whose window has passed; returns those for which no host was found."""
        window_ns = int(self._rules.detectors.attribution.window_s * 1e9)
        over = [one for one in self._complaints.values() if now_ns - one.last_ns > window_ns]
        for one in over:
            del self._complaints[one.device]
        return [
            Symptom(one.device, kind, text, one.last_ns)
            for one in over
            if not one.explained
            for kind, text in sorted(one.kinds.items())[:1]
        ]

    def _hosts_behind(self, device: str) -> frozenset[str]:
        found = self._behind.get(device)
        if found is None:
            found = self._behind[device] = frozenset(host.name for host in self._estate.behind(device))
        return found

    def saved(self) -> list[tuple[Any, ...]]:
        """All complaints."""
        return [
            (one.device, one.last_ns, dict(sorted(one.kinds.items())), one.explained)
            for one in sorted(self._complaints.values(), key=lambda one: one.device)
        ]

    def restore(self, saved: list[tuple[Any, ...]]) -> None:
        """Become what was saved."""
        self._complaints = {row[0]: Complaint(*row) for row in saved}
