"""The state of one activity partition: activity in, verdicts out. Same inputs in the same order, same verdicts."""

from collections.abc import Iterable, Mapping, Sequence

from controller.domain.estate import Estate
from controller.domain.rulebook import Rulebook
from controller.domain.verdict import Verdict
from controller.domain.wire import DecisionNote


class Scorer:
    """Scores the subjects of one activity partition.

    `inputs` names every flow and log partition ("topic/partition"): a tick closes when the marks of all have passed it.
    """

    def __init__(
        self, estate: Estate, rules: Rulebook, *, partition: int, partitions: int, inputs: Sequence[str]
    ) -> None:
        self._estate, self._rules = estate, rules
        self._partition, self._partitions = partition, partitions
        self._inputs = tuple(inputs)

    def apply(self, body: bytes, *, origin: str = "") -> None:
        """Take in one body of `Combined.bodies`; b"" does nothing. Raises BadInput for what no Combiner wrote.

        `origin` is the flow or log partition that the frame came from ("topic/partition"): lateness is judged by that
        partition's own mark, so that it does not depend on how partitions interleave.
        """
        raise NotImplementedError

    def mark(self, source_partition: str, at_ns: int) -> list[Verdict]:
        """Hear that nothing earlier than `at_ns` will follow on an input; returns the verdicts of ticks that closed."""
        raise NotImplementedError

    def watch(self, note: DecisionNote) -> None:
        """Report the rates of this subject once a second of event time, until its decision has ended."""
        raise NotImplementedError

    def changed(self) -> list[tuple[int, bytes]]:
        """(bucket, state) of every bucket that changed since the last call; self-describing and compressed."""
        raise NotImplementedError

    def meta(self) -> bytes:
        """What belongs to no bucket: marks, open ticks, symptoms, exporters. May pass 900 kB: split it if it does."""
        raise NotImplementedError

    def restore(self, buckets: Iterable[tuple[int, bytes]], meta: bytes) -> None:
        """Become the scorer that gave these; the last state of a bucket counts. Raises BadInput."""
        raise NotImplementedError

    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """Per source topic: records `scored`, and of these `late`."""
        raise NotImplementedError

    def silent(self) -> tuple[str, ...]:
        """Exporters that were heard before and are not now."""
        raise NotImplementedError

    @property
    def event_ns(self) -> int:
        """End of the last closed tick, ns; 0 before the first."""
        raise NotImplementedError
