"""All detectors over one reading: who is accused of what, and what excuses it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

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
from streams.reading import Floats, Reading, ratio
from streams.rows import Col

Ints = NDArray[np.int64]

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
class Hits:
    """One detector on some subjects. `told` makes a sentence when somebody wants it: of whom, by place."""

    detector: str
    traffic: TrafficClass
    told: Callable[[int], tuple[str, dict[str, Fact]]]
    at: list[int]  # places in the reading
    strengths: list[float]
    excuses: list[str]
    note: bool = False

    def pick(self, chosen: list[int]) -> "Hits":
        """Some of them."""
        return replace(
            self,
            at=[self.at[one] for one in chosen],
            strengths=[self.strengths[one] for one in chosen],
            excuses=[self.excuses[one] for one in chosen],
        )


class Detecting:
    """Runs all detectors by the rules."""

    def __init__(self, rules: Rulebook) -> None:
        self._rules = rules

    def hits(self, now: Reading) -> list[Hits]:
        """Everything that is said of the subjects of a reading."""
        return [one for one in self._hits(now) if one.at]

    def _hits(self, now: Reading) -> Iterator[Hits]:
        rules = self._rules.detectors
        expected = ratio(now.rate[:, Col.EXPECTED_BYTES], now.rate[:, Col.BYTES])
        wanted = (1.0 - self._rules.scoring.expected_weight) * expected
        answered = now.answered
        off = 1.0 - (1.0 - wanted) * (1.0 - answered)
        net = now.without(off)
        looped = np.minimum(now.share(Col.LOOPED), now.share(Col.GROUP)) >= _LOOPED_FROM
        for detector in DETECTORS:
            seen = net if detector.volume else now
            strength = detector.strength(seen, rules)
            at = np.flatnonzero(strength >= LEAST)
            excuses = [Finding.LOOP.value if one else "" for one in looped[at].tolist()]
            yield self._found(detector, seen, at, strength[at], excuses)
            if detector.volume:
                yield from self._excused(detector, now, strength, wanted, answered)
        yield self._victims(now)
        yield self._unjudged(net)

    def _excused(
        self, detector: Detector, now: Reading, net: Floats, wanted: Floats, answered: Floats
    ) -> Iterator[Hits]:
        """What would have been said, had the subject not answered or been expected to send so much."""
        maybe = np.flatnonzero((np.maximum(wanted, answered) >= _EXCUSED_FROM) & (net < LEAST))
        if not len(maybe):
            return
        strength = detector.strength(now.pick(maybe), self._rules.detectors)
        loud = np.flatnonzero(strength >= LEAST)
        at = maybe[loud]
        expected = (wanted[at] >= answered[at]).tolist()
        excuses = [Finding.EXPECTED.value if one else Finding.VICTIM.value for one in expected]
        yield self._found(detector, now, at, strength[loud], excuses)

    def _found(self, detector: Detector, seen: Reading, at: Ints, strengths: Floats, excuses: list[str]) -> Hits:
        rules = self._rules.detectors
        return Hits(
            detector.name,
            detector.traffic,
            lambda one: detector.say(seen, one, rules),
            at.tolist(),
            strengths.tolist(),
            excuses,
        )

    def _victims(self, now: Reading) -> Hits:
        rules = self._rules.detectors
        strength = victim.strength(now, rules)
        at = np.flatnonzero(strength >= LEAST)
        return Hits(
            "victim",
            TrafficClass.ALL,
            lambda one: victim.say(now, one, rules),
            at.tolist(),
            strength[at].tolist(),
            [Finding.VICTIM.value] * len(at),
        )

    def _unjudged(self, net: Reading) -> Hits:
        rules, minimum = self._rules.detectors, self._rules.scoring.baseline_min_age_s
        at = np.flatnonzero(flood_ratio.unjudged(net, rules)).tolist()
        return Hits(
            "flood_ratio",
            TrafficClass.ALL,
            lambda one: flood_ratio.say_young(net, one, rules, minimum),
            at,
            [0.0] * len(at),
            [""] * len(at),
            note=True,
        )
