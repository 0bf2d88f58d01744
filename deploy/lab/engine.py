"""Emulated devices behind real SSH: each on a port of its own, with a host key of its own.

The engine is the only part with sockets and a clock. It takes what is typed to the device, lets the faults strike,
and writes the journal; it knows nothing of any platform.
"""

import asyncio
import contextlib
import copy
import hmac
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import asyncssh

from deploy.lab.device import Cli, EmulatedDevice, Packets, Passed, Reply
from deploy.lab.faults import Faults, Kind
from deploy.lab.journal import CONSOLE, MASK, Journal
from deploy.lab.terminal import Terminal

LOG = logging.getLogger(__name__)
LOOPBACK = "127.0.0.1"
Clock = Callable[[], float]


@runtime_checkable
class Executes(Protocol):
    """A platform that runs one command without a terminal, as `ssh host command` asks for."""

    def run(self, command: str, *, now: float) -> tuple[Reply, int]:
        """Run one command; the reply and its exit status."""
        ...


@runtime_checkable
class Pretends(Protocol):
    """A platform that knows better than a copy how to answer a line that shall change nothing."""

    def pretend(self, text: str, *, now: float) -> Reply:
        """Answer as if the line were executed."""
        ...


@dataclass(frozen=True, slots=True)
class Account:
    """Who may log in to a device: by password, by one of the public keys (OpenSSH lines), or by either."""

    user: str
    password: str = ""
    keys: tuple[str, ...] = ()


class _Door(asyncssh.SSHServer):
    """Decides who comes in."""

    def __init__(self, host: "Host") -> None:
        self._host = host

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._host.connections.add(conn)
        self._connection = conn

    def connection_lost(self, exc: Exception | None) -> None:
        self._host.connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        account = self._host.account
        known = hmac.compare_digest(password.encode(), account.password.encode())
        return bool(account.password) and known and username == account.user

    def public_key_auth_supported(self) -> bool:
        return bool(self._host.account.keys)

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        account = self._host.account
        return username == account.user and key in [asyncssh.import_public_key(line) for line in account.keys]


