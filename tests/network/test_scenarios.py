"""The situations that Cordon exists for, with real packets: what stops, what goes on, what nobody touched."""

import re
from collections.abc import Iterator

import pytest

from deploy.lab.net.aside import Attack, Witnesses
from deploy.lab.net.lab import Lab, Wishes
from tests.network.guarding import Guarded, guarded
from tests.network.looking import NEIGHBOURS, changed, fences, heard_again, silence, states
from tests.network.waiting import until

pytestmark = pytest.mark.root

SHARED_PORT = "attachment:198.18.255.12#203"
NEIGHBOURLY = {place for pair in NEIGHBOURS for place in pair} - {"world"}
PPS = 4_000.0  # twice what is a flood here

PORT = re.compile(r'^ *port +"?([\w.-]+)"?:.*\n +tx pkts=(\d+)', re.MULTILINE)


@pytest.fixture(scope="module")
def wishes() -> Wishes:
    return Wishes(containers=8)


@pytest.fixture(scope="module")
def cordon(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded(lab, tmp_path_factory.mktemp("cordon")) as one:
        yield one


def test_container_behind_a_shared_port_is_cut_off_and_its_neighbours_lose_no_packet(
    lab: Lab, cordon: Guarded, witnesses: Witnesses
) -> None:
    before = states(lab)
    with Attack(lab, "saturation", origin="c2", pps=PPS, seconds=120.0) as attack:
        decision = cordon.await_decision("c2", "enforced")
        assert fences(decision) == {("block_address", "sw1")}
        silence(witnesses, attack)
        cordon.await_effect(decision, "fallen")
        assert changed(lab, before) == {"sw1"}
    cordon.await_quiet("c2", attack)
    cordon.release(decision, twice=True)
    heard_again(lab, witnesses, "saturation", "c2")
    assert changed(lab, before) == set()
    assert witnesses.testimony().lost == {}


def test_flood_over_ipv6_ends_at_the_same_port(lab: Lab, cordon: Guarded, witnesses: Witnesses) -> None:
    with Attack(lab, "saturation6", origin="c7", pps=PPS, seconds=120.0) as attack:
        assert fences(cordon.await_decision("c7", "enforced")) == {("block_address", "sw1")}
        silence(witnesses, attack)
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
        loud = port_counters(lab)  # at once: neighbours' probes count too
    cordon.await_quiet("d1", raw)
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
    assert NEIGHBOURLY.isdisjoint(one["host"] for one in cordon.decisions())
    assert witnesses.testimony().lost == {}


@pytest.mark.parametrize(("flood", "origin"), [("forged-b", "c3"), ("forged-c", "c5"), ("forged-e", "c6")])
def test_forger_behind_a_shared_port_of_others_is_put_to_a_person_and_nothing_is_configured(
    lab: Lab, cordon: Guarded, witnesses: Witnesses, flood: str, origin: str
) -> None:
    before = states(lab)
    # Under a MAC that nobody has, the port is all that can be named.
    subject = SHARED_PORT if flood == "forged-e" else origin
    with Attack(lab, flood, origin=origin, pps=PPS, seconds=120.0):
        decision = cordon.await_decision(subject, "proposed")
    assert decision["subject"].startswith(SHARED_PORT)
    assert any("tenants" in reason["text"] for reason in decision["reasons"] if not reason["allows"])
    assert NEIGHBOURLY.isdisjoint(one["host"] for one in cordon.decisions())
    assert changed(lab, before) == set()
    assert witnesses.testimony().lost == {}
