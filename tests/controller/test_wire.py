"""What one process writes on a wire another reads unchanged; what it cannot read is BadInput and nothing else."""

import json
from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain import wire
from controller.domain.address import AttachmentKey, HostKey
from controller.domain.errors import BadInput
from controller.domain.verdict import Evidence, Finding, Level, Rates, TrafficClass, Verdict, Witness

numbers = st.floats(0, 1e12, allow_nan=False)
texts = st.text(max_size=40).filter(lambda one: "\ud800" not in one)
times = st.integers(0, 2**62)
evidences = st.builds(
    Evidence,
    detector=st.sampled_from(["flood", "scan"]),
    witness=st.sampled_from(Witness),
    source=texts,
    strength=st.integers(0, 10_000).map(lambda one: one / 10_000),
    weight=st.floats(0, 1),
    half_life_s=st.floats(0.1, 1e6),
    at_ns=times,
    text=texts,
    facts=st.dictionaries(
        texts, st.one_of(texts, st.integers(-(2**53), 2**53), st.booleans(), st.tuples(texts)), max_size=3
    ),
    traffic=st.sampled_from(TrafficClass),
    compromise=st.booleans(),
)
subjects = st.one_of(
    st.builds(HostKey, st.ip_addresses(v=4)), st.builds(AttachmentKey, st.ip_addresses(v=4), st.integers(0, 2**31))
)
verdicts = st.builds(
    Verdict,
    subject=subjects,
    tick_end_ns=times,
    score=st.integers(0, 100_000).map(lambda one: one / 1000),
    level=st.sampled_from(Level),
    finding=st.sampled_from(Finding),
    evidence=st.lists(evidences, max_size=3).map(tuple),
    rates=st.builds(Rates, bits=numbers, packets=numbers, baseline_bits=numbers),
    exporter=texts,
    interface=st.integers(0, 2**31),
    first_bad_ns=times,
    peers=st.lists(texts, max_size=3).map(tuple),
)


@given(verdicts)
@settings(deadline=None, derandomize=True)
def test_a_verdict_comes_back_as_it_was(verdict: Verdict) -> None:
    assert wire.verdict_from(wire.verdict_json(verdict)) == verdict


@given(st.binary(max_size=300), texts)
@settings(deadline=None, derandomize=True)
def test_a_dead_letter_comes_back_with_every_byte(raw: bytes, reason: str) -> None:
    letter = wire.dead_letter(raw, source="t/0@1", reason=reason, at_ns=5)
    assert wire.dead_letter_from(wire.dead_letter_json(letter)) == letter
    assert letter.kept == raw


def test_a_dead_letter_keeps_the_first_64_kib_and_the_whole_length() -> None:
    letter = wire.dead_letter(b"x" * 100_000, source="s", reason="too long", at_ns=1)
    assert (len(letter.kept), letter.length) == (65_536, 100_000)


READERS = (wire.verdict_from, wire.dead_letter_from, wire.heartbeat_from, wire.decision_from)
documents = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), texts),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(texts, inner)),
)


@given(
    st.one_of(st.binary(max_size=100), documents.map(lambda one: json.dumps(one).encode())), st.sampled_from(READERS)
)
@settings(deadline=None, derandomize=True)
def test_a_reader_refuses_what_it_does_not_know_and_nothing_else_happens(raw: bytes, reader: object) -> None:
    with pytest.raises(BadInput):
        reader(raw)  # type: ignore[operator]


@pytest.mark.parametrize("field", ["subject", "tick_end_ns", "score", "level", "finding", "evidence", "rates"])
@pytest.mark.parametrize("wrong", [None, [], {}, "x", -1.5])
def test_a_verdict_with_a_wrong_field_is_refused_or_read_whole(field: str, wrong: object) -> None:
    verdict = Verdict(HostKey(IPv4Address("198.18.0.7")), 7, 1.0, Level.WATCH, Finding.OFFENDER, (), Rates())
    document = json.loads(wire.verdict_json(verdict))
    document[field] = wrong
    try:
        read = wire.verdict_from(json.dumps(document).encode())
    except BadInput:
        return
    assert isinstance(read, Verdict)


def test_an_unknown_field_is_ignored_and_a_later_version_is_not() -> None:
    verdict = Verdict(HostKey(ip_address("198.18.0.7")), 7, 1.0, Level.WATCH, Finding.OFFENDER, (), Rates())
    document = json.loads(wire.verdict_json(verdict))
    assert wire.verdict_from(json.dumps({**document, "later": 1}).encode()) == verdict
    with pytest.raises(BadInput, match="version 2"):
        wire.verdict_from(json.dumps({**document, "v": 2}).encode())


def test_the_id_of_a_verdict_is_a_function_of_subject_and_tick() -> None:
    one = Verdict(HostKey(ip_address("198.18.0.7")), 7, 1.0, Level.WATCH, Finding.OFFENDER, (), Rates())
    again = Verdict(HostKey(ip_address("198.18.0.7")), 7, 99.0, Level.ISOLATE, Finding.OFFENDER, (), Rates(bits=1.0))
    assert one.id == again.id == "host:198.18.0.7@7"


def test_a_clock_mark_is_read_as_written_and_nothing_else_is() -> None:
    assert wire.mark_time(wire.mark(1_700_000_000_000_000_000)) == 1_700_000_000_000_000_000
    for wrong in (b"", b"-1", b"1.5", b"abc", b"9" * 21):
        with pytest.raises(BadInput):
            wire.mark_time(wrong)
