"""The emulated EX switch against the vendor's documents: candidate and commit, refusals, and what filters do."""

import copy
import json
from dataclasses import replace

import pytest

from deploy.lab.device import DevicePlan, EmulatedDevice, Packets, Passed, PortPlan, Reply, Traffic
from deploy.lab.junos import JunosDevice
from deploy.lab.junos_schema import Misread
from deploy.lab.junos_session import Session

NOW = 1_700_000_000.0
PORT = "ge-0/0/7"
LAYER2 = f"interfaces {PORT} unit 0 family ethernet-switching"
HOST = "aa:bb:cc:00:00:07"
PLAN = DevicePlan(
    name="ex1",
    platform="juniper_junos",
    hostname="ex-a1",
    ports=(
        PortPlan("ge-0/0/0", 501, trunk=True, description="uplink"),
        PortPlan(PORT, 507, vlan=100, description="hv7 nic1", neighbours=((HOST, "10.0.0.7"), (HOST, "2001:db8::7"))),
        PortPlan("ge-0/0/8", 508, vlan=100, neighbours=(("aa:bb:cc:00:00:08", "10.0.0.8"),)),
        PortPlan("ge-0/0/9", 509, addresses=("192.0.2.1/24",)),
    ),
    vlans=((100, "WEB"), (666, "QUARANTINE")),
)
UDP = Packets(PORT, HOST, "aa:bb:cc:00:00:08", "10.0.0.7", "198.51.100.9", 17, 4000, 53, 1000, 1_000_000)
UDP6 = replace(UDP, src="2001:db8::7", dst="2001:db8:9::1")
ARP = replace(UDP, src="", dst="", protocol=0, src_port=0, dst_port=0)
BLOCK = (
    "set firewall family ethernet-switching filter BLOCK term host from ip-source-address 10.0.0.7/32",
    "set firewall family ethernet-switching filter BLOCK term host then discard",
    "set firewall family ethernet-switching filter BLOCK term host then count blocked",
    "set firewall family ethernet-switching filter BLOCK term rest then accept",
    f"set {LAYER2} filter input BLOCK",
)
SLOW = (
    "set firewall policer SLOW if-exceeding bandwidth-limit 800k",
    "set firewall policer SLOW if-exceeding burst-size-limit 15k",
    "set firewall policer SLOW then discard",
    "set firewall family ethernet-switching filter SLOW term all then policer SLOW",
    f"set {LAYER2} filter input SLOW",
)
MOVE = (f"delete {LAYER2} vlan members", f"set {LAYER2} vlan members QUARANTINE")


def device(*lines: str) -> JunosDevice:
    return JunosDevice(replace(PLAN, options={"configuration": "\n".join(lines)}))


def say(session: Session, *lines: str, now: float = NOW) -> Reply:
    """Type lines that must all be taken; the last reply."""
    reply = Reply()
    for line in lines:
        reply = session.line(line, now=now)
        assert reply.accepted, f"{line!r}: {reply.text}"
    return reply


def editing(switch: JunosDevice, *lines: str, user: str = "ops", how: str = "configure") -> Session:
    session = switch.login(user)
    say(session, "set cli screen-length 0", how, *lines)
    return session


def passed(switch: JunosDevice, burst: Packets) -> Passed:
    return switch.forward([burst], now=NOW)[0]


def test_the_model_keeps_the_contract_of_a_device() -> None:
    built: EmulatedDevice = device()
    assert built.login("ops").mode == "operational"


