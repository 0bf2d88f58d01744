"""From evidence to verdicts: what is on record is weighed, and said when there is something to say."""

from operator import attrgetter
from typing import NamedTuple

import numpy as np

from controller.domain.address import AttachmentKey, HostKey
from controller.domain.verdict import Evidence, Finding, Level, Rates, Verdict, Witness
from streams import keys
from streams.looking import Look
from streams.reading import Floats
from streams.recording import TOP_PEERS
from streams.register import Register
from streams.rows import Col, Symptom, Vantage
from streams.sensors import Sensors
from streams.standing import Judge, Judgement, Standing
from streams.subjects import Subjects
from streams.windows import Ints, Views

SECOND_NS = 1_000_000_000
NOTABLE = 5.0
"""A score that moves so far is said at once."""

_FIGURES = 10
_DROPPED = 8
"""Where figures of what was dropped begin, which stand last."""


class Due(NamedTuple):
    """A subject of which something is to be said."""

    slot: int
    standing: Standing
    judgement: Judgement
    finding: Finding


class Speaker:
    """Says how the register's subjects stand; `digest` names the rules by which."""

    def __init__(
        self, judge: Judge, register: Register, subjects: Subjects, sensors: Sensors, views: Views, *, digest: str
    ) -> None:
        self._judge, self._register, self._digest = judge, register, digest
        self._subjects, self._sensors, self._views = subjects, sensors, views
        self._watched: dict[bytes, set[str]] = {}

    @property
    def watching(self) -> bool:
        """True while a decision wants rates reported."""
        return bool(self._watched)

    @property
    def busy(self) -> bool:
        """True while the next full second may have something to say."""
        return self.watching or self._register.lasting or self._register.news

    def slots(self) -> Ints:
        """Subjects that something is said about, or that a decision watches."""
        spoken = self._register.slots()
        return np.union1d(spoken, self._subjects.known(self._watched)) if self._watched else spoken

    def watch(self, key: bytes, decision: str, *, ended: bool) -> None:
        """Begin or end to report a subject's rates for a decision."""
        decisions = self._watched.setdefault(key, set())
        if ended:
            decisions.discard(decision)
        else:
            decisions.add(decision)
            self._register.touch(self._subjects.slot(key))
        if not decisions:
            del self._watched[key]

    def watched(self) -> list[tuple[bytes, list[str]]]:
        """Whom decisions watch."""
        return [(key, sorted(decisions)) for key, decisions in sorted(self._watched.items())]

    def restore(self, watched: list[tuple[bytes, list[str]]]) -> None:
        """Become what was saved; standings are put back by themselves."""
        self._watched = {key: set(decisions) for key, decisions in watched}

    def verdicts(self, seen: Look | None, *, end_ns: int, second: bool) -> list[Verdict]:
        """What is to be said at the end of a tick, the worst first; of equal scores by key.

        Who nothing was added to in the tick only fades, and is judged at full seconds.
        """
        watched = set(self._watched_slots() if second else self._subjects.known(self._watched).tolist())
        due = self._register.moved()
        if second:
            due.update(slot for slot, one in self._register.standings.items() if not self._judge.rests(one, end_ns))
            due |= watched & self._register.standings.keys()
        found = [one for slot in due if (one := self._due(slot, slot in watched, second=second, end_ns=end_ns))]
        return sorted(self._said(found, seen, end_ns), key=attrgetter("score"), reverse=True) if found else []

    def _watched_slots(self) -> list[int]:
        """Subjects that decisions watch; there is something to say of each, if nothing is held against it."""
        slots = self._subjects.slots(keys.key_array(self._watched)).tolist() if self._watched else []
        self._register.moving([slot for slot in slots if slot not in self._register.standings])
        return slots

    def _due(self, slot: int, watched: bool, *, second: bool, end_ns: int) -> Due | None:
        """How a subject stands, if that is to be said; who nothing is held against any more is let go of."""
        standing = self._register.standings[slot]
        judgement = self._judge.judge(standing, end_ns)
        finding = Finding.GATEWAY if self._subjects.is_gateway(slot) else judgement.finding
        due = self._is_due(standing, judgement, finding, watched=watched, second=second, end_ns=end_ns)
        if due:
            standing.said_ns, standing.said_score = end_ns, judgement.score
            standing.said_level, standing.said_finding = int(judgement.level), finding.value
            standing.news = False
            self._register.touch(slot)
        if not standing.entries and not watched and standing.said_level < Level.WATCH:
            self._register.drop(slot)
        return Due(slot, standing, judgement, finding) if due else None

    def _is_due(
        self, standing: Standing, now: Judgement, finding: Finding, *, watched: bool, second: bool, end_ns: int
    ) -> bool:
        level, before = now.level, standing.said_level
        if level != before and (level >= Level.WATCH or before >= Level.WATCH):
            return True
        aged = end_ns - standing.said_ns >= SECOND_NS
        if level >= Level.WATCH:
            moved = abs(now.score - standing.said_score) >= NOTABLE or finding != standing.said_finding
            return moved or (aged and standing.news)
        return second and aged and (watched or (standing.news and any(entry.note for entry in standing.entries)))

    def _said(self, due: list[Due], seen: Look | None, end_ns: int) -> list[Verdict]:
        """Verdicts by key: their order does not depend on where state stands."""
        slots = np.array([one.slot for one in due], np.int64)
        order = np.argsort(self._subjects.keys(slots), kind="stable")
        slots, ordered = slots[order], [due[place] for place in order.tolist()]
        at = _places(slots, seen)
        if seen is not None:
            self._place(ordered, np.where(at >= 0, seen.loudest[at], -1))
        rates = self._rates(slots, seen, at)
        return [self._verdict(one, rate, end_ns) for one, rate in zip(ordered, rates, strict=True)]

    def _verdict(self, due: Due, rates: Rates, end_ns: int) -> Verdict:
        slot, standing, judgement, finding = due
        subject = self._subjects.subject(slot)
        exporter, interface, mac = standing.exporter, standing.interface, standing.mac
        if isinstance(subject, AttachmentKey):
            exporter, interface = str(subject.exporter), subject.interface
            mac = subject.mac
        entries = judgement.entries
        claimed = [str(entry.facts["peer"]) for entry in entries if entry.facts.get("peer")]
        return Verdict(
            subject=subject,
            tick_end_ns=end_ns,
            score=judgement.score,
            level=judgement.level,
            finding=finding,
            evidence=tuple([self._judge.evidence(entry) for entry in entries]),
            rates=rates,
            exporter=exporter,
            interface=interface,
            mac=mac,
            first_bad_ns=standing.first_bad_ns or standing.first_line_ns,
            peers=tuple(dict.fromkeys([*standing.peers, *claimed]))[: TOP_PEERS + 1],
            explains=tuple(
                [
                    f"{entry.facts['device']}: {entry.facts['symptom']}"
                    for entry in entries
                    if entry.detector == "attribution"
                ]
            ),
            scorer=self._digest,
        )

    def _place(self, due: list[Due], seen: Ints) -> None:
        """Remember where each subject's traffic was seen to enter, by which view, if it was seen at its own edge."""
        views = self._views
        edge = np.flatnonzero((seen >= 0) & (views.vantage[seen] == Vantage.EDGE))
        view = seen[edge]
        columns = (edge, views.exporter[view], views.interface[view], views.mac[view])
        for place, exporter, interface, mac in zip(*(one.tolist() for one in columns), strict=True):
            standing = due[place].standing
            standing.exporter, standing.interface = self._sensors.name(exporter), interface
            standing.mac = keys.mac_text(mac)

    def _rates(self, slots: Ints, seen: Look | None, at: Ints) -> list[Rates]:
        baselines = self._subjects.baselines
        known = zip(baselines.normal(slots).tolist(), baselines.age_s(slots).tolist(), strict=True)
        normals: list[tuple[float, ...]] = [(round(one[0], 1), round(one[1], 2), round(age, 1)) for one, age in known]
        figures = _figures(seen.reading.rate[at]) if seen is not None else np.zeros((len(slots), _FIGURES))
        figures[at < 0] = 0.0
        return [
            Rates(*map(_rounded, sent), *normal, *map(_rounded, dropped))
            for sent, normal, dropped in zip(
                figures[:, :_DROPPED].tolist(), normals, figures[:, _DROPPED:].tolist(), strict=True
            )
        ]

    def unexplained(self, symptoms: list[Symptom], *, end_ns: int) -> list[Verdict]:
        """Say of devices that suffered that no host behind them was found to be the cause."""
        return [self._no_cause(symptom, end_ns) for symptom in symptoms]

    def _no_cause(self, symptom: Symptom, end_ns: int) -> Verdict:
        rule = self._judge.rule("attribution")
        text = f"{symptom.device} said “{symptom.text}”; no host scored here exceeded its normal behind it meanwhile"
        evidence = Evidence(
            detector="attribution",
            witness=Witness.DEVICE,
            source=symptom.device,
            strength=0.0,
            weight=rule.weight,
            half_life_s=rule.half_life_s,
            at_ns=symptom.at_ns,
            text=text,
            facts={"device": symptom.device, "symptom": symptom.text},
        )
        return Verdict(
            subject=HostKey(self._subjects.device_address(symptom.device)),
            tick_end_ns=end_ns,
            score=0.0,
            level=Level.CLEAR,
            finding=Finding.NO_NETWORK_CAUSE,
            evidence=(evidence,),
            rates=Rates(),
            explains=(f"{symptom.device}: {symptom.text}",),
            scorer=self._digest,
        )


