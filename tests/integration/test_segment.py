"""A segment at its own firewall, from the shell to an emulated firewall and back: all processes real."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from controller.domain import wire
from controller.ledger import Ledger
from controller.ledger_tokens import Role, Tokens
from deploy.broker import EmbeddedBroker
from deploy.lab.control import Burst, Emulators
from deploy.lab.device import DevicePlan, Packets, PortPlan
from streams.publish import create_topics

ROOT = Path(__file__).parents[2]
PASSWORD = "for the length of a test"
PATIENCE_S = 60.0
SITE = """
version = 1
name = "a segment behind its firewall"
prefixes = ["198.18.0.0/16", "2001:db8::/32"]

[[devices]]
name = "fw01"
platform = "linux_nftables"
host = "{fw01[host]}"
port = {fw01[port]}
username = "{fw01[user]}"
password_env = "DEVICE_PASSWORD"
role = "firewall"

[[devices]]
name = "hv01"
platform = "ovs_linux"
host = "{hv01[host]}"
port = {hv01[port]}
username = "{hv01[user]}"
password_env = "DEVICE_PASSWORD"

[[segments]]
name = "core"
prefixes = ["198.18.4.0/24"]
vlan = 150

[[segments]]
name = "hosting"
prefixes = ["198.18.3.0/24", "2001:db8:3::/48"]
vlan = 131
firewall = "fw01"
inside = ["eth1"]

[[segments.crossings]]
begins = "outside"
peers = ["0.0.0.0/0", "::/0"]
transport = "tcp"
ports = ["443"]
why = "the web"

[[interfaces]]
device = "hv01"
name = "veth7"
if_index = 7

[[interfaces]]
device = "hv01"
name = "veth8"
if_index = 8

[[hosts]]
name = "shared1"
addresses = ["198.18.3.10"]
tenant = "t1"
role = "shared"
segment = "hosting"
mac = "02:00:00:00:00:07"
ports = ["hv01/veth7"]

