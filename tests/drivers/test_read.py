"""What devices answer, read: recorded by hand, whole and broken."""

import pytest

from controller.domain.errors import BadInput
from controller.domain.fence import SlotKind
from drivers.items import state_of
from drivers.loading import dialect_of
from drivers.read import Reading, opening, read_slot, seconds_of, totals
from drivers.render import Place, tag_of

IOS = dialect_of("cisco_ios")
GI7 = "GigabitEthernet1/0/7"
PORT = """Building configuration...

Current configuration : 120 bytes
!
interface GigabitEthernet1/0/7
{lines}end
"""
VLANS = """
VLAN Name                             Status    Ports
---- -------------------------------- --------- -------------------------------
1    default                          active    Gi1/0/1, Gi1/0/2
                                                Gi1/0/3
20   tenant twenty                    active
99   quarantine                       act/lshut
100  prod                             active    Gi1/0/7
1002 fddi-default                     act/unsup
"""
LIST = """Extended IP access list CORDON-GigabitEthernet1-0-7
    10 deny ip host 10.20.0.5 any (12 matches)
    11 deny ip 10.20.8.0 0.0.3.255 any
    65000 permit ip any any (100 matches)
"""


def ios(*lines: str, **answers: str) -> Reading:
    place = Place({"interface": GI7, "tag": tag_of(GI7)})
    port = PORT.replace("{lines}", "".join(f" {line}\n" for line in lines))
    given = {"port": port, "vlans": VLANS, "list4": "", "list6": "", "policy": "", "qos": ""} | answers
    return read_slot(IOS, SlotKind.PORT, place, given)


def vlan_of(reading: Reading) -> int | None:
    return state_of(IOS, SlotKind.PORT, reading.items).vlan


def test_access_port_is_read() -> None:
    reading = ios("switchport access vlan 100", "switchport mode access", "shutdown")
    state = state_of(IOS, SlotKind.PORT, reading.items)
    assert (state.vlan, state.enabled, state.rate_bps, state.entries) == (100, False, None, frozenset())
    assert reading.foreign == ()


def test_vlan_that_is_not_active_does_not_exist_for_a_quarantine() -> None:
    assert ios("switchport mode access").vlans == {1, 20, 100}


def test_access_port_without_a_vlan_line_is_in_vlan_1() -> None:
    assert vlan_of(ios("switchport mode access")) == 1


@pytest.mark.parametrize("lines", [("switchport mode trunk", "switchport access vlan 100"), ("no switchport",), ()])
def test_port_that_is_not_statically_an_access_port_has_no_vlan(lines: tuple[str, ...]) -> None:
    assert vlan_of(ios(*lines)) is None


def test_entries_count_only_while_the_list_is_bound() -> None:
    assert state_of(IOS, SlotKind.PORT, ios(list4=LIST).items).entries == frozenset()
    bound = ios("ip access-group CORDON-GigabitEthernet1-0-7 in", list4=LIST)
    assert {str(one.source) for one in state_of(IOS, SlotKind.PORT, bound.items).entries} == {
        "10.20.0.5/32",
        "10.20.8.0/22",
    }
    assert bound.foreign == ()
    assert bound.taken["number4"] == {10, 11, 65000}


def test_permit_that_somebody_put_first_voids_the_list_and_is_foreign() -> None:
    edited = LIST.replace("    10 deny", "    5 permit ip any any\n    10 deny")
    reading = ios("ip access-group CORDON-GigabitEthernet1-0-7 in", list4=edited)
    assert state_of(IOS, SlotKind.PORT, reading.items).entries == frozenset()
    assert any("5 permit ip any any" in one for one in reading.foreign)


def test_list_without_its_last_permit_does_not_count() -> None:
    cut = LIST.rpartition("    65000")[0]
    reading = ios("ip access-group CORDON-GigabitEthernet1-0-7 in", list4=cut)
    assert state_of(IOS, SlotKind.PORT, reading.items).entries == frozenset()


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("ip access-group SPOOF in", "entries"),
        ("ipv6 traffic-filter SPOOF6 in", "entries"),
        ("service-policy input GOLD", "rate_bps"),
        ("channel-group 3 mode active", "vlan"),
    ],
)
def test_what_others_put_on_the_port_is_told_with_its_place(line: str, place: str) -> None:
    (foreign,) = ios("switchport mode access", line).foreign
    assert place in foreign.partition(":")[0].split("/")
    assert line.split()[0] in foreign


def test_switch_that_polices_only_for_the_whole_switch_says_so() -> None:
    assert any("mls qos" in one for one in ios(qos="QoS is disabled\nQoS ip packet dscp rewrite is enabled").foreign)
    assert not ios(qos="QoS is enabled").foreign


