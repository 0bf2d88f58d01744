"""What stands in the first octets of a sampled frame: Ethernet, VLAN tags, MPLS, IPv4, IPv6, TCP, UDP, ICMP.

References: IEEE 802.3, 802.1Q and 802.1ad; RFC 3032 (MPLS); RFC 791 and 8200 (IP); RFC 4302 (AH); RFC 9293, 768, 792,
4443 (TCP, UDP, ICMP).
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from streams.decode.compiled import inlined


class Field(IntEnum):
    """Columns of what is known of a packet; Word has the rest."""

    IP = 0  # 1 for IPv4 and IPv6, whole enough to tell the addresses
    PROTOCOL = 1  # -1 for what is not IP
    SRC_PORT = 2
    DST_PORT = 3
    TCP_FLAGS = 4
    ICMP_TYPE = 5
    FRAGMENT = 6
    MALFORMED = 7


class Word(IntEnum):
    """Columns of addresses: two words for each, the first the higher; a MAC is one."""

    SRC_HIGH = 0
    SRC_LOW = 1
    DST_HIGH = 2
    DST_LOW = 3
    SRC_MAC = 4
    DST_MAC = 5


FIELDS, WORDS = len(Field), len(Word)
MAPPED = 0xFFFF_0000_0000  # ::ffff:0:0, RFC 4291, 2.5.5.2

ETHERNET, IPV4, IPV6 = 1, 11, 12
"""sFlow v5, header_protocol."""

_IP, _PROTOCOL, _SRC_PORT, _DST_PORT, _FLAGS, _ICMP, _FRAGMENT, _MALFORMED = range(8)
_SRC_HIGH, _SRC_LOW, _DST_HIGH, _DST_LOW, _SRC_MAC, _DST_MAC = range(6)
_TAGS = 8  # more tags or labels than that nobody stacks


@inlined
def number(data: NDArray[np.uint8], at: int, octets: int) -> int:
    """A big-endian number of up to eight octets."""
    # An index that cannot be negative needs no look at its sign: octets that are so many then become one load.
    place, value = np.uint64(at), np.uint64(0)
    for step in range(octets):
        value = value << np.uint64(8) | np.uint64(data[place + np.uint64(step)])
    return np.int64(value)  # type: ignore[return-value]


@inlined
def parse(
    data: NDArray[np.uint8],
    at: int,
    end: int,
    whole: int,
    kind: int,
    fields: NDArray[np.int64],
    words: NDArray[np.uint64],
) -> None:
    """Read a header that stands in data[at:end], of a frame that was `whole` octets long.

    A header is malformed where the frame itself ends before it, or its lengths contradict each other; where only the
    sample ends, what is not there stays 0.
    """
    fields[_PROTOCOL] = -1
    finish = at + whole
    if kind == ETHERNET:
        if end - at < 14:
            fields[_MALFORMED] = 1
            return
        words[_DST_MAC] = np.uint64(number(data, at, 6))
        words[_SRC_MAC] = np.uint64(number(data, at + 6, 6))
    ether, at = packet_at(data, at, end, kind)
    if ether == 0x0800:
        _ipv4(data, at, end, finish, fields, words)
    elif ether == 0x86DD:
        _ipv6(data, at, end, finish, fields, words)


@inlined
def packet_at(data: NDArray[np.uint8], at: int, end: int, kind: int) -> tuple[int, int]:
    """What is in a frame, as an EtherType, and where that begins; 0 for what is not known."""
    if kind == ETHERNET and end - at >= 14:
        return _untagged(data, at + 12, end)
    return 0x0800 if kind == IPV4 else 0x86DD if kind == IPV6 else 0, at


@inlined
def _untagged(data: NDArray[np.uint8], at: int, end: int) -> tuple[int, int]:
    """What comes after VLAN tags and MPLS labels, and where; data[at] is the first type's first octet."""
    ether = number(data, at, 2)
    at += 2
    for _ in range(_TAGS):
        if ether not in (0x8100, 0x88A8, 0x9100, 0x9200) or end - at < 4:
            break
        ether = number(data, at + 2, 2)
        at += 4
    if ether in (0x8847, 0x8848):
        for _ in range(_TAGS):
            if end - at < 5:
                return 0, at
            last = data[at + 2] & 1
            at += 4
            if last:
                break
        ether = 0x0800 if data[at] >> 4 == 4 else 0x86DD if data[at] >> 4 == 6 else 0
    return ether, at


