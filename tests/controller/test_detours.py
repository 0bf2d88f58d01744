"""Second paths around a segment's firewall, from the site file and from what devices show."""

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

from controller.detours import detours
from controller.domain.address import Port, Vlan
from controller.domain.estate import Host
from controller.domain.sight import Learned, Route, Sight
from tests.controller.network_cases import SITE, estate, mac


def found(*sights: Sight, **changes: Any) -> tuple[str, ...]:
    place = estate(**changes)
    return detours(place.segments["hosting"], place, sights)


def hosts(**changed: dict[str, Any]) -> tuple[Host, ...]:
    return tuple(replace(one, **changed.get(one.name, {})) for one in SITE.hosts)


AS_IT_SHOULD = Sight(
    "sw2",
    carries=frozenset({("ge3", 131), ("ge4", 131), ("ge5", 150), ("up1", 131)}),
    trunks=frozenset({"up1"}),
    learned=frozenset({Learned(mac(2003), 131, "ge3"), Learned(mac(2004), 131, "ge4"), Learned(mac(1), 131, "up1")}),
)
V6_OF_HOSTING = (ip_network("198.18.3.0/24"), ip_network("2001:db8:3::/48"))


def segments(**changes: Any) -> Any:
    return tuple(replace(one, **changes) if one.name == "hosting" else one for one in SITE.segments)


def test_a_network_that_is_as_declared_has_no_second_path() -> None:
    assert found(AS_IT_SHOULD, segments=segments(prefixes=V6_OF_HOSTING)) == ()


def test_a_host_with_an_address_outside_its_segment_is_dual_homed() -> None:
    twice = {"host3": {"addresses": (ip_address("198.18.3.3"), ip_address("198.18.4.3"))}}
    (one,) = found(hosts=hosts(**twice, host4={"addresses": (ip_address("198.18.3.4"),)}))
    assert one == "dual-homed: host3 also has 198.18.4.3, outside hosting"


def test_a_host_of_another_segment_with_an_address_inside_is_dual_homed() -> None:
    inside = {"dns1": {"addresses": (ip_address("198.18.4.30"), ip_address("198.18.3.30"))}}
    texts = found(hosts=hosts(**inside), segments=segments(prefixes=V6_OF_HOSTING))
    assert texts == ("dual-homed: dns1 of segment core has 198.18.3.30, of hosting",)


def test_a_prefix_routed_to_a_host_counts_as_its_address() -> None:
    routed = {"host3": {"prefixes": (ip_network("198.18.9.0/29"),)}}
    assert found(hosts=hosts(**routed), segments=segments(prefixes=V6_OF_HOSTING)) == (
        "dual-homed: host3 also has 198.18.9.0/29, outside hosting",
    )


def test_segments_that_share_a_vlan_or_a_prefix_are_told() -> None:
    shared = tuple(
        replace(one, vlan=Vlan(131), prefixes=(ip_network("198.18.3.64/26"),)) if one.name == "core" else one
        for one in segments(prefixes=V6_OF_HOSTING)
    )
    assert found(segments=shared) == (
        "VLAN leak: segments hosting and core are both in VLAN 131",
        "route: 198.18.3.64/26 of segment core lies in 198.18.3.0/24, and not behind fw1",
    )


def test_an_edge_port_of_others_in_the_segments_vlan_is_a_leak() -> None:
    seen = replace(AS_IT_SHOULD, carries=AS_IT_SHOULD.carries | {("ge5", 131), ("ge99", 131)})
    assert found(seen, segments=segments(prefixes=V6_OF_HOSTING)) == (
        "VLAN leak: sw2/ge5 carries VLAN 131, where dns1 of core hangs",
        "VLAN leak: sw2/ge99 carries VLAN 131, where no host is declared",
    )


def test_an_edge_port_that_carries_every_vlan_is_a_leak() -> None:
    seen = replace(AS_IT_SHOULD, trunks=frozenset({"up1", "ge5"}))
    (one,) = found(seen, segments=segments(prefixes=V6_OF_HOSTING))
    assert one == "VLAN leak: sw2/ge5 carries every VLAN, 131 among them, where dns1 of core hangs"


def test_macs_on_the_wrong_side_are_told() -> None:
    wrong = {
        Learned(mac(2003), 150, "ge5"),  # a host of the segment, heard in another VLAN
        Learned(mac(2004), 131, "ge6"),  # and one on a port that is not its own
        Learned(mac(1030), 131, "ge7"),  # the DNS server, heard in the segment
        Learned(mac(4000), 131, "ge3"),  # and somebody whom nobody declared
        Learned(mac(2004), 999, "ge4"),  # in quarantine: Cordon's own doing
    }
    texts = found(replace(AS_IT_SHOULD, learned=frozenset(wrong)), segments=segments(prefixes=V6_OF_HOSTING))
    assert [text.partition(": ")[0] for text in texts] == ["VLAN leak", "dual-homed", "dual-homed", "VLAN leak"]
    assert "nobody's in the site file" in texts[0]
    assert "host3's, of hosting in VLAN 131" in texts[1]
    assert "host4's, which hangs on sw2/ge4" in texts[2]
    assert "dns1's, of segment core" in texts[3]


def test_another_router_with_a_leg_in_the_segment_is_a_route_around() -> None:
    routes = {
        Route(ip_network("198.18.3.0/24"), "eth3"),
        Route(ip_network("198.18.3.128/25"), "eth4", ip_address("198.18.3.1")),
        Route(ip_network("198.18.3.0/24"), "eth1", ip_address("198.18.4.1")),  # by way of the firewall
        Route(ip_network("0.0.0.0/0"), "eth0", ip_address("203.0.113.1")),
    }
    other = Sight("hv1", routes=frozenset(routes))
    assert found(other, replace(other, device="fw1"), segments=segments(prefixes=V6_OF_HOSTING)) == (
        "route: hv1 is connected to 198.18.3.0/24 by eth3",
        "route: hv1 reaches 198.18.3.128/25 by 198.18.3.1, which is inside hosting",
    )


def test_a_member_of_an_aggregate_is_where_its_host_hangs() -> None:
    bonded = {"bonded": {"segment": "hosting", "addresses": (ip_address("198.18.3.21"),)}}
    seen = Sight("sw1", carries=frozenset({("ge10", 131), ("ge11", 131), ("ae1", 131)}))
    place = estate(hosts=hosts(**bonded), segments=segments(prefixes=V6_OF_HOSTING))
    assert Port("sw1", "ge11") in place.interfaces
    assert detours(place.segments["hosting"], place, [seen]) == ()
