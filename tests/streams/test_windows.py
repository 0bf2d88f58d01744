"""Views make room when nothing is left in their windows, whoever's they are."""

import pytest

from streams.windows import Views
from tests.streams.world import MINUTE, SECOND, START, Bench, flood, inbound, record, warm


@pytest.mark.parametrize("told", [record(START, "198.18.0.7"), inbound(START, "198.18.0.7")], ids=["sent", "received"])
def test_a_subject_that_has_fallen_silent_takes_no_room_in_the_windows(told: dict[str, object]) -> None:
    bench = Bench(partitions=1)
    bench.run([told], until_ns=START + MINUTE, step_ns=MINUTE // 60)
    [scorer] = bench.scorers
    assert not scorer._views.occupied


def crowd(count: int) -> list[dict[str, object]]:
    """So many of ours are heard once, and a few go on: in single packets, and in flows that last."""
    once = [record(START, f"198.18.{200 + n // 200}.{n % 200 + 1}", in_if=1000 + n) for n in range(count)]
    lasting = {"time_flow_start_ns": START, "time_flow_end_ns": START + 30 * SECOND, "bytes": 30_000, "packets": 30}
    going_on = [inbound(START + second * SECOND, "198.18.0.8") for second in range(40)]
    late = flood("198.18.0.7", begin_ns=START + 33 * SECOND)
    return [*once, *going_on, record(START + 30 * SECOND, "198.18.0.9", **lasting), *late]


def test_room_that_is_given_back_changes_nothing_that_is_said_or_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    frugal, lavish = warm(), warm()
    said = frugal.run(crowd(4_000), until_ns=START + 42 * SECOND)
    assert all(len(scorer._views.slot) < 1_000 for scorer in frugal.scorers)
    monkeypatch.setattr(Views, "shrink", lambda _: None)
    assert lavish.run(crowd(4_000), until_ns=START + 42 * SECOND) == said
    assert all(len(scorer._views.slot) > 1_000 for scorer in lavish.scorers)
    assert said
    assert frugal.saved() == lavish.saved()
