"""sFlow datagrams made by hand, by the letter of the specification."""

import struct
from collections.abc import Sequence

MAC, PEER = bytes.fromhex("02005e000211"), bytes.fromhex("00005e00010a")


def ethernet(body: bytes, ether: int = 0x0800, *, tags: bytes = b"") -> bytes:
    """A frame; `tags` stand between the addresses and the type."""
    return PEER + MAC + tags + struct.pack("!H", ether) + body


def ipv4(
    body: bytes,
    protocol: int = 17,
    *,
    source: bytes = bytes([198, 18, 2, 11]),
    place: int = 0,
    options: bytes = b"",
    length: int | None = None,
) -> bytes:
    """An IPv4 packet; `place` is the word of flags and fragment offset."""
    head = 20 + len(options)
    total = head + len(body) if length is None else length
    plain = struct.pack("!BBHHHBBH", 0x40 | head // 4, 0, total, 7, place, 64, protocol, 0)
    return plain + source + bytes([203, 0, 113, 9]) + options + body


def ipv6(body: bytes, following: int = 17) -> bytes:
    """An IPv6 packet."""
    source, target = bytes.fromhex("20010db8000200110000000000000001"), bytes.fromhex("20010db8f0000000") + bytes(8)
    return struct.pack("!IHBB", 6 << 28, len(body), following, 64) + source + target + body


def udp(sport: int = 40_000, dport: int = 9, octets: int = 20) -> bytes:
    """A UDP datagram."""
    return struct.pack("!HHHH", sport, dport, 8 + octets, 0) + bytes(octets)


def tcp(flags: int, *, head: int = 5) -> bytes:
    """A TCP segment without data."""
    return struct.pack("!HHIIBBHHH", 40_000, 443, 1, 0, head << 4, flags, 1024, 0, 0)


def raw(frame: bytes, *, whole: int | None = None, kept: int = 128, protocol: int = 1, stripped: int = 4) -> bytes:
    """A record of a raw header: the first octets of a frame that was `whole` octets long, checksum included."""
    header = frame[:kept]
    size = len(frame) + stripped if whole is None else whole
    body = struct.pack("!4I", protocol, size, stripped, len(header)) + header + bytes(-len(header) % 4)
    return struct.pack("!2I", 1, len(body)) + body


def sample(
    *records: bytes, sequence: int = 1, source: int = 7, rate: int = 64, drops: int = 0, entry: int = 7, out: int = 8
) -> bytes:
    """A flow sample."""
    head = struct.pack("!8I", sequence, source, rate, rate * sequence, drops, entry, out, len(records))
    body = head + b"".join(records)
    return struct.pack("!2I", 1, len(body)) + body


def expanded(*records: bytes, entry: int = 1_000_000, out: tuple[int, int] = (0, 8), rate: int = 64) -> bytes:
    """An expanded flow sample; `out` is (format, value)."""
    body = struct.pack("!11I", 1, 0, 7, rate, rate, 0, 0, entry, *out, len(records)) + b"".join(records)
    return struct.pack("!2I", 3, len(body)) + body


def counters(*records: bytes, long: bool = False) -> bytes:
    """A counter sample, or an expanded one."""
    head = struct.pack("!4I", 1, 0, 7, len(records)) if long else struct.pack("!3I", 1, 7, len(records))
    body = head + b"".join(records)
    return struct.pack("!2I", 4 if long else 2, len(body)) + body


def interface(
    number: int,
    *,
    octets: tuple[int, int] = (0, 0),
    discards: tuple[int, int] = (0, 0),
    errors: tuple[int, int] = (0, 0),
    speed: int = 10**9,
) -> bytes:
    """A record of an interface's counters, both directions."""
    body = struct.pack("!2IQ2I", number, 6, speed, 1, 3)
    for way in (0, 1):
        body += struct.pack("!Q3I2I", octets[way], 1, 2, 3, discards[way], errors[way])
        body += bytes(4)  # unknown protocols inward, promiscuous mode outward
    return struct.pack("!2I", 1, len(body)) + body


def datagram(*samples: bytes, sequence: int = 1, uptime_ms: int = 1_000) -> bytes:
    """A datagram of an agent with an IPv4 address."""
    head = struct.pack("!2I4s4I", 5, 1, bytes([198, 18, 255, 12]), 0, sequence, uptime_ms, len(samples))
    return head + b"".join(samples)


def cut(made: bytes, octets: int) -> bytes:
    """The same without its last octets."""
    return made[: len(made) - octets]


def flipped(made: bytes, places: Sequence[tuple[int, int]]) -> bytes:
    """The same with some octets changed."""
    changed = bytearray(made)
    for at, value in places:
        changed[at % len(changed)] = value
    return bytes(changed)
