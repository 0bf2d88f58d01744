"""Records added to rows, compiled: one loop finds the rows of each record's sides and adds to them.

Rows stay where they are from frame to frame (see `streams.held`), so that a subject of whom many frames tell is told of
once.
"""

import numpy as np
from numpy.typing import NDArray

from streams.classes import SMALL, marks, of_protocol
from streams.decode.compiled import borrowing, compiled, fetch, inlined
from streams.decode.interning import place_from, seat_of, slot_of, slot_of_word
from streams.keys import hash_words
from streams.rows import MAX_COUNT, SKETCH_BITS, Col
from streams.sheets import (
    BITS,
    BLOCK,
    CHARGE,
    COUNTS,
    FIRST,
    PAIRS,
    RARELY,
    ROWS,
    SECONDS,
    SORTS,
    WORDS,
    Held,
    Kinds,
    Known,
    Told,
)

_EDGE = 2  # Vantage.EDGE
_MOST = int(MAX_COUNT)
_STEPS = 16  # spans above are rounded to so many steps an octave, so that rows can be added up
_SOURCES = 1 << 17  # sources are numbered above all ports

PORT_BITS = (hash_words(np.arange(1 << 16, dtype=np.uint64).reshape(-1, 1)) % np.uint64(SKETCH_BITS)).astype(np.int16)
_ANSWERS, _TALK = 1 << Col.ANSWERS_IN, 1 << Col.TALK_IN
_IN = _ANSWERS | _TALK
_DE_BRUIJN = 0x077C_B531
_PLACE_OF_BIT = np.argsort([(_DE_BRUIJN << bit & 0xFFFF_FFFF) >> 27 for bit in range(32)])
"""Which bit it is, by the first five of a de Bruijn sequence shifted so far (Leiserson, Prokop and Randall 1998)."""

Place = np.uint64
"""An index that cannot be negative. Who is given a signed one looks each time whether it counts from the end."""

_HALF, _ONE, _SPAN = np.uint64(32), np.uint64(1), np.uint64(0xFF_FFFF)

_ALONE, _LASTS = 2, 1  # sorts of records: to ours alone, and over several ticks
_FOR_ALL, _STRAY = 1 << Col.GROUP, 1 << Col.LOOPED  # in packets, as what is looped is counted


_BYTES_IN, _PACKETS_IN, _TALK_IN, _, _BYTES, _PACKETS, _FLOWS, _SAMPLES, _VARIANCE, _PEERS, _PORTS, _ = range(
    COUNTS, WORDS
)


@compiled
def span_of(duration_ns: int, tick_ns: int) -> int:
    """Ticks over which a record's counts spread: at least one, long ones rounded to sixteen steps an octave."""
    ticks = max(int(np.rint(duration_ns / tick_ns)), 1)
    unit = 0  # a power of two
    while ticks >> unit >= 2 * _STEPS:
        unit += 1
    return ticks + (1 << unit >> 1) >> unit << unit


@inlined
def _add(table: NDArray[np.int64], row: Place, word: int, amount: int) -> None:
    there = Place(word)
    table[row, there] = min(table[row, there] + amount, _MOST)


@inlined
def _times(count: int, rate: int) -> int:
    """Sampling multiplied out; whole, and at most MAX_COUNT."""
    return int(min(float(count) * rate, float(_MOST)))


@inlined
def _add_all(held: Held, row: Place, said: int, kinds: Kinds) -> None:
    """Add to each column of which `said` has the bit."""
    while said:
        lowest = said & -said
        column = Place(_PLACE_OF_BIT[Place((lowest * _DE_BRUIJN & 0xFFFF_FFFF) >> 27)])
        amount, word = held.amounts[Place(kinds.amount[column])], kinds.place[column]
        if word >= 0:
            _add(held.table, row, word, amount)
        else:
            _add(held.rare, _rare(held, row), -1 - word, amount)
        said ^= lowest


@inlined
def _rare(held: Held, row: Place) -> Place:
    """Where the rare counts of a row stand."""
    if held.rarely[row] < 0:
        held.rarely[row] = held.made[RARELY]
        held.rare[held.made[RARELY], :] = 0
        held.made[RARELY] += 1
    return Place(held.rarely[row])


