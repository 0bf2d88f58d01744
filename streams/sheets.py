"""How rows lie in memory while they grow, and what is known of the records that are added to them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.rows import Col


class Told(NamedTuple):
    """n records: what stands in them, and who is concerned."""

    exporter: NDArray[np.int32]
    receipt_ns: NDArray[np.int64]
    duration_ns: NDArray[np.int64]
    bytes: NDArray[np.int64]
    packets: NDArray[np.int64]
    flows: NDArray[np.int64]
    sampling: NDArray[np.int64]
    src: NDArray[np.int32]
    dst: NDArray[np.int32]
    dst_mac: NDArray[np.int32]
    charge: NDArray[np.int32]
    protocol: NDArray[np.int16]
    src_port: NDArray[np.int32]
    dst_port: NDArray[np.int32]
    tcp_flags: NDArray[np.int16]
    icmp_type: NDArray[np.int16]
    discarded: NDArray[np.bool_]
    ip: NDArray[np.bool_]
    fragment: NDArray[np.bool_]
    malformed: NDArray[np.bool_]
    expected: NDArray[np.bool_]


class Known(NamedTuple):
    """What is known of whom the records name."""

    speaker: NDArray[np.int64]  # of the frame's exporters: their numbers among the rows'
    address: NDArray[np.int32]  # of the frame's addresses: their numbers, by which the next three stand
    owner: NDArray[np.int32]  # number of a key, -1 for none of ours
    group: NDArray[np.bool_]  # multicast or broadcast
    bit: NDArray[np.int16]  # of a sketch
    group_mac: NDArray[np.bool_]  # of the frame's MACs
    paying: NDArray[np.int32]  # of charges: number of a key, -1 for nobody
    facts: NDArray[np.int64]  # of charges: vantage, flags, interface, MAC
    stray: NDArray[np.bool_]  # of charges
    attached: NDArray[np.bool_]  # of keys
    home: NDArray[np.int16]  # of keys: the activity partition


class Kinds(NamedTuple):
    """As what records count, as `streams.classes` has it."""

    port: NDArray[np.uint8]
    odd: NDArray[np.bool_]  # by protocol
    amount: NDArray[np.int64]  # by column
    place: NDArray[np.int64]  # by column: PLACES


class Held(NamedTuple):
    """Rows and what belongs to them, with room for more; `made` says how many there are so far."""

    made: NDArray[np.int64]  # rows, pairs, bits, seconds, rows of `rare`
    amounts: NDArray[np.int64]  # of the record at hand packets, octets, sessions
    ahead_names: NDArray[np.uint64]  # BLOCK × 3: names of the next records' rows, and what they hash to
    ahead_whom: NDArray[np.int64]  # BLOCK × 3: to which address they go, whose it is, whether everybody hears it
    turns: NDArray[np.int64]  # SORTS × (1 + BLOCK): of each sort, how many of the next records are of it, and which
    port_bits: NDArray[np.int16]  # of a sketch
    slots: NDArray[np.int32]
    table: NDArray[np.int64]  # rows × WORDS: see below
    names: NDArray[np.uint64]  # the same memory
    rarely: NDArray[np.int32]  # of rows: their row of `rare`, -1 for none
    rare: NDArray[np.int64]  # × RARE: counts that few rows have
    facts: NDArray[np.int64]  # × 3: flags, interface, MAC; nothing where nothing is charged
    sketches: NDArray[np.uint8]  # of rows that do not last and to which something is charged
    pairs: NDArray[np.uint64]  # × 2: row and address in one word, and octets, where the word hashes to; FREE
    bit_row: NDArray[np.int32]
    bit: NDArray[np.int16]
    seconds: NDArray[np.uint64]  # × 1: of rows that are spread the row, and port or source, in the same way


BLOCK = 32
"""Records for which memory is asked at once."""

SORTS = 4
"""Of records: sent by ours or to ours alone, within a tick or over several; what is done with each sort differs."""

ROWS, PAIRS, BITS, SECONDS, RARELY = range(5)
"""Places in `Held.made`."""

_OFTEN = (
    Col.BYTES_IN, Col.PACKETS_IN, Col.TALK_IN, Col.PROBES,
    Col.BYTES, Col.PACKETS, Col.FLOWS, Col.SAMPLES, Col.VARIANCE, Col.PEERS_SPREAD, Col.PORTS_SPREAD, Col.SMALL,
)  # fmt: skip
_SELDOM = tuple(column for column in Col if column not in _OFTEN)
FIRST, CHARGE = 2, 3
COUNTS = 4
WORDS, RARE = COUNTS + len(_OFTEN), len(_SELDOM)
"""Words of a row: two that name it (key, exporter and vantage in one, tick and span in the other), when it was first
heard of, the charge whose facts it has, and the counts that nearly every record adds to: two lines of the cache, of
which what a subject is sent needs but the first. The others, RARE of them, stand elsewhere, where a row has any."""

PLACES = np.array([COUNTS + _OFTEN.index(one) if one in _OFTEN else -1 - _SELDOM.index(one) for one in Col], np.int64)
"""Of each column its word in a row; -1 less its place among the rare ones for the others."""
