"""The state of one activity partition: activity in, verdicts out. Same inputs in the same order, same verdicts.

What a tick comes to does not depend on how the partitions of the inputs interleave: counts are whole numbers, lateness
is judged by the origin's own mark, and a tick closes when the marks of all inputs have passed it.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from controller.domain.address import HostKey, subject_of
from controller.domain.decision import ENDED
from controller.domain.estate import Estate
from controller.domain.rulebook import Rulebook
from controller.domain.verdict import Verdict
from controller.domain.wire import DecisionNote
from streams import keys, saved
from streams.amounts import MILLI, raised
from streams.baseline import Shape, empty_shape, hour_of_week, learn_shapes
from streams.detecting import Detecting
from streams.folding import Additions, folded, grouped
from streams.gate import Gate
from streams.habits import HABITS
from streams.looking import Look, admitted, look
from streams.lots import distinct
from streams.pending import Pending, Tick
from streams.recording import Recorder
from streams.register import Register
from streams.room import given_back
from streams.rows import Arrivals, Col, Symptom
from streams.sensors import Sensors
from streams.speaking import Speaker
from streams.standing import Judge
from streams.subjects import Subjects
from streams.suffering import Suffering
from streams.windows import LEARNED, Ints, Views

_HABITS = np.array([HABITS.index(column) if column in HABITS else -1 for column in Col])
_SENT = np.array([place for place, column in enumerate(HABITS) if column < Col.BYTES_IN])
_BITS_IN_BYTES = np.array([8.0, 1.0, 1.0])


class Scorer:
    """Scores the subjects of one activity partition.

    `inputs` names every flow and log partition ("topic/partition"): a tick closes when the marks of all have passed it.
    """

    def __init__(
        self,
        estate: Estate,
        rules: Rulebook,
        *,
        partition: int,
        partitions: int,
        inputs: Sequence[str],
        digest: str = "",
    ) -> None:
        scoring = rules.scoring
        self._estate, self._rules, self._digest = estate, rules, digest
        self._partition, self._partitions = partition, partitions
        self._marks = dict.fromkeys(sorted(inputs), 0)
        self._tick_ns = scoring.tick_ms * 1_000_000
        self._second_ticks = max(1000 // scoring.tick_ms, 1)
        self._window_ticks = max(round(scoring.baseline_window_s * 1000 / scoring.tick_ms), 1)
        self._next = 0  # the first tick that is not closed
        self._counts: dict[str, dict[str, int]] = {}
        self._dirty: set[int] = set()
        self._shapes: dict[int, Shape] = {}
        self._begin()

    def _begin(self) -> None:
        scoring = self._rules.scoring
        self._pending = Pending()
        self._sensors = Sensors(tick_ms=scoring.tick_ms, silent_after_s=scoring.silent_after_s)
        self._subjects = Subjects(
            self._estate,
            self._sensors,
            buckets=scoring.buckets,
            habit_half_life=scoring.habit_half_life_s * 1000 / scoring.tick_ms,
        )
        self._views = Views(scoring.tick_ms)
        self._suffering = Suffering(self._estate, self._rules)
        self._register = Register(self._subjects)
        judge = Judge(scoring, self._rules.detectors)
        of_whom = judge, self._register, self._subjects, self._sensors, self._views
        self._recorder = Recorder(*of_whom)
        self._speaker = Speaker(*of_whom, digest=self._digest)
        self._detecting, self._gate = Detecting(self._rules), Gate(self._rules.detectors, scoring)
        self._fresh = self._loud = np.zeros(
            0, np.int64
        )  # slots heard since the last look, some twice; those that passed it

    def apply(self, body: bytes, *, origin: str = "") -> None:
        """Take in one body of `Combined.bodies`; b"" does nothing. Raises BadInput for what no Combiner wrote.

        `origin` is the flow or log partition that the frame came from ("topic/partition"): lateness is judged by that
        partition's own mark, so that it does not depend on how partitions interleave.
        """
        if not body:
            return
        floor = max(self._marks[origin] // self._tick_ns if origin in self._marks else 0, self._next)
        topic, records, late = self._pending.put(body, floor=floor, tick_ns=self._tick_ns)
        count = self._counts.setdefault(topic, {"scored": 0, "late": 0})
        count["scored"] += records
        count["late"] += late

    def mark(self, source_partition: str, at_ns: int) -> list[Verdict]:
        """Hear that nothing earlier than `at_ns` will follow on an input; returns the verdicts of ticks that closed."""
        if source_partition in self._marks:
            self._marks[source_partition] = max(self._marks[source_partition], at_ns)
        limit = min(self._marks.values(), default=0) // self._tick_ns
        verdicts: list[Verdict] = []
        while (tick := self._next_work(limit)) is not None:
            verdicts += self._close(tick)
            self._next = tick + 1
            if self._next % self._window_ticks == 0:
                self._next = self._learn(self._next, limit)
                self._views.shrink()
                given_back(self._subjects.size)
        self._next = max(self._next, limit)
        return verdicts

    def watch(self, note: DecisionNote) -> None:
        """Report the rates of this subject once a second of event time, until its decision has ended."""
        key = keys.key_of_subject(subject_of(note.subject))
        mine = keys.bucket_of(key, self._rules.scoring.buckets) % self._partitions == self._partition
        if mine:
            self._speaker.watch(key, note.decision_id, ended=note.state in {state.value for state in ENDED})

    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """Per source topic: records `scored`, and of these `late`."""
        return {topic: dict(count) for topic, count in self._counts.items()}

    def silent(self) -> tuple[str, ...]:
        """Exporters that were heard before and are not now."""
        return self._sensors.silent(self._next - 1)

    @property
    def event_ns(self) -> int:
        """End of the last closed tick, ns; 0 before the first."""
        return self._next * self._tick_ns

    def _next_work(self, limit: int) -> int | None:
        """The next tick below `limit` in which something happens; what lies between costs nothing."""
        ticks = [self._pending.first()]
        if self._speaker.busy or self._suffering.busy:
            ticks.append(_boundary(self._next, self._second_ticks))
        if self._views.occupied:
            ticks.append(_boundary(self._next, self._window_ticks))
        due = min((tick for tick in ticks if tick is not None), default=limit)
        return due if due < limit else None

    def _close(self, tick: int) -> list[Verdict]:
        end_ns = (tick + 1) * self._tick_ns
        self._views.advance(tick)
        heard = self._pending.take(tick)
        if heard is not None:
            self._take_in(tick, heard)
        second = (tick + 1) % self._second_ticks == 0
        verdicts: list[Verdict] = []
        if heard is not None or (second and (self._register.lasting or self._suffering.busy)):
            seen = self._look(tick)
            if seen is not None:
                self._detect(seen, end_ns, tick)
        else:
            seen = self._look(tick) if second and self._speaker.watching else None
        verdicts += self._speaker.verdicts(seen, end_ns=end_ns, second=second)
        verdicts += self._speaker.unexplained(self._relieved(end_ns), end_ns=end_ns)
        self._dirty |= self._register.touched()
        return verdicts

    def _take_in(self, tick: int, heard: Tick) -> None:
        self._sensors.hear(heard.sightings, tick)
        if heard.parts:
            self._add(tick, heard.parts, heard.names)
        self._recorder.claim(heard.claims)
        self._suffering.hear(heard.symptoms)

    def _add(self, tick: int, parts: Sequence[Arrivals], names: Sequence[str]) -> None:
        numbers = np.array([self._sensors.number(name) for name in names], np.int64)
        slots = self._subjects.slots(np.concatenate([one.keys for one in parts]))
        self._subjects.last_tick[slots] = tick
        groups = grouped(parts, slots, numbers)
        views = self._views.find(groups.slot, groups.exporter, groups.vantage)
        window_end = (tick // self._window_ticks + 1) * self._window_ticks
        added = folded(parts, groups, views, below=len(self._views.slot))
        self._views.add(tick, added, window_end=window_end)
        self._remember(tick, added)
        self._fresh = self._views.slot[added.view]  # in their order, or nearly
        self._soil(slots)

    def _soil(self, slots: Ints) -> None:
        """Mark the buckets of these slots as changed."""
        self._dirty |= set(np.flatnonzero(np.bincount(self._subjects.bucket[slots])).tolist())

    def _remember(self, tick: int, added: Additions) -> None:
        """Add what a tick brought to what its subjects did of late; of several exporters the largest count."""
        unique, view = distinct(added.view, len(self._views.slot))
        slots, slot = distinct(self._views.slot[unique], self._subjects.size)
        says = admitted(self._views, unique, self._subjects, self._sensors.heard(tick))
        seen = np.zeros((len(unique), len(HABITS)), np.int64)
        added.counts.put(seen, view.astype(np.int32), _HABITS, 1)
        if not says.all():
            seen[np.ix_(~says, _SENT)] = 0
        if len(slots) < len(unique):
            counts = np.zeros((len(slots), len(HABITS)), np.int64)
            raised(counts, slot, seen)
        else:
            counts = seen  # one view of each, in this order
        self._subjects.habits.add(slots, counts, tick)

    def _look(self, tick: int) -> Look | None:
        """Read who is loud enough to matter, and whom something is said about; everybody while a device suffers."""
        asked, _ = distinct(np.concatenate((self._fresh, self._loud)), self._subjects.size)
        self._fresh = asked[:0]
        self._loud = self._gate.passed(self._views, self._subjects.habits, asked, tick)
        if self._suffering.busy:
            chosen = self._views.active()
        else:
            chosen = np.sort(self._views.of(np.union1d(self._loud, self._speaker.slots())))
        return look(
            self._views,
            self._subjects,
            self._sensors,
            self._shapes,
            tick,
            chosen=chosen,
            scoring=self._rules.scoring,
        )

    def _detect(self, seen: Look, end_ns: int, tick: int) -> None:
        hits = self._detecting.hits(seen.reading)
        accused = self._recorder.accuse(seen, hits, end_ns=end_ns, tick=tick)
        accused |= self._recorder.attribute(seen, self._suffering.blamed(seen.reading, self._subjects), end_ns=end_ns)
        window_end = (tick // self._window_ticks + 1) * self._window_ticks
        self._subjects.tainted[sorted(accused)] = window_end

    def _relieved(self, end_ns: int) -> list[Symptom]:
        """Symptoms whose window ended without a host found, of devices that this partition speaks for."""
        ended = self._suffering.ended(end_ns)
        return [one for one in ended if self._speaks_for(one.device)]

    def _speaks_for(self, device: str) -> bool:
        key = keys.key_of_subject(HostKey(self._estate.devices[device].host))
        return keys.bucket_of(key, self._rules.scoring.buckets) % self._partitions == self._partition

    def _learn(self, end: int, limit: int) -> int:
        """Teach the baselines the window that ends at tick `end`, and those after it in which nothing changes.

        `limit` is the first tick of which nothing is known yet. Returns the end of the last window taught.
        """
        heard, learned = self._views.close_window(end, self._window_ticks)
        if not len(heard):
            return end
        slots = self._views.slot[heard]
        self._soil(slots)
        counts = admitted(self._views, heard, self._subjects, self._sensors.heard(end - 1))
        self._teach(end, slots[counts], learned[counts], 1)
        self._forget()
        alike = self._windows_alike(end, limit)
        if alike:
            heard, learned = self._views.repeated_window(end + alike * self._window_ticks, self._window_ticks)
            slots = self._views.slot[heard]
            counts = admitted(self._views, heard, self._subjects, self._sensors.heard(end - 1))
            self._teach(end + self._window_ticks, slots[counts], learned[counts], alike)
        return end + alike * self._window_ticks

    def _windows_alike(self, end: int, limit: int) -> int:
        """How many windows from `end` on hold nothing but flows that last over all of them."""
        if self._speaker.busy or self._suffering.busy or not self._views.still():
            return 0
        known = [limit, self._pending.first(), self._views.lasting.next_end()]
        windows = (min(tick for tick in known if tick is not None) - end) // self._window_ticks
        now = self._sensors.heard(end - 1)
        while windows > 0 and not np.array_equal(now, self._sensors.heard(end - 1 + windows * self._window_ticks)):
            windows -= 1
        return max(windows, 0)

    def _teach(self, end: int, slots: Ints, learned: Ints, windows: int) -> None:
        """Teach the same amounts for some windows, of which the first ends at tick `end`."""
        unique, place = distinct(slots, self._subjects.size)
        if not len(unique):
            return
        sums = np.zeros((len(unique), len(LEARNED)), np.int64)
        raised(sums, place, learned)
        fit = (sums[:, LEARNED.index(Col.PACKETS)] > 0) & (self._subjects.tainted[unique] < end)
        unique = unique[fit]
        seconds = self._window_ticks * self._rules.scoring.tick_ms / 1000
        per_second = sums[fit] / MILLI / seconds * _BITS_IN_BYTES
        roles = self._subjects.role[unique].astype(np.int64)
        for role in set(np.unique(roles).tolist()) - {-1, *self._shapes}:
            self._shapes[role] = empty_shape()
        for last in range(end, end + windows * self._window_ticks, self._window_ticks):
            off = self._subjects.baselines.learn(
                unique,
                per_second,
                begins_ns=(last - self._window_ticks) * self._tick_ns,
                ends_ns=last * self._tick_ns,
                memory=self._rules.scoring.baseline_memory,
            )
            learn_shapes(self._shapes, roles, off, hour_of_week((last - 1) * self._tick_ns))

    def _forget(self) -> None:
        limit = max(self._rules.scoring.max_hosts // self._partitions, 1)
        surplus = len(self._subjects) - limit
        if surplus <= 0:
            return
        held = self._subjects.held()
        idle = np.ones(self._subjects.size, np.bool_)
        idle[self._speaker.slots()] = False
        idle[self._views.slot[self._views.active()]] = False
        idle_slots = held[idle[held]]
        order = np.lexsort((self._subjects.keys(idle_slots), self._subjects.last_tick[idle_slots]))
        gone = idle_slots[order[:surplus]]
        self._soil(gone)
        self._subjects.forget(gone)

    def changed(self) -> list[tuple[int, bytes]]:
        """(bucket, state) of every bucket that changed since the last call; self-describing."""
        dirty, self._dirty = sorted(self._dirty | self._register.touched()), set()
        self._views.advance(self._next)
        return saved.buckets(dirty, self._subjects, self._views, self._sensors, self._register.standings)

    def meta(self) -> bytes:
        """What belongs to no bucket: marks, open ticks, symptoms, exporters. May pass 900 kB: split it if it does."""
        return saved.meta(
            saved.Meta(
                next=self._next,
                marks=self._marks,
                counts={topic: self._counts[topic] for topic in sorted(self._counts)},
                sensors=self._sensors.saved(),
                shapes={
                    role: (shape.total.tobytes(), shape.count.tobytes()) for role, shape in sorted(self._shapes.items())
                },
                suffering=self._suffering.saved(),
                watched=self._speaker.watched(),
                pending=self._pending.saved(),
            )
        )

    def restore(self, buckets: Iterable[tuple[int, bytes]], meta: bytes) -> None:
        """Become the scorer that gave these; the last state of a bucket counts. Raises BadInput."""
        read = saved.read_meta(meta)
        states = saved.read_buckets(dict(buckets))
        self._begin()
        self._next = read.next
        self._marks = {name: read.marks.get(name, 0) for name in self._marks}
        self._counts = read.counts
        self._sensors.restore(read.sensors)
        self._shapes = {role: saved.shape(*raw) for role, raw in read.shapes.items()}
        self._suffering.restore(read.suffering)
        self._pending.restore(read.pending)
        saved.restore(states, self._subjects, self._views, self._sensors, self._register.standings)
        self._speaker.restore(read.watched)
        self._views.advance(self._next)
        self._fresh, _ = distinct(self._views.slot[self._views.active()], self._subjects.size)
        self._dirty = set()


def _boundary(tick: int, every: int) -> int:
    """The first tick from `tick` on that ends a stretch of `every` ticks."""
    return (tick // every + 1) * every - 1