@inlined
def _mark(
    made: NDArray[np.int64],
    sketches: NDArray[np.uint8],
    bit_row: NDArray[np.int32],
    bits: NDArray[np.int16],
    row: Place,
    bit: int,
) -> None:
    """Set a bit of a row's sketch, and note it where it was not set before."""
    mask = np.uint8(1 << (bit & 7))
    octet = Place(bit >> 3)
    if not sketches[row, octet] & mask:
        sketches[row, octet] |= mask
        at = Place(made[BITS])
        bit_row[at], bits[at] = row, bit
        made[BITS] += 1


@inlined
def _charge(held: Held, row: Place, facts: NDArray[np.int64], charge: Place, lasts: bool) -> None:
    """Let a row have the facts of a charge, too."""
    mine = held.facts
    if held.table[row, CHARGE] < 0:
        mine[row, 0], mine[row, 1], mine[row, 2] = facts[charge, 1], facts[charge, 2], facts[charge, 3]
        if not lasts:
            held.sketches[row, :] = 0
    else:
        mine[row, 0] |= facts[charge, 1]
        mine[row, 1] = max(mine[row, 1], facts[charge, 2])
        mine[row, 2] = max(mine[row, 2], facts[charge, 3])
    held.table[row, CHARGE] = charge


@inlined
def _row(high: np.uint64, low: np.uint64, hashed: np.uint64, stamp: int, held: Held) -> Place:
    """The row of this name, which hashes to that, and note that it was heard of at this time."""
    made, table = held.made, held.table
    mask = np.uint64(len(held.slots) - 1)
    row = Place(place_from(hashed, high, low, held.slots, held.names, made[ROWS], mask))
    if row == Place(made[ROWS]):
        made[ROWS] += 1
        table[row, FIRST], table[row, CHARGE] = stamp, -1
        for word in range(COUNTS, WORDS):
            table[row, word] = 0
        held.rarely[row] = -1
    elif stamp < table[row, FIRST]:
        table[row, FIRST] = stamp
    return row


@inlined
def _addressed(told: Told, known: Known, at: Place) -> tuple[int, int, bool]:
    """To which address a record went, whose that is, and whether everybody hears it."""
    everybody = bool(known.group_mac[Place(told.dst_mac[at])])
    if told.dst[at] < 0:
        return -1, -1, everybody
    to = int(known.address[Place(told.dst[at])])
    return to, int(known.owner[Place(to)]), everybody | bool(known.group[Place(to)])


@inlined
def _looping(told: Told, known: Known, at: Place, loops: bool) -> int:
    """Whose address it is that a looping frame bears as its source."""
    return int(known.owner[known.address[told.src[at]]]) if loops and told.src[at] >= 0 else -1


@inlined
def _said(told: Told, at: Place, kinds: Kinds) -> int:
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
        kinds.port,
    )
    small = packets > 0 and octets < packets * SMALL
    # Exporters that aggregate may leave the protocol out.
    strange = kinds.odd[protocol] and not (told.ip[at] and protocol < 0)
    return said | marks(strange, small, told.fragment[at], told.malformed[at], told.discarded[at], told.expected[at])


@inlined
def _met(made: NDArray[np.int64], pairs: NDArray[np.uint64], row: Place, peer: int, octets: int) -> bool:
    """Whether a row's peer, which was sent so much, is new."""
    word = np.uint64(row) << _HALF | np.uint64(peer)
    place = seat_of(word, pairs)
    new = pairs[place, 0] != word
    if new:
        pairs[place, 0], pairs[place, 1] = word, np.uint64(0)
        made[PAIRS] += 1
    pairs[place, 1] = min(pairs[place, 1] + np.uint64(octets), np.uint64(_MOST))
    return bool(new)


@inlined
def _room(held: Held) -> bool:
    """Whether BLOCK more records can be added, whatever is new in them: each may have three rows."""
    made, more = held.made, 3 * BLOCK
    contacts = 2 * (made[PAIRS] + more) <= len(held.pairs) and 2 * (made[SECONDS] + more) <= len(held.seconds)
    rows = made[ROWS] + more <= len(held.table) and made[RARELY] + more <= len(held.rare)
    return bool(contacts and rows and made[BITS] + more <= len(held.bit))


