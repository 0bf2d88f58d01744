"""Which clock marks are due: the pure part of the process that writes them for topics that others fill. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from controller.domain.estate import Source


def latenesses(sources: Iterable[Source], *, usual_ms: int) -> dict[str, int]:
    """How long each topic's ticks wait for records that are on their way, ns."""
    return {source.topic: (source.lateness_ms or usual_ms) * 1_000_000 for source in sources}


@dataclass(slots=True)
class Marking:
    """Remembers what has been marked. A tick's end is due when the wall clock, less a topic's lateness, reached it."""

    tick_ns: int
    late_ns: Mapping[str, int]  # by topic
    marked_ns: dict[str, int] = field(default_factory=dict)

    def due(self, now_ns: int) -> Iterator[tuple[str, int]]:
        """Topics and the mark that each gets now."""
        for topic, late_ns in self.late_ns.items():
            mark = (now_ns - late_ns) // self.tick_ns * self.tick_ns
            if mark > self.marked_ns.get(topic, 0):
                self.marked_ns[topic] = mark
                yield topic, mark

    def wait_ns(self, now_ns: int) -> int:
        """How long until the next mark is due; a tick where nothing is to be marked."""
        waits = [self.marked_ns.get(topic, 0) + self.tick_ns + late - now_ns for topic, late in self.late_ns.items()]
        return max(0, min(waits, default=self.tick_ns))

    @property
    def earliest_ns(self) -> int:
        """The topic that is told least: up to there time has come everywhere."""
        return min(self.marked_ns.values(), default=0)
