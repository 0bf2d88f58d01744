"""Over minutes: sessions begun where people log in, more than people begin."""

import numpy as np

from controller.domain.rulebook import Detectors
from controller.domain.verdict import Fact
from streams.reading import Floats, Reading, ramp
from streams.rows import Col


def strength(now: Reading, rules: Detectors) -> Floats:
    """Sessions of late against the policy's figure."""
    return np.where(now.sends, ramp(now.lately_low(Col.LOGINS), rules.login_burst.sessions), 0.0)


def say(now: Reading, at: int, rules: Detectors) -> tuple[str, dict[str, Fact]]:
    """The sentence and its figures."""
    sessions = float(now.lately(Col.LOGINS)[at])
    text = f"began {sessions:,.1f} sessions of late at ports where people log in (FTP, SSH, telnet, RDP, VNC)"
    return text, {"sessions": round(sessions, 1)}