@inlined
def _is_new(made: NDArray[np.int64], seconds: NDArray[np.uint64], row: Place, second: int) -> bool:
    """Whether a row's port or source is new."""
    word = np.uint64(row) << _HALF | np.uint64(second)
    place = seat_of(word, seconds)
    new = seconds[place, 0] != word
    if new:
        seconds[place, 0] = word
        made[SECONDS] += 1
    return bool(new)


@inlined
def _sent(told: Told, known: Known, held: Held, at: Place, row: Place, to: int, lasts: bool) -> None:
    """Add to a sender's row what every record adds, and whom it talked to."""
    made, table, charge, rate = held.made, held.table, Place(told.charge[at]), told.sampling[at]
    amounts = held.amounts
    if table[row, CHARGE] != np.int64(charge):
        _charge(held, row, known.facts, charge, lasts)
    _add(table, row, _BYTES, amounts[1])
    _add(table, row, _PACKETS, amounts[0])
    _add(table, row, _FLOWS, amounts[2])
    _add(table, row, _SAMPLES, told.packets[at])
    if rate > 1:
        _add(table, row, _VARIANCE, _times(amounts[0], rate - 1))
    if to < 0:
        return
    new = _met(made, held.pairs, row, to, amounts[1])
    if lasts:
        table[row, _PEERS] += 1000 * new
        second = _second(told, known, at)
        table[row, _PORTS] += 1000 * _is_new(made, held.seconds, row, second)
        return
    if new:
        _mark(made, held.sketches, held.bit_row, held.bit, row, int(known.bit[Place(to)]))
    if known.attached[Place(known.paying[charge])]:
        bit = int(known.bit[known.address[max(told.src[at], 0)]])
    else:
        bit = int(held.port_bits[Place(told.dst_port[at])])
    _mark(made, held.sketches, held.bit_row, held.bit, row, SKETCH_BITS + bit)


@inlined
def _second(told: Told, known: Known, at: Place) -> int:
    """What is counted beside the peer: the port, and of those behind an attachment who sent."""
    if known.attached[Place(known.paying[Place(told.charge[at])])]:
        return int(known.address[max(told.src[at], 0)]) + _SOURCES
    return int(told.dst_port[at])


@inlined
def _meet(told: Told, known: Known, held: Held, begin: int, end: int, tick_ns: int, base_tick: int) -> None:
    """Note whom the next records concern, and have the slots of their rows fetched from memory."""
    names, whom, turns = held.ahead_names, held.ahead_whom, held.turns
    last, tick, mask = -1, 0, np.uint64(len(held.slots) - 1)
    for sort in range(SORTS):
        turns[sort, 0] = 0
    for step in range(end - begin):
        place = Place(step)
        at = Place(begin) + place
        charge = Place(told.charge[at])
        to, owner, everybody = _addressed(told, known, at)
        paying = int(known.paying[charge])
        if told.receipt_ns[at] != last:
            last = int(told.receipt_ns[at])
            tick = last // tick_ns - base_tick
        # What is chosen here was read before: a choice without a branch, for nobody could guess it.
        seen = known.facts[charge, 0]
        who, vantage = paying if paying >= 0 else max(owner, 0), seen if paying >= 0 else _EDGE
        high = np.uint64(who << 32 | known.speaker[Place(told.exporter[at])] << 8 | vantage)
        span = span_of(told.duration_ns[at], tick_ns)
        low = np.uint64(tick << 24 | span)
        hashed = slot_of(high, low)
        names[place, 0], names[place, 1], names[place, 2] = high, low, hashed
        whom[place, 0], whom[place, 1], whom[place, 2] = to, owner, everybody
        fetch(held.slots, hashed & mask, 0)
        mine = Place(_ALONE * (paying < 0) + _LASTS * (span > 1))
        turns[mine, 0] += 1
        turns[mine, Place(turns[mine, 0])] = step


