"""Logging in to a device over SSH: the only home of netmiko.

netmiko finds the prompt, quietens the pager and gets past what devices say at login. What is said afterwards is
`drivers.conversation`.
"""

import select
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from drivers.dialect import Talk

KEEPALIVE_S = 30


@dataclass(frozen=True, slots=True)
class Login:
    """How to get in. Secrets are kept out of `repr` and are masked in every transcript."""

    name: str
    host: str
    port: int
    username: str
    known_hosts: Path
    key_file: str = ""
    password: str = field(default="", repr=False)
    second_secret: str = field(default="", repr=False)
    connect_s: float = 10.0


class Terminal(Protocol):
    """An interactive login, after the first prompt."""

    @property
    def hostname(self) -> str:
        """What stands at the beginning of every prompt."""
        ...

    @property
    def is_open(self) -> bool:
        """False once the other side, or the network, is known to have hung up."""
        ...

    def type(self, text: str) -> None:
        """Type something."""
        ...

    def heard(self, wait_s: float) -> str:
        """What was printed since; where that is nothing, waits so long for the first of it."""
        ...

    def hang_up(self) -> None:
        """Close the connection, without a word."""
        ...


class NetmikoTerminal:
    """A terminal that netmiko has logged in to. Host keys are checked strictly.

    `disconnect` of netmiko is not used: on a device that no longer answers it waits for prompts before it closes.
    """

    def __init__(self, login: Login, talk: Talk) -> None:
        """Log in; raises what netmiko, paramiko and the socket raise."""
        from netmiko import ConnectHandler

        self._connection = ConnectHandler(
            device_type=talk.driver,
            host=login.host,
            port=login.port,
            username=login.username,
            password=login.password or None,
            secret=login.second_secret,
            use_keys=bool(login.key_file),
            key_file=login.key_file or None,
            allow_agent=False,
            ssh_strict=True,
            system_host_keys=False,
            alt_host_keys=True,
            alt_key_file=str(login.known_hosts),
            conn_timeout=login.connect_s,
            auth_timeout=login.connect_s,
            banner_timeout=login.connect_s,
            keepalive=KEEPALIVE_S,
            fast_cli=True,
            session_log=None,
        )
        if talk.elevate and not self._connection.check_enable_mode():
            self._connection.enable()
        self.hostname: str = self._connection.base_prompt

    @property
    def is_open(self) -> bool:
        """Asks the local end only: nothing is sent."""
        channel: Any = self._connection.remote_conn  # netmiko's type names Telnet too, which has none of this
        return bool(
            channel is not None
            and not channel.closed
            and not channel.eof_received
            and (transport := channel.get_transport()) is not None
            and transport.is_active()
        )

    def type(self, text: str) -> None:
        """Type something."""
        self._connection.write_channel(text)

    def heard(self, wait_s: float) -> str:
        """What was printed since, with plain line ends and without terminal sequences.

        A channel becomes readable when it is closed, too.
        """
        if wait_s > 0:
            channel: Any = self._connection.remote_conn
            ready = select.poll()
            ready.register(channel.fileno(), select.POLLIN)
            ready.poll(wait_s * 1000)
        return str(self._connection.read_channel())

    def hang_up(self) -> None:
        """Close the connection."""
        self._connection.paramiko_cleanup()


def failures() -> tuple[type[Exception], ...]:
    """What netmiko, paramiko and the socket raise when a session cannot be opened, or breaks."""
    from netmiko.exceptions import NetmikoBaseException, NetmikoTimeoutException
    from paramiko.ssh_exception import SSHException

    return (NetmikoBaseException, NetmikoTimeoutException, SSHException, OSError, EOFError, ValueError)
