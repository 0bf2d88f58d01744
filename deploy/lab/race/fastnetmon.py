"""FastNetMon as Debian ships it: told in a file what to guard and what to run when somebody floods."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

PROGRAM = "/usr/sbin/fastnetmon"
DEFAULT_AVERAGE_S = 5
"""`average_calculation_time` of the shipped configuration."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What it is to do. `networks` is all that it looks at: it ignores what both comes from them and goes to them."""

    networks: tuple[str, ...]
    threshold_pps: int
    average_s: int
    sflow_host: str
    sflow_port: int
    command: str  # run by a shell, once, when it bans somebody


def settings(guard: Guard, home: Path) -> str:
    """Its configuration: shipped values but for what is named here. Keys as in Debian's fastnetmon.conf."""
    values = {
        "logging_level": "info",
        "disable_usage_report": "on",  # it would look for its makers' server
        "enable_ban": "on",
        "enable_ban_ipv6": "on",
        "process_incoming_traffic": "on",
        "process_outgoing_traffic": "on",
        "ban_details_records_count": 20,
        "ban_time": 1900,
        "unban_only_if_attack_finished": "on",
        "networks_list_path": home / "networks",
        "white_list_path": home / "white",
        "check_period": 1,
        "enable_connection_tracking": "on",
        "ban_for_pps": "on",
        "ban_for_bandwidth": "off",
        "ban_for_flows": "off",
        "threshold_pps": guard.threshold_pps,
        "sflow": "on",
        "sflow_host": guard.sflow_host,
        "sflow_port": guard.sflow_port,
        "average_calculation_time": guard.average_s,
        "speed_calculation_delay": 1,
        "notify_script_path": home / "notify",
        "monitor_local_ip_addresses": "off",
        "enable_api": "off",
        "pid_path": home / "pid",
        "cli_stats_file_path": home / "stats",
        "cli_stats_ipv6_file_path": home / "stats6",
    }
    return "".join(f"{key} = {value}\n" for key, value in values.items())


class FastNetMon:
    """One run of it, in the namespace that `inside` enters. It must be told of one flood only: it bans once."""

    def __init__(self, guard: Guard, home: Path, *, inside: Sequence[str] = ()) -> None:
        self._home, self._inside = home, tuple(inside)
        home.mkdir(parents=True, exist_ok=True)
        (home / "networks").write_text("".join(f"{one}\n" for one in guard.networks))
        (home / "white").write_text("")
        (home / "settings").write_text(settings(guard, home))
        script = home / "notify"
        # Called as: script ADDRESS DIRECTION PPS ban|unban|attack_details, the last more than once for one attack.
        script.write_text(f'#!/bin/sh\n[ "$4" = ban ] || exit 0\ncat > /dev/null &\n{guard.command}\n')
        script.chmod(0o700)
        self._process: subprocess.Popen[bytes] | None = None
        self._out: IO[bytes] | None = None

    def __enter__(self) -> Self:
        self._out = (self._home / "console").open("wb")
        command = [PROGRAM, "--configuration_file", str(self._home / "settings"), "--disable_pid_logic"]
        command += ["--log_file", str(self._home / "log")]
        self._process = subprocess.Popen(
            [*self._inside, *command], stdin=subprocess.DEVNULL, stdout=self._out, stderr=self._out
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(5.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._out is not None:
            self._out.close()

    @property
    def pid(self) -> int:
        """Its process id, or that of the program that entered the namespace for it; 0 when it was not started."""
        return self._process.pid if self._process is not None else 0

    @property
    def running(self) -> bool:
        """False when it has ended by itself; `log` says why."""
        return self._process is not None and self._process.poll() is None

    @property
    def hears(self) -> bool:
        """True once its sFlow collector has opened its port."""
        return "Default sFlow receive buffer size" in self.log

    @property
    def log(self) -> str:
        """What it has written."""
        file = self._home / "log"
        return file.read_text(errors="replace") if file.exists() else ""
