from ipaddress import ip_network

import pytest

from controller.domain.crossing import Crossing, Passage, Separation, Side, Transport, passages, separation
from controller.domain.errors import ConfigError
from controller.domain.estate import Estate, Site
from controller.domain.toml import read

V4, V6 = ip_network("198.18.3.0/24"), ip_network("2001:db8:3::/48")
DNS = ip_network("198.18.4.53/32")
SITE = """
version = 1
name = "test"
prefixes = ["198.18.0.0/15", "2001:db8::/32"]

[[devices]]
name = "fw1"
platform = "linux_nftables"
host = "192.0.2.1"

[[segments]]
name = "core"
prefixes = ["198.18.4.0/24"]

[[segments]]
name = "hosting"
prefixes = ["198.18.3.0/24", "2001:db8:3::/48"]
firewall = "fw1"
inside = ["eth1"]

[[segments.crossings]]
begins = "outside"
peers = ["0.0.0.0/0", "::/0"]
transport = "tcp"
ports = ["80", "8000-8099"]
why = "the web"

[[segments.crossings]]
begins = "inside"
peers = ["198.18.4.53/32"]
hosts = ["198.18.3.128/25"]
"""


def site(old: str = "", new: str = "") -> Estate:
    assert old in SITE
    return Estate(read(SITE.replace(old, new) if old else SITE, Site, file="site.toml"), file="site.toml")


def test_crossings_of_a_site_file_become_passages_of_one_family_each() -> None:
    hosting = site().segments["hosting"]
    assert hosting.crossings is not None
    web, dns = hosting.crossings
    assert {str(one) for one in passages(web, hosting.prefixes)} == {
        "0.0.0.0/0 to 198.18.3.0/24 tcp port 80",
        "0.0.0.0/0 to 198.18.3.0/24 tcp port 8000-8099",
        "::/0 to 2001:db8:3::/48 tcp port 80",
        "::/0 to 2001:db8:3::/48 tcp port 8000-8099",
    }
    assert [str(one) for one in passages(dns, hosting.prefixes)] == ["198.18.3.128/25 to 198.18.4.53/32"]


def test_what_a_segment_sends_to_itself_passes() -> None:
    wall = separation([V4, V6], (), ["eth1"])
    assert wall == Separation(frozenset({V4, V6}), frozenset({Passage(V4, V4), Passage(V6, V6)}), frozenset({"eth1"}))


def test_a_port_has_one_spelling() -> None:
    crossing = Crossing(Side.INSIDE, (DNS,), Transport.UDP, ("53-53", "0053"))
    assert {one.ports for one in passages(crossing, [V4])} == {"53"}


@pytest.mark.parametrize(
    ("old", "new", "key", "expected"),
    [
        ('ports = ["80", "8000-8099"]', 'ports = ["http"]', "segments[1].crossings[0]", "ports as '443'"),
        ('ports = ["80", "8000-8099"]', 'ports = ["90-80"]', "segments[1].crossings[0]", "from 1 to 65535"),
        ('ports = ["80", "8000-8099"]', 'ports = ["0"]', "segments[1].crossings[0]", "from 1 to 65535"),
        ('ports = ["80", "8000-8099"]', "ports = [80]", "segments[1].crossings[0].ports[0]", "text"),
        ('transport = "tcp"', "", "segments[1].crossings[0]", "transport 'tcp' or 'udp'"),
        ('transport = "tcp"', 'transport = "sctp"', "segments[1].crossings[0].transport", "'tcp'"),
        ('begins = "outside"', 'begins = "both"', "segments[1].crossings[0].begins", "'inside', 'outside'"),
        ('peers = ["198.18.4.53/32"]', "peers = []", "segments[1].crossings[1]", "everybody"),
        ('peers = ["198.18.4.53/32"]', 'peers = ["198.18.4.53/24"]', "segments[1].crossings[1].peers[0]", "host bits"),
        ('peers = ["198.18.4.53/32"]', 'peers = ["::/0"]', "segments[1].crossings[1].peers", "address family"),
        ('hosts = ["198.18.3.128/25"]', 'hosts = ["198.18.4.0/25"]', "segments[1].crossings[1].hosts", "within"),
        ('firewall = "fw1"', "", "segments[1].firewall", "the device that holds the crossings"),
        ('name = "hosting"', 'name = "shared hosting"', "segments[1].name", "letters, digits"),
    ],
)
def test_a_crossing_that_cannot_be_is_refused_with_its_place(old: str, new: str, key: str, expected: str) -> None:
    with pytest.raises(ConfigError) as refused:
        site(old, new)
    assert refused.value.key == key
    assert expected in str(refused.value)


def test_no_crossings_and_none_declared_are_two_things() -> None:
    assert site().segments["core"].crossings is None
    closed = SITE[: SITE.index("[[segments.crossings]]")].replace('inside = ["eth1"]', "crossings = []")
    assert Estate(read(closed, Site, file="site.toml")).segments["hosting"].crossings == ()
