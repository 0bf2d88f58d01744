"""The driver contract, dialect by dialect and fence by fence, over real SSH against the emulated devices.

A case is one row of CASES: platform, slot, effect. Every case is carried out, repeated, undone, refused, lied about and
interrupted. The emulators know nothing of the dialects; where they contradict one, one of the two is wrong.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path

import msgspec
import pytest

from controller.domain.address import Prefix, Vlan, address_of
from controller.domain.crossing import Crossing, Side, Transport, separation
from controller.domain.errors import (
    CommandRefused,
    ConfigError,
    ForeignState,
    Rehearsed,
    Unreachable,
    Unreadable,
    Unsupported,
)
from controller.domain.estate import Device, Estate, Site
from controller.domain.fence import Action, Change, Effect, Entry, Held, Slot, SlotKind, fold
from controller.domain.verdict import TrafficClass
from deploy.lab.control import Burst, Emulators
from deploy.lab.device import DevicePlan, Packets, PortPlan
from deploy.lab.emulators import PLATFORMS
from deploy.lab.faults import Fault, Kind
from drivers.conversation import SshSession
from drivers.devices import Devices
from drivers.driver import NetworkDriver
from drivers.loading import dialect_of, platforms
from drivers.session import Login

ROOT = Path(__file__).parents[2]
PASSWORD = "lab-password"  # of devices that exist for the length of a test
NAMES = {
    "ovs_linux": "hv01",
    "linux_nftables": "fw01",
    "cisco_ios": "sw01",
    "juniper_junos": "ex01",
    "checkpoint_gaia": "gw01",
}
PORTS = {"ovs_linux": "veth7", "cisco_ios": "GigabitEthernet1/0/7", "juniper_junos": "ge-0/0/7"}
V4, V4B, V6, NET = map(ip_network, ("10.20.0.5", "10.20.0.6", "2001:db8:5::/64", "10.20.8.0/22"))


def entries(
    *sources: Prefix | None,
    action: Action = Action.DROP,
    traffic: TrafficClass = TrafficClass.ALL,
    rate_bps: int | None = None,
    segment: str = "",
) -> frozenset[Entry]:
    return frozenset(Entry(action, one, traffic, rate_bps, segment) for one in sources)


@dataclass(frozen=True)
class Case:
    platform: str
    name: str
    kind: SlotKind
    effect: Effect

    @property
    def slot(self) -> Slot:
        place = {SlotKind.FIREWALL: "cordon", SlotKind.SEGMENT: "shared"}.get(self.kind) or PORTS[self.platform]
        return Slot(NAMES[self.platform], self.kind, place)

    def __str__(self) -> str:
        return f"{self.platform}: {self.name}"


def of(platform: str, kind: SlotKind, **effects: Effect) -> list[Case]:
    return [Case(platform, name.replace("_", " "), kind, effect) for name, effect in effects.items()]


BLOCKS = {
    "block_an_address": Effect(entries=entries(V4)),
    "block_both_families": Effect(entries=entries(V4, V6)),
    "block_a_prefix_and_a_host": Effect(entries=entries(V4B, NET)),
}
FILTERS = {
    f"filter_{one}": Effect(entries=entries(V4, V6, traffic=one)) for one in TrafficClass if one is not TrafficClass.ALL
}
SEGMENT = {"isolate_a_segment": Effect(entries=entries(NET, ip_network("2001:db8::/48"), segment="shared"))}
EVERYBODY = (ip_network("0.0.0.0/0"), ip_network("::/0"))
SEPARATIONS = {
    "separate_a_segment_whole": Effect(separation=separation([NET, ip_network("2001:db8::/48")], (), ("eth1",))),
    "separate_a_segment_but_for_crossings": Effect(
        separation=separation(
            [NET, ip_network("2001:db8::/48")],
            (
                Crossing(Side.OUTSIDE, EVERYBODY, Transport.TCP, ("80", "8000-8099")),
                Crossing(Side.INSIDE, (V4, V6), Transport.UDP, ("53",)),
                Crossing(Side.INSIDE, EVERYBODY, Transport.ICMP),
                Crossing(Side.INSIDE, (V4B,), hosts=(ip_network("10.20.9.0/24"),)),
            ),
            (),
        )
    ),
}
PORT_EFFECTS = {
    "throttle": Effect(rate_bps=10_000_000),
    "quarantine": Effect(vlan=Vlan(99)),
    "shut": Effect(enabled=False),
    "all_at_once": Effect(vlan=Vlan(99), rate_bps=8_000_000, entries=entries(V4)),
}
APART = {
    "keep_a_port_apart": Effect(isolated=True),
    "quarantine_with_its_companions": Effect(vlan=Vlan(99), rate_bps=8_000_000, isolated=True),
}
LIMITS = {"limit_two_sources": Effect(entries=entries(V4, V6, action=Action.LIMIT, rate_bps=5_000_000))}
CASES = [
    *of("ovs_linux", SlotKind.PORT, **BLOCKS, **FILTERS, **PORT_EFFECTS, **APART, **LIMITS),
    *of("ovs_linux", SlotKind.GUEST, **BLOCKS, cut_a_guest=Effect(enabled=False)),
    *of("cisco_ios", SlotKind.PORT, **BLOCKS, **PORT_EFFECTS, **APART),
    *of("juniper_junos", SlotKind.PORT, **BLOCKS, **PORT_EFFECTS),
    *of("linux_nftables", SlotKind.FIREWALL, **BLOCKS, **FILTERS, **SEGMENT),
    *of("linux_nftables", SlotKind.SEGMENT, **SEPARATIONS),
    *of("checkpoint_gaia", SlotKind.FIREWALL, **BLOCKS, **SEGMENT),
]
ONE_EACH = [next(case for case in CASES if case.platform == platform) for platform in NAMES]
FOREIGN = {
    "cisco_ios": (
        Case("cisco_ios", "", SlotKind.PORT, BLOCKS["block_an_address"]),
        "enable; configure terminal; ip access-list extended SPOOF; permit ip any any;"
        "interface GigabitEthernet1/0/7; ip access-group SPOOF in; end",
        "enable; configure terminal; interface GigabitEthernet1/0/7; no ip access-group SPOOF in;"
        "no ip access-list extended SPOOF; end",
    ),
    "juniper_junos": (
        Case("juniper_junos", "", SlotKind.PORT, BLOCKS["block_an_address"]),
        "configure; set firewall family ethernet-switching filter SPOOF term a then accept;"
        "set interfaces ge-0/0/7 unit 0 family ethernet-switching filter input SPOOF; commit and-quit",
        "configure; delete interfaces ge-0/0/7 unit 0 family ethernet-switching filter; delete firewall;"
        "commit and-quit",
    ),
    "ovs_linux": (
        Case("ovs_linux", "", SlotKind.PORT, PORT_EFFECTS["throttle"]),
        "ovs-ofctl -O OpenFlow13 add-flow br0 cookie=0x7,priority=9,in_port=veth8,actions=drop",
        "ovs-ofctl -O OpenFlow13 del-flows br0 cookie=0x7/-1",
    ),
    "linux_nftables": (
        Case("linux_nftables", "", SlotKind.FIREWALL, BLOCKS["block_an_address"]),
        "nft add table inet cordon; nft add chain inet cordon other;"
        "nft add rule inet cordon other ip saddr 10.20.0.5 accept",
        "nft delete table inet cordon",
    ),
}


def plans() -> list[DevicePlan]:
    vlans = ((100, "prod"), (99, "quarantine"))
    options = {"password": PASSWORD, "enable": PASSWORD, "expert_password": PASSWORD, "bridge": "br0"}
    found = []
    for platform, name in NAMES.items():
        if platform in PORTS:
            spare = PORTS[platform].replace("7", "8")
            ports = [PortPlan(PORTS[platform], 7, vlan=100), PortPlan(spare, 8, vlan=100)]
            if platform == "ovs_linux":
                ports.append(PortPlan("veth9", 9, vlan=99))
        else:
            ports = [PortPlan("eth0", 1, addresses=("192.0.2.1/24",)), PortPlan("eth1", 2, addresses=("10.20.0.1/22",))]
        segments = () if platform in PORTS else (("shared", ("10.20.8.0/22",)),)
        found.append(DevicePlan(name, platform, name, tuple(ports), vlans, segments, options))
    return [plan for plan in found if importlib.util.find_spec(PLATFORMS[plan.platform][0]) is not None]


class Lab:
    """The emulators, and drivers for their devices."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.directory = json.loads((run / "devices.json").read_text())
        self.control = Emulators(run / "control.sock")
        self.network = self.devices()
        self.rehearsing = self.devices(rehearse=True)

    def devices(self, *, known_hosts: Path | None = None, rehearse: bool = False) -> Devices:
        devices = tuple(
            Device(
                name=name,
                platform=one["platform"],
                host=address_of(one["host"]),
                port=one["port"],
                username=one["user"],
                password_env="DEVICE_PASSWORD",
                enable_env="DEVICE_PASSWORD",
            )
            for name, one in self.directory.items()
        )
        return Devices(
            Estate(Site(1, "lab", (), devices=devices)),
            known_hosts=known_hosts or self.run / "known_hosts",
            secrets={"DEVICE_PASSWORD": PASSWORD},
            rehearse=lambda _: rehearse,
        )

    def device(self, case: Case) -> NetworkDriver:
        return self.network.device(NAMES[case.platform])

    def configuration(self, case: Case) -> list[str]:
        return self.control.configurations()[NAMES[case.platform]]

    def hasty(self, case: Case, *, answer_s: float) -> NetworkDriver:
        """A driver that does not wait long for an answer."""
        self.device(case)
        dialect, name = dialect_of(case.platform), NAMES[case.platform]
        one = self.directory[name]
        login = Login(name, one["host"], one["port"], one["user"], self.run / "known_hosts", "", PASSWORD, PASSWORD)
        talk = replace(dialect.talk, answer_s=answer_s, commit_s=answer_s)
        return NetworkDriver(name, dialect, SshSession(login, talk, dialect.refusals), {"bridge": "br0"})


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    run = tmp_path_factory.mktemp("lab")
    (run / "plan.json").write_bytes(msgspec.json.encode(plans()))
    command = (sys.executable, "-m", "deploy.lab.emulators", "--plan", str(run / "plan.json"), "--run", str(run))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n", "the emulators did not start"
            made = Lab(run)
            yield made
            made.network.close()
            made.rehearsing.close()
            made.control.close()
        finally:
            process.terminate()
            process.wait(timeout=20)


