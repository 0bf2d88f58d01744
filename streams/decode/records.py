"""Flow records as numbers, whatever they were read from, and how they come into columns."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.decode.compiled import borrowing
from streams.decode.filling import Sheet, put, put_addresses, put_macs, put_transport

MAPPED = 0xFFFF_0000_0000  # ::ffff:0:0, RFC 4291, 2.5.5.2

_AS_THEY_ARE = ("ip", "flows", "discarded", "fragment", "malformed", "fragments_visible")
"""Columns that are taken as they are."""


class Records(NamedTuple):
    """n records. Addresses are two words each, the higher first, IPv4 mapped into IPv6."""

    exporter: NDArray[np.int64]  # index into the frame's exporters
    receipt_ns: NDArray[np.int64]
    start_ns: NDArray[np.int64]  # 0: not told
    end_ns: NDArray[np.int64]
    src: NDArray[np.uint64]  # 2 × n
    dst: NDArray[np.uint64]
    ip: NDArray[np.bool_]  # whether there are addresses
    src_mac: NDArray[np.uint64]  # 0: not told
    dst_mac: NDArray[np.uint64]
    bytes: NDArray[np.int64]
    packets: NDArray[np.int64]
    flows: NDArray[np.int64]
    sampling: NDArray[np.int64]  # 0: not told
    protocol: NDArray[np.int16]
    src_port: NDArray[np.int32]
    dst_port: NDArray[np.int32]
    tcp_flags: NDArray[np.int16]
    icmp_type: NDArray[np.int16]
    in_if: NDArray[np.int64]
    discarded: NDArray[np.bool_]
    fragment: NDArray[np.bool_]
    malformed: NDArray[np.bool_]
    fragments_visible: NDArray[np.bool_]

    @property
    def most(self) -> int:
        """So many there are."""
        return len(self.bytes)

    def fill(self, sheet: Sheet, row: int) -> int:
        """Put them into a sheet, the first into this row; the row that is next."""
        columns: list[Any] = [np.ascontiguousarray(column) for column in self]
        told, end = Records(*columns), row + self.most
        _fill(told, sheet, row, bool(told.src_mac.any() or told.dst_mac.any()))
        for name in _AS_THEY_ARE:
            getattr(sheet, name)[row:end] = getattr(told, name)
        return end


def joined(parts: Sequence[Records]) -> Records:
    """All records of all parts."""
    if len(parts) == 1:
        return parts[0]
    columns: list[Any] = [np.concatenate(one, axis=-1) for one in zip(*parts, strict=True)]
    return Records(*columns)


def picked(records: Records, chosen: NDArray[np.bool_]) -> Records:
    """These records only."""
    columns: list[Any] = [column[..., chosen] for column in records]
    return Records(*columns)


@borrowing
def _fill(told: Records, sheet: Sheet, row: int, macs: bool) -> None:
    """Put into rows from `row` on what is not taken as it is, in loops of a few columns each.

    So many at once as a record has are slow to get at.
    """
    count = len(told.ip)
    for at in range(count):
        put(
            sheet,
            row + at,
            told.exporter[at],
            told.receipt_ns[at],
            told.start_ns[at],
            told.end_ns[at],
            told.bytes[at],
            told.packets[at],
            told.sampling[at],
            told.in_if[at],
        )
    for at in range(count):
        ports = told.src_port[at], told.dst_port[at]
        put_transport(sheet, row + at, told.protocol[at], ports, told.tcp_flags[at], told.icmp_type[at])
    for at in range(count):
        sheet.src[row + at] = sheet.dst[row + at] = -1
        if told.ip[at]:
            put_addresses(sheet, row + at, told.src[0, at], told.src[1, at], told.dst[0, at], told.dst[1, at])
    if macs:
        for at in range(count):
            put_macs(sheet, row + at, told.src_mac[at], told.dst_mac[at])
