"""What the listener runs over datagrams is compiled, or loaded as it was compiled before, ahead of the first one."""

import numpy as np

from streams.listen.bundles import bundles
from streams.listen.ears import no_counts, tally
from streams.listen.senders import Listed
from streams.listen.sequences import HEAD, Sequences
from streams.listen.slots import Slots


def compile_all() -> None:
    """Compile every loop over datagrams for the arrays that live ones come in."""
    slots, listed, counts = Slots(1), Listed([bytes(16)]), no_counts(1)
    number, stamps, lengths = listed.numbers(slots.senders), slots.stamps(0), slots.lengths
    tally(counts, number, lengths, stamps)
    Sequences(1).hear(number, slots.head(HEAD), lengths, slots.one)
    slots.joined(number, lengths)
    tuple(bundles(slots, number, stamps, addresses=listed.addresses, partition=np.zeros(1, np.int64)))
