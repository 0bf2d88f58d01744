"""A story as files: the records and log lines that collectors would have written, for `cordon replay`.

Nothing stands in the traffic's way. The past is as long as the story needs it, not a whole day.
"""

from dataclasses import dataclass
from pathlib import Path

from deploy.lab.collectors import SECOND_NS, Collectors, warm_up
from deploy.lab.journeys import Journey
from deploy.lab.live import Cables, Live
from deploy.lab.provider import FLOW_TOPIC, Provider
from deploy.lab.traffic import MINUTE_NS, Normal

TICK_NS = SECOND_NS // 4


@dataclass(frozen=True, slots=True)
class Film:
    """Two files: goflow2 records, and rsyslog lines."""

    flows: Path
    logs: Path


class _Reels:
    """A sink that appends to files; a file has one partition, and its own stamps for marks."""

    partitions = 1

    def __init__(self, film: Film) -> None:
        self._files = {True: film.flows.open("wb"), False: film.logs.open("wb")}

    def frame(self, topic: str, partition: int, value: bytes, *, at_ns: int) -> None:
        """Append the lines."""
        self._files[topic == FLOW_TOPIC].write(value)

    def mark(self, at_ns: int) -> None:
        """Files have no marks: a replay takes time from the records."""

    def close(self) -> None:
        """The film is made."""
        for file in self._files.values():
            file.close()


def film(
    source: Provider, story: Journey, folder: Path, *, hours: float, seconds: float, quiet_s: float, begin_ns: int
) -> Film:
    """Write `hours` of a usual day, `seconds` of the story, which begins at `begin_ns`, and what comes after it."""
    made = Film(folder / "flows.jsonl", folder / "log.jsonl")
    reels = _Reels(made)
    out = Collectors(reels)
    normal = Normal(source, seed=source.seed)
    start_ns = begin_ns - int(hours * 60) * MINUTE_NS
    for _ in warm_up(source, normal, (story,), out, start_ns=start_ns, end_ns=begin_ns):
        pass
    live = Live(source, normal, Cables(), seed=source.seed)
    live.start(story, at_ns=begin_ns)
    over_ns = begin_ns + int(seconds * SECOND_NS)
    for at_ns in range(begin_ns + TICK_NS, over_ns + int(quiet_s * SECOND_NS) + 1, TICK_NS):
        if at_ns > over_ns:
            live.stop(story.number)
        out.heard(live.tick(at_ns=at_ns, seconds=TICK_NS / SECOND_NS), at_ns=at_ns)
    reels.close()
    return made
