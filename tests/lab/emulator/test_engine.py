"""Emulated devices over real SSH: logins, terminals, faults, journals, loss of power."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncssh
import msgspec
import pytest
from netmiko import ConnectHandler

from deploy.lab.control import Emulators
from deploy.lab.faults import Fault, Kind

PROMPT = "root@hv03:~# "


class Terminal:
    """A person at a terminal."""

    def __init__(self, process):
        self._process = process

    async def until(self, text):
        heard = ""
        async with asyncio.timeout(10):
            while not heard.endswith(text):
                piece = await self._process.stdout.read(1)
                if not piece:
                    raise EOFError(heard)
                heard += piece
        return heard

    async def ask(self, line, prompt=PROMPT):
        self._process.stdin.write(line + "\n")
        return (await self.until(prompt)).removesuffix(prompt).replace("\r\n", "\n").removeprefix(line + "\n")


@pytest.fixture
async def person(lab):
    async with await lab.connect("hv03") as connection, connection.create_process(term_type="vt100") as process:
        terminal = Terminal(process)
        await terminal.until(PROMPT)
        yield terminal


def as_netmiko(lab, name):
    return ConnectHandler(
        device_type="linux",
        host="127.0.0.1",
        port=lab.port(name),
        username="root",
        password="secret",
        ssh_strict=True,
        alt_host_keys=True,
        alt_key_file=str(lab.run / "known_hosts"),
    )


async def test_netmiko_with_strict_host_keys_connects_asks_and_leaves(lab):
    def talk():
        connection = as_netmiko(lab, "hv03")
        answers = [connection.send_command(line) for line in ("hostname", "false; echo rc=$?", "frobnicate")]
        connection.disconnect()
        return answers

    assert await asyncio.to_thread(talk) == ["hv03", "rc=1", "-bash: frobnicate: command not found"]
    assert lab.lines("hv03")[:3] == ["hostname", "false; echo rc=$?", "frobnicate"]


async def test_wrong_password_and_unknown_user_stay_outside(lab):
    for options in ({"password": "guess"}, {"username": "admin"}, {"password": ""}):
        with pytest.raises(asyncssh.PermissionDenied):
            await lab.connect("hv03", **options)
    assert lab.provider.hosts["hv03"].journal.counts.sessions == 0


async def test_public_key_of_the_run_folder_opens_every_device(tmp_path, lab):
    key = asyncssh.generate_private_key("ssh-ed25519")
    other = asyncssh.generate_private_key("ssh-ed25519")
    host = lab.provider.hosts["fw1"]
    host.account = type(host.account)("root", "", (key.export_public_key().decode(),))
    async with await lab.connect("fw1", client_keys=[key], password=None) as connection:
        assert (await connection.run("hostname")).stdout == "fw1\n"
    with pytest.raises(asyncssh.PermissionDenied):
        await lab.connect("fw1", client_keys=[other], password=None)


async def test_host_key_that_is_not_in_known_hosts_is_refused(lab):
    wrong = lab.run / "wrong"
    lines = (lab.run / "known_hosts").read_text().splitlines()
    keys = [line.split(" ", 1)[1] for line in lines]
    wrong.write_text(f"{lines[0].split(' ')[0]} {keys[1]}\n")
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        await asyncssh.connect(
            "127.0.0.1", lab.port("hv03"), known_hosts=str(wrong), username="root", password="secret"
        )


async def test_terminal_echoes_edits_and_forgets_a_cancelled_line(person):
    person._process.stdin.write("hostnaxx\x7f\x7fme\n")
    assert (await person.until(PROMPT)).endswith("me\r\nhv03\r\n" + PROMPT)
    person._process.stdin.write("rubbish\x03")
    assert (await person.until(PROMPT)).endswith("^C\r\n" + PROMPT)
    assert await person.ask("echo fine") == "fine\n"


async def test_here_document_is_prompted_and_runs_at_its_end(person):
    person._process.stdin.write("cat <<'EOF'\n")
    assert (await person.until("> ")).endswith("\r\n> ")
    person._process.stdin.write("one $?\n")
    await person.until("> ")
    person._process.stdin.write("EOF\n")
    assert "one $?" in await person.until(PROMPT)


async def test_command_without_a_terminal_gives_its_status(lab):
    async with await lab.connect("hv03") as connection:
        good = await connection.run("ovs-vsctl get port veth7 tag")
        bad = await connection.run("ovs-vsctl get port nope tag")
        missing = await connection.run("frobnicate")
    assert (good.stdout, good.exit_status) == ("120\n", 0)
    assert (bad.stdout, bad.exit_status) == ('ovs-vsctl: no row "nope" in table Port\n', 1)
    assert missing.exit_status == 127


async def test_two_sessions_share_the_device(lab):
    async with await lab.connect("hv03") as first, await lab.connect("hv03") as second:
        await first.run("ovs-vsctl set port veth7 tag=999")
        assert (await second.run("ovs-vsctl get port veth7 tag")).stdout == "999\n"


async def test_exit_closes_the_session(lab):
    async with await lab.connect("hv03") as connection:
        process = await connection.create_process(term_type="vt100")
        process.stdin.write("exit 3\n")
        async with asyncio.timeout(10):
            await process.wait()
        assert process.exit_status in (0, 3)


async def test_journal_tells_each_line_with_its_fate(lab, until):
    async with await lab.connect("hv03") as connection:
        await connection.run("ovs-vsctl set port veth7 tag=5")
        await connection.run("ovs-vsctl get port veth7 tag")
        await connection.run("ovs-vsctl set port veth7 tag=9999")

    async def all_closed():
        return sum(entry.get("event") == "close" for entry in lab.journal("hv03")) == 3

    await until(all_closed)
    entries = [entry for entry in lab.journal("hv03") if "line" in entry]
    assert [(entry["accepted"], entry["configured"]) for entry in entries] == [
        (True, True),
        (True, False),
        (False, False),
    ]
    assert {entry["mode"] for entry in entries} == {"shell"}
    assert [entry["session"] for entry in entries] == [1, 2, 3]
    counts = await lab.control(Emulators.counters)
    assert counts["hv03"] == {"platform": "ovs_linux", "config_lines": 1, "refused": 1, "sessions": 3}
    assert counts["fw1"]["sessions"] == 0


async def test_refused_line_is_answered_as_the_platform_refuses_and_changes_nothing(lab, person):
    await lab.control(lambda e: e.fault("hv03", Fault(Kind.REFUSE, "set port veth7", times=1)))
    assert await person.ask("ovs-vsctl set port veth7 tag=5; echo rc=$?") == "-bash: ovs-vsctl: command not found\n"
    assert await person.ask("ovs-vsctl get port veth7 tag") == "120\n"
    assert await person.ask("ovs-vsctl set port veth7 tag=5; echo rc=$?") == "rc=0\n"


async def test_ignored_line_is_answered_as_if_done_and_changes_nothing(lab, person):
    await lab.control(lambda e: e.fault("hv03", Fault(Kind.IGNORE, "tag=5")))
    before = lab.provider.hosts["hv03"].device.configuration()
    assert await person.ask("ovs-vsctl set port veth7 tag=5 && echo done") == "done\n"
    assert await person.ask("ovs-vsctl get port veth7 tag") == "120\n"
    assert lab.provider.hosts["hv03"].device.configuration() == before


async def test_ignored_rule_of_a_firewall_leaves_the_kernel_as_it_was(lab):
    await lab.control(lambda e: e.fault("fw1", Fault(Kind.IGNORE, "nft add")))
    before = lab.provider.hosts["fw1"].device.configuration()
    async with await lab.connect("fw1") as connection:
        process = await connection.create_process(term_type="vt100")
        terminal = Terminal(process)
        await terminal.until("root@fw1:~# ")
        line = "nft add rule inet filter forward ip saddr 10.0.0.7 drop; echo rc=$?"
        assert await terminal.ask(line, "root@fw1:~# ") == "rc=0\n"
    assert lab.provider.hosts["fw1"].device.configuration() == before


async def test_hanging_device_never_answers_and_others_still_do(lab, person):
    await lab.control(lambda e: e.fault("hv03", Fault(Kind.HANG, "hostname", times=1)))
    person._process.stdin.write("hostname\n")
    await person.until("hostname\r\n")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await person._process.stdout.read(1)
    async with await lab.connect("hv03") as connection:
        assert (await connection.run("hostname")).stdout == "hv03\n"


async def test_dropped_session_has_not_done_the_line(lab, person):
    await lab.control(lambda e: e.fault("hv03", Fault(Kind.DROP, "tag=5", times=1)))
    with pytest.raises((EOFError, asyncssh.ConnectionLost)):
        await person.ask("ovs-vsctl set port veth7 tag=5")
    assert "port veth7 tag=120" in lab.provider.hosts["hv03"].device.configuration()


async def test_session_dropped_after_the_line_has_done_it(lab, person):
    await lab.control(lambda e: e.fault("hv03", Fault(Kind.DROP_AFTER, "tag=5", times=1)))
    with pytest.raises((EOFError, asyncssh.ConnectionLost)):
        await person.ask("ovs-vsctl set port veth7 tag=5")
    assert "port veth7 tag=5" in lab.provider.hosts["hv03"].device.configuration()


async def test_slow_device_answers_in_the_end(lab, person):
    await lab.control(lambda e: e.fault("hv03", Fault(Kind.SLOW, "", seconds=0.3)))
    loop = asyncio.get_running_loop()
    started = loop.time()
    assert await person.ask("hostname") == "hv03\n"
    assert loop.time() - started >= 0.3
    await lab.control(lambda e: e.clear("hv03"))
    assert await person.ask("hostname") == "hv03\n"


async def test_power_loss_cuts_sessions_forgets_flows_and_comes_back_on_the_same_port(lab, person, until):
    await person.ask("ovs-ofctl -O OpenFlow13 add-flow br0 'priority=9,in_port=1,actions=drop'")
    await person.ask("ovs-vsctl set port veth7 tag=5")
    port = lab.port("hv03")
    await lab.control(lambda e: e.power("hv03", seconds=0.3))
    with pytest.raises((EOFError, asyncssh.ConnectionLost, BrokenPipeError)):
        await person.ask("hostname")
    with pytest.raises(ConnectionRefusedError):
        await lab.connect("hv03")

    async def is_back():
        return lab.provider.hosts["hv03"].powered

    await until(is_back)
    assert lab.port("hv03") == port
    async with await lab.connect("hv03") as connection:
        assert (await connection.run("ovs-vsctl get port veth7 tag")).stdout == "5\n"
        assert "priority=9" not in (await connection.run("ovs-ofctl dump-flows br0")).stdout


async def test_power_lost_at_a_line_takes_the_line_along(lab, person):
    await lab.control(lambda e: e.fault("hv03", Fault(Kind.POWER, "tag=5", times=1, seconds=60)))
    with pytest.raises((EOFError, asyncssh.ConnectionLost)):
        await person.ask("ovs-vsctl set port veth7 tag=5")
    assert not lab.provider.hosts["hv03"].powered
    assert "port veth7 tag=120" in lab.provider.hosts["hv03"].device.configuration()


async def test_somebody_at_the_console_is_journaled_but_not_counted(lab):
    said = await lab.control(
        lambda e: e.edit("hv03", ["ovs-vsctl set port veth7 tag=77", "ovs-vsctl get port veth7 tag"])
    )
    assert said == ["", "77\n"]
    assert {entry["session"] for entry in lab.journal("hv03")} == {0}
    counts = await lab.control(Emulators.counters)
    assert counts["hv03"] == {"platform": "ovs_linux", "config_lines": 0, "refused": 0, "sessions": 0}


async def test_firewall_keeps_what_was_saved_at_the_console(lab):
    rule = "nft add rule inet filter forward ip saddr 10.0.0.7 drop"
    await lab.control(lambda e: e.edit("fw1", [rule]))
    await lab.control(lambda e: e.save("fw1"))
    await lab.control(lambda e: e.edit("fw1", ["nft add rule inet filter forward ip saddr 10.0.0.8 drop"]))
    await lab.control(lambda e: e.power("fw1"))
    rules = (await lab.control(Emulators.configurations))["fw1"]
    assert "\t\tip saddr 10.0.0.7 drop" in rules
    assert "\t\tip saddr 10.0.0.8 drop" not in rules


def test_process_says_ready_writes_where_it_listens_and_ends_on_sigterm(tmp_path: Path):
    plan = tmp_path / "provider.json"
    plan.write_bytes(
        msgspec.json.encode([{"name": "sw", "platform": "ovs_linux", "hostname": "sw", "ports": [], "options": {}}])
    )
    command = [sys.executable, "-m", "deploy.lab.emulators", "--plan", str(plan), "--run", str(tmp_path / "run")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout.readline() == "ready\n"
        listening = json.loads((tmp_path / "run" / "devices.json").read_text())
        assert listening["sw"]["platform"] == "ovs_linux"
        known = (tmp_path / "run" / "known_hosts").read_text()
        assert known.startswith(f"[127.0.0.1]:{listening['sw']['port']} ssh-ed25519 ")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    assert not (tmp_path / "run" / "control.sock").exists()


def test_lab_never_loads_a_driver():
    program = (
        "import sys, deploy.lab.emulators, deploy.lab.ovs, deploy.lab.nft;"
        "print([name for name in sys.modules if name.split('.')[0] in ('drivers', 'controller', 'streams', 'api')])"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"