def test_prompts_name_the_user_and_the_place_in_the_configuration() -> None:
    session = device().login("ops")
    assert session.prompt == "ops@ex-a1> "
    say(session, "configure")
    assert session.prompt == "[edit]\r\nops@ex-a1# "
    say(session, f"edit interfaces {PORT}")
    assert session.prompt == f"[edit interfaces {PORT}]\r\nops@ex-a1# "
    say(session, "up", "top", "exit")
    assert session.prompt == "ops@ex-a1> "


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("shwo version", "unknown command."),
        ("show fop", "syntax error, expecting <command>."),
        ("show interfaces ge-9/9/9", "error: device ge-9/9/9 not found"),
        ("show version | frob", "syntax error."),
        ("show configuration frob", "syntax error."),
    ],
)
def test_operational_mode_refuses_in_its_own_words(line: str, sentence: str) -> None:
    reply = device().login("ops").line(line, now=NOW)
    assert not reply.accepted
    assert reply.text.rstrip().splitlines()[-1] == sentence


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("shutdown", "unknown command."),
        ("set interfaces ge-0/0/7 frob", "syntax error."),
        ("set interfaces gigabit7 disable", "syntax error."),
        (f"set {LAYER2} interface-mode hybrid", "syntax error."),
        ("set interfaces ge-0/0/7 description", "missing argument."),
        ("set interfaces", "missing argument."),
        ("set firewall family ethernet-switching filter F term 1 from source-address 10.0.0.7", "syntax error."),
        ("set firewall family inet filter F term 1 from ip-source-address 10.0.0.7", "syntax error."),
        ("set firewall family ethernet-switching filter F term 1 from ip-source-address 10.0.0.300", "syntax error."),
        ("commit confirmed 0", "syntax error."),
        ("rollback 49", "error: rollback 49: no such configuration"),
    ],
)
def test_configuration_mode_refuses_in_its_own_words_and_changes_nothing(line: str, sentence: str) -> None:
    session = editing(device())
    reply = session.line(line, now=NOW)
    assert (reply.accepted, reply.configured) == (False, False)
    assert reply.text.rstrip().splitlines()[-1] == sentence
    assert say(session, "show | compare").text == "\n"


def test_the_caret_stands_below_the_word_that_does_not_fit() -> None:
    session = editing(device())
    line = "set interfaces ge-0/0/7 frob"
    caret = session.line(line, now=NOW).text.splitlines()[0]
    assert caret.index("^") == len("ops@ex-a1# ") + line.index("frob")


def test_nothing_acts_before_it_is_committed() -> None:
    switch = device()
    session = editing(switch, f"set interfaces {PORT} disable")
    assert passed(switch, UDP).packets == 1000
    assert say(session, "commit").text == "commit complete\n\n"
    assert passed(switch, UDP) == Passed(0, 0, None, "disable")


def test_a_disabled_port_forgets_its_addresses_and_learns_them_again() -> None:
    switch = device()
    session = editing(switch, f"set interfaces {PORT} disable", "commit")
    assert HOST not in say(session, "run show ethernet-switching table").text
    say(session, f"delete interfaces {PORT} disable", "commit")
    passed(switch, UDP)
    assert f"{HOST}   D" in say(session, f"run show ethernet-switching table interface {PORT}.0").text


def test_frames_leave_with_the_vlan_of_the_port() -> None:
    switch = device()
    editing(switch, *MOVE, "commit")
    assert passed(switch, UDP) == Passed(1000, 1_000_000, 666)


def test_a_second_vlan_on_an_access_port_is_caught_by_the_check() -> None:
    session = editing(device(), f"set {LAYER2} vlan members QUARANTINE")
    reply = session.line("commit check", now=NOW)
    assert not reply.accepted
    assert "more than one vlan member: <WEB> and <QUARANTINE>" in reply.text
    say(session, f"delete {LAYER2} vlan members WEB")
    assert say(session, "commit check").text == "configuration check succeeds\n\n"


@pytest.mark.parametrize(
    ("lines", "path", "reason"),
    [
        (
            (f"set {LAYER2} filter input NOPE",),
            f"[edit {LAYER2}]",
            "Referenced filter 'NOPE' is not defined",
        ),
        (
            (MOVE[0], f"set {LAYER2} vlan members NOPE"),
            f"[edit {LAYER2} vlan]",
            "Referenced vlan 'NOPE' is not defined",
        ),
        (SLOW[3:], "[edit firewall family ethernet-switching filter SLOW term all then]", "Referenced policer 'SLOW'"),
        ((*SLOW[:1], *SLOW[2:]), "[edit firewall policer SLOW]", "Missing mandatory statement: 'burst-size-limit'"),
    ],
)
def test_a_reference_to_what_is_not_there_cannot_be_committed(lines: tuple[str, ...], path: str, reason: str) -> None:
    switch = device()
    before = switch.configuration()
    session = editing(switch, *lines)
    reply = session.line("commit", now=NOW)
    assert not reply.accepted
    assert path in reply.text
    assert reason in reply.text
    assert switch.configuration() == before


