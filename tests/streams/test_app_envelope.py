"""Parts come back as they were, in whatever packing, and nothing but parts is taken for parts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain.errors import BadInput
from streams.envelope import VERSION, Kind, Part, messages, pack, unpack

parts = st.builds(
    lambda piece, more, **over: Part(piece=piece, pieces=piece + more, **over),
    piece=st.integers(0, 9),
    more=st.integers(1, 9),
    before=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(Kind),
    origin=st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    offset=st.integers(-1, 2**63 - 1),
    tally=st.binary(max_size=50),
    body=st.binary(max_size=400),
)


@given(st.lists(parts, max_size=12))
@settings(deadline=None, derandomize=True)
def test_a_message_gives_back_its_parts_in_order(given_parts: list[Part]) -> None:
    assert unpack(pack(given_parts)) == given_parts


@given(st.lists(parts, max_size=12), st.integers(1, 2000))
@settings(deadline=None, derandomize=True)
def test_packing_under_a_limit_neither_loses_nor_reorders(given_parts: list[Part], limit: int) -> None:
    packed = list(messages(given_parts, limit=limit))
    unpacked = [unpack(one) for one in packed]
    assert [part for one in unpacked for part in one] == given_parts
    assert all(len(message) <= limit + 1 or len(held) == 1 for message, held in zip(packed, unpacked, strict=True))


@given(st.binary(max_size=200))
@settings(deadline=None, derandomize=True)
def test_what_is_no_activity_is_bad_input_and_nothing_else(raw: bytes) -> None:
    for value in (raw, VERSION + raw):
        try:
            unpack(value)
        except BadInput:
            continue


@given(st.lists(parts, min_size=1, max_size=3), st.data())
@settings(deadline=None, derandomize=True)
def test_a_message_cut_short_is_never_read_in_part(given_parts: list[Part], data: st.DataObject) -> None:
    whole = pack(given_parts)
    boundaries = {len(pack(given_parts[:count])) for count in range(len(given_parts) + 1)}
    cut = data.draw(st.integers(0, len(whole) - 1).filter(lambda at: at not in boundaries))
    with pytest.raises(BadInput):
        unpack(whole[:cut])


def test_a_piece_beyond_the_last_one_is_refused() -> None:
    with pytest.raises(BadInput):
        unpack(pack([Part(Kind.FRAME, "t/0", 4, piece=2, pieces=2)]))
