"""A subject under attack: much comes in that nobody there asked for. It accuses nobody; it explains."""

import numpy as np

from controller.domain.rulebook import Detectors
from controller.domain.verdict import Fact
from streams.reading import Floats, Reading, bit_rate, per_second, ramp
from streams.rows import Col

_TALKS = 0.2


def strength(now: Reading, rules: Detectors) -> Floats:
    """Bits or packets that come in, above the floors of flood_ratio, where the subject itself hardly says anything."""
    rule = rules.flood_ratio
    packets_in = now.low[:, Col.PACKETS_IN]
    loud = np.maximum(
        ramp(now.low[:, Col.BYTES_IN] * 8, rule.floor_bits_per_s), ramp(packets_in, rule.floor_packets_per_s)
    )
    own = np.maximum(now.rate[:, Col.PACKETS] - now.rate[:, Col.ANSWERS], 0.0)
    return np.where((own <= _TALKS * now.rate[:, Col.PACKETS_IN]) & ~now.attachment, loud, 0.0)


def say(now: Reading, at: int, rules: Detectors) -> tuple[str, dict[str, Fact]]:
    """The sentence and its figures."""
    bits, packets = float(now.rate[at, Col.BYTES_IN]) * 8, float(now.rate[at, Col.PACKETS_IN])
    answers = float(now.rate[at, Col.ANSWERS])
    text = f"receives {bit_rate(bits)} and {per_second(packets, 'packets')} and only answers"
    return text, {"bits_in_per_s": round(bits), "packets_in_per_s": round(packets), "answers_per_s": round(answers)}
