"""Counts by column: what is taken from them stands as if it had been put together from the columns it came from."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.amounts import Counts

WIDTHS = st.sampled_from([1, 8, 16, 32, 48])
TABLES = st.lists(WIDTHS, min_size=1, max_size=6).flatmap(
    lambda widths: st.lists(st.tuples(*(st.integers(0, 2**width - 1) for width in widths)), max_size=30)
)


@given(rows=TABLES, draw=st.data())
@settings(max_examples=100, deadline=None)  # what is compiled is compiled when it is first called
def test_rows_can_be_cut_out_and_picked(rows: list[tuple[int, ...]], draw: st.DataObject) -> None:
    across = len(rows[0]) if rows else 3
    table = np.array(rows, np.int64).reshape(-1, across)
    counts = Counts.dense(table)
    low = draw.draw(st.integers(0, len(rows)))
    high = draw.draw(st.integers(low, len(rows)))
    chosen = draw.draw(st.lists(st.integers(0, len(rows) - 1), max_size=40)) if rows else []
    some = np.array(chosen, np.int64)

    for found, expected in ((counts.cut(low, high), table[low:high]), (counts.pick(some), table[some])):
        assert found.length == len(expected)
        assert np.array_equal(found.table(across), expected)
        told = dict(found.columns())
        again = Counts.of(told, len(expected))
        assert np.array_equal(found.octets, again.octets)
        assert np.array_equal(found.pieces, again.pieces)
