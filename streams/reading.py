"""What is known of the active subjects at the end of a tick, as columns: the one thing that detectors look at."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from streams.habits import HABITS
from streams.rows import Col

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

CONFIDENCE = 1.96


@dataclass(frozen=True, slots=True)
class Reading:
    """n subjects. Rates are per second, sampling multiplied out; `low` is the lower 95 % confidence bound of `rate`.

    The bound is Phaal and Panchen's for packet sampling ("Packet Sampling Basics", sflow.org): n samples of one in N
    estimate n·N packets with a relative error of at most 1.96·sqrt(1/n). Unsampled counts have no error.
    """

    slots: NDArray[np.int64]
    rate: Floats  # n × NCOL
    low: Floats  # n × NCOL
    peers: Floats  # distinct peers a second
    ports: Floats  # distinct ports a second; for attachments distinct sources
    normal_bits: Floats  # what the subject usually sends, 0 unknown
    normal_packets: Floats
    normal_mail: Floats
    spread: Floats  # standard deviation of the logarithm of its usual bits
    age_s: Floats  # event time over which the baseline was learned
    mature: Bools  # the baseline is old enough to be held against the subject
    attachment: Bools
    spoofed: Bools
    mail_server: Bools
    habit: Floats  # n × HABITS: what it did over minutes, fading

    def __len__(self) -> int:
        return len(self.slots)

    @property
    def bits(self) -> Floats:
        """Bits a second, lower bound."""
        return self.low[:, Col.BYTES] * 8

    @property
    def packets(self) -> Floats:
        """Packets a second, lower bound."""
        return self.low[:, Col.PACKETS]

    @property
    def sends(self) -> Bools:
        """Whether anything was sent just now: what was done before is no news."""
        return self.rate[:, Col.PACKETS] > 0

    def share(self, column: Col) -> Floats:
        """A class of packets as a share of all that the subject sends, 0..1."""
        return ratio(self.rate[:, column], self.rate[:, Col.PACKETS])

    @property
    def answered(self) -> Floats:
        """Share of what the subject sends that answers what it was sent: a victim's part, 0..1."""
        answers = np.minimum(self.rate[:, Col.ANSWERS], self.rate[:, Col.PACKETS_IN])
        return ratio(answers, self.rate[:, Col.PACKETS])

    @property
    def conversation(self) -> Floats:
        """How far the other side talks back, 0..1: whole at one packet back for four sent.

        A receiver of TCP acknowledges at least every second full segment (RFC 5681, 4.2); offloading stretches that. A
        flood hears nothing but refusals, which do not count here.
        """
        back = np.maximum(self.rate[:, Col.PACKETS_IN] - self.rate[:, Col.ANSWERS_IN], 0.0)
        return ratio(4.0 * back, self.rate[:, Col.PACKETS])

    def lately(self, column: Col) -> Floats:
        """A column of HABITS: so many over the last minutes."""
        return self.habit[:, HABITS.index(column)]

    def lately_low(self, column: Col) -> Floats:
        """The same, lower bound. Of a class of packets fewer were sampled, so that its error is larger."""
        amount, packets = self.lately(column), np.maximum(self.lately(Col.PACKETS), 1e-9)
        error = CONFIDENCE * np.sqrt(self.lately(Col.VARIANCE) / np.clip(amount / packets, 1e-6, 1.0)) / packets
        return amount * np.maximum(1.0 - error, 0.0)

    def pick(self, chosen: NDArray[np.int64]) -> "Reading":
        """These subjects only."""
        return Reading(*(getattr(self, name)[chosen] for name in Reading.__slots__))

    def without(self, share: Floats) -> "Reading":
        """The same with a share of each subject's bits and packets taken out."""
        low = self.low.copy()
        low[:, Col.BYTES] *= 1.0 - share
        low[:, Col.PACKETS] *= 1.0 - share
        return replace(self, low=low)


def ramp(value: Floats, full: float | Floats) -> Floats:
    """Strength of a figure: 0 up to half of `full`, 1 from `full` on."""
    return np.minimum(np.maximum(2.0 * value / full - 1.0, 0.0), 1.0)


def ratio(part: Floats, whole: Floats) -> Floats:
    """A part of a whole, 0..1; 0 of nothing."""
    found: Floats = np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)
    return np.minimum(np.maximum(found, 0.0), 1.0)


def number(value: float) -> str:
    """A figure as people say it: 92.4 million, 1,950, 0.3."""
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if value >= unit:
            scale = 1e3 if unit == 1e4 else unit
            return f"{value / scale:,.1f}{name}"
    return f"{value:,.0f}" if value >= 10 else f"{value:,.1f}"


def bit_rate(value: float) -> str:
    """Bits a second in words."""
    text = number(value)
    return f"{text}bit/s" if text[-1].isalpha() else f"{text} bit/s"


def per_second(value: float, what: str) -> str:
    """Some things a second in words."""
    return f"{value:,.0f} {what}/s"


def times(ratio: float) -> str:
    """A ratio in words."""
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:,.1f}"


def span(seconds: float) -> str:
    """A length of time in words."""
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"
