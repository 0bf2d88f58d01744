"""CPU time of processes, user and system, as the kernel counts it (proc(5), /proc/PID/stat), and what sockets lost."""

import os
from collections.abc import Iterable
from pathlib import Path

TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")


def spent_s(stat: str) -> float:
    """Seconds of CPU by the text of /proc/PID/stat: fields 14 and 15. A name may hold blanks."""
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def cpu_s(pids: Iterable[int]) -> float:
    """Seconds of CPU of processes together, all threads of each. Raises FileNotFoundError when one is gone."""
    return sum(spent_s(Path(f"/proc/{pid}/stat").read_text()) for pid in pids)


def lost_at(port: int, table: str) -> int | None:
    """Datagrams for which sockets at a UDP port had no room, by the text of /proc/net/udp; None: nobody listens."""
    found = [line.split() for line in table.splitlines()[1:]]
    mine = [int(fields[-1]) for fields in found if int(fields[1].rpartition(":")[2], 16) == port]
    return sum(mine) if mine else None


def dropped_at(port: int) -> int | None:
    """Datagrams lost at an IPv4 port of this machine's since it was opened; None: nobody listens."""
    return lost_at(port, Path("/proc/net/udp").read_text())