@pytest.fixture(autouse=True)
def untouched(lab: Lab) -> Iterator[None]:
    before = lab.control.configurations()
    yield
    for name in lab.directory:
        lab.control.clear(name)
    assert lab.control.configurations() == before, "a test left something on a device"


def planned(device: NetworkDriver, case: Case) -> tuple[Held, Change]:
    have = device.observe(case.slot)
    return have, device.plan(fold(have.state, [case.effect]), have)


def last_of(change: Change) -> str:
    """A pattern of the last configuring line."""
    return re.escape(change.apply[-1])


@pytest.mark.parametrize("platform", platforms())
def test_dialect_loads_and_answers_to_its_name(platform: str) -> None:
    dialect = dialect_of(platform)
    assert dialect.platform == platform
    assert {case.platform for case in CASES} >= {platform}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_fence_is_set_seen_idle_when_repeated_and_undone_to_the_letter(lab: Lab, case: Case) -> None:
    device = lab.device(case)
    before = lab.configuration(case)
    have, change = planned(device, case)
    assert not change.is_noop
    transcript = device.push(change.apply)
    assert transcript.exchanges
    assert lab.configuration(case) != before, "the emulator holds nothing"
    after = device.observe(case.slot)
    assert after.state == change.want
    assert after.foreign == ()
    assert device.plan(change.want, after).is_noop
    device.push(change.undo)
    again = device.observe(case.slot)
    assert again.state == have.state
    assert device.plan(have.state, again).is_noop
    assert lab.configuration(case) == before


