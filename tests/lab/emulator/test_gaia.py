"""The emulated Check Point gateway against the vendor's documents: clish, expert mode, and rules with a timeout."""

import copy
from dataclasses import replace

import pytest

from deploy.lab.device import DevicePlan, EmulatedDevice, Packets, Passed, PortPlan, Reply
from deploy.lab.gaia import GaiaDevice
from deploy.lab.gaia_clish import Session

NOW = 1_700_000_000.0
PLAN = DevicePlan(
    name="fw1",
    platform="checkpoint_gaia",
    hostname="gw-1",
    ports=(
        PortPlan("eth0", 2, addresses=("192.0.2.2/24",), description="outside"),
        PortPlan("eth1", 3, addresses=("10.0.0.1/24",), neighbours=(("aa:bb:cc:00:00:07", "10.0.0.7"),)),
    ),
    segments=(("shared", ("10.0.0.0/24",)),),
    options={"expert_password": "3xpert"},
)
UDP = Packets(
    "eth1", "aa:bb:cc:00:00:07", "00:1c:7f:00:00:03", "10.0.0.7", "198.51.100.9", 17, 4000, 53, 1000, 1_000_000
)
TCP = replace(UDP, protocol=6, dst_port=443)
OTHER = replace(UDP, src="10.0.0.8")
UDP6 = replace(UDP, src="2001:db8::7", dst="2001:db8:9::1")
SAM = "fw sam -t 600 -J src 10.0.0.7"


def device(**options: str) -> GaiaDevice:
    return GaiaDevice(replace(PLAN, options={**PLAN.options, **options}))


def say(session: Session, *lines: str, now: float = NOW) -> Reply:
    """Type lines that must all be taken; the last reply."""
    reply = Reply()
    for line in lines:
        reply = session.line(line, now=now)
        assert reply.accepted, f"{line!r}: {reply.text}"
    return reply


def expert(gateway: GaiaDevice) -> Session:
    session = gateway.login("admin")
    say(session, "set clienv rows 0", "expert", "3xpert")
    return session


def passed(gateway: GaiaDevice, burst: Packets, now: float = NOW) -> Passed:
    return gateway.forward([burst], now=now)[0]


def test_the_model_keeps_the_contract_of_a_device() -> None:
    built: EmulatedDevice = device()
    assert built.login("admin").mode == "clish"


def test_expert_mode_lies_behind_a_password() -> None:
    session = device().login("admin")
    assert session.prompt == "gw-1> "
    say(session, "expert")
    assert (session.mode, session.prompt) == ("password", "Enter expert password:")
    assert not session.line("wrong", now=NOW).accepted
    assert session.mode == "clish"
    say(session, "expert", "3xpert")
    assert (session.mode, session.prompt) == ("expert", "[Expert@gw-1:0]# ")
    assert not say(session, "exit").close
    assert say(session, "exit").close


def test_without_a_password_on_the_gateway_there_is_no_expert_mode() -> None:
    reply = device(expert_password="").login("admin").line("expert", now=NOW)
    assert not reply.accepted


def test_a_user_with_bash_starts_in_expert_mode_and_may_call_clish() -> None:
    session = device(login_shell="bash").login("admin")
    assert session.mode == "expert"
    say(session, "clish")
    assert session.mode == "clish"
    assert not say(session, "exit").close
    assert session.mode == "expert"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("shwo version all", "CLINFR0329  Invalid command:'shwo version all'."),
        ("show frob", "CLINFR0329  Invalid command:'show frob'."),
        ("show version", "CLINFR0349  Incomplete command."),
        ("show interface eth9", "Interface eth9 does not exist."),
        ("set static-route 10.0.0.300/24 nexthop blackhole", "CLINFR0329  Invalid command:"),
    ],
)
def test_clish_refuses_in_its_own_words(line: str, sentence: str) -> None:
    reply = device().login("admin").line(line, now=NOW)
    assert not reply.accepted
    assert reply.text.startswith(sentence)


def test_bash_refuses_in_its_own_words() -> None:
    session = expert(device())
    reply = session.line("foo --bar", now=NOW)
    assert (reply.accepted, reply.text) == (False, "-bash: foo: command not found\n")
    assert session.refusal("fw stat").text == "-bash: fw: command not found\n"
    assert session.line("foo; echo rc=$?", now=NOW).text.endswith("rc=127\n")


def test_only_the_holder_of_the_lock_may_configure() -> None:
    gateway = device()
    first, second = gateway.login("admin"), gateway.login("ops")
    assert second.greeting().startswith("CLINFR0771  Config lock is owned by admin.")
    reply = second.line("set interface eth1 state off", now=NOW)
    assert (reply.accepted, reply.text[:10]) == (False, "CLINFR0519")
    say(second, "lock database override", "set interface eth1 state off")
    assert not first.line("set interface eth1 state on", now=NOW).accepted
    second.closed()
    assert say(gateway.login("third"), "set interface eth1 state on").configured


