"""A provider's devices, emulated in one process: `python -m deploy.lab.emulators --plan FILE --run DIR`.

Writes into DIR, before it prints the line "ready": `devices.json` {name: {host, port, platform, hostname, user}},
`known_hosts` in OpenSSH's format, `keys/` with the devices' host keys, and the socket `control.sock`.
DIR/authorized_keys, if it exists, opens every device; a device's options `user`, `password` and `authorized_key` that
device alone. SIGTERM and SIGINT end it cleanly.
"""

import argparse
import asyncio
import contextlib
import importlib
import json
import logging
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

import asyncssh
import msgspec

from deploy.lab.control import Control
from deploy.lab.device import DevicePlan, EmulatedDevice
from deploy.lab.engine import LOOPBACK, Account, Host
from deploy.lab.journal import Journal

TICK = 0.1  # seconds between two looks at the devices' own timers

PLATFORMS = MappingProxyType(
    {
        "ovs_linux": ("deploy.lab.ovs", "OvsDevice"),
        "linux_nftables": ("deploy.lab.nft", "NftDevice"),
        "cisco_ios": ("deploy.lab.ios", "IosDevice"),
        "juniper_junos": ("deploy.lab.junos", "JunosDevice"),
        "checkpoint_gaia": ("deploy.lab.gaia", "GaiaDevice"),
    }
)
ROOT_PLATFORMS = frozenset({"ovs_linux", "linux_nftables"})
SAVING = MappingProxyType(
    {
        "linux_nftables": ("nft list ruleset > /etc/nftables.conf",),
        "cisco_ios": ("enable", "write memory"),
        "checkpoint_gaia": ("save config",),
    }
)


def build(plan: DevicePlan) -> EmulatedDevice:
    """Make the device that a plan describes; ValueError for a platform that nobody emulates."""
    if plan.platform not in PLATFORMS:
        raise ValueError(f"{plan.name}: platform {plan.platform!r} is not one of {', '.join(PLATFORMS)}")
    module, name = PLATFORMS[plan.platform]
    device: EmulatedDevice = getattr(importlib.import_module(module), name)(plan)
    return device


def account(plan: DevicePlan, shared_keys: Sequence[str]) -> Account:
    """Say who may log in to a device."""
    user = plan.options.get("user", "root" if plan.platform in ROOT_PLATFORMS else "admin")
    own = plan.options.get("authorized_key", "")
    return Account(user, plan.options.get("password", ""), tuple(key for key in (own, *shared_keys) if key))


def host_key(path: Path) -> asyncssh.SSHKey:
    """Read a device's host key, or make it: a device keeps its key over restarts."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    return asyncssh.read_private_key(path)


class Provider:
    """All devices of one plan, listening."""

    def __init__(self, plans: Sequence[DevicePlan], *, run: Path, journals: Path | None) -> None:
        """Build the devices; nothing listens before `start`."""
        self._run = run
        self._plans = {plan.name: plan for plan in plans}
        if len(self._plans) != len(plans):
            raise ValueError("two devices of the plan have the same name")
        for folder in (run, run / "keys", *([journals] if journals else [])):
            folder.mkdir(parents=True, exist_ok=True)
        authorized = run / "authorized_keys"
        keys = authorized.read_text().splitlines() if authorized.exists() else []
        self.hosts = {
            plan.name: Host(
                build(plan),
                account=account(plan, [key for key in keys if key and not key.startswith("#")]),
                key=host_key(run / "keys" / plan.name),
                journal=Journal(journals / f"{plan.name}.jsonl" if journals else None),
                clock=time.time,  # noqa: TID251 - this is the process's one clock
            )
            for plan in plans
        }
        self._control: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen, and tell the world where."""
        for host in self.hosts.values():
            await host.listen()
        _write_whole(self._run / "devices.json", json.dumps(self.directory(), indent=2) + "\n")
        _write_whole(self._run / "known_hosts", self.known_hosts())
        self._control = await Control(self.hosts, SAVING).serve(self._run / "control.sock")

    async def run_until(self, ending: asyncio.Event) -> None:
        """Let the devices' timers run until `ending` is set; what fails in one of them ends the process."""
        while not ending.is_set():
            for host in self.hosts.values():
                host.tick(now=time.time())  # noqa: TID251 - the same clock
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ending.wait(), TICK)

    async def stop(self) -> None:
        """Cut all sessions and close all ports."""
        if self._control:
            self._control.close()
        for host in self.hosts.values():
            await host.close()
        (self._run / "control.sock").unlink(missing_ok=True)

    def directory(self) -> dict[str, dict[str, object]]:
        """Say where each device listens and who it is."""
        return {
            name: {
                "host": LOOPBACK,
                "port": host.port,
                "platform": host.device.platform,
                "hostname": self._plans[name].hostname,
                "user": host.account.user,
            }
            for name, host in self.hosts.items()
        }

    def known_hosts(self) -> str:
        """Give the devices' host keys in OpenSSH's format."""
        return "".join(
            f"[{LOOPBACK}]:{host.port} {host.key.export_public_key().decode().rstrip()}\n"
            for host in self.hosts.values()
        )


def _write_whole(path: Path, text: str) -> None:
    """Write a file that nobody ever sees half written."""
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    part.replace(path)


async def serve(plans: Sequence[DevicePlan], *, run: Path, journals: Path | None) -> None:
    """Emulate until SIGTERM or SIGINT."""
    provider = Provider(plans, run=run, journals=journals)
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    try:
        await provider.start()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await provider.run_until(ending)
    finally:
        await provider.stop()


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and emulate."""
    parser = argparse.ArgumentParser(prog="python -m deploy.lab.emulators", description="emulate a provider's devices")
    parser.add_argument("--plan", type=Path, required=True, help="JSON: the list of devices")
    parser.add_argument("--run", type=Path, required=True, help="folder for addresses, host keys and the socket")
    parser.add_argument("--journal", type=Path, help="folder for what each device hears")
    given = parser.parse_args(arguments)
    # A client that hangs up without a word is no news: asyncio warns of each octet that it no longer takes.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    plans = msgspec.json.decode(given.plan.read_bytes(), type=tuple[DevicePlan, ...])
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(plans, run=given.run, journals=given.journal))


if __name__ == "__main__":
    main()
