"""NetFlow version 5 (Cisco, "NetFlow Export Datagram Format"): records that never change, read in one loop."""

import numpy as np
from numpy.typing import NDArray

from streams.decode.compiled import borrowing
from streams.decode.datagrams import Datagrams
from streams.decode.filling import Sheet, put, put_addresses, put_transport
from streams.decode.packets import MAPPED, number

VERSION = 5
HEADER, RECORD = 24, 48
"""Octets."""

_ICMP, _ICMP6, _FRAGMENT6 = 1, 58, 44
_SAMPLED = 0x3FFF  # of the header's last two octets; the others name the mode
_S, _MS = 1_000_000_000, 1_000_000


class Fives:
    """The chosen datagrams of a frame, which are of this version."""

    def __init__(self, frame: Datagrams, chosen: NDArray[np.int64]) -> None:
        self._frame, self.chosen = frame, chosen
        self._data = np.frombuffer(frame.payload, np.uint8)
        self._counts, short = np.empty(len(chosen), np.int64), np.zeros(len(chosen), np.bool_)
        self.most = _count(self._data, frame.offset, chosen, self._counts, short)
        self.broken = chosen[short]
        """Those with less in them than their headers say."""

    def fill(self, sheet: Sheet, row: int) -> int:
        """Put the records into a sheet, the first into this row; the row that is next."""
        frame = self._frame
        return _fill(self._data, frame.offset, frame.exporter, frame.receipt_ns, self.chosen, self._counts, sheet, row)


@borrowing
def _count(
    data: NDArray[np.uint8],
    offset: NDArray[np.int64],
    chosen: NDArray[np.int64],
    counts: NDArray[np.int64],
    broken: NDArray[np.bool_],
) -> int:
    """Whole records of each datagram, and whether there are fewer than its header says; how many there are in all."""
    total = 0
    for place in range(len(chosen)):
        at, end = offset[chosen[place]], offset[chosen[place] + 1]
        if end - at < HEADER:
            counts[place], broken[place] = 0, True
            continue
        said = number(data, at + 2, 2)
        counts[place] = min(said, (end - at - HEADER) // RECORD)
        broken[place] = counts[place] < said
        total += counts[place]
    return int(total)


@borrowing
def _fill(
    data: NDArray[np.uint8],
    offset: NDArray[np.int64],
    exporters: NDArray[np.int64],
    receipts: NDArray[np.int64],
    chosen: NDArray[np.int64],
    counts: NDArray[np.int64],
    sheet: Sheet,
    row: int,
) -> int:
    """Fill rows from `row` on. Times of records are milliseconds since the exporter's start, as headers tell theirs."""
    none, mapped = np.uint64(0), np.uint64(MAPPED)
    for place in range(len(chosen)):
        gram = chosen[place]
        head = offset[gram]
        uptime = number(data, head + 4, 4)
        export_ns = number(data, head + 8, 4) * _S + number(data, head + 12, 4)
        rate = number(data, head + 22, 2) & _SAMPLED
        owner, came = exporters[gram], receipts[gram]
        at = head + HEADER
        for _ in range(counts[place]):
            src, dst = np.uint64(number(data, at, 4)), np.uint64(number(data, at + 4, 4))
            put_addresses(sheet, row, none, src | mapped, none, dst | mapped)
            # They count 32 bits and begin anew after 49.7 days: what matters is how far both are apart.
            start = export_ns + np.int64(np.int32(np.uint32(number(data, at + 24, 4) - uptime))) * _MS
            end = export_ns + np.int64(np.int32(np.uint32(number(data, at + 28, 4) - uptime))) * _MS
            entry, packets, octets = number(data, at + 12, 2), number(data, at + 16, 4), number(data, at + 20, 4)
            put(sheet, row, owner, came, start, end, octets, packets, rate, entry)
            kind, to = int(data[at + 38]), number(data, at + 34, 2)
            ports = (0, 0) if kind in (_ICMP, _ICMP6) else (number(data, at + 32, 2), to)
            put_transport(sheet, row, kind, ports, int(data[at + 37]), to >> 8)
            sheet.fragment[row] = kind == _FRAGMENT6
            at += RECORD
            row += 1
    return row
