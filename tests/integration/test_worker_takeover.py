"""Workers die, are told to leave and replace each other, and every record is counted once."""

import random
import signal
import threading
from pathlib import Path

import pytest

from controller.domain import wire
from tests.integration.bench import SECOND, Input, bench, publish_slowly, story, undisturbed

pytestmark = pytest.mark.timeout(300)  # each test starts two or three processes, and a group takes seconds to form


def test_a_worker_killed_in_the_warm_up_counts_and_scores_as_if_nothing_had_happened(tmp_path: Path) -> None:
    inputs = story(160)
    chance = random.Random(7)
    with bench(tmp_path) as desk:
        desk.worker("w0", group="g0")
        publishing = publish_slowly(desk, inputs, seconds=7)
        for number, how in enumerate((signal.SIGKILL, signal.SIGTERM)):
            name = f"w{number}"
            desk.wait(lambda last: any(beat.event_ns for beat in last.values()))
            threading.Event().wait(chance.uniform(0.0, 1.5))  # any moment will do
            desk.end(name, how)
            desk.worker(f"w{number + 1}", group=f"g{number + 1}")
        publishing.join()
        beats = desk.drained(161 * SECOND)
        found, wanted = desk.outcome(beats), undisturbed(inputs)
    assert found.counts == wanted.counts
    assert found.verdicts == wanted.verdicts
    assert not [note for beat in beats for note in beat.notes]


def test_two_workers_share_the_partitions_and_take_over_from_each_other(tmp_path: Path) -> None:
    inputs = story(120)
    with bench(tmp_path) as desk:
        desk.worker("one", group="both")
        publishing = publish_slowly(desk, inputs, seconds=6)
        desk.wait(lambda last: last["one"].event_ns > 0)
        desk.worker("two", group="both")
        desk.wait(lambda last: all(beat.lag for beat in last.values()))
        desk.end("one", signal.SIGTERM)
        publishing.join()
        beats = desk.drained(121 * SECOND)
        found, wanted = desk.outcome(beats), undisturbed(inputs)
    assert found.counts == wanted.counts
    assert found.verdicts == wanted.verdicts


def test_bad_input_is_kept_with_its_reason_and_the_sum_is_exact(tmp_path: Path) -> None:
    inputs = [
        Input("cordon.flows", 0, b"198.18.0.1 1000000005\nskip\nnot a record"),
        Input("cordon.flows", 1, b""),
        Input("cordon.flows", 1, b"crash"),
        Input("cordon.flows", 2, b"x" * 800_000),
        Input("cordon.flows", 2, b"\xff\xfe\x00"),
        Input("cordon.flows", 3, b"not a mark", wire.MARK_KEY),
        Input("cordon.flows", 3, wire.mark(4_102_444_800 * SECOND), wire.MARK_KEY),
        *story(3),
    ]
    with bench(tmp_path) as desk:
        desk.worker("only", group="g")
        desk.publish(inputs)
        [beat] = desk.drained(4 * SECOND)
        letters = [wire.dead_letter_from(value) for value in desk.read(wire.DEAD)]
        assert desk.end("only", signal.SIGTERM) == 0
    counts = beat.sources["cordon.flows"]
    assert counts["received"] == counts["scored"] + counts["dead"] + counts["skipped"] == 3 + 1 + 1 + 1 + 3 * 84 + 4
    assert (counts["dead"], counts["skipped"]) == (4, 1 + 4)
    assert {letter.source: letter.reason for letter in letters} == {
        "cordon.flows/0@0": "not host and time",
        "cordon.flows/1@1": "combine: RuntimeError: told to",
        "cordon.flows/2@0": "not host and time",
        "cordon.flows/2@1": "not host and time",
        "cordon.flows/3@0": "clock mark is not a decimal number",
        "cordon.flows/3@1": "clock mark from the future",
    }
    assert next(one.length for one in letters if one.source == "cordon.flows/2@0") == 800_000


def test_a_worker_that_cannot_go_on_exits_and_says_why(tmp_path: Path) -> None:
    with bench(tmp_path) as desk:
        desk.worker("orphan", group="g")
        desk.wait(lambda last: bool(last["orphan"].lag))
        desk.worker("usurper", group="another")
        desk.wait(lambda last: bool(last["usurper"].lag))
        desk.publish(story(2))
        orphan = desk.workers.pop("orphan")
        assert orphan.wait(30) == 1
        assert "was claimed by b'usurper'" in desk.log()
        [beat] = desk.drained(3 * SECOND)
        assert desk.outcome([beat]) == undisturbed(story(2))
