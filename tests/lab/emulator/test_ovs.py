"""The emulated Open vSwitch: what passes, what is counted, what is kept."""

from dataclasses import replace

import pytest

from deploy.lab.device import DevicePlan, Packets, PortPlan, Traffic
from deploy.lab.ovs import OvsDevice
from deploy.lab.shell import Shell

NOW = 1_700_000_000.0
FLOOD = Packets(
    "veth7", "02:00:00:00:00:07", "02:00:00:00:00:99", "10.0.0.7", "192.0.2.9", 17, 4000, 53, 1000, 1_000_000
)
SIX = replace(FLOOD, src="2001:db8::7", dst="2001:db8:9::9")
OF = "ovs-ofctl -O OpenFlow13 "


@pytest.fixture
def switch():
    ports = (
        PortPlan(
            "veth7", 17, vlan=120, neighbours=(("02:00:00:00:00:07", "10.0.0.7"), ("02:00:00:00:00:08", "10.0.0.8"))
        ),
        PortPlan("veth9", 19, vlan=120, neighbours=(("02:00:00:00:00:09", "10.0.0.9"),)),
        PortPlan("uplink", 29, trunk=True),
    )
    return OvsDevice(DevicePlan("hv03", "ovs_linux", "hv03", ports))


def say(switch, *lines, now=NOW):
    shell = Shell(switch._machine, "root")
    return [shell.line(line, now=now).text for line in lines][-1]


def passed(switch, burst, now=NOW):
    return switch.forward([burst], now=now)[0]


def test_frame_leaves_in_the_vlan_of_its_access_port(switch):
    assert passed(switch, FLOOD) == (through := passed(switch, FLOOD))
    assert (through.packets, through.octets, through.vlan) == (1000, 1_000_000, 120)


def test_port_that_is_moved_to_the_quarantine_vlan_sends_there(switch):
    say(switch, "ovs-vsctl set port veth7 tag=999")
    assert passed(switch, FLOOD).vlan == 999
    assert passed(switch, replace(FLOOD, interface="veth9")).vlan == 120


def test_neighbour_in_another_vlan_is_out_of_reach(switch):
    to_neighbour = replace(FLOOD, dst_mac="02:00:00:00:00:09")
    passed(switch, replace(FLOOD, interface="veth9", src_mac="02:00:00:00:00:09"))
    say(switch, "ovs-vsctl set port uplink trunks=120")
    assert passed(switch, to_neighbour).packets == 1000
    say(switch, "ovs-vsctl set port veth7 tag=999")
    assert passed(switch, to_neighbour).packets == 0


def test_two_protected_ports_exchange_nothing_and_reach_the_others(switch):
    to_neighbour = replace(FLOOD, dst_mac="02:00:00:00:00:09")
    passed(switch, replace(FLOOD, interface="veth9", src_mac="02:00:00:00:00:09"))
    say(switch, "ovs-vsctl set port veth7 protected=true")
    assert passed(switch, to_neighbour).packets == 1000
    say(switch, "ovs-vsctl set port veth9 protected=true")
    assert passed(switch, to_neighbour).packets == 0
    assert passed(switch, FLOOD).packets == 1000
    assert "port veth7 tag=120 protected=true" in switch.configuration()


def test_tagged_frame_is_dropped_on_an_access_port_and_carried_on_a_trunk(switch):
    assert "tagged frame" in passed(switch, replace(FLOOD, vlan=120)).why
    assert passed(switch, replace(FLOOD, interface="uplink", vlan=120)).vlan == 120


def test_flow_on_one_source_address_spares_the_neighbour_on_the_same_port(switch):
    say(switch, OF + "add-flow br0 'priority=100,ip,in_port=1,nw_src=10.0.0.7,actions=drop'")
    stopped = passed(switch, FLOOD)
    assert (stopped.packets, stopped.why) == (0, "flow priority=100,ip,in_port=1,nw_src=10.0.0.7 actions=drop")
    assert passed(switch, replace(FLOOD, src="10.0.0.8", src_mac="02:00:00:00:00:08")).packets == 1000


