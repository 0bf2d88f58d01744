"""Records added to rows, compiled: one loop finds the rows of each record's sides and adds to them.

Rows stay where they are from frame to frame (see `streams.held`), so that a subject of whom many frames tell is told of
once.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.classes import SMALL, marks, of_protocol
from streams.decode.compiled import borrowing, compiled, inlined
from streams.decode.interning import place_of, place_of_word, slot_of, slot_of_word
from streams.keys import hash_words
from streams.rows import MAX_COUNT, SKETCH_BITS, Col

_EDGE = 2  # Vantage.EDGE
_MOST = int(MAX_COUNT)
_STEPS = 16  # spans above are rounded to so many steps an octave, so that rows can be added up
_TOP_PEERS = 3
_SOURCES = 1 << 17  # sources are numbered above all ports

PORT_BITS = (hash_words(np.arange(1 << 16, dtype=np.uint64).reshape(-1, 1)) % np.uint64(SKETCH_BITS)).astype(np.int16)
_SAMPLES, _VARIANCE, _LOOPED = int(Col.SAMPLES), int(Col.VARIANCE), int(Col.LOOPED)
_PEERS, _PORTS = int(Col.PEERS_SPREAD), int(Col.PORTS_SPREAD)
_SENT = 1 << Col.BYTES | 1 << Col.PACKETS | 1 << Col.FLOWS
_RECEIVED = 1 << Col.BYTES_IN | 1 << Col.PACKETS_IN
_IN = _RECEIVED | 1 << Col.ANSWERS_IN | 1 << Col.TALK_IN
_DE_BRUIJN = 0x077C_B531
_PLACE_OF_BIT = np.argsort([(_DE_BRUIJN << bit & 0xFFFF_FFFF) >> 27 for bit in range(32)])
"""Which bit it is, by the first five of a de Bruijn sequence shifted so far (Leiserson, Prokop and Randall 1998)."""

_HALF, _LOW = np.uint64(32), np.uint64(0xFFFF_FFFF)

_FOR_ALL, _STRAY = 1 << Col.GROUP, 1 << Col.LOOPED


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


class Held(NamedTuple):
    """Rows and what belongs to them, with room for more; `made` says how many there are so far."""

    made: NDArray[np.int64]  # rows, pairs, bits, seconds
    slots: NDArray[np.int32]
    idents: NDArray[np.uint64]  # of rows: key, exporter and vantage in one word, tick and span in the other
    counts: NDArray[np.int64]  # × NCOL
    first_ns: NDArray[np.int64]
    facts: NDArray[np.int64]  # × 3: flags, interface, MAC
    sketches: NDArray[np.uint8]  # of rows
    pair_slots: NDArray[np.int32]
    pairs: NDArray[np.uint64]  # × 2: row and address in one word, and octets
    bit_row: NDArray[np.int32]
    bit: NDArray[np.int16]
    second_slots: NDArray[np.int32]
    seconds: NDArray[np.uint64]  # × 1: of rows that are spread the row, and port or source


ROWS, PAIRS, BITS, SECONDS = range(4)
"""Places in `Held.made`."""


@compiled
def span_of(duration_ns: int, tick_ns: int) -> int:
    """Ticks over which a record's counts spread: at least one, long ones rounded to sixteen steps an octave."""
    if duration_ns <= tick_ns:
        return 1
    ticks = int(np.rint(duration_ns / tick_ns))
    unit = 1
    while ticks >= 2 * _STEPS * unit:
        unit *= 2
    return (ticks + unit // 2) // unit * unit


@inlined
def _add(counts: NDArray[np.int64], row: int, column: int, amount: int) -> None:
    counts[row, column] = min(counts[row, column] + amount, _MOST)


@inlined
def _times(count: int, rate: int) -> int:
    """Sampling multiplied out; whole, and at most MAX_COUNT."""
    return int(min(float(count) * rate, float(_MOST)))


@inlined
def _add_all(
    counts: NDArray[np.int64], row: int, said: int, amounts: NDArray[np.int64], kinds: NDArray[np.int64]
) -> None:
    """Add to each column of which `said` has the bit."""
    while said:
        lowest = said & -said
        column = _PLACE_OF_BIT[(lowest * _DE_BRUIJN & 0xFFFF_FFFF) >> 27]
        _add(counts, row, column, amounts[kinds[column]])
        said ^= lowest


@inlined
def _mark(
    made: NDArray[np.int64],
    sketches: NDArray[np.uint8],
    bit_row: NDArray[np.int32],
    bits: NDArray[np.int16],
    row: int,
    bit: int,
) -> None:
    """Set a bit of a row's sketch, and note it where it was not set before."""
    mask = np.uint8(1 << (bit & 7))
    if not sketches[row, bit >> 3] & mask:
        sketches[row, bit >> 3] |= mask
        at = made[BITS]
        bit_row[at], bits[at] = row, bit
        made[BITS] = at + 1


@inlined
def _charge(facts: NDArray[np.int64], row: int, charges: NDArray[np.int64], charge: int) -> None:
    facts[row, 0] |= charges[charge, 1]
    facts[row, 1] = max(facts[row, 1], charges[charge, 2])
    facts[row, 2] = max(facts[row, 2], charges[charge, 3])


@inlined
def _row(
    high: np.uint64,
    low: np.uint64,
    stamp: int,
    made: NDArray[np.int64],
    slots: NDArray[np.int32],
    idents: NDArray[np.uint64],
    counts: NDArray[np.int64],
    first_ns: NDArray[np.int64],
    facts: NDArray[np.int64],
    sketches: NDArray[np.uint8],
) -> int:
    """The row of this name, and note that it was heard of at this time."""
    row = place_of(high, low, slots, idents, made[ROWS])
    if row == made[ROWS]:
        made[ROWS] = row + 1
        counts[row, :] = 0
        facts[row, :] = 0
        sketches[row, :] = 0
        first_ns[row] = stamp
    else:
        first_ns[row] = min(first_ns[row], stamp)
    return row


@inlined
def _said(told: Told, at: int, ports: NDArray[np.uint8], odd: NDArray[np.bool_]) -> int:
    """The columns in which a record counts."""
    protocol, octets, packets = told.protocol[at], told.bytes[at], told.packets[at]
    said = of_protocol(
        protocol,
        told.tcp_flags[at] & 0x3F,
        told.icmp_type[at],
        told.src_port[at],
        told.dst_port[at],
        octets,
        packets,
        ports,
    )
    small = packets > 0 and octets < packets * SMALL
    # Exporters that aggregate may leave the protocol out.
    strange = odd[protocol] and not (told.ip[at] and protocol < 0)
    return said | marks(strange, small, told.fragment[at], told.malformed[at], told.discarded[at], told.expected[at])


@inlined
def _is_new(
    made: NDArray[np.int64], slots: NDArray[np.int32], seconds: NDArray[np.uint64], row: int, second: int
) -> bool:
    """Whether a row's port or source is new."""
    place = place_of_word(np.uint64(row) << _HALF | np.uint64(second), slots, seconds, made[SECONDS])
    new = place == made[SECONDS]
    made[SECONDS] += new
    return new


@borrowing
def gather(
    told: Told,
    known: Known,
    held: Held,
    amounts: NDArray[np.int64],
    begin: int,
    tick_ns: int,
    base_tick: int,
    homes: NDArray[np.int16],
    ports: NDArray[np.uint8],
    port_bits: NDArray[np.int16],
    odd: NDArray[np.bool_],
    kinds: NDArray[np.int64],
) -> int:
    """Add records from `begin` on to rows, and tell of each the partition that counts it, 0 where it is nobody's.

    Returns the first record for which there was no room, or how many there are. Ticks count from `base_tick`, before
    which there is none; `amounts` are three numbers of the caller's.
    """
    # Columns are named here once: to take one out of a tuple costs more than to read from it.
    made, slots, idents, counts, first_ns, facts, sketches, pair_slots, pairs, bit_row, bits, second_slots, seconds = (
        held
    )
    speakers, addresses, owners, group, bit_of, group_mac, payers, charges, stray, attached, home = known
    charge_of, exporters, receipts, durations = told.charge, told.exporter, told.receipt_ns, told.duration_ns
    octets, packets, src, dst, dst_port = told.bytes, told.packets, told.src, told.dst, told.dst_port
    sampling, sessions, dst_mac = told.sampling, told.flows, told.dst_mac
    most_rows, most_pairs = len(idents) - 3, len(pairs) - 1
    most_bits, most_seconds = len(bits) - 2, len(seconds) - 1
    last, tick = np.int64(-1), np.int64(0)
    for at in range(begin, len(exporters)):
        if made[ROWS] > most_rows or made[PAIRS] > most_pairs or made[BITS] > most_bits or made[SECONDS] > most_seconds:
            return at
        charge, to = charge_of[at], np.int64(-1)
        if dst[at] >= 0:
            to = np.int64(addresses[dst[at]])
        paying, owner, everybody = np.int64(payers[charge]), np.int64(-1), group_mac[dst_mac[at]]
        if to >= 0:
            owner = np.int64(owners[to])
            everybody |= group[to]
        loops = stray[charge] and everybody
        homes[at] = 0
        if paying < 0 and owner < 0 and not loops:
            continue
        stamp, rate = receipts[at], sampling[at]
        if stamp != last:
            last, tick = stamp, stamp // tick_ns - base_tick
        span = span_of(durations[at], tick_ns)
        low, exporter = np.uint64(tick << 24 | span), speakers[exporters[at]] << 8
        amounts[0], amounts[1] = _times(packets[at], rate), _times(octets[at], rate)
        amounts[2] = _times(sessions[at], rate)
        said = _said(told, at, ports, odd)
        counted = np.int64(-1)
        if paying >= 0:
            counted = paying
            high = np.uint64(paying << 32 | exporter | charges[charge, 0])
            row = _row(high, low, stamp, made, slots, idents, counts, first_ns, facts, sketches)
            _charge(facts, row, charges, charge)
            _add(counts, row, _SAMPLES, packets[at])
            _add(counts, row, _VARIANCE, _times(amounts[0], rate - 1))
            sent = (said | _FOR_ALL if everybody else said) | (_STRAY if loops else 0)
            _add_all(counts, row, (sent | _SENT) & ~_IN, amounts, kinds)
            if to >= 0:
                source = np.int64(addresses[src[at]]) if src[at] >= 0 else np.int64(-1)
                of_attachment, port = attached[paying], np.int64(dst_port[at])
                place = place_of_word(np.uint64(row) << _HALF | np.uint64(to), pair_slots, pairs, made[PAIRS])
                new = place == made[PAIRS]
                made[PAIRS] += new
                loud = np.uint64(0) if new else pairs[place, 1]
                pairs[place, 1] = min(loud + np.uint64(amounts[1]), np.uint64(_MOST))
                if span > 1:
                    second = source + _SOURCES if of_attachment else port
                    counts[row, _PEERS] += 1000 * new
                    counts[row, _PORTS] += 1000 * _is_new(made, second_slots, seconds, row, second)
                else:
                    if new:
                        _mark(made, sketches, bit_row, bits, row, np.int64(bit_of[to]))
                    bit = np.int64(bit_of[max(source, 0)]) if of_attachment else np.int64(port_bits[port])
                    _mark(made, sketches, bit_row, bits, row, SKETCH_BITS + bit)
        if owner >= 0:
            counted = owner if counted < 0 else counted
            high = np.uint64(owner << 32 | exporter | _EDGE)
            row = _row(high, low, stamp, made, slots, idents, counts, first_ns, facts, sketches)
            _add_all(counts, row, (said | _RECEIVED) & _IN, amounts, kinds)
        if loops and src[at] >= 0:
            whose = np.int64(owners[addresses[src[at]]])
            if whose >= 0:
                counted = whose if counted < 0 else counted
                high = np.uint64(whose << 32 | exporter | _EDGE)
                row = _row(high, low, stamp, made, slots, idents, counts, first_ns, facts, sketches)
                _add(counts, row, _LOOPED, amounts[0])
        if counted >= 0:
            homes[at] = home[counted]
    return len(exporters)


class Peers(NamedTuple):
    """The loudest few peers of each row: row, number of the address, octets."""

    row: NDArray[np.int32]
    address: NDArray[np.int32]
    octets: NDArray[np.int64]


@compiled
def loudest(held: Held, hashes: NDArray[np.uint64]) -> Peers:
    """Of equally loud peers those whose address has the least hash."""
    pairs, rows = held.pairs, held.made[ROWS]
    top, count = np.full((rows, _TOP_PEERS), -1, np.int32), 0
    for pair in range(held.made[PAIRS]):
        row, carried = np.int64(pairs[pair, 0] >> _HALF), pair
        for rank in range(_TOP_PEERS):
            other = top[row, rank]
            if other < 0:
                top[row, rank] = carried
                count += 1
                break
            quieter = pairs[carried, 1] < pairs[other, 1]
            if quieter or (
                pairs[carried, 1] == pairs[other, 1]
                and hashes[np.int64(pairs[carried, 0] & _LOW)] >= hashes[np.int64(pairs[other, 0] & _LOW)]
            ):
                continue
            top[row, rank], carried = carried, other
    found, address = np.empty(count, np.int32), np.empty(count, np.int32)
    octets = np.empty(count, np.int64)
    at = 0
    for row in range(rows):
        for rank in range(_TOP_PEERS):
            pair = top[row, rank]
            if pair < 0:
                break
            found[at], address[at], octets[at] = row, pairs[pair, 0] & _LOW, pairs[pair, 1]
            at += 1
    return Peers(found, address, octets)


@compiled
def rehashed(idents: NDArray[np.uint64], count: int, slots: NDArray[np.int32]) -> None:
    """Find the places anew of so many pairs of words among more slots, all of which are free."""
    mask = np.uint64(len(slots) - 1)
    for place in range(count):
        slot = slot_of(idents[place, 0], idents[place, 1]) & mask
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = place


@compiled
def rehashed_words(table: NDArray[np.uint64], count: int, slots: NDArray[np.int32]) -> None:
    """The same for single words, which stand in the first column."""
    mask = np.uint64(len(slots) - 1)
    for place in range(count):
        slot = slot_of_word(table[place, 0]) & mask
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = place
