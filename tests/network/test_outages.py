"""What Cordon itself stands on is gone for a while, with real packets: its broker, its ledger."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import postgres
from deploy.apache import ApacheKafka
from deploy.lab.net.aside import Attack, Witnesses
from deploy.lab.net.lab import Lab
from deploy.postgres import Postgres
from tests.integration.apache import apache_kafka, without
from tests.network.guarding import Guarded, guarded
from tests.network.looking import changed, fences, silence, states
from tests.network.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

PPS = 4_000.0


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    with apache_kafka(tmp_path_factory.mktemp("kafka")) as one:
        yield one


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    without(postgres.missing())
    with tempfile.TemporaryDirectory(prefix="cordon-pg-") as where, Postgres(Path(where)) as server:
        yield server


@pytest.fixture(scope="module")
def cordon(
    lab: Lab, kafka: ApacheKafka, database: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guarded]:
    ledger = database.create("ledger")
    with guarded(lab, tmp_path_factory.mktemp("cordon"), broker=kafka.bootstrap, ledger=ledger) as one:
        yield one


def test_flood_that_begins_while_the_broker_is_dead_is_fenced_when_it_is_back(
    lab: Lab, cordon: Guarded, kafka: ApacheKafka, witnesses: Witnesses
) -> None:
    before = states(lab)
    kafka.kill(1)
    with Attack(lab, "saturation", origin="d1", pps=PPS, seconds=200.0) as attack:
        until(lambda: witnesses.testimony().of(attack, "world").count > PPS, what="a flood", deadline_s=60.0)
        assert changed(lab, before) == set()
        kafka.launch(1)
        kafka.await_ready(1)
        decision = cordon.await_decision("d1", "enforced")
        assert fences(decision) == {("block_address", "sw1")}
        silence(witnesses, attack)
    assert witnesses.testimony().lost == {}
    cordon.await_quiet("d1", attack)
    cordon.release(decision)
    assert changed(lab, before) == set()


def test_nothing_is_sent_while_the_ledger_cannot_be_written_and_the_flood_is_fenced_once_it_can(
    lab: Lab, cordon: Guarded, database: Postgres, witnesses: Witnesses
) -> None:
    before = states(lab)
    database.kill()
    try:
        with Attack(lab, "saturation", origin="d1", pps=PPS, seconds=200.0) as attack:
            until(lambda: witnesses.testimony().of(attack, "world").count > 5 * PPS, what="a flood", deadline_s=60.0)
            assert changed(lab, before) == set()
            database.start()
            decision = cordon.await_decision("d1", "enforced")
            silence(witnesses, attack)
    finally:
        if not database.runs:
            database.start()
    assert witnesses.testimony().lost == {}
    cordon.await_quiet("d1", attack)
    cordon.release(decision)
    assert changed(lab, before) == set()
