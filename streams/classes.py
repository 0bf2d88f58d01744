"""As what a record counts, compiled: bit n of the answer says that it counts in column n of `streams.rows.Col`."""

import numpy as np
from numpy.typing import NDArray

from streams.decode.columns import TAME
from streams.decode.compiled import inlined
from streams.rows import NCOL, Col

LOGIN_PORTS = (21, 22, 23, 2222, 2323, 3389, 5900, 5901, 5902, 5903)
"""FTP, SSH, telnet, RDP and VNC: where passwords are guessed."""
MAIL_PORTS = (25, 465, 587)
REFLECTORS = (
    17, 19, 53, 69, 111, 123, 137, 161, 389, 427, 500, 520, 1194, 1434, 1900, 3283, 3478, 3702, 4500, 5060, 5353, 5683,
    10001, 11211, 27015, 32414, 37020, 37810, 47808,
)  # fmt: skip
"""UDP services known to be abused for reflection (US-CERT TA14-017A and later advisories)."""

_QUIET = (53, 123, 137, 138, 443)  # services asked in small datagrams all day, NetBIOS by broadcast
_BY_BROADCAST = (67, 68, 546, 547)  # DHCP is asked by broadcast: the question is not addressed to who answers

_REFLECTOR, _MAIL, _LOGIN, _NO_KNOCK, _NO_SERVICE = 1, 2, 4, 8, 16

SMALL = 100
_BARE = 64  # octets of a TCP packet without data


def _of_ports() -> NDArray[np.uint8]:
    table = np.zeros(1 << 16, np.uint8)
    kinds = ((_REFLECTOR, REFLECTORS), (_MAIL, MAIL_PORTS), (_LOGIN, LOGIN_PORTS), (_NO_KNOCK, _QUIET))
    for kind, ports in (*kinds, (_NO_SERVICE, _BY_BROADCAST)):
        table[list(ports)] |= kind
    return table


def _amount_of_columns() -> NDArray[np.int64]:
    """What is added to a column: 0 packets, 1 octets, 2 sessions."""
    table = np.zeros(NCOL, np.int64)
    table[[Col.BYTES, Col.BYTES_IN, Col.REFLECTED, Col.DISCARDED_BYTES, Col.EXPECTED_BYTES]] = 1
    table[[Col.FLOWS, Col.MAIL, Col.LOGINS]] = 2
    return table


PORTS = _of_ports()
ODD = np.array([protocol not in TAME for protocol in range(256)] + [True], np.bool_)  # the last is not IP: -1
AMOUNTS = _amount_of_columns()

_FRAGMENT, _MALFORMED, _ODD, _SYN = (1 << one for one in (Col.FRAGMENTS, Col.MALFORMED, Col.ODD, Col.SYN_ONLY))
_PROBE, _SHORT, _SESSION, _GUESS = (1 << one for one in (Col.PROBES, Col.SMALL, Col.MAIL, Col.LOGINS))
_REFLECTED, _REPLY, _TALK = (1 << one for one in (Col.REFLECTED, Col.REPLIES, Col.TALK_IN))
_ANSWER = 1 << Col.ANSWERS | 1 << Col.REPLIES
_TURNED = _ANSWER | 1 << Col.ANSWERS_IN
_DISCARDED = 1 << Col.DISCARDED_BYTES | 1 << Col.DISCARDED_PACKETS
_EXPECTED = 1 << Col.EXPECTED_BYTES | 1 << Col.EXPECTED_PACKETS


@inlined
def _of_tcp(flags: int, port: int, octets: int, packets: int, ports: NDArray[np.uint8]) -> int:
    said = _TALK if flags & 0x04 == 0 else 0
    # Exporters that tell no TCP flags: a flow whose packets have no room for data has not got anywhere.
    if flags == 0x02:
        said |= _SYN | _PROBE
    elif flags == 0 and octets <= packets * _BARE:
        said |= _PROBE
    if flags == 0x12 or flags == 0x04 or flags == 0x14 or flags == 0x16:  # SYN-ACK, RST, and a SYN-ACK taken back
        said |= _TURNED
    if ports[port] & _LOGIN and (flags == 0 or (flags & 0x02 and flags != 0x12)):
        said |= _GUESS
    if ports[port] & _MAIL:
        said |= _SESSION
    return said


@inlined
def _of_udp(src: int, dst: int, small: bool, ports: NDArray[np.uint8]) -> int:
    said, kind = _TALK, ports[src]
    if kind & _REFLECTOR:
        said |= _REFLECTED
    if src == 53:
        said |= _ANSWER
    served = 0 < src != dst and (src < 1024 or kind & _REFLECTOR) and not kind & _NO_SERVICE
    if served:
        said |= _REPLY
    elif small and 0 < dst < 1024 and not ports[dst] & _NO_KNOCK:
        said |= _PROBE
    return said


@inlined
def _of_icmp(kind: int) -> int:
    """RFC 792: echo, its reply, unreachable, time exceeded."""
    if kind == 8:
        return _TALK | _PROBE
    if kind == 0:
        return _TALK | _TURNED
    return _TURNED if kind in (3, 11) else _TALK


@inlined
def _of_icmp6(kind: int) -> int:
    """RFC 4443: the same."""
    if kind == 128:
        return _TALK | _PROBE
    if kind == 129:
        return _TALK | _TURNED
    return _TURNED if kind in (1, 3) else _TALK


@inlined
def of_protocol(
    protocol: int, flags: int, kind: int, src: int, dst: int, octets: int, packets: int, ports: NDArray[np.uint8]
) -> int:
    """The columns in which a record counts for what its transport says."""
    if protocol == 6:
        return _of_tcp(flags, dst, octets, packets, ports)
    if protocol == 17:
        return _of_udp(src, dst, octets < packets * SMALL, ports)
    if protocol == 1:
        return _of_icmp(kind)
    return _of_icmp6(kind) if protocol == 58 else _TALK


@inlined
def marks(odd: bool, small: bool, fragment: bool, malformed: bool, discarded: bool, expected: bool) -> int:
    """The columns in which a record counts for what else is told of it."""
    said = _ODD if odd and not fragment else 0
    if fragment:
        said |= _FRAGMENT
    if small:
        said |= _SHORT
    if malformed:
        said |= _MALFORMED
    if discarded:
        said |= _DISCARDED
    return said | _EXPECTED if expected else said
