"""A worker process like the real one, but with the scorer that only counts: `counting_worker.py '{"broker": …}'`."""

import io
import json
import sys
import time
from pathlib import Path

import faust

from controller.domain import wire
from controller.domain.estate import Source, SourceFormat
from streams.__main__ import log, log_to_stderr
from streams.agents import Combine
from streams.app import Plan, make_app
from streams.broker import Access, BrokerSettings, Tempo
from streams.publish import create_topics
from streams.shift import Crew, inputs_of
from streams.state import LessonLog, Positions, Producer
from tests.streams.fakes import CountingCombiner, CountingScorer


def main() -> None:
    log_to_stderr()
    asked = json.loads(sys.argv[1])
    way = Access(BrokerSettings(asked["broker"], tempo=Tempo(**asked["tempo"])))
    names = tuple(asked["topics"])
    topics = create_topics(way, wire.topics(names)).partitions
    partitions = topics[wire.ACTIVITY]
    inputs = inputs_of({name: topics[name] for name in names})
    sources = [Source(name, SourceFormat.GOFLOW2_JSON) for name in names]
    producer = Producer(way)
    crew = Crew(
        access=way,
        producer=producer,
        positions=Positions(way, "counting-positions"),
        lessons=LessonLog(way, producer, Positions(way, "counting-lessons")),
        combine=Combine(CountingCombiner(partitions=partitions), sources, partitions=partitions),
        scorer=lambda _: CountingScorer(inputs=inputs),
        inputs=inputs,
        worker=asked["name"],
        log=log.warning,
        monotonic=time.monotonic,
    )
    plan = Plan(
        crew,
        group=asked["group"],
        directory=Path(asked["directory"]),
        checkpoint_s=asked["checkpoint_s"],
        wall_ns=time.time_ns,  # noqa: TID251 - a process of its own
    )
    faust.Worker(
        make_app(plan), quiet=True, override_logging=False, redirect_stdouts=False, stdout=io.StringIO()
    ).execute_from_commandline()


if __name__ == "__main__":
    main()
