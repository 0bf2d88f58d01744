"""Over minutes: replies that nobody asked for (a reflector), and knocks that nobody answers (a scan, a SYN flood)."""

import numpy as np

from controller.domain.rulebook import Detectors
from controller.domain.verdict import Fact
from streams.reading import Floats, Reading, ramp
from streams.rows import Col

_PER_REQUEST = 8.0
"""Replies that one packet in may bring out: Linux sends a SYN-ACK six times, and a long DNS answer has a few parts."""
_PER_ANSWER = 2.0
"""Knocks that one packet in excuses: a second try is nothing special."""


def strength(now: Reading, rules: Detectors) -> Floats:
    """Packets of late that have no other side, where they are most of what the subject sent."""
    rule = rules.one_sided
    talk = now.lately(Col.TALK_IN)
    alone = np.maximum(
        ramp(now.lately_low(Col.REPLIES) - _PER_REQUEST * talk, rule.replies),
        ramp(now.lately_low(Col.PROBES) - _PER_ANSWER * talk, rule.knocks),
    )
    sides = now.lately(Col.REPLIES) + now.lately(Col.PROBES)
    most = sides >= rule.share * now.lately(Col.PACKETS)
    return np.where(most & now.sends & ~now.attachment, alone, 0.0)


def say(now: Reading, at: int, rules: Detectors) -> tuple[str, dict[str, Fact]]:
    """The sentence and its figures."""
    replies, knocks = float(now.lately(Col.REPLIES)[at]), float(now.lately(Col.PROBES)[at])
    sent, talk = float(now.lately(Col.PACKETS)[at]), float(now.lately(Col.TALK_IN)[at])
    text = (
        f"of {sent:,.0f} packets it sent of late {replies:,.0f} are replies and {knocks:,.0f} only knock, "
        f"while {talk:,.0f} packets asked or answered it"
    )
    return text, {
        "packets": round(sent, 1),
        "replies": round(replies, 1),
        "knocks": round(knocks, 1),
        "packets_in": round(talk, 1),
    }
