"""The driver contract over real sshd, against real switches and a real firewall, with nothing in between."""

from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from controller.domain import toml
from controller.domain.address import Vlan
from controller.domain.errors import CommandRefused, Unreachable
from controller.domain.estate import Estate, Site
from controller.domain.fence import Action, Effect, Entry, Slot, SlotKind, fold
from controller.domain.verdict import TrafficClass
from deploy.lab.net.lab import Lab
from deploy.lab.net.plan import QUARANTINE
from deploy.lab.net.routing import FIREWALL_STATE
from deploy.lab.net.switching import STATE
from drivers.devices import Devices

pytestmark = pytest.mark.root

D1, D1_SIX = ip_network("198.18.2.11"), ip_network("2001:db8:2:b::/64")
EDGE, SHARED, CORE = (
    Slot("sw1", SlotKind.PORT, "d1"),
    Slot("sw1", SlotKind.PORT, "hv1"),
    Slot("core1", SlotKind.PORT, "dns1"),
)
WALL = Slot("fw1", SlotKind.FIREWALL, "cordon")


def drop(*sources: object, traffic: TrafficClass = TrafficClass.ALL) -> Effect:
    return Effect(entries=frozenset(Entry(Action.DROP, source, traffic) for source in sources))


EFFECTS = {
    "block an address at its port": (EDGE, drop(D1, D1_SIX)),
    "block a guest at a shared port": (SHARED, drop(ip_network("198.18.1.12"))),
    "filter fragments of whoever sends": (SHARED, drop(None, traffic=TrafficClass.FRAGMENTS)),
    "filter odd protocols of an address": (EDGE, drop(D1, traffic=TrafficClass.ODD_PROTOCOL)),
    "throttle a port": (EDGE, Effect(rate_bps=5_000_000)),
    "quarantine": (EDGE, Effect(vlan=Vlan(QUARANTINE))),
    "shut": (EDGE, Effect(enabled=False)),
    "block at the core": (CORE, drop(ip_network("198.18.4.11"))),
    "block at the firewall": (WALL, drop(ip_network("198.18.3.12"), ip_network("2001:db8:3:c::/64"))),
    "filter fragments at the firewall": (WALL, drop(ip_network("198.18.3.12"), traffic=TrafficClass.FRAGMENTS)),
}


@pytest.fixture(scope="module")
def devices(lab: Lab) -> Iterator[Devices]:
    estate = Estate(toml.read(lab.site.read_text(), Site, file=str(lab.site)))
    opened = Devices(estate, known_hosts=lab.known_hosts, secrets={})
    yield opened
    opened.close()


def state(lab: Lab, device: str) -> str:
    """All that a fence could change, asked past SSH."""
    return lab.devices[device].shell.ask(FIREWALL_STATE if device == "fw1" else STATE)


@pytest.mark.parametrize("name", EFFECTS)
def test_fence_is_set_seen_idle_when_repeated_and_undone_to_the_octet(lab: Lab, devices: Devices, name: str) -> None:
    slot, effect = EFFECTS[name]
    device, before = devices.device(slot.device), state(lab, slot.device)
    have = device.observe(slot)
    want = fold(have.state, [effect])
    change = device.plan(want, have)
    device.push(change.apply)
    after = device.observe(slot)
    assert after.state == want
    assert device.plan(want, after).is_noop
    assert state(lab, slot.device) != before
    device.push(change.undo)
    assert device.observe(slot).state == have.state
    assert state(lab, slot.device) == before


def test_refused_line_is_an_error_that_names_it(devices: Devices) -> None:
    with pytest.raises(CommandRefused, match="nobody"):
        devices.device("sw1").push(["ovs-vsctl set Port nobody tag=5"])


def test_counters_are_those_of_the_port(lab: Lab, devices: Devices) -> None:
    before = devices.device("sw1").counters("d1")
    lab.devices["sw1"].shell.ask("ovs-ofctl -O OpenFlow13 dump-ports br0 d1")
    assert devices.device("sw1").counters("d1").packets_in >= before.packets_in
    assert devices.device("fw1").counters("inside").octets_in >= 0


def test_session_is_opened_anew_after_the_device_lost_power(lab: Lab, devices: Devices) -> None:
    device = devices.device("sw2")
    device.observe(Slot("sw2", SlotKind.PORT, "d3"))
    lab.devices["sw2"].stop()
    with pytest.raises(Unreachable):
        device.observe(Slot("sw2", SlotKind.PORT, "d3"))
    lab.power_on("sw2")
    assert device.observe(Slot("sw2", SlotKind.PORT, "d3")).state.vlan == Vlan(120)


def test_device_with_another_host_key_is_not_spoken_to(lab: Lab, devices: Devices) -> None:
    known = lab.known_hosts.read_text()
    stranger = known.replace(known.split()[2], known.splitlines()[1].split()[2], 1)
    lab.known_hosts.write_text(stranger)
    estate = Estate(toml.read(lab.site.read_text(), Site, file=str(lab.site)))
    suspicious = Devices(estate, known_hosts=lab.known_hosts, secrets={})
    try:
        with pytest.raises(Unreachable):
            suspicious.device(lab.plan.devices[0].name).observe(CORE)
    finally:
        suspicious.close()
        lab.known_hosts.write_text(known)
