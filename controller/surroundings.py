"""What limits look at besides the decision itself, gathered from the ledger, the sensors and the kill switch."""

from collections.abc import Callable, Iterable, Mapping

from controller.clerk import EventTime
from controller.domain.address import Address, subject_text
from controller.domain.estate import Estate
from controller.domain.record import Decision
from controller.domain.rulebook import Rulebook
from controller.domain.verdict import Verdict, Witness
from controller.limits import Situation
from controller.ports import Ledger

ACCUSED_FOR_NS = 60_000_000_000
"""How long a subject at isolate counts against the sensor that accuses it."""


class Surroundings:
    """What limits need to know besides the decision: the ledger's live decisions, silent sensors, the kill switch."""

    def __init__(
        self,
        *,
        estate: Estate,
        rules: Rulebook,
        ledger: Ledger,
        time: EventTime,
        lifelines: frozenset[Address] = frozenset(),
        kill_file: Callable[[], bool] = lambda: False,
    ) -> None:
        self.estate, self.rules, self._ledger, self._time = estate, rules, ledger, time
        self._lifelines, self._kill_file = lifelines, kill_file
        self._silent: frozenset[str] = frozenset()
        self._accused: dict[tuple[str, str], int] = {}
        self._recent: tuple[int, tuple[Decision, ...]] = (-1, ())  # kept while nothing was moved

    def heard_silent(self, exporters: Iterable[str]) -> None:
        """These exporters were heard before and are not now."""
        self._silent = frozenset(exporters)

    def accuse(self, verdict: Verdict) -> None:
        """Remember which sensors accuse a subject that is at isolate."""
        oldest = verdict.tick_end_ns - ACCUSED_FOR_NS
        self._accused = {key: at for key, at in self._accused.items() if at > oldest}
        for one in verdict.evidence:
            if one.witness is Witness.FLOW:
                self._accused[one.source, subject_text(verdict.subject)] = verdict.tick_end_ns

    def killed(self) -> bool:
        """True while the kill switch is on, in the ledger or as a file."""
        return self._kill_file() or self._ledger.killed()

    def now(self) -> Situation:
        """The situation as the ledger has it now."""
        now_ns = self._time.now_ns()
        live, head = self._ledger.live(), self._ledger.head()
        if head != self._recent[0]:
            self._recent = head, self._ledger.recent(since_ns=now_ns - _memory_ns(self.rules))
        return Situation(
            estate=self.estate,
            rules=self.rules,
            now_ns=now_ns,
            live=live,
            recent=self._recent[1],
            silent=self._silent,
            accused=self._counts(),
            killed=self.killed(),
            lifelines=self._lifelines,
        )

    def _counts(self) -> Mapping[str, int]:
        counts: dict[str, int] = {}
        for source, _ in tuple(self._accused):
            counts[source] = counts.get(source, 0) + 1
        return counts


def _memory_ns(rules: Rulebook) -> int:
    longest = max(rules.fences.probation_s, rules.limits.blast.window_s, rules.limits.retry_after_s)
    return int(longest * 1e9)
