"""The emulated Catalyst against the vendor's documents: grammar, refusals, and what each line does to packets."""

import copy
from dataclasses import replace

import pytest

from deploy.lab.device import DevicePlan, EmulatedDevice, Packets, Passed, PortPlan, Reply, Traffic
from deploy.lab.ios import IosDevice
from deploy.lab.ios_session import Session

NOW = 1_700_000_000.0
PORT = "GigabitEthernet1/0/7"
HOST = "aa:bb:cc:00:00:07"
ARCHIVE = "archive\n path flash:saved"

PLAN = DevicePlan(
    name="sw1",
    platform="cisco_ios",
    hostname="sw-a1",
    ports=(
        PortPlan("GigabitEthernet1/0/1", 1, trunk=True, description="uplink"),
        PortPlan("GigabitEthernet1/0/2", 2, vlan=100),
        PortPlan("GigabitEthernet1/0/3", 3, vlan=100),
        PortPlan(PORT, 7, vlan=100, description="hv7 nic1", neighbours=((HOST, "10.0.0.7"), (HOST, "2001:db8::7"))),
        PortPlan("GigabitEthernet1/0/8", 8, vlan=100, neighbours=(("aa:bb:cc:00:00:08", "10.0.0.8"),)),
    ),
    vlans=((100, "WEB"), (666, "QUARANTINE")),
    options={"channels": "Port-channel1=GigabitEthernet1/0/2,GigabitEthernet1/0/3"},
)
UDP = Packets(PORT, HOST, "aa:bb:cc:00:00:08", "10.0.0.7", "198.51.100.9", 17, 4000, 53, 1000, 1_000_000)
UDP6 = replace(UDP, src="2001:db8::7", dst="2001:db8:9::1")
ARP = replace(UDP, src="", dst="", protocol=0, src_port=0, dst_port=0)
LATER = replace(UDP, src_port=0, dst_port=0, traffic=Traffic.FRAGMENT)
FIRST = replace(UDP, traffic=Traffic.FRAGMENT)


def device(**options: str) -> IosDevice:
    return IosDevice(replace(PLAN, options={**PLAN.options, **options}))


def say(session: Session, *lines: str, now: float = NOW) -> Reply:
    """Type lines that must all be taken; the last reply."""
    reply = Reply()
    for line in lines:
        reply = session.line(line, now=now)
        assert reply.accepted, f"{line!r}: {reply.text}"
    return reply


def configured(*lines: str, **options: str) -> tuple[IosDevice, Session]:
    switch = device(**options)
    session = switch.login("ops")
    say(session, "terminal length 0", "configure terminal", *lines)
    return switch, session


def passed(switch: IosDevice, burst: Packets) -> Passed:
    return switch.forward([burst], now=NOW)[0]


def test_the_model_keeps_the_contract_of_a_device() -> None:
    built: EmulatedDevice = device()
    assert built.login("ops").mode == "enable"


@pytest.mark.parametrize("short", ["sh vl br", "show vlan br", "sho vlan brief", "sh vlan"])
def test_a_keyword_may_be_shortened_as_long_as_no_other_begins_alike(short: str) -> None:
    session = device().login("ops")
    assert "666  QUARANTINE" in say(session, short).text


def test_a_shortened_keyword_that_could_be_two_is_named_ambiguous() -> None:
    reply = device().login("ops").line("sh i", now=NOW)
    assert (reply.accepted, reply.text) == (False, '% Ambiguous command:  "sh i"\n')


def test_the_caret_stands_below_the_first_character_that_does_not_fit() -> None:
    session = device().login("ops")
    shown = (session.prompt + "show vlen").index("e", 8)
    caret, sentence = session.line("show vlen", now=NOW).text.splitlines()[:2]
    assert (caret.index("^"), sentence) == (shown, "% Invalid input detected at '^' marker.")


def test_a_line_that_ends_too_early_is_incomplete() -> None:
    session = device().login("ops")
    say(session, "conf t", f"interface {PORT}")
    reply = session.line("switchport access vlan", now=NOW)
    assert (reply.accepted, reply.text) == (False, "% Incomplete command.\n\n")


@pytest.mark.parametrize("spelling", ["gi1/0/7", "Gi 1/0/7", "GigabitEthernet1/0/7", "gigabit1/0/7"])
def test_an_interface_may_be_spelled_in_many_ways(spelling: str) -> None:
    switch, _ = configured(f"interface {spelling}", "shutdown")
    assert " shutdown" in switch.configuration()[switch.configuration().index(f"interface {PORT}") :]


