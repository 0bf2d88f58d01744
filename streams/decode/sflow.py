"""sFlow version 5 ("sFlow Version 5", sflow.org, July 2004): datagrams to sampled packets, compiled.

Flow samples and expanded flow samples with raw headers, sampled IPv4 and sampled IPv6. Counter samples are passed over.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from streams.decode.columns import TCP
from streams.decode.compiled import compiled
from streams.decode.datagrams import Datagrams
from streams.decode.packets import FIELDS, WORDS, Field, Word, number, parse
from streams.decode.records import Records


class Said(IntEnum):
    """What the agent says of a sample."""

    DATAGRAM = 0  # index in the frame
    SOURCE = 1  # data source within the agent
    SEQUENCE = 2
    RATE = 3
    DROPS = 4
    INPUT = 5
    OUTPUT = 6  # format in the two highest of 32 bits
    OCTETS = 7  # of the frame


SAIDS = len(Said)
VERSION = 5

_DATAGRAM, _SOURCE, _SEQUENCE, _RATE, _DROPS, _INPUT, _OUTPUT, _OCTETS = range(8)
_SMALLEST = 40  # octets of the smallest flow sample: its head, and a record's


@dataclass(frozen=True, slots=True)
class Samples:
    """n sampled packets, and how each datagram was read."""

    said: NDArray[np.int64]  # n × SAIDS
    fields: NDArray[np.int64]  # n × FIELDS
    words: NDArray[np.uint64]  # n × WORDS
    skipped: NDArray[np.int64]  # of each datagram: samples that hold no packet
    broken: NDArray[np.bool_]  # datagrams that could not be read to their end


def samples(frame: Datagrams, chosen: NDArray[np.int64]) -> Samples:
    """The samples of the chosen datagrams, each of which begins with sFlow's version 5."""
    data = np.frombuffer(frame.payload, np.uint8)
    room = int((frame.offset[chosen + 1] - frame.offset[chosen]).sum()) // _SMALLEST + 1
    said, fields = np.empty((room, SAIDS), np.int64), np.empty((room, FIELDS), np.int64)
    words = np.empty((room, WORDS), np.uint64)
    skipped, broken = np.zeros(len(chosen), np.int64), np.zeros(len(chosen), np.bool_)
    count = _walk(data, frame.offset, chosen, said, fields, words, skipped, broken)
    return Samples(said[:count], fields[:count], words[:count], skipped, broken)


def effective_rates(said: NDArray[np.int64], agent: NDArray[np.int64]) -> NDArray[np.int64]:
    """Packets that each sample stands for: the rate, more where its source says that it had to drop samples.

    An agent that may not send more than so many samples a second counts the rest in `drops`. Each sample then stands
    for those that were dropped since the one before it, too. `agent` numbers the senders of the samples.
    """
    rate = np.maximum(said[:, Said.RATE], 1)
    if len(said) < 2 or not said[:, Said.DROPS].any():
        return rate
    order = np.lexsort((said[:, Said.SEQUENCE], said[:, Said.SOURCE], agent))
    one = said[order]
    first = np.ones(len(one), np.bool_)
    first[1:] = (one[1:, Said.SOURCE] != one[:-1, Said.SOURCE]) | (agent[order][1:] != agent[order][:-1])
    group = np.cumsum(first) - 1
    starts = np.flatnonzero(first)
    ends = np.append(starts[1:], len(one)) - 1
    made = (one[ends, Said.SEQUENCE] - one[starts, Said.SEQUENCE]).astype(np.float64)
    dropped = (one[ends, Said.DROPS] - one[starts, Said.DROPS]).astype(np.float64)
    honest = (made > 0) & (dropped > 0)
    more = np.where(honest, 1.0 + dropped / np.where(made > 0, made, 1.0), 1.0)
    raised = np.empty(len(said), np.float64)
    raised[order] = more[group]
    answer: NDArray[np.int64] = np.rint(rate * raised).astype(np.int64)
    return answer


def records(frame: Datagrams, found: Samples) -> Records:
    """The sampled packets as records: one packet each, of a flow that is counted where its first packet was seen."""
    said, fields, words = found.said, found.fields, found.words
    exporter = frame.exporter[said[:, Said.DATAGRAM]]
    count = len(said)
    none = np.zeros(count, np.int64)
    protocol, flags = fields[:, Field.PROTOCOL].astype(np.int16), fields[:, Field.TCP_FLAGS].astype(np.int16)
    return Records(
        exporter=exporter,
        receipt_ns=frame.receipt_ns[said[:, Said.DATAGRAM]],
        start_ns=none,
        end_ns=none,
        src=np.ascontiguousarray(words[:, Word.SRC_HIGH : Word.SRC_LOW + 1].T),
        dst=np.ascontiguousarray(words[:, Word.DST_HIGH : Word.DST_LOW + 1].T),
        ip=fields[:, Field.IP] > 0,
        src_mac=words[:, Word.SRC_MAC],
        dst_mac=words[:, Word.DST_MAC],
        bytes=said[:, Said.OCTETS],
        packets=np.ones(count, np.int64),
        flows=np.where((protocol != TCP) | ((flags & 0x12) == 0x02), 1, 0).astype(np.int64),
        sampling=effective_rates(said, exporter),
        protocol=protocol,
        src_port=fields[:, Field.SRC_PORT].astype(np.int32),
        dst_port=fields[:, Field.DST_PORT].astype(np.int32),
        tcp_flags=flags,
        icmp_type=fields[:, Field.ICMP_TYPE].astype(np.int16),
        in_if=said[:, Said.INPUT],
        discarded=said[:, Said.OUTPUT] >> 30 == 1,
        fragment=fields[:, Field.FRAGMENT] > 0,
        malformed=fields[:, Field.MALFORMED] > 0,
        fragments_visible=np.ones(count, np.bool_),
    )


@compiled
def _walk(
    data: NDArray[np.uint8],
    offset: NDArray[np.int64],
    chosen: NDArray[np.int64],
    said: NDArray[np.int64],
    fields: NDArray[np.int64],
    words: NDArray[np.uint64],
    skipped: NDArray[np.int64],
    broken: NDArray[np.bool_],
) -> int:
    """Fill the arrays; how many samples there were."""
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
                found = _sample(data, at, at + length, kind == 3, said[count], fields[count], words[count])
                if found > 0:
                    said[count, _DATAGRAM] = chosen[place]
                    count += 1
                elif found == 0:
                    skipped[place] += 1
                else:
                    broken[place] = True
            else:
                skipped[place] += 1
            at += length
    return count


@compiled
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


@compiled
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
