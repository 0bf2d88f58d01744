"""The situations that Cordon exists for, with real packets: what stops, what goes on, what nobody touched."""

import re
from collections.abc import Iterator

import pytest

from deploy.lab.net.aside import Attack, Witnesses
from deploy.lab.net.lab import Lab
from tests.network.guarding import Guarded, guarded
from tests.network.looking import changed, fences, heard_again, silence, states
from tests.network.waiting import until

pytestmark = pytest.mark.root

PPS = 4_000.0  # twice what is a flood here

PORT = re.compile(r'^ *port +"?([\w.-]+)"?:.*\n +tx pkts=(\d+)', re.MULTILINE)


@pytest.fixture(scope="module")
def cordon(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded(lab, tmp_path_factory.mktemp("cordon")) as one:
        yield one


@pytest.fixture(autouse=True)
def calm(cordon: Guarded) -> Iterator[None]:
    """Each test finds the network calm, and leaves nothing behind."""
    cordon.await_calm()
    yield
    for decision in cordon.decisions():
        if decision["state"] == "proposed":
            cordon.post(f"/decisions/{decision['id']}/reject", reason="the test is over")
        else:
            cordon.release(decision)


@pytest.mark.parametrize("flood", ["saturation", "saturation6"])
def test_container_behind_a_shared_port_is_cut_off_and_its_neighbours_lose_no_packet(
    lab: Lab, cordon: Guarded, witnesses: Witnesses, flood: str
) -> None:
    before = states(lab)
    with Attack(lab, flood, origin="c2", pps=PPS, seconds=120.0) as attack:
        decision = cordon.await_decision("c2", "enforced")
        assert fences(decision) == {("block_address", "sw1")}
        silence(witnesses, attack)
        cordon.await_effect(decision, "fallen")
        assert changed(lab, before) == {"sw1"}
    cordon.await_quiet("c2", attack)
    cordon.release(decision, twice=True)
    heard_again(lab, witnesses, flood, "c2")
    assert changed(lab, before) == set()
    assert witnesses.testimony().lost == {}


def test_fragments_are_filtered_before_the_firewall_that_suffers_from_them(
    lab: Lab, cordon: Guarded, witnesses: Witnesses
) -> None:
    before = states(lab)
    with Attack(lab, "fragments", origin="s2", pps=PPS, seconds=120.0) as attack:
        until(lambda: witnesses.testimony().of(attack, "fw1/inside").count > 0, what="fragments at the firewall")
        decision = cordon.await_decision("s2", "enforced")
        assert fences(decision) == {("filter_class", "sw2")}
        silence(witnesses, attack)
        assert changed(lab, before) == {"sw2"}
    cordon.await_quiet("s2", attack)
    cordon.release(decision)
    heard_again(lab, witnesses, "fragments", "s2", at="fw1/inside")
    assert changed(lab, before) == set()
    assert witnesses.testimony().lost == {}


def test_server_that_forges_senders_goes_to_quarantine_and_comes_back_to_its_own_vlan(
    lab: Lab, cordon: Guarded, witnesses: Witnesses
) -> None:
    before = states(lab)
    with Attack(lab, "forged-a", origin="d1", pps=PPS, seconds=120.0) as attack:
        decision = cordon.await_decision("d1", "enforced")
        assert fences(decision) == {("quarantine", "sw1")}
        silence(witnesses, attack, but=frozenset({"forensics"}))
        until(lambda: witnesses.testimony().of(attack, "forensics").count > 0, what="the flood at the forensics host")
    cordon.await_quiet("d1", attack)
    quiet = port_counters(lab)
    with Attack(lab, "dead-mac", origin="d1", seconds=1.0) as raw:
        raw.wait()
    cordon.await_quiet("d1", raw)
    loud = port_counters(lab)
    thin = {("sw1", "quarantine"), ("core1", "forensics")}
    most = max(loud[port] - quiet[port] for port in loud if port not in thin)
    assert most < raw.sent / 4, "a quarantined flood came out of another port"
    assert {place for place, seen in witnesses.testimony().floods.items() if raw.stamp in seen} <= {"forensics"}
    cordon.release(decision)
    heard_again(lab, witnesses, "saturation", "d1")
    assert changed(lab, before) == set()
    assert witnesses.testimony().lost == {}


def port_counters(lab: Lab) -> dict[tuple[str, str], int]:
    """Packets that each port of each switch has sent."""
    found = {}
    for device in lab.plan.switches:
        listed = lab.devices[device.name].shell.ask("ovs-ofctl -O OpenFlow13 --names dump-ports br0")
        for port, sent in PORT.findall(listed):
            found[device.name, port] = int(sent)
    return found


@pytest.mark.parametrize(
    ("flood", "origin", "fence"),
    [
        ("forged-a", "v1", "cut_guest"),
        ("forged-b", "v3", "cut_guest"),
        ("forged-c", "v5", "cut_guest"),
        ("forged-d", "v6", "cut_guest"),
        ("forged-f", "v2", "filter_class"),
    ],
)
def test_guest_that_forges_is_cut_off_and_nobody_whose_address_it_used_loses_a_packet(
    lab: Lab, cordon: Guarded, witnesses: Witnesses, flood: str, origin: str, fence: str
) -> None:
    before = states(lab)
    with Attack(lab, flood, origin=origin, pps=PPS, seconds=120.0) as attack:
        decision = cordon.await_decision(origin, "enforced")
        assert fences(decision) == {(fence, "hv2")}
        silence(witnesses, attack)
        assert changed(lab, before) == {"hv2"}
    cordon.await_quiet(origin, attack)
    cordon.release(decision)
    assert {one["host"] for one in cordon.decisions()} <= {origin, ""}
    assert changed(lab, before) == set()
    assert witnesses.testimony().lost == {}


@pytest.mark.parametrize("flood", ["forged-b", "forged-c", "forged-e"])
def test_forger_behind_a_shared_port_of_others_is_put_to_a_person_and_nothing_is_configured(
    lab: Lab, cordon: Guarded, witnesses: Witnesses, flood: str
) -> None:
    before = states(lab)
    subject = {"forged-e": "attachment:198.18.255.12#203"}.get(flood, "c3")
    with Attack(lab, flood, origin="c3", pps=PPS, seconds=120.0):
        decision = cordon.await_decision(subject, "proposed")
    assert decision["subject"].startswith("attachment:198.18.255.12#203")
    assert any("6 tenants" in reason["text"] for reason in decision["reasons"])
    assert {one["host"] for one in cordon.decisions()} <= {"c3", ""}
    assert changed(lab, before) == set()
    assert witnesses.testimony().lost == {}
