"""From what log lines claim to what counts: who may accuse whom, and which device a symptom belongs to."""

from dataclasses import dataclass, field

from controller.domain.estate import Estate, Source
from streams.decode import Reject
from streams.rows import Claim, Symptom


@dataclass(slots=True)
class Said:
    """One frame of log lines. received = sum of heard + reject counts + skipped."""

    received: int = 0
    skipped: int = 0
    rejects: tuple[Reject, ...] = ()
    heard: list[tuple[int, int]] = field(default_factory=list)  # (receipt ns, lines)
    claims: list[Claim] = field(default_factory=list)
    symptoms: list[Symptom] = field(default_factory=list)
    senders: dict[str, tuple[int, int]] = field(default_factory=dict)  # sender → lines, latest receipt


class Accuser:
    """Judges claims by the estate."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate

    def frame(self, value: bytes, *, source: Source, kafka_ns: int) -> Said:
        """Read one Kafka message of log lines."""
        raise NotImplementedError
