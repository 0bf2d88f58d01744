"""Outbound flood by absolute rate."""

import numpy as np

from controller.domain.rulebook import Detectors
from controller.domain.verdict import Fact
from streams.reading import Floats, Reading, bit_rate, per_second, ramp
from streams.rows import Col

TALKED_DOWN = 0.5
"""What is left of a flood's strength where the other side acknowledges all of it: bulk transfer, worth a look."""


def strength(now: Reading, rules: Detectors) -> Floats:
    """Bits or packets a second against the policy's figures, whichever is worse."""
    rule = rules.flood
    loud = np.maximum(ramp(now.bits, rule.bits_per_s), ramp(now.packets, rule.packets_per_s))
    return loud * (1.0 - (1.0 - TALKED_DOWN) * now.conversation)


def say(now: Reading, at: int, rules: Detectors) -> tuple[str, dict[str, Fact]]:
    """The sentence and its figures."""
    bits, packets = 8 * float(now.rate[at, Col.BYTES]), float(now.rate[at, Col.PACKETS])
    text = (
        f"sends {bit_rate(bits)} and {per_second(packets, 'packets')}; "
        f"the limit is {bit_rate(rules.flood.bits_per_s)} or {per_second(rules.flood.packets_per_s, 'packets')}"
    )
    return text, {"bits_per_s": round(bits), "packets_per_s": round(packets)}
