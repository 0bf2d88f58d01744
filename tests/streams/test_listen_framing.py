"""Both framings of RFC 6587, however the octets are cut on their way, and what a broken sender may do to us: little."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.listen.framing import Framing

MESSAGES = st.lists(st.binary(min_size=1, max_size=40).map(lambda text: b"<13>" + text), max_size=8)


def fed(framing: Framing, octets: bytes, step: int) -> list[bytes]:
    return [one for at in range(0, len(octets), step) for one in framing.feed(octets[at : at + step])]


@given(MESSAGES, st.integers(1, 60))
@settings(deadline=None, derandomize=True)
def test_counted_messages_come_whole_whatever_is_in_them(messages: list[bytes], step: int) -> None:
    framing = Framing()
    octets = b"".join(b"%d %s" % (len(one), one) for one in messages)
    assert fed(framing, octets, step) == messages
    assert (framing.rest(), framing.torn, framing.cut) == ([], 0, 0)


@given(MESSAGES.map(lambda many: [one.translate(None, b"\n\r\0") for one in many]), st.integers(1, 60))
@settings(deadline=None, derandomize=True)
def test_lines_come_whole_and_the_last_one_without_its_end_too(messages: list[bytes], step: int) -> None:
    framing = Framing()
    assert fed(framing, b"\n".join(messages), step) + framing.rest() == messages
    assert (framing.torn, framing.cut) == (0, 0)


@given(st.lists(st.binary(max_size=30), max_size=20), st.integers(1, 40))
@settings(deadline=None, derandomize=True)
def test_no_octets_whatsoever_break_it_or_make_it_hold_more_than_a_message(chunks: list[bytes], longest: int) -> None:
    framing = Framing(longest=longest)
    for chunk in chunks:
        assert all(len(one) <= longest for one in framing.feed(chunk))
        assert len(framing._held) <= longest + 12
    framing.rest()


@pytest.mark.parametrize("step", [1 << 16, 999_983])
@pytest.mark.parametrize("form", [b"10485760 %s", b"%s\n"])
def test_of_a_line_of_ten_megabytes_the_beginning_is_kept_and_the_next_message_is_whole(form: bytes, step: int) -> None:
    framing = Framing(longest=1000)
    counts = form.startswith(b"1")
    after = b"5 <1>ok" if counts else b"<1>ok\n"
    found = fed(framing, form % (b"<" + b"x" * (10 * 1024 * 1024 - 1)) + after, step)
    assert found == [b"<" + b"x" * 999, b"<1>ok"]
    assert (framing.cut, framing.torn) == (1, 0)


@given(st.lists(st.sampled_from([b"<1>ab", b"\r", b"\0", b"\n", b"12 x", b"y" * 30]), max_size=40), st.integers(1, 90))
@settings(deadline=None, derandomize=True)
def test_lines_are_the_same_whether_they_come_at_once_or_octet_by_octet(pieces: list[bytes], step: int) -> None:
    octets = b"<1>first\n" + b"".join(pieces)
    slow, quick = Framing(longest=25), Framing(longest=25)
    assert fed(quick, octets, step) + quick.rest() == fed(slow, octets, 1) + slow.rest()
    assert (quick.cut, quick.torn) == (slow.cut, slow.torn)


def test_a_count_that_is_none_costs_one_message_and_the_next_line_end_is_taken_for_its_end() -> None:
    framing = Framing()
    assert framing.feed(b"5 <1>ab<2>no count\n5 <3>cd") == [b"<1>ab", b"<2>no count", b"<3>cd"]
    assert framing.torn == 1


@pytest.mark.parametrize(("octets", "rest"), [(b"9 <1>ab", [b"<1>ab"]), (b"5 <1>ab12", []), (b"5 <1>ab7 ", [])])
def test_a_counted_message_whose_end_never_came_is_kept_as_far_as_it_came_and_counted(
    octets: bytes, rest: list[bytes]
) -> None:
    framing = Framing()
    framing.feed(octets)
    assert (framing.rest(), framing.torn) == (rest, 1)


def test_a_line_that_begins_with_a_date_is_no_count() -> None:
    framing = Framing()
    assert framing.feed(b"2024-01-01T00:00:00Z sw1 up\n12 monkeys\n") == [b"2024-01-01T00:00:00Z sw1 up", b"12 monkeys"]


def test_line_ends_behind_counted_messages_are_passed_over() -> None:
    assert Framing().feed(b"5 <1>ab\r\n5 <2>cd\n\n5 <3>ef\0") == [b"<1>ab", b"<2>cd", b"<3>ef"]
