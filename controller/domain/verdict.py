"""What the streams say of a subject: evidence, and the score that follows from it.

Score = 100·(1 − Π(1 − wᵢ·sᵢ)) over the evidence in force (noisy-or: independent witnesses add up and never pass 100).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TypeAlias

from controller.domain.address import SubjectKey, subject_text

Fact: TypeAlias = str | int | float | bool | tuple[str, ...]


class Level(IntEnum):
    """How far a score has climbed; the thresholds stand in the policy."""

    CLEAR = 0
    WATCH = 1
    CONTAIN = 2
    ISOLATE = 3


class Witness(StrEnum):
    """Kinds of witnesses. Corroboration counts kinds, and independent sources within a kind."""

    FLOW = "flow"
    FIREWALL = "firewall"
    IDS = "ids"
    ACCESS_LOG = "access_log"
    HOST_LOG = "host_log"
    DEVICE = "device"
    COUNTER = "counter"


class Finding(StrEnum):
    """What the streams take the subject to be. Only an offender can lead to a fence."""

    OFFENDER = "offender"
    VICTIM = "victim"
    LOOP = "loop"
    GATEWAY = "gateway"
    EXPECTED = "expected"  # expected bulk traffic, e.g. a backup window
    NO_NETWORK_CAUSE = "no_network_cause"


class TrafficClass(StrEnum):
    """The class of a host's traffic that evidence speaks of; what the narrowest sufficient filter would drop."""

    ALL = "all"
    FRAGMENTS = "fragments"
    ODD_PROTOCOL = "odd_protocol"
    MALFORMED = "malformed"
    MAIL = "mail"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One detector's finding about one subject. `text` is a sentence with figures that a person can check."""

    detector: str
    witness: Witness
    source: str  # exporter address or log sender, as the transport knows it
    strength: float  # 0..1
    weight: float  # 0..1
    half_life_s: float
    at_ns: int  # event time
    text: str
    facts: Mapping[str, Fact] = field(default_factory=dict)
    traffic: TrafficClass = TrafficClass.ALL
    compromise: bool = False  # evidence of a break-in, not only of volume: such a decision waits for a person to end

    def force_at(self, now_ns: int) -> float:
        """Weighted strength left at `now_ns`, halving each half-life; 0..1."""
        age = max(0, now_ns - self.at_ns) / 1e9
        return self.weight * self.strength * math.exp2(-age / self.half_life_s)


def score_of(forces: list[float]) -> float:
    """Combine weighted strengths (0..1 each) to a score of 0..100."""
    rest = 1.0
    for force in forces:
        rest *= 1.0 - min(max(force, 0.0), 1.0)
    return 100.0 * (1.0 - rest)


@dataclass(frozen=True, slots=True)
class Rates:
    """What the subject sends and receives now, per second, sampling already multiplied out.

    `bits` to `odd_protocol` are what gets through; what was sampled at the port and then dropped by a rule is apart.
    """

    bits: float = 0.0
    packets: float = 0.0
    flows: float = 0.0
    fragments: float = 0.0
    malformed: float = 0.0
    odd_protocol: float = 0.0
    bits_in: float = 0.0
    packets_in: float = 0.0
    baseline_bits: float = 0.0
    baseline_packets: float = 0.0
    baseline_age_s: float = 0.0
    discarded_bits: float = 0.0
    discarded_packets: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The streams' word on one subject at the end of one tick. The id is a function of subject and tick."""

    subject: SubjectKey
    tick_end_ns: int  # event time of the end of the tick that was scored
    score: float
    level: Level
    finding: Finding
    evidence: tuple[Evidence, ...]
    rates: Rates
    exporter: str = ""  # the edge exporter that saw the subject's traffic enter, when one did
    interface: int = 0  # its ifIndex; 0 unknown
    mac: str = ""
    first_bad_ns: int = 0  # receipt of the first record that is part of the present evidence
    peers: tuple[str, ...] = ()  # the loudest outside peers, most bytes first
    explains: tuple[str, ...] = ()  # device symptoms that attribution ties to this subject
    scorer: str = ""  # digest of detectors and their settings
    worker: str = ""

    @property
    def id(self) -> str:
        """Equal for a replayed verdict: subject and tick."""
        return f"{subject_text(self.subject)}@{self.tick_end_ns}"