def test_an_interface_that_is_off_passes_nothing_until_a_restart_without_saving() -> None:
    gateway = device()
    session = gateway.login("admin")
    before = gateway.configuration()
    assert say(session, "set interface eth1 state off").configured
    assert passed(gateway, UDP) == Passed(0, 0, None, "state off")
    assert say(session, "show config-state").text == "unsaved\n"
    gateway.power_cycle(now=NOW)
    assert gateway.configuration() == before
    assert passed(gateway, UDP).packets == 1000


def test_what_is_saved_survives_a_restart() -> None:
    gateway = device()
    say(gateway.login("admin"), "set hostname gw-9", "save config")
    gateway.power_cycle(now=NOW)
    assert gateway.login("admin").prompt == "gw-9> "


def test_a_rule_stops_its_host_and_nobody_else() -> None:
    gateway = device()
    text = say(expert(gateway), SAM).text
    assert "successfully completed 'Inhibit Drop Close src 10.0.0.7 on All' processing" in text
    assert [one.packets for one in gateway.forward([UDP, OTHER], now=NOW)] == [0, 1000]
    assert passed(gateway, UDP).why == "fw sam -J src 10.0.0.7"


def test_rules_are_for_ipv4_alone() -> None:
    gateway = device()
    session = expert(gateway)
    say(session, SAM)
    assert passed(gateway, UDP6).packets == 1000
    assert not session.line("fw sam -J src 2001:db8::7", now=NOW).accepted
    assert not session.line("fw6 sam -J src 2001:db8::7", now=NOW).accepted


def test_a_rule_ends_by_its_own_timeout() -> None:
    gateway = device()
    say(expert(gateway), SAM)
    before = gateway.configuration()
    assert "fw sam -J src 10.0.0.7" in before
    gateway.tick(now=NOW + 599)
    assert gateway.configuration() == before
    gateway.tick(now=NOW + 601)
    assert "fw sam -J src 10.0.0.7" not in gateway.configuration()
    assert passed(gateway, UDP, NOW + 601).packets == 1000


def test_the_same_rule_again_renews_its_time() -> None:
    gateway = device()
    session = expert(gateway)
    say(session, SAM)
    say(session, SAM, now=NOW + 500)
    assert passed(gateway, UDP, NOW + 700).packets == 0
    assert sum(line.startswith("fw sam") for line in gateway.configuration()) == 1


@pytest.mark.parametrize(("action", "later"), [("-i", 1000), ("-j", 1000), ("-I", 0), ("-J", 0)])
def test_an_open_session_survives_unless_the_rule_closes_it(action: str, later: int) -> None:
    gateway = device()
    passed(gateway, TCP)
    say(expert(gateway), f"fw sam -t 600 {action} src 10.0.0.7")
    assert passed(gateway, TCP).packets == later
    assert passed(gateway, replace(TCP, src_port=4001)).packets == 0


@pytest.mark.parametrize(
    ("criteria", "fates"),
    [
        ("src 10.0.0.7", [0, 0, 1000]),
        ("dst 198.51.100.9", [0, 0, 0]),
        ("any 10.0.0.7", [0, 0, 1000]),
        ("subsrc 10.0.0.0 255.255.255.0", [0, 0, 0]),
        ("subany 10.0.0.8 255.255.255.255", [1000, 1000, 0]),
        ("srv 10.0.0.7 198.51.100.9 53 17", [0, 1000, 1000]),
        ("subsrvs 10.0.0.0 255.255.255.0 198.51.100.9 53 udp", [0, 1000, 0]),
        ("srcpr 10.0.0.7 6", [1000, 0, 1000]),
        ("dstsrv 198.51.100.9 443 tcp", [1000, 0, 1000]),
    ],
)
def test_criteria_select_what_the_guide_says(criteria: str, fates: list[int]) -> None:
    gateway = device()
    say(expert(gateway), f"fw sam -t 600 -J {criteria}")
    assert [one.packets for one in gateway.forward([UDP, TCP, OTHER], now=NOW)] == fates


@pytest.mark.parametrize(
    "line",
    [
        "fw sam -J src",
        "fw sam -t soon -J src 10.0.0.7",
        "fw sam -J subsrc 10.0.0.0",
        "fw sam -J subsrc 10.0.0.0 255.0.255.0",
        "fw sam src 10.0.0.7",
        "fw sam -x src 10.0.0.7",
        "fw sam -f gw-9 -J src 10.0.0.7",
        "fw frob",
    ],
)
def test_a_malformed_rule_is_refused_and_nothing_is_held(line: str) -> None:
    gateway = device()
    before = gateway.configuration()
    reply = expert(gateway).line(line, now=NOW)
    assert (reply.accepted, reply.configured) == (False, False)
    assert gateway.configuration() == before


