from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.comparing import Outcome, aim, counted, missing, recover
from controller.domain.address import Vlan
from controller.domain.fence import Action, Change, Counters, Effect, Entry, Held, Slot, SlotKind, SlotState, fold
from controller.domain.rulebook import Corroboration
from controller.domain.verdict import Rates
from tests.controller.test_fence import EFFECTS, NATIVE

SLOT = Slot("sw1", SlotKind.PORT, "ge3")
NATIVE_PORT = SlotState(vlan=Vlan(120), enabled=True)
QUARANTINE = Effect(vlan=Vlan(999), rate_bps=10_000_000)
MINE, THEIRS = (Entry(Action.DROP, ip_network(f"198.18.1.{n}/32")) for n in (7, 8))
BLOCK, OTHER = Effect(entries=frozenset({MINE})), Effect(entries=frozenset({THEIRS}))


def change(have: SlotState, want: SlotState) -> Change:
    return Change(SLOT, have, want, ("a line",), ("its undo",))


def held(state: SlotState) -> Held:
    return Held(SLOT, state)


@given(NATIVE, st.lists(EFFECTS, max_size=3), st.lists(EFFECTS, max_size=3))
def test_without_a_persons_hand_the_aim_is_the_fold(native: SlotState, left: list[Effect], live: list[Effect]) -> None:
    clean = replace(native, entries=frozenset(), rate_bps=None)
    found = aim(clean, fold(clean, left), left=left, live=live)
    assert found.want == fold(clean, live)
    assert found.native == clean
    assert found.edited == ()


@given(NATIVE, st.lists(EFFECTS, max_size=3))
def test_taking_all_fences_off_gives_the_native_state_back(native: SlotState, effects: list[Effect]) -> None:
    clean = replace(native, entries=frozenset(), rate_bps=None)
    assert aim(clean, fold(clean, effects), left=effects, live=()).want == clean


def test_an_edit_where_no_fence_stands_becomes_native() -> None:
    have = replace(fold(NATIVE_PORT, [BLOCK]), vlan=Vlan(130))
    found = aim(NATIVE_PORT, have, left=[BLOCK], live=[])
    assert found.want == SlotState(vlan=Vlan(130), enabled=True)
    assert (found.native.vlan, found.edited) == (130, ("vlan",))


def test_an_edit_made_native_survives_a_quarantine_that_comes_later() -> None:
    have = replace(fold(NATIVE_PORT, [BLOCK]), vlan=Vlan(130))
    later = aim(NATIVE_PORT, have, left=[BLOCK], live=[BLOCK, QUARANTINE])
    assert later.want.vlan == 999
    freed = aim(later.native, later.want, left=[BLOCK, QUARANTINE], live=[BLOCK])
    assert freed.want.vlan == 130


def test_an_edit_on_top_of_a_fence_is_left_alone_and_named() -> None:
    have = replace(fold(NATIVE_PORT, [QUARANTINE]), vlan=Vlan(130))
    for live in ([QUARANTINE], []):
        found = aim(NATIVE_PORT, have, left=[QUARANTINE], live=live)
        assert found.want.vlan == 130
        assert found.edited == ("vlan",)


def test_a_fence_lost_in_a_restart_is_set_again() -> None:
    found = aim(NATIVE_PORT, NATIVE_PORT, left=[QUARANTINE, BLOCK], live=[QUARANTINE, BLOCK])
    assert found.want == fold(NATIVE_PORT, [QUARANTINE, BLOCK])
    assert found.edited == ()


def test_rules_that_nobody_here_made_stay_where_they_are() -> None:
    have = replace(fold(NATIVE_PORT, [BLOCK]), entries=frozenset({MINE, THEIRS}))
    assert aim(NATIVE_PORT, have, left=[BLOCK], live=[]).want.entries == {THEIRS}


def test_of_two_fences_on_one_port_each_leaves_the_others_part() -> None:
    both = fold(NATIVE_PORT, [BLOCK, OTHER, QUARANTINE])
    assert aim(NATIVE_PORT, both, left=[BLOCK, OTHER, QUARANTINE], live=[OTHER]).want == fold(NATIVE_PORT, [OTHER])


