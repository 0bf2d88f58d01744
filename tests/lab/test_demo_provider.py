"""The provider of the demonstration: drawn from a seed, wired without contradiction, and readable by Cordon."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from controller.domain.address import address_of, subject_of
from controller.domain.estate import Estate, HostRole, PortRole, Site
from controller.domain.rulebook import Rulebook
from controller.domain.toml import read
from deploy.lab.provider import MANAGEMENT, OURS, WORLD, provider
from deploy.lab.sitefile import Listening, policy_text, site
from deploy.tomlwriting import toml_text

KEY = Path("id_ed25519")


@pytest.mark.parametrize("seed", [1, 2, 77])
def test_the_site_file_says_exactly_what_was_wired(seed: int) -> None:
    described = site(provider(seed), {"sw01": Listening("127.0.0.1", 2201, "cordon")}, key_file=KEY)
    assert read(toml_text(described), Site, file="site.toml") == described


@pytest.mark.parametrize("seed", range(5))
def test_a_provider_has_four_hundred_hosts_on_five_platforms_and_an_estate_without_contradictions(seed: int) -> None:
    made = provider(seed)
    estate = Estate(site(made, {}, key_file=KEY))
    assert len(made.machines) >= 400
    assert len(made.devices) >= 6
    assert {plan.platform for plan in made.devices} == {
        "ovs_linux", "cisco_ios", "juniper_junos", "linux_nftables", "checkpoint_gaia"
    }  # fmt: skip
    shared = Counter(machine.port for machine in made.of_role(HostRole.VPS))
    assert set(shared.values()) == {20}
    assert all(estate.interfaces[port].shared for port in shared)
    assert all(estate.is_ours(address_of(machine.ipv4)) for machine in made.machines)
    assert not any(address_of(machine.ipv4) in net for machine in made.machines for net in (*WORLD, MANAGEMENT))
    assert OURS[0].supernet_of(MANAGEMENT)


def test_the_same_seed_makes_the_same_provider_and_another_seed_moves_everything() -> None:
    first, again, other = provider(1), provider(1), provider(2)
    assert first == again
    where = {machine.name: (machine.ipv4, machine.mac, machine.port) for machine in first.machines}
    moved = [machine for machine in other.machines if where[machine.name] != (machine.ipv4, machine.mac, machine.port)]
    assert len(moved) == len(first.machines)


def test_offenders_are_drawn_from_containers_and_shared_servers_on_every_kind_of_switch() -> None:
    made = [provider(seed) for seed in range(24)]
    containers = [one.offender(1) for one in made]
    servers = [one.offender(2) for one in made]
    assert all(one and one.role is HostRole.VPS for one in containers)
    assert all(one and one.role is HostRole.SHARED for one in servers)
    platforms = {source.platform(one.entry.device) for source, one in zip(made, servers, strict=True) if one}
    assert platforms == {"ovs_linux", "cisco_ios", "juniper_junos"}
    assert {bool(one.guest) for one in containers if one} == {True, False}


def test_a_machine_on_a_shared_port_is_never_accused_by_the_port_alone() -> None:
    made = provider(1)
    container = next(one for one in made.of_role(HostRole.VPS) if one.guest is None)
    server = made.of_role(HostRole.DEDICATED)[0]
    port = f"attachment:{container.exporter}#{container.if_index}"
    assert port not in container.subjects
    assert f"{port}/{container.mac}" in container.subjects
    assert f"attachment:{server.exporter}#{server.if_index}" in server.subjects
    assert all(subject_of(text) for machine in made.machines for text in machine.subjects)


def test_uplinks_carry_no_tenant_and_every_tenants_port_is_an_edge() -> None:
    made = provider(3)
    estate = Estate(site(made, {}, key_file=KEY))
    assert all(estate.interfaces[machine.entry].role is PortRole.EDGE for machine in made.machines)
    assert all(
        interface.role is PortRole.UPLINK
        for interface in estate.site.interfaces
        if (interface.device, interface.name) in {(device, name) for device, (name, _) in made.uplinks.items()}
    )


@pytest.mark.parametrize("mode", ["enforce", "approve", "dry-run"])
def test_the_policy_is_cordons_own_but_for_the_mode_and_baselines_as_fine_as_the_played_day(mode: str) -> None:
    rules = read(policy_text(mode=mode, kill_file=Path("stop")), Rulebook, file="policy.toml")
    assert (rules.mode, rules.limits.kill_file) == (mode, "stop")
    assert rules.scoring == replace(Rulebook(version=1).scoring, baseline_window_s=60.0)
