"""sFlow version 5 ("sFlow Version 5", sflow.org, July 2004): datagrams to sampled packets, compiled.

Flow samples and expanded flow samples with raw headers, sampled IPv4 and sampled IPv6. Counter samples are passed over
here, if they are whole; `counters` reads them.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.decode.columns import TCP
from streams.decode.compiled import borrowing, inlined
from streams.decode.counters import whole
from streams.decode.datagrams import Datagrams
from streams.decode.packets import FIELDS, WORDS, Field, Word, number, parse
from streams.decode.records import Records


class Said(IntEnum):
    """What the agent says of a sample."""

    SOURCE = 0  # data source within the agent
    SEQUENCE = 1
    RATE = 2
    DROPS = 3
    INPUT = 4
    OUTPUT = 5  # format in the two highest of 32 bits
    OCTETS = 6  # of the frame


SAIDS = len(Said)
VERSION = 5

_SOURCE, _SEQUENCE, _RATE, _DROPS, _INPUT, _OUTPUT, _OCTETS = range(SAIDS)
_IP, _PROTOCOL, _SRC_PORT, _DST_PORT, _TCP_FLAGS, _ICMP_TYPE, _FRAGMENT, _MALFORMED = (int(one) for one in Field)
_SRC_HIGH, _SRC_LOW, _DST_HIGH, _DST_LOW, _SRC_MAC, _DST_MAC = (int(one) for one in Word)


@dataclass(frozen=True, slots=True)
class Sampled:
    """Sampled packets, and how each datagram was read."""

    records: Records
    skipped: NDArray[np.int64]  # of each datagram: samples that hold no packet
    broken: NDArray[np.bool_]  # datagrams that could not be read to their end


def sampled(frame: Datagrams, chosen: NDArray[np.int64]) -> Sampled:
    """The samples of the chosen datagrams, each of which begins with sFlow's version 5.

    A sampled packet is a record of one packet, of a flow that is counted where its first packet was seen.
    """
    data = np.frombuffer(frame.payload, np.uint8)
    skipped, broken = np.zeros(len(chosen), np.int64), np.zeros(len(chosen), np.bool_)
    room = _room(_most(data, frame.offset, chosen))
    said, fields, words = np.empty(SAIDS, np.int64), np.empty(FIELDS, np.int64), np.empty(WORDS, np.uint64)
    count = _walk(
        data, frame.offset, frame.exporter, frame.receipt_ns, chosen, said, fields, words, *room, skipped, broken
    )
    told = room.first(count)
    none = np.zeros(count, np.int64)
    return Sampled(
        Records(
            exporter=told.exporter,
            receipt_ns=told.receipt_ns,
            start_ns=none,
            end_ns=none,
            src=told.src,
            dst=told.dst,
            ip=told.ip,
            src_mac=told.src_mac,
            dst_mac=told.dst_mac,
            bytes=told.octets,
            packets=np.ones(count, np.int64),
            flows=told.flows,
            sampling=effective_rates(told.said, told.exporter),
            protocol=told.protocol,
            src_port=told.src_port,
            dst_port=told.dst_port,
            tcp_flags=told.tcp_flags,
            icmp_type=told.icmp_type,
            in_if=told.in_if,
            discarded=told.discarded,
            fragment=told.fragment,
            malformed=told.malformed,
            fragments_visible=np.ones(count, np.bool_),
        ),
        skipped,
        broken,
    )


class _Told(NamedTuple):
    """What samples say, in the order in which `_walk` takes it."""

    exporter: NDArray[np.int64]
    receipt_ns: NDArray[np.int64]
    said: NDArray[np.int64]  # source, sequence, rate and drops × n
    octets: NDArray[np.int64]
    flows: NDArray[np.int64]
    in_if: NDArray[np.int64]
    src: NDArray[np.uint64]  # 2 × n
    dst: NDArray[np.uint64]
    src_mac: NDArray[np.uint64]
    dst_mac: NDArray[np.uint64]
    protocol: NDArray[np.int16]
    src_port: NDArray[np.int32]
    dst_port: NDArray[np.int32]
    tcp_flags: NDArray[np.int16]
    icmp_type: NDArray[np.int16]
    ip: NDArray[np.bool_]
    fragment: NDArray[np.bool_]
    malformed: NDArray[np.bool_]
    discarded: NDArray[np.bool_]

    def first(self, count: int) -> "_Told":
        """So many samples."""
        if count == len(self.octets):
            return self
        columns: list[Any] = [column[..., :count] for column in self]
        return _Told(*columns)


def _room(count: int) -> _Told:
    pair, large, word, yes = (2, count), np.int64, np.uint64, np.bool_
    columns: list[Any] = [np.empty(count, large), np.empty(count, large), np.empty((4, count), large)]
    columns += [np.empty(count, large) for _ in range(3)]
    columns += [np.empty(pair, word), np.empty(pair, word), np.empty(count, word), np.empty(count, word)]
    columns += [
        np.empty(count, kind) for kind in (np.int16, np.int32, np.int32, np.int16, np.int16, yes, yes, yes, yes)
    ]
    return _Told(*columns)


def effective_rates(said: NDArray[np.int64], agent: NDArray[np.int64]) -> NDArray[np.int64]:
    """Packets that each sample stands for: the rate, more where its source says that it had to drop samples.

    An agent that may not send more than so many samples a second counts the rest in `drops`. Each sample then stands
    for those that were dropped since the one before it, too. `agent` numbers the senders of the samples.
    """
    rate: NDArray[np.int64] = np.maximum(said[Said.RATE], 1)
    if len(rate) < 2 or not said[Said.DROPS].any():
        return rate
    order = np.lexsort((said[Said.SEQUENCE], said[Said.SOURCE], agent))
    one = said[:, order]
    first = np.ones(len(order), np.bool_)
    first[1:] = (one[Said.SOURCE, 1:] != one[Said.SOURCE, :-1]) | (agent[order][1:] != agent[order][:-1])
    group = np.cumsum(first) - 1
    starts = np.flatnonzero(first)
    ends = np.append(starts[1:], len(order)) - 1
    made = (one[Said.SEQUENCE, ends] - one[Said.SEQUENCE, starts]).astype(np.float64)
    dropped = (one[Said.DROPS, ends] - one[Said.DROPS, starts]).astype(np.float64)
    honest = (made > 0) & (dropped > 0)
    more = np.where(honest, 1.0 + dropped / np.where(made > 0, made, 1.0), 1.0)
    raised = np.empty(len(rate), np.float64)
    raised[order] = more[group]
    answer: NDArray[np.int64] = np.rint(rate * raised).astype(np.int64)
    return answer


@borrowing
def _most(data: NDArray[np.uint8], offset: NDArray[np.int64], chosen: NDArray[np.int64]) -> int:
    """How many flow samples there are at most: as many as say that they are one."""
    # What larger arrays would take is asked of the kernel for each frame, and costs a fault for each page written to.
    count = 0
    for gram in chosen:
        at, end = offset[gram], offset[gram + 1]
        at += 28 if end - at >= 28 and number(data, at + 4, 4) == 1 else 40
        while end - at >= 8:
            kind = number(data, at, 4)
            count += kind in (1, 3)
            at += 8 + number(data, at + 4, 4)
    return count


@borrowing
def _walk(
    data: NDArray[np.uint8],
    offset: NDArray[np.int64],
    senders: NDArray[np.int64],
    receipts: NDArray[np.int64],
    chosen: NDArray[np.int64],
    said: NDArray[np.int64],
    fields: NDArray[np.int64],
    words: NDArray[np.uint64],
    exporter: NDArray[np.int64],
    receipt_ns: NDArray[np.int64],
    told: NDArray[np.int64],
    octets: NDArray[np.int64],
    flows: NDArray[np.int64],
    in_if: NDArray[np.int64],
    src: NDArray[np.uint64],
    dst: NDArray[np.uint64],
    src_mac: NDArray[np.uint64],
    dst_mac: NDArray[np.uint64],
    protocol: NDArray[np.int16],
    src_port: NDArray[np.int32],
    dst_port: NDArray[np.int32],
    tcp_flags: NDArray[np.int16],
    icmp_type: NDArray[np.int16],
    ip: NDArray[np.bool_],
    fragment: NDArray[np.bool_],
    malformed: NDArray[np.bool_],
    discarded: NDArray[np.bool_],
    skipped: NDArray[np.int64],
    broken: NDArray[np.bool_],
) -> int:
    """Fill the arrays; how many samples there were. The first three after `chosen` are room for one of them."""
    count = 0
    for place in range(len(chosen)):
        at, end = offset[chosen[place]], offset[chosen[place] + 1]
        if end - at < 28:
            broken[place] = True
            continue
        family = number(data, at + 4, 4)
        at += 8 + (4 if family == 1 else 16) + 12
        if family not in (1, 2) or end - at < 4:
            broken[place] = True
            continue
        left = number(data, at, 4)
        at += 4
        while left > 0:
            left -= 1
            if end - at < 8:
                broken[place] = True
                break
            kind, length = number(data, at, 4), number(data, at + 4, 4)
            at += 8
            if length > end - at:
                broken[place] = True
                break
            if kind in (1, 3):
                found = _sample(data, at, at + length, kind == 3, said, fields, words)
                if found > 0:
                    exporter[count], receipt_ns[count] = senders[chosen[place]], receipts[chosen[place]]
                    told[_SOURCE, count], told[_SEQUENCE, count] = said[_SOURCE], said[_SEQUENCE]
                    told[_RATE, count], told[_DROPS, count] = said[_RATE], said[_DROPS]
                    octets[count], in_if[count] = said[_OCTETS], said[_INPUT]
                    discarded[count] = said[_OUTPUT] >> 30 == 1
                    src[0, count], src[1, count] = words[_SRC_HIGH], words[_SRC_LOW]
                    dst[0, count], dst[1, count] = words[_DST_HIGH], words[_DST_LOW]
                    src_mac[count], dst_mac[count] = words[_SRC_MAC], words[_DST_MAC]
                    which, flags = fields[_PROTOCOL], fields[_TCP_FLAGS]
                    protocol[count], tcp_flags[count], icmp_type[count] = which, flags, fields[_ICMP_TYPE]
                    src_port[count], dst_port[count] = fields[_SRC_PORT], fields[_DST_PORT]
                    flows[count] = which != TCP or flags & 0x12 == 0x02
                    ip[count], fragment[count] = fields[_IP] > 0, fields[_FRAGMENT] > 0
                    malformed[count] = fields[_MALFORMED] > 0
                    count += 1
                elif found == 0:
                    skipped[place] += 1
                else:
                    broken[place] = True
            elif kind in (2, 4) and not whole(data, at, at + length, kind == 4):
                broken[place] = True
            else:
                skipped[place] += 1
            at += length
    return count


@inlined
def _sample(
    data: NDArray[np.uint8],
    at: int,
    end: int,
    expanded: bool,
    said: NDArray[np.int64],
    fields: NDArray[np.int64],
    words: NDArray[np.uint64],
) -> int:
    """Read one flow sample: 1 for a packet, 0 where it holds none that is understood, -1 where it is cut short."""
    if end - at < (44 if expanded else 32):
        return -1
    said[:], fields[:], words[:] = 0, 0, 0
    said[_SEQUENCE] = number(data, at, 4)
    if expanded:
        said[_SOURCE] = number(data, at + 4, 4) << 32 | number(data, at + 8, 4)
        at += 12
    else:
        said[_SOURCE] = number(data, at + 4, 4)
        at += 8
    said[_RATE] = number(data, at, 4)
    said[_DROPS] = number(data, at + 8, 4)
    at += 12
    if expanded:
        said[_INPUT] = number(data, at + 4, 4) if number(data, at, 4) == 0 else 0
        said[_OUTPUT] = (number(data, at + 8, 4) & 3) << 30 | (number(data, at + 12, 4) & 0x3FFFFFFF)
        at += 16
    else:
        port = number(data, at, 4)
        said[_INPUT] = port if port >> 30 == 0 else 0
        said[_OUTPUT] = number(data, at + 4, 4)
        at += 8
    left = number(data, at, 4)
    at += 4
    found = 0
    while left > 0:
        left -= 1
        if end - at < 8:
            return -1
        kind, length = number(data, at, 4), number(data, at + 4, 4)
        at += 8
        if length > end - at:
            return -1
        if kind == 1 and length >= 16:
            held = number(data, at + 12, 4)
            if held > length - 16:
                return -1
            size = number(data, at + 4, 4)
            said[_OCTETS] = size
            whole = max(size - number(data, at + 8, 4), held)
            parse(data, at + 16, at + 16 + held, whole, number(data, at, 4), fields, words)
            return 1
        if kind == 3 and length >= 32:
            _told(data, at, 4, said, fields, words)
            found = 1
        elif kind == 4 and length >= 56:
            _told(data, at, 16, said, fields, words)
            found = 1
        at += length
    return found


@inlined
def _told(
    data: NDArray[np.uint8],
    at: int,
    octets: int,
    said: NDArray[np.int64],
    fields: NDArray[np.int64],
    words: NDArray[np.uint64],
) -> None:
    """A sampled IPv4 or IPv6 record: what the agent itself read from the packet."""
    said[_OCTETS] = number(data, at, 4)
    fields[0] = 1
    fields[1] = number(data, at + 4, 4) & 255
    at += 8
    if octets == 4:
        words[1] = np.uint64(0xFFFF_0000_0000 | number(data, at, 4))
        words[3] = np.uint64(0xFFFF_0000_0000 | number(data, at + 4, 4))
    else:
        for place in range(4):
            words[place] = np.uint64(number(data, at + 8 * place, 8))
    at += 2 * octets
    protocol = fields[1]
    if protocol in (6, 17):
        fields[2], fields[3] = number(data, at, 4) & 0xFFFF, number(data, at + 4, 4) & 0xFFFF
    if protocol == 6:
        fields[4] = number(data, at + 8, 4) & 255
    if protocol in (1, 58):
        fields[5] = number(data, at, 4) & 255