@inlined
def _ipv4(
    data: NDArray[np.uint8], at: int, end: int, finish: int, fields: NDArray[np.int64], words: NDArray[np.uint64]
) -> None:
    if end - at < 20 or data[at] >> 4 != 4:
        fields[_MALFORMED] = 1
        return
    head = (data[at] & 15) * 4
    length = number(data, at + 2, 2)
    words[_SRC_LOW] = np.uint64(MAPPED | number(data, at + 12, 4))
    words[_DST_LOW] = np.uint64(MAPPED | number(data, at + 16, 4))
    fields[_IP] = 1
    fields[_PROTOCOL] = data[at + 9]
    place = number(data, at + 6, 2)
    fields[_FRAGMENT] = 1 if place & 0x3FFF else 0
    if head < 20 or length < head or at + length > finish:
        fields[_MALFORMED] = 1
        return
    if place & 0x1FFF == 0:
        _transport(data, at + head, end, at + length, data[at + 9], place & 0x2000 != 0, fields)


@inlined
def _ipv6(
    data: NDArray[np.uint8], at: int, end: int, finish: int, fields: NDArray[np.int64], words: NDArray[np.uint64]
) -> None:
    if end - at < 40 or data[at] >> 4 != 6:
        fields[_MALFORMED] = 1
        return
    words[_SRC_HIGH] = np.uint64(number(data, at + 8, 8))
    words[_SRC_LOW] = np.uint64(number(data, at + 16, 8))
    words[_DST_HIGH] = np.uint64(number(data, at + 24, 8))
    words[_DST_LOW] = np.uint64(number(data, at + 32, 8))
    fields[_IP] = 1
    following = int(data[at + 6])
    length = number(data, at + 4, 2)
    stop = at + 40 + length if length else finish  # 0: a jumbogram, RFC 2675
    if stop > finish:
        fields[_MALFORMED] = 1
    at += 40
    more = False
    for _ in range(_TAGS):
        if following not in (0, 43, 44, 51, 60, 135):
            break
        if end - at < 8:
            fields[_PROTOCOL] = following
            if stop - at < 8:
                fields[_MALFORMED] = 1
            return
        size = 8 if following == 44 else (data[at + 1] + 2) * 4 if following == 51 else (data[at + 1] + 1) * 8
        if following == 44:
            place = number(data, at + 2, 2)
            more = place & 1 != 0
            fields[_FRAGMENT] = 1 if place & 0xFFF9 else 0
            if place & 0xFFF8:
                fields[_PROTOCOL] = data[at]
                return
        following = int(data[at])
        at += size
        if at > stop:
            fields[_MALFORMED] = 1
            fields[_PROTOCOL] = following
            return
    fields[_PROTOCOL] = following
    _transport(data, at, end, stop, following, more, fields)


@inlined
def _transport(
    data: NDArray[np.uint8], at: int, end: int, stop: int, protocol: int, more: bool, fields: NDArray[np.int64]
) -> None:
    """Ports, flags and types; `stop` is where the packet ends, `more` says that it goes on in further fragments."""
    least = 20 if protocol == 6 else 8 if protocol in (1, 17, 58) else 0
    if least == 0:
        return
    if stop - at < least:
        fields[_MALFORMED] = 1
    if protocol in (1, 58):
        if end > at:
            fields[_ICMP] = data[at]
        return
    if end - at < 4 or stop - at < 4:
        return
    fields[_SRC_PORT] = number(data, at, 2)
    fields[_DST_PORT] = number(data, at + 2, 2)
    if protocol == 6:
        if end - at < 14:
            return
        flags = int(data[at + 13])
        fields[_FLAGS] = flags
        if (data[at + 12] >> 4) < 5 or flags & 3 == 3 or flags & 6 == 6 or flags & 17 == 1:
            fields[_MALFORMED] = 1
    elif end - at >= 6:
        said = number(data, at + 4, 2)
        if said and (said < 8 or (said > stop - at and not more)):
            fields[_MALFORMED] = 1
