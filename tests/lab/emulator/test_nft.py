"""The emulated Linux firewall: what passes, what nft says, what is kept."""

from dataclasses import replace

import pytest

from deploy.lab.device import DevicePlan, Packets, PortPlan, Traffic
from deploy.lab.nft import NftDevice
from deploy.lab.shell import Shell

NOW = 1_700_000_000.0
OUT = Packets("eth1", "02:00:00:00:00:07", "02:00:00:00:00:01", "10.0.0.7", "192.0.2.9", 6, 4000, 443, 100, 100_000)
BACK = replace(OUT, interface="eth2", src="192.0.2.9", dst="10.0.0.7", src_port=443, dst_port=4000)
SIX = replace(OUT, src="2001:db8::7", dst="2001:db8:9::9")
UDP = replace(OUT, protocol=17, dst_port=53)
FRAGMENTS = replace(UDP, traffic=Traffic.FRAGMENT)
OWN = "nft add table inet own"
EARLY = "nft 'add chain inet own guard { type filter hook forward priority filter - 10; policy accept; }'"
RAW = "nft 'add chain inet own raw { type filter hook prerouting priority -450; policy accept; }'"


@pytest.fixture
def firewall():
    ports = (
        PortPlan(
            "eth1", 2, addresses=("10.0.0.1/24", "2001:db8::1/64"), neighbours=(("02:00:00:00:00:07", "10.0.0.7"),)
        ),
        PortPlan("eth2", 3, description="uplink"),
    )
    return NftDevice(DevicePlan("fw1", "linux_nftables", "fw1", ports))


def say(firewall, *lines, now=NOW):
    shell = Shell(firewall._machine, "root")
    return [shell.line(line, now=now).text for line in lines][-1]


def feed(firewall, text, now=NOW):
    return say(firewall, "nft -f - <<'EOF'", *text.strip().splitlines(), "EOF", now=now)


def passed(firewall, burst, now=NOW):
    return firewall.forward([burst], now=now)[0]


def test_traffic_passes_and_is_counted_on_both_links(firewall):
    assert passed(firewall, OUT).packets == 100
    said = say(firewall, "ip -s link show dev eth2")
    assert "100000     100" in said


def test_rule_behind_the_early_accept_spares_a_connection_that_was_there_before(firewall):
    passed(firewall, OUT)
    say(firewall, "nft add rule inet filter forward ip saddr 10.0.0.7 drop")
    assert passed(firewall, OUT).packets == 100
    stopped = passed(firewall, replace(OUT, src_port=4001))
    assert (stopped.packets, stopped.why) == (0, "inet filter forward: ip saddr 10.0.0.7 drop")


def test_deleting_the_connection_lets_the_rule_act(firewall):
    passed(firewall, OUT)
    say(firewall, "nft add rule inet filter forward ip saddr 10.0.0.7 drop")
    listed = say(firewall, "conntrack -L -s 10.0.0.7 2>/dev/null")
    assert "src=10.0.0.7 dst=192.0.2.9 sport=4000 dport=443" in listed
    assert "1 flow entries have been deleted" in say(firewall, "conntrack -D -s 10.0.0.7")
    assert passed(firewall, OUT).packets == 0
    assert "rc=1" in say(firewall, "conntrack -D -s 10.0.0.7; echo rc=$?")


def test_chain_of_an_earlier_priority_cuts_what_is_established(firewall):
    passed(firewall, OUT)
    say(firewall, OWN, EARLY, "nft add rule inet own guard ip saddr 10.0.0.7 counter drop")
    assert passed(firewall, OUT).packets == 0
    assert passed(firewall, replace(OUT, src="10.0.0.8")).packets == 100
    assert "counter packets 100 bytes 100000 drop" in say(firewall, "nft list chain inet own guard")


def test_accept_in_an_early_chain_does_not_overrule_a_later_one(firewall):
    say(firewall, OWN, EARLY, "nft add rule inet own guard ip saddr 10.0.0.7 accept")
    say(firewall, "nft insert rule inet filter forward ip saddr 10.0.0.7 drop")
    assert passed(firewall, OUT).packets == 0


def test_unanswered_datagrams_never_become_established(firewall):
    passed(firewall, UDP)
    say(firewall, "nft add rule inet filter forward ip saddr 10.0.0.7 drop")
    assert passed(firewall, UDP).packets == 0


def test_answered_datagrams_are_established(firewall):
    passed(firewall, UDP)
    passed(firewall, replace(BACK, protocol=17, src_port=53))
    say(firewall, "nft add rule inet filter forward ip saddr 10.0.0.7 drop")
    assert passed(firewall, UDP).packets == 100


