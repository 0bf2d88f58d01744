"""Ethernet frames made by hand, each with a mark by which it is known wherever it arrives.

The mark is followed by a sequence number and that number's complement: the sum of the two is the same for every
number, and so are the checksums over them (RFC 1071).
"""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from controller.domain.address import Mac

MARK = b"\xc0\x7dlab"
ETHERNET, IPV4, IPV6, UDP = 14, 20, 40, 8
TAIL = struct.Struct("!QQ")  # sequence number, its complement
ALL = (1 << 64) - 1
LEAST = len(MARK) + 1 + TAIL.size  # octets of a marked payload, at least
ETHERTYPES = {4: 0x0800, 6: 0x86DD}
EXPERIMENTAL = 0x88B5  # IEEE 802, local experimental: nobody's protocol
DISCARD = 9  # UDP, RFC 863
_MORE = 1 << 13  # IPv4: more fragments


@dataclass(frozen=True, slots=True)
class Way:
    """The two ends of a frame."""

    src_mac: Mac
    dst_mac: Mac
    src: IPv4Address | IPv6Address
    dst: IPv4Address | IPv6Address


def payload(stamp: int, octets: int) -> bytes:
    """A marked payload of a flood's number (0 to 255), with sequence number 0."""
    return (MARK + bytes([stamp]) + TAIL.pack(0, ALL)).ljust(max(octets, LEAST), b".")


def udp(way: Way, body: bytes, *, sport: int = 40_000, dport: int = DISCARD) -> bytes:
    """A UDP datagram; over IPv4 without a checksum, which is lawful (RFC 768)."""
    size = UDP + len(body)
    head = struct.pack("!HHHH", sport, dport, size, 0)
    if way.src.version == 6:
        pseudo = way.src.packed + way.dst.packed + struct.pack("!II", size, 17)
        head = head[:6] + struct.pack("!H", checksum(pseudo + head + body) or 0xFFFF)
    return ip(way, 17, head + body)


def ip(way: Way, protocol: int, body: bytes, *, identity: int = 0, fragment: int = 0) -> bytes:
    """A packet; `fragment` is IPv4's word of flags and offset."""
    if isinstance(way.src, IPv6Address):
        head = struct.pack("!IHBB", 6 << 28, len(body), protocol, 64) + way.src.packed + way.dst.packed
    else:
        plain = struct.pack("!BBHHHBBH", 0x45, 0, IPV4 + len(body), identity, fragment, 64, protocol, 0)
        plain += way.src.packed + way.dst.packed
        head = plain[:10] + struct.pack("!H", checksum(plain)) + plain[12:]
    return ethernet(way.src_mac, way.dst_mac, ETHERTYPES[way.src.version], head + body)


def fragments(way: Way, stamp: int, *, identity: int, pieces: int, octets: int) -> list[bytes]:
    """Pieces of one IPv4 datagram, none of which is the last: who puts it together waits in vain.

    `octets` of each piece: a multiple of 8 (RFC 791).
    """
    return [
        ip(way, 17, payload(stamp, octets), identity=identity, fragment=_MORE | (octets // 8 * (1 + piece)))
        for piece in range(pieces)
    ]


def ethernet(src: Mac, dst: Mac, kind: int, body: bytes) -> bytes:
    """A frame as it is given to a card: at least 60 octets, without its check sequence."""
    return (_mac(dst) + _mac(src) + struct.pack("!H", kind) + body).ljust(60, b"\0")


def numbered_at(frame: bytes) -> int:
    """Where the sequence number of a marked frame stands."""
    return frame.index(MARK) + len(MARK) + 1


def stamp_of(frame: bytes) -> tuple[int, int] | None:
    """Flood and sequence number of a marked frame, cut off or not; None for others, and for errors that quote one."""
    at = frame.find(MARK)
    if (frame[12:14], frame[23:24]) == (b"\x08\x00", b"\x01") or (frame[12:14], frame[20:21]) == (b"\x86\xdd", b"\x3a"):
        return None
    body = at + len(MARK)
    if at < 0 or len(frame) < body + 1 + TAIL.size:
        return None
    number, complement = TAIL.unpack_from(frame, body + 1)
    return (frame[body], int(number)) if number == ALL - complement else None


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return int(~(total + (total >> 16)) & 0xFFFF)


def _mac(text: Mac) -> bytes:
    return bytes.fromhex(text.replace(":", ""))