def test_rules_are_listed_cancelled_and_deleted() -> None:
    gateway = device()
    session = expert(gateway)
    assert say(session, "fw sam -M -ijn all").text == "no corresponding SAM requests\n"
    say(session, SAM, "fw sam -i subsrc 10.0.0.0 255.255.255.0")
    assert say(session, "fw sam -M -ijn all", now=NOW + 100).text.splitlines() == [
        "src,Inhibit Drop Close,500,10.0.0.7",
        "subsrc,Inhibit,never,10.0.0.0,255.255.255.0",
    ]
    assert "sam_blocked_ips                  8141     2" in say(session, "fw tab -t sam_blocked_ips -s").text
    say(session, "fw sam -C -J src 10.0.0.7")
    assert say(session, "fw sam -M -ijn src 10.0.0.7").text == "no corresponding SAM requests\n"
    say(session, "fw sam -D")
    assert passed(gateway, UDP).packets == 1000


def test_rules_are_lost_with_the_power() -> None:
    gateway = device()
    say(expert(gateway), SAM)
    gateway.power_cycle(now=NOW)
    assert passed(gateway, UDP).packets == 1000


def test_rules_work_from_clish_too_and_count_as_configuration() -> None:
    gateway = device()
    session = gateway.login("admin")
    assert say(session, SAM).configured
    assert not say(session, "fw sam -M -ijn all").configured
    assert passed(gateway, UDP).packets == 0


def test_a_quota_rule_acts_once_it_is_flushed() -> None:
    gateway = device()
    session = expert(gateway)
    say(session, "fw samp add -a d -t 600 quota source range:10.0.0.7 pkt-rate 400")
    assert passed(gateway, UDP).packets == 1000
    say(session, "fw samp add -t 2 quota flush true")
    assert [one.packets for one in gateway.forward([UDP, OTHER], now=NOW)] == [100, 1000]
    assert "action=drop" in say(session, "fw samp get").text
    gateway.power_cycle(now=NOW + 1)
    assert passed(gateway, UDP, NOW + 1).packets == 100
    assert passed(gateway, UDP, NOW + 601).packets == 1000


def test_a_policy_rule_for_ipv6_has_its_own_program() -> None:
    gateway = device()
    session = expert(gateway)
    assert not session.line("fw samp add -a d ip -s 2001:db8::7", now=NOW).accepted
    say(session, "fw6 samp add -a d -t 60 ip -s 2001:db8:: -m 64")
    assert [one.packets for one in gateway.forward([UDP, UDP6], now=NOW)] == [1000, 0]
    uid = say(session, "fw6 samp get").text.split("uid=")[1].split()[0]
    say(session, f"fw6 samp del '{uid}'", "fw6 samp add -t 2 quota flush true")
    assert passed(gateway, UDP6).packets == 1000


def test_each_member_has_rules_of_its_own_and_only_the_active_one_forwards() -> None:
    cluster = "gw-1=192.0.2.2,gw-2=192.0.2.3"
    active, standby = device(cluster=cluster, cluster_state="ACTIVE"), device(cluster=cluster, cluster_state="STANDBY")
    say(expert(active), SAM)
    assert not any(line.startswith("fw sam") for line in standby.configuration())
    assert passed(standby, OTHER).why == "cluster member is STANDBY"
    text = say(expert(active), "cphaprob stat").text
    assert "1 (local)  192.0.2.2       100%            ACTIVE         gw-1" in text
    assert "2          192.0.2.3       0%              STANDBY        gw-2" in text
    assert say(expert(device()), "cphaprob stat").text == "HA module not started.\n"


def test_frames_that_are_not_ip_end_at_the_gateway() -> None:
    assert passed(device(), replace(UDP, src="", dst="")).why == "not IP"


def test_counters_and_connections_move_with_the_traffic() -> None:
    gateway = device()
    gateway.forward([UDP, TCP], now=NOW)
    session = expert(gateway)
    assert say(session, "fw tab -t connections -s").text.splitlines()[1].split()[3] == "2"
    assert "RX packets:2000" in say(session, "ifconfig eth1").text
    say(session, "exit")
    assert "RX bytes:2000000 packets:2000" in say(session, "show interface eth1").text
    gateway.tick(now=NOW + 60)
    assert say(session, "fw tab -t connections -s", now=NOW + 60).text.splitlines()[1].split()[3] == "1"


def test_a_copy_of_a_session_leaves_the_gateway_alone() -> None:
    gateway = device()
    before = gateway.configuration()
    session = expert(gateway)
    say(copy.deepcopy(session), SAM)
    say(copy.deepcopy(gateway.login("ops")), "lock database override", "set interface eth1 state off")
    assert gateway.configuration() == before
    assert passed(gateway, UDP).packets == 1000


def test_long_output_comes_in_pages_until_rows_is_zero() -> None:
    session = device().login("admin")
    assert len(session.line("show interfaces all", now=NOW).pages) > 1
    say(session, "set clienv rows 0")
    assert session.line("show interfaces all", now=NOW).pages == ()


def test_a_reboot_asks_first() -> None:
    gateway = device()
    session = gateway.login("admin")
    say(session, SAM, "reboot", "n")
    assert passed(gateway, UDP).packets == 0
    assert say(session, "reboot", "y").close
    assert passed(gateway, UDP).packets == 1000