def _places(slots: Ints, seen: Look | None) -> Ints:
    """Where these subjects stand in the reading; -1 for those that do not."""
    if seen is None:
        return np.full(len(slots), -1, np.int64)
    known = seen.reading.slots
    place = np.minimum(np.searchsorted(known, slots), len(known) - 1)
    return np.where(known[place] == slots, place, -1)


def _figures(rate: Floats) -> Floats:
    """What is said of rates, in the order of `Rates`: what gets through, and what was dropped at the port."""
    bits_dropped, packets_dropped = rate[:, Col.DISCARDED_BYTES] * 8, rate[:, Col.DISCARDED_PACKETS]
    sent = (
        (rate[:, Col.BYTES] - rate[:, Col.DISCARDED_BYTES]) * 8,
        rate[:, Col.PACKETS] - packets_dropped,
        rate[:, Col.FLOWS],
        rate[:, Col.FRAGMENTS],
        rate[:, Col.MALFORMED],
        rate[:, Col.ODD],
        rate[:, Col.BYTES_IN] * 8,
        rate[:, Col.PACKETS_IN],
    )
    figures: Floats = np.maximum(np.stack((*sent, bits_dropped, packets_dropped), axis=1), 0.0)
    return figures


def _rounded(figure: float) -> float:
    """To a tenth; most figures are whole, and to see that takes less."""
    return figure if figure.is_integer() else round(figure, 1)
