"""`python -m streams`: where the streams' processes are put together.

Only here, and in the adapters, are clocks, environment and standard streams read. A process writes one JSON object a
line to standard error; standard output stays empty but for what `send` reports.
"""

import asyncio
import gc
import io
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path

from controller.domain import wire
from controller.domain.errors import BrokerUnavailable, ConfigError
from streams.broker import CLUSTER, Access, Tempo, access
from streams.files import Lines, close, frames, opened
from streams.granting import grant, held
from streams.grants import Grant, beyond, grants
from streams.marking import Marking, latenesses
from streams.publish import Publisher, create_topics
from streams.settings import Settings, load

log = logging.getLogger("cordon.streams")

PARTITIONS = 4


@dataclass(frozen=True, slots=True)
class Where:
    """The options that every process here takes."""

    site: Path
    policy: Path
    broker: str = ""
    broker_file: Path | None = None
    tempo: Tempo = CLUSTER
    partitions: int = PARTITIONS

    def access(self) -> Access:
        """How to reach the broker."""
        if not self.broker and self.broker_file is None:
            raise ConfigError(file="--broker", key="bootstrap", expected="--broker HOST:PORT or --broker-file FILE")
        return access(self.broker, file=self.broker_file, environment=os.environ, tempo=self.tempo)

    def settings(self) -> Settings:
        """Site and policy, read and checked."""
        return load(self.site, self.policy)

    def topics(self, settings: Settings, way: Access, *, needs: Iterable[str]) -> Mapping[str, int]:
        """Create what is missing; partitions by topic as they are.

        Raises BrokerUnavailable where a topic in `needs` is not there and may not be created.
        """
        names = tuple(source.topic for source in settings.estate.site.sources)
        if not names:
            raise ConfigError(file=str(self.site), key="sources", expected="at least one [[sources]] table")
        found = create_topics(way, wire.topics(names, partitions=self.partitions))
        for difference in found.differs:
            log.warning("%s", difference)
        if missing := sorted(set(needs) - found.partitions.keys()):
            raise BrokerUnavailable(
                f"{', '.join(missing)}: not there, and not ours to create; `cordon streams access --grant` does both"
            )
        if found.partitions.get(wire.STATE) != found.partitions.get(wire.ACTIVITY):
            raise ConfigError(file="broker", key=wire.STATE, expected=f"as many partitions as {wire.ACTIVITY}")
        return found.partitions


def run_worker(where: Where, *, directory: Path, group: str, name: str = "") -> None:
    """Combine and score until SIGTERM, then save and leave; exits 1 after a failure, for the supervisor to restart."""
    import faust
    import uvloop

    from streams.activity import Combiner
    from streams.agents import Combine
    from streams.app import Plan, make_app
    from streams.compiling import load_scoring
    from streams.listen.outlet import keep_freed_memory
    from streams.score import Scorer
    from streams.shift import Crew, inputs_of
    from streams.state import LessonLog, Positions, Producer

    settings, way = where.settings(), where.access()
    used = (source.topic for source in settings.estate.site.sources)
    topics = where.topics(
        settings, way, needs=(wire.ACTIVITY, wire.STATE, wire.LESSONS, wire.VERDICTS, wire.HEALTH, *used)
    )
    estate, rules, partitions = settings.estate, settings.rules, topics[wire.ACTIVITY]
    sources = estate.site.sources
    load_scoring()
    inputs = inputs_of({source.topic: topics[source.topic] for source in sources})
    producer = Producer(way)
    crew = Crew(
        access=way,
        producer=producer,
        positions=Positions(way, f"{group}-positions"),
        lessons=LessonLog(way, producer, Positions(way, f"{group}-lessons")),
        combine=Combine(Combiner(estate, rules, partitions=partitions), sources, partitions=partitions),
        scorer=lambda partition: Scorer(
            estate, rules, partition=partition, partitions=partitions, inputs=inputs, digest=settings.scorer
        ),
        inputs=inputs,
        worker=name or f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}",
        log=log.warning,
        monotonic=time.monotonic,
    )
    plan = Plan(
        crew,
        group=group,
        directory=directory,
        checkpoint_s=rules.scoring.checkpoint_s,
        wall_ns=time.time_ns,  # noqa: TID251 - the composition root hands the clock in
    )
    directory.mkdir(parents=True, exist_ok=True)
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # for the consumer's thread as well
    keep_freed_memory()
    gc.collect()
    gc.freeze()  # what is loaded stays: collecting need not go through half a million objects of libraries
    faust.Worker(
        make_app(plan), quiet=True, override_logging=False, redirect_stdouts=False, stdout=io.StringIO()
    ).execute_from_commandline()


