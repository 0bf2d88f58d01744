"""The provider at work: `python -m deploy.lab.generator --seed N --broker HOST:PORT --run DIR`.

Writes a normal day with past receipt stamps at full speed, then goes on live, with clock marks that follow each tick.
Commands come as JSON lines on standard input: `{"start": 1}`, `{"stop": 1}`, `{"totals": true}`, `{"end": true}`.
What it knows to be true goes to standard output, a JSON object per line with the key "event":

    warming    fraction               how much of the day is written
    warm       until_ns, records      the day is written, live begins where it ends
    live       at_ns                  live time has caught up with the wall clock
    bad        scenario, received_ns, sent_ns    the first record of an offender's traffic
    passing    scenario, offered, entered, why   once a second, packets a second
    fell       scenario, at_ns, why   of an offender's packets at most a fifth enter any more
    totals     records, messages      what was written to flow and log topics, clock marks not counted

Whether packets pass is asked of the emulated devices, each tick, over RUN/control.sock.
"""

import argparse
import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from random import Random
from typing import Protocol

from deploy.lab.collectors import SECOND_NS, Collectors, warm_up
from deploy.lab.control import Emulators
from deploy.lab.journeys import Journey, chatter
from deploy.lab.live import Heard, Live, Seen
from deploy.lab.provider import FLOW_TOPIC, LOG_TOPIC, Provider, provider
from deploy.lab.scenarios import journey
from deploy.lab.traffic import MINUTE_NS, Normal
from streams.broker import EMBEDDED, access
from streams.publish import Publisher

DAY_NS = 24 * 60 * MINUTE_NS
TICK_NS = SECOND_NS // 4
FALLEN = 0.2  # of what is offered
LATEST_NS = 2 * TICK_NS  # behind the wall clock: live time has caught up
PARTITIONS = 4
COARSE_NS = 5 * SECOND_NS
"""How finely time goes on while the day before is still being scored: nobody looks yet, and scoring has work to do."""


Clock = Callable[[], int]


class Say(Protocol):
    """Tell the world what is true."""

    def __call__(self, event: str, **facts: object) -> None:
        """One event."""
        ...


