"""One lab at a time on a machine: a locked file that goes with the lab, and the sweeping out of labs that died."""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

from deploy.lab.net.namespaces import PREFIX, LabError, existing, ip, remove, shallow_queues

HOME = Path("/run/cordon-lab")
QUEUES = "rmem_default"
LEG = "cl-"  # how the machine's own links into a lab's management network are called


class Lock:
    """Held from `take` to `leave`, and let go by the kernel when the holder dies."""

    def __init__(self, home: Path = HOME) -> None:
        self._home, self._descriptor = home, -1

    def take(self) -> None:
        """Hold it. Raises LabError when another lab runs."""
        while True:
            self._home.mkdir(parents=True, exist_ok=True)
            path = self._home / "lock"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(descriptor, 20).decode() or "unknown"
                os.close(descriptor)
                raise LabError(f"another lab runs on this machine, of process {holder}; `cordon lab down`") from None
            # The file may have been removed by a lab that ended between the two calls: then nobody else sees this one.
            with suppress(FileNotFoundError):
                if path.stat().st_ino == os.fstat(descriptor).st_ino:
                    os.ftruncate(descriptor, 0)
                    os.write(descriptor, str(os.getpid()).encode())
                    self._descriptor = descriptor
                    return
            os.close(descriptor)

    def leave(self) -> None:
        """Let go of it and remove all traces of it. Harmless when it is not held."""
        if self._descriptor >= 0:
            (self._home / "lock").unlink(missing_ok=True)
            with suppress(OSError):  # somebody else's files are in there
                self._home.rmdir()
            os.close(self._descriptor)
            self._descriptor = -1


def holder(home: Path = HOME) -> int:
    """The process that holds the lock; 0: nobody does."""
    try:
        descriptor = os.open(home / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(os.read(descriptor, 20) or b"0")
    else:
        return 0
    finally:
        os.close(descriptor)


def sweep(home: Path = HOME, *, prefix: str = PREFIX, leg: str = LEG) -> tuple[str, ...]:
    """Remove what is left of labs whose holder died; what was found. Only who holds the lock may do so."""
    spaces = existing(prefix)
    for space in spaces:
        for number in _inhabitants(space):
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
    links = tuple(name for _, name in socket.if_nameindex() if name.startswith(leg))
    for link in links:
        with suppress(LabError):  # it went with the other end
            ip(f"link del {link}")
    remove(spaces)
    folders = tuple(entry for entry in home.iterdir() if entry.is_dir()) if home.is_dir() else ()
    shallow_queues(home / QUEUES)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    return (*spaces, *links, *(str(folder) for folder in folders))


def _inhabitants(space: str) -> tuple[int, ...]:
    listed = subprocess.run(("ip", "netns", "pids", space), capture_output=True, text=True, check=False).stdout
    return tuple(int(number) for number in listed.split())