@pytest.mark.parametrize(
    "broken",
    [
        {"port": "Building configuration...\n"},
        {"port": PORT.replace("{lines}", "").replace("1/0/7", "1/0/8")},
        {"port": PORT.replace("{lines}end\n", " shutdown\n")},
        {"vlans": "garbage"},
        {"list4": "Extended IP access list OTHER\n"},
        {"policy": "policy-map SOMETHING\n"},
    ],
)
def test_answer_that_is_cut_off_or_about_something_else_is_unreadable(broken: dict[str, str]) -> None:
    with pytest.raises(BadInput):
        ios("switchport mode access", **broken)


def test_question_without_an_answer_is_unreadable() -> None:
    with pytest.raises(BadInput, match="not answered"):
        read_slot(IOS, SlotKind.PORT, Place({"interface": GI7, "tag": tag_of(GI7)}), {})


JUNOS = dialect_of("juniper_junos")
CONFIG = """set interfaces ge-0/0/7 unit 0 family ethernet-switching interface-mode access
set interfaces ge-0/0/7 unit 0 family ethernet-switching vlan members {member}
set vlans prod vlan-id 100
set vlans quarantine vlan-id 99
"""


def junos(config: str) -> Reading:
    place = Place({"interface": "ge-0/0/7", "tag": "ge-0-0-7", "ipv6_source": "source-address"})
    link = (
        "Interface               Admin Link Proto    Local                 Remote\nge-0/0/7                up    up\n"
    )
    return read_slot(JUNOS, SlotKind.PORT, place, {"config": config, "link": link})


@pytest.mark.parametrize(("member", "name"), [("prod", "prod"), ("100", "100")])
def test_vlan_is_known_by_its_number_and_called_as_the_port_calls_it(member: str, name: str) -> None:
    reading = junos(CONFIG.replace("{member}", member))
    assert state_of(JUNOS, SlotKind.PORT, reading.items).vlan == 100
    assert reading.place.vlan_names[100] == name


def test_vlan_by_a_name_that_has_no_number_is_unreadable() -> None:
    with pytest.raises(BadInput, match="lost"):
        junos(CONFIG.replace("{member}", "lost"))


LIMIT = """set interfaces ge-0/0/7 unit 0 family ethernet-switching filter input CORDON-ge-0-0-7
set firewall family ethernet-switching filter CORDON-ge-0-0-7 term rest then accept
set firewall family ethernet-switching filter CORDON-ge-0-0-7 term rest then policer CORDON-ge-0-0-7
set firewall policer CORDON-ge-0-0-7 if-exceeding bandwidth-limit 10m
set firewall policer CORDON-ge-0-0-7 if-exceeding burst-size-limit 125k
set firewall policer CORDON-ge-0-0-7 then discard
"""


def test_rate_is_read_as_junos_shortens_it() -> None:
    reading = junos(CONFIG.replace("{member}", "prod") + LIMIT)
    assert state_of(JUNOS, SlotKind.PORT, reading.items).rate_bps == 10_000_000
    unbound = junos(CONFIG.replace("{member}", "prod") + LIMIT.partition("\n")[2])
    assert state_of(JUNOS, SlotKind.PORT, unbound.items).rate_bps is None


def test_rate_that_is_no_number_is_unreadable() -> None:
    with pytest.raises(BadInput, match="not a rate"):
        junos(CONFIG.replace("{member}", "prod") + LIMIT.replace("10m", "²m"))


def test_routed_or_grouped_port_is_foreign() -> None:
    assert any("not a switching port" in one for one in junos("set vlans prod vlan-id 100\n").foreign)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3600", 3600),
        ("12.9s", 12),
        ("0", 0),
        ("1h", 3600),
        ("59m59s992ms", 3599),
        ("1d1h1m1s", 90061),
        ("2w", 1209600),
    ],
)
def test_times_are_read(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "1x", "-5", "1h forever"])
def test_time_that_is_none_is_unreadable(text: str) -> None:
    with pytest.raises(BadInput):
        seconds_of(text)


def test_counters_without_figures_are_unreadable() -> None:
    fields = {"interface": GI7, "tag": ""}
    with pytest.raises(BadInput):
        totals(IOS, fields, {"totals": f"{GI7} is up, line protocol is up\n", "macs": "Mac Address Table\n"})


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("^ cookie=0xc07d07, duration=(?P<age>[0-9.]+)s", " cookie=0xc07d07, duration="),
        ("^name +: {interface}$", "name "),
        ("^interface {interface}$", "interface"),
        ("ab?c", "a"),
        ("ab{2}", "a"),
        ("ab+c", "ab"),
        ("ab|cd", ""),
        ("a(?:b|c)d", "a"),
        ("a[|(]b", "a"),
        ("a[(]b|c", ""),
        (r"a\(b|c", ""),
        (r"a\|b", "a"),
        (r"\w+ up", ""),
        ("(?i)up", ""),
    ],
)
def test_text_that_every_match_begins_with_is_known_where_it_is_certain(pattern: str, text: str) -> None:
    assert opening(pattern) == text
