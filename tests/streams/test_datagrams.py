"""Frames of datagrams: what goes in comes out, and what is no frame is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.errors import BadInput
from streams.decode.datagrams import frame, unframed

DATAGRAM = st.tuples(st.integers(0, 3), st.integers(0, 2**62), st.binary(max_size=200))


@given(st.lists(st.binary(min_size=16, max_size=16), min_size=4, max_size=4), st.lists(DATAGRAM, max_size=20))
def test_a_frame_gives_back_its_datagrams(exporters: list[bytes], datagrams: list[tuple[int, int, bytes]]) -> None:
    senders, times, data = [list(column) for column in zip(*datagrams, strict=True)] or ([], [], [])
    read = unframed(frame(exporters, senders, times, data))
    assert read.exporters == tuple(exporters)
    assert [read.one(index) for index in range(len(read))] == data
    assert (read.exporter.tolist(), read.receipt_ns.tolist()) == (senders, times)


@given(st.binary(max_size=400))
def test_what_is_no_frame_is_refused(value: bytes) -> None:
    with pytest.raises(BadInput):
        unframed(value)


@given(st.integers(1, 60))
def test_a_frame_cut_short_is_refused(left: int) -> None:
    whole = frame([bytes(16)], [0], [1], [b"x" * 17])
    with pytest.raises(BadInput):
        unframed(whole[:-left])


def test_a_datagram_of_an_exporter_that_is_not_in_the_frame_is_refused() -> None:
    with pytest.raises(BadInput):
        unframed(frame([bytes(16)], [1], [1], [b"x"]))
