"""Shared hosting at its own firewall: what two people agreed to may cross it, and a flood dies there."""

from collections.abc import Iterator

import pytest

from deploy.lab.net.aside import Attack, Witnesses
from deploy.lab.net.lab import Lab
from tests.network.guarding import Guarded, guarded
from tests.network.looking import changed, heard_again, silence, states
from tests.network.waiting import until

pytestmark = pytest.mark.root

BEFORE_FIREWALL = frozenset({"fw1/inside"})


@pytest.fixture(scope="module")
def cordon(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """People decide, so that nothing but the segment's own rules stops a flood here."""
    with guarded(lab, tmp_path_factory.mktemp("cordon"), mode="approve") as one:
        yield one


def proposed(cordon: Guarded, kind: str) -> str:
    answer = cordon.asked(kind, "shared")
    assert answer["decision_id"], answer
    return str(answer["decision_id"])


def test_flood_in_shared_hosting_reaches_the_core_until_two_people_separate_the_segment(
    lab: Lab, cordon: Guarded, witnesses: Witnesses
) -> None:
    before = states(lab)
    with Attack(lab, "saturation", origin="s2", pps=1_000.0, seconds=120.0) as attack:
        until(lambda: witnesses.testimony().of(attack, "world").count > 0, what="the flood beyond the core")
        ident = proposed(cordon, "segment_apply")
        cordon.approve(ident, "ann")
        assert cordon.get(f"/decisions/{ident}")["state"] == "proposed", "one person is not enough"
        assert changed(lab, before) == set()
        cordon.approve(ident, "bob")
        cordon.await_state(ident, "enforced")
        silence(witnesses, attack, but=BEFORE_FIREWALL)
        inside = witnesses.testimony().of(attack, "fw1/inside").count
        until(lambda: witnesses.testimony().of(attack, "fw1/inside").count > inside, what="the flood to go on inside")
        assert changed(lab, before) == {"fw1"}
    assert witnesses.testimony().lost == {}, "what may cross lost nothing, nor did anybody else"
    assert "holds what is declared" in cordon.asked("segment_check", "shared")["answer"]
    cordon.post(f"/decisions/{ident}/release", reason="the test is over")
    cordon.await_state(ident, "released")
    heard_again(lab, witnesses, "saturation", "s2")
    assert changed(lab, before) == set()


def test_isolated_segment_exchanges_nothing_with_anybody_and_is_given_back(
    lab: Lab, cordon: Guarded, witnesses: Witnesses
) -> None:
    before = states(lab)
    ident = proposed(cordon, "segment_isolate")
    cordon.approve(ident, "eve", "dan")
    cordon.await_state(ident, "enforced")
    with Attack(lab, "saturation", origin="s2", pps=500.0, seconds=60.0) as attack:
        until(lambda: witnesses.testimony().of(attack, "fw1/inside").count > 0, what="packets before the firewall")
        silence(witnesses, attack, but=BEFORE_FIREWALL)
        assert witnesses.testimony().of(attack, "world").count == 0
    lost = witnesses.testimony().lost
    assert {pair.split("-ipv")[0] for pair in lost} == {"s1-c1", "s3-store1"}, "its own, and nobody else's"
    cordon.post(f"/decisions/{ident}/release", reason="the test is over")
    cordon.await_state(ident, "released")
    heard_again(lab, witnesses, "saturation", "s2")
    assert changed(lab, before) == set()
