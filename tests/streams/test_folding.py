"""Rows of a tick are added up: nothing of what they say is lost, and nothing is said twice."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.amounts import Counts
from streams.folding import Additions, folded, grouped
from streams.rows import Arrivals, Col, Flag

FEW, MANY = 4, 1_000_000  # numbers of views that are sorted by counting, and that are not

ROW = st.tuples(
    st.integers(0, 3),  # view
    st.sampled_from((1, 1, 1, 2, 16, 70_000)),  # span
    st.sampled_from((0, int(Flag.LATE), int(Flag.SPOOFED))),
    st.integers(0, 3),  # interface
    st.integers(0, 2**40),  # octets
    st.integers(0, 3),  # packets
    st.lists(st.tuples(st.sampled_from((b"\1" * 16, b"\2" * 15 + b"\0")), st.integers(1, 9)), max_size=3),
    st.lists(st.integers(0, 511), max_size=3),
)


def arrivals(rows: list[tuple[Any, ...]]) -> Arrivals:
    view, span, flags, interface, octets, packets, peers, bits = zip(*rows, strict=True)
    number = len(rows)
    counts = np.zeros((number, len(Col)), np.int64)
    counts[:, Col.BYTES], counts[:, Col.PACKETS] = octets, packets
    of = [(row, *peer) for row, told in enumerate(peers) for peer in told]
    marks = [(row, bit) for row, told in enumerate(bits) for bit in told]
    return Arrivals(
        keys=np.array([b"0", b"1", b"2", b"3"], "S32"),
        who=np.array(view, np.int64),
        exporter=np.zeros(number, np.int64),
        tick=np.full(number, 7),
        span=np.array(span, np.int64),
        vantage=np.full(number, 2, np.int8),
        flags=np.array(flags, np.int8),
        interface=np.array(interface, np.int64),
        mac=np.array(interface, np.int64) * 10,
        first_ns=np.arange(number)[::-1] + 100,
        columns=Counts.dense(counts).columns(),
        peer_row=np.array([row for row, _, _ in of], np.int64),
        peer=np.array([peer for _, peer, _ in of], "S16"),
        peer_bytes=np.array([amount for _, _, amount in of], np.int64),
        bit_row=np.array([row for row, _ in marks], np.int64),
        bit=np.array([bit for _, bit in marks], np.int16),
    )


def added_up(parts: list[Arrivals], below: int) -> Additions:
    """Of one exporter, that has one view of each subject."""
    slots = np.concatenate([one.keys for one in parts]).astype(np.int64)
    groups = grouped(parts, slots, np.array([5]))
    assert set(groups.exporter.tolist()) == {5}
    assert set(groups.vantage.tolist()) == {2}
    return folded(parts, groups, groups.slot, below=below)


@given(rows=st.lists(ROW, min_size=1, max_size=40), cut=st.integers(1, 40), below=st.sampled_from([FEW, MANY]))
@settings(max_examples=150)
def test_what_rows_say_of_a_view_and_a_span_is_added_up(rows: list[tuple[Any, ...]], cut: int, below: int) -> None:
    heard = arrivals(rows)
    parts = [heard] if cut >= len(rows) else [arrivals(rows[:cut]), arrivals(rows[cut:])]
    for part, start in zip(parts, (0, cut), strict=False):
        part.first_ns = heard.first_ns[start : start + len(part)]
    added = added_up(parts, below)

    groups: dict[tuple[int, int, bool], list[int]] = {}
    for at, (view, span, flags, *_) in enumerate(rows):
        groups.setdefault((view, span, bool(flags & Flag.LATE)), []).append(at)
    late = (added.flags & Flag.LATE) > 0
    names = list(zip(added.view.tolist(), added.span.tolist(), late.tolist(), strict=True))
    assert len(names) == len(added) == len(groups)
    assert set(names) == set(groups)
    assert [(span, view) for view, span, _ in names] == sorted((span, view) for view, span, _ in names)
    assert added.brief == sum(span == 1 for _, span, _ in names)
    assert added.peer_row.tolist() == sorted(added.peer_row.tolist())
    assert added.bit_row.tolist() == sorted(added.bit_row.tolist())
    for at, name in enumerate(names):
        mine = groups[name]
        sent = [one for one in mine if rows[one][5]]
        assert added.counts.some(Col.BYTES)[at] == sum(rows[one][4] for one in mine)
        assert added.counts.some(Col.PACKETS)[at] == sum(rows[one][5] for one in mine)
        assert added.flags[at] == np.bitwise_or.reduce([rows[one][2] for one in mine])
        assert added.interface[at] == max((rows[one][3] for one in sent), default=0)
        assert added.mac[at] == 10 * added.interface[at]
        assert added.first_ns[at] == heard.first_ns[mine].min()
        peers: dict[bytes, int] = {}
        for one in mine:
            for peer, amount in rows[one][6]:
                peers[peer] = peers.get(peer, 0) + amount
        chosen = added.peer_row == at
        told = zip(added.peer[chosen].tolist(), added.peer_bytes[chosen].tolist(), strict=True)
        assert sorted(told) == sorted((peer.rstrip(b"\0"), amount) for peer, amount in peers.items())
        assert sorted(added.bit[added.bit_row == at].tolist()) == sorted(bit for one in mine for bit in rows[one][7])


@pytest.mark.parametrize("span", [1, 5])
def test_nothing_is_lost_where_no_row_names_a_peer(span: int) -> None:
    added = added_up([arrivals([(0, span, 0, 1, 10, 1, [], [])] * 3)], FEW)
    assert (len(added), len(added.peer), added.counts.some(Col.BYTES).tolist()) == (1, 0, [30])