def test_fragments_are_whole_again_behind_connection_tracking(firewall):
    say(firewall, OWN, EARLY, "nft 'add rule inet own guard ip frag-off & 0x1fff != 0 drop'")
    assert passed(firewall, FRAGMENTS).packets == 100
    say(firewall, RAW, "nft 'add rule inet own raw ip frag-off & 0x1fff != 0 drop'")
    assert passed(firewall, FRAGMENTS).packets == 0
    assert passed(firewall, UDP).packets == 100


def test_fragments_are_seen_everywhere_when_nothing_tracks_connections(firewall):
    say(firewall, "nft flush ruleset", OWN, EARLY, "nft 'add rule inet own guard ip frag-off & 0x1fff != 0 drop'")
    assert passed(firewall, FRAGMENTS).packets == 0


def test_ipv6_fragments_are_known_by_their_header(firewall):
    say(firewall, OWN, RAW, "nft add rule inet own raw exthdr frag exists drop")
    assert passed(firewall, replace(SIX, traffic=Traffic.FRAGMENT)).packets == 0
    assert passed(firewall, SIX).packets == 100
    assert passed(firewall, FRAGMENTS).packets == 100


def test_ipv4_rule_leaves_ipv6_alone(firewall):
    say(firewall, OWN, EARLY, "nft add rule inet own guard ip saddr 10.0.0.7 drop")
    assert passed(firewall, SIX).packets == 100
    say(firewall, "nft add rule inet own guard ip6 saddr 2001:db8::/64 drop")
    assert passed(firewall, SIX).packets == 0


def test_member_of_a_set_with_a_timeout_is_free_again_when_it_ends(firewall):
    feed(
        firewall,
        """
table inet own {
    set hosts { type ipv4_addr; flags timeout; }
    chain guard {
        type filter hook forward priority filter - 10; policy accept;
        ip saddr @hosts drop
    }
}
add element inet own hosts { 10.0.0.7 timeout 60s }
""",
    )
    assert passed(firewall, OUT, NOW + 59).packets == 0
    assert "10.0.0.7 timeout 1m expires 1s" in say(firewall, "nft list set inet own hosts", now=NOW + 59)
    firewall.tick(now=NOW + 61)
    assert passed(firewall, OUT, NOW + 61).packets == 100
    assert "elements" not in say(firewall, "nft list set inet own hosts", now=NOW + 61)


def test_adding_a_member_again_does_not_renew_it_but_replacing_it_does(firewall):
    say(firewall, OWN, r"nft add set inet own hosts { type ipv4_addr \; flags timeout \; }")
    say(firewall, "nft add element inet own hosts { 10.0.0.7 timeout 60s }")
    say(firewall, "nft add element inet own hosts { 10.0.0.7 timeout 600s }", now=NOW + 30)
    assert "timeout 1m expires 30s" in say(firewall, "nft list ruleset", now=NOW + 30)
    feed(
        firewall,
        "delete element inet own hosts { 10.0.0.7 }\nadd element inet own hosts { 10.0.0.7 timeout 600s }",
        now=NOW + 30,
    )
    assert "timeout 10m expires 10m" in say(firewall, "nft list ruleset", now=NOW + 30)


def test_rate_limit_holds_a_flood(firewall):
    say(firewall, OWN, EARLY, "nft add rule inet own guard ip saddr 10.0.0.7 limit rate over 40/second drop")
    through = [passed(firewall, OUT, NOW + tick * 0.25).packets for tick in range(41)]
    assert sum(through[1:]) == pytest.approx(400, rel=0.05)


def test_jump_comes_back_and_goto_does_not(firewall):
    feed(
        firewall,
        """
table inet own {
    chain sub { ip daddr 192.0.2.10 drop; }
    chain guard {
        type filter hook forward priority filter - 10; policy accept;
        tcp dport 443 jump sub
        tcp dport 25 goto sub
        ip saddr 10.0.0.7 drop
    }
}
""",
    )
    assert passed(firewall, OUT).why == "inet own guard: ip saddr 10.0.0.7 drop"
    assert passed(firewall, replace(OUT, dst="192.0.2.10")).why == "inet own sub: ip daddr 192.0.2.10 drop"
    assert passed(firewall, replace(OUT, dst_port=25)).packets == 100


def test_policy_drop_stops_what_nothing_accepts(firewall):
    say(firewall, OWN, r"nft add chain inet own guard { type filter hook forward priority -1 \; policy drop \; }")
    assert passed(firewall, OUT).why == "inet own guard: policy drop"
    say(firewall, "nft add rule inet own guard tcp dport 443 accept")
    assert passed(firewall, OUT).packets == 100