def test_a_filter_stops_its_host_and_lets_the_rest_pass() -> None:
    switch = device(*BLOCK)
    other = replace(UDP, src="10.0.0.70")
    assert [one.packets for one in switch.forward([UDP, UDP6, ARP, other], now=NOW)] == [0, 1000, 1000, 1000]
    shown = say(switch.login("ops"), "show firewall filter BLOCK").text
    assert next(line.split() for line in shown.splitlines() if "blocked" in line) == ["blocked", "1000000", "1000"]


def test_without_a_last_term_the_silent_discard_stops_arp_and_ipv6_too() -> None:
    switch = device(*(line for line in BLOCK if "rest" not in line))
    fates = switch.forward([replace(UDP, src="10.0.0.8"), UDP6, ARP], now=NOW)
    assert {one.why for one in fates} == {"filter BLOCK: implicit discard"}


def test_an_ipv6_host_needs_a_term_of_its_own() -> None:
    six = "set firewall family ethernet-switching filter BLOCK term six"
    lines = (f"{six} from ip-version ipv6 source-address 2001:db8::/64", f"{six} then discard")
    switch = device(*BLOCK[:3], *lines, *BLOCK[3:])
    assert passed(switch, UDP6).why == "filter BLOCK term six: discard"


def test_fragments_are_told_apart_first_and_later() -> None:
    start = "set firewall family ethernet-switching filter BLOCK term"
    switch = device(f"{start} f from is-fragment", f"{start} f then discard", f"{start} rest then accept", BLOCK[-1])
    first = replace(UDP, traffic=Traffic.FRAGMENT)
    later = replace(first, src_port=0, dst_port=0)
    assert [one.packets for one in switch.forward([UDP, first, later], now=NOW)] == [1000, 0, 0]


def test_terms_are_tried_in_order_and_insert_moves_one() -> None:
    term = "firewall family ethernet-switching filter BLOCK term"
    switch = device(f"set {term} rest then accept", *BLOCK[:3], BLOCK[-1])
    assert passed(switch, UDP).packets == 1000
    editing(switch, f"insert {term} host before term rest", "commit")
    assert passed(switch, UDP).packets == 0


def test_a_policer_passes_its_rate_times_the_seconds_shared_between_bursts() -> None:
    switch = device(*SLOW)
    one, two = switch.forward([UDP, UDP], now=NOW)
    assert one.octets + two.octets == 800_000 * UDP.seconds / 8
    assert two.why == "filter SLOW term all: policer"


def test_an_mac_term_and_a_vlan_filter_work_as_well() -> None:
    start = "set firewall family ethernet-switching filter M term"
    switch = device(
        f"{start} m from source-mac-address {HOST}",
        f"{start} m then discard",
        f"{start} rest then accept",
        "set vlans WEB forwarding-options filter input M",
    )
    assert [one.packets for one in switch.forward([UDP, ARP], now=NOW)] == [0, 0]
    assert passed(switch, replace(UDP, src_mac="aa:bb:cc:00:00:99")).packets == 1000


def test_a_routed_port_has_filters_by_family() -> None:
    term = "set firewall family inet filter R term 1"
    switch = device(
        f"{term} from protocol udp",
        f"{term} then discard",
        "set firewall family inet filter R term 2 then accept",
        "set interfaces ge-0/0/9 unit 0 family inet filter input R",
    )
    routed = replace(UDP, interface="ge-0/0/9")
    assert [one.packets for one in switch.forward([routed, replace(routed, protocol=6)], now=NOW)] == [0, 1000]


def test_a_confirmed_commit_comes_back_by_itself() -> None:
    switch = device()
    before = switch.configuration()
    session = editing(switch)
    say(session, *MOVE)
    assert "rolled back in 2 minutes unless confirmed\ncommit complete" in say(session, "commit confirmed 2").text
    assert session.prompt.startswith("# commit confirmed will be rolled back in 2 minutes\r\n")
    switch.tick(now=NOW + 119)
    assert passed(switch, UDP).vlan == 666
    switch.tick(now=NOW + 121)
    assert switch.configuration() == before
    assert say(session, "show | compare", now=NOW + 122).text == "\n"
    assert "by root via other" in say(session, "run show system commit", now=NOW + 122).text


