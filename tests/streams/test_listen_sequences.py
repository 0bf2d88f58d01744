"""Missing numbers are counted as a plain reader would count them, in any order of arrival and however they are cut."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.listen.sequences import HEAD, Sequences


def netflow5(sequence: int, records: int = 1, engine: int = 0) -> bytes:
    return struct.pack(">HH12xIH", 5, records, sequence % 2**32, engine) + bytes(2 + 48 * records)


def netflow9(sequence: int, source: int = 0) -> bytes:
    return struct.pack(">HH8xII", 9, 1, sequence % 2**32, source) + bytes(20)


def sflow(sequence: int, agent: bytes = bytes(4), sub: int = 0) -> bytes:
    return struct.pack(">II", 5, 1 if len(agent) == 4 else 2) + agent + struct.pack(">III", sub, sequence, 1) + bytes(8)


def piece(number: int, body: bytes) -> bytes:
    return struct.pack(">HH", number, 4 + len(body)) + body


def template(number: int, *fields: tuple[int, int]) -> bytes:
    body = b"".join(struct.pack(">HH", *one) + bytes(4 * (one[0] >> 15)) for one in fields)
    return piece(2, struct.pack(">HH", number, len(fields)) + body)


def ipfix(sequence: int, *pieces: bytes, domain: int = 0) -> bytes:
    body = b"".join(pieces)
    return struct.pack(">HHIII", 10, 16 + len(body), 0, sequence, domain) + body


def hear(sequences: Sequences, *said: tuple[int, bytes]) -> None:
    head = np.zeros((len(said), HEAD), np.uint8)
    for at, (_, datagram) in enumerate(said):
        piece = datagram[:HEAD]
        head[at, : len(piece)] = np.frombuffer(piece, np.uint8)
    lengths = np.array([len(datagram) for _, datagram in said], np.int64)
    numbers = np.array([number for number, _ in said], np.int64)
    sequences.hear(numbers, head, lengths, lambda at: memoryview(said[at][1]))


def missed(*said: tuple[int, bytes], senders: int = 2) -> list[int]:
    sequences = Sequences(senders)
    hear(sequences, *said)
    return sequences.missed.tolist()


@pytest.mark.parametrize("make", [netflow9, sflow, lambda n: sflow(n, bytes(16))])
def test_a_hole_in_the_numbers_is_what_was_missed(make: object) -> None:
    assert callable(make)
    assert missed(*((0, make(number)) for number in (7, 8, 12, 13))) == [3, 0]


def test_netflow_v5_counts_records() -> None:
    assert missed((0, netflow5(0, 30)), (0, netflow5(30, 10)), (0, netflow5(100, 30))) == [60, 0]


def test_series_of_a_sender_are_told_apart_by_engine_source_agent_and_sub_agent() -> None:
    series = (
        lambda n: netflow5(n, engine=1), lambda n: netflow5(n + 500, engine=2), lambda n: netflow9(n + 9, source=1),
        lambda n: netflow9(n + 99, source=2), lambda n: sflow(n, b"\x0a\0\0\1"), lambda n: sflow(n + 70, b"\x0a\0\0\2"),
        lambda n: sflow(n + 700, b"\x0a\0\0\1", sub=1), lambda n: sflow(n + 7000, bytes(15) + b"\1"),
    )  # fmt: skip
    mixed = [(0, one(number)) for number in range(5) for one in series]
    assert missed(*mixed) == [0, 0]


def test_ipfix_counts_data_records_of_all_templates_once_their_lengths_are_known() -> None:
    fixed = template(256, (8, 4), (12, 4), (0x8001, 2))
    options = piece(3, struct.pack(">HHH4H", 257, 2, 1, 149, 4, 34, 4))
    said = [
        ipfix(0, piece(256, bytes(30))),  # before its template: not to be known how many
        ipfix(3, fixed, options),
        ipfix(3, piece(256, bytes(30) + bytes(2)), piece(257, bytes(16))),  # 3 and padding, and 2
        ipfix(8, piece(256, bytes(10))),
        ipfix(29, piece(257, bytes(8))),  # 20 were missed
    ]
    assert missed(*((0, one) for one in said)) == [20, 0]


def test_ipfix_of_unknown_length_is_not_judged_and_neither_is_the_step_behind_it() -> None:
    said = [
        ipfix(0, template(256, (82, 0xFFFF), (8, 4)), template(257, (8, 4))),
        ipfix(0, piece(256, bytes(50))),
        ipfix(7, piece(257, bytes(4))),
        ipfix(9, piece(257, bytes(4))),
    ]
    assert missed(*((0, one) for one in said)) == [1, 0]


def test_a_template_that_is_changed_or_withdrawn_counts_as_it_is_now() -> None:
    said = [
        ipfix(0, template(256, (8, 4)), piece(256, bytes(40))),
        ipfix(10, template(256, (8, 4), (12, 4)), piece(256, bytes(40))),
        ipfix(15, piece(2, struct.pack(">HH", 256, 0)), piece(256, bytes(40))),
        ipfix(99, template(256, (8, 4)), piece(256, bytes(4))),
        ipfix(101, piece(256, bytes(4))),
    ]
    assert missed(*((0, one) for one in said)) == [1, 0]


@given(st.lists(st.binary(max_size=80), max_size=10))
@settings(deadline=None, derandomize=True)
def test_no_octets_whatsoever_break_it(bodies: list[bytes]) -> None:
    heads = (struct.pack(">H", 10), struct.pack(">H", 9), struct.pack(">I", 5), struct.pack(">H", 5), b"")
    missed(*((0, head + body) for body in bodies for head in heads))
    missed(*((0, ipfix(1, piece(number, body))) for body in bodies for number in (2, 3, 256)))


def test_two_senders_with_the_same_numbers_are_two() -> None:
    assert missed((0, netflow9(1)), (1, netflow9(1)), (0, netflow9(2)), (1, netflow9(5))) == [0, 3]


def test_who_comes_late_was_not_missed() -> None:
    sequences = Sequences(1)
    hear(sequences, (0, netflow9(1)), (0, netflow9(4)))
    assert sequences.missed.tolist() == [2]
    hear(sequences, (0, netflow9(3)), (0, netflow9(2)))
    assert sequences.missed.tolist() == [0]


def test_numbers_that_begin_anew_are_no_loss_and_what_was_missed_before_stays_counted() -> None:
    ahead = [(0, sflow(number)) for number in (1_000_000, 1_000_002)]
    assert missed(*ahead, (0, sflow(1)), (0, sflow(2)), (0, sflow(4))) == [2, 0]


def test_a_device_whose_numbers_begin_anew_has_restarted_and_one_that_lost_some_has_not() -> None:
    sequences = Sequences(2)
    hear(sequences, *((0, sflow(number)) for number in (1_000_000, 1_000_001, 1, 2, 90_000, 1)))
    hear(sequences, *((1, netflow9(number)) for number in (1, 2, 9_000, 9_001)))
    assert sequences.restarts.tolist() == [2, 0]


def test_numbers_turn_over_at_32_bits() -> None:
    assert missed(*((0, netflow9(2**32 - 2 + number)) for number in (0, 1, 2, 4))) == [1, 0]


def test_strangers_and_what_is_no_flow_protocol_are_not_judged() -> None:
    other = (
        b"<13>Jan  1 00:00:00 sw1 up and down and up again",
        b"",
        bytes(40),
        struct.pack(">HH", 10, 20) + bytes(30),
    )
    assert missed(*((0, one) for one in other), (-1, netflow9(1)), (-1, netflow9(9)), (0, netflow9(3)[:20])) == [0, 0]


def test_no_more_series_are_followed_than_there_is_room_for() -> None:
    sequences = Sequences(1, most=10)
    hear(sequences, *((0, netflow9(1, source=number)) for number in range(1_000)))
    hear(sequences, *((0, netflow9(3, source=number)) for number in range(1_000)))
    assert sequences.missed.tolist() == [10]


@given(
    st.lists(st.tuples(st.integers(1, 30), st.booleans()), min_size=2, max_size=40),
    st.integers(0, 2**32 - 1),
    st.randoms(use_true_random=False),
    st.integers(1, 10),
)
@settings(deadline=None, derandomize=True)
def test_after_the_last_one_all_that_was_sent_has_arrived_or_is_missed(
    sent: list[tuple[int, bool]], start: int, order: object, cut: int
) -> None:
    datagrams, number = [], start
    for records, _ in sent:
        datagrams.append((0, netflow5(number, records)))
        number += records
    arrived = [(one, records) for one, (records, arrives) in zip(datagrams, sent, strict=True) if arrives]
    lost = sum(records for records, arrives in sent[1:-1] if not arrives)
    first, last = (datagrams[0], sent[0][0]), (datagrams[-1], sent[-1][0])
    between = [one for one in arrived if one[0] not in (first[0], last[0])]
    getattr(order, "shuffle")(between)  # noqa: B009 - hypothesis gives it no public type
    said = [first[0], *(one for one, _ in between), last[0]]
    sequences = Sequences(1)
    for at in range(0, len(said), cut):
        hear(sequences, *said[at : at + cut])
    assert sequences.missed.tolist() == [lost]
