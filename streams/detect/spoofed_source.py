"""Traffic with sources that are not bound where it enters, charged to the port of entry."""

import numpy as np

from controller.domain.rulebook import Detectors
from controller.domain.verdict import Fact
from streams.reading import Floats, Reading, per_second, ramp
from streams.rows import Col

FEW = 0.1
"""Share of the packet figure from which the number of sources alone is enough."""


def strength(now: Reading, rules: Detectors) -> Floats:
    """Packets a second; or, from a tenth of that on, distinct sources a second."""
    rule = rules.spoofed_source
    packets = now.packets
    many = np.minimum(ramp(now.ports, rule.sources_per_s), ramp(packets, FEW * rule.packets_per_s))
    return np.where(now.spoofed, np.maximum(ramp(packets, rule.packets_per_s), many), 0.0)


def say(now: Reading, at: int, rules: Detectors) -> tuple[str, dict[str, Fact]]:
    """The sentence and its figures."""
    packets, sources = float(now.rate[at, Col.PACKETS]), float(now.ports[at])
    text = f"lets in {per_second(packets, 'packets')} whose sources are not bound to this port"
    if sources >= 2:
        text += f", from about {sources:,.0f} addresses a second"
    return text, {
        "packets_per_s": round(packets),
        "sources_per_s": round(sources),
        "not_ip_share": round(float(now.share(Col.ODD)[at]), 3),
    }
