"""What a stretch of one source's messages says to each activity partition, gathered message by message."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from streams.grouping import Gathering, Grouped
from streams.messages import Body, encode
from streams.packing import bodies
from streams.rows import Claim, Sighting, Symptom

ROWS = 12_000
"""Rows of one piece: half a megabyte, in general."""

MOST = 900_000
"""Octets of a piece, which has to fit a message of Kafka; what is larger is cut into more of them."""

_LEAST_ROWS, _ALL = 64, 1 << 40


class Gathered:
    """What was said so far, of one topic and scope."""

    def __init__(self, topic: str, gathering: Gathering, *, partitions: int) -> None:
        self.flows = gathering
        self._topic, self._partitions = topic, partitions
        self._begin()

    def _begin(self) -> None:
        self._heard: list[dict[int, int]] = [{} for _ in range(self._partitions)]
        self._claims: list[list[Claim]] = [[] for _ in range(self._partitions)]
        self._symptoms: list[Symptom] = []
        self._sightings: dict[tuple[str, int], Sighting] = {}

    def hear(self, partition: int, tick: int, records: int) -> None:
        """Count records that no other partition counts."""
        heard = self._heard[partition]
        heard[tick] = heard.get(tick, 0) + records

    def see(self, one: Sighting) -> None:
        """Note that an exporter was heard in a tick: every partition hears of it, for each judges silence by itself."""
        at = (one.exporter, one.tick)
        before = self._sightings.get(at)
        if before is not None:
            one = Sighting(
                *at,
                before.records + one.records,
                max(before.last_ns, one.last_ns),
                max(before.sampling, one.sampling),
            )
        self._sightings[at] = one

    def claim(self, partition: int, claim: Claim) -> None:
        """Note what log lines claim of a subject of this partition."""
        self._claims[partition].append(claim)

    def suffer(self, symptoms: Iterable[Symptom]) -> None:
        """Note what devices say of themselves."""
        self._symptoms += symptoms

    def told(self, *, rows: int = ROWS) -> list[list[bytes]]:
        """The bodies for each partition, of so many rows at most, none where there is nothing to say; begins anew."""
        names, grouped = self.flows.names, self.flows.taken()
        made = self._bodies(names, grouped, rows)
        while rows > _LEAST_ROWS and max((len(body) for one in made for body in one), default=0) > MOST:
            rows //= 2
            made = self._bodies(names, grouped, rows)
        self._begin()
        return made

    def whole(self) -> list[bytes]:
        """What one frame says: a body for each partition, however large; b"" where there is nothing to say."""
        made = self._bodies(self.flows.names, self.flows.taken(), _ALL)
        self._begin()
        return [b"".join(bodies) for bodies in made]

    def _bodies(self, names: list[str], grouped: Sequence[Grouped], rows: int) -> list[list[bytes]]:
        made: list[list[bytes]] = [[] for _ in range(self._partitions)]
        for one in grouped:
            count = np.bincount(one.home, minlength=self._partitions)
            pieces = np.maximum(-(-count // rows), 1)
            first = np.cumsum(pieces) - pieces
            slot = first[one.home] + _place(one.home, count) // rows
            heads = [Body(self._topic, [], names) for _ in range(int(pieces.sum()))]
            for partition, at in enumerate(first.tolist()):
                if not made[partition]:
                    self._head(heads[at], partition)
            told = bodies(heads, one.rows, one.number, slot)
            for partition, (at, many) in enumerate(zip(first.tolist(), pieces.tolist(), strict=True)):
                if not made[partition] or count[partition]:
                    made[partition] += told[at : at + many]
        if not grouped:
            for partition, said in enumerate(made):
                head = self._head(Body(self._topic, [], []), partition)
                if head.heard or head.claims or head.symptoms or head.sightings:
                    said.append(encode(head, None))
        return made

    def _head(self, body: Body, partition: int) -> Body:
        """Put into a body what is no row."""
        body.heard = sorted(self._heard[partition].items())
        body.claims = self._claims[partition]
        body.symptoms = self._symptoms
        body.sightings = [self._sightings[at] for at in sorted(self._sightings)]
        return body


def _place(home: NDArray[np.int64], count: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each row stands among those of its partition."""
    order = np.argsort(home, kind="stable")
    place = np.empty(len(home), np.int64)
    place[order] = np.arange(len(home)) - np.repeat(np.cumsum(count) - count, count)
    return place