@pytest.mark.parametrize("case", ONE_EACH, ids=str)
def test_two_fences_share_a_slot_and_one_is_taken_away(lab: Lab, case: Case) -> None:
    device = lab.device(case)
    native = device.observe(case.slot)
    one, both = fold(native.state, [case.effect]), fold(native.state, [case.effect, Effect(entries=entries(V4B))])
    device.push(device.plan(one, native).apply)
    device.push(device.plan(both, device.observe(case.slot)).apply)
    held = device.observe(case.slot)
    assert held.state == both
    second = fold(native.state, [Effect(entries=entries(V4B))])
    device.push(device.plan(second, held).apply)
    left = device.observe(case.slot)
    assert left.state == second
    device.push(device.plan(native.state, left).apply)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_refused_line_is_named_and_the_undo_restores_the_device(lab: Lab, case: Case) -> None:
    device = lab.device(case)
    have, change = planned(device, case)
    lab.control.fault(case.slot.device, Fault(Kind.REFUSE, last_of(change), times=1))
    with pytest.raises(CommandRefused):
        device.push(change.apply)
    device.push(change.undo)
    assert device.observe(case.slot).state == have.state


@pytest.mark.parametrize("case", CASES, ids=str)
def test_device_that_accepts_without_applying_is_found_out(lab: Lab, case: Case) -> None:
    device = lab.device(case)
    _, change = planned(device, case)
    lab.control.fault(case.slot.device, Fault(Kind.IGNORE, last_of(change)))
    device.push(change.apply)
    lab.control.clear(case.slot.device)
    assert device.observe(case.slot).state != change.want
    device.push(change.undo)