@pytest.mark.parametrize("line", ["interface Gi9/0/1", "interface Eth1", "interface", "vlan 5000", "hostnam", "foo"])
def test_what_is_outside_the_grammar_is_refused_and_changes_nothing(line: str) -> None:
    switch, session = configured()
    before = switch.configuration()
    reply = session.line(line, now=NOW)
    assert not reply.accepted
    assert not reply.configured
    assert switch.configuration() == before


def test_modes_show_in_the_prompt_and_end_leaves_them_all() -> None:
    session = device().login("ops")
    prompts = []
    for line in ("conf t", f"int {PORT}", "ip access-list extended X", "exit", "end"):
        prompts.append(session.prompt)
        say(session, line)
    assert prompts == ["sw-a1#", "sw-a1(config)#", "sw-a1(config-if)#", "sw-a1(config-ext-nacl)#", "sw-a1(config)#"]
    assert session.prompt == "sw-a1#"


def test_control_z_leaves_configuration_mode_after_the_line() -> None:
    switch, session = configured(f"interface {PORT}")
    session.line("shutdown\x1a", now=NOW)
    assert session.mode == "enable"
    assert passed(switch, UDP).why == "shutdown"


def test_user_mode_knows_no_configuration_and_enable_wants_the_secret() -> None:
    session = device(enable_secret="s3cret").login("ops")
    assert (session.mode, session.prompt) == ("exec", "sw-a1>")
    assert not session.line("configure terminal", now=NOW).accepted
    say(session, "enable")
    assert (session.mode, session.prompt) == ("password", "Password: ")
    say(session, "wrong", "s3cret")
    assert session.mode == "enable"


def test_three_wrong_secrets_are_bad_secrets() -> None:
    session = device(enable_secret="s3cret").login("ops")
    say(session, "enable", "a", "b")
    assert not session.line("c", now=NOW).accepted
    assert session.mode == "exec"


def test_long_output_comes_in_pages_until_the_length_is_zero() -> None:
    session = device().login("ops")
    paged = session.line("show running-config", now=NOW)
    assert len(paged.pages) > 1
    assert paged.text == ""
    say(session, "terminal length 0")
    assert say(session, "show running-config").text == "".join(paged.pages)


def test_a_missing_access_vlan_is_created_and_said_so() -> None:
    switch, session = configured(f"interface {PORT}")
    reply = say(session, "switchport access vlan 777")
    assert reply.text == "% Access VLAN does not exist. Creating vlan 777\n"
    assert "vlan 777" in switch.configuration()
    assert passed(switch, UDP) == Passed(1000, 1_000_000, 777)


def test_frames_leave_with_the_access_vlan_and_stop_where_it_is_gone() -> None:
    switch, session = configured(f"interface {PORT}", "switchport access vlan 666")
    assert passed(switch, UDP).vlan == 666
    say(session, "no vlan 666")
    assert passed(switch, UDP) == Passed(0, 0, None, "vlan 666 is not active")


def test_a_shut_port_passes_nothing_and_forgets_its_addresses() -> None:
    switch, session = configured(f"interface {PORT}", "shutdown")
    assert passed(switch, UDP).packets == 0
    assert "aabb.cc00.0007" not in say(session, "do show mac address-table").text
    say(session, "no shutdown")
    assert passed(switch, UDP).packets == 1000
    assert "aabb.cc00.0007    DYNAMIC     Gi1/0/7" in say(session, "do show mac address-table").text


def test_a_list_ends_in_an_unwritten_deny() -> None:
    switch, session = configured("ip access-list extended X", "permit tcp any any", f"interface {PORT}")
    say(session, "ip access-group X in")
    assert passed(switch, UDP).why == "ip access-group X in: implicit deny"
    assert passed(switch, replace(UDP, protocol=6)).packets == 1000


def test_a_list_that_does_not_exist_permits_everything() -> None:
    switch, _ = configured(f"interface {PORT}", "ip access-group NOPE in")
    assert passed(switch, UDP).packets == 1000


def test_an_ipv4_list_touches_neither_ipv6_nor_arp() -> None:
    switch, _ = configured("ip access-list extended X", "deny ip any any", f"interface {PORT}", "ip access-group X in")
    assert [one.packets for one in switch.forward([UDP, UDP6, ARP], now=NOW)] == [0, 1000, 1000]


