"""Packets that an exporter of IPFIX sampled, told by their first octets instead of counts of flows.

Sections of packets: RFC 5477, 8.5, and RFC 7133, 3. What they are read by is what reads the headers in sFlow.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.decode.columns import TCP
from streams.decode.compiled import borrowing
from streams.decode.elements import Slot
from streams.decode.layouts import Layout, Values
from streams.decode.packets import ETHERNET, FIELDS, IPV4, IPV6, WORDS, Field, Word, number, packet_at, parse
from streams.decode.records import Records

_UNTOLD = 1 << 16
"""Octets that a frame may have of which nobody says how long it was: no header in it reaches beyond."""

_IP, _PROTOCOL, _SRC_PORT, _DST_PORT, _TCP_FLAGS, _ICMP_TYPE, _FRAGMENT, _MALFORMED = (int(one) for one in Field)
_SRC_HIGH, _SRC_LOW, _DST_HIGH, _DST_LOW, _SRC_MAC, _DST_MAC = (int(one) for one in Word)
_TOLD = (
    "src", "dst", "ip", "src_mac", "dst_mac", "bytes", "packets", "flows", "protocol", "src_port", "dst_port",
    "tcp_flags", "icmp_type", "fragment", "malformed", "fragments_visible",
)  # fmt: skip
"""Columns of Records, as `_open` takes them."""


def opened(
    records: Records, read: Values, which: NDArray[np.int64], layouts: Sequence[Layout], payload: NDArray[np.uint8]
) -> Records:
    """The records, and of those that are sampled packets what these say. `which` is each one's layout."""
    samples = np.array([layout.samples_packets for layout in layouts], np.bool_)[which]
    if not samples.any():
        return records
    bare = np.array([layout.section_is_ip for layout in layouts], np.bool_)[which]
    told: list[NDArray[Any]] = [np.array(getattr(records, name)) for name in _TOLD]
    place, size, whole = (
        read.column(slot).astype(np.int64) for slot in (Slot.SECTION, Slot.SECTION_SIZE, Slot.PACKET_OCTETS)
    )
    fields, words = np.empty(FIELDS, np.int64), np.empty(WORDS, np.uint64)
    _open(payload, np.flatnonzero(samples), place, size, whole, bare, fields, words, *told)
    return records._replace(**dict(zip(_TOLD, told, strict=True)))


@borrowing
def _open(
    data: NDArray[np.uint8],
    chosen: NDArray[np.int64],
    place: NDArray[np.int64],
    size: NDArray[np.int64],
    whole: NDArray[np.int64],
    bare: NDArray[np.bool_],
    fields: NDArray[np.int64],
    words: NDArray[np.uint64],
    src: NDArray[np.uint64],
    dst: NDArray[np.uint64],
    ip: NDArray[np.bool_],
    src_mac: NDArray[np.uint64],
    dst_mac: NDArray[np.uint64],
    octets: NDArray[np.int64],
    packets: NDArray[np.int64],
    flows: NDArray[np.int64],
    protocol: NDArray[np.int16],
    src_port: NDArray[np.int32],
    dst_port: NDArray[np.int32],
    tcp_flags: NDArray[np.int16],
    icmp_type: NDArray[np.int16],
    fragment: NDArray[np.bool_],
    malformed: NDArray[np.bool_],
    visible: NDArray[np.bool_],
) -> None:
    """Fill the arrays for the chosen records."""
    for one in chosen:
        at, end = place[one], place[one] + size[one]
        kind = ETHERNET
        if bare[one]:
            kind = IPV6 if end > at and data[at] >> 4 == 6 else IPV4
        fields[:], words[:] = 0, 0
        said = min(whole[one], _UNTOLD)
        parse(data, at, end, max(said, size[one]) if said > 0 else _UNTOLD, kind, fields, words)
        octets[one] = said if said > 0 else max(size[one], _length(data, at, end, kind))
        packets[one] = 1
        src[0, one], src[1, one] = words[_SRC_HIGH], words[_SRC_LOW]
        dst[0, one], dst[1, one] = words[_DST_HIGH], words[_DST_LOW]
        if not bare[one]:
            src_mac[one], dst_mac[one] = words[_SRC_MAC], words[_DST_MAC]
        which, flags = fields[_PROTOCOL], fields[_TCP_FLAGS]
        protocol[one], tcp_flags[one], icmp_type[one] = which, flags, fields[_ICMP_TYPE]
        src_port[one], dst_port[one] = fields[_SRC_PORT], fields[_DST_PORT]
        flows[one] = which != TCP or flags & 0x12 == 0x02
        ip[one], fragment[one] = fields[_IP] > 0, fields[_FRAGMENT] > 0
        malformed[one], visible[one] = fields[_MALFORMED] > 0, True


@borrowing
def _length(data: NDArray[np.uint8], at: int, end: int, kind: int) -> int:
    """Octets of a packet as its own IP header has it, with what stands before that; 0 where there is none."""
    ether, begin = packet_at(data, at, end, kind)
    if ether == 0x0800 and end - begin >= 20:
        return begin - at + number(data, begin + 2, 2)
    if ether == 0x86DD and end - begin >= 40:
        return begin - at + 40 + number(data, begin + 4, 2)
    return 0
