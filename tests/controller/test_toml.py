"""A configuration file that is wrong is refused with file, key and what is expected."""

import pytest

from controller.domain.address import Port
from controller.domain.errors import ConfigError
from controller.domain.estate import Estate, HostRole, Site
from controller.domain.rulebook import Rulebook
from controller.domain.toml import read

SITE = """
version = 1
name = "t"
prefixes = ["198.18.0.0/16", "2001:db8::/32"]
[[devices]]
name = "sw1"
platform = "ovs_linux"
host = "10.0.0.1"
exporter = "10.0.0.1"
quarantine_vlan = 999
[[interfaces]]
device = "sw1"
name = "eth1"
if_index = 7
[[hosts]]
name = "h1"
addresses = ["198.18.0.7", "2001:db8:1::7"]
tenant = "t1"
role = "vps"
mac = "AABB.CCDD.EEFF"
ports = ["sw1/eth1"]
"""


def test_a_site_is_read_into_its_nouns() -> None:
    estate = Estate(read(SITE, Site, file="site.toml"))
    host = estate.hosts["h1"]
    assert host.role is HostRole.VPS
    assert host.mac == "aa:bb:cc:dd:ee:ff"
    assert host.ports == (Port("sw1", "eth1"),)
    assert estate.by_if_index[estate.devices["sw1"].exporter, 7].name == "eth1"  # type: ignore[index]


@pytest.mark.parametrize(
    ("old", "new", "key", "expected"),
    [
        ('role = "vps"', 'role = "vsp"', "hosts[0].role", "one of"),
        ('mac = "AABB.CCDD.EEFF"', 'mac = "AABB"', "hosts[0].mac", "a MAC address"),
        ('addresses = ["198.18.0.7"', 'addresses = ["198.18.0.777"', "hosts[0].addresses[0]", "an IP address"),
        ('"198.18.0.0/16"', '"198.18.0.1/16"', "prefixes[0]", "an IP prefix"),
        ("quarantine_vlan = 999", "quarantine_vlan = 4095", "devices[0].quarantine_vlan", "1 to 4094"),
        ("if_index = 7", 'if_index = "7"', "interfaces[0].if_index", "a whole number"),
        ('tenant = "t1"', 'tennant = "t1"', "hosts[0].tennant", "'tenant' perhaps"),
        ('tenant = "t1"\n', "", "hosts[0].tenant", "text"),
        ('ports = ["sw1/eth1"]', 'ports = ["eth1"]', "hosts[0].ports[0]", "device/interface"),
        ("version = 1", "version = ", "(the whole file)", "valid TOML"),
    ],
)
def test_an_error_names_file_key_and_what_is_expected(old: str, new: str, key: str, expected: str) -> None:
    assert old in SITE
    with pytest.raises(ConfigError) as caught:
        read(SITE.replace(old, new), Site, file="site.toml")
    assert caught.value.file == "site.toml"
    assert caught.value.key == key
    assert expected in caught.value.expected


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('ports = ["sw1/eth1"]', 'ports = ["sw1/eth2"]', "hosts[0].ports"),
        ('device = "sw1"', 'device = "sw2"', "interfaces[0].device"),
        ('tenant = "t1"', 'tenant = "t1"\nsegment = "nowhere"', "hosts[0].segment"),
        ('addresses = ["198.18.0.7", ', 'addresses = ["198.18.0.7", "198.18.0.7", ', "hosts.addresses"),
    ],
)
def test_an_entry_that_points_nowhere_is_named(old: str, new: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Estate(read(SITE.replace(old, new), Site, file="site.toml"))
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("version = 2", "version"),
        ('version = 1\nmode = "enforced"', "(the whole file)"),
        ("version = 1\n[scoring]\nwatch = 90.0", "scoring"),
        ("version = 1\n[limits.blast]\nper_segment_share = 0.0", "limits.blast"),
        ("version = 1\n[detectors.flood]\nbits = 1.0", "detectors.flood.bits"),
        ("version = 1\n[scoring]\ntick_ms = true", "scoring.tick_ms"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(text: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text, Rulebook, file="policy.toml")
    assert caught.value.key == key


def test_an_empty_policy_asks_a_person() -> None:
    assert read("version = 1", Rulebook, file="policy.toml").mode == "approve"
