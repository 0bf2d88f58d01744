"""A provider of two shell devices in this process, behind real SSH."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import asyncssh
import pytest

from deploy.lab.control import Emulators
from deploy.lab.device import DevicePlan, PortPlan
from deploy.lab.emulators import Provider

SWITCH = DevicePlan(
    "hv03",
    "ovs_linux",
    "hv03",
    (
        PortPlan(
            "veth7", 17, vlan=120, neighbours=(("02:00:00:00:00:07", "10.0.0.7"), ("02:00:00:00:00:08", "10.0.0.8"))
        ),
        PortPlan("veth9", 19, vlan=120, neighbours=(("02:00:00:00:00:09", "10.0.0.9"),)),
        PortPlan("uplink", 29, trunk=True),
    ),
    options={"password": "secret"},
)
FIREWALL = DevicePlan(
    "fw1",
    "linux_nftables",
    "fw1",
    (PortPlan("eth1", 2, addresses=("10.0.0.1/24", "2001:db8::1/64")), PortPlan("eth2", 3, description="uplink")),
    options={"password": "secret"},
)
Answer = TypeVar("Answer")


@dataclass
class Lab:
    """The provider, where it runs, and ways to reach it."""

    provider: Provider
    run: Path
    journals: Path

    def port(self, name: str) -> int:
        return self.provider.hosts[name].port

    async def connect(self, name: str, **options: object) -> asyncssh.SSHClientConnection:
        """Log in with the password, trusting nothing but the provider's known_hosts."""
        settings = {"username": "root", "password": "secret", "client_keys": None, "agent_path": None, **options}
        return await asyncssh.connect(
            "127.0.0.1", self.port(name), known_hosts=str(self.run / "known_hosts"), config=None, **settings
        )

    async def control(self, work: Callable[[Emulators], Answer]) -> Answer:
        """Use the synchronous client as another process would."""

        def use() -> Answer:
            with Emulators(self.run / "control.sock") as emulators:
                return work(emulators)

        return await asyncio.to_thread(use)

    def journal(self, name: str) -> list[dict[str, object]]:
        return [json.loads(line) for line in (self.journals / f"{name}.jsonl").read_text().splitlines()]

    def lines(self, name: str) -> list[str]:
        return [str(entry["line"]) for entry in self.journal(name) if "line" in entry]


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    run, journals = tmp_path / "run", tmp_path / "journal"
    provider = Provider([SWITCH, FIREWALL], run=run, journals=journals)
    await provider.start()
    ending = asyncio.Event()
    running = asyncio.create_task(provider.run_until(ending))
    yield Lab(provider, run, journals)
    ending.set()
    await running
    await provider.stop()


@pytest.fixture
def until() -> Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]:
    """Wait for a state, with a deadline."""

    async def wait(holds: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(10):
            while not await holds():
                await asyncio.sleep(0.02)

    return wait
