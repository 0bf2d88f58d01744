"""Every line of the ovs_linux dialect against the real Open vSwitch (netdev datapath, a namespace of its own)."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from controller.domain.address import Vlan
from controller.domain.errors import CommandRefused, ForeignState, Unsupported
from controller.domain.fence import Action, Effect, Entry, Held, Slot, SlotKind, SlotState, fold
from controller.domain.verdict import TrafficClass
from drivers.driver import NetworkDriver
from drivers.loading import dialect_of
from tests.drivers.local import LocalShell

TOOLS = ("ovs-vswitchd", "ovsdb-server", "ovsdb-tool", "ip")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None] + (["root"] if os.geteuid() else [])
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(MISSING), reason=f"real Open vSwitch needs {', '.join(MISSING)}"),
]

V4, V4B, V6 = ip_network("10.20.0.5"), ip_network("10.20.0.6"), ip_network("2001:db8:5::/64")
PORT = Slot("hv", SlotKind.PORT, "veth7")
GUEST = Slot("hv", SlotKind.GUEST, "veth8")
SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalShell]:
    folder = tmp_path_factory.mktemp("ovs")
    space = f"cordon-{os.getpid()}"
    shell = LocalShell(
        namespace=space, environment={name: str(folder) for name in ("OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR")}
    )

    def must(text: str) -> None:
        status, answer = shell.run(text)
        assert status == 0, answer

    subprocess.run(("ip", "netns", "add", space), check=True)
    try:
        database = f"unix:{folder}/db.sock"
        must(f"ovsdb-tool create {folder}/conf.db {SCHEMA}")
        must(
            f"cd {folder} && ovsdb-server conf.db --remote=p{database} --pidfile={folder}/db.pid --detach --no-chdir"
            f" --log-file={folder}/db.log && ovs-vsctl --no-wait init"
            f" && ovs-vswitchd {database} --pidfile={folder}/ovs-vswitchd.pid --detach --no-chdir"
            f" --log-file={folder}/vs.log"
        )
        must("ovs-vsctl add-br br0 -- set Bridge br0 datapath_type=netdev")
        for number in (7, 8, 9):
            must(f"ip link add veth{number} type veth peer name g{number} && ip link set veth{number} up")
            must(f"ip link set g{number} up && ovs-vsctl add-port br0 veth{number} tag=100")
        must("ovs-vsctl set Port veth9 tag=99")
        yield shell
    finally:
        for name in ("ovs-vswitchd.pid", "db.pid"):
            if (folder / name).exists():
                os.kill(int((folder / name).read_text()), 15)
        subprocess.run(("ip", "netns", "del", space), check=True)


@pytest.fixture
def device(shell: LocalShell) -> Iterator[NetworkDriver]:
    before = state_on(shell)
    driver = NetworkDriver("hv", dialect_of("ovs_linux"), shell, {"bridge": "br0"})
    yield driver
    assert state_on(shell) == before, "a test left something on the bridge"


def state_on(shell: LocalShell) -> str:
    return shell.run(
        "ovs-vsctl --columns=name,tag,trunks list Port | sort;"
        "ovs-ofctl -O OpenFlow13 --names --no-stats dump-flows br0;"
        "ovs-ofctl -O OpenFlow13 dump-meters br0 | tail -n +2;"
        "ovs-ofctl -O OpenFlow13 dump-ports-desc br0 | grep -E 'addr|config'"
    )[1]


def drop(*sources: object, traffic: TrafficClass = TrafficClass.ALL) -> Effect:
    return Effect(entries=frozenset(Entry(Action.DROP, source, traffic) for source in sources))


def limit(source: object, rate: int) -> Effect:
    return Effect(entries=frozenset({Entry(Action.LIMIT, source, rate_bps=rate)}))


def test_two_ports_that_are_kept_apart_exchange_no_frames(device: NetworkDriver, shell: LocalShell) -> None:
    frame = "in_port=veth7,dl_src=02:00:00:00:00:07,dl_dst=02:00:00:00:00:08,dl_type=0x800"
    trace = f"ovs-appctl fdb/add br0 veth8 100 02:00:00:00:00:08; ovs-appctl ofproto/trace br0 {frame}"
    assert "Datapath actions: drop" not in shell.run(trace)[1]
    changes = []
    for slot in (PORT, Slot("hv", SlotKind.PORT, "veth8")):
        have = device.observe(slot)
        changes.append(device.plan(fold(have.state, [Effect(isolated=True)]), have))
        device.push(changes[-1].apply)
        assert device.observe(slot).state.isolated is True
    assert "Datapath actions: drop" in shell.run(trace)[1]
    for change in changes:
        device.push(change.undo)
        assert device.observe(change.slot).state == change.have
    shell.run("ovs-appctl fdb/flush br0")


def test_what_the_bridge_shows_of_the_network_around_it(device: NetworkDriver, shell: LocalShell) -> None:
    shell.run("ovs-appctl fdb/add br0 veth8 100 02:00:00:00:00:08")
    seen = device.look()
    assert seen.carries == {("veth7", 100), ("veth8", 100), ("veth9", 99)}
    assert seen.trunks == {"br0"}
    assert {(one.mac, one.vlan, one.interface) for one in seen.learned} >= {("02:00:00:00:00:08", 100, "veth8")}
    shell.run("ovs-appctl fdb/flush br0")


def test_a_port_is_seen_and_counted_in_one_exchange(device: NetworkDriver) -> None:
    before = device.counters(PORT.name)
    held, counters = device.observe_and_count(PORT)
    again, after = device.observe(PORT), device.counters(PORT.name)
    assert (held.state, held.vlans, held.foreign) == (again.state, again.vlans, again.foreign)
    assert [question for question, _ in held.transcript] == [question for question, _ in again.transcript]
    assert before.packets_in <= counters.packets_in <= after.packets_in
    assert before.octets_in <= counters.octets_in <= after.octets_in
    assert counters.interface == after.interface
    assert counters.macs is not None
    assert device.plan(fold(held.state, [drop(V4)]), held).apply


EFFECTS = {
    "block v4": (PORT, drop(V4)),
    "block v6": (PORT, drop(V6)),
    "block net": (PORT, drop(ip_network("10.20.8.0/22"))),
    "block both on a guest": (GUEST, drop(V4, V6)),
    "block everybody": (PORT, drop(None)),
    **{f"{one} v4": (PORT, drop(V4, traffic=one)) for one in TrafficClass},
    **{f"{one} v6": (PORT, drop(V6, traffic=one)) for one in TrafficClass},
    **{f"{one} of anyone": (PORT, drop(None, traffic=one)) for one in TrafficClass},
    "limit of the port": (PORT, Effect(rate_bps=10_000_000)),
    "limit of a source": (PORT, limit(V4, 5_000_000)),
    "limits of two sources and the port": (
        PORT,
        Effect(rate_bps=9_000_000, entries=limit(V4, 5_000_000).entries | limit(V6, 6_000_000).entries),
    ),
    "quarantine": (PORT, Effect(vlan=Vlan(99))),
    "shut": (PORT, Effect(enabled=False)),
    "cut guest": (GUEST, Effect(enabled=False)),
}


def apply(device: NetworkDriver, slot: Slot, want: SlotState) -> tuple[Held, Held]:
    have = device.observe(slot)
    device.push(device.plan(want, have).apply)
    return have, device.observe(slot)


@pytest.mark.parametrize("name", EFFECTS)
def test_fence_is_set_seen_idle_when_repeated_and_undone(device: NetworkDriver, name: str) -> None:
    slot, effect = EFFECTS[name]
    have = device.observe(slot)
    want = fold(have.state, [effect])
    change = device.plan(want, have)
    device.push(change.apply)
    after = device.observe(slot)
    assert after.state == want
    assert after.foreign == ()
    assert device.plan(want, after).is_noop
    device.push(change.undo)
    again = device.observe(slot)
    assert again.state == have.state
    assert device.plan(have.state, again).is_noop


def test_undo_of_what_never_arrived_is_accepted(device: NetworkDriver) -> None:
    have = device.observe(PORT)
    change = device.plan(fold(have.state, [drop(V4, V6), Effect(rate_bps=8_000_000)]), have)
    device.push(change.undo)
    assert device.observe(PORT).state == have.state


def test_half_a_fence_does_not_count_and_is_completed(device: NetworkDriver) -> None:
    have = device.observe(PORT)
    want = fold(have.state, [drop(V4)])
    change = device.plan(want, have)
    device.push(change.apply[:1])
    half = device.observe(PORT)
    assert half.state == have.state
    device.push(device.plan(want, half).apply)
    assert device.observe(PORT).state == want
    device.push(change.undo)


def test_half_a_fence_is_cleared_away_when_it_is_no_longer_wanted(device: NetworkDriver) -> None:
    have = device.observe(PORT)
    device.push(device.plan(fold(have.state, [drop(V4)]), have).apply[:1])
    half = device.observe(PORT)
    cleared = device.plan(have.state, half)
    assert not cleared.is_noop
    device.push(cleared.apply)


def test_changed_limit_keeps_its_meter(device: NetworkDriver, shell: LocalShell) -> None:
    have, slow = apply(device, PORT, fold(device.observe(PORT).state, [Effect(rate_bps=8_000_000)]))
    change = device.plan(fold(have.state, [Effect(rate_bps=4_000_000)]), slow)
    assert len(change.apply) == 1
    assert "mod-meter" in change.apply[0]
    device.push(change.apply)
    now = device.observe(PORT)
    assert now.state.rate_bps == 4_000_000
    device.push(device.plan(have.state, now).apply)


def test_meter_of_somebody_else_is_not_taken(device: NetworkDriver, shell: LocalShell) -> None:
    meter = "ovs-ofctl -O OpenFlow13 {}-meter br0 meter=49152,kbps,band=type=drop,rate=1000"
    assert shell.run(meter.format("add"))[0] == 0
    have, limited = apply(device, PORT, fold(device.observe(PORT).state, [Effect(rate_bps=8_000_000)]))
    assert limited.state.rate_bps == 8_000_000
    device.push(device.plan(have.state, limited).apply)
    assert "meter=49152" in shell.run("ovs-ofctl -O OpenFlow13 dump-meters br0")[1]
    assert shell.run("ovs-ofctl -O OpenFlow13 del-meter br0 meter=49152")[0] == 0


def test_entries_end_on_the_bridge_and_are_renewed_only_when_half_is_gone(device: NetworkDriver) -> None:
    have = device.observe(PORT)
    want = fold(have.state, [drop(V4)])
    timed = SlotState(vlan=want.vlan, enabled=True, entries=want.entries, expires_s=600)
    device.push(device.plan(timed, have).apply)
    after = device.observe(PORT)
    assert after.state.expires_s is not None
    assert 590 <= after.state.expires_s <= 600
    assert device.plan(timed, after).is_noop
    longer = SlotState(vlan=want.vlan, enabled=True, entries=want.entries, expires_s=2_000)
    device.push(device.plan(longer, after).apply)
    renewed = device.observe(PORT)
    assert renewed.state.expires_s is not None
    assert renewed.state.expires_s > 1_900
    device.push(device.plan(have.state, renewed).apply)


def test_edit_of_a_rule_of_ours_is_foreign(device: NetworkDriver, shell: LocalShell) -> None:
    shell.run(
        "ovs-ofctl -O OpenFlow13 add-flow br0 cookie=0xc07d07,priority=50000,in_port=veth7,ip,nw_tos=4,actions=drop"
    )
    held = device.observe(PORT)
    assert held.foreign
    with pytest.raises(ForeignState):
        device.plan(fold(held.state, [drop(V4)]), held)
    shell.run("ovs-ofctl -O OpenFlow13 del-flows br0 cookie=0xc07d07/-1")


def test_limit_is_refused_beside_rules_of_others_and_a_block_is_not(device: NetworkDriver, shell: LocalShell) -> None:
    shell.run("ovs-ofctl -O OpenFlow13 add-flow br0 cookie=0x1,priority=10,in_port=veth8,actions=output:veth9")
    held = device.observe(PORT)
    for effect in (Effect(rate_bps=8_000_000), limit(V4, 8_000_000), drop(V4, traffic=TrafficClass.ODD_PROTOCOL)):
        with pytest.raises(ForeignState):
            device.plan(fold(held.state, [effect]), held)
    assert device.plan(fold(held.state, [drop(V4)]), held).apply
    shell.run("ovs-ofctl -O OpenFlow13 del-flows br0 cookie=0x1/-1")


def test_what_open_vswitch_cannot_do_is_refused_before_anything_is_sent(device: NetworkDriver) -> None:
    held = device.observe(PORT)
    for effect in (
        Effect(vlan=Vlan(77)),
        Effect(rate_bps=10_500),
        Effect(rate_bps=8_000_000, entries=drop(V4, traffic=TrafficClass.ODD_PROTOCOL).entries),
    ):
        with pytest.raises(Unsupported):
            device.plan(fold(held.state, [effect]), held)


def test_interface_that_does_not_exist_is_an_error_and_not_an_empty_port(device: NetworkDriver) -> None:
    with pytest.raises((CommandRefused, RuntimeError), match="veth77"):
        device.observe(Slot("hv", SlotKind.PORT, "veth77"))


def test_port_counts_what_came_in(device: NetworkDriver) -> None:
    counters = device.counters("veth7")
    assert counters.octets_in >= counters.packets_in
    assert counters.macs is None, "a first reading does not ask for them"