@inlined
def _approach(told: Told, known: Known, held: Held, begin: int) -> None:
    """Have what the next records will add to fetched: all of it at once, and not one after the other."""
    names, whom, mask = held.ahead_names, held.ahead_whom, np.uint64(len(held.slots) - 1)
    pair_mask, second_mask = np.uint64(len(held.pairs) - 1), np.uint64(len(held.seconds) - 1)
    for sort in range(SORTS):
        for one in range(1, held.turns[sort, 0] + 1):
            place = Place(held.turns[sort, Place(one)])
            at = Place(begin) + place
            row, to = held.slots[names[place, 2] & mask], whom[place, 0]
            if row < 0:
                continue
            fetch(held.names, row, 0)
            if sort >= _ALONE:
                continue
            fetch(held.names, row, WORDS // 2)
            if to < 0:
                continue
            mine = np.uint64(row) << _HALF
            fetch(held.pairs, slot_of_word(mine | np.uint64(to)) & pair_mask, 0)
            if sort & _LASTS:
                second = np.uint64(_second(told, known, at))
                fetch(held.seconds, slot_of_word(mine | second) & second_mask, 0)
            else:
                fetch(held.sketches, row, 0)


@borrowing
def gather(
    told: Told,
    known: Known,
    held: Held,
    first: int,
    tick_ns: int,
    base_tick: int,
    homes: NDArray[np.int16],
    kinds: Kinds,
) -> int:
    """Add records from `first` on to rows, and tell of each the partition that counts it, 0 where it is nobody's.

    Returns the first record for which there was no room, or how many there are. Ticks count from `base_tick`, before
    which there is none.
    """
    for begin in range(first, len(homes), BLOCK):
        end = min(begin + BLOCK, len(homes))
        if not _room(held):
            return begin
        _meet(told, known, held, begin, end, tick_ns, base_tick)
        _approach(told, known, held, begin)
        for sort in range(SORTS):  # whoever does the same thing many times guesses well what comes next
            for one in range(1, held.turns[sort, 0] + 1):
                place = Place(held.turns[sort, Place(one)])
                at = Place(begin) + place
                homes[at] = _gathered(told, known, held, at, place, kinds)
    return len(homes)


@inlined
def _gathered(told: Told, known: Known, held: Held, at: Place, place: Place, kinds: Kinds) -> int:
    """Add one record."""
    amounts, names, whom = held.amounts, held.ahead_names, held.ahead_whom
    to, owner, everybody = whom[place, 0], whom[place, 1], whom[place, 2] != 0
    charge, rate = Place(told.charge[at]), told.sampling[at]
    paying, loops = np.int64(known.paying[charge]), known.stray[charge] and everybody
    home = 0
    if paying >= 0 or owner >= 0 or loops:
        high, low, hashed, stamp = names[place, 0], names[place, 1], names[place, 2], told.receipt_ns[at]
        exporter = known.speaker[Place(told.exporter[at])] << 8
        amounts[0], amounts[1] = _times(told.packets[at], rate), _times(told.bytes[at], rate)
        amounts[2] = _times(told.flows[at], rate)
        said = _said(told, at, kinds)
        # Whom the record concerns comes last to first: the first of them has the record counted.
        whose = _looping(told, known, at, loops)
        if whose >= 0:
            other = np.uint64(whose << 32 | exporter | _EDGE)
            row = _row(other, low, slot_of(other, low), stamp, held)
            _add_all(held, row, _STRAY, kinds)
            home = int(known.home[whose])
        if owner >= 0:
            other = np.uint64(owner << 32 | exporter | _EDGE)
            row = _row(other, low, slot_of(other, low), stamp, held)
            _add(held.table, row, _BYTES_IN, amounts[1])
            _add(held.table, row, _PACKETS_IN, amounts[0])
            if said & _TALK:
                _add(held.table, row, _TALK_IN, amounts[0])
            _add_all(held, row, said & _ANSWERS, kinds)
            home = int(known.home[Place(owner)])
        if paying >= 0:
            row = _row(high, low, hashed, stamp, held)
            _sent(told, known, held, at, row, to, low & _SPAN > _ONE)
            said |= (_FOR_ALL if everybody else 0) | (_STRAY if loops else 0)
            _add_all(held, row, said & ~_IN, kinds)
            home = int(known.home[Place(paying)])
    return home
