"""What is gathered over frames is what one frame of all their records says, however it is told."""

from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from controller.domain.estate import Estate
from controller.domain.rulebook import Rulebook
from streams import messages
from streams.activity import Combiner
from streams.gathering import Gathered
from streams.grouping import Gathering, Grouping
from streams.keys import buckets_of, scope_digest
from streams.places import Places
from streams.rows import Sighting
from tests.streams.world import FLOWS, START, TICK, frame, inbound, record, site

PARTITIONS = 4
ESTATE = Estate(site())
COMBINER = Combiner(ESTATE, Rulebook(1), partitions=PARTITIONS)
Row = tuple[bytes, str, int, int, int]


def records(count: int, *, hosts: int) -> list[dict[str, Any]]:
    """Of many addresses of ours, some of it from long ago and over several ticks, with rare columns too."""
    draw = Random(count)
    made = []
    for _ in range(count):
        at = START + draw.randrange(2 * TICK)
        host = f"198.18.{draw.randrange(hosts) // 250}.{draw.randrange(250) + 1}"
        lasted = draw.choice([0, 0, 3 * TICK, 40 * TICK])
        fields = {"time_flow_start_ns": at - lasted, "time_flow_end_ns": at, "packets": draw.randrange(1, 9)}
        fields |= {"proto": draw.choice(["TCP", "UDP"]), "tcp_flags": draw.choice([2, 18, 24]), "fragment_offset": 0}
        if draw.random() < 0.1:
            fields |= {"fragment_offset": 185, "dst_port": 25, "src_port": 53}
        one = record(at, host, **fields) if draw.random() < 0.3 else inbound(at, host, **fields)
        made.append(one)
    return made


def home(keys: NDArray[np.bytes_]) -> NDArray[np.int64]:
    return buckets_of(keys, 4_096) % PARTITIONS


def fed(gathered: Gathered, frames: Iterable[Sequence[dict[str, Any]]]) -> Gathered:
    for one in frames:
        COMBINER.take(frame(one), gathered, source=FLOWS, kafka_ns=START)
    return gathered


def told(bodies: Sequence[Sequence[bytes]]) -> tuple[dict[Row, Any], list[Any], list[list[Sighting]]]:
    """Rows by what names them, the records heard of each partition, and its sightings."""
    rows: dict[Row, Any] = {}
    heard, sightings = [], []
    for pieces in bodies:
        heard.append([one for piece in pieces for one in messages.decode(piece)[0].heard])
        sightings.append([one for piece in pieces for one in messages.decode(piece)[0].sightings])
        for piece in pieces:
            body, some = messages.decode(piece)
            if some is None:
                continue
            counts = some.counts.table(28)
            columns = (some.key, some.exporter, some.tick, some.span, some.vantage)
            for at, (key, exporter, *rest) in enumerate(zip(*(one.tolist() for one in columns), strict=True)):
                mine = some.peer_row == at
                peers = sorted(zip(some.peer[mine].tolist(), some.peer_bytes[mine].tolist(), strict=True))
                name = (key, body.names[exporter], *rest)
                assert name not in rows, "a row stands in one piece"
                facts = int(some.flags[at]), int(some.interface[at]), int(some.mac[at]), int(some.first_ns[at])
                rows[name] = (counts[at].tolist(), facts, peers, sorted(some.bit[some.bit_row == at].tolist()))
    return rows, heard, sightings


@pytest.mark.parametrize("hosts", [20, 6_000])
def test_frames_say_together_what_one_frame_of_all_their_records_says(hosts: int) -> None:
    every = records(6_000, hosts=hosts)
    at_once = told(fed(COMBINER.gathered(FLOWS), [every]).told())
    cut = [every[start : start + size] for start, size in ((0, 1), (1, 700), (701, 5_299))]
    assert told(fed(COMBINER.gathered(FLOWS), cut).told()) == at_once
    assert len(at_once[0]) > (1_024 if hosts > 20 else 50), "tables had to grow"


def test_a_stretch_in_pieces_says_the_same_and_says_it_once() -> None:
    every = records(3_000, hosts=6_000)
    whole = fed(COMBINER.gathered(FLOWS), [every]).told()
    pieces = fed(COMBINER.gathered(FLOWS), [every]).told(rows=100)
    assert max(map(len, whole)) == 1
    assert min(map(len, pieces)) > 4
    assert told(pieces) == told(whole)


def test_a_frame_by_itself_makes_one_body_for_each_partition_however_large() -> None:
    every = [inbound(START + n, f"198.18.{n // 250}.{n % 250 + 1}") for n in range(30_000)]
    one = Combiner(ESTATE, Rulebook(1), partitions=1)
    (body,) = one.frame(frame(every), source=FLOWS, kafka_ns=START).bodies
    gathered = one.gathered(FLOWS)
    one.take(frame(every), gathered, source=FLOWS, kafka_ns=START)
    (pieces,) = gathered.told()
    assert len(pieces) > 1
    assert told([[body]]) == told([pieces])


def test_what_was_told_is_not_told_again() -> None:
    first, second = records(500, hosts=20), records(700, hosts=6_000)
    gathered = fed(COMBINER.gathered(FLOWS), [first])
    assert told(gathered.told()) == told(fed(COMBINER.gathered(FLOWS), [first]).told())
    assert gathered.told() == [[]] * PARTITIONS
    fed(gathered, [second])
    assert told(gathered.told()) == told(fed(COMBINER.gathered(FLOWS), [second]).told())


def test_forgetting_who_was_asked_about_within_a_stretch_changes_nothing_but_the_number_of_rows() -> None:
    every = records(2_000, hosts=1_000)

    def sums(remembered: int) -> dict[Row, Any]:
        scope = scope_digest(FLOWS.scope)
        grouping = Grouping(Places(ESTATE), (), scope, homes=home, tick_ns=TICK, remembered=remembered)
        gathered = Gathered(FLOWS.topic, Gathering(grouping), partitions=PARTITIONS)
        fed(gathered, [every[start : start + 250] for start in range(0, 2_000, 250)])
        found: dict[Row, Any] = {}
        for piece in (piece for pieces in gathered.told() for piece in pieces):
            body, some = messages.decode(piece)
            assert some is not None
            columns = (some.key, some.exporter, some.tick, some.span, some.vantage)
            for at, (key, exporter, *rest) in enumerate(zip(*(one.tolist() for one in columns), strict=True)):
                name, counts = (key, body.names[exporter], *rest), some.counts.table(28)[at]
                counts[[5, 6]] = 0  # distinct ones may be counted once more
                found[name] = found.get(name, np.zeros(28, np.int64)) + counts
        return {name: counts.tolist() for name, counts in found.items()}

    assert sums(remembered=100) == sums(remembered=100_000)
