"""The Faust application: two agents, and the hooks that open and close a shift around each assignment.

What is measured of Faust and decides how this is written: no Table; `acks=False`, so that no group offset ever moves a
reading position; shifts are opened in `on_rebalance_complete`, which is awaited before partitions are resumed; agents
crash the worker instead of being restarted over a lost message.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import faust
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from faust.streams import Stream
from faust.types import StreamT
from mode import CrashingSupervisor
from yarl import URL

from controller.domain import wire
from controller.domain.decision import ENDED
from controller.domain.errors import BadInput
from controller.domain.wire import Heartbeat
from streams.agents import Message
from streams.membership import credentials, faults, transport
from streams.shift import Crew, Shift, Turn, scored, silent
from streams.tally import Tally, exporters_document

FRAMES_AHEAD = 32
"""Messages that wait between the consumer and an agent; each may be close to a megabyte."""

LEAVING_S = 5.0
"""Time for a last checkpoint, and for saying good-bye. Both can be done without."""

NOTES_WAIT_MS = 500
"""How long a fetch of notes on decisions waits at the broker: they are few and in no hurry."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a worker is run."""

    crew: Crew
    group: str
    directory: Path  # Faust makes empty folders here
    checkpoint_s: float
    wall_ns: Callable[[], int]


class Worker:
    """The state of one worker process around its Faust app: the shift, the notes on decisions, the heartbeat."""

    def __init__(self, plan: Plan, app: faust.App) -> None:
        self._plan, self._crew, self._app = plan, plan.crew, app
        self._shift: Shift | None = None
        self._leaving = False
        self._tasks: list[asyncio.Task[None]] = []
        self._beats: list[asyncio.Future[Any]] = []  # on their way
        self._watched: dict[str, wire.DecisionNote] = {}
        self._version = version("cordon")  # which reads a file

    async def guard(self, act: Callable[[], Awaitable[None]]) -> None:
        """Do something whose failure ends the worker. Faust itself drops what a hook or a task raises."""
        try:
            await act()
        except Exception as error:  # whatever it is: a worker that goes on half would look healthy
            self._crew.log(f"{act.__name__}: {type(error).__name__}: {error}")
            await self._app.crash(error)

    async def _start(self) -> None:
        await self._crew.producer.start()
        await self._crew.positions.start()
        await self._crew.lessons.start()
        self._decisions = AIOKafkaConsumer(
            **self._crew.access.client(),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=NOTES_WAIT_MS,
        )
        await self._decisions.start()
        self._decisions.assign([TopicPartition(wire.DECISIONS, 0)])
        rounds = ((self.save, self._plan.checkpoint_s), (self.note_positions, 0.5), (self.beat, 1.0))
        self._tasks = [
            asyncio.create_task(self.guard(self.listen), name="decisions"),
            *(asyncio.create_task(self._again(act, seconds), name=act.__name__) for act, seconds in rounds),
        ]

    async def _again(self, act: Callable[[], Awaitable[None]], seconds: float) -> None:
        while not self._leaving:
            await asyncio.sleep(seconds)
            await self.guard(act)

    async def relieve(self) -> None:
        """End the shift: its partitions are about to be dealt anew."""
        shift, self._shift = self._shift, None
        if shift is not None:
            await shift.end()

    async def begin(self) -> None:
        """Open a shift on what was dealt, and read from where it says."""
        if not self._tasks:
            await self._start()
        await self.relieve()
        generation = self._app.consumer_generation_id
        shift = await Shift.begin(
            self._crew, cast("set[TopicPartition]", self._app.consumer.assignment()), crash=self._app.crash
        )
        await self._app.consumer.seek_wait({tp: course.expected for tp, course in shift.courses.items()})
        if generation != self._app.consumer_generation_id:
            await shift.end()
            return
        for note in self._watched.values():
            shift.watch(note)
        self._shift = shift
        self._crew.log(f"on shift with {len(shift.courses)} partitions")
        await self.beat()

    async def turn(self, topic: str, partition: int, offset: int) -> Shift | None:
        """The shift, when it is this message's turn."""
        at = TopicPartition(topic, partition)
        shift = self._shift
        course = shift.courses.get(at) if shift else None
        if course is None:
            return None
        match course.turn(offset, self._crew.monotonic()):
            case Turn.TAKE:
                return shift
            case Turn.SEEK:
                self._crew.log(f"{topic}/{partition}: offset {offset} came where {course.expected} was due")
                await self._app.consumer.seek(at, course.expected)
        return None

    async def save(self) -> None:
        """Write a checkpoint, unless partitions are being dealt or the worker is leaving."""
        if self._shift is not None and not self._app.rebalancing and not self._leaving:
            await self._shift.checkpoint()

    async def note_positions(self) -> None:
        """Commit combine's positions, and start reading anew where it stalls."""
        shift = self._shift
        if shift is None or self._app.rebalancing or self._leaving:
            return
        await shift.note_positions()
        for at, expected in shift.stalled(self._highwater):
            self._crew.log(f"{at.topic}/{at.partition}: no progress; reading from {expected} again")
            await self._app.consumer.seek(at, expected)

    async def listen(self) -> None:
        """Hear which decisions are alive: their subjects are watched, by whoever scores them."""
        while True:
            for records in (await self._decisions.getmany(timeout_ms=500)).values():
                for record in records:
                    self._hear(record)

    def _hear(self, record: ConsumerRecord) -> None:
        try:
            note = wire.decision_from(record.value or b"")
        except BadInput as error:
            self._crew.log(f"{wire.DECISIONS}@{record.offset}: {error}")
            return
        self._watched[note.decision_id] = note
        if note.state in ENDED:
            del self._watched[note.decision_id]
        if self._shift is not None:
            self._shift.watch(note)

    async def beat(self) -> None:
        """Say once how this worker is. Raises what became of an earlier word that the broker did not take."""
        said = [sent for sent in self._beats if not (sent.done() and sent.result())]
        value = wire.heartbeat_json(self.heartbeat())
        self._beats = [*said, await self._crew.producer.post(wire.HEALTH, 0, value, self._crew.worker.encode())]

    def heartbeat(self) -> Heartbeat:
        """How this worker is; counts are those of its own partitions."""
        shift = self._shift
        lanes = list(shift.lanes.values()) if shift else []
        tally = Tally()
        for lane in lanes:
            tally.add(lane.tally)
        lag = {
            f"{at.topic}/{at.partition}": max(0, (self._highwater(at) or course.expected) - course.expected)
            for at, course in (shift.courses if shift else {}).items()
        }
        behind = [mark for lane in lanes for origin, mark in lane.marks.items() if any(lag.values())]
        return Heartbeat(
            process="streams",
            instance=self._crew.worker,
            at_ns=self._plan.wall_ns(),
            event_ns=min((lane.scorer.event_ns for lane in lanes), default=0),
            version=self._version,
            lag=lag,
            oldest_ns=min(behind, default=0),
            sources=scored(lanes),
            exporters=exporters_document(tally),
            silent=silent(lanes),
            notes=(*(shift.remarks() if shift else ("no partitions",)), *faults(self._app)),
        )

    def _highwater(self, at: TopicPartition) -> int | None:
        return cast("int | None", self._app.consumer.highwater(at))

    async def leave(self) -> None:
        """Save a last time and disconnect. The consumer has left the group before, so nothing comes in any more."""
        shift, self._shift = self._shift, None
        self._leaving = True
        try:
            if shift is not None:
                async with asyncio.timeout(LEAVING_S):
                    await shift.checkpoint()
                    await shift.note_positions()
        finally:
            if shift is not None:
                await shift.abandon()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if self._tasks:
                clients = (self._decisions, self._crew.positions, self._crew.lessons, self._crew.producer)
                await asyncio.wait([asyncio.ensure_future(client.stop()) for client in clients], timeout=LEAVING_S)


