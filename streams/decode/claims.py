"""What a log line claims: that a source did something, or that a device suffers. Scoring makes evidence of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from controller.domain.address import Address
from controller.domain.verdict import Fact, TrafficClass, Witness
from streams.decode import Reject


class ClaimKind(StrEnum):
    """What is claimed; the first three are named like the detectors that weigh them."""

    FIREWALL_REPORT = "firewall_report"
    IDS_ALERT = "ids_alert"
    WEB_EXPLOIT = "web_exploit"
    SYMPTOM = "symptom"  # a device suffers; nobody is accused


@dataclass(frozen=True, slots=True)
class Claim:
    """What a line claims, or several of one sender alike.

    `sender` is the transport's address where the collector kept it, else the name in the line. `accused` is who did it
    as the line says; of a web exploit it is the server that was asked, and the one who asked is the `peer`. None for a
    symptom. Who may accuse whom is not decided here.
    """

    kind: ClaimKind
    witness: Witness
    sender: str
    at_ns: int
    phrase: str  # name of the phrase that was recognised: vendor/what
    text: str  # the sentence for people
    accused: Address | None = None
    peer: Address | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)
    traffic: TrafficClass = TrafficClass.ALL
    compromise: bool = False
    count: float = 1.0
    first_ns: int = 0  # receipt of the first of several lines, `at_ns` being that of the last; 0: the same


@dataclass(frozen=True, slots=True)
class Logs:
    """What a frame of log lines came to. received = len(heard) + reject counts + skipped.

    `heard` lines were read, whether or not they claim anything; `cut` of them were broken JSON that could be salvaged.
    """

    received: int
    skipped: int
    rejects: tuple[Reject, ...]
    claims: tuple[Claim, ...]
    heard: NDArray[np.int64]  # receipt of each, ns
    senders: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # sender → lines, latest receipt in ns
    cut: int = 0