def test_ipv4_flow_leaves_ipv6_and_frames_that_are_not_ip_alone(switch):
    say(switch, OF + "add-flow br0 'priority=100,ip,in_port=1,nw_src=10.0.0.7,actions=drop'")
    assert passed(switch, SIX).packets == 1000
    assert passed(switch, replace(FLOOD, src="", dst="", protocol=0)).packets == 1000


def test_ipv6_flow_stops_its_prefix(switch):
    say(switch, OF + "add-flow br0 'priority=100,ipv6,in_port=1,ipv6_src=2001:db8::/64,actions=drop'")
    assert passed(switch, SIX).packets == 0
    assert passed(switch, replace(SIX, src="2001:db8:0:1::7")).packets == 1000


def test_flow_on_the_mac_stops_every_family(switch):
    say(switch, OF + "add-flow br0 'priority=100,in_port=1,dl_src=02:00:00:00:00:07,actions=drop'")
    assert [passed(switch, burst).packets for burst in (FLOOD, SIX, replace(FLOOD, src="", dst=""))] == [0, 0, 0]


def test_flow_without_its_prerequisite_matches_everything_on_the_port(switch):
    warning = say(switch, OF + "add-flow br0 'priority=100,in_port=1,nw_src=10.0.0.66,actions=drop'")
    assert " pre: in_port=1,nw_src=10.0.0.66" in warning
    assert passed(switch, FLOOD).packets == 0


def test_fragments_are_dropped_whole_or_the_later_ones_alone(switch):
    fragments = replace(FLOOD, traffic=Traffic.FRAGMENT)
    say(switch, OF + "add-flow br0 'priority=100,ip,in_port=1,nw_frag=yes,actions=drop'")
    assert passed(switch, fragments).packets == 0
    assert passed(switch, FLOOD).packets == 1000
    say(switch, OF + "del-flows br0 ip", OF + "add-flow br0 'priority=100,ip,in_port=1,nw_frag=later,actions=drop'")
    assert 0 < passed(switch, fragments).packets < 1000


def test_flow_on_a_port_number_misses_fragments(switch):
    say(switch, OF + "add-flow br0 'priority=100,udp,in_port=1,tp_dst=53,actions=drop'")
    assert passed(switch, FLOOD).packets == 0
    assert passed(switch, replace(FLOOD, traffic=Traffic.FRAGMENT)).packets == 1000


def test_higher_priority_wins_whatever_came_first(switch):
    say(
        switch,
        OF + "add-flow br0 'priority=200,in_port=1,actions=NORMAL'",
        OF + "add-flow br0 'priority=100,in_port=1,actions=drop'",
    )
    assert passed(switch, FLOOD).packets == 1000


def test_meter_holds_a_flood_at_its_rate(switch):
    say(
        switch,
        OF + "add-meter br0 'meter=7,kbps,burst,band=type=drop,rate=800,burst_size=80'",
        OF + "add-flow br0 'priority=100,ip,in_port=1,nw_src=10.0.0.7,actions=meter:7,NORMAL'",
    )
    through = [passed(switch, FLOOD, NOW + tick * 0.25) for tick in range(41)]
    rate = sum(one.octets for one in through[1:]) * 8 / 10.0
    assert rate == pytest.approx(800_000, rel=0.05)
    assert through[1].why == "meter 7 of 800 kbps"
    stats = say(switch, OF + "meter-stats br0 meter=7", now=NOW + 11)
    assert "flow_count:1 packet_in_count:41000" in stats


def test_meter_that_is_deleted_takes_its_flows_along(switch):
    say(
        switch,
        OF + "add-meter br0 meter=7,kbps,band=type=drop,rate=1",
        OF + "add-flow br0 'priority=100,in_port=1,actions=meter:7,NORMAL'",
        OF + "del-meter br0 meter=7",
    )
    assert "meter" not in say(switch, OF + "dump-flows br0")
    assert passed(switch, FLOOD).packets == 1000


def test_ingress_policing_holds_the_port_and_lets_go_again(switch):
    say(switch, "ovs-vsctl set interface veth7 ingress_policing_rate=800 ingress_policing_burst=80")
    through = [passed(switch, FLOOD, NOW + tick * 0.25) for tick in range(41)]
    assert sum(one.octets for one in through[1:]) * 8 / 10.0 == pytest.approx(800_000, rel=0.05)
    assert through[5].why == "ingress policing of veth7"
    say(switch, "ovs-vsctl set interface veth7 ingress_policing_rate=0 ingress_policing_burst=0")
    assert passed(switch, FLOOD, NOW + 20).packets == 1000