@pytest.mark.parametrize("case", ONE_EACH, ids=str)
@pytest.mark.parametrize("kind", [Kind.DROP, Kind.DROP_AFTER])
def test_session_lost_in_a_change_is_unreachable_and_the_next_look_tells_the_truth(
    lab: Lab, case: Case, kind: Kind
) -> None:
    device = lab.device(case)
    have, change = planned(device, case)
    lab.control.fault(case.slot.device, Fault(kind, last_of(change), times=1))
    with pytest.raises(Unreachable):
        device.push(change.apply)
    seen = device.observe(case.slot)
    assert seen.state in (have.state, change.want)
    device.push(device.plan(have.state, seen).apply)
    assert device.observe(case.slot).state == have.state


@pytest.mark.parametrize("case", ONE_EACH, ids=str)
def test_device_that_hangs_is_given_up_and_asked_again_on_a_new_session(lab: Lab, case: Case) -> None:
    device = lab.hasty(case, answer_s=1.0)
    have, change = planned(device, case)
    lab.control.fault(case.slot.device, Fault(Kind.HANG, last_of(change), times=1))
    with pytest.raises(Unreachable):
        device.push(change.apply)
    seen = device.observe(case.slot)
    device.push(device.plan(have.state, seen).apply)
    assert device.observe(case.slot).state == have.state
    device.close()


@pytest.mark.parametrize("platform", FOREIGN)
def test_what_somebody_else_put_there_is_refused_and_left_alone(lab: Lab, platform: str) -> None:
    case, put, take = FOREIGN[platform]
    device = lab.device(case)
    lab.control.edit(case.slot.device, [line.strip() for line in put.split(";")])
    held = device.observe(case.slot)
    try:
        assert held.foreign
        with pytest.raises(ForeignState):
            device.plan(fold(held.state, [case.effect]), held)
    finally:
        lab.control.edit(case.slot.device, [line.strip() for line in take.split(";")])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_rehearsal_plans_the_same_lines_and_sends_none(lab: Lab, case: Case) -> None:
    _, change = planned(lab.device(case), case)
    device = lab.rehearsing.device(case.slot.device)
    before = lab.control.counters()
    _, rehearsed = planned(device, case)
    assert rehearsed == change
    with pytest.raises(Rehearsed):
        device.push(rehearsed.apply)
    after = lab.control.counters()
    assert after[case.slot.device]["config_lines"] == before[case.slot.device]["config_lines"]


@pytest.mark.parametrize("platform", PORTS)
def test_vlan_that_the_device_does_not_have_is_refused_before_anything_is_sent(lab: Lab, platform: str) -> None:
    case = Case(platform, "", SlotKind.PORT, Effect(vlan=Vlan(77)))
    device = lab.device(case)
    have = device.observe(case.slot)
    with pytest.raises(Unsupported):
        device.plan(fold(have.state, [case.effect]), have)


@pytest.mark.parametrize("platform", PORTS)
def test_port_that_does_not_exist_is_an_error_and_not_an_empty_port(lab: Lab, platform: str) -> None:
    case = Case(platform, "", SlotKind.PORT, Effect())
    device = lab.device(case)
    missing = PORTS[platform].replace("7", "47")
    with pytest.raises((CommandRefused, Unreadable)):
        device.observe(Slot(case.slot.device, SlotKind.PORT, missing))


@pytest.mark.parametrize("platform", sorted(set(NAMES) - {"linux_nftables"}))
def test_platform_that_separates_no_segments_says_so_before_it_is_asked(lab: Lab, platform: str) -> None:
    device = lab.device(Case(platform, "", SlotKind.SEGMENT, Effect()))
    with pytest.raises(Unsupported, match=f"{platform} .*segment"):
        device.observe(Slot(device.name, SlotKind.SEGMENT, "shared"))


@pytest.mark.parametrize("name", ["shared; reboot", "shared\nreload", "", "-x", "$(id)", "a'b", "x" * 33])
def test_segment_that_is_more_than_a_name_never_reaches_a_device(lab: Lab, name: str) -> None:
    device = lab.device(Case("linux_nftables", "", SlotKind.SEGMENT, Effect()))
    with pytest.raises(Unsupported):
        device.observe(Slot(device.name, SlotKind.SEGMENT, name))