def test_an_ipv6_list_has_its_own_command_and_lets_neighbour_discovery_by() -> None:
    lines = ("ipv6 access-list V6", "deny ipv6 host 2001:db8::7 any", f"interface {PORT}", "ipv6 traffic-filter V6 in")
    switch, _ = configured(*lines)
    assert [one.packets for one in switch.forward([UDP, UDP6], now=NOW)] == [1000, 0]
    switch, _ = configured("ipv6 access-list V6", "permit tcp any any", *lines[2:])
    solicit = replace(UDP6, protocol=58, src_port=0, dst_port=135 << 8)
    assert passed(switch, solicit).packets == 1000
    assert passed(switch, UDP6).why == "ipv6 traffic-filter V6 in: implicit deny"


def test_an_entry_with_ports_misses_later_fragments() -> None:
    lines = ("ip access-list extended X", "deny udp any any eq domain", "permit ip any any")
    switch, session = configured(*lines, f"interface {PORT}", "ip access-group X in")
    assert [one.packets for one in switch.forward([UDP, FIRST, LATER], now=NOW)] == [0, 0, 1000]
    say(session, "ip access-list extended X", "5 deny udp any any fragments")
    assert [one.packets for one in switch.forward([replace(UDP, dst_port=80), LATER], now=NOW)] == [1000, 0]


def test_binding_a_list_replaces_the_one_that_was_bound() -> None:
    switch, _ = configured(f"interface {PORT}", "ip access-group SPOOF in", "ip access-group X in")
    assert [line for line in switch.configuration() if "access-group" in line] == [" ip access-group X in"]


def test_a_list_is_unbound_only_by_its_own_name() -> None:
    switch, session = configured(f"interface {PORT}", "ip access-group X in", "no ip access-group Y in")
    assert " ip access-group X in" in switch.configuration()
    say(session, "no ip access-group X in")
    assert " ip access-group X in" not in switch.configuration()


@pytest.mark.parametrize(
    ("port", "line"),
    [(PORT, "ip access-group X out"), ("Gi1/0/2", "ip access-group X in"), ("Gi1/0/3", "ipv6 traffic-filter X in")],
)
def test_a_port_refuses_lists_outward_and_a_channel_member_refuses_them_all(port: str, line: str) -> None:
    _, session = configured(f"interface {port}")
    reply = session.line(line, now=NOW)
    assert not reply.accepted
    assert reply.text.startswith("Command rejected: ")


def test_entries_are_numbered_in_tens_and_a_taken_number_is_refused() -> None:
    switch, session = configured("ip access-list extended X", "permit ip any any", "5 deny ip host 10.0.0.7 any")
    assert say(session, "do show ip access-lists X").text.splitlines() == [
        "Extended IP access list X",
        "    5 deny ip host 10.0.0.7 any",
        "    10 permit ip any any",
    ]
    assert not session.line("10 deny udp any any", now=NOW).accepted
    again = say(session, "10 permit ip any any")
    assert not again.configured
    assert not session.line("no 99", now=NOW).accepted
    say(session, "no 5")
    assert passed(switch, UDP).packets == 1000


def test_a_mac_list_sees_only_what_is_not_ip_and_a_static_drop_sees_all() -> None:
    lines = ("mac access-list extended M", "deny host aabb.cc00.0007 any", f"interface {PORT}", "mac access-group M in")
    switch, session = configured(*lines)
    assert [one.packets for one in switch.forward([UDP, UDP6, ARP], now=NOW)] == [1000, 1000, 0]
    say(session, "no mac access-list extended M", "mac address-table static aabb.cc00.0007 vlan 100 drop")
    assert [one.packets for one in switch.forward([UDP, UDP6, ARP], now=NOW)] == [0, 0, 0]
    assert "aabb.cc00.0007    STATIC      Drop" in say(session, "do show mac address-table").text


POLICY = (
    "policy-map SLOW",
    "class class-default",
    "police cir 800000",
    f"interface {PORT}",
    "service-policy input SLOW",
)


def test_a_policer_passes_its_rate_times_the_seconds_and_shares_it_between_bursts() -> None:
    switch, session = configured(*POLICY)
    one, two = switch.forward([UDP, UDP], now=NOW)
    assert one.octets + two.octets == 800_000 * UDP.seconds / 8
    assert "police in class class-default" in two.why
    shown = say(session, f"do show policy-map interface {PORT}").text
    assert "conformed 25000 bytes" in shown
    assert "exceeded 1975000 bytes" in shown


