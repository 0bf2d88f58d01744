"""All detectors over one reading: who is accused of what, and what excuses it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from controller.domain.rulebook import Detectors, Rulebook
from controller.domain.verdict import Fact, Finding, TrafficClass
from streams.detect import (
    flood,
    flood_ratio,
    fragments,
    login_burst,
    mail_burst,
    malformed,
    odd_protocol,
    one_sided,
    scan,
    spoofed_source,
    victim,
)
from streams.reading import Floats, Reading
from streams.rows import Col

LEAST = 0.05
"""Strength below which nothing is said."""

_EXCUSED_FROM = 0.3
_LOOPED_FROM = 0.5


@dataclass(frozen=True, slots=True)
class Detector:
    """One detector of flow evidence."""

    name: str
    strength: Callable[[Reading, Detectors], Floats]
    say: Callable[[Reading, int, Detectors], tuple[str, dict[str, Fact]]]
    traffic: TrafficClass = TrafficClass.ALL
    volume: bool = False  # what is answered or expected is taken off first


DETECTORS = (
    Detector("flood", flood.strength, flood.say, volume=True),
    Detector("flood_ratio", flood_ratio.strength, flood_ratio.say, volume=True),
    Detector("fragments", fragments.strength, fragments.say, TrafficClass.FRAGMENTS),
    Detector("malformed", malformed.strength, malformed.say, TrafficClass.MALFORMED),
    Detector("odd_protocol", odd_protocol.strength, odd_protocol.say, TrafficClass.ODD_PROTOCOL),
    Detector("scan", scan.strength, scan.say),
    Detector("one_sided", one_sided.strength, one_sided.say),
    Detector("login_burst", login_burst.strength, login_burst.say),
    Detector("mail_burst", mail_burst.strength, mail_burst.say, TrafficClass.MAIL),
    Detector("spoofed_source", spoofed_source.strength, spoofed_source.say),
)


@dataclass(frozen=True, slots=True)
class Hit:
    """One detector on one subject. `told` makes the sentence when somebody wants it."""

    at: int  # place in the reading
    detector: str
    strength: float
    traffic: TrafficClass
    told: Callable[[], tuple[str, dict[str, Fact]]]
    excuse: str = ""
    note: bool = False


class Detecting:
    """Runs all detectors by the rules."""

    def __init__(self, rules: Rulebook) -> None:
        self._rules = rules

    def hits(self, now: Reading) -> Iterator[Hit]:
        """Everything that is said of the subjects of a reading."""
        rules = self._rules.detectors
        wanted = (1.0 - self._rules.scoring.expected_weight) * _share(
            now.rate[:, Col.EXPECTED_BYTES], now.rate[:, Col.BYTES]
        )
        answered = now.answered
        off = 1.0 - (1.0 - wanted) * (1.0 - answered)
        net = now.without(off)
        looped = np.minimum(now.share(Col.LOOPED), now.share(Col.GROUP)) >= _LOOPED_FROM
        for detector in DETECTORS:
            seen = net if detector.volume else now
            strength = detector.strength(seen, rules)
            for at in np.flatnonzero(strength >= LEAST).tolist():
                excuse = Finding.LOOP.value if looped[at] else ""
                yield self._hit(detector, seen, at, float(strength[at]), excuse)
            if detector.volume:
                yield from self._excused(detector, now, strength, wanted, answered)
        yield from self._victims(now)
        yield from self._unjudged(net)

    def _excused(
        self, detector: Detector, now: Reading, net: Floats, wanted: Floats, answered: Floats
    ) -> Iterator[Hit]:
        """What would have been said, had the subject not answered or been expected to send so much."""
        maybe = np.flatnonzero((np.maximum(wanted, answered) >= _EXCUSED_FROM) & (net < LEAST))
        if not len(maybe):
            return
        seen = now.pick(maybe)
        strength = detector.strength(seen, self._rules.detectors)
        for place in np.flatnonzero(strength >= LEAST).tolist():
            at = int(maybe[place])
            excuse = Finding.EXPECTED if wanted[at] >= answered[at] else Finding.VICTIM
            yield self._hit(detector, now, at, float(strength[place]), excuse.value)

    def _hit(self, detector: Detector, seen: Reading, at: int, strength: float, excuse: str) -> Hit:
        rules = self._rules.detectors
        return Hit(at, detector.name, strength, detector.traffic, lambda: detector.say(seen, at, rules), excuse)

    def _victims(self, now: Reading) -> Iterator[Hit]:
        rules = self._rules.detectors
        strength = victim.strength(now, rules)
        for at in np.flatnonzero(strength >= LEAST).tolist():
            yield Hit(
                at,
                "victim",
                float(strength[at]),
                TrafficClass.ALL,
                _later(victim.say, now, at, rules),
                Finding.VICTIM.value,
            )

    def _unjudged(self, net: Reading) -> Iterator[Hit]:
        rules, minimum = self._rules.detectors, self._rules.scoring.baseline_min_age_s
        for at in np.flatnonzero(flood_ratio.unjudged(net, rules)).tolist():
            yield Hit(
                at,
                "flood_ratio",
                0.0,
                TrafficClass.ALL,
                _later(lambda seen, place, by: flood_ratio.say_young(seen, place, by, minimum), net, at, rules),
                note=True,
            )


def _later(
    say: Callable[[Reading, int, Detectors], tuple[str, dict[str, Fact]]], now: Reading, at: int, rules: Detectors
) -> Callable[[], tuple[str, dict[str, Fact]]]:
    return lambda: say(now, at, rules)


def _share(part: Floats, whole: Floats) -> Floats:
    return np.clip(np.divide(part, whole, out=np.zeros_like(part), where=whole > 0), 0.0, 1.0)
