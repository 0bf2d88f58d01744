from dataclasses import replace

import pytest

from controller.domain.fence import Counters
from controller.domain.record import Attachment, Decision
from controller.domain.rulebook import Corroboration
from controller.domain.verdict import Rates
from controller.locating import locate
from controller.readings import Readings, Said, entries_of
from tests.controller.fakes import FakeClock, FakeDevice, FakeNetwork
from tests.controller.ledger_cases import decision
from tests.controller.network_cases import FLOOD, NOON_NS, estate, verdict


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOON_NS)


@pytest.fixture
def devices(clock: FakeClock) -> dict[str, FakeDevice]:
    return {name: FakeDevice(name, clock) for name in ("sw1", "sw2", "hv1")}


def who(address: str) -> Attachment:
    return locate(verdict(address), estate())


def accused(address: str = "198.18.2.3") -> Decision:
    return decision(attachment=who(address), rates=FLOOD, evidence=verdict(address).evidence)


def readings(devices: dict[str, FakeDevice], clock: FakeClock) -> Readings:
    return Readings(FakeNetwork(devices), clock, Corroboration(), Said())


def test_two_readings_stand_at_least_the_gap_apart(devices: dict[str, FakeDevice], clock: FakeClock) -> None:
    asked = readings(devices, clock)
    asked.begin(accused())
    assert asked.confirm(accused()).allows
    assert clock.ns - NOON_NS == pytest.approx(Corroboration().counter_gap_s * 1e9, abs=1_000)
    assert devices["sw1"].journal == ["counters ge3", "counters ge3"]


def test_a_reading_that_came_with_the_look_at_the_port_is_the_second(
    devices: dict[str, FakeDevice], clock: FakeClock
) -> None:
    asked = readings(devices, clock)
    (port,) = asked.begin(accused())
    clock.pause(1.1 * Corroboration().counter_gap_s)
    asked.hear(port, devices["sw1"].counters(port.interface))
    assert asked.confirm(accused()).allows
    assert devices["sw1"].journal == ["counters ge3"] * 2


def test_a_reading_too_soon_after_the_first_is_not_compared_with_it(
    devices: dict[str, FakeDevice], clock: FakeClock
) -> None:
    asked, (port,) = readings(devices, clock), entries_of(who("198.18.2.3"))
    asked.begin(accused())
    asked.hear(port, devices["sw1"].counters(port.interface))
    assert asked.confirm(accused()).allows
    assert devices["sw1"].journal == ["counters ge3"] * 3


@pytest.mark.parametrize(("macs", "allows"), [(1, False), (3, True)])
def test_a_port_on_which_several_macs_were_learned_confirms_only_the_total(
    devices: dict[str, FakeDevice], clock: FakeClock, macs: int, allows: bool
) -> None:
    """Learned with a look that came too soon to make the pair: known for the readings after it, too."""
    devices["sw1"].rates = (40 * 90e6, 400_000.0)  # far more than the verdict has
    asked, (port,) = readings(devices, clock), entries_of(who("198.18.2.3"))
    asked.begin(accused())
    clock.pause(0.01)
    asked.hear(port, replace(devices["sw1"].counters(port.interface), macs=macs))
    answer = asked.confirm(accused())
    assert answer.allows is allows
    assert ("only the total is confirmed" in answer.text) is allows


def test_a_first_reading_that_is_old_is_taken_anew(devices: dict[str, FakeDevice], clock: FakeClock) -> None:
    asked = readings(devices, clock)
    asked.take_first(who("198.18.2.3"))
    clock.pause(60.0)
    asked.begin(accused())
    assert len(devices["sw1"].journal) == 2


def test_a_slow_device_is_asked_again_until_patience_is_over(devices: dict[str, FakeDevice], clock: FakeClock) -> None:
    devices["sw1"].rates = (0.0, 0.0)
    asked = readings(devices, clock)
    asked.begin(accused())
    assert not asked.confirm(accused()).allows
    assert 3.0 <= (clock.ns - NOON_NS) / 1e9 < 3.6


def test_counters_that_are_refreshed_once_a_second_still_confirm(clock: FakeClock) -> None:
    class Slow(FakeDevice):
        def counters(self, interface: str) -> Counters:
            now = super().counters(interface)
            seconds = int(now.at_s)
            return replace(now, octets_in=int(90e6 / 8 * seconds), packets_in=10_000 * seconds)

    slow = Slow("sw1", clock)
    asked = readings({"sw1": slow}, clock)
    asked.begin(accused())
    answer = asked.confirm(accused())
    assert answer.allows
    assert len(slow.journal) > 2


def test_a_verdict_of_a_tick_in_which_the_flood_had_just_begun_is_outgrown(
    devices: dict[str, FakeDevice], clock: FakeClock
) -> None:
    """The port counts nine times what the first verdict could see; the next one sees it whole."""
    early = replace(accused(), subject="host:198.18.2.3", rates=Rates(bits=10e6, packets=1_100.0))
    deaf, hearing = readings(devices, clock), readings(devices, clock)
    hearing.said.hear([verdict("198.18.2.3", rates=Rates(bits=90e6, packets=10_000.0))])
    answers = []
    for asked in (deaf, hearing):
        asked.begin(early)
        answers.append(asked.confirm(early).allows)
    assert answers == [False, True]


def test_the_ports_of_a_dual_homed_host_are_added(devices: dict[str, FakeDevice], clock: FakeClock) -> None:
    devices["sw1"].rates, devices["sw2"].rates = (85e6, 9_500.0), (5e6, 500.0)
    asked = readings(devices, clock)
    both = accused("198.18.2.20")
    asked.begin(both)
    answer = asked.confirm(both)
    assert answer.allows
    assert "90.0 Mbit/s and 10,000 packets/s" in answer.text


def test_a_guest_is_counted_at_its_own_interface(devices: dict[str, FakeDevice], clock: FakeClock) -> None:
    asked = readings(devices, clock)
    guest = accused("198.18.2.101")
    asked.begin(guest)
    answer = asked.confirm(guest)
    assert answer.allows
    assert devices["hv1"].journal == ["counters vnet1", "counters vnet1"]
    assert "shared" not in answer.text


def test_a_shared_port_confirms_only_the_total_and_says_so(devices: dict[str, FakeDevice], clock: FakeClock) -> None:
    devices["sw1"].rates = (900e6, 100_000.0)
    asked = readings(devices, clock)
    shared = accused("198.18.1.7")
    asked.begin(shared)
    assert "only the total is confirmed" in asked.confirm(shared).text


def test_a_port_that_cannot_be_asked_confirms_nothing(devices: dict[str, FakeDevice], clock: FakeClock) -> None:
    devices["sw1"].dead = True
    asked = readings(devices, clock)
    asked.begin(accused())
    assert not asked.confirm(accused()).allows
    devices["sw1"].dead = False
    asked.begin(accused())
    devices["sw1"].dead = True
    assert "could not be read" in asked.confirm(accused()).text


def test_without_a_port_there_is_nothing_to_confirm_with(devices: dict[str, FakeDevice], clock: FakeClock) -> None:
    lost = Attachment("x", "t", "s", (), ())
    assert entries_of(lost) == ()
    assert not readings(devices, clock).confirm(decision(attachment=lost, evidence=verdict().evidence)).allows