def make_app(plan: Plan) -> faust.App:
    """The app, ready for `faust.Worker`. Topics must exist: nothing is declared here."""
    crew = plan.crew
    tempo = crew.access.settings.tempo
    app = faust.App(
        plan.group,
        broker=[URL(f"kafka://{server}") for server in crew.access.settings.servers],
        broker_credentials=credentials(crew.access),
        broker_client_id=crew.worker,
        broker_session_timeout=tempo.session_s,
        broker_heartbeat_interval=tempo.heartbeat_s,
        broker_rebalance_timeout=tempo.rebalance_s,
        stream_buffer_maxsize=FRAMES_AHEAD,
        stream_wait_empty=False,
        datadir=str(plan.directory),
        store="memory://",
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        worker_redirect_stdouts=False,
        key_serializer="raw",
        value_serializer="raw",
    )
    app.finalize()
    app.boot_strategy.enable_kafka_producer = False
    app.transport = transport(app, crew.access)
    worker = Worker(plan, app)
    _agents(app, worker, topics={origin.rpartition("/")[0] for origin in crew.inputs})
    _hooks(app, worker)
    return app


def _agents(app: faust.App, worker: Worker, *, topics: set[str]) -> None:
    sources = app.topic(*sorted(topics), acks=False, key_type=bytes, value_type=bytes, allow_empty=True)
    activity = app.topic(wire.ACTIVITY, acks=False, key_type=bytes, value_type=bytes)

    async def combine(stream: StreamT[bytes]) -> None:
        async for event in cast("Stream[bytes]", stream).noack().events():
            it = event.message
            if (shift := await worker.turn(it.topic, it.partition, it.offset)) is not None:
                await shift.source(
                    Message(it.topic, it.partition, it.offset, it.key, it.value or b"", _ns(it.timestamp))
                )

    async def score(stream: StreamT[bytes]) -> None:
        async for event in cast("Stream[bytes]", stream).noack().events():
            it = event.message
            if (shift := await worker.turn(it.topic, it.partition, it.offset)) is not None:
                await shift.activity(it.partition, it.offset, it.value, kafka_ns=_ns(it.timestamp))

    app.agent(sources, name="combine", supervisor_strategy=CrashingSupervisor)(combine)
    app.agent(activity, name="score", supervisor_strategy=CrashingSupervisor)(score)


def _hooks(app: faust.App, worker: Worker) -> None:
    async def assigned(*_: Any, **__: Any) -> None:
        await worker.guard(worker.begin)

    async def revoked(*_: Any, **__: Any) -> None:
        await worker.guard(worker.relieve)

    async def stopping(*_: Any, **__: Any) -> None:
        await worker.guard(worker.leave)

    app.on_rebalance_complete.connect(assigned)
    app.on_partitions_revoked.connect(revoked)
    app.on_before_shutdown.connect(stopping)


def _ns(timestamp: float) -> int:
    return round(timestamp * 1000) * 1_000_000
