"""Datagrams of any length, from a real socket, in the order in which they came and whole."""

import socket

import numpy as np
import pytest

from streams.listen.slots import NEAR, Slots

LONGEST = 65_507  # RFC 768 over IPv4: 65,535 less both headers
LENGTHS = (1, NEAR - 1, NEAR, NEAR + 1, LONGEST, 0, 9_000)


@pytest.mark.parametrize("chosen", [[0, 1, 2], [6, 4, 0, 5, 3], []])
def test_what_does_not_fit_in_a_near_slot_is_put_together_again(chosen: list[int]) -> None:
    sent = [np.random.default_rng(length).bytes(length) for length in LENGTHS]
    slots = Slots(16)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
    ):
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        ear.bind(("127.0.0.1", 0))
        for datagram in sent:
            one.sendto(datagram, ear.getsockname())
        assert slots.receive(ear.fileno(), 16) == len(sent)
    lengths = slots.lengths
    assert lengths.tolist() == list(LENGTHS)
    assert [bytes(slots.one(at)) for at in range(len(sent))] == sent
    places = np.array(chosen, np.int64)
    assert b"".join(slots.joined(places, lengths[places])) == b"".join(sent[at] for at in chosen)
