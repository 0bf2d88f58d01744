"""sFlow version 5 ("sFlow Version 5", sflow.org, July 2004): datagrams to sampled packets, compiled.

Flow samples and expanded flow samples with raw headers, sampled IPv4 and sampled IPv6. Counter samples are passed over
here, if they are whole; `counters` reads them.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from streams.decode.columns import TCP
from streams.decode.compiled import borrowing, inlined
from streams.decode.counters import whole
from streams.decode.datagrams import Datagrams
from streams.decode.filling import Sheet, correct, put, put_addresses, put_macs, put_transport
from streams.decode.packets import FIELDS, WORDS, Field, Word, number, parse


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
_LEAST = 8 + 32  # octets of a flow sample

_SOURCE, _SEQUENCE, _RATE, _DROPS, _INPUT, _OUTPUT, _OCTETS = range(SAIDS)
_IP, _PROTOCOL, _SRC_PORT, _DST_PORT, _TCP_FLAGS, _ICMP_TYPE, _FRAGMENT, _MALFORMED = (int(one) for one in Field)
_SRC_HIGH, _SRC_LOW, _DST_HIGH, _DST_LOW, _SRC_MAC, _DST_MAC = (int(one) for one in Word)


class Samples:
    """The samples of the chosen datagrams of a frame, each of which begins with sFlow's version 5.

    A sampled packet is a record of one packet, of a flow that is counted where its first packet was seen.
    """

    def __init__(self, frame: Datagrams, chosen: NDArray[np.int64]) -> None:
        self._frame, self.chosen = frame, chosen
        self._data = np.frombuffer(frame.payload, np.uint8)
        self.most = _most(self._data, frame.offset, chosen)
        """So many hold packets at most."""
        self.skipped, self.broken = np.zeros(len(chosen), np.int64), np.zeros(len(chosen), np.bool_)
        """Of each datagram, once they were read: samples that hold no packet, and whether it could be read to its end.
        """

    def fill(self, sheet: Sheet, row: int) -> int:
        """Put the packets into a sheet, the first into this row; the row that is next."""
        frame, told = self._frame, np.empty((self.most, _DROPS + 1), np.int64)
        said, fields, words = np.empty(SAIDS, np.int64), np.empty(FIELDS, np.int64), np.empty(WORDS, np.uint64)
        end = _fill(
            self._data, frame.offset, frame.exporter, frame.receipt_ns, self.chosen, said, fields, words, told,
            self.skipped, self.broken, sheet, row,
        )  # fmt: skip
        told = told[: end - row].T
        if told[Said.DROPS].any():
            correct(sheet, row, effective_rates(told, sheet.exporter[row:end]))
        return end


def effective_rates(said: NDArray[np.int64], agent: NDArray[np.int32]) -> NDArray[np.int64]:
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
    """How many flow samples there are at most: no more than datagrams say they hold, and than fit in."""
    # What larger arrays would take is asked of the kernel for each frame, and costs a fault for each page written to.
    count = 0
    for gram in chosen:
        at, end = offset[gram], offset[gram + 1]
        at += 24 if end - at >= 28 and number(data, at + 4, 4) == 1 else 36
        if end - at >= 4:
            count += min(number(data, at, 4), (end - at) // _LEAST)
    return int(count)


@borrowing
def _fill(
    data: NDArray[np.uint8],
    offset: NDArray[np.int64],
    senders: NDArray[np.int64],
    receipts: NDArray[np.int64],
    chosen: NDArray[np.int64],
    said: NDArray[np.int64],
    fields: NDArray[np.int64],
    words: NDArray[np.uint64],
    told: NDArray[np.int64],
    skipped: NDArray[np.int64],
    broken: NDArray[np.bool_],
    sheet: Sheet,
    row: int,
) -> int:
    """Fill rows from `row` on, and `told` of each. The first three after `chosen` are room for one sample."""
    first = row
    for place in range(len(chosen)):
        gram = chosen[place]
        at, end = offset[gram], offset[gram + 1]
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
                    for one in range(_DROPS + 1):
                        told[row - first, one] = said[one]
                    _put(sheet, row, senders[gram], receipts[gram], said, fields, words)
                    row += 1
                elif found == 0:
                    skipped[place] += 1
                else:
                    broken[place] = True
            elif kind in (2, 4) and not whole(data, at, at + length, kind == 4):
                broken[place] = True
            else:
                skipped[place] += 1
            at += length
    return row


@inlined
def _put(
    sheet: Sheet,
    row: int,
    sender: int,
    came: np.int64,
    said: NDArray[np.int64],
    fields: NDArray[np.int64],
    words: NDArray[np.uint64],
) -> None:
    """Put a sample into its row."""
    none = np.int64(0)
    put(sheet, row, sender, came, none, none, said[_OCTETS], 1, max(said[_RATE], 1), said[_INPUT])
    which, flags = fields[_PROTOCOL], fields[_TCP_FLAGS]
    put_transport(sheet, row, which, (fields[_SRC_PORT], fields[_DST_PORT]), flags, fields[_ICMP_TYPE])
    sheet.ip[row] = fields[_IP] > 0
    sheet.src[row] = sheet.dst[row] = -1
    if fields[_IP] > 0:
        put_addresses(sheet, row, words[_SRC_HIGH], words[_SRC_LOW], words[_DST_HIGH], words[_DST_LOW])
    put_macs(sheet, row, words[_SRC_MAC], words[_DST_MAC])
    sheet.flows[row], sheet.fragments_visible[row] = which != TCP or flags & 0x12 == 0x02, True
    sheet.fragment[row], sheet.malformed[row] = fields[_FRAGMENT] > 0, fields[_MALFORMED] > 0
    sheet.discarded[row] = said[_OUTPUT] >> 30 == 1


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
