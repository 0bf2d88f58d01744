"""Syslog over TCP (RFC 6587) and TLS (RFC 5425), in a thread of its own: lines go to an inbox.

Nothing is lost here for want of room: while the inbox is full nothing is read, and the senders' own systems hold what
they have to say. Who is not listed is turned away before a word is said.
"""

import asyncio
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.domain.address import address_of, packed
from streams.listen.framing import Framing
from streams.listen.inbox import Inbox, Lines

HANDSHAKE_S = 10.0
MOST_OF_ONE = 64
MOST = 1_024
BREATH_S = 0.01
LEAVING_S = 5.0


@dataclass(frozen=True, slots=True)
class Door:
    """A listening socket; with a context, TLS is spoken behind it."""

    socket: socket.socket
    context: ssl.SSLContext | None = None


def tls_context(certificate: str, key: str, client_ca: str) -> ssl.SSLContext:
    """A server's context; with a CA, whoever shows no certificate of it is refused. Raises OSError, ssl.SSLError."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.load_cert_chain(certificate, key)
    if client_ca:
        made.load_verify_locations(client_ca)
        made.verify_mode = ssl.CERT_REQUIRED
    return made


class Connections:
    """The doors of one topic and whoever came in by them. Starts with `start`; `stop` closes everything."""

    def __init__(
        self, doors: Sequence[Door], listed: Mapping[bytes, int], inbox: Inbox, *, wall_ns: Callable[[], int]
    ) -> None:
        """`listed` gives the numbers of those who may send, by their packed addresses."""
        self._doors = doors
        self._reception = _Reception(listed, inbox, wall_ns)
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="connections", daemon=True)

    def start(self) -> None:
        """Begin to accept."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """False when the thread has ended, whatever for."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Close doors and connections; what was read lies in the inbox then."""
        if self.alive:
            self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(LEAVING_S)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        servers = [await self._loop.create_server(self._visits(door), sock=door.socket) for door in self._doors]
        await self._stopped.wait()
        for server in servers:
            server.close()
        await self._reception.leave()

    def _visits(self, door: Door) -> Callable[[], asyncio.Protocol]:
        return lambda: _Connection(self._reception, door.context)


class _Reception:
    """What all connections share; lives in their thread."""

    def __init__(self, listed: Mapping[bytes, int], inbox: Inbox, wall_ns: Callable[[], int]) -> None:
        self.listed, self.inbox, self.wall_ns = listed, inbox, wall_ns
        self._inside: dict[_Connection, str] = {}
        self._each: Counter[str] = Counter()
        self._paused: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def enter(self, one: "_Connection", name: str) -> bool:
        """Let a connection in, unless there are too many of its sender, or of all."""
        if self._each[name] >= MOST_OF_ONE or len(self._inside) >= MOST:
            self.inbox.fault(name, "connections_refused")
            return False
        self._inside[one] = name
        self._each[name] += 1
        return True

    def exit(self, one: "_Connection") -> None:
        """Forget a connection; harmless when it never came in."""
        name = self._inside.pop(one, None)
        if name is not None:
            self._each[name] -= 1
            self._paused.discard(one)

    def hold(self, one: "_Connection") -> None:
        """Read no more from a connection until there is room."""
        one.pause()
        if not self._paused:
            self.spawn(self._breathe())
        self._paused.add(one)

    async def _breathe(self) -> None:
        while self._paused:
            await asyncio.sleep(BREATH_S)
            if not self.inbox.full:
                for one in tuple(self._paused):
                    self._paused.discard(one)
                    one.go_on()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def leave(self) -> None:
        """Close every connection."""
        for task in tuple(self._tasks):
            task.cancel()
        for one in tuple(self._inside):
            one.abort()
        await asyncio.sleep(0)  # connection_lost comes with the loop's next turn


class _Connection(asyncio.Protocol):
    """One sender's stream."""

    def __init__(self, reception: _Reception, context: ssl.SSLContext | None) -> None:
        self._reception, self._context = reception, context
        self._framing = Framing()
        self._transport: asyncio.Transport | None = None
        self._name, self._number = "", -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Look who it is, and speak TLS first where that is asked."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what streams have
        self._transport = transport
        peer = transport.get_extra_info("peername")
        if peer is None:  # gone again already
            transport.abort()
            return
        address = address_of(str(peer[0]).partition("%")[0])
        self._name, self._number = str(address), self._reception.listed.get(packed(address), -1)
        if self._number < 0:
            self._reception.inbox.refuse(self._name)
            transport.abort()
        elif not self._reception.enter(self, self._name):
            transport.abort()
        else:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self._context is not None:
                transport.pause_reading()
                self._reception.spawn(self._shake_hands(transport, self._context))

    async def _shake_hands(self, transport: asyncio.Transport, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._transport = await loop.start_tls(
                transport, self, context, server_side=True, ssl_handshake_timeout=HANDSHAKE_S
            )
        except OSError:  # no certificate, a wrong one, not TLS, or nothing at all for too long
            self._reception.inbox.fault(self._name, "tls_refused")
            self._reception.exit(self)
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Hand on the lines that have become whole."""
        self._hand_on(self._framing.feed(data))
        if self._reception.inbox.full:
            self._reception.hold(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Hand on what was begun, and count what was torn."""
        self._hand_on(self._framing.rest())
        for what in ("cut", "torn"):
            if times := getattr(self._framing, what):
                self._reception.inbox.fault(self._name, what, times)
        self._reception.exit(self)

    def _hand_on(self, lines: list[bytes]) -> None:
        if lines:
            octets = sum(map(len, lines))
            self._reception.inbox.put(Lines(self._number, self._reception.wall_ns(), lines, octets))

    def pause(self) -> None:
        """Read no more."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def go_on(self) -> None:
        """Read again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()
