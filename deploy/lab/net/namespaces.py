"""Network namespaces and what is in them: names with a run's id, cables, addresses, offloads."""

import array
import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from deploy.lab.net.plan import End

NAMED = Path("/run/netns")
PREFIX = "cordon-lab-"
CLONE_NEWNET = 0x4000_0000  # sched.h
SIOCETHTOOL = 0x8946  # linux/sockios.h
DEEP = 8 << 20  # octets
_DEFAULT_QUEUE = Path("/proc/sys/net/core/rmem_default")
ETHTOOL_STXCSUM = 0x17  # linux/ethtool.h


class LabError(RuntimeError):
    """The network could not be built, or the machine refuses something; the message says what."""


def namespace(run: str, place: str) -> str:
    """The name of a place's namespace."""
    return f"{PREFIX}{run}-{place}"


def existing(prefix: str = PREFIX) -> tuple[str, ...]:
    """Namespaces whose names begin so."""
    found = NAMED.iterdir() if NAMED.is_dir() else ()
    return tuple(sorted(entry.name for entry in found if entry.name.startswith(prefix)))


def ip(*lines: str, inside: str = "") -> None:
    """All lines as one batch. Raises LabError with what the program says."""
    command = ("ip", *(("-n", inside) if inside else ()), "-batch", "-")
    done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise LabError(f"ip in {inside or 'the machine'}: {done.stderr.strip()}")


def cable(run: str, near: End, far: End) -> str:
    """The line of ip(8) that lays a cable between two places."""
    return f"link add {_end(run, near)} type veth peer {_end(run, far)}"


def _end(run: str, end: End) -> str:
    mac = f" address {end.mac}" if end.mac else ""
    index = f" index {end.if_index}" if end.if_index else ""
    return f"name {end.interface}{index}{mac} netns {namespace(run, end.where)}"


def remove(names: Iterable[str]) -> None:
    """Delete namespaces, and with them every cable that ends there; harmless where one is gone already."""
    names = tuple(names)
    if names:
        script = "\n".join(f"netns del {name}" for name in names)
        subprocess.run(("ip", "-force", "-batch", "-"), input=script, capture_output=True, text=True, check=False)


@contextlib.contextmanager
def inside(name: str) -> Iterator[None]:
    """The calling thread is in a namespace for as long; sockets that are opened here stay there."""
    with Path("/proc/thread-self/ns/net").open() as home:
        with (NAMED / name).open() as there:
            _enter(there.fileno())
        try:
            yield
        finally:
            _enter(home.fileno())


def _enter(descriptor: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise LabError(f"the machine lets nobody enter a namespace: {os.strerror(number)}")


@contextlib.contextmanager
def deep_queues(note: Path) -> Iterator[None]:
    """Sockets that anybody opens meanwhile hold as many packets as a switch's port does, where the machine allows it.

    A userspace switch takes the default, which is some 20 ms of a flood. The default is one for the whole machine,
    so it is raised only for the moment in which ports are opened; `note` keeps the old one for whoever has to clear up.
    """
    note.write_text(_DEFAULT_QUEUE.read_text())
    with contextlib.suppress(PermissionError):  # a container may look at it and no more
        _DEFAULT_QUEUE.write_text(str(DEEP))
    try:
        yield
    finally:
        shallow_queues(note)


def shallow_queues(note: Path) -> None:
    """Put the machine's default back, if `note` says that it was changed."""
    if note.exists():
        with contextlib.suppress(PermissionError):
            _DEFAULT_QUEUE.write_text(note.read_text())
        note.unlink()


def tune(settings: Mapping[str, int]) -> None:
    """Set what stands under /proc/sys/net, in the namespace that this thread is in."""
    for name, value in settings.items():
        Path("/proc/sys/net", name).write_text(str(value))


def checksum_by_the_sender(interface: str) -> None:
    """Let the sender compute checksums: a userspace switch copies frames, and no card behind it completes them."""
    value = array.array("B", struct.pack("II", ETHTOOL_STXCSUM, 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as some:
        fcntl.ioctl(some, SIOCETHTOOL, struct.pack("16sP", interface.encode(), value.buffer_info()[0]))


def interfaces(name: str) -> tuple[str, ...]:
    """Links of a namespace."""
    with inside(name):
        return tuple(found for _, found in socket.if_nameindex())
