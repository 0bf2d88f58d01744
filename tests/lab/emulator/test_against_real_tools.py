"""The same commands to the emulator and to the real Open vSwitch and nftables of this machine: same answers.

Each runs in a network namespace of its own. What may differ is masked: times, counts, identifiers, the order of hash
tables, and nft's guesses at what one may have meant.
"""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from deploy.lab.device import DevicePlan, PortPlan
from deploy.lab.nft import NftDevice
from deploy.lab.ovs import OvsDevice
from deploy.lab.shell import Shell

NOW = 1_700_000_000.0
COMMANDS = Path(__file__).parent / "commands"
SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
MASKS = [
    (r"duration[=:][\d.]+s", "duration"),
    (r"idle_age=\d+", "idle_age"),
    (r"\d{4}-\d\d-\d\dT[\d:]+Z", "TIME"),
    (r"xid=0x\w+", "xid"),
    (r"([0-9a-f]{2}:){5}[0-9a-f]{2}", "MAC"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}", "UUID"),
    (r"unix:\S+/", "unix:/"),
    (r"dpid:\w+", "dpid"),
    (r"(packets|pkts|bytes|drop)=\d+", r"\1"),
    (r"((?:rx|tx)_\w+)\"?[=,]\d+", r"\1"),
    (r"(packet|byte)_(in_)?count[:=]\d+", r"\1_\2count"),
    (r"\(Protocol error\)|\(Broken pipe\)", "(error)"),
    (r"expires [\dhmsd]+", "expires"),
    (r'"expires": \d+', '"expires"'),
    (r"^(table .*\{) # handle \d+", r"\1 # handle"),
    (r'("table": \{[^}]*"handle": )\d+', r"\1"),
    (r"# new generation.*", "# new generation"),
    (r"; did you mean.*", ""),
    (r"Could not process rule: (?=No such file)", ""),
    (r"^TIME\|0000\d\|ovsdb_idl\|WARN.*\n", ""),
    (r"^    ovs_version: .*\n", ""),
]


def needs(*tools):
    missing = [tool for tool in tools if shutil.which(tool) is None] + ([] if os.geteuid() == 0 else ["root"])
    return pytest.mark.skipif(bool(missing), reason=f"missing: {', '.join(missing)}")


def masked(text):
    for pattern, by in MASKS:
        text = re.sub(pattern, by, text, flags=re.MULTILINE)
    return sorted(text.splitlines())


def commands(name):
    """Commands of a file; one that opens a here-document goes to the line EOF."""
    found, body = [], None
    for line in (COMMANDS / name).read_text().splitlines():
        if body is not None:
            body.append(line)
            if line == "EOF":
                found.append("\n".join(body))
                body = None
        elif line.endswith("<<'EOF'"):
            body = [line]
        elif line:
            found.append(line)
    return found


def emulated(device, command):
    shell = Shell(device._machine, "root")
    reply, status = shell.run(command, now=NOW)
    return reply.text, status


def compare(device, name, run):
    differing = []
    for command in commands(name):
        real = run(command)
        text, status = emulated(device, command)
        if (masked(real.stdout), real.returncode) != (masked(text), status):
            differing.append(f"{command}\n--- real {real.returncode}\n{real.stdout}--- emulated {status}\n{text}")
    assert not differing, "\n".join(differing)


@pytest.fixture
def namespace():
    name = f"cordon-lab-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    yield name
    subprocess.run(["ip", "netns", "delete", name], check=True)


def inside(namespace, command, **options):
    return subprocess.run(
        ["ip", "netns", "exec", namespace, "bash", "-c", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=20,
        check=False,
        **options,
    )


@pytest.mark.root
@needs("nft", "ip")
def test_nft_answers_as_the_real_one(namespace):
    for link in ("eth1", "eth2"):
        assert inside(namespace, f"ip link add {link} type veth peer name p{link}").returncode == 0
    plan = DevicePlan("fw", "linux_nftables", "fw", (PortPlan("eth1", 2), PortPlan("eth2", 3)), options={"ruleset": ""})
    compare(NftDevice(plan), "nft.txt", lambda command: inside(namespace, command))


@pytest.fixture
def switch(namespace, tmp_path):
    environment = {**os.environ, **dict.fromkeys(("OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR"), str(tmp_path))}
    database = f"unix:{tmp_path}/db.sock"
    subprocess.run(["ovsdb-tool", "create", str(tmp_path / "conf.db"), str(SCHEMA)], check=True)
    prefix = ["ip", "netns", "exec", namespace]
    quiet = {"env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen([*prefix, "ovsdb-server", str(tmp_path / "conf.db"), f"--remote=p{database}"], **quiet)
    deadline = time.monotonic() + 10
    while not (tmp_path / "db.sock").exists() and time.monotonic() < deadline:
        os.sched_yield()

    def run(command):
        return inside(namespace, command.replace("ovs-vsctl", f"ovs-vsctl --db={database}", 1), env=environment)

    assert run("ovs-vsctl --no-wait init").returncode == 0
    daemon = subprocess.Popen([*prefix, "ovs-vswitchd", database], **quiet)
    try:
        bridge = "-- set bridge br0 datapath_type=netdev protocols=OpenFlow10,OpenFlow13"
        assert run(f"ovs-vsctl --timeout=10 add-br br0 {bridge}").returncode == 0
        for name, index, tag in (("veth1", 5, "tag=101"), ("veth2", 7, "tag=102"), ("uplink", 9, "")):
            made = f"ip link add {name} index {index} type veth peer name p{name} index {index + 20}"
            added = f"add-port br0 {name} {tag}"
            assert inside(namespace, f"{made} && ip link set {name} up && ip link set p{name} up").returncode == 0
            assert run(f"ovs-vsctl --timeout=10 {added}").returncode == 0
        assert inside(namespace, "ip link set br0 up").returncode == 0
        yield run
    finally:
        for process in (daemon, server):
            process.terminate()
            process.wait(timeout=10)


@pytest.mark.root
@pytest.mark.slow
@needs("ovs-vswitchd", "ovsdb-server", "ovsdb-tool", "ovs-ofctl", "ovs-vsctl", "ip")
def test_open_vswitch_answers_as_the_real_one(switch):
    plan = DevicePlan(
        "hv",
        "ovs_linux",
        "hv",
        (PortPlan("veth1", 5, 101), PortPlan("veth2", 7, 102), PortPlan("uplink", 9, trunk=True)),
        options={"protocols": "OpenFlow10,OpenFlow13", "datapath_type": "netdev"},
    )
    device = OvsDevice(plan)
    compare(device, "ovs_vsctl.txt", switch)
    compare(device, "ovs_ofctl.txt", switch)