@pytest.mark.parametrize("name", ["veth7; reboot", "veth7\nreload", "Gi1/0/7 ", "ge-0/0/7 | no-more", "$(id)"])
@pytest.mark.parametrize("platform", PORTS)
def test_interface_that_is_more_than_a_name_never_reaches_a_device(lab: Lab, platform: str, name: str) -> None:
    device = lab.device(Case(platform, "", SlotKind.PORT, Effect()))
    with pytest.raises(Unsupported):
        device.observe(Slot(device.name, SlotKind.PORT, name))


@pytest.mark.parametrize("platform", ["cisco_ios", "juniper_junos"])
def test_change_that_waits_for_confirmation_is_kept_when_it_is_confirmed(lab: Lab, platform: str) -> None:
    case = Case(platform, "", SlotKind.PORT, PORT_EFFECTS["shut"])
    device = lab.device(case)
    have, change = planned(device, case)
    transcript = device.push(change.apply, confirm_within_s=120)
    if platform == "juniper_junos":
        assert transcript.pending_confirm_s == 120
    device.confirm()
    after = device.observe(case.slot)
    assert after.state == change.want
    device.push(device.plan(have.state, after).apply)


def test_host_key_that_is_not_known_is_refused(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_text("")
    network = lab.devices(known_hosts=tmp_path / "known_hosts")
    name = next(iter(lab.directory))
    case = next(case for case in CASES if NAMES[case.platform] == name)
    with pytest.raises(Unreachable):
        network.device(name).observe(case.slot)


@pytest.mark.parametrize("platform", PORTS)
def test_port_tells_what_came_in(lab: Lab, platform: str) -> None:
    device = lab.device(Case(platform, "", SlotKind.PORT, Effect()))
    counters = device.counters(PORTS[platform])
    assert counters.octets_in >= counters.packets_in >= 0
    held, together = device.observe_and_count(Slot(device.name, SlotKind.PORT, PORTS[platform]))
    assert together.octets_in >= counters.octets_in
    assert together.macs is not None
    assert held.state == device.observe(held.slot).state


def test_option_that_no_dialect_knows_is_an_error_of_the_site_file(lab: Lab) -> None:
    device = Device("hv01", "ovs_linux", address_of("192.0.2.9"), options={"brigde": "br0"})
    with pytest.raises(ConfigError, match="brigde"):
        Devices(Estate(Site(1, "lab", (), devices=(device,))), known_hosts=lab.run / "known_hosts", secrets={})


SIGHTS = {
    "ovs_linux": {("veth7", 100), ("veth8", 100), ("veth9", 99)},
    "cisco_ios": {("GigabitEthernet1/0/7", 100), ("GigabitEthernet1/0/8", 100)},
    "juniper_junos": {("ge-0/0/7", 100), ("ge-0/0/8", 100)},
}


@pytest.mark.parametrize("platform", SIGHTS)
def test_switch_shows_which_port_carries_which_vlan_and_who_was_heard_there(lab: Lab, platform: str) -> None:
    device = lab.device(Case(platform, "", SlotKind.PORT, Effect()))
    burst = Packets(
        PORTS[platform], "02:00:00:00:00:07", "02:00:00:00:00:08", "10.20.0.5", "10.20.0.6", 17, 1, 2, 3, 300
    )
    lab.control.forward([Burst(((device.name, PORTS[platform]),), burst)], now=time.time())  # noqa: TID251 - its clock
    seen = device.look()
    assert seen.carries >= SIGHTS[platform]
    assert {(one.mac, one.vlan, one.interface) for one in seen.learned} >= {("02:00:00:00:00:07", 100, PORTS[platform])}


def test_router_shows_what_it_is_connected_to(lab: Lab) -> None:
    device = lab.device(Case("linux_nftables", "", SlotKind.FIREWALL, Effect()))
    assert {(str(one.prefix), one.interface, one.via) for one in device.look().routes} >= {
        ("192.0.2.0/24", "eth0", None),
        ("10.20.0.0/22", "eth1", None),
    }


def test_platform_that_shows_nothing_of_the_network_says_so(lab: Lab) -> None:
    device = lab.device(Case("checkpoint_gaia", "", SlotKind.FIREWALL, Effect()))
    with pytest.raises(Unsupported, match="checkpoint_gaia"):
        device.look()