def test_an_attribute_that_the_device_was_not_asked_for_is_no_edit() -> None:
    assert aim(NATIVE_PORT, replace(NATIVE_PORT, enabled=None), left=[], live=[BLOCK]).edited == ()


HAVE, WANT = NATIVE_PORT, fold(NATIVE_PORT, [QUARANTINE, BLOCK])


@pytest.mark.parametrize(
    ("seen", "outcome"),
    [
        (WANT, Outcome.VERIFIED),
        (HAVE, Outcome.ROLLED_BACK),
        (replace(WANT, vlan=HAVE.vlan), Outcome.LOST),
        (replace(HAVE, vlan=Vlan(77)), Outcome.LOST),
        (replace(HAVE, entries=WANT.entries), Outcome.LOST),
        (replace(WANT, enabled=False), Outcome.VERIFIED),
        (replace(WANT, entries=frozenset({MINE, THEIRS})), Outcome.VERIFIED),
        (replace(HAVE, entries=frozenset({THEIRS})), Outcome.ROLLED_BACK),
    ],
    ids=["all", "nothing", "half", "a third VLAN", "only the rule", "others' attribute", "others' rule", "theirs only"],
)
def test_a_change_is_judged_by_what_it_touches_and_nothing_else(seen: SlotState, outcome: Outcome) -> None:
    assert recover(change(HAVE, WANT), held(seen)) is outcome


def test_a_change_of_nothing_is_as_wanted() -> None:
    assert recover(change(HAVE, HAVE), held(replace(HAVE, vlan=Vlan(5)))) is Outcome.VERIFIED


@given(NATIVE, st.lists(EFFECTS, min_size=1, max_size=3))
def test_recover_knows_before_from_after(native: SlotState, effects: list[Effect]) -> None:
    want = fold(native, effects)
    one = change(native, want)
    assert recover(one, held(want)) is Outcome.VERIFIED
    assert recover(one, held(native)) is (Outcome.ROLLED_BACK if native != want else Outcome.VERIFIED)


def test_what_a_fence_lacks_is_named() -> None:
    assert missing([QUARANTINE, BLOCK], NATIVE_PORT) == ("vlan", "rate_bps", "entries")
    assert missing([Effect(enabled=False)], NATIVE_PORT) == ("enabled",)
    assert missing([QUARANTINE, BLOCK], fold(NATIVE_PORT, [QUARANTINE, BLOCK, OTHER])) == ()


SAID = Rates(bits=90e6, packets=10_000.0)


def pair(bits: float, packets: float, seconds: float = 0.25) -> tuple[Counters, Counters]:
    return (
        Counters("ge3", 100.0, 1_000, 10),
        Counters("ge3", 100.0 + seconds, 1_000 + int(bits / 8 * seconds), 10 + int(packets * seconds)),
    )


@pytest.mark.parametrize(
    ("bits", "packets", "shared", "agrees"),
    [
        (95e6, 10_500, False, True),
        (45e3, 30, False, False),
        (45e3, 30, True, False),
        (95e6, 30, False, False),
        (900e6, 100_000, False, False),
        (900e6, 100_000, True, True),
        (23e6, 2_600, False, True),
    ],
    ids=["agrees", "quiet", "quiet on a shared port", "few packets", "ten times", "neighbours count too", "within 4"],
)
def test_the_ports_own_counters_confirm_or_refuse(bits: float, packets: float, shared: bool, agrees: bool) -> None:
    first, second = pair(bits, packets)
    answer = counted(first, second, SAID, Corroboration(), shared=shared)
    assert answer.agrees is agrees
    assert ("only the total is confirmed" in answer.text) is (shared and agrees)


def test_counters_that_run_backwards_or_stand_in_time_confirm_nothing() -> None:
    first, second = pair(95e6, 10_000)
    assert not counted(second, first, SAID, Corroboration(), shared=False).agrees
    assert not counted(first, first, SAID, Corroboration(), shared=False).agrees
