import json
import math
from ipaddress import IPv4Network, IPv6Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain.address import Mac, Port, Vlan
from controller.domain.decision import State
from controller.domain.fence import Action, Change, Effect, Entry, Fence, FenceKind, Leg, Slot, SlotKind, SlotState
from controller.domain.record import Attachment, Decision, FenceRecord, LegRecord, LegState, Reason
from controller.domain.verdict import Evidence, Finding, Level, Rates, TrafficClass, Witness
from controller.ledger_codec import from_text, to_text
from tests.controller.ledger_cases import decision

words = st.text(max_size=12)
times = st.integers(0, 2**62)
figures = st.floats(allow_nan=False, allow_infinity=False)
prefixes = st.one_of(
    st.integers(0, 2**32 - 1).map(IPv4Network), st.integers(0, 2**64 - 1).map(lambda n: IPv6Network((n << 64, 64)))
)
facts = st.dictionaries(words, st.one_of(words, st.integers(), figures, st.booleans(), st.lists(words).map(tuple)))
slots = st.builds(Slot, device=words, kind=st.sampled_from(SlotKind), name=words)
entries = st.builds(
    Entry,
    action=st.sampled_from(Action),
    source=st.none() | prefixes,
    traffic=st.sampled_from(TrafficClass),
    rate_bps=st.none() | st.integers(1, 10**12),
    segment=words,
)
vlans = st.none() | st.integers(1, 4094).map(Vlan)
entry_sets = st.frozensets(entries, max_size=3)
states = st.builds(SlotState, vlan=vlans, enabled=st.none() | st.booleans(), entries=entry_sets)
effects = st.builds(Effect, vlan=vlans, enabled=st.none() | st.booleans(), entries=entry_sets)
lines = st.lists(words, max_size=3).map(tuple)
changes = st.builds(Change, slot=slots, have=states, want=states, apply=lines, undo=lines, dialect=words, digest=words)
legs = st.builds(LegRecord, slot=slots, state=st.sampled_from(LegState), change=st.none() | changes, note=words)
fences = st.builds(
    Fence,
    kind=st.sampled_from(FenceKind),
    legs=st.lists(st.builds(Leg, slot=slots, effect=effects), max_size=2).map(tuple),
    collateral=lines,
    why=words,
)
ports = st.builds(Port, device=words, interface=words)
evidence = st.builds(
    Evidence,
    detector=words,
    witness=st.sampled_from(Witness),
    source=words,
    strength=figures,
    weight=figures,
    half_life_s=figures,
    at_ns=times,
    text=words,
    facts=facts,
    traffic=st.sampled_from(TrafficClass),
    compromise=st.booleans(),
)
attachments = st.builds(
    Attachment,
    host=words,
    tenant=words,
    segment=words,
    ports=st.lists(ports, max_size=2).map(tuple),
    addresses=lines,
    mac=st.none() | st.just(Mac("02:00:00:00:00:01")),
    guest=st.none() | ports,
    shared=st.booleans(),
    neighbours=lines,
    how=words,
)
decisions = st.builds(
    Decision,
    id=words,
    subject=words,
    state=st.sampled_from(State),
    attachment=attachments,
    fences=st.lists(st.builds(FenceRecord, fence=fences, legs=st.lists(legs, max_size=2).map(tuple)), max_size=2).map(
        tuple
    ),
    evidence=st.lists(evidence, max_size=2).map(tuple),
    reasons=st.lists(st.builds(Reason, rule=words, allows=st.booleans(), text=words), max_size=2).map(tuple),
    score=figures,
    level=st.sampled_from(Level),
    finding=st.sampled_from(Finding),
    rates=st.builds(Rates, bits=figures, packets=figures),
    mode=words,
    simulated=st.booleans(),
    created_ns=times,
    until_ns=times,
    explains=lines,
    facts=st.dictionaries(words, words),
)


@settings(deadline=None, derandomize=True, max_examples=100)
@given(decisions)
def test_a_decision_read_back_is_the_one_that_was_kept(kept: Decision) -> None:
    assert from_text(to_text(kept), Decision) == kept


@settings(deadline=None, derandomize=True)
@given(states, st.integers(1, 10_000))
def test_a_slot_state_keeps_what_its_comparison_leaves_out(state: SlotState, expires_s: int) -> None:
    timed = SlotState(state.vlan, state.enabled, state.rate_bps, state.entries, expires_s)
    read = from_text(to_text(timed), SlotState)
    assert (read, read.expires_s) == (timed, expires_s)


def test_sets_are_written_in_one_order_whatever_order_they_were_made_in() -> None:
    first, second = (Entry(Action.DROP, IPv4Network(f"198.18.0.{n}/32")) for n in (1, 2))
    one, other = SlotState(entries=frozenset([first, second])), SlotState(entries=frozenset([second, first]))
    assert to_text(one) == to_text(other)


def test_a_document_of_an_earlier_day_takes_defaults_and_loses_unknown_fields() -> None:
    document = json.loads(to_text(decision()))
    del document["effect"], document["attachment"]["how"]
    document["of_a_later_day"] = 1
    read = from_text(json.dumps(document), Decision)
    assert (read.effect, read.attachment.how) == ("", "")


@pytest.mark.parametrize("figure", [math.nan, math.inf, -math.inf])
def test_a_figure_that_json_does_not_know_is_refused_when_it_is_written(figure: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        to_text(decision(score=figure))


def test_a_document_of_the_wrong_kind_is_refused_when_it_is_read() -> None:
    document = json.loads(to_text(decision()))
    document["version"] = "1"
    with pytest.raises(TypeError, match="expected int"):
        from_text(json.dumps(document), Decision)
