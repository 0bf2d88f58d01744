"""The laboratory's own way to the emulated devices: a Unix socket, one JSON object per line in, one out.

Nothing of what it offers exists at a real device: sending traffic, setting faults, reading configurations whole.
An answer is `{"ok": …}` or `{"error": "…"}`.
"""

import asyncio
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from deploy.lab.device import Packets, Passed
from deploy.lab.engine import Host
from deploy.lab.faults import Fault

Answer = TypeVar("Answer")

LONGEST = 64 << 20  # octets of one request or answer


@dataclass(frozen=True, slots=True)
class Burst:
    """Packets and their way: (device, interface by which they enter it), in order.

    `packets.interface` is replaced by each hop's; behind a hop the burst carries the VLAN in which it left.
    """

    path: tuple[tuple[str, str], ...]
    packets: Packets


@dataclass(frozen=True, slots=True)
class Arrival:
    """What of a burst left its last hop and in which VLAN, and the first hop that held some of it back, and why."""

    packets: int
    octets: int
    vlan: int | None = None
    stopped_by: str | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One question; which fields count depends on `op`."""

    op: str
    now: float = 0.0
    bursts: tuple[Burst, ...] = ()
    device: str = ""
    fault: Fault | None = None
    lines: tuple[str, ...] = ()
    seconds: float = 0.0


class ControlError(Exception):
    """The emulators refused a request; the message says why."""


def forward(hosts: Mapping[str, Host], bursts: Sequence[Burst], *, now: float) -> list[Arrival]:
    """Send bursts along their paths, hop after hop, so that each device sees all that reaches it in one call."""
    left = [Passed(burst.packets.packets, burst.packets.octets, burst.packets.vlan) for burst in bursts]
    stopped: dict[int, tuple[str, str]] = {}
    hop, alive = 0, list(range(len(bursts)))
    while alive := [index for index in alive if hop < len(bursts[index].path) and left[index].packets]:
        at_device: dict[str, list[int]] = {}
        for index in alive:
            at_device.setdefault(bursts[index].path[hop][0], []).append(index)
        for name, indices in at_device.items():
            entering = [_entering(bursts[index], hop, left[index]) for index in indices]
            for index, passed in zip(indices, hosts[name].forward(entering, now=now), strict=True):
                if passed.packets < left[index].packets:
                    stopped.setdefault(index, (name, passed.why))
                left[index] = passed
        hop += 1
    return [
        Arrival(passed.packets, passed.octets, passed.vlan, *stopped.get(index, (None, "")))
        for index, passed in enumerate(left)
    ]


def _entering(burst: Burst, hop: int, left: Passed) -> Packets:
    """Give what is left of a burst as it enters its next device."""
    packets, interface = burst.packets, burst.path[hop][1]
    if not hop and packets.interface == interface:
        return packets
    return replace(packets, interface=interface, packets=left.packets, octets=left.octets, vlan=left.vlan)


class Control:
    """Answers requests for the hosts of one process."""

    def __init__(self, hosts: Mapping[str, Host], consoles: Mapping[str, tuple[str, ...]]) -> None:
        """Take the hosts by name, and per platform the lines by which its console saves the configuration."""
        self._hosts = hosts
        self._consoles = consoles

    async def serve(self, path: Path) -> asyncio.Server:
        """Listen on `path`, readable by this user alone."""
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._converse, path, limit=LONGEST)
        path.chmod(0o600)
        return server

    async def answer(self, request: Request) -> object:
        """Do what is asked; ControlError says why not."""
        hosts = self._hosts
        match request.op:
            case "forward":
                self._check(name for burst in request.bursts for name, _ in burst.path)
                return forward(hosts, request.bursts, now=request.now)
            case "configurations":
                return {name: host.device.configuration() for name, host in hosts.items()}
            case "counters":
                return {
                    name: {"platform": host.device.platform, **host.journal.counts.as_dict()}
                    for name, host in hosts.items()
                }
        host = hosts.get(request.device)
        if host is None:
            raise ControlError(f"no device {request.device!r}")
        match request.op:
            case "fault" if request.fault:
                host.faults.add(request.fault)
            case "clear":
                host.faults.clear()
            case "power":
                await host.lose_power(request.seconds)
            case "edit":
                return host.edit(request.lines)
            case "save":
                return host.edit(self._consoles.get(host.device.platform, ()))
            case _:
                raise ControlError(f"unknown request {request.op!r}")
        return None

    def _check(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self._hosts:
                raise ControlError(f"no device {name!r}")

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder, encoder = msgspec.json.Decoder(Request), msgspec.json.Encoder()
        try:
            while line := await reader.readline():
                try:
                    answer: dict[str, object] = {"ok": await self.answer(decoder.decode(line))}
                except (ControlError, ValueError) as error:
                    answer = {"error": str(error)}
                writer.write(encoder.encode(answer) + b"\n")
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


class Emulators:
    """The socket's other end, for programs without an event loop: one connection, one request at a time."""

    def __init__(self, path: Path) -> None:
        """Connect to RUN/control.sock; ConnectionError when nobody listens."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._stream = self._socket.makefile("rwb")

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up."""
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._stream.close()
        self._socket.close()

    def forward(self, bursts: Sequence[Burst], *, now: float) -> list[Arrival]:
        """Send traffic through the devices; one arrival per burst, in order."""
        return self._ask(Request("forward", now=now, bursts=tuple(bursts)), list[Arrival])

    def configurations(self) -> dict[str, list[str]]:
        """Read every device's running configuration, in canonical lines."""
        return self._ask(Request("configurations"), dict[str, list[str]])

    def counters(self) -> dict[str, dict[str, int | str]]:
        """Read per device: platform, config_lines, refused, sessions."""
        return self._ask(Request("counters"), dict[str, dict[str, int | str]])

    def fault(self, device: str, fault: Fault) -> None:
        """Set a fault at a device."""
        self._tell(Request("fault", device=device, fault=fault))

    def clear(self, device: str) -> None:
        """Take all faults off a device."""
        self._tell(Request("clear", device=device))

    def power(self, device: str, *, seconds: float = 0.0) -> None:
        """Take the power off a device; it is back after `seconds`."""
        self._tell(Request("power", device=device, seconds=seconds))

    def edit(self, device: str, lines: Sequence[str]) -> list[str]:
        """Type lines at the console as a person would; what the device printed to each."""
        return self._ask(Request("edit", device=device, lines=tuple(lines)), list[str])

    def save(self, device: str) -> list[str]:
        """Save the running configuration as a person at the console would."""
        return self._ask(Request("save", device=device), list[str])

    def _tell(self, request: Request) -> None:
        self._ask(request, object)

    def _ask(self, request: Request, kind: type[Answer]) -> Answer:
        self._stream.write(msgspec.json.encode(request) + b"\n")
        self._stream.flush()
        line = self._stream.readline()
        if not line:
            raise ConnectionResetError("the emulators hung up")
        answer = msgspec.json.decode(line)
        if "error" in answer:
            raise ControlError(answer["error"])
        return msgspec.convert(answer["ok"], kind)
