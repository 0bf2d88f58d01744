"""Every line of the linux_nftables dialect against the real nft and kernel, in a namespace of its own."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from controller.domain.address import Prefix
from controller.domain.crossing import Crossing, Side, Transport, separation
from controller.domain.errors import ForeignState, Unsupported
from controller.domain.fence import Action, Effect, Entry, Slot, SlotKind, SlotState, fold
from controller.domain.verdict import TrafficClass
from drivers.driver import NetworkDriver
from drivers.loading import dialect_of
from tests.drivers.local import LocalShell

MISSING = [tool for tool in ("nft", "ip") if shutil.which(tool) is None] + (["root"] if os.geteuid() else [])
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(MISSING), reason=f"real nftables needs {', '.join(MISSING)}"),
]

RULES = Slot("fw", SlotKind.FIREWALL, "cordon")
V4, V4B, NET, V6 = map(ip_network, ("10.20.0.5", "10.20.0.6", "10.20.8.0/22", "2001:db8:5::/64"))
AROUND = ip_network("2001:db8::/48")


@pytest.fixture(scope="module")
def shell() -> Iterator[LocalShell]:
    space = f"cordon-nft-{os.getpid()}"
    subprocess.run(("ip", "netns", "add", space), check=True)
    try:
        shell = LocalShell(namespace=space)
        assert shell.run("nft add table inet provider; nft list ruleset")[1] == "table inet provider {\n}\n"
        yield shell
    finally:
        subprocess.run(("ip", "netns", "del", space), check=True)


@pytest.fixture
def device(shell: LocalShell) -> Iterator[NetworkDriver]:
    yield NetworkDriver("fw", dialect_of("linux_nftables"), shell)
    assert shell.run("nft list ruleset")[1] == "table inet provider {\n}\n", "a test left something behind"


def drop(*sources: Prefix | None, traffic: TrafficClass = TrafficClass.ALL, segment: str = "") -> Effect:
    return Effect(entries=frozenset(Entry(Action.DROP, one, traffic, segment=segment) for one in sources))


EFFECTS = {
    **{f"{one} of hosts": drop(V4, V6, traffic=one) for one in TrafficClass},
    "a prefix and one around it": drop(V6, AROUND, NET),
    "a segment": drop(NET, AROUND, segment="shared-1"),
    "a host in a closed segment": Effect(entries=drop(V6).entries | drop(AROUND, segment="shared-1").entries),
    "all classes of one host": Effect(entries=frozenset(Entry(Action.DROP, V4, one) for one in TrafficClass)),
    "many": drop(*(ip_network(f"10.20.{third}.{last}") for third in (0, 1) for last in range(1, 40))),
}


WALL = Slot("fw", SlotKind.SEGMENT, "shared.hosting-1")
WEB = Crossing(Side.OUTSIDE, (ip_network("0.0.0.0/0"), ip_network("::/0")), Transport.TCP, ("80", "443", "8000-8099"))
DNS = Crossing(Side.INSIDE, (V4, ip_network("2001:db8:4::53/128")), Transport.UDP, ("53",))
PING = Crossing(Side.INSIDE, (V4B, V6), Transport.ICMP)
BACKUP = Crossing(Side.OUTSIDE, (V4,), hosts=(ip_network("10.20.9.0/24"),))
PLAIN = Crossing(Side.OUTSIDE, (V4B,), Transport.UDP)
SEPARATIONS = {
    "nothing crosses": separation([NET, AROUND], (), ()),
    "the web and the names": separation([NET, AROUND], (WEB, DNS, PING), ()),
    "one family only": separation([NET], (WEB, BACKUP, PLAIN), ("eth1", "bond0.131")),
    "everything": separation([NET, AROUND], (WEB, DNS, PING, BACKUP, PLAIN), ("eth1",)),
}


@pytest.mark.parametrize("name", SEPARATIONS)
def test_separation_is_set_seen_idle_when_repeated_and_undone(device: NetworkDriver, name: str) -> None:
    have = device.observe(WALL)
    want = fold(have.state, [Effect(separation=SEPARATIONS[name])])
    change = device.plan(want, have)
    assert len(change.apply) == 1, "one transaction"
    device.push(change.apply)
    after = device.observe(WALL)
    assert after.state == want
    assert after.foreign == ()
    assert device.plan(want, after).is_noop
    device.push(change.undo)
    assert device.observe(WALL).state == have.state == SlotState()


@pytest.mark.parametrize(("before", "then"), [(one, other) for one in SEPARATIONS for other in SEPARATIONS])
def test_one_separation_takes_the_place_of_another_and_gives_it_back(
    device: NetworkDriver, before: str, then: str
) -> None:
    native = device.observe(WALL)
    first = fold(native.state, [Effect(separation=SEPARATIONS[before])])
    device.push(device.plan(first, native).apply)
    change = device.plan(SlotState(separation=SEPARATIONS[then]), device.observe(WALL))
    assert len(change.apply) == (before != then)
    device.push(change.apply)
    assert device.observe(WALL).state.separation == SEPARATIONS[then]
    device.push(change.undo)
    again = device.observe(WALL)
    assert again.state == first
    device.push(device.plan(native.state, again).apply)


@pytest.mark.parametrize(
    "edit",
    [
        "insert rule {table} forward accept",
        "insert rule {table} crossing ip saddr 10.20.9.9 accept",
        "add rule {table} crossing accept",
        "insert rule {table} crossing ct original ip saddr 10.20.9.9 accept",
        "add chain {table} other { type filter hook forward priority 0; policy drop; }",
        "add set {table} extra { type ipv4_addr; }",
    ],
)
def test_what_somebody_put_into_the_separation_is_foreign(device: NetworkDriver, shell: LocalShell, edit: str) -> None:
    native = device.observe(WALL)
    device.push(device.plan(SlotState(separation=SEPARATIONS["one family only"]), native).apply)
    assert shell.run("nft '" + edit.replace("{table}", "inet cordon-shared.hosting-1") + "'")[0] == 0
    held = device.observe(WALL)
    assert held.foreign
    with pytest.raises(ForeignState):
        device.plan(SlotState(separation=SEPARATIONS["nothing crosses"]), held)
    if "{table} other" not in edit and "extra" not in edit:
        assert held.state.separation is None, "a rule before ours may undo it: it does not count"
    shell.run("nft delete table inet cordon-shared.hosting-1")


def test_separation_and_fences_live_in_tables_of_their_own(device: NetworkDriver) -> None:
    native, open_ = device.observe(RULES), device.observe(WALL)
    device.push(device.plan(fold(native.state, [drop(V4)]), native).apply)
    device.push(device.plan(SlotState(separation=SEPARATIONS["everything"]), open_).apply)
    fenced, walled = device.observe(RULES), device.observe(WALL)
    assert (fenced.foreign, walled.foreign) == ((), ())
    device.push(device.plan(native.state, fenced).apply)
    assert device.observe(WALL).state == walled.state
    device.push(device.plan(open_.state, walled).apply)


@pytest.mark.parametrize("name", EFFECTS)
def test_fence_is_set_seen_idle_when_repeated_and_undone(device: NetworkDriver, name: str) -> None:
    have = device.observe(RULES)
    want = fold(have.state, [EFFECTS[name]])
    change = device.plan(want, have)
    assert len(change.apply) == 1, "one transaction"
    device.push(change.apply)
    after = device.observe(RULES)
    assert after.state == want
    assert after.foreign == ()
    assert device.plan(want, after).is_noop
    device.push(change.undo)
    assert device.observe(RULES).state == have.state


def test_second_fence_joins_the_first_and_leaves_it_standing(device: NetworkDriver) -> None:
    native = device.observe(RULES)
    one, both = fold(native.state, [drop(V4)]), fold(native.state, [drop(V4), drop(V4B)])
    device.push(device.plan(one, native).apply)
    first = device.observe(RULES)
    change = device.plan(both, first)
    assert change.apply[0].count("add ") == 1
    device.push(change.apply)
    assert device.observe(RULES).state == both
    device.push(change.undo)
    again = device.observe(RULES)
    assert again.state == one
    device.push(device.plan(native.state, again).apply)


def test_undo_of_what_never_arrived_is_accepted(device: NetworkDriver) -> None:
    have = device.observe(RULES)
    device.push(device.plan(fold(have.state, [drop(V4, V6)]), have).undo)


def test_entry_ends_on_the_firewall_and_is_renewed_only_when_half_is_gone(device: NetworkDriver) -> None:
    have = device.observe(RULES)
    timed = SlotState(entries=drop(V4, NET).entries, expires_s=600)
    device.push(device.plan(timed, have).apply)
    after = device.observe(RULES)
    assert after.state.expires_s is not None
    assert 590 <= after.state.expires_s <= 600
    assert device.plan(timed, after).is_noop
    device.push(device.plan(SlotState(entries=timed.entries, expires_s=2_000), after).apply)
    renewed = device.observe(RULES)
    assert renewed.state.expires_s is not None
    assert renewed.state.expires_s > 1_900
    device.push(device.plan(have.state, renewed).apply)


def test_rule_that_somebody_put_into_our_table_is_foreign(device: NetworkDriver, shell: LocalShell) -> None:
    native = device.observe(RULES)
    device.push(device.plan(fold(native.state, [drop(V4)]), native).apply)
    shell.run("nft insert rule inet cordon all_ipv4_32 ip saddr 10.20.0.5 accept")
    held = device.observe(RULES)
    assert held.state.entries == frozenset(), "a rule before ours may undo it: it does not count"
    with pytest.raises(ForeignState):
        device.plan(fold(held.state, [drop(V4B)]), held)
    assert device.plan(native.state, held).apply
    device.push(device.plan(native.state, held).apply)


def test_flushed_ruleset_is_seen_as_empty(device: NetworkDriver, shell: LocalShell) -> None:
    native = device.observe(RULES)
    want = fold(native.state, [drop(V4)])
    device.push(device.plan(want, native).apply)
    shell.run("nft delete table inet cordon")
    held = device.observe(RULES)
    assert held.state == native.state
    assert device.plan(want, held).apply


def test_what_a_firewall_cannot_hold_is_refused_before_anything_is_sent(device: NetworkDriver) -> None:
    held = device.observe(RULES)
    limited = Effect(entries=frozenset({Entry(Action.LIMIT, V4, rate_bps=1_000_000)}))
    for effect in (limited, drop(None), drop(NET, segment='shared" }; flush ruleset')):
        with pytest.raises(Unsupported):
            device.plan(fold(held.state, [effect]), held)
    with pytest.raises(Unsupported):
        device.observe(Slot("fw", SlotKind.PORT, "eth0"))
