"""What a line says does not depend on the lines that were read before it."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain.address import address_of, packed
from streams.decode.claims import Claim
from streams.decode.datagrams import frame
from streams.decode.logs import LogReader
from streams.decode.phrasebook import shipped

NOW = 1_795_000_000_000_000_000
PEER = packed(address_of("198.18.0.9"))
PHRASES = [phrase for _, phrase in shipped().entries]
SHAPED = [phrase for phrase in PHRASES if phrase.by_shape]
DROP = "<38>Jan  1 00:00:00 gw kernel: drop IN=eth1 OUT=eth0 SRC={} DST=203.0.113.9 LEN=60 PROTO=TCP SPT={} DPT={}"


def framed(lines: list[str]) -> bytes:
    return frame([PEER], [0] * len(lines), [NOW + at for at in range(len(lines))], [line.encode() for line in lines])


def claims(reader: LogReader, *lines: str) -> tuple[Claim, ...]:
    return reader.frame(framed(list(lines)), kafka_ns=NOW).claims


def test_lines_that_say_the_same_of_the_same_are_one_claim_as_the_last_one_said_it() -> None:
    lines = [DROP.format("198.18.4.7", 4_000 + at, 10 * at) for at in range(1, 9)]
    (claim,) = claims(LogReader(), *lines, DROP.format("198.18.4.7", 40, 22).replace("TCP", "UDP"))
    assert (claim.count, claim.first_ns, claim.at_ns) == (9.0, NOW, NOW + 8)
    assert (claim.facts["port"], claim.facts["protocol"]) == ("22", "UDP")


def test_lines_of_one_shape_accuse_whom_each_of_them_names() -> None:
    lines = [DROP.format(address, port, 1) for port, address in enumerate(("1.2.3.4", "10.200.30.4", "1.2.3.4"), 99)]
    assert {str(claim.accused): claim.count for claim in claims(LogReader(), *lines)} == {
        "1.2.3.4": 2.0,
        "10.200.30.4": 1.0,
    }


def test_a_shape_that_was_seen_with_no_address_first_is_read_when_one_comes() -> None:
    reader = LogReader()
    assert claims(reader, DROP.format("1.2.3.400", 1, 1)) == ()
    assert len(claims(reader, DROP.format("1.2.3.40", 1, 1))) == 1


@pytest.mark.parametrize("accused", ["1.2.3.400", "1.2.03.4", "1.2.3", "1.2.3.4.5"])
def test_what_looks_like_an_address_and_is_none_accuses_nobody(accused: str) -> None:
    reader = LogReader()
    assert len(claims(reader, DROP.format("1.2.3.4", 1, 1))) == 1
    assert claims(reader, DROP.format(accused, 1, 1)) == ()


def test_a_line_that_differs_in_a_word_is_read_by_itself() -> None:
    reader = LogReader()
    assert len(claims(reader, DROP.format("1.2.3.4", 1, 1))) == 1
    assert claims(reader, DROP.format("1.2.3.4", 1, 1).replace("SRC", "SRD")) == ()
    (claim,) = claims(reader, DROP.format("1.2.3.4", 1, 1).replace("drop", "pass"))
    assert claim.phrase == "linux/netfilter-plain"


runs = st.from_regex(r"[0-9]{1,6}", fullmatch=True)


@st.composite
def told(draw: st.DrawFn) -> str:
    """A phrase's example in an envelope, with other numbers here and there."""
    phrase = draw(st.sampled_from(SHAPED if draw(st.booleans()) else PHRASES))
    head = draw(st.sampled_from(["<38>Jan  1 00:00:00 gw ", "<134>1 2026-11-23T10:00:00Z gw app - - - ", ""]))
    line = head + phrase.example
    numbers = re.findall(r"\d+", line)
    change = draw(st.sets(st.sampled_from(range(len(numbers))))) if numbers else set()
    others = iter([draw(runs) if at in change else number for at, number in enumerate(numbers)])
    return re.sub(r"\d+", lambda _: next(others), line)


@given(st.lists(told(), min_size=1, max_size=6))
@settings(deadline=None, derandomize=True, max_examples=150)
def test_a_line_says_after_others_what_it_says_alone(lines: list[str]) -> None:
    reader, alone = LogReader(), LogReader()
    lines = [line for line in lines if "{" not in line]
    together: dict[tuple[str, object], float] = {}
    for line in lines:
        (*before,) = claims(LogReader(), line)
        assert claims(reader, line) == tuple(before), line
        for claim in before:
            one = claim.phrase, claim.accused
            together[one] = together.get(one, 0.0) + claim.count
    said = claims(alone, *lines) if lines else ()
    assert {(claim.phrase, claim.accused): claim.count for claim in said} == together