def test_link_that_is_down_passes_nothing_either_way(switch):
    say(switch, "ip link set dev veth7 down")
    assert passed(switch, FLOOD).why == "link veth7 is down"
    assert say(switch, "ovs-vsctl get interface veth7 admin_state link_state") == "down\ndown\n"
    say(switch, OF + "mod-port br0 veth7 up")
    assert passed(switch, FLOOD).packets == 1000
    say(switch, "ip link set uplink down")
    say(switch, "ip link set veth9 down")
    assert "no port takes frames" in passed(switch, FLOOD).why


def test_port_counters_move_with_what_arrives_and_flow_counters_with_what_matches(switch):
    say(switch, OF + "add-flow br0 'priority=100,ip,in_port=1,nw_src=10.0.0.7,actions=drop'")
    passed(switch, FLOOD)
    assert say(switch, "ovs-vsctl get interface veth7 statistics:rx_packets statistics:rx_bytes") == "1000\n1000000\n"
    assert say(switch, "ovs-vsctl get interface uplink statistics:tx_packets") == "0\n"
    assert "n_packets=1000, n_bytes=1000000, priority=100" in say(switch, OF + "dump-flows br0")


def test_flow_with_a_timeout_goes_when_its_time_is_over(switch):
    say(
        switch,
        OF + "add-flow br0 'priority=100,hard_timeout=60,in_port=1,actions=drop'",
        OF + "add-flow br0 'priority=90,idle_timeout=30,in_port=1,actions=drop'",
    )
    switch.tick(now=NOW + 29)
    passed(switch, FLOOD, NOW + 29)
    switch.tick(now=NOW + 31)
    assert "priority=90" not in say(switch, OF + "dump-flows br0", now=NOW + 31)
    assert passed(switch, FLOOD, NOW + 59).packets == 0
    switch.tick(now=NOW + 60)
    assert passed(switch, FLOOD, NOW + 61).packets == 1000


def test_loose_deletion_by_an_address_alone_deletes_more_than_it_says(switch):
    say(
        switch,
        OF + "add-flow br0 'priority=100,ip,in_port=1,nw_src=10.0.0.7,actions=drop'",
        OF + "add-flow br0 'priority=100,ipv6,in_port=1,actions=drop'",
        OF + "del-flows br0 'nw_src=10.0.0.99'",
    )
    assert say(switch, OF + "--no-stats dump-flows br0 | cat") == " priority=0 actions=NORMAL\n"


def test_cookie_finds_what_was_added_with_it_and_nothing_else(switch):
    say(
        switch,
        OF + "add-flow br0 'cookie=0xc0,priority=100,in_port=1,actions=drop'",
        OF + "add-flow br0 'cookie=0xc1,priority=101,in_port=1,actions=drop'",
        OF + "del-flows br0 cookie=0xc0/-1",
    )
    left = say(switch, OF + "--no-stats dump-flows br0 | cat")
    assert "0xc1" in left
    assert "0xc0" not in left


def test_terminal_is_shown_names_and_a_pipe_numbers(switch):
    say(switch, OF + "add-flow br0 'priority=100,in_port=veth7,actions=output:uplink'")
    assert "in_port=veth7 actions=output:uplink" in say(switch, OF + "dump-flows br0")
    assert not say(switch, OF + "dump-flows br0").startswith("OFPST")
    piped = say(switch, OF + "dump-flows br0 | cat")
    assert piped.startswith("OFPST_FLOW reply (OF1.3)")
    assert "in_port=1 actions=output:3" in piped


def test_meters_need_a_newer_openflow_than_the_default(switch):
    assert "none of the usable flow formats" in say(switch, "ovs-ofctl add-flow br0 in_port=1,actions=meter:1,NORMAL")
    say(switch, "ovs-vsctl set bridge br0 protocols=OpenFlow13")
    assert "version negotiation failed" in say(switch, "ovs-ofctl dump-flows br0")


