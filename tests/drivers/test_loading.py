"""A dialect that could fail at night is refused in the morning."""

import hashlib
import re
from importlib import resources

import pytest

from controller.domain.errors import BadInput, ConfigError
from drivers.loading import dialect_of, holdable, interface_name, load, options_of, platforms


def text_of(platform: str) -> str:
    return resources.files("drivers").joinpath("dialects", f"{platform}.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("platform", platforms())
def test_every_dialect_loads_with_the_digest_of_its_file(platform: str) -> None:
    dialect = dialect_of(platform)
    assert dialect.digest == hashlib.sha256(text_of(platform).encode()).hexdigest()
    assert holdable(dialect) == dialect.cover.keys()


def test_the_five_platforms_are_there() -> None:
    assert platforms() == ("checkpoint_gaia", "cisco_ios", "juniper_junos", "linux_nftables", "ovs_linux")


def test_platform_without_a_dialect_is_an_error_that_names_those_with_one() -> None:
    with pytest.raises(ConfigError, match="cisco_ios"):
        dialect_of("../secrets")


BREAKAGES = {
    "a pattern that does not compile": ("proof = '^VLAN +Name +Status'", "proof = '^VLAN (+Name'", "proof"),
    "a field that nobody fills": ('"switchport access vlan {vlan}"', '"switchport access vlan {vlna}"', "vlna"),
    "a field of another attribute": ('set = ["shutdown"]', 'set = ["shutdown {vlan}"]', "vlan"),
    "a row without a way back": ('unset = ["no switchport access vlan"]', "unset = []", "unset"),
    "a row without a reading": ("read = [{ question = \"port\", pattern = '^ shutdown\\s*$' }]", "read = []", "read"),
    "a question that is not there": (
        'question = "port", pattern = \'^ shutdown',
        'question = "x", pattern = \'^',
        "question",
    ),
    "a question that configures": ('ask = "show vlan brief"', 'ask = "vlan 99"', "asks"),
    "a configuring line that passes for a question": ("asks = ['^show ']", "asks = ['^sh']", "asks"),
    "a macro that is not there": ("%hits%", "%hit%", "hit"),
    "a group that nobody reads": ("(?P<rate_bps>", "(?P<speed>", "speed"),
    "a container that is not there": ('inside = "list of IPv4"', 'inside = "list of IPv5"', "IPv5"),
    "numbers that are not declared": ('seat = "number4"', 'seat = "number5"', "number5"),
    "a fence that no row holds": ("[cover.shut]", "[cover.shutt]", "shutt"),
    "a timed change that cannot be kept": ('confirm = ["configure confirm"]', "confirm = []", "confirm"),
    "a misspelt key": ("elevate = true", "elevated = true", "elevate"),
    "a line in two": ('set = ["shutdown"]', 'set = ["shut\\ndown"]', "one line"),
    "a place that is none": ('places = ["entries"]', 'places = ["entry"]', "places"),
    "a rate without limits": ("[rate]\nstep_bps = 1\nmin_bps = 8_000\nmax_bps = 10_000_000_000\n", "", "rate"),
    "TOML that is none": ("[talk]", "[talk", "TOML"),
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_broken_dialect_is_refused_by_name(name: str) -> None:
    old, new, named = BREAKAGES[name]
    whole = text_of("cisco_ios")
    assert old in whole, "the dialect changed: choose another place to break"
    with pytest.raises(ConfigError, match=named):
        load(whole.replace(old, new), file="broken.toml")


def test_dialect_without_refusals_takes_everything_for_success_and_is_refused() -> None:
    text, count = re.subn(r"refusals = \[.*?\n\]", "refusals = []", text_of("cisco_ios"), flags=re.DOTALL)
    assert count == 1
    with pytest.raises(ConfigError, match="refusals"):
        load(text, file="broken.toml")


def test_options_have_defaults_and_are_checked() -> None:
    dialect = dialect_of("ovs_linux")
    assert options_of(dialect, {}, device="hv") == {"bridge": "br0"}
    assert options_of(dialect, {"bridge": "br-int"}, device="hv") == {"bridge": "br-int"}
    for wrong in ({"bridge": "br0; reboot"}, {"brigde": "br0"}):
        with pytest.raises(ConfigError):
            options_of(dialect, wrong, device="hv")


@pytest.mark.parametrize(
    ("platform", "right"),
    [
        ("cisco_ios", "GigabitEthernet1/0/7"),
        ("cisco_ios", "TwentyFiveGigE1/0/43"),
        ("cisco_ios", "Port-channel12"),
        ("juniper_junos", "xe-0/2/0"),
        ("juniper_junos", "ae7"),
        ("ovs_linux", "vnet12"),
        ("ovs_linux", "tap3f2a-1b.0"),
    ],
)
def test_interface_is_taken_as_the_platform_spells_it(platform: str, right: str) -> None:
    assert interface_name(dialect_of(platform), right) == right


@pytest.mark.parametrize(
    "wrong", ["", "Gi1/0/7 ", "GigabitEthernet1/0/7\n", "a b", "x;y", "`id`", "$(id)", "ge-0/0/7 | save x", "-all"]
)
@pytest.mark.parametrize("platform", platforms())
def test_interface_that_is_more_than_a_name_is_refused(platform: str, wrong: str) -> None:
    with pytest.raises(BadInput):
        interface_name(dialect_of(platform), wrong)
