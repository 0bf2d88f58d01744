"""Dry-run with real packets: everything is seen, named and planned, and nothing is configured."""

import pytest

from deploy.lab.net.aside import Attack, Witnesses
from deploy.lab.net.lab import Lab, Wishes
from tests.network.guarding import guarded
from tests.network.looking import changed, fences, states

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def wishes() -> Wishes:
    return Wishes(mode="dry-run")


def test_dry_run_names_and_plans_and_changes_no_octet_on_any_device(
    lab: Lab, witnesses: Witnesses, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with guarded(lab, tmp_path_factory.mktemp("dry")) as cordon:
        before = states(lab)
        with Attack(lab, "saturation", origin="c2", pps=4_000.0, seconds=120.0) as attack:
            decision = cordon.await_decision("c2", "approved")
            arrived = witnesses.testimony().of(attack, "world").count
            attack.stop()
        assert decision["simulated"]
        assert fences(decision) == {("block_address", "sw1")}
        assert arrived > 0
        assert witnesses.testimony().of(attack, "world").last_number == attack.sent - 1, "somebody stopped the flood"
        assert changed(lab, before) == set()