def test_a_second_policy_on_a_port_is_refused_until_the_first_is_taken_off() -> None:
    _, session = configured(*POLICY, "policy-map OTHER", f"interface {PORT}")
    assert session.line("service-policy input OTHER", now=NOW).text == "Policy map SLOW is already attached\n"
    assert session.line("no policy-map SLOW", now=NOW).accepted is False
    say(session, f"interface {PORT}", "no service-policy input", "service-policy input OTHER", "no policy-map SLOW")


def test_on_the_classic_platform_policing_needs_mls_qos() -> None:
    lines = (*POLICY[:2], "police 800000 8000 exceed-action drop", *POLICY[3:])
    switch, session = configured(*lines, classic="yes")
    assert passed(switch, UDP).packets == 1000
    assert say(session, "do show mls qos").text.startswith("QoS is disabled")
    say(session, "mls qos")
    assert passed(switch, UDP).octets == 25_000
    assert not device().login("ops").line("show mls qos", now=NOW).accepted


def test_a_policer_of_one_class_leaves_the_rest_alone() -> None:
    switch, _ = configured(
        "ip access-list extended DNS",
        "permit udp any any eq domain",
        "class-map match-all DNS",
        "match access-group name DNS",
        "policy-map P",
        "class DNS",
        "police cir 8000",
        f"interface {PORT}",
        "service-policy input P",
    )
    assert [one.octets for one in switch.forward([UDP, replace(UDP, dst_port=80)], now=NOW)] == [250, 1_000_000]


def test_storm_control_holds_a_broadcast_and_spares_unicast() -> None:
    switch, _ = configured(f"interface {PORT}", "storm-control broadcast level pps 400")
    storm = replace(UDP, dst_mac="ff:ff:ff:ff:ff:ff")
    assert [one.packets for one in switch.forward([storm, UDP], now=NOW)] == [100, 1000]


def test_storm_control_may_shut_the_port_until_somebody_bounces_it() -> None:
    lines = (f"interface {PORT}", "storm-control unicast level 0.01", "storm-control action shutdown")
    switch, session = configured(*lines)
    passed(switch, UDP)
    assert passed(switch, UDP).why == "err-disabled"
    assert "err-disabled" in say(session, f"do show interfaces {PORT} status").text
    say(session, "shutdown", "no storm-control action shutdown", "no shutdown")
    assert passed(switch, UDP).packets > 0


def test_protected_ports_cannot_reach_each_other() -> None:
    switch, session = configured(f"interface {PORT}", "switchport protected")
    assert passed(switch, UDP).packets == 1000
    say(session, "interface Gi1/0/8", "switchport protected")
    assert passed(switch, UDP).why == "switchport protected"


def test_counters_move_with_the_traffic_even_where_a_list_drops_it() -> None:
    lines = ("ip access-list extended X", "deny ip any any", f"interface {PORT}", "ip access-group X in")
    switch, session = configured(*lines)
    switch.forward([UDP, UDP], now=NOW)
    assert "2000 packets input, 2000000 bytes" in say(session, f"do show interfaces {PORT}").text


def test_default_interface_takes_everything_off() -> None:
    switch, session = configured()
    assert say(session, f"default interface {PORT}").text == f"Interface {PORT} set to default configuration\n"
    lines = switch.configuration()
    assert lines[lines.index(f"interface {PORT}") + 1].startswith("interface ")


def test_power_loss_returns_to_what_was_written() -> None:
    switch, session = configured(f"interface {PORT}", "switchport access vlan 666", "end")
    assert say(session, "write memory").text == "Building configuration...\n[OK]\n"
    saved = switch.configuration()
    say(session, "conf t", f"interface {PORT}", "shutdown")
    assert switch.configuration() != saved
    switch.power_cycle(now=NOW)
    assert switch.configuration() == saved


def test_copying_to_the_startup_file_asks_for_its_name() -> None:
    switch, session = configured(f"interface {PORT}", "shutdown", "end")
    say(session, "copy running-config startup-config")
    assert (session.mode, session.prompt) == ("dialog", "Destination filename [startup-config]? ")
    assert say(session, "").text == "Building configuration...\n[OK]\n"
    switch.power_cycle(now=NOW)
    assert " shutdown" in switch.configuration()


