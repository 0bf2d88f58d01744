from dataclasses import replace

import pytest

from controller.domain.address import Port
from controller.domain.errors import NotLocated
from controller.locating import locate, same_place
from tests.controller.network_cases import HV1, NOON_NS, SW1, SW2, entered, estate, mac, verdict


def test_a_host_is_located_by_its_address_where_its_traffic_enters() -> None:
    who = locate(verdict("198.18.2.3"), estate())
    assert (who.host, who.ports, who.shared, who.neighbours) == ("ded3", (Port("sw1", "ge3"),), False, ())
    assert who.addresses == ("198.18.2.3/32",)


def test_an_ipv6_address_leads_to_the_same_host_and_all_it_has_to_be_blocked_by() -> None:
    one, other = locate(verdict("2001:db8:1:7::1"), estate()), locate(verdict("198.18.1.7"), estate())
    assert same_place(one, other)
    assert one.addresses == ("198.18.1.7/32", "2001:db8:1:7::/64")


def test_on_a_shared_port_the_neighbours_are_named() -> None:
    who = locate(verdict("198.18.1.7"), estate())
    assert who.shared
    assert len(who.neighbours) == 19
    assert "vps7" not in who.neighbours


def test_a_guest_is_located_at_its_own_interface() -> None:
    who = locate(verdict("198.18.2.101"), estate())
    assert (who.guest, who.ports) == (Port("hv1", "vnet1"), (Port("sw2", "ge1"),))


def test_a_dual_homed_host_is_all_its_ports() -> None:
    assert locate(verdict("198.18.2.20"), estate()).ports == (Port("sw1", "ge8"), Port("sw2", "ge2"))


def test_a_member_of_a_lag_stands_for_the_lag() -> None:
    assert locate(verdict("198.18.2.21"), estate()).ports == (Port("sw1", "ae1"),)
    assert locate(entered(SW1, 11), estate()).host == "bonded"


def test_without_an_entry_the_estate_ties_the_address() -> None:
    who = locate(verdict("198.18.2.3", exporter="", interface=0), estate())
    assert (who.host, who.ports) == ("ded3", (Port("sw1", "ge3"),))
    assert "no entry was seen" in who.how


def test_an_outside_attacker_is_nobodys_port() -> None:
    with pytest.raises(NotLocated, match="not one of ours"):
        locate(verdict("203.0.113.9", exporter=SW1, interface=3), estate())


def test_an_address_of_ours_that_nobody_has_is_located_as_the_port_of_entry() -> None:
    who = locate(verdict("198.18.9.9", exporter=SW1, interface=3), estate())
    assert (who.host, who.ports) == ("", (Port("sw1", "ge3"),))
    with pytest.raises(NotLocated, match="no edge port was seen"):
        locate(verdict("198.18.9.9", exporter=SW1, interface=48), estate())


def test_random_sources_name_the_port_of_entry_and_the_only_host_there() -> None:
    assert locate(entered(SW1, 3), estate()).host == "ded3"


def test_a_neighbours_address_on_a_shared_port_names_whoever_has_the_mac() -> None:
    assert locate(entered(SW1, 1, mac(9)), estate()).host == "vps9"


def test_a_customers_address_from_another_switch_is_never_charged_to_the_customer() -> None:
    with pytest.raises(NotLocated, match="the sender is forged"):
        locate(verdict("198.18.2.8", exporter=SW1, interface=3), estate())
    assert locate(entered(SW1, 3, mac(1003)), estate()).host == "ded3"


def test_the_dns_servers_address_from_a_customers_port_is_never_charged_to_the_dns_server() -> None:
    with pytest.raises(NotLocated, match="dns1"):
        locate(verdict("198.18.2.30", exporter=SW1, interface=3), estate())


@pytest.mark.parametrize("forged", [mac(1003), mac(60000)], ids=["somebody elses MAC", "nobodys MAC"])
def test_a_forged_mac_on_a_shared_port_falls_back_to_the_port_and_says_so(forged: str) -> None:
    who = locate(entered(SW1, 1, forged), estate())
    assert (who.host, who.shared, len(who.neighbours)) == ("", True, 20)
    assert "forged" in who.how or "no host has" in who.how


def test_a_bound_address_with_a_strange_mac_is_believed_only_where_its_owner_is_alone() -> None:
    shared = locate(verdict("198.18.1.7", mac=mac(9)), estate())
    assert (shared.host, shared.ports) == ("", (Port("sw1", "ge1"),))
    assert "neither is believed" in shared.how
    assert locate(verdict("198.18.2.3", mac=mac(9)), estate()).host == "ded3"


def test_frames_without_ip_on_a_shared_port_name_the_port_when_no_mac_was_seen() -> None:
    who = locate(entered(SW1, 1), estate())
    assert who.host == ""
    assert "no MAC was seen" in who.how


def test_a_guests_own_interface_names_the_guest() -> None:
    assert locate(entered(HV1, 101), estate()).host == "guest1"


@pytest.mark.parametrize(("exporter", "interface"), [(SW1, 48), (SW2, 99), ("198.51.100.7", 1)])
def test_an_uplink_or_unknown_interface_locates_nobody(exporter: str, interface: int) -> None:
    with pytest.raises(NotLocated):
        locate(entered(exporter, interface), estate())


def test_what_is_unreadable_in_a_verdict_is_as_if_it_was_not_there() -> None:
    assert locate(verdict("198.18.2.3", exporter="not an address", mac="zz"), estate()).host == "ded3"


def test_two_attachments_without_hosts_are_one_when_port_and_mac_are() -> None:
    one, other = locate(entered(SW1, 1, mac(60000)), estate()), locate(entered(SW1, 1, mac(60001)), estate())
    assert same_place(one, replace(one, how="found again"))
    assert not same_place(one, other)
    assert not same_place(one, locate(verdict("198.18.1.7", at_ns=NOON_NS), estate()))
