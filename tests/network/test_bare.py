"""The lab itself: everybody reaches whom he should, nothing of it stays, and labs that died are swept out."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.lab.net.aside import Attack, Witnesses, address
from deploy.lab.net.lab import Lab
from deploy.lab.net.lock import HOME, LEG, holder
from deploy.lab.net.namespaces import NAMED, LabError, existing, inside
from deploy.lab.net.plan import NOC, QUARANTINE
from tests.network.waiting import until

pytestmark = pytest.mark.root


def traces() -> dict[str, frozenset[str]]:
    """All that a lab could leave behind on this machine."""
    spaces = {space.stat().st_ino for space in NAMED.iterdir() if space.name in existing()} if NAMED.is_dir() else set()
    return {
        "namespaces": frozenset(existing()),
        "links": frozenset(name for _, name in socket.if_nameindex() if name.startswith(LEG)),
        "routes": frozenset(line for line in routes() if str(NOC)[:-1] in line),
        "processes": frozenset(processes(spaces)),
        "queues": frozenset([Path("/proc/sys/net/core/rmem_default").read_text()]),
        "files": frozenset(str(path) for path in HOME.rglob("*"))
        | frozenset(str(path) for path in HOME.parent.glob(HOME.name)),
    }


def routes() -> list[str]:
    shown = subprocess.run(("ip", "route", "show", "table", "all"), capture_output=True, text=True, check=True)
    return shown.stdout.splitlines()


def processes(spaces: set[int]) -> Iterator[str]:
    """Processes in a lab's namespaces, and those that name a lab's folder."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            there = (entry / "ns" / "net").stat().st_ino
        except OSError:
            continue  # it has just ended
        if there in spaces or str(HOME) in command or "deploy.lab.net" in command:
            yield f"{entry.name} {command}"


def test_nothing_of_a_lab_stays() -> None:
    before = traces()
    with Lab() as lab, Witnesses(lab, ["world"], [("c1", "d3")]), Attack(lab, "saturation"):
        during = traces()
        assert all(len(during[kind]) > len(before[kind]) for kind in before if kind != "queues"), (
            "what is not there cannot stay"
        )
    until(lambda: traces() == before, what="every trace to be gone", shown=traces)


def test_nothing_stays_of_a_lab_that_cannot_be_put_up(monkeypatch: pytest.MonkeyPatch) -> None:
    before = traces()
    monkeypatch.setitem(__import__("deploy.lab.net.device", fromlist=["SERVICES"]).SERVICES, "firewall", "exit 3\n")
    with pytest.raises(LabError, match="fw1 did not come up"), Lab():
        pass
    until(lambda: traces() == before, what="every trace to be gone", shown=traces)


def test_second_lab_is_refused_and_does_the_first_no_harm() -> None:
    with Lab() as first:
        with pytest.raises(LabError, match="another lab runs"), Lab():
            pass
        assert holder() == os.getpid()
        assert first.devices["sw1"].shell.ask("hostname").strip() == "sw1"


def test_what_is_left_of_a_killed_lab_goes_at_the_next_start() -> None:
    before = traces()
    keeper = subprocess.Popen((sys.executable, "-m", "deploy.lab.net"), stdout=subprocess.PIPE, text=True)
    assert keeper.stdout is not None
    with keeper.stdout as told:
        folder = Path(told.readline().strip())
    keeper.send_signal(signal.SIGKILL)
    keeper.wait()
    until(lambda: not holder(), what="the lock to fall")
    assert folder.exists()
    assert existing()
    with Lab() as lab:
        assert not folder.exists()
        assert all(name.startswith(lab.namespace("")) for name in existing())
    until(lambda: traces() == before, what="every trace to be gone", shown=traces)


def test_everybody_reaches_everybody_but_those_in_quarantine(lab: Lab) -> None:
    places = [*lab.plan.by_name, "world"]
    sockets = {(place, version): mailbox(lab, place, version) for place in places for version in (4, 6)}
    # The first packets between two hosts are lost while they look for each other: what counts is that they find.
    missing = {(one, other, version) for one in places for other in places for version in (4, 6) if one != other}

    def all_heard() -> bool:
        for one, other, version in missing:
            try:
                sockets[one, version].sendto(one.encode(), (address(lab.plan, other, version), 7))
            except OSError:
                continue  # there is no way out
        for (place, version), box in sockets.items():
            while True:
                try:
                    missing.discard((box.recv(64).decode(), place, version))
                except BlockingIOError:
                    break
        return all("forensics" in {one, other} for one, other, _ in missing)

    try:
        until(all_heard, what="everybody to be heard", shown=lambda: missing)
        assert {pair for pair in missing if "forensics" in pair} == {
            (one, other, version)
            for one in places
            for other in places
            for version in (4, 6)
            if one != other and "forensics" in {one, other}
        }
    finally:
        for box in sockets.values():
            box.close()


def mailbox(lab: Lab, place: str, version: int) -> socket.socket:
    with inside(lab.namespace(place)):
        box = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
        box.bind((address(lab.plan, place, version), 7))
        box.setblocking(False)
    return box


def test_quarantined_host_reaches_forensics_only_and_is_reached_from_there_only(lab: Lab) -> None:
    switch = lab.devices["sw1"].shell
    switch.ask(f"ovs-vsctl set Port d1 tag={QUARANTINE} protected=true -- set Port d2 tag={QUARANTINE} protected=true")
    try:
        others = [place for place in (*lab.plan.by_name, "world") if place not in {"d1", "forensics"}]
        pairs = [("d1", other) for other in others] + [(other, "d1") for other in others]
        with Witnesses(lab, [*others, "forensics"], [*pairs, ("d1", "forensics"), ("forensics", "d1")]) as witnesses:
            until(
                lambda: witnesses.testimony().passages["forensics-d1-ipv6"].received > 50, what="forensics to reach d1"
            )
            told = witnesses.testimony()
            with Attack(lab, "dead-mac", origin="d1", seconds=1.0) as flood:
                flood.wait()
            seen = witnesses.testimony()
        assert {name for name, passage in told.passages.items() if passage.received} == {
            f"{pair}-ipv{version}" for pair in ("d1-forensics", "forensics-d1") for version in (4, 6)
        }
        assert seen.of(flood, "forensics").count > 0
        assert {place for place in others if seen.of(flood, place).count} == set()
    finally:
        switch.ask("ovs-vsctl set Port d1 tag=120 protected=false -- set Port d2 tag=120 protected=false")


def test_device_that_loses_power_comes_back_with_its_configuration_and_without_its_rules(lab: Lab) -> None:
    device = lab.devices["sw1"]
    device.shell.ask("ovs-vsctl set Port d1 tag=999 -- set Port d2 tag=120")
    device.shell.ask("ovs-ofctl -O OpenFlow13 add-flow br0 priority=9,in_port=d2,actions=drop")
    device.stop()
    with (
        pytest.raises(OSError, match=r"timed out|refused|No route"),
        socket.create_connection(("198.18.255.12", 22), 0.5),
    ):
        pass
    lab.power_on("sw1")
    assert device.shell.ask("ovs-vsctl get Port d1 tag").strip() == "999"
    assert "priority=9" not in device.shell.ask("ovs-ofctl -O OpenFlow13 dump-flows br0")
    device.shell.ask("ovs-vsctl set Port d1 tag=120")
    with Witnesses(lab, [], [("d1", "d3")]) as witnesses:
        until(lambda: witnesses.testimony().passages["d1-d3-ipv4"].received > 10, what="d1 to be heard again")
