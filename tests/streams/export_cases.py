"""Export packets of NetFlow v5, v9 and IPFIX, written octet by octet from the specifications."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from controller.domain.address import packed
from streams.decode.columns import Columns, Flows
from streams.decode.datagrams import frame
from streams.decode.flows import Trust
from streams.decode.received import decode
from streams.decode.templates import Templates

ROUTER, OTHER = "198.18.255.7", "2001:db8::7"
AT = 1_700_000_000_000_000_000
EXPORT_S = 1_700_000_000
UPTIME_MS = 5_000_000
TRUST = Trust(frozenset({ROUTER, OTHER}), "topic", AT + 5, 10**13)

OCTETS, PACKETS, PROTOCOL = (1, 4), (2, 4), (4, 1)
SPORT, DPORT, SRC, DST, INPUT = (7, 2), (11, 2), (8, 4), (12, 4), (10, 2)
PLAIN = (SRC, DST, SPORT, DPORT, PROTOCOL, PACKETS, OCTETS)


def heard(*datagrams: bytes, known: Templates | None = None, sender: str = ROUTER, at: int = AT) -> Flows:
    exporter = packed(ip_address(sender))
    flows = decode(frame([exporter], [0] * len(datagrams), [at] * len(datagrams), datagrams), TRUST, known)
    kept = 0 if flows.columns is None else len(flows.columns)
    assert flows.received == kept + flows.skipped + sum(reject.count for reject in flows.rejects)
    return flows


def columns(*datagrams: bytes, known: Templates | None = None) -> Columns:
    flows = heard(*datagrams, known=known)
    assert flows.rejects == ()
    assert flows.columns is not None
    return flows.columns


def reasons(flows: Flows) -> dict[str, int]:
    found: dict[str, int] = {}
    for reject in flows.rejects:
        found[reject.reason] = found.get(reject.reason, 0) + reject.count
    return found


@dataclass(frozen=True)
class Five:
    """One record of NetFlow v5."""

    src: str = "198.18.1.2"
    dst: str = "192.0.2.9"
    input: int = 3
    packets: int = 10
    octets: int = 5000
    first: int = UPTIME_MS - 9000
    last: int = UPTIME_MS - 1000
    src_port: int = 4000
    dst_port: int = 80
    flags: int = 0x1B
    protocol: int = 6

    def octets_of(self) -> bytes:
        return (
            ip_address(self.src).packed
            + ip_address(self.dst).packed
            + bytes(4)
            + struct.pack("!HHIIII", self.input, 9, self.packets, self.octets, self.first, self.last)
            + struct.pack(
                "!HHBBBBHHBBH", self.src_port, self.dst_port, 0, self.flags, self.protocol, 0, 1, 2, 24, 16, 0
            )
        )


def netflow5(*records: Five, count: int | None = None, uptime: int = UPTIME_MS, sampling: int = 0) -> bytes:
    said = len(records) if count is None else count
    head = struct.pack("!HHIIIIBBH", 5, said, uptime, EXPORT_S, 0, 1, 0, 0, sampling)
    return head + b"".join(one.octets_of() for one in records)


def netflow9(*sets: bytes, domain: int = 1, uptime: int = UPTIME_MS) -> bytes:
    return struct.pack("!HHIIII", 9, len(sets), uptime, EXPORT_S, 1, domain) + b"".join(sets)


def ipfix(*sets: bytes, domain: int = 1) -> bytes:
    body = b"".join(sets)
    return struct.pack("!HHIII", 10, 16 + len(body), EXPORT_S, 1, domain) + body


def a_set(number: int, body: bytes, *, padding: int = 0) -> bytes:
    return struct.pack("!HH", number, 4 + len(body) + padding) + body + bytes(padding)


def template(number: int, fields: Sequence[tuple[int, ...]]) -> bytes:
    """A template's record; a field is (element, length) or (element, length, enterprise)."""
    return struct.pack("!HH", number, len(fields)) + _fields(fields)


def _fields(fields: Sequence[tuple[int, ...]]) -> bytes:
    return b"".join(
        struct.pack("!HH", *one) if len(one) == 2 else struct.pack("!HHI", one[0] | 0x8000, one[1], one[2])
        for one in fields
    )


def options9(number: int, scopes: Sequence[tuple[int, int]], fields: Sequence[tuple[int, int]]) -> bytes:
    return struct.pack("!HHH", number, 4 * len(scopes), 4 * len(fields)) + _fields([*scopes, *fields])


def options10(number: int, scopes: Sequence[tuple[int, int]], fields: Sequence[tuple[int, int]]) -> bytes:
    return struct.pack("!HHH", number, len(scopes) + len(fields), len(scopes)) + _fields([*scopes, *fields])


def plain(
    src: str = "198.18.1.2", dst: str = "192.0.2.9", ports: tuple[int, int] = (4000, 80), packets: int = 10
) -> bytes:
    """A record of the template PLAIN."""
    ends = ip_address(src).packed + ip_address(dst).packed
    return ends + struct.pack("!HHBII", *ports, 6, packets, packets * 100)


def number(value: int, octets: int) -> bytes:
    return value.to_bytes(octets, "big")
