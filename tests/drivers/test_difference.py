"""Lines there and back, on a device of a dozen lines: whatever is held and wanted, both ways end where they should."""

import re
from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain.address import Vlan
from controller.domain.errors import BadInput, ForeignState, Unsupported
from controller.domain.fence import Action, Entry, Held, Slot, SlotKind, SlotState, Transcript
from drivers.conversation import Query
from drivers.driver import NetworkDriver
from drivers.loading import load
from drivers.render import segment_name

TOY = """
platform = "toy"
about = "a device of a dozen lines"
provenance = ["this test"]
interface = 'p\\d+'
refusals = ['^no$']
[talk]
driver = "toy"
prompt = '>'
asks = ['^show$']
[questions.all]
ask = "show"
proof = '^all:$'
slots = ["port"]
[vlans]
read = { question = "all", pattern = '^exists (?P<vlan>\\d+)$' }
[rate]
step_bps = 1
min_bps = 1
max_bps = 1000
[expiry]
timer = " for {expires}"
max_s = 1000
[seats.seat]
first = 1
last = 4
taken = { question = "all", pattern = '^\\w+ (?P<seat>\\d+) from ' }
[[foreign]]
places = ["vlan"]
say = "pinned"
read = { question = "all", pattern = '^(?P<what>pinned)$' }
[[rows]]
name = "vlan"
holds = "vlan"
slots = ["port"]
read = [{ question = "all", pattern = '^vlan (?P<vlan>\\d+)$' }]
set = ["del vlan", "add vlan {vlan}"]
unset = ["del vlan"]
[[rows]]
name = "shut"
holds = "shut"
slots = ["port"]
read = [{ question = "all", pattern = '^shut$' }]
set = ["add shut"]
unset = ["del shut"]
[[rows]]
name = "list"
holds = "guard"
slots = ["port"]
read = [{ question = "all", pattern = '^list$' }]
set = ["add list"]
unset = ["del drop", "del list"]
[[rows]]
name = "rate"
holds = "rate"
slots = ["port"]
read = [{ question = "all", pattern = '^rate (?P<rate_bps>\\d+)$' }]
set = ["add rate {rate_bps}"]
change = ["del rate", "add rate {rate_bps}"]
unset = ["del rate"]
[[rows]]
name = "drop"
holds = "entries"
inside = "list"
seat = "seat"
slots = ["port"]
traffic = ["all"]
families = ["ipv4", "ipv6"]
read = [{ question = "all", pattern = '^drop (?P<seat>\\d+) from (?P<source>\\S+)(?: for (?P<left>\\d+))?$' }]
set = ["add drop {seat} from {source}{timer}"]
change = ["del drop {seat} ", "add drop {seat} from {source}{timer}"]
unset = ["del drop {seat} "]
[cover.block_address]
direction = ""
families = ""
fragments = ""
arp = ""
established = ""
reload = ""
[cover.throttle]
direction = ""
families = ""
fragments = ""
arp = ""
established = ""
reload = ""
[cover.quarantine]
direction = ""
families = ""
fragments = ""
arp = ""
established = ""
reload = ""
[cover.shut]
direction = ""
families = ""
fragments = ""
arp = ""
established = ""
reload = ""
"""
DIALECT = load(TOY, file="toy.toml")
SLOT = Slot("toy", SlotKind.PORT, "p1")
SOURCES = [ip_network(text) for text in ("10.0.0.1", "10.0.0.2", "10.0.0.0/24", "2001:db8::/64")]


class Toy:
    """A device that keeps lines: `add X`, and `del X` for all that begin with X."""

    def __init__(self, *lines: str) -> None:
        self.lines = ["exists 1", "exists 2", "exists 3", *lines]

    def ask(self, queries: list[Query]) -> tuple[str, ...]:
        return tuple("\n".join(["all:", *self.lines]) for _ in queries)

    def configure(self, lines: list[str], *, confirm_within_s: int) -> Transcript:
        for line in lines:
            verb, _, rest = line.partition(" ")
            assert verb in ("add", "del")
            if verb == "add":
                assert rest not in self.lines, f"{rest} twice"
                self.lines.append(rest)
            else:
                self.lines = [one for one in self.lines if not re.match(rf"{re.escape(rest)}(?:$|\s|(?<=\s))", one)]
        return Transcript("toy", ())

    def confirm(self) -> Transcript:
        return Transcript("toy", ())

    def close(self) -> None:
        return


def driver(toy: Toy) -> NetworkDriver:
    return NetworkDriver("toy", DIALECT, toy)


states = st.builds(
    SlotState,
    vlan=st.sampled_from([Vlan(1), Vlan(2), Vlan(3)]),
    enabled=st.booleans(),
    rate_bps=st.none() | st.integers(1, 1000),
    entries=st.frozensets(st.sampled_from([Entry(Action.DROP, source) for source in SOURCES])),
    expires_s=st.none() | st.sampled_from([10, 100, 900]),
)


