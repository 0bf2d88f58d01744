"""The demonstration on Apache Kafka that it starts by itself: generator, worker, verdicts, controller, devices."""

from pathlib import Path

import pytest

from tests.integration.apache import why_not, without
from tests.integration.test_demo import SEED, demo


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_offender_is_isolated_through_apache_kafka(tmp_path: Path) -> None:
    without(why_not())
    status, summary = demo(tmp_path, "--seed", SEED, "--no-warm-up", "--scenario", "2", "--broker", "apache")
    assert (status, summary["exit"], summary["reasons"]) == (0, "ok", [])
    assert summary["broker"] == "apache"
    (incident,) = summary["incidents"]
    assert incident["offender"] in incident["expected"]
    assert incident["isolated_s"] is not None
    assert summary["false_actions"] == 0