@pytest.mark.parametrize("confirmation", ["commit", "commit check"])
def test_a_confirmation_keeps_the_commit(confirmation: str) -> None:
    switch = device()
    editing(switch, *MOVE, "commit confirmed 1", confirmation)
    switch.tick(now=NOW + 3600)
    assert passed(switch, UDP).vlan == 666


def test_a_chain_of_confirmed_commits_goes_back_to_the_last_that_was_confirmed() -> None:
    switch = device()
    before = switch.configuration()
    editing(switch, *MOVE, "commit confirmed 5", f"set interfaces {PORT} disable", "commit confirmed 1")
    switch.tick(now=NOW + 61)
    assert switch.configuration() == before


def test_rollback_loads_an_earlier_configuration_into_the_candidate() -> None:
    switch = device()
    before = switch.configuration()
    session = editing(switch, *MOVE, "commit", "rollback 1")
    assert switch.configuration() != before
    say(session, "commit")
    assert switch.configuration() == before


def test_compare_shows_what_goes_and_what_comes() -> None:
    session = editing(device(), *MOVE, f"set interfaces {PORT} disable")
    assert say(session, "show | compare").text.splitlines() == [
        f"[edit interfaces {PORT}]",
        "+   disable;",
        f"[edit {LAYER2} vlan]",
        "-   members WEB;",
        "+   members QUARANTINE;",
        "",
    ]


def test_a_plain_commit_takes_along_what_another_user_typed() -> None:
    switch = device()
    editing(switch, 'set interfaces ge-0/0/8 description "half done"', user="bob")
    session = switch.login("ops")
    text = say(session, "configure").text
    assert "bob terminal p1" in text
    assert "The configuration has been changed but not committed" in text
    say(session, f"set interfaces {PORT} disable", "commit")
    assert 'set interfaces ge-0/0/8 description "half done"' in switch.configuration()


def test_private_work_is_committed_alone_and_refused_over_a_modified_shared_candidate() -> None:
    switch = device()
    mine = editing(switch, *MOVE, how="configure private")
    bob = editing(switch, "set interfaces ge-0/0/8 disable", user="bob")
    reply = mine.line("commit", now=NOW)
    assert reply.text.startswith("error: shared configuration database modified")
    say(bob, "rollback 0")
    say(mine, "commit")
    assert passed(switch, UDP).vlan == 666
    assert "set interfaces ge-0/0/8 disable" not in switch.configuration()


def test_two_private_candidates_are_merged_one_after_the_other() -> None:
    switch = device()
    one = editing(switch, *MOVE, how="configure private")
    two = editing(switch, "set interfaces ge-0/0/8 disable", user="bob", how="configure private")
    say(one, "commit")
    say(two, "commit")
    assert passed(switch, UDP).vlan == 666
    assert passed(switch, replace(UDP, interface="ge-0/0/8")).why == "disable"


def test_an_exclusive_lock_keeps_everybody_else_out_until_it_is_given_back() -> None:
    switch = device()
    mine = editing(switch, f"set interfaces {PORT} disable", how="configure exclusive")
    bob = switch.login("bob")
    reply = bob.line("configure private", now=NOW)
    assert reply.text.startswith("error: configuration database locked by:\n  ops terminal p1")
    say(bob, "configure")
    assert not bob.line("set interfaces ge-0/0/8 disable", now=NOW).accepted
    mine.closed()
    say(bob, "set interfaces ge-0/0/8 disable", "commit")
    assert passed(switch, UDP).packets == 1000


def test_exclusive_is_refused_over_somebodys_unfinished_work() -> None:
    switch = device()
    editing(switch, "set interfaces ge-0/0/8 disable", user="bob")
    assert switch.login("ops").line("configure exclusive", now=NOW).text == "error: configuration database modified\n\n"