@settings(deadline=None, derandomize=True)
@given(first=states, second=states)
def test_there_and_back_for_any_two_states(first: SlotState, second: SlotState) -> None:
    toy = Toy("vlan 1")
    device = driver(toy)
    device.push(device.plan(first, device.observe(SLOT)).apply)
    have = device.observe(SLOT)
    assert have.state == first
    assert device.plan(first, have).is_noop
    before = sorted(toy.lines)
    change = device.plan(second, have)
    device.push(change.apply)
    after = device.observe(SLOT)
    assert after.state == second
    assert device.plan(second, after).is_noop
    device.push(change.undo)
    assert device.observe(SLOT).state == first
    if not (first.entries and first.expires_s != second.expires_s):
        assert sorted(toy.lines) == before, "undone to the letter"


@settings(deadline=None, derandomize=True)
@given(first=states, second=states)
def test_planning_is_pure(first: SlotState, second: SlotState) -> None:
    toy = Toy("vlan 1")
    device = driver(toy)
    held = device.observe(SLOT)
    before = list(toy.lines)
    assert device.plan(first, held) == device.plan(first, held)
    device.plan(second, held)
    assert toy.lines == before


def plan(want: SlotState, *lines: str) -> tuple[str, ...]:
    device = driver(Toy(*lines))
    return device.plan(want, device.observe(SLOT)).apply


def test_what_goes_with_its_list_is_not_taken_away_twice() -> None:
    held = ("vlan 1", "list", "drop 1 from 10.0.0.1/32", "drop 2 from 10.0.0.2/32")
    assert plan(SlotState(vlan=Vlan(1), enabled=True), *held) == ("del drop", "del list")


def test_seat_of_somebody_else_is_not_taken() -> None:
    wanted = SlotState(vlan=Vlan(1), enabled=True, entries=frozenset({Entry(Action.DROP, SOURCES[0])}))
    assert plan(wanted, "vlan 1", "other 1 from x") == ("add list", "add drop 2 from 10.0.0.1/32")


def test_list_with_every_seat_taken_is_unsupported() -> None:
    wanted = SlotState(vlan=Vlan(1), enabled=True, entries=frozenset({Entry(Action.DROP, SOURCES[0])}))
    with pytest.raises(Unsupported, match="in use"):
        plan(wanted, "vlan 1", *(f"other {seat} from x" for seat in range(1, 5)))


def test_entry_is_renewed_when_less_than_half_of_its_time_is_left() -> None:
    wanted = SlotState(vlan=Vlan(1), enabled=True, entries=frozenset({Entry(Action.DROP, SOURCES[0])}), expires_s=100)
    held = ("vlan 1", "list", "drop 3 from 10.0.0.1/32 for ")
    assert plan(wanted, *held[:2], held[2] + "50") == ()
    assert plan(wanted, *held[:2], held[2] + "49") == ("del drop 3 ", "add drop 3 from 10.0.0.1/32 for 100")


def test_time_is_never_longer_than_the_device_can_count() -> None:
    wanted = SlotState(vlan=Vlan(1), enabled=True, entries=frozenset({Entry(Action.DROP, SOURCES[0])}), expires_s=10**9)
    assert plan(wanted, "vlan 1")[-1].endswith(" for 1000")
    assert plan(wanted, "vlan 1", "list", "drop 3 from 10.0.0.1/32 for 1000") == ()


WANT = SlotState(vlan=Vlan(1), enabled=True)


@pytest.mark.parametrize(
    "want",
    [
        replace(WANT, vlan=Vlan(77)),
        replace(WANT, rate_bps=5000),
        replace(WANT, entries=frozenset({Entry(Action.LIMIT, SOURCES[0], rate_bps=10)})),
        replace(WANT, entries=frozenset({Entry(Action.DROP, None)})),
        replace(WANT, entries=frozenset({Entry(Action.DROP, SOURCES[0], segment="a")})),
    ],
)
def test_what_the_dialect_cannot_hold_is_unsupported(want: SlotState) -> None:
    with pytest.raises(Unsupported):
        plan(want, "vlan 1")


def test_port_without_a_vlan_is_not_moved_into_one() -> None:
    with pytest.raises(Unsupported, match="access port"):
        plan(WANT)


def test_foreign_configuration_stops_only_what_would_go_there() -> None:
    with pytest.raises(ForeignState, match="pinned"):
        plan(replace(WANT, vlan=Vlan(2)), "vlan 1", "pinned")
    assert plan(replace(WANT, enabled=False), "vlan 1", "pinned") == ("add shut",)


def test_slots_that_the_dialect_does_not_know_are_unsupported() -> None:
    device = driver(Toy("vlan 1"))
    for slot in (
        Slot("toy", SlotKind.FIREWALL, "cordon"),
        Slot("toy", SlotKind.GUEST, "p1"),
        Slot("toy", SlotKind.PORT, "q1"),
    ):
        with pytest.raises(Unsupported):
            device.observe(slot)


def test_segment_name_that_would_break_out_of_its_line_is_refused() -> None:
    assert segment_name("shared-1.a_b") == "shared-1.a_b"
    for wrong in ('x" }', "a b", "x" * 33, "-x", "a\nb", "'"):
        with pytest.raises(BadInput):
            segment_name(wrong)


def test_held_without_its_answers_cannot_be_planned_from() -> None:
    with pytest.raises(RuntimeError):
        driver(Toy()).plan(WANT, Held(SLOT, WANT))