def test_power_loss_keeps_the_database_and_forgets_flows_meters_and_links(switch):
    say(
        switch,
        "ovs-vsctl set port veth7 tag=999",
        OF + "add-meter br0 meter=7,kbps,band=type=drop,rate=1",
        OF + "add-flow br0 priority=100,in_port=1,actions=drop",
        "ip link set veth9 down",
    )
    passed(switch, FLOOD)
    switch.power_cycle(now=NOW + 5)
    assert switch.configuration() == [
        "bridge br0 protocols=[]",
        "bridge br0 fail_mode=[]",
        "port br0",
        "port uplink",
        "port veth7 tag=999",
        "port veth9 tag=120",
        "flow cookie=0x0, table=0, priority=0 actions=NORMAL",
    ]
    assert say(switch, "ovs-vsctl get interface veth7 statistics:rx_packets", now=NOW + 5) == "0\n"


def test_configuration_is_the_same_after_a_change_and_its_opposite(switch):
    before = switch.configuration()
    say(switch, "ovs-vsctl set port veth7 tag=999", OF + "add-flow br0 priority=100,in_port=1,actions=drop")
    assert switch.configuration() != before
    say(switch, "ovs-vsctl set port veth7 tag=120", OF + "--strict del-flows br0 priority=100,in_port=1")
    assert switch.configuration() == before


def test_traffic_does_not_change_the_configuration(switch):
    before = switch.configuration()
    passed(switch, FLOOD)
    assert switch.configuration() == before


def test_mac_table_shows_hosts_in_the_vlan_of_their_port_and_forgets_the_fenced(switch):
    table = say(switch, "ovs-appctl fdb/show br0")
    assert table.startswith(" port  VLAN  MAC                Age\n")
    assert "    1   120  02:00:00:00:00:07" in table
    say(switch, "ovs-vsctl set port veth7 tag=999")
    assert "    1   999  02:00:00:00:00:07" in say(switch, "ovs-appctl fdb/show br0")
    say(switch, OF + "add-flow br0 priority=100,dl_src=02:00:00:00:00:07,actions=drop", "ovs-appctl fdb/flush br0")
    assert "02:00:00:00:00:07" not in say(switch, "ovs-appctl fdb/show br0")


def test_transaction_with_one_bad_command_changes_nothing(switch):
    before = switch.configuration()
    assert "does not contain a column" in say(switch, "ovs-vsctl set port veth7 tag=5 -- set interface veth7 nope=1")
    assert switch.configuration() == before


def test_bundle_with_one_bad_flow_changes_nothing_and_without_it_half(switch):
    lines = "printf 'priority=5,in_port=1,actions=drop\\npriority=6,in_port=1,actions=meter:9\\n' | "
    before = switch.configuration()
    assert "OFPMMFC_INVALID_METER" in say(switch, lines + OF + "--bundle add-flows br0 -")
    assert switch.configuration() == before
    say(switch, lines + OF + "add-flows br0 -")
    assert "priority=5,in_port=1" in switch.configuration()[-1] + switch.configuration()[-2]


def test_other_user_than_root_may_not(switch):
    shell = Shell(switch._machine, "admin")
    assert "Permission denied" in shell.line("ovs-vsctl show", now=NOW).text
    assert "Permission denied" in shell.line(OF + "dump-flows br0", now=NOW).text
    assert "Permission denied" not in shell.line("sudo ovs-vsctl show", now=NOW).text
    assert shell.line("ip link set veth7 down", now=NOW).text == "RTNETLINK answers: Operation not permitted\n"


def test_links_are_listed_in_all_forms(switch):
    assert "veth7@if2" in say(switch, "ip -br link")
    assert "17: veth7@if2: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500" in say(switch, "ip -o link show dev veth7")
    assert '"ifindex":17,"link_index":2,"ifname":"veth7"' in say(switch, "ip -j link show dev veth7")
    assert say(switch, "ip link show dev nope") == 'Device "nope" does not exist.\n'
    assert say(switch, "ip link set dev nope down") == 'Cannot find device "nope"\n'
    assert "10.0.0.7 dev br0 lladdr 02:00:00:00:00:07" in say(switch, "ip neigh show")
