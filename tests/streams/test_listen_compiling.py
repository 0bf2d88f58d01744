"""What a listener compiles ahead is all that datagrams of any kind need."""

import socket
from ipaddress import ip_address

import numpy as np

from controller.domain.address import packed
from streams.listen import ears, senders, sequences, slots
from streams.listen.bundles import bundles
from streams.listen.compiling import compile_all
from streams.listen.slots import Slots


def signatures() -> dict[str, int]:
    """How many versions of each compiled loop of the listener there are."""
    modules = (ears, senders, sequences, slots)
    loops = [one for module in modules for one in vars(module).values() if hasattr(one, "signatures")]
    return {loop.__name__: len(loop.signatures) for loop in loops}


def test_no_datagram_makes_anything_compile_that_was_not_compiled_ahead() -> None:
    compile_all()
    before = signatures()
    assert before
    assert all(before[name] for name in ("_find", "_follow", "_join", "_tally", "_addresses"))
    held, listed = Slots(16), senders.Listed([packed(ip_address("127.0.0.1"))])
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
    ):
        ear.bind(("127.0.0.1", 0))
        for datagram in (b"\0\5" + bytes(1_462), b"\0\x0a" + bytes(40), bytes(9_000), b""):
            one.sendto(datagram, ear.getsockname())
        assert held.receive(ear.fileno(), 16) == 4
    number, stamps = listed.numbers(held.senders), held.stamps(1)
    ears.tally(ears.no_counts(1), number, held.lengths, stamps)
    sequences.Sequences(1).hear(number, held.head(sequences.HEAD), held.lengths, held.one)
    made = tuple(bundles(held, number, stamps, addresses=listed.addresses, partition=np.zeros(1, np.int64)))
    assert [int(one.datagrams.sum()) for one in made] == [4]
    assert signatures() == before
