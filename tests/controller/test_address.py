"""Addresses have one form, whatever a sender writes."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain.address import (
    AttachmentKey,
    HostKey,
    address_of,
    covering_block,
    mac_of,
    packed,
    subject_of,
    subject_text,
    unpacked,
    vlan_of,
)
from controller.domain.errors import BadInput

addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6).filter(lambda one: one.ipv4_mapped is None))
macs = st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex(":"))


@given(addresses)
@settings(deadline=None, derandomize=True)
def test_a_packed_address_comes_back(address: IPv4Address | IPv6Address) -> None:
    assert unpacked(packed(address)) == address
    assert address_of(str(address)) == address


@given(addresses, st.sampled_from(["", "vrf1", "tenant-7"]))
@settings(deadline=None, derandomize=True)
def test_a_host_subject_comes_back_from_its_text(address: IPv4Address | IPv6Address, scope: str) -> None:
    assert subject_of(subject_text(HostKey(address, scope))) == HostKey(address, scope)


@given(addresses, st.integers(0, 2**32 - 1), st.one_of(st.just(""), macs))
@settings(deadline=None, derandomize=True)
def test_an_attachment_subject_comes_back_from_its_text(
    exporter: IPv4Address | IPv6Address, interface: int, mac: str
) -> None:
    key = AttachmentKey(exporter, interface, mac)
    assert subject_of(subject_text(key)) == key


@pytest.mark.parametrize("text", ["attachment:10.0.0.1", "attachment:10.0.0.1#", "attachment:10.0.0.1#²", "host:"])
def test_what_is_no_subject_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        subject_of(text)


def test_a_mapped_address_is_its_ipv4_address() -> None:
    assert address_of("::ffff:198.18.0.7") == IPv4Address("198.18.0.7")
    assert packed(IPv4Address("198.18.0.7")) == IPv6Address("::ffff:198.18.0.7").packed


@pytest.mark.parametrize("text", ["AABB.CCDD.EEFF", "aa-bb-cc-dd-ee-ff", "aa:bb:cc:dd:ee:ff", "AABBCCDDEEFF"])
def test_a_mac_has_one_spelling(text: str) -> None:
    assert mac_of(text) == "aa:bb:cc:dd:ee:ff"


@pytest.mark.parametrize("text", ["", "aa:bb", "aa:bb:cc:dd:ee:gg", "no shutdown", "aa:bb:cc:dd:ee:ff\nno shutdown"])
def test_what_is_no_mac_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        mac_of(text)


@pytest.mark.parametrize("text", ["", "198.18.0", "198.18.0.7/32", "fe80::1%eth0", "host"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        address_of(text)


@pytest.mark.parametrize("number", [0, -1, 4095])
def test_a_vlan_that_cannot_carry_traffic_is_refused(number: int) -> None:
    with pytest.raises(BadInput):
        vlan_of(number)


def test_an_ipv6_host_is_covered_by_its_64() -> None:
    assert covering_block(IPv6Address("2001:db8:1::7")) == IPv6Network("2001:db8:1::/64")
    assert covering_block(IPv4Address("198.18.0.7")) == IPv4Network("198.18.0.7/32")