[[hosts]]
name = "dns1"
addresses = ["198.18.4.53"]
tenant = "ours"
role = "dns"
segment = "core"
mac = "02:00:00:00:00:08"
ports = ["hv01/veth8"]
"""


@dataclass
class Net:
    """Processes, their ledger, and a shell for each of the people."""

    folder: Path
    ledger: Ledger
    control: Emulators
    url: str
    people: dict[str, str] = field(default_factory=dict)

    def cordon(self, who: str, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "CORDON_URL": self.url, "CORDON_TOKEN": self.people[who]}
        command = (sys.executable, "-m", "deploy.cli", *words)
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    def passes(self, source: str, target: str, port: int, *, enters: str) -> bool:
        """Whether the firewall forwards TCP from one address to another."""
        packets = Packets(enters, "02:00:00:00:00:01", "02:00:00:00:00:02", source, target, 6, 40000, port, 10, 1000)
        now = time.time()  # noqa: TID251 - the emulators' own clock
        (arrived,) = self.control.forward([Burst((("fw01", enters),), packets)], now=now)
        return arrived.packets == 10


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def started(running: ExitStack, *command: str, environment: dict[str, str] | None = None) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
    process = running.enter_context(
        subprocess.Popen((sys.executable, "-m", *command), cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    )

    def end() -> None:
        process.terminate()
        process.wait(timeout=30)

    running.callback(end)
    return process


def line_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    folder = tmp_path_factory.mktemp("segment")
    options = {"password": PASSWORD, "bridge": "br0"}
    eths = (PortPlan("eth0", 1, addresses=("198.18.4.1/24",)), PortPlan("eth1", 2, addresses=("198.18.3.1/24",)))
    veths = (PortPlan("veth7", 7, vlan=131), PortPlan("veth8", 8, vlan=131), PortPlan("uplink", 9, trunk=True))
    segment = (("hosting", ("198.18.3.0/24",)),)
    plans = [
        DevicePlan("fw01", "linux_nftables", "fw01", eths, (), segment, options),
        DevicePlan("hv01", "ovs_linux", "hv01", veths, (), (), options),
    ]
    (folder / "plan.json").write_bytes(msgspec.json.encode(plans))
    url = f"sqlite:///{folder / 'ledger.sqlite3'}"
    with ExitStack() as running:
        lab = started(running, "deploy.lab.emulators", "--plan", str(folder / "plan.json"), "--run", str(folder))
        assert line_of(lab) == "ready\n"
        (folder / "site.toml").write_text(SITE.format(**json.loads((folder / "devices.json").read_text())))
        (folder / "policy.toml").write_text('version = 1\nmode = "enforce"\n')
        broker = running.enter_context(EmbeddedBroker(folder / "broker"))
        topics = (wire.VERDICTS, wire.HEALTH, wire.DEAD, wire.DECISIONS)
        create_topics(broker.access, [wire.TopicPlan(name, 1, 3_600_000) for name in topics])
        ledger = Ledger.open(url)
        running.callback(ledger.close)
        common = ("--site", str(folder / "site.toml"), "--ledger", url)
        started(
            running,
            *("controller", *common, "--policy", str(folder / "policy.toml"), "--broker", broker.bootstrap),
            *("--embedded", "--known-hosts", str(folder / "known_hosts"), "--run-dir", str(folder)),
            environment={"DEVICE_PASSWORD": PASSWORD},
        )
        heard = line_of(started(running, "api", *common, "--connection", str(folder / "connection.toml")))
        control = running.enter_context(Emulators(folder / "control.sock"))
        made = Net(folder, ledger, control, heard.split()[-1])
        tokens = Tokens(ledger.database)
        for name, role in (("olga", Role.OPERATOR), ("ann", Role.APPROVER), ("bob", Role.APPROVER)):
            made.people[name] = tokens.create(name=name, role=role, now_ns=0)
        yield made


@pytest.mark.slow
def test_a_segment_is_planned_approved_by_two_held_checked_and_released(net: Net) -> None:
    until(lambda: {"fw01", "hv01"} <= {name for name, one in net.ledger.proofs().items() if one.reached})
    before = net.control.configurations()["fw01"]
    assert net.passes("198.18.3.10", "198.18.4.53", 22, enters="eth1")

    planned = net.cordon("olga", "segment", "plan", "hosting")
    assert planned.returncode == 0, planned.stderr
    assert "+ may cross: 0.0.0.0/0 to 198.18.3.0/24 tcp port 443" in planned.stdout
    assert "nft 'add table inet cordon-hosting" in planned.stdout

    proposed = json.loads(net.cordon("olga", "segment", "apply", "hosting", "-r", "outage 2", "--json").stdout)
    ident = proposed["decision_id"]
    assert (
        net.cordon("ann", "approve", ident, "-r", "agreed").stdout
        == f"{ident} is proposed: 1 of 2 people approved it\n"
    )
    again = net.cordon("ann", "approve", ident, "-r", "agreed")
    assert (again.returncode, "another person" in again.stderr) == (1, True)
    assert net.control.configurations()["fw01"] == before
    assert net.cordon("bob", "approve", ident, "-r", "me too").stdout == f"{ident} is approved\n"
    until(lambda: net.ledger.decision(ident).state.value == "enforced")

    assert not net.passes("198.18.3.10", "198.18.4.53", 22, enters="eth1")
    assert net.passes("198.18.4.53", "198.18.3.10", 443, enters="eth0")
    assert not net.passes("198.18.4.53", "198.18.3.10", 22, enters="eth0")
    assert set(before) <= set(net.control.configurations()["fw01"]), "nothing of the provider's was touched"
    assert "already separates" in net.cordon("olga", "segment", "apply", "hosting", "-r", "again").stdout

    checked = net.cordon("olga", "segment", "check", "hosting")
    assert checked.returncode == 1
    assert checked.stdout.splitlines() == [
        "not well: fw01 holds what is declared for hosting; 1 ways around it",
        "VLAN leak: hv01/veth8 carries VLAN 131, where dns1 of core hangs",
    ]

    bundle = net.folder / "bundle.zip"
    assert net.cordon("ann", "bundle", ident, "-o", str(bundle)).returncode == 0
    assert "whole" in net.cordon("ann", "verify", str(bundle)).stdout

    net.cordon("olga", "release", ident, "-r", "over")
    until(lambda: net.ledger.decision(ident).state.value == "released")
    assert net.control.configurations()["fw01"] == before
    assert net.passes("198.18.3.10", "198.18.4.53", 22, enters="eth1")


@pytest.mark.slow
def test_a_segment_is_isolated_by_hand_and_given_back(net: Net) -> None:
    proposed = json.loads(net.cordon("olga", "segment", "isolate", "hosting", "-r", "worm", "--json").stdout)
    ident = proposed["decision_id"]
    assert "dns1" not in proposed["answer"]
    for who in ("ann", "bob"):
        assert net.cordon(who, "approve", ident, "-r", "agreed").returncode == 0
    until(lambda: net.ledger.decision(ident).state.value == "enforced")
    assert not net.passes("198.18.4.53", "198.18.3.10", 443, enters="eth0")
    assert not net.passes("198.18.3.10", "198.18.4.53", 443, enters="eth1")
    net.cordon("olga", "release", ident, "-r", "over")
    until(lambda: net.ledger.decision(ident).state.value == "released")
    assert net.passes("198.18.4.53", "198.18.3.10", 443, enters="eth0")


@pytest.mark.slow
def test_a_host_is_simulated_and_a_device_reached_over_real_ssh(net: Net) -> None:
    told = net.cordon("olga", "simulate", "shared1")
    assert told.returncode == 0
    assert "hv01:port:veth7:" in told.stdout
    assert "against: corroboration" in told.stdout
    reached = net.cordon("olga", "reach", "hv01")
    assert (reached.returncode, reached.stdout.startswith("reachable: hv01 answered about")) == (0, True)
