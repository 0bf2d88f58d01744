"""Collectors that a hoster may already have: sFlow through pmacct, log lines through rsyslog, over Apache Kafka."""

import shutil
from pathlib import Path

import pytest

from deploy.lab.net.aside import Attack, Witnesses
from deploy.lab.net.collectors import RSYSLOGD, SFACCTD
from deploy.lab.net.lab import Lab, Wishes
from deploy.lab.net.sites import PMACCT_TOPIC, Collectors
from tests.integration.apache import apache_kafka
from tests.network.guarding import guarded
from tests.network.looking import fences, silence
from tests.network.waiting import until

LACKING = [program for program in (SFACCTD, RSYSLOGD) if shutil.which(program) is None]
pytestmark = [
    pytest.mark.root,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(LACKING), reason=f"collectors of others need {', '.join(LACKING)} (deploy/apt.txt)"),
]


@pytest.fixture(scope="module")
def wishes() -> Wishes:
    return Wishes(collectors=Collectors.OTHERS)


def test_offender_is_isolated_and_its_firewall_is_heard_through_collectors_of_others(
    lab: Lab, witnesses: Witnesses, tmp_path: Path
) -> None:
    with apache_kafka(tmp_path) as kafka, guarded(lab, tmp_path / "cordon", broker=kafka.bootstrap) as cordon:
        lab.devices["fw1"].shell.ask("logger -t kernel 'nf_conntrack: nf_conntrack: table full, dropping packet'")
        until(
            lambda: "no_network_cause" in {one["finding"] for one in cordon.get("/hosts")["items"]},
            what="the firewall to be heard",
            deadline_s=60.0,
            shown=cordon.story,
        )
        with Attack(lab, "saturation", origin="s2", pps=4_000.0, seconds=120.0) as attack:
            decision = cordon.await_decision("s2", "enforced")
            assert fences(decision) == {("block_address", "sw2")}
            silence(witnesses, attack)
        assert cordon.scored(PMACCT_TOPIC) > 0
        assert witnesses.testimony().lost == {}
