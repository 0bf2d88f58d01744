"""The emulated switches and the gateway as netmiko finds them, over real SSH with strict host keys."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from netmiko import ConfigInvalidException, ConnectHandler

from deploy.lab.device import DevicePlan, PortPlan
from deploy.lab.emulators import Provider

HOST = ("aa:bb:cc:00:00:07", "10.0.0.7")
LOGIN = {"user": "ops", "password": "secret"}
VLANS = ((100, "WEB"), (666, "QUARANTINE"))
PORT = "GigabitEthernet1/0/7"
LAYER2 = "interfaces ge-0/0/7 unit 0 family ethernet-switching"
PLANS = (
    DevicePlan("sw1", "cisco_ios", "sw-a1", (PortPlan(PORT, 7, vlan=100, neighbours=(HOST,)),), VLANS, options=LOGIN),
    DevicePlan(
        "sw2", "cisco_ios", "sw-a2", (PortPlan(PORT, 7, vlan=100),), VLANS, options={**LOGIN, "enable_secret": "up"}
    ),
    DevicePlan("ex1", "juniper_junos", "ex-a1", (PortPlan("ge-0/0/7", 507, vlan=100),), VLANS, options=LOGIN),
    DevicePlan(
        "fw1",
        "checkpoint_gaia",
        "gw-1",
        (PortPlan("eth1", 3, addresses=("10.0.0.1/24",)),),
        options={**LOGIN, "expert_password": "3xpert"},
    ),
)
Connect = Callable[..., Any]  # the commit of each platform takes arguments of its own


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncIterator[Provider]:
    built = Provider(PLANS, run=tmp_path / "run", journals=tmp_path / "journal")
    await built.start()
    ending = asyncio.Event()
    running = asyncio.create_task(built.run_until(ending))
    yield built
    ending.set()
    await running
    await built.stop()


@pytest.fixture
def connect(provider: Provider, tmp_path: Path) -> Connect:
    def to(name: str, platform: str, **more: Any) -> Any:
        return ConnectHandler(
            device_type=platform,
            host="127.0.0.1",
            port=provider.hosts[name].port,
            username="ops",
            password="secret",
            ssh_strict=True,
            alt_host_keys=True,
            alt_key_file=str(tmp_path / "run" / "known_hosts"),
            **more,
        )

    return to


async def test_a_catalyst_is_configured_saved_and_asked(provider: Provider, connect: Connect) -> None:
    def talk() -> str:
        with connect("sw1", "cisco_ios") as session:
            session.send_config_set([f"interface {PORT}", "switchport access vlan 666"], error_pattern="% ")
            session.save_config()
            return str(session.send_command(f"show interfaces {PORT} switchport"))

    assert "Access Mode VLAN: 666 (QUARANTINE)" in await asyncio.to_thread(talk)
    assert " switchport access vlan 666" in provider.hosts["sw1"].device.configuration()


async def test_a_refused_line_leaves_a_catalyst_in_configuration_mode(connect: Connect) -> None:
    def talk() -> str:
        with connect("sw2", "cisco_ios", secret="up") as session:
            session.enable()
            with pytest.raises(ConfigInvalidException):
                session.send_config_set([f"interface {PORT}", "switchport acess vlan 666"], error_pattern="% Invalid")
            return str(session.find_prompt())

    assert await asyncio.to_thread(talk) == "sw-a2(config-if)#"


async def test_an_ex_switch_commits_with_a_timer_and_confirms(provider: Provider, connect: Connect) -> None:
    lines = [f"delete {LAYER2} vlan members", f"set {LAYER2} vlan members QUARANTINE"]

    def talk() -> str:
        with connect("ex1", "juniper_junos") as session:
            session.send_config_set(lines, exit_config_mode=False, error_pattern="error|unknown")
            answer = str(session.commit(confirm=True, confirm_delay=2))
            session.commit(and_quit=True)
            return answer + str(session.send_command("show vlans QUARANTINE"))

    answer = await asyncio.to_thread(talk)
    assert "rolled back in 2 minutes" in answer
    assert "ge-0/0/7.0*" in answer
    assert f"set {LAYER2} vlan members QUARANTINE" in provider.hosts["ex1"].device.configuration()


async def test_a_gateway_takes_a_rule_from_clish(provider: Provider, connect: Connect) -> None:
    def talk() -> str:
        with connect("fw1", "checkpoint_gaia") as session:
            session.send_command("fw sam -t 600 -J src 10.0.0.7")
            return str(session.send_command("fw sam -M -ijn all"))

    assert (await asyncio.to_thread(talk)).startswith("src,Inhibit Drop Close,")
    assert "fw sam -J src 10.0.0.7" in provider.hosts["fw1"].device.configuration()