def test_leaving_with_uncommitted_changes_asks_and_private_ones_are_lost() -> None:
    switch = device()
    session = editing(switch, f"set interfaces {PORT} disable", how="configure private")
    say(session, "exit")
    assert (session.mode, session.prompt) == ("dialog", "Discard uncommitted changes? [yes,no] (yes) ")
    say(session, "no")
    assert session.mode == "configuration"
    assert say(session, "exit", "yes").text.endswith("Exiting configuration mode\n\n")
    assert say(session, "configure", "show | compare").text == "\n"


def test_shared_changes_stay_in_the_candidate_of_who_comes_next() -> None:
    switch = device()
    session = editing(switch, f"set interfaces {PORT} disable")
    say(session, "exit", "")
    assert "disable" in say(editing(switch, user="bob"), "show | compare").text


def test_power_loss_keeps_what_was_committed_and_loses_the_candidate() -> None:
    switch = device()
    session = editing(switch, *MOVE, "commit", f"set interfaces {PORT} disable")
    switch.power_cycle(now=NOW)
    session.closed()
    assert passed(switch, UDP).vlan == 666
    assert say(editing(switch), "show | compare").text == "\n"


def test_deleting_what_is_not_there_is_a_warning_and_the_same_set_again_no_change() -> None:
    session = editing(device())
    assert say(session, f"delete interfaces {PORT} disable").text.startswith("warning: statement not found")
    assert say(session, f"set interfaces {PORT} disable").configured
    assert not say(session, f"set interfaces {PORT} disable").configured


def test_configuration_is_shown_as_braces_set_lines_and_json() -> None:
    session = device(*SLOW).login("ops")
    say(session, "set cli screen-length 0")
    braces = say(session, f"show configuration interfaces {PORT} unit 0").text.splitlines()
    assert braces[0] == "family ethernet-switching {"
    assert "            input SLOW;" not in braces
    assert "        input SLOW;" in braces
    lines = say(session, f"show configuration interfaces {PORT} | display set").text.splitlines()
    assert f"set {LAYER2} filter input SLOW" in lines
    tree = json.loads(say(session, f"show configuration interfaces {PORT} | display json | no-more").text)
    assert tree["configuration"]["interfaces"]["interface"][0]["description"] == "hv7 nic1"
    assert "members WEB;" in say(session, "show configuration | match members | except all").text
    assert say(session, f"show configuration interfaces {PORT} | display set | count").text.startswith("Count: 4 lines")


def test_long_output_comes_in_pages_unless_told_otherwise() -> None:
    session = device().login("ops")
    assert len(session.line("show configuration", now=NOW).pages) > 1
    assert session.line("show configuration | no-more", now=NOW).pages == ()


def test_counters_move_with_the_traffic() -> None:
    switch = device(*BLOCK)
    switch.forward([UDP, UDP], now=NOW)
    session = switch.login("ops")
    text = say(session, "set cli screen-length 0", f"show interfaces {PORT} extensive").text
    assert "Input  packets:                 2000" in text
    assert "Input  bytes  :              2000000" in text


def test_a_copy_of_a_session_leaves_the_device_alone() -> None:
    switch = device()
    before = switch.configuration()
    session = editing(switch, *MOVE)
    say(copy.deepcopy(session), "commit", "exit")
    assert switch.configuration() == before
    assert session.mode == "configuration"


def test_refusal_and_greeting_are_the_platforms_own() -> None:
    session = device().login("ops")
    assert session.refusal("show version").text.endswith("^\nunknown command.\n")
    assert session.greeting().startswith("--- JUNOS ")


def test_a_plan_with_a_line_that_the_switch_does_not_understand_cannot_be_built() -> None:
    with pytest.raises(Misread):
        device("set interfaces ge-0/0/7 frob")


def test_a_trunk_needs_a_native_vlan_for_untagged_frames() -> None:
    switch = device()
    trunk = replace(UDP, interface="ge-0/0/0")
    assert [one.vlan for one in switch.forward([trunk, replace(trunk, vlan=666)], now=NOW)] == [1, 666]
    editing(switch, "delete interfaces ge-0/0/0 native-vlan-id", "commit")
    assert passed(switch, trunk).packets == 0
    assert passed(switch, replace(trunk, vlan=100)).packets == 1000
