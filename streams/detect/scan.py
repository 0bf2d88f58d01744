"""Fan-out: many peers or ports touched a second with little to say to each."""

import numpy as np

from controller.domain.rulebook import Detectors
from controller.domain.verdict import Fact
from streams.reading import Floats, Reading, ramp
from streams.rows import Col

_PROBING = 0.5


def strength(now: Reading, rules: Detectors) -> Floats:
    """Peers or ports a second, where most packets only knock and there are few for each peer."""
    rule = rules.scan
    wide = np.maximum(ramp(now.peers, rule.peers_per_s), ramp(now.ports, rule.ports_per_s))
    touched = np.maximum(np.maximum(now.peers, now.ports), 1.0)
    brief = now.rate[:, Col.SAMPLES] / touched <= rule.packets_per_flow
    return np.where(brief & (now.share(Col.PROBES) >= _PROBING) & ~now.attachment, wide, 0.0)


def say(now: Reading, at: int, rules: Detectors) -> tuple[str, dict[str, Fact]]:
    """The sentence and its figures."""
    peers, ports, share = float(now.peers[at]), float(now.ports[at]), float(now.share(Col.PROBES)[at])
    text = f"touches {peers:,.0f} peers and {ports:,.0f} ports a second; {share:.0%} of its packets only knock"
    return text, {"peers_per_s": round(peers), "ports_per_s": round(ports), "probe_share": round(share, 3)}