class Host:
    """One emulated device, its SSH port, its faults and its journal."""

    def __init__(
        self, device: EmulatedDevice, *, account: Account, key: asyncssh.SSHKey, journal: Journal, clock: Clock
    ) -> None:
        self.device = device
        self.account = account
        self.key = key
        self.journal = journal
        self.faults = Faults()
        self.connections: set[asyncssh.SSHServerConnection] = set()
        self.port = 0
        self.powered = True
        self._clock = clock
        self._listener: asyncssh.SSHAcceptor | None = None
        self._waking: asyncio.Task[None] | None = None

    async def listen(self) -> None:
        """Open the SSH port; the first time a free one is chosen, later the same is taken again."""
        self._listener = await asyncssh.listen(
            LOOPBACK,
            self.port,
            server_factory=lambda: _Door(self),
            server_host_keys=[self.key],
            process_factory=self._converse,
            line_editor=False,
            encoding="utf-8",
            errors="replace",
            gss_host=None,
            sftp_factory=None,
            allow_scp=False,
        )
        self.port = self._listener.get_port()

    async def close(self) -> None:
        """Close the port and cut every session."""
        if self._waking:
            self._waking.cancel()
        await self._shut()
        self.journal.close()

    async def lose_power(self, seconds: float) -> None:
        """Cut everything, forget what was not saved, and come back after `seconds`."""
        self.powered = False
        self.device.power_cycle(now=self._clock())
        await self._shut()
        if self._waking:
            self._waking.cancel()
        self._waking = asyncio.create_task(self._wake(seconds), name=f"{self.device.name} boots")

    def forward(self, bursts: Sequence[Packets], *, now: float) -> list[Passed]:
        """Pass traffic through the device; one without power passes nothing."""
        if not self.powered:
            return [Passed(0, 0, None, "no power") for _ in bursts]
        return self.device.forward(bursts, now=now)

    def tick(self, *, now: float) -> None:
        """Let the device's timers act, if it has power."""
        if self.powered:
            self.device.tick(now=now)

    def edit(self, lines: Sequence[str]) -> list[str]:
        """Type `lines` at the console, as somebody else who has the right to; what the device printed to each."""
        cli = self.device.login(self.account.user)
        try:
            return [self._execute(cli, CONSOLE, line).text for line in lines]
        finally:
            cli.closed()

    async def _wake(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.listen()
        self.powered = True

    async def _shut(self) -> None:
        for connection in list(self.connections):
            connection.abort()
        if self._listener:
            self._listener.close()
            await self._listener.wait_closed()
            self._listener = None

    async def _converse(self, process: "asyncssh.SSHServerProcess[str]") -> None:
        """Serve one session from its first prompt to its end."""
        session = self.journal.opened(now=self._clock())
        cli = self.device.login(process.get_extra_info("username"))
        status = 0
        try:
            if process.command is None:
                await self._interact(process, cli, session)
            else:
                status = await self._exec(process, cli, session, process.command)
        except (asyncssh.Error, ConnectionError, asyncio.IncompleteReadError):
            status = 255
        except Exception:
            LOG.exception("%s failed at its work; the session is cut", self.device.name)
            status = 255
        finally:
            cli.closed()
            self.journal.ended(session, now=self._clock())
            with contextlib.suppress(asyncssh.Error, OSError):
                process.exit(status)

    async def _interact(self, process: "asyncssh.SSHServerProcess[str]", cli: Cli, session: int) -> None:
        async def ask(line: str) -> Reply | None:
            return await self._hear(process, cli, session, line)

        terminal = Terminal(cli, write=process.stdout.write, ask=ask)
        terminal.start()
        while True:
            try:
                keys = await process.stdin.read(4096)
            except asyncssh.TerminalSizeChanged:
                continue
            except asyncssh.BreakReceived:
                keys = "\x03"
            if not keys or not await terminal.feed(keys):
                return

    async def _exec(self, process: "asyncssh.SSHServerProcess[str]", cli: Cli, session: int, command: str) -> int:
        status = 0
        if isinstance(cli, Executes):
            executes = cli

            def run(line: str) -> Reply:
                nonlocal status
                reply, status = executes.run(line, now=self._clock())
                return reply

            reply = await self._hear(process, cli, session, command, execute=run)
        else:
            reply = await self._hear(process, cli, session, command)
        if reply is not None:
            process.stdout.write("".join((reply.text, *reply.pages)))
        return status

    async def _hear(
        self,
        process: "asyncssh.SSHServerProcess[str]",
        cli: Cli,
        session: int,
        line: str,
        execute: Callable[[str], Reply] | None = None,
    ) -> Reply | None:
        """Answer one line unless a fault has it otherwise; None when the session is over."""
        struck = self.faults.strike(line)
        if struck.delay:
            await asyncio.sleep(struck.delay)
        match struck.kind:
            case None:
                return self._execute(cli, session, line, execute)
            case Kind.REFUSE:
                return self._note(cli.mode, session, line, cli.refusal(line))
            case Kind.IGNORE:
                return self._note(cli.mode, session, line, self._pretend(cli, line, execute))
            case Kind.HANG:
                self._note(cli.mode, session, line, Reply(accepted=False))
                await _until_hung_up(process)
            case Kind.DROP:
                self._note(cli.mode, session, line, Reply(accepted=False))
                process.channel.get_connection().abort()
            case Kind.DROP_AFTER:
                self._execute(cli, session, line, execute)
                process.channel.get_connection().abort()
            case Kind.POWER:
                self._note(cli.mode, session, line, Reply(accepted=False))
                await self.lose_power(struck.seconds)
        return None

    def _execute(self, cli: Cli, session: int, line: str, execute: Callable[[str], Reply] | None = None) -> Reply:
        mode = cli.mode
        reply = execute(line) if execute else cli.line(line, now=self._clock())
        return self._note(mode, session, line, reply)

    def _pretend(self, cli: Cli, line: str, execute: Callable[[str], Reply] | None) -> Reply:
        """What the device would have answered: asked of a copy, which is thrown away with the change."""
        if execute and isinstance(cli, Executes):
            return copy.deepcopy(cli).run(line, now=self._clock())[0]
        if isinstance(cli, Pretends):
            return cli.pretend(line, now=self._clock())
        return copy.deepcopy(cli).line(line, now=self._clock())

    def _note(self, mode: str, session: int, line: str, reply: Reply) -> Reply:
        if line.strip():
            shown = MASK if mode == "password" else line
            self.journal.heard(
                session, mode, shown, accepted=reply.accepted, configured=reply.configured, now=self._clock()
            )
        return reply


async def _until_hung_up(process: "asyncssh.SSHServerProcess[str]") -> None:
    """Swallow everything that is typed until the other side closes the session."""
    while True:
        try:
            if not await process.stdin.read(4096):
                break
        except (asyncssh.TerminalSizeChanged, asyncssh.BreakReceived):
            continue
    await process.channel.wait_closed()
