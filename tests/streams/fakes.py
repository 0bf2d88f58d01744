"""A combiner and a scorer that only count, so that every count can be checked: stand-ins behind the agents' ports.

A record is a line `host at_ns`; a line that is not is rejected, and `skip` is skipped. `teach host` is skipped too, and
says of whom later lines `it at_ns` speak. A host's verdicts are its total
at the end of the tick, of a second, in which it came to a multiple of EVERY.
"""

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address

from controller.domain import wire
from controller.domain.address import HostKey
from controller.domain.errors import BadInput
from controller.domain.estate import Source
from controller.domain.verdict import Finding, Level, Rates, Verdict
from streams.activity import Combined, ExporterSeen
from streams.decode import Reject
from streams.lessons import Memory

SECOND = 1_000_000_000
EVERY = 8
ROWS = 3  # of a body


def bucket_of(host: str) -> int:
    return zlib.crc32(host.encode()) % 4096


class Taught:
    """What a partition was taught: the host that lines speak of which name none."""

    def __init__(self, host: str) -> None:
        self.host, self.changes = host, 0

    def learn(self, host: str) -> None:
        self.changes += host != self.host
        self.host = host

    def saved(self) -> bytes:
        return self.host.encode()


class Heap:
    """What frames said, as bodies are."""

    def __init__(self, topic: str, partitions: int) -> None:
        self._topic, self._partitions = topic, partitions
        self.begin()

    def begin(self) -> None:
        self.rows: list[list[tuple[str, int]]] = [[] for _ in range(self._partitions)]

    def told(self) -> list[list[bytes]]:
        """Of a partition of which much was said, in several pieces."""
        pieces = [[rows[at : at + ROWS] for at in range(0, len(rows), ROWS)] for rows in self.rows]
        self.begin()
        return [[json.dumps([self._topic, one]).encode() for one in cut] for cut in pieces]


class CountingCombiner:
    def __init__(self, *, partitions: int) -> None:
        self._partitions = partitions

    def memory(self, source: Source, saved: bytes | None = None) -> Taught:
        return Taught((saved or b"").decode())

    def gathered(self, source: Source) -> Heap:
        return Heap(source.topic, self._partitions)

    def take(
        self, value: bytes, gathered: Heap, *, source: Source, kafka_ns: int, memory: Memory | None = None
    ) -> Combined:
        rows: list[list[tuple[str, int]]] = [[] for _ in range(self._partitions)]
        rejects: list[Reject] = []
        skipped = received = 0
        for line in value.splitlines():
            if line == b"crash":
                raise RuntimeError("told to")
            received += 1
            host, _, at = line.decode("utf-8", "replace").partition(" ")
            if host == "it" and isinstance(memory, Taught) and memory.host:
                host = memory.host
            if host == "teach" and isinstance(memory, Taught):
                memory.learn(at)
                skipped += 1
            elif host == "skip":
                skipped += 1
            elif not at.isdigit():
                rejects.append(Reject(line, "not host and time"))
            else:
                rows[bucket_of(host) % self._partitions].append((host, int(at)))
        count = sum(map(len, rows))
        for heap, more in zip(gathered.rows, rows, strict=True):
            heap += more
        latest = max((at for one in rows for _, at in one), default=0)
        seen = {"192.0.2.1": ExporterSeen(count, latest, fragments_visible=False)} if count else {}
        return Combined(received, skipped, tuple(rejects), count, (), seen, latest)


class CountingScorer:
    def __init__(self, *, inputs: Sequence[str]) -> None:
        self._marks = dict.fromkeys(inputs, 0)
        self._open: dict[int, dict[str, int]] = {}  # tick → host → records
        self._totals: dict[int, dict[str, int]] = {}  # bucket → host → records
        self._counts: dict[str, dict[str, int]] = {}
        self._changed: set[int] = set()
        self._closed = 0
        self.watched: list[wire.DecisionNote] = []

    def apply(self, body: bytes, *, origin: str = "") -> None:
        topic, rows = json.loads(body)
        for host, at in rows:
            if host == "poison":
                raise BadInput("poison")
            tick = self._open.setdefault(at // SECOND, {})
            tick[host] = tick.get(host, 0) + 1
        counts = self._counts.setdefault(topic, {"scored": 0, "late": 0})
        counts["scored"] += len(rows)
        counts["late"] += sum(at // SECOND < self._closed for _, at in rows)

    def mark(self, source_partition: str, at_ns: int) -> list[Verdict]:
        self._marks[source_partition] = max(at_ns, self._marks[source_partition])
        end = min(self._marks.values()) // SECOND
        verdicts = []
        for tick in sorted(tick for tick in self._open if tick < end):
            for host, count in sorted(self._open.pop(tick).items()):
                totals = self._totals.setdefault(bucket_of(host), {})
                totals[host] = totals.get(host, 0) + count
                self._changed.add(bucket_of(host))
                if totals[host] % EVERY == 0:
                    verdicts.append(_verdict(host, (tick + 1) * SECOND, totals[host]))
        self._closed = max(end, self._closed)
        return verdicts

    def watch(self, note: wire.DecisionNote) -> None:
        self.watched.append(note)

    def changed(self) -> list[tuple[int, bytes]]:
        changed, self._changed = self._changed, set()
        return [(bucket, json.dumps(self._totals[bucket]).encode()) for bucket in sorted(changed)]

    def meta(self) -> bytes:
        return json.dumps([self._marks, list(self._open.items()), self._counts, self._closed]).encode()

    def restore(self, buckets: Iterable[tuple[int, bytes]], meta: bytes) -> None:
        self._totals = {bucket: json.loads(raw) for bucket, raw in buckets}
        marks, open_ticks, self._counts, self._closed = json.loads(meta)
        self._marks |= marks
        self._open = {int(tick): hosts for tick, hosts in open_ticks}

    def counts(self) -> Mapping[str, Mapping[str, int]]:
        return self._counts

    def silent(self) -> tuple[str, ...]:
        return ()

    @property
    def event_ns(self) -> int:
        return self._closed * SECOND


def _verdict(host: str, end_ns: int, total: int) -> Verdict:
    key = HostKey(ip_address(host))
    return Verdict(key, end_ns, float(total % 100), Level.WATCH, Finding.OFFENDER, (), Rates(flows=float(total)))
