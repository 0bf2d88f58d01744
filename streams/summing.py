"""Records summed into rows, compiled: one loop finds the row of each side of each record, another adds them up."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.classes import SMALL, marks, of_protocol
from streams.decode.compiled import compiled, inlined
from streams.decode.interning import place_of, place_of_word
from streams.keys import hash_words
from streams.rows import MAX_COUNT, NCOL, SKETCH_BITS, Col

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

    owner: NDArray[np.int32]  # of addresses, and one more for none: number of a key, -1 for none of ours
    group: NDArray[np.bool_]  # of addresses, and one more: multicast or broadcast
    bit: NDArray[np.int16]  # of addresses, and one more
    hashed: NDArray[np.uint64]  # of addresses, and one more
    group_mac: NDArray[np.bool_]  # of MACs
    paying: NDArray[np.int32]  # of charges: number of a key, -1 for nobody
    facts: NDArray[np.int64]  # of charges: vantage, flags, interface, MAC
    stray: NDArray[np.bool_]  # of charges
    attached: NDArray[np.bool_]  # of keys


class Placed(NamedTuple):
    """Where records count: rows, -1 for none; rows are numbered as they come."""

    sender: NDArray[np.int32]
    receiver: NDArray[np.int32]
    echo: NDArray[np.int32]
    counted: NDArray[np.int32]  # the first of these, in this order, that there is
    idents: NDArray[np.uint64]  # of rows: key, exporter and vantage in one word, tick and span in the other


class Sums(NamedTuple):
    """m rows."""

    counts: NDArray[np.int64]  # m × NCOL
    first_ns: NDArray[np.int64]
    facts: NDArray[np.int64]  # m × 3: flags, interface, MAC
    peer_row: NDArray[np.int32]
    peer: NDArray[np.int32]  # address
    peer_bytes: NDArray[np.int64]
    bit_row: NDArray[np.int32]
    bit: NDArray[np.int16]


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


@compiled
def placed(told: Told, known: Known, tick_ns: int, lowest_tick: int) -> Placed:
    """Find the rows. Ticks count from `lowest_tick`, before which there is none."""
    # Columns are named here once: to take one out of a tuple costs more than to read from it.
    charges, exporters, receipts, durations = told.charge, told.exporter, told.receipt_ns, told.duration_ns
    src, dst, dst_mac = told.src, told.dst, told.dst_mac
    payers, owners, facts, stray = known.paying, known.owner, known.facts, known.stray
    group, group_mac = known.group, known.group_mac
    count = len(exporters)
    sender, receiver = np.full(count, -1, np.int32), np.full(count, -1, np.int32)
    echo, counted = np.full(count, -1, np.int32), np.full(count, -1, np.int32)
    room = 16
    while room < 4 * count:
        room *= 2
    slots, idents = np.full(room, -1, np.int32), np.empty((3 * count, 2), np.uint64)
    rows = 0
    stamp, tick = np.int64(-1), np.int64(0)
    for at in range(count):
        charge = charges[at]
        paying, owner = payers[charge], owners[dst[at]]
        loops = stray[charge] and (group_mac[dst_mac[at]] or group[dst[at]])
        if paying < 0 and owner < 0 and not loops:
            continue
        if receipts[at] != stamp:
            stamp = receipts[at]
            tick = stamp // tick_ns - lowest_tick
        low = np.uint64(tick << 24 | span_of(durations[at], tick_ns))
        exporter = np.int64(exporters[at]) << 8
        if paying >= 0:
            high = np.uint64(np.int64(paying) << 32 | exporter | facts[charge, 0])
            sender[at] = place_of(high, low, slots, idents, rows)
            rows = max(rows, sender[at] + 1)
        if owner >= 0:
            high = np.uint64(np.int64(owner) << 32 | exporter | _EDGE)
            receiver[at] = place_of(high, low, slots, idents, rows)
            rows = max(rows, receiver[at] + 1)
        if loops and owners[src[at]] >= 0:
            high = np.uint64(np.int64(owners[src[at]]) << 32 | exporter | _EDGE)
            echo[at] = place_of(high, low, slots, idents, rows)
            rows = max(rows, echo[at] + 1)
        counted[at] = sender[at] if paying >= 0 else receiver[at] if owner >= 0 else echo[at]
    return Placed(sender, receiver, echo, counted, idents[:rows].copy())


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


class Contacts(NamedTuple):
    """Whom rows talked to, as it is gathered."""

    made: NDArray[np.int64]  # how many pairs, bits and seconds there are so far
    pair_slots: NDArray[np.int32]
    pairs: NDArray[np.uint64]  # × 2: row and address in one word, and octets
    sketches: NDArray[np.uint8]  # of rows
    bit_row: NDArray[np.int32]
    bit: NDArray[np.int16]
    second_slots: NDArray[np.int32]
    seconds: NDArray[np.uint64]  # × 1: of rows that are spread the row, and port or source


@compiled
def _contacts(senders: int, lasting: int, rows: int) -> Contacts:
    """Room for `senders` records that were charged, of which `lasting` are spread."""
    room, more = 16, 16
    while room < 2 * senders:
        room *= 2
    while more < 2 * lasting:
        more *= 2
    return Contacts(
        np.zeros(3, np.int64),
        np.full(room, -1, np.int32),
        np.empty((senders + 1, 2), np.uint64),
        np.zeros((rows, 2 * SKETCH_BITS // 8), np.uint8),
        np.empty(2 * senders, np.int32),
        np.empty(2 * senders, np.int16),
        np.full(more, -1, np.int32),
        np.empty((lasting + 1, 1), np.uint64),
    )


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
        at = made[1]
        bit_row[at], bits[at] = row, bit
        made[1] = at + 1


@compiled
def _loudest(
    pairs: NDArray[np.uint64], count: int, rows: int, hashes: NDArray[np.uint64]
) -> tuple[NDArray[np.int32], int]:
    """The pairs of the loudest few peers of each row, -1 for none, and how many there are."""
    top, held = np.full((rows, _TOP_PEERS), -1, np.int32), 0
    for pair in range(count):
        row, carried = np.int64(pairs[pair, 0] >> _HALF), pair
        for rank in range(_TOP_PEERS):
            other = top[row, rank]
            if other < 0:
                top[row, rank] = carried
                held += 1
                break
            quieter = pairs[carried, 1] < pairs[other, 1]
            if quieter or (
                pairs[carried, 1] == pairs[other, 1]
                and hashes[np.int64(pairs[carried, 0] & _LOW)] >= hashes[np.int64(pairs[other, 0] & _LOW)]
            ):
                continue
            top[row, rank], carried = carried, other
    return top, held


@inlined
def _charge(facts: NDArray[np.int64], row: int, charges: NDArray[np.int64], charge: int) -> None:
    facts[row, 0] |= charges[charge, 1]
    facts[row, 1] = max(facts[row, 1], charges[charge, 2])
    facts[row, 2] = max(facts[row, 2], charges[charge, 3])


@compiled
def sums(
    told: Told,
    known: Known,
    where: Placed,
    ports: NDArray[np.uint8],
    port_bits: NDArray[np.int16],
    odd: NDArray[np.bool_],
    kinds: NDArray[np.int64],
) -> Sums:
    """Add up."""
    rows, count = len(where.idents), len(told.exporter)
    counts = np.zeros((rows, NCOL), np.int64)
    first, facts = np.full(rows, 2**63 - 1, np.int64), np.zeros((rows, 3), np.int64)
    amounts = np.zeros(3, np.int64)
    spread = where.idents[:, 1] & np.uint64(0xFFFFFF) > np.uint64(1)
    attached = known.attached[(where.idents[:, 0] >> np.uint64(32)).astype(np.int64)]
    charged, lasting = _sizes(where.sender, spread)
    contacts = _contacts(charged, lasting, rows)
    made, pair_slots, pairs, sketches, bit_row, bits, second_slots, seconds = contacts
    senders, receivers, echoes = where.sender, where.receiver, where.echo
    octets, packets, protocol, ip = told.bytes, told.packets, told.protocol, told.ip
    src, dst, src_port, dst_port = told.src, told.dst, told.src_port, told.dst_port
    bit_of, charge, stray = known.bit, told.charge, known.stray
    sampling, receipts, sessions, dst_mac = told.sampling, told.receipt_ns, told.flows, told.dst_mac
    tcp_flags, icmp_type, fragment, malformed = told.tcp_flags, told.icmp_type, told.fragment, told.malformed
    discarded, expected = told.discarded, told.expected
    group, group_mac, charges = known.group, known.group_mac, known.facts
    for at in range(count):
        sender, receiver, echo = senders[at], receivers[at], echoes[at]
        if sender < 0 and receiver < 0 and echo < 0:
            continue
        rate, stamp = sampling[at], receipts[at]
        amounts[0], amounts[1] = _times(packets[at], rate), _times(octets[at], rate)
        amounts[2] = _times(sessions[at], rate)
        said = of_protocol(
            protocol[at],
            tcp_flags[at] & 0x3F,
            icmp_type[at],
            src_port[at],
            dst_port[at],
            octets[at],
            packets[at],
            ports,
        )
        small = packets[at] > 0 and octets[at] < packets[at] * SMALL
        # Exporters that aggregate may leave the protocol out.
        strange = odd[protocol[at]] and not (ip[at] and protocol[at] < 0)
        said |= marks(strange, small, fragment[at], malformed[at], discarded[at], expected[at])
        if sender >= 0:
            first[sender] = min(first[sender], stamp)
            _charge(facts, sender, charges, charge[at])
            _add(counts, sender, _SAMPLES, packets[at])
            _add(counts, sender, _VARIANCE, _times(amounts[0], rate - 1))
            if group_mac[dst_mac[at]] or group[dst[at]]:
                said |= _FOR_ALL | (_STRAY if stray[charge[at]] else 0)
            _add_all(counts, sender, (said | _SENT) & ~_IN, amounts, kinds)
            to = dst[at]
            if to >= 0:
                row = np.uint64(sender) << _HALF
                place = place_of_word(row | np.uint64(to), pair_slots, pairs, made[0])
                new = place == made[0]
                made[0] += new
                loud = np.uint64(0) if new else pairs[place, 1]
                pairs[place, 1] = min(loud + np.uint64(amounts[1]), np.uint64(_MOST))
                second = np.int64(src[at]) + _SOURCES if attached[sender] else np.int64(dst_port[at])
                if spread[sender]:
                    counts[sender, _PEERS] += 1000 * new
                    place = place_of_word(row | np.uint64(second), second_slots, seconds, made[2])
                    new = place == made[2]
                    made[2] += new
                    counts[sender, _PORTS] += 1000 * new
                else:
                    bit = bit_of[src[at]] if attached[sender] else port_bits[dst_port[at]]
                    if new:
                        _mark(made, sketches, bit_row, bits, sender, bit_of[to])
                    _mark(made, sketches, bit_row, bits, sender, SKETCH_BITS + bit)
        if receiver >= 0:
            first[receiver] = min(first[receiver], stamp)
            _add_all(counts, receiver, (said | _RECEIVED) & _IN, amounts, kinds)
        if echo >= 0:
            first[echo] = min(first[echo], stamp)
            _add(counts, echo, _LOOPED, amounts[0])
    top, held = _loudest(pairs, made[0], rows, known.hashed)
    return _told(counts, first, facts, contacts, top, held)


@compiled
def _sizes(sender: NDArray[np.int32], spread: NDArray[np.bool_]) -> tuple[int, int]:
    """How many records were charged, and how many of those are spread."""
    charged, lasting = 0, 0
    for row in sender:
        if row >= 0:
            charged += 1
            lasting += spread[row]
    return charged, lasting


@compiled
def _told(
    counts: NDArray[np.int64],
    first: NDArray[np.int64],
    facts: NDArray[np.int64],
    contacts: Contacts,
    top: NDArray[np.int32],
    held: int,
) -> Sums:
    peer_row, peer = np.empty(held, np.int32), np.empty(held, np.int32)
    peer_bytes = np.empty(held, np.int64)
    at = 0
    for row in range(len(top)):
        for rank in range(_TOP_PEERS):
            pair = top[row, rank]
            if pair < 0:
                break
            peer_row[at], peer[at] = row, contacts.pairs[pair, 0] & _LOW
            peer_bytes[at] = contacts.pairs[pair, 1]
            at += 1
    bits = contacts.made[1]
    return Sums(
        counts, first, facts, peer_row, peer, peer_bytes, contacts.bit_row[:bits].copy(), contacts.bit[:bits].copy()
    )
