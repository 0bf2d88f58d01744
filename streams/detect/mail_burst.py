"""Outbound mail sessions. A mail server is measured by its own normal alone: a newsletter is its trade."""

import numpy as np

from controller.domain.rulebook import Detectors
from controller.domain.verdict import Fact
from streams.reading import Floats, Reading, ramp, times
from streams.rows import Col

_MAIL_SERVER = 0.5
_UNKNOWN = 2.0


def strength(now: Reading, rules: Detectors) -> Floats:
    """Sessions a second against the policy's figure and the subject's own normal.

    Without a grown baseline it takes twice the figure. A mail server's burst never has more than half the strength.
    """
    rule = rules.mail_burst
    mail = now.low[:, Col.MAIL]
    ratio = np.divide(mail, now.normal_mail, out=np.full_like(mail, np.inf), where=now.normal_mail > 0)
    unusual = np.minimum(ramp(np.minimum(ratio, 1e9), rule.ratio), 1.0)
    usual_host = np.where(
        now.mature,
        np.minimum(ramp(mail, rule.flows_per_s), unusual),
        ramp(mail, _UNKNOWN * rule.flows_per_s),
    )
    server = np.where(now.mature & (mail >= rule.flows_per_s), unusual * _MAIL_SERVER, 0.0)
    return np.where(now.mail_server, server, usual_host)


def say(now: Reading, at: int, rules: Detectors) -> tuple[str, dict[str, Fact]]:
    """The sentence and its figures."""
    mail, normal = float(now.rate[at, Col.MAIL]), float(now.normal_mail[at])
    usual = f", {times(mail / normal)} times its own normal" if normal > 0 and now.mature[at] else ""
    return f"begins {mail:,.1f} mail sessions/s{usual}", {
        "sessions_per_s": round(mail, 2),
        "normal_sessions_per_s": round(normal, 4),
    }