class Topics:
    """The sink that is Kafka. Frames carry their receipt stamp as Kafka timestamp, as a collector's producer would."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self.partitions = publisher.partitions(FLOW_TOPIC)

    def frame(self, topic: str, partition: int, value: bytes, *, at_ns: int) -> None:
        """Write one message."""
        self._publisher.send(topic, value, partition=partition, at_ns=at_ns)

    def mark(self, at_ns: int) -> None:
        """Let time go on, on both topics."""
        self._publisher.mark((FLOW_TOPIC, LOG_TOPIC), at_ns)


class Stage:
    """Live time: ticks, journeys that come and go, and the truth about them."""

    def __init__(
        self, source: Provider, live: Live, journeys: Mapping[int, Journey], out: Collectors, *, say: Say
    ) -> None:
        self._source, self._live, self._journeys, self._out, self._say = source, live, journeys, out, say
        self._draw = Random(f"{source.seed} live")
        self.step_ns = TICK_NS
        self._begun: set[int] = set()
        self._fallen: set[int] = set()

    def obey(self, line: str, *, at_ns: int) -> bool:
        """Do what a command says; False when it says that this is the end."""
        order = json.loads(line)
        if "start" in order:
            self._live.start(self._journeys[int(order["start"])], at_ns=at_ns)
        if order.get("live"):
            self.step_ns = TICK_NS
        if "stop" in order:
            self._live.stop(int(order["stop"]))
        if order.get("totals"):
            self._say("totals", records=self._out.written.records, messages=self._out.written.messages)
        return not order.get("end", False)

    def tick(self, *, at_ns: int, clock: Clock) -> None:
        """Play one tick, write it, and tell what is true of it."""
        heard = self._live.tick(at_ns=at_ns, seconds=self.step_ns / SECOND_NS)
        if self._draw.random() < 0.5:
            line = chatter(self._source, self._draw, at_ns=at_ns - 1)
            heard = Heard(heard.records, (*heard.lines, line), heard.seen)
        self._out.heard(heard, at_ns=at_ns)
        for scenario, seen in heard.seen.items():
            self._tell(scenario, seen, at_ns=at_ns, sent_ns=clock())

    def _tell(self, scenario: int, seen: Seen, *, at_ns: int, sent_ns: int) -> None:
        if seen.first_ns and scenario not in self._begun:
            self._begun.add(scenario)
            self._say("bad", scenario=scenario, received_ns=seen.first_ns, sent_ns=sent_ns)
        if scenario in self._begun - self._fallen and seen.entered <= FALLEN * seen.offered:
            self._fallen.add(scenario)
            self._say("fell", scenario=scenario, at_ns=sent_ns, why=seen.why)
        if at_ns % SECOND_NS == 0:
            rate = SECOND_NS // TICK_NS
            offered, entered = seen.offered * rate, seen.entered * rate
            self._say("passing", scenario=scenario, offered=offered, entered=entered, why=seen.why)


def play(stage: Stage, orders: "SimpleQueue[str]", *, from_ns: int, clock: Clock, say: Say) -> None:
    """Tick on until told to end; ticks that are due already follow each other at once."""
    at_ns, caught_up = from_ns, False
    while True:
        at_ns += stage.step_ns
        wait_ns = at_ns - clock()
        if wait_ns > 0:
            time.sleep(wait_ns / 1e9)
        with contextlib.suppress(Empty):
            while True:
                if not stage.obey(orders.get_nowait(), at_ns=at_ns):
                    return
        stage.tick(at_ns=at_ns, clock=clock)
        if not caught_up and stage.step_ns == TICK_NS and clock() - at_ns < LATEST_NS:
            caught_up = True
            say("live", at_ns=at_ns)


def _listen(orders: "SimpleQueue[str]") -> None:
    """Hand on commands; when standard input ends, so does the play."""
    for line in sys.stdin:
        if line.strip():
            orders.put(line)
    orders.put('{"end": true}')


def _say(event: str, **facts: object) -> None:
    sys.stdout.write(json.dumps({"event": event, **facts}) + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.lab.generator", description="play the provider's traffic")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--broker", required=True, help="HOST:PORT")
    parser.add_argument("--broker-file", type=Path, help="TOML with TLS and SASL settings")
    parser.add_argument("--run", type=Path, required=True, help="the emulators' folder, with control.sock")
    parser.add_argument("--scenario", type=int, action="append", default=[], help="journeys to prepare")
    parser.add_argument("--no-day", action="store_true", help="begin live at once: nobody has a past")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and play."""
    given = _parser().parse_args(arguments)
    clock: Clock = time.time_ns  # noqa: TID251 - this is the process's one clock
    source = provider(given.seed)
    normal = Normal(source, seed=given.seed)
    journeys = {number: journey(source, number) for number in given.scenario}
    orders: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_listen, args=(orders,), name="orders", daemon=True).start()
    reach = access(given.broker, file=given.broker_file, environment=os.environ, tempo=EMBEDDED)
    with (
        Emulators(given.run / "control.sock") as plant,
        Publisher(reach, dict.fromkeys((FLOW_TOPIC, LOG_TOPIC), PARTITIONS)) as publisher,
    ):
        out = Collectors(Topics(publisher))
        end_ns = clock() // TICK_NS * TICK_NS
        if not given.no_day:
            for fraction in warm_up(
                source, normal, tuple(journeys.values()), out, start_ns=end_ns - DAY_NS, end_ns=end_ns
            ):
                _say("warming", fraction=round(fraction, 3))
        _say("warm", until_ns=end_ns, records=out.written.records)
        stage = Stage(source, Live(source, normal, plant, seed=given.seed), journeys, out, say=_say)
        stage.step_ns = TICK_NS if given.no_day else COARSE_NS
        play(stage, orders, from_ns=end_ns, clock=clock, say=_say)
        publisher.flush()
        if publisher.lost:
            sys.stderr.write(f"lost messages: {dict(publisher.lost)}: {publisher.why_lost}\n")


if __name__ == "__main__":
    main()
