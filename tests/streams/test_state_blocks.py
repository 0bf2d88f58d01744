"""Tables of numbers come back from their octets exactly, by any stretch of rows, and take only what they need."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams import blocks

INTS = st.integers(-(1 << 63), (1 << 63) - 1)
ROWS = st.lists(st.tuples(INTS, st.floats(allow_nan=False), st.binary(min_size=16, max_size=16)), max_size=12)


@given(ROWS, st.data())
@settings(deadline=None, derandomize=True)
def test_any_stretch_of_rows_comes_back_bit_by_bit(rows: list[tuple[int, float, bytes]], data: st.DataObject) -> None:
    low = data.draw(st.integers(0, len(rows)))
    high = data.draw(st.integers(low, len(rows)))
    numbers = np.array([row[0] for row in rows], np.int64)
    floats = np.array([row[1] for row in rows], np.float64)
    octets = np.frombuffer(b"".join(row[2] for row in rows), np.uint8).reshape(-1, 16)
    block = blocks.packed({"number": numbers, "float": floats, "octets": blocks.words(octets)})
    found = blocks.unpacked(block.columns, high - low, block.parts(np.array([low, high]))[0])
    assert found["number"].tolist() == numbers[low:high].tolist()
    assert found["float"].tobytes() == floats[low:high].tobytes()
    assert blocks.octets(blocks.joined(found, "octets", 2)).tobytes() == octets[low:high].tobytes()


@pytest.mark.parametrize(
    ("values", "width"),
    [([7, 7, 7], 0), ([-3, 252], 1), ([10**15, 10**15 + 256], 2), ([0, 1 << 31], 4), ([-(1 << 63), (1 << 63) - 1], 8)],
)
def test_a_column_is_as_wide_as_its_figures_lie_apart(values: list[int], width: int) -> None:
    block = blocks.packed({"it": np.array(values, np.int64)})
    assert [column.width for column in block.columns] == [width]
    assert (
        blocks.unpacked(block.columns, len(values), block.parts(np.array([0, len(values)]))[0])["it"].tolist() == values
    )


def test_columns_of_different_widths_in_memory_give_the_same_octets() -> None:
    narrow, wide = (blocks.packed({"it": np.array([1, 200], kind)}) for kind in (np.uint8, np.int64))
    assert narrow.columns == wide.columns
    assert narrow.parts(np.array([0, 2])) == wide.parts(np.array([0, 2]))


def test_words_sort_as_their_octets_do() -> None:
    keys = np.array([b"b" * 32, b"a" * 31 + b"z", b"a" * 32, b"\xff" + b"a" * 31], "S32")
    order = np.lexsort(blocks.words(keys).T[::-1])
    assert order.tolist() == np.argsort(keys).tolist()


@pytest.mark.parametrize("length", [-1, 1, 3])
def test_octets_that_are_not_so_many_rows_are_refused(length: int) -> None:
    block = blocks.packed({"it": np.array([1, 2], np.int64)})
    with pytest.raises(ValueError, match="rows of"):
        blocks.unpacked(block.columns, length, block.parts(np.array([0, 2]))[0])
