"""The lab on paper: what is drawn can be wired, and Cordon can read what its owner writes about it."""

from collections import Counter
from pathlib import Path

import pytest

from controller.domain import toml
from controller.domain.address import Port
from controller.domain.estate import Estate, HostRole, PortRole, Site
from controller.domain.rulebook import Rulebook
from deploy.lab.net import plan, routing, switching
from deploy.lab.net.sites import Collectors, Description, policy_text, site

NETWORK = plan.network()
DESCRIBED = Description(Path("key"), Collectors.OWN, sflow_port=6343, syslog_port=5514)


@pytest.fixture(scope="module")
def estate() -> Estate:
    return Estate(toml.read(site(NETWORK, DESCRIBED), Site, file="site.toml"))


def test_every_cable_has_two_ends_and_no_socket_holds_two_cables() -> None:
    ends = Counter((end.where, end.interface) for cable in NETWORK.cables() for end in cable)
    assert set(ends.values()) == {1}
    assert {where for where, _ in ends} == set(NETWORK.places)


def test_names_fit_the_kernel_and_if_indexes_are_unique_on_a_device() -> None:
    assert all(len(end.interface) < 16 for cable in NETWORK.cables() for end in cable)
    for device in NETWORK.switches:
        indexes = [port.if_index for port in NETWORK.ports_of(device.name)]
        assert len(set(indexes)) == len(indexes)


def test_nobody_shares_a_mac_or_an_address() -> None:
    for of in ("mac", "ipv4", "ipv6", "name"):
        held = [getattr(machine, of) for machine in NETWORK.machines]
        assert len(set(held)) == len(held)


def test_quarantine_vlan_is_on_no_trunk_and_ends_at_the_forensics_host() -> None:
    carried = {vlan for port in NETWORK.ports for vlan in port.trunks}
    assert plan.QUARANTINE not in carried
    at_core = [port for port in NETWORK.ports_of("core1") if port.vlan == plan.QUARANTINE]
    assert {port.peer[0] for port in at_core if not port.isolated} == {"forensics"}
    assert {port.peer[0] for port in at_core if port.isolated} == {"sw1", "sw2"}


def test_quarantine_has_no_gateway_but_what_the_forensics_host_plays() -> None:
    assert not any("198.18.9" in line for line in routing.lines(NETWORK, "gw"))
    played = [line for line in routing.lines(NETWORK, "forensics") if "dev gateway" in line]
    assert {one.gateway for one in NETWORK.segments} - {one.ipv4[1] for one in NETWORK.segments if one.vlan == 999} == {
        one.gateway for one in NETWORK.segments if any(f" {one.gateway}/32 " in line for line in played)
    }


def test_containers_share_one_port_and_guests_have_one_each(estate: Estate) -> None:
    containers = [host for host in estate.site.hosts if host.name.startswith("c")]
    assert {host.ports for host in containers} == {(Port("sw1", "hv1"),)}
    assert estate.interfaces[Port("sw1", "hv1")].shared
    guests = [host for host in estate.site.hosts if host.name.startswith("v")]
    assert len({host.guest for host in guests}) == len(guests) == plan.GUESTS


def test_described_network_can_be_guarded(estate: Estate) -> None:
    assert {device.platform for device in estate.site.devices} == {"ovs_linux", "linux_nftables"}
    assert all(host.segment in estate.segments for host in estate.site.hosts if host.role is not HostRole.ROUTER)
    edge = [port for port, interface in estate.interfaces.items() if interface.role is PortRole.EDGE]
    assert all(estate.by_port.get(port) for port in edge), "an edge port where nobody hangs"
    assert estate.segments["shared"].firewall == "fw1"
    rules = toml.read(policy_text(mode="approve", kill_file=Path("stop")), Rulebook, file="policy.toml")
    assert rules.mode == "approve"


def test_switch_is_set_up_with_all_its_ports_and_samples_them() -> None:
    lines = list(switching.setup(NETWORK.ports_of("sw1"), switching.Sampling(64, ("198.18.255.1:6343",))))
    assert sum("add-port" in line for line in lines) == len(NETWORK.ports_of("sw1"))
    assert "targets='[\"198.18.255.1:6343\"]'" in lines[-1]
    assert "sampling=64" in lines[-1]


@pytest.mark.parametrize("collectors", Collectors)
def test_whoever_collects_the_site_names_one_source_of_flows_and_one_of_lines(collectors: Collectors) -> None:
    text = site(NETWORK, Description(Path("key"), collectors, sflow_port=6343, syslog_port=5514))
    read = Estate(toml.read(text, Site, file="site.toml")).site
    assert len(read.sources) == 2
    assert len(read.listeners) == (2 if collectors is Collectors.OWN else 0)
