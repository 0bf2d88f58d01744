"""Fragments, of which a healthy host sends few: they cost firewalls and reassembling hosts far more than their bits."""

from controller.domain.rulebook import Detectors
from controller.domain.verdict import Fact
from streams.detect import packet_class
from streams.reading import Floats, Reading
from streams.rows import Col


def strength(now: Reading, rules: Detectors) -> Floats:
    """How much such packets stand out, 0..1."""
    return packet_class.strength(now, Col.FRAGMENTS, rules.fragments)


def say(now: Reading, at: int, rules: Detectors) -> tuple[str, dict[str, Fact]]:
    """The sentence and its figures."""
    return packet_class.say(now, at, Col.FRAGMENTS, "IP fragments")
