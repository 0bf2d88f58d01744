"""sFlow through goflow2 and log lines through rsyslog, over Apache Kafka."""

import shutil
from pathlib import Path

import pytest

from deploy.lab.net.aside import Attack, Witnesses
from deploy.lab.net.collectors import GOFLOW2, RSYSLOGD
from deploy.lab.net.lab import Lab, Wishes
from deploy.lab.net.sites import GOFLOW2_TOPIC, Collectors
from tests.integration.apache import apache_kafka
from tests.network.guarding import guarded
from tests.network.looking import fences, silence

pytestmark = [
    pytest.mark.root,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not GOFLOW2.exists(), reason="goflow2 is not built: deploy/goflow2.sh needs Go and its proxy"),
    pytest.mark.skipif(shutil.which(RSYSLOGD) is None, reason=f"{RSYSLOGD} is not installed (deploy/apt.txt)"),
]


@pytest.fixture(scope="module")
def wishes() -> Wishes:
    return Wishes(collectors=Collectors.GOFLOW2)


def test_offender_is_isolated_through_goflow2(lab: Lab, witnesses: Witnesses, tmp_path: Path) -> None:
    with apache_kafka(tmp_path) as kafka, guarded(lab, tmp_path / "cordon", broker=kafka.bootstrap) as cordon:
        with Attack(lab, "saturation", origin="s2", pps=4_000.0, seconds=120.0) as attack:
            decision = cordon.await_decision("s2", "enforced")
            assert fences(decision) == {("block_address", "sw2")}
            silence(witnesses, attack)
        assert cordon.scored(GOFLOW2_TOPIC) > 0
        assert witnesses.testimony().lost == {}
