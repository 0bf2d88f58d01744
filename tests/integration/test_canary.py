"""A canary comes from the sources' clock marks, through a worker, to the controller's ears, over a real broker."""

import time
from collections.abc import Callable
from pathlib import Path

from controller.__main__ import SystemClock
from controller.domain import wire
from controller.intake import Batch, Intake
from controller.settings import EMBEDDED, Access, Broker
from tests.integration.bench import PARTITIONS, SECOND, Bench, bench, story

PATIENCE_S = 60.0
EVERY = wire.CANARY_NS // SECOND
LATE = 2 * wire.CANARY_NS + 5 * SECOND


def heard(intake: Intake, enough: Callable[[list[Batch]], bool]) -> list[Batch]:
    batches: list[Batch] = []
    end = time.monotonic() + PATIENCE_S
    while not enough(batches):
        assert time.monotonic() < end, batches
        batches.append(intake.poll(50))
    return batches


def ears(desk: Bench) -> Intake:
    return Intake(Access(Broker(desk.broker.bootstrap, tempo=EMBEDDED)), {}, clock=SystemClock())


def canaries(batches: list[Batch]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for batch in batches:
        for one in batch.canaries:
            found.setdefault(one.partition, []).append(one.event_ns // SECOND // EVERY)
    return found


def last(batches: list[Batch]) -> dict[int, int]:
    return {partition: said[-1] for partition, said in canaries(batches).items()}


def test_each_activity_partition_says_a_canary_every_ten_seconds_of_what_all_sources_have_told(tmp_path: Path) -> None:
    with bench(tmp_path) as desk:
        desk.worker("w1", group="canary")
        intake = ears(desk)
        heard(intake, lambda _: not intake.behind)
        told = story(3 * EVERY + 5)
        late = [one for one in told if one.key == wire.MARK_KEY and one.partition == 0 and int(one.value) > LATE]
        desk.publish([one for one in told if one not in late])
        batches = heard(intake, lambda seen: last(seen) == dict.fromkeys(range(PARTITIONS), 2))
        assert all(one == sorted(set(one)) for one in canaries(batches).values())
        # One source partition has told nothing of the third interval: nobody vouches for it before it does.
        desk.publish(late)
        batches = heard(intake, lambda seen: len(canaries(seen)) == PARTITIONS)
        assert last(batches) == dict.fromkeys(range(PARTITIONS), 3)
        intake.close()


def test_what_only_calls_itself_a_canary_is_a_dead_letter(tmp_path: Path) -> None:
    with bench(tmp_path) as desk:
        intake = ears(desk)
        heard(intake, lambda _: not intake.behind)
        for forged in (b"", b"no", b'{"v":1,"partition":"x","event_ns":1}', b'{"v":1}'):
            assert desk.publisher.send(wire.VERDICTS, forged, partition=0, key=wire.CANARY_KEY)
        batches = heard(intake, lambda seen: sum(len(one.dead) for one in seen) == 4)
        assert canaries(batches) == {}
        intake.close()