def test_reload_asks_twice_and_loses_what_was_not_saved() -> None:
    switch, session = configured(f"interface {PORT}", "description other", "end")
    before = device().configuration()
    say(session, "reload")
    assert session.prompt == "System configuration has been modified. Save? [yes/no]: "
    say(session, "no")
    assert session.prompt == "Proceed with reload? [confirm]"
    assert say(session, "").close
    assert switch.configuration() == before


def test_a_revert_timer_needs_the_archive() -> None:
    session = device().login("ops")
    assert not session.line("configure terminal revert timer 1", now=NOW).accepted
    assert session.mode == "enable"
    assert say(session, "show archive").text == " Archive feature not enabled\n"


def test_an_unconfirmed_change_comes_back_by_itself() -> None:
    switch = device(configuration=ARCHIVE)
    before = switch.configuration()
    session = switch.login("ops")
    say(session, "configure terminal revert timer 1", f"interface {PORT}", "shutdown", "end")
    switch.tick(now=NOW + 59)
    assert passed(switch, UDP).packets == 0
    switch.tick(now=NOW + 61)
    assert switch.configuration() == before
    assert passed(switch, UDP).packets == 1000


def test_a_confirmed_change_stays() -> None:
    switch = device(configuration=ARCHIVE)
    session = switch.login("ops")
    say(session, "configure terminal revert timer 1", f"interface {PORT}", "shutdown", "end", "configure confirm")
    switch.tick(now=NOW + 3600)
    assert passed(switch, UDP).packets == 0
    assert not session.line("configure confirm", now=NOW).accepted


def test_configure_replace_brings_a_kept_configuration_back() -> None:
    switch = device(configuration=ARCHIVE)
    session = switch.login("ops")
    before = switch.configuration()
    say(session, "archive config", "conf t", f"interface {PORT}", "shutdown", "end")
    assert not session.line("configure replace flash:nope force", now=NOW).accepted
    assert "Rollback Done" in say(session, "configure replace flash:saved-1 force").text
    assert switch.configuration() == before


def test_two_sessions_share_one_running_configuration() -> None:
    switch, session = configured(f"interface {PORT}", "shutdown")
    other = switch.login("other")
    assert " shutdown" in say(other, f"show running-config interface {PORT}").text
    session.closed()
    assert passed(switch, UDP).packets == 0


def test_only_lines_that_change_something_count_as_configuration() -> None:
    session = device().login("ops")
    lines = ("configure terminal", f"interface {PORT}", "shutdown", "shutdown", "do show clock", "end")
    assert [say(session, line).configured for line in lines] == [False, False, True, False, False, False]


def test_a_copy_of_a_session_leaves_the_device_alone() -> None:
    switch, session = configured(f"interface {PORT}")
    before = switch.configuration()
    twin = copy.deepcopy(session)
    say(twin, "shutdown", "end", "copy running-config startup-config", "")
    assert switch.configuration() == before


def test_a_refusal_is_the_platforms_own_in_every_mode() -> None:
    session = device().login("ops")
    assert "% Invalid input detected" in session.refusal("show version").text
    say(session, "conf t")
    reply = session.refusal("shutdown")
    assert (reply.accepted, reply.text.index("^")) == (False, len("sw-a1(config)#"))


def test_output_filters_cut_the_configuration() -> None:
    session = device().login("ops")
    assert say(session, "show running-config | include ^hostname").text == "hostname sw-a1\n"
    section = say(session, f"show running-config | section interface {PORT}").text.splitlines()
    assert section[0] == f"interface {PORT}"
    assert all(line.startswith(" ") for line in section[1:])
    assert not session.line("show running-config | frobnicate x", now=NOW).accepted


def test_a_plan_with_a_line_that_the_device_refuses_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="refused by the device"):
        device(configuration="switchport frob")


def test_a_trunk_carries_the_vlans_that_it_allows_and_untagged_frames_in_its_native_one() -> None:
    switch, session = configured("interface Gi1/0/1", "switchport trunk allowed vlan 1,100")
    trunk = replace(UDP, interface="GigabitEthernet1/0/1")
    frames = [trunk, replace(trunk, vlan=100), replace(trunk, vlan=666)]
    assert [one.vlan for one in switch.forward(frames, now=NOW) if one.packets] == [1, 100]
    say(session, "switchport trunk native vlan 100")
    assert passed(switch, trunk).vlan == 100


def test_a_tagged_frame_does_not_enter_an_access_port() -> None:
    assert passed(device(), replace(UDP, vlan=666)).packets == 0
