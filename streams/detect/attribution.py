"""A device suffers: who behind it exceeds its own normal, by what the device is likely to suffer from."""

import numpy as np

from controller.domain.rulebook import Detectors
from controller.domain.verdict import Fact
from streams.reading import Floats, Reading, per_second, ramp, times
from streams.rows import Col

_CLASS_SHARE = 0.01
"""A healthy host sends at most about a hundredth of its packets as fragments or broken."""


def excess(now: Reading) -> Floats:
    """How many times its own normal a subject sends: in packets, or in packets that cost a firewall most."""
    by_packets = np.where(now.mature & (now.normal_packets > 0), now.packets / np.maximum(now.normal_packets, 0.1), 0.0)
    costly = now.low[:, Col.FRAGMENTS] + now.low[:, Col.MALFORMED] + now.low[:, Col.ODD]
    usual = np.maximum(_CLASS_SHARE * now.normal_packets, 1.0)
    return np.maximum(by_packets, costly / usual)


def strength(now: Reading, rules: Detectors) -> Floats:
    """Strength for every subject, as if all stood behind the device."""
    rule = rules.attribution
    quiet = 1.0 - 0.5 * now.conversation
    return np.minimum(ramp(excess(now), rule.ratio), ramp(now.packets, rule.floor_packets_per_s)) * quiet


def say(now: Reading, at: int, symptom: str, device: str, rank: int, among: int) -> tuple[str, dict[str, Fact]]:
    """The sentence and its figures."""
    over = float(excess(now)[at])
    costly = float(now.low[at, Col.FRAGMENTS] + now.low[at, Col.MALFORMED] + now.low[at, Col.ODD])
    text = (
        f"{device} says “{symptom}”; of {among} hosts behind it that were looked at this one ranks {rank} "
        f"by excess over its own normal: {times(over)} times"
    )
    if costly > 0:
        text += f", {per_second(costly, 'packets')} of them fragments or broken"
    return text, {"symptom": symptom, "device": device, "rank": rank, "among": among, "excess": round(over, 1)}