def run_clock(where: Where) -> None:
    """Write clock marks to every partition of the source topics, each tick, until SIGTERM.

    Topics that a listener writes are left to it: its marks stand behind its own frames.
    """
    settings, way = where.settings(), where.access()
    heard = {listener.topic for listener in settings.estate.site.listeners}  # listeners mark their topics themselves
    scoring = settings.rules.scoring
    fed = [source for source in settings.estate.site.sources if source.topic not in heard]
    topics = where.topics(settings, way, needs=(wire.HEALTH, *(source.topic for source in fed)))
    marking = Marking(scoring.tick_ms * 1_000_000, latenesses(fed, usual_ms=scoring.lateness_ms))
    name, told = f"{socket.gethostname()}-{os.getpid()}", version("cordon")
    stop = on_signals()
    with Publisher(way, topics) as publisher:
        log.warning("clock: a mark each %d ms on %s", scoring.tick_ms, ", ".join(marking.late_ns))
        beaten = 0
        while not stop.is_set():
            now = time.time_ns()  # noqa: TID251 - the composition root reads the clock
            for topic, mark in marking.due(now):
                publisher.mark([topic], mark)
            if now - beaten >= 1_000_000_000:
                beaten = now
                notes = tuple(f"{topic}: {count} lost, {publisher.why_lost}" for topic, count in publisher.lost.items())
                beat = wire.Heartbeat("clock", name, at_ns=now, event_ns=marking.earliest_ns, version=told, notes=notes)
                publisher.send(wire.HEALTH, wire.heartbeat_json(beat), key=name.encode())
            stop.wait(marking.wait_ns(now) / 1e9)


class Marks(StrEnum):
    """Who writes clock marks."""

    WALL = "wall"  # we do: the wall clock less the lateness
    NONE = "none"  # somebody else


@dataclass(frozen=True, slots=True)
class Sent:
    """What `send` did."""

    records: int
    frames: int
    lost: int
    why: str = ""


def send(where: Where, *, file: Path, topic: str, marks: Marks, follow: bool) -> Sent:
    """Publish the lines of a file as frames of many records, and clock marks with them unless others write those.

    This is live input, dated by its receipt stamps or by the moment it is sent. What is days old is for `replay`.
    """
    settings, way = where.settings(), where.access()
    sources = [source.topic for source in settings.estate.site.sources]
    if topic not in sources:
        raise ConfigError(file=str(where.site), key="sources.topic", expected=" or ".join(sources), got=repr(topic))
    rules = settings.rules.scoring
    stop = on_signals() if follow else threading.Event()
    source = opened(file)
    lines = Lines(source)
    records = count = 0
    with Publisher(way, where.topics(settings, way, needs=[topic])) as publisher:
        while not stop.is_set():
            read = lines.read()
            done = lines.ended and not follow
            for frame in frames(read + lines.rest() if done else read):
                publisher.send(topic, frame, partition=count % publisher.partitions(topic))
                records, count = records + frame.count(b"\n") + 1, count + 1
            if marks is Marks.WALL:
                now = time.time_ns()  # noqa: TID251 - the composition root reads the clock
                publisher.mark(sources, now - round(rules.lateness_ms * 1e6))
            if done:
                break
            if lines.ended:
                stop.wait(rules.tick_ms / 1000)
        publisher.flush()
        close(source)
        return Sent(records, count, sum(publisher.lost.values()), publisher.why_lost)


def grant_access(where: Where) -> tuple[Grant, ...]:
    """Create topics that are missing, and allow our processes and collectors what they need; what was allowed newly."""
    settings, way = where.settings(), where.access()
    sources, heard = _fed(settings)
    where.topics(settings, way, needs=sources)
    return grant(way, grants(sources, heard))


def access_amiss(where: Where) -> tuple[list[Grant], list[Grant]]:
    """What the broker does not allow and must, and what it allows and must not."""
    settings, way = where.settings(), where.access()
    sources, heard = _fed(settings)
    wanted, found = grants(sources, heard), held(way)
    return sorted(set(wanted) - found), beyond(found, wanted, sources=sources, heard=heard)


def _fed(settings: Settings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Source topics, and those of them that our own listener writes."""
    site = settings.estate.site
    return tuple(one.topic for one in site.sources), tuple(one.topic for one in site.listeners)


def on_signals() -> threading.Event:
    """An event that is set when the process is told to end."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        document = {
            "at": f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "name": record.name,
            "text": record.getMessage(),
        }
        if record.exc_info:
            document["trace"] = self.formatException(record.exc_info)
        return json.dumps(document)


def log_to_stderr() -> None:
    """One JSON object a line, UTC, on standard error: warnings of libraries, and everything that we say."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = _JsonLines()
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def main() -> None:
    """Run one of the commands; a wrong file or a missing broker is one line and exit status 2 or 1."""
    from streams.commands import app

    log_to_stderr()
    app()


if __name__ == "__main__":
    main()
