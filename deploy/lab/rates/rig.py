"""The listener and workers on a broker, and what one step of traffic does to them."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from controller.domain import wire
from controller.domain.estate import Source, SourceFormat
from deploy import parts
from deploy.apache import ApacheKafka
from deploy.lab.rates.estate import FRAME_MS, SOURCES, policy_text, site_text
from deploy.lab.rates.figures import Step
from deploy.lab.rates.lines import FRAME_RECORDS
from deploy.lab.rates.meter import cpu_s, dropped_at
from deploy.lab.rates.stencils import DRAWN
from deploy.parts import Layout
from deploy.ports import free_port
from deploy.supervisor import Part, Supervisor, python
from streams.publish import delete_topics

LISTENER, CLOCK = "listen", "clock"
STARTS_S = 60.0
STILL_S, DRAINS_S = 2.5, 15.0
"""Two heartbeats of a listener; a worker that has much to do may be silent for longer."""

LAST_S = 3.0
"""Of a step, by which it is judged whether work piled up: the best moment counts, as a checkpoint delays others."""


class NotMeasured(RuntimeError):
    """Something that a measurement needs did not come about; the message says what."""


class Watch:
    """The last heartbeat of each process."""

    def __init__(self, kafka: ApacheKafka) -> None:
        self._consumer = KafkaConsumer(**kafka.access.client(), fetch_max_wait_ms=50)
        self._consumer.assign([TopicPartition(wire.HEALTH, 0)])
        self._consumer.seek_to_end()
        self.last: dict[str, wire.Heartbeat] = {}

    def look(self) -> Sequence[wire.Heartbeat]:
        """What came within a tenth of a second."""
        records = self._consumer.poll(timeout_ms=100)
        new = [wire.heartbeat_from(one.value) for batch in records.values() for one in batch]
        self.last.update({beat.instance: beat for beat in new})
        return new

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()


@dataclass(slots=True)
class Rig:
    """What runs, and what was sent to it so far."""

    kafka: ApacheKafka
    layout: Layout
    source: Source
    port: int  # 0: nobody listens, frames go straight to the topic
    supervisor: Supervisor
    watch: Watch
    partitions: int
    names: set[str] = field(default_factory=set)  # of what has to run
    before: dict[str, int] = field(default_factory=dict)  # datagrams that each exporter has sent, by kind

    @property
    def workers(self) -> list[int]:
        """Process ids of the workers."""
        return [pid for name, pid in self.supervisor.pids().items() if name not in (LISTENER, CLOCK)]

    def launch(self, part: Part) -> None:
        """Start what has to run from now on."""
        self.names.add(part.name)
        self.supervisor.launch(part)

    def worker(self, name: str) -> None:
        """Start a worker of the one group."""
        command = (*self.layout.streams("worker"), "--name", name)
        self.launch(Part(name, (*command, "--data-dir", str(self.layout.run / name))))

    def kill(self, name: str) -> None:
        """End a worker at once."""
        self.names.remove(name)
        os.kill(self.supervisor.pids()[name], signal.SIGKILL)
        self.watch.last.pop(name, None)

    def until(self, what: Callable[[], bool], *, deadline_s: float, of: str) -> None:
        """Hear heartbeats until it is so. Raises NotMeasured."""
        end = time.monotonic() + deadline_s
        while not what():
            for name in self.names - self.supervisor.pids().keys():
                raise NotMeasured(f"{name} ended: {self.supervisor.log(name).read_text()[-1_000:]}")
            if time.monotonic() > end:
                logs = "".join(f"\n{name}: {self.supervisor.log(name).read_text()[-500:]}" for name in self.names)
                raise NotMeasured(f"waited {deadline_s:.0f} s for {of}{logs}")
            self.watch.look()

    def on_shift(self) -> bool:
        """True when workers hold every partition between them."""
        held = [name for beat in self.beats for name in beat.lag]
        return len(held) == len(set(held)) == 2 * self.partitions

    @property
    def beats(self) -> list[wire.Heartbeat]:
        """The last of the workers that run."""
        return [beat for name, beat in self.watch.last.items() if name in self.names]

    def scored(self) -> int:
        """Records that the workers have taken in since they began."""
        return sum(beat.sources.get(self.source.topic, {}).get("received", 0) for beat in self.beats)

    def heard(self) -> Mapping[str, int]:
        """What the listener counts of all exporters together."""
        total: dict[str, int] = {}
        for beat in self.watch.last.values():
            for one in beat.exporters.values() if beat.process == "listen" else ():
                for fact, number in one.items():
                    total[fact] = total.get(fact, 0) + number
        return total

    def sender(self, kind: str, rate: float, seconds: float) -> tuple[str, ...]:
        """The command line that sends records of a kind."""
        if self.port:
            before = self.before.get(kind, 0)
            return python("-m", "deploy.lab.rates.sender", kind, str(self.port), str(rate), str(seconds), str(before))
        where = (self.kafka.bootstrap, self.source.topic, str(self.partitions))
        return python("-m", "deploy.lab.rates.publisher", kind, *where, str(rate), str(seconds), str(FRAME_RECORDS))

    def idle(self, seconds: float) -> dict[str, float]:
        """Cores that each of them takes while nothing is sent."""
        before, begun = self._cpu(), time.monotonic()
        while time.monotonic() < begun + seconds:
            self.watch.look()
        after, took = self._cpu(), time.monotonic() - begun
        return {name: round((after[name] - before[name]) / took, 3) for name in before}

    def step(self, kind: str, *, rate: float, seconds: float) -> Step:
        """Send so many records a second for so long, wait until all of it has come to rest, and read the meters."""
        scored, heard = self.scored(), self.heard()
        cpu = self._cpu()
        process = subprocess.Popen(self.sender(kind, rate, seconds), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        behind: list[tuple[float, float]] = []
        while process.poll() is None:
            behind += self._delays()
        ended = time.monotonic()
        said, _ = process.communicate()
        if process.returncode:
            raise NotMeasured(f"the sender of {kind} ended with status {process.returncode}")
        told: dict[str, Any] = json.loads(said)
        self.before[kind] = self.before.get(kind, 0) + int(told["datagrams"])
        per = DRAWN[kind].records if self.port else 1
        sent = int(told["records"])

        def heard_now() -> int:
            return (self.heard().get("received", 0) - heard.get("received", 0)) * per if self.port else sent

        self._rest(heard_now, wanted=sent)
        got = heard_now()
        self._rest(lambda: self.scored() - scored, wanted=got, still_s=DRAINS_S)
        after, now = self._cpu(), self.heard()
        return Step(
            asked_per_s=rate,
            sent_per_s=told["records"] / told["seconds"],
            sent=sent,
            received=got,
            scored=self.scored() - scored,
            lost=(now.get("lost", 0) - heard.get("lost", 0)) * per,
            behind_s=min((delay for at, delay in behind if at > ended - LAST_S), default=float("inf")),
            cpu_s={name: after[name] - cpu[name] for name in cpu},
        )

    def _cpu(self) -> dict[str, float]:
        listener = [pid for name, pid in self.supervisor.pids().items() if name == LISTENER]
        return {"listener": cpu_s(listener), "worker": cpu_s(self.workers), "broker": cpu_s(self.kafka.pids)}

    def _delays(self) -> list[tuple[float, float]]:
        """When each new heartbeat of a worker was heard, and how far it then was behind the clock."""
        now = time.monotonic()
        return [(now, (beat.at_ns - beat.event_ns) / 1e9) for beat in self.watch.look() if beat.process == "streams"]

    def rest(self, *, wanted: int) -> None:
        """Hear heartbeats until the workers have taken in so many records, or for long no more of them."""
        self._rest(self.scored, wanted=wanted, still_s=DRAINS_S)

    def _rest(self, count: Callable[[], int], *, wanted: int, still_s: float = STILL_S) -> None:
        """Hear heartbeats until a count is as wanted, or stands still."""
        seen, since = -1, time.monotonic()
        while (now := count()) != wanted and time.monotonic() < since + still_s:
            if now != seen:
                seen, since = now, time.monotonic()
            self.watch.look()


@contextmanager
def rig(
    kafka: ApacheKafka, folder: Path, kind: str, *, frame_ms: int = FRAME_MS, workers: int = 1, partitions: int = 1
) -> Iterator[Rig]:
    """A listener (or a clock, where frames come from others) and workers, ready; in the end everything is cleared.

    Topics have as many partitions as workers shall be able to share, as with `cordon up --partitions`.
    """
    folder.mkdir(parents=True)
    form = SOURCES[kind]
    listens = form in (SourceFormat.DATAGRAMS, SourceFormat.SYSLOG)
    source = Source(f"rates.{form.value}", form)
    port = free_port() if listens else 0
    layout = Layout(
        folder, folder / "site.toml", folder / "policy.toml", kafka.bootstrap, "", folder, embedded=False,
        partitions=partitions,
    )  # fmt: skip
    layout.site.write_text(site_text(source, port=port, frame_ms=frame_ms))
    layout.policy.write_text(policy_text())
    plans = wire.topics((source.topic,), partitions=partitions)
    kafka.topics(plans)
    watch = Watch(kafka)
    try:
        with Supervisor(folder / "logs") as supervisor:
            made = Rig(kafka, layout, source, port, supervisor, watch, partitions)
            for number in range(workers):
                made.worker(f"w{number}")
            made.launch(parts.listener(layout) if listens else parts.clock(layout))
            if workers:
                made.until(made.on_shift, deadline_s=STARTS_S, of="the workers to share all partitions")
            if listens:
                made.until(lambda: dropped_at(port) is not None, deadline_s=STARTS_S, of="the listener")
            yield made
    finally:
        watch.close()
        delete_topics(kafka.access, [plan.name for plan in plans])