def test_batch_with_one_mistake_does_nothing(firewall):
    before = firewall.configuration()
    said = feed(firewall, "add table inet own\nadd rule inet own nowhere ip saddr 10.0.0.7 drop")
    assert said == (
        "/dev/stdin:2:19-25: Error: Could not process rule: No such file or directory\n"
        "add rule inet own nowhere ip saddr 10.0.0.7 drop\n"
        "                  ^^^^^^^\n"
    )
    assert firewall.configuration() == before


def test_check_only_changes_nothing(firewall):
    before = firewall.configuration()
    assert say(firewall, "nft -c add table inet own; echo rc=$?") == "rc=0\n"
    assert firewall.configuration() == before


def test_piped_and_read_from_a_file(firewall):
    say(firewall, "printf 'add table inet own\\n' | nft -f -")
    say(firewall, "echo 'add table inet second' > /root/x.nft; nft -f /root/x.nft")
    assert say(firewall, "nft list tables") == "table inet filter\ntable inet own\ntable inet second\n"
    assert "Could not open file" in say(firewall, "nft -f /root/missing")


def test_words_of_the_language_cannot_be_names(firewall):
    assert say(firewall, OWN, "nft add chain inet own fwd").startswith(
        "Error: syntax error, unexpected fwd, expecting string"
    )


def test_power_loss_brings_back_the_startup_file_and_no_connection(firewall):
    before = firewall.configuration()
    passed(firewall, OUT)
    say(firewall, OWN, EARLY, "nft add rule inet own guard drop", "ip link set eth1 down")
    firewall.power_cycle(now=NOW + 5)
    assert firewall.configuration() == before
    assert say(firewall, "conntrack -C", now=NOW + 5) == "0\n"
    say(firewall, OWN, "nft list ruleset > /etc/nftables.conf", now=NOW + 6)
    firewall.power_cycle(now=NOW + 7)
    assert "table inet own {" in firewall.configuration()


def test_configuration_is_the_same_after_a_change_and_its_opposite(firewall):
    before = firewall.configuration()
    say(firewall, OWN, EARLY, "nft add rule inet own guard drop")
    assert firewall.configuration() != before
    say(firewall, "nft delete table inet own")
    assert firewall.configuration() == before


def test_counters_and_passing_time_do_not_change_the_configuration(firewall):
    say(firewall, OWN, r"nft add set inet own s { type ipv4_addr \; flags timeout \; }", EARLY)
    say(firewall, "nft add element inet own s { 10.9.9.9 timeout 1h }", "nft add rule inet own guard counter")
    before = firewall.configuration()
    passed(firewall, OUT, NOW + 10)
    firewall.tick(now=NOW + 20)
    assert firewall.configuration() == before


def test_frame_of_another_vlan_does_not_reach_a_tagged_interface():
    ports = (PortPlan("eth1.120", 2, vlan=120, addresses=("10.0.0.1/24",)), PortPlan("eth2", 3, description="uplink"))
    firewall = NftDevice(DevicePlan("fw1", "linux_nftables", "fw1", ports))
    burst = replace(OUT, interface="eth1.120")
    assert passed(firewall, replace(burst, vlan=120)).packets == 100
    assert passed(firewall, replace(burst, vlan=999)).why == "eth1.120 is in VLAN 120, not 999"


def test_segment_behind_the_firewall_is_reached_by_its_port():
    ports = (PortPlan("eth1", 2, description="shared"), PortPlan("eth2", 3, description="uplink"), PortPlan("eth3", 4))
    plan = DevicePlan("fw1", "linux_nftables", "fw1", ports, segments=(("shared", ("10.7.0.0/16",)),))
    firewall = NftDevice(plan)
    shell = Shell(firewall._machine, "root")
    shell.line("nft insert rule inet filter forward oifname eth1 counter drop", now=NOW)
    assert passed(firewall, replace(OUT, interface="eth2", dst="10.7.3.3")).packets == 0
    assert passed(firewall, replace(OUT, dst="198.51.100.1")).packets == 100


def test_other_user_than_root_may_not(firewall):
    shell = Shell(firewall._machine, "admin")
    assert shell.line("nft list ruleset", now=NOW).text == "Operation not permitted (you must be root)\n"
    assert "table inet filter" in shell.line("sudo nft list ruleset", now=NOW).text


def test_provider_ruleset_is_there_from_the_start(firewall):
    assert "\t\tct state established,related accept" in firewall.configuration()
    assert say(firewall, "cat /etc/nftables.conf | head -n 1") == "#!/usr/sbin/nft -f\n"


def test_connected_networks_are_routes_while_their_link_is_up(firewall):
    assert say(firewall, "ip route") == "10.0.0.0/24 dev eth1 proto kernel scope link src 10.0.0.1 \n"
    assert say(firewall, "ip -6 route show") == "2001:db8::/64 dev eth1 proto kernel metric 256 pref medium\n"
    say(firewall, "ip link set eth1 down")
    assert say(firewall, "ip route") == ""
