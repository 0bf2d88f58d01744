"""Sockets that share a port, and the program by which the kernel deals senders out to them.

Each listed sender has a socket of its own as far as they go, and a buffer with it: one that is loud fills its own, and
what the kernel drops there is its own loss. Who is not listed ends at the last socket, with the strangers.
The program is classic BPF, which needs no privilege (SO_ATTACH_REUSEPORT_CBPF, socket(7); Linux 4.5).
"""

import contextlib
import ctypes
import socket
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from controller.domain.address import Address
from streams.listen.slots import SO_TIMESTAMPNS

SO_ATTACH_REUSEPORT_CBPF = 51
SO_RCVBUFFORCE = 33
SO_MEMINFO = 55
_DROPS = 8  # SK_MEMINFO_DROPS, linux/sock_diag.h

STRANGERS_BYTES = 256 * 1024
MOST_LISTED = 1_000
"""A program has at most 4,096 instructions (BPF_MAXINSNS). With more senders the fold alone says which socket."""

_NET = -0x100000  # SKF_NET_OFF: offsets into the network header
_LOAD, _LOAD_BYTE, _KEEP = 0x20, 0x30, 0x07  # ld, ldb, tax
_ADD, _ADD_X, _MULTIPLY, _SHIFT, _MODULO = 0x04, 0x0C, 0x24, 0x74, 0x94
_JUMP, _EQUAL, _GREATER = 0x05, 0x15, 0x25
_RETURN, _RETURN_IT = 0x06, 0x16
_PRIME = 0x9E3779B1
_WORD = 0xFFFFFFFF


def fold(address: bytes) -> int:
    """32 bits of a packed address (16 octets): the same here, in the kernel's program, and on every machine."""
    folded = 0
    for word in struct.unpack(">4I", address):
        folded = (folded * 31 + word) & _WORD
    return ((folded * _PRIME) & _WORD) >> 8


Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand


def program(places: Mapping[int, int], *, others: int) -> list[Instruction]:
    """Instructions that return the place of a packet's folded source address, or `others`."""
    return [*_folded(), *_tree(sorted(places.items()), others)]


def program_by_fold(count: int) -> list[Instruction]:
    """Instructions that deal all senders, listed or not, out to so many places."""
    return [*_folded(), (_MODULO, 0, 0, count), (_RETURN_IT, 0, 0, 0)]


def _folded() -> list[Instruction]:
    mapped = (0xFFFF * 31) & _WORD  # what the first three words of a mapped address come to
    six: list[Instruction] = [(_LOAD, 0, 0, _NET + 8)]
    for offset in (12, 16, 20):
        six += [(_MULTIPLY, 0, 0, 31), (_KEEP, 0, 0, 0), (_LOAD, 0, 0, _NET + offset), (_ADD_X, 0, 0, 0)]
    four: list[Instruction] = [(_LOAD, 0, 0, _NET + 12), (_ADD, 0, 0, mapped), (_JUMP, 0, 0, len(six))]
    return [
        (_LOAD_BYTE, 0, 0, _NET),
        (_SHIFT, 0, 0, 4),
        (_EQUAL, 0, len(four), 4),
        *four,
        *six,
        (_MULTIPLY, 0, 0, _PRIME),
        (_SHIFT, 0, 0, 8),
    ]


def _tree(places: Sequence[tuple[int, int]], others: int) -> list[Instruction]:
    if len(places) <= 4:
        leaf = [one for value, place in places for one in ((_EQUAL, 0, 1, value), (_RETURN, 0, 0, place))]
        return [*leaf, (_RETURN, 0, 0, others)]
    half = len(places) // 2
    low, high = _tree(places[:half], others), _tree(places[half:], others)
    return [(_GREATER, 0, 1, places[half - 1][0]), (_JUMP, 0, 0, len(low)), *low, *high]


@dataclass(frozen=True, slots=True)
class Place:
    """One socket of a group: whose datagrams it gets, by their numbers among the listed senders."""

    partition: int | None  # of all its senders; None: the strangers' socket
    senders: tuple[int, ...] = ()


def places(listed: Sequence[bytes], *, partitions: int, most: int = 64) -> list[Place]:
    """Deal senders out to about `most` sockets, so that those of one socket share a partition, and one for strangers.

    A sender's partition is its fold modulo `partitions`. Above MOST_LISTED senders there is no room for strangers of
    their own: they come in with the others, and are told apart later.
    """
    share = max(1, most // partitions)
    if len(listed) > MOST_LISTED:
        count = share * partitions
        dealt: list[list[int]] = [[] for _ in range(count)]
        for number, address in enumerate(listed):
            dealt[fold(address) % count].append(number)
        return [Place(at % partitions, tuple(numbers)) for at, numbers in enumerate(dealt)]
    by_partition: dict[int, list[int]] = {}
    for number, address in enumerate(listed):
        by_partition.setdefault(fold(address) % partitions, []).append(number)
    found = []
    for partition, numbers in sorted(by_partition.items()):
        found += [Place(partition, tuple(numbers[at::share])) for at in range(min(share, len(numbers)))]
    return [*found, Place(None)]


def open_group(
    address: Address, port: int, *, listed: Sequence[bytes], dealt: Sequence[Place], buffer_bytes: int
) -> list[socket.socket]:
    """A socket for each place, all bound to one port, port 0 being one that is free. Raises OSError.

    The port must be nobody else's: a stranger to the group would be dealt datagrams meant for us.
    """
    with socket_for(address, socket.SOCK_DGRAM) as alone:
        alone.bind((str(address), port))
        port = int(alone.getsockname()[1])
    group: list[socket.socket] = []
    try:
        for place in dealt:
            one = socket_for(address, socket.SOCK_DGRAM)
            group.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            one.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            _enlarge(one, STRANGERS_BYTES if place.partition is None else buffer_bytes)
            one.bind((str(address), port))
        _attach(group[0], _program(listed, dealt))
        for one in group:  # what came before the program was there may lie at the wrong socket
            _empty(one)
    except OSError:
        for one in group:
            one.close()
        raise
    return group


def _program(listed: Sequence[bytes], dealt: Sequence[Place]) -> list[Instruction]:
    if dealt[-1].partition is not None:
        return program_by_fold(len(dealt))
    at = {fold(listed[number]): index for index, place in enumerate(dealt) for number in place.senders}
    return program(at, others=len(dealt) - 1)


def socket_for(address: Address, kind: socket.SocketKind) -> socket.socket:
    """A socket of the address's family that does not block; one for `::` hears IPv4 too."""
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    made = socket.socket(family, kind)
    made.setblocking(False)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    return made


def _enlarge(one: socket.socket, octets: int) -> None:
    with contextlib.suppress(PermissionError):  # beyond net.core.rmem_max for the privileged alone
        one.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, octets)
        return
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, octets)


def _attach(one: socket.socket, instructions: Iterable[Instruction]) -> None:
    packed = [struct.pack("=HBBI", code, yes, no, operand & _WORD) for code, yes, no, operand in instructions]
    code = ctypes.create_string_buffer(b"".join(packed), 8 * len(packed))
    one.setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, struct.pack("@HP", len(packed), ctypes.addressof(code)))


def _empty(one: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        while True:
            one.recv(1)


def drops(one: socket.socket) -> int:
    """Datagrams that the kernel dropped at this socket since it was opened (SO_MEMINFO, Linux 4.12)."""
    return int(struct.unpack_from("=I", one.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36), 4 * _DROPS)[0])
