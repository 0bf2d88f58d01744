"""The sieve holds no line back that a phrase fits."""

import numpy as np
import pytest
import re2
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from streams.decode.envelope import LogLine, tagged
from streams.decode.phrasebook import Phrase, shipped
from streams.decode.sieve import BLANK, ODD, Words, bits

BOOK = shipped()
NEEDY = [phrase for _, phrase in BOOK.entries if phrase.needs]


def sought(words: Words, lines: list[bytes]) -> tuple[list[int], list[int]]:
    offset = np.cumsum([0, *map(len, lines)])
    may, marks = words.sought(b"".join(lines), offset)
    return may.tolist(), marks.tolist()


def test_each_line_tells_the_phrases_whose_words_stand_in_it() -> None:
    words = Words([["she"], ["he", "hers"], ["x y"], []])
    may, _ = sought(words, [b"USHERS", b"he", b"sh", b"e x", b" y", b"x y"])
    always = int(bits([3]))
    expected = [{0, 1}, {1}, set(), set(), set(), {2}]
    assert may == [always | int(bits(one)) for one in expected]


def test_more_phrases_than_bits_share_them_and_none_is_forgotten() -> None:
    words = Words([[f"word{number}."] for number in range(150)])
    for number in (0, 63, 64, 149):
        ((may,), _) = sought(words, [f"a word{number}. here".encode()])
        assert may & int(bits([number]))


@pytest.mark.parametrize(
    ("line", "mark"),
    [
        (b"text", 0),
        (b"", BLANK),
        (b" \t\r", BLANK),
        (b"text\0\0", 0),
        (b"te\0xt", ODD),
        (b"a {", ODD),
        (b"\0", 0),
    ],
)
def test_lines_that_are_no_plain_text_are_marked(line: bytes, mark: int) -> None:
    assert sought(Words([]), [b"before", line, b"after"])[1] == [0, mark, 0]


def test_every_phrase_of_the_shipped_book_names_what_it_needs() -> None:
    assert len(NEEDY) == len(BOOK.entries)


@pytest.mark.parametrize("phrase", NEEDY, ids=lambda phrase: phrase.name)
@given(data=st.data())
@settings(deadline=None, derandomize=True, max_examples=15)
def test_no_line_that_fits_a_phrase_is_without_the_words_it_needs(phrase: Phrase, data: st.DataObject) -> None:
    drawn = data.draw(st.from_regex(phrase.pattern, alphabet=st.characters(max_codepoint=0x7F)))
    program, text = tagged(drawn)
    assume(re2.search(phrase.pattern.encode(), LogLine(1, "", program, text).whole.encode()) is not None)
    line = f"{program}[1]:{text}" if program else text
    assert sought(Words([phrase.needs]), [line.encode()])[0] == [1]
