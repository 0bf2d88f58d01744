from ipaddress import ip_network
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from controller.domain.address import Vlan
from controller.domain.fence import Action, Effect, Entry, SlotState, fold

ENTRIES = st.frozensets(
    st.sampled_from([Entry(Action.DROP, ip_network(f"198.18.1.{n}/32")) for n in range(1, 4)]), max_size=3
)
EFFECTS = st.builds(
    Effect,
    vlan=st.sampled_from([None, Vlan(998), Vlan(999)]),
    enabled=st.sampled_from([None, False]),
    rate_bps=st.sampled_from([None, 1_000_000, 10_000_000]),
    entries=ENTRIES,
)
NATIVE = st.builds(
    SlotState,
    vlan=st.sampled_from([None, Vlan(110)]),
    enabled=st.sampled_from([None, True, False]),
    rate_bps=st.sampled_from([None, 5_000_000]),
    entries=ENTRIES,
)


@given(NATIVE, st.lists(EFFECTS, max_size=4))
def test_the_order_of_live_fences_does_not_matter(native: SlotState, effects: list[Effect]) -> None:
    assert len({fold(native, order) for order in permutations(effects)}) == 1


@given(NATIVE, st.lists(EFFECTS, max_size=4))
def test_a_fence_laid_twice_is_laid_once(native: SlotState, effects: list[Effect]) -> None:
    assert fold(native, [*effects, *effects]) == fold(native, effects)


@given(NATIVE)
def test_without_fences_a_slot_is_native(native: SlotState) -> None:
    assert fold(native, ()) == native


@given(NATIVE, st.lists(EFFECTS, max_size=4))
def test_a_closed_slot_stays_closed_while_one_fence_wants_it_closed(native: SlotState, effects: list[Effect]) -> None:
    closed = any(effect.enabled is False for effect in effects)
    assert fold(native, effects).enabled is (False if closed else native.enabled)
