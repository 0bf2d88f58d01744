"""Outbound flood against the subject's own normal: 90 Mbit/s is nothing for a mirror and a disaster for a blog."""

import numpy as np

from controller.domain.rulebook import Detectors
from controller.domain.verdict import Fact
from streams.detect.flood import TALKED_DOWN
from streams.reading import Bools, Floats, Reading, bit_rate, number, ramp, span, times
from streams.rows import Col

_DEVIATIONS = 3.0
_WIDEST = 5.0


def strength(now: Reading, rules: Detectors) -> Floats:
    """The ratio of bits or packets to normal, above the floors, where the baseline is old enough."""
    rule = rules.flood_ratio
    # A subject that varies by itself has to stand out from its own variation too.
    needed = rule.ratio * np.clip(np.exp(_DEVIATIONS * now.spread) / rule.ratio, 1.0, _WIDEST)
    by_bits = np.minimum(ramp(_ratio(now.bits, now.normal_bits), needed), ramp(now.bits, rule.floor_bits_per_s))
    by_packets = np.minimum(
        ramp(_ratio(now.packets, now.normal_packets), needed), ramp(now.packets, rule.floor_packets_per_s)
    )
    loud = np.maximum(by_bits, by_packets)
    return np.where(now.mature, loud * (1.0 - (1.0 - TALKED_DOWN) * now.conversation), 0.0)


def unjudged(now: Reading, rules: Detectors) -> Bools:
    """Subjects loud enough to be judged, whose baseline is too young for it."""
    rule = rules.flood_ratio
    loud = (now.bits >= rule.floor_bits_per_s) | (now.packets >= rule.floor_packets_per_s)
    return loud & ~now.mature & ~now.attachment


def say(now: Reading, at: int, rules: Detectors) -> tuple[str, dict[str, Fact]]:
    """The sentence and its figures, by bits or by packets, whichever stands out more."""
    bits, packets = 8 * float(now.rate[at, Col.BYTES]), float(now.rate[at, Col.PACKETS])
    one = slice(at, at + 1)
    by_bits = float(_ratio(8 * now.rate[one, Col.BYTES], now.normal_bits[one])[0])
    by_packets = float(_ratio(now.rate[one, Col.PACKETS], now.normal_packets[one])[0])
    learned = f"learned over {span(float(now.age_s[at]))}"
    facts: dict[str, Fact] = {
        "bits_per_s": round(bits),
        "packets_per_s": round(packets),
        "normal_bits_per_s": round(float(now.normal_bits[at])),
        "normal_packets_per_s": round(float(now.normal_packets[at]), 2),
        "ratio": round(max(by_bits, by_packets), 1),
        "baseline_age_s": round(float(now.age_s[at])),
    }
    if by_bits >= by_packets and bits >= rules.flood_ratio.floor_bits_per_s / 2:
        normal = bit_rate(float(now.normal_bits[at]))
        return f"sends {bit_rate(bits)}, {times(by_bits)} times its own normal of {normal} {learned}", facts
    normal = f"{number(float(now.normal_packets[at]))} packets/s"
    return f"sends {packets:,.0f} packets/s, {times(by_packets)} times its own normal of {normal} {learned}", facts


def say_young(now: Reading, at: int, rules: Detectors, minimum_s: float) -> tuple[str, dict[str, Fact]]:
    """Why a loud subject is not judged."""
    bits, age = 8 * float(now.rate[at, Col.BYTES]), float(now.age_s[at])
    text = f"sends {bit_rate(bits)}; baseline too young to judge by: {span(age)} of {span(minimum_s)}"
    return text, {"bits_per_s": round(bits), "baseline_age_s": round(age), "baseline_needed_s": round(minimum_s)}


def _ratio(value: Floats, normal: Floats) -> Floats:
    return np.divide(value, normal, out=np.zeros_like(value), where=normal > 0)
