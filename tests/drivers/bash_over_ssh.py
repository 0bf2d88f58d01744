"""A machine to log in to: asyncssh in front of the real bash on a real terminal, in a network namespace.

`python bash_over_ssh.py NAMESPACE FOLDER PASSWORD` writes FOLDER/known_hosts and prints the port.
"""

import asyncio
import fcntl
import os
import pty
import struct
import sys
import termios
from pathlib import Path

import asyncssh


class Door(asyncssh.SSHServer):
    """Lets root in with the password given at start."""

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return username == "root" and password == sys.argv[3]


async def terminal(process: "asyncssh.SSHServerProcess[bytes]") -> None:
    """One login: bash with readline, echo and a prompt, as wide as the other side asked."""
    outside, inside = pty.openpty()
    width, height, *_ = process.term_size
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    environment = {**os.environ, "TERM": process.term_type or "vt100", "PS1": r"\u@\h:\w\$ "}
    bash = await asyncio.create_subprocess_exec(
        *("ip", "netns", "exec", sys.argv[1], "bash", "--norc", "-i"),
        stdin=inside,
        stdout=inside,
        stderr=inside,
        env=environment,
        start_new_session=True,
    )
    os.close(inside)
    loop = asyncio.get_running_loop()

    def printed() -> None:
        try:
            data = os.read(outside, 65_536)
        except OSError:  # the other end of a terminal closes with an input/output error
            data = b""
        if data:
            process.stdout.write(data)
        else:
            loop.remove_reader(outside)

    loop.add_reader(outside, printed)
    try:
        while data := await process.stdin.read(4_096):
            os.write(outside, data)
    finally:
        loop.remove_reader(outside)
        if bash.returncode is None:
            bash.kill()
        await bash.wait()
        os.close(outside)


async def main() -> None:
    """Listen until killed."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    server = await asyncssh.create_server(
        Door, "127.0.0.1", 0, server_host_keys=[key], process_factory=terminal, encoding=None, line_editor=False
    )
    port = server.get_port()
    Path(sys.argv[2], "known_hosts").write_text(f"[127.0.0.1]:{port} {key.export_public_key().decode()}")
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await server.serve_forever()


asyncio.run(main())
