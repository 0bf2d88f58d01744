"""A class of packets that a healthy host hardly sends; fragments, malformed and odd_protocol are told by it."""

import numpy as np

from controller.domain.rulebook import PacketClass
from controller.domain.verdict import Fact
from streams.reading import Floats, Reading, per_second, ramp
from streams.rows import Col


def strength(now: Reading, column: Col, rule: PacketClass) -> Floats:
    """Packets of the class a second, and their share of all that the subject sends: both have to stand out."""
    return np.minimum(ramp(now.low[:, column], rule.packets_per_s), ramp(now.share(column), rule.share))


def say(now: Reading, at: int, column: Col, name: str) -> tuple[str, dict[str, Fact]]:
    """The sentence and its figures."""
    rate, share = float(now.rate[at, column]), float(now.share(column)[at])
    text = (
        f"sends {per_second(rate, name)}, {share:.0%} of its {per_second(float(now.rate[at, Col.PACKETS]), 'packets')}"
    )
    return text, {"packets_per_s": round(rate), "share": round(share, 3)}
