"""Views make room when nothing is left in their windows, whoever's they are."""

import pytest

from tests.streams.world import MINUTE, START, Bench, inbound, record


@pytest.mark.parametrize("told", [record(START, "198.18.0.7"), inbound(START, "198.18.0.7")], ids=["sent", "received"])
def test_a_subject_that_has_fallen_silent_takes_no_room_in_the_windows(told: dict[str, object]) -> None:
    bench = Bench(partitions=1)
    bench.run([told], until_ns=START + MINUTE, step_ns=MINUTE // 60)
    [scorer] = bench.scorers
    assert not scorer._views.occupied
