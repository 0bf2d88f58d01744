"""The listener as a process, real sockets, a real broker: every datagram is in a frame or in a count."""

import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from controller.domain import wire
from deploy.ports import free_port
from streams.decode.datagrams import unframed
from tests.integration.bench import PARTITIONS, Bench, bench

FLOWS, LOGS = "cordon.flows", "cordon.syslog"
SITE = """
version = 1
name = "test"
prefixes = ["198.18.0.0/16"]
[[sources]]
topic = "cordon.flows"
format = "datagrams"
[[sources]]
topic = "cordon.syslog"
format = "syslog"
[[listeners]]
topic = "cordon.flows"
ports = [{port}]
frame_ms = 20
"""
DEVICE = """
[[devices]]
name = "sw{number}"
platform = "cisco_ios"
host = "{address}"
exporter = "{address}"
"""
EXPORTERS = ("127.0.1.1", "127.0.1.2", "127.0.1.3", "::1")
DEADLINE_S = 30.0


def files(directory: Path, port: int, more: str = "") -> tuple[Path, Path]:
    site, policy = directory / "site.toml", directory / "policy.toml"
    devices = "".join(DEVICE.format(number=n, address=address) for n, address in enumerate(EXPORTERS))
    site.write_text(SITE.format(port=port) + more + devices)
    # However slow a machine is, its marks then wait for what it has not yet read.
    policy.write_text("version = 1\n[scoring]\nlateness_ms = 30000\n")
    return site, policy


def sender(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.bind((address, 0))
    made.connect(("::1" if ":" in address else "127.0.0.1", port))
    return made


def netflow5(sequence: int, records: int = 3) -> bytes:
    return struct.pack(">HHIIIIBBH", 5, records, 1, 2, 3, sequence, 0, 0, 0) + bytes(48 * records)


def start(desk: Bench, site: Path, policy: Path, *options: str) -> None:
    where = ("--site", str(site), "--policy", str(policy), "--broker", desk.broker.bootstrap, "--embedded")
    desk.start("ears", "-m", "streams", "listen", *where, "--name", "ears", *options)


def beats(desk: Bench) -> Iterator[wire.Heartbeat]:
    end = time.monotonic() + DEADLINE_S
    for beat in desk.heartbeats():
        if beat is not None and beat.process == "listen":
            yield beat
        assert time.monotonic() < end, desk.log()


def total(beat: wire.Heartbeat, fact: str) -> int:
    return sum(one.get(fact, 0) for one in beat.exporters.values())


def until(desk: Bench, what: Callable[[wire.Heartbeat], bool]) -> wire.Heartbeat:
    for beat in beats(desk):
        if what(beat):
            return beat
    raise AssertionError


def latest(desk: Bench, what: Callable[[dict[str, wire.Heartbeat]], bool]) -> dict[str, wire.Heartbeat]:
    """The last heartbeat of each process, when together they are as wanted."""
    last: dict[str, wire.Heartbeat] = {}
    for beat in beats(desk):
        last[beat.instance] = beat
        if what(last):
            return last
    raise AssertionError


def children(pid: int) -> list[int]:
    """Processes of ours that this one started, but for the one by which Python looks after what they share."""
    found = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [one for one in found if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]


def resident_kib(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmHWM:")[2].split()[0])


def received(desk: Bench, topic: str = FLOWS) -> dict[str, list[bytes]]:
    """Datagrams by exporter, in the order of their partition; marks must stand behind what they speak of."""
    found: dict[str, list[bytes]] = {}
    for partition in range(PARTITIONS):
        marked, homes = 0, set()
        for value in desk.read(topic, partition):
            if value.isdigit():
                assert wire.mark_time(value) > marked
                marked = wire.mark_time(value)
                continue
            frame = unframed(value)
            assert int(frame.receipt_ns.min()) >= marked
            for at in range(len(frame)):
                name = socket.inet_ntop(socket.AF_INET6, frame.exporters[int(frame.exporter[at])])
                name = name.removeprefix("::ffff:")
                homes.add(name)
                found.setdefault(name, []).append(frame.one(at))
    return found


def test_every_datagram_of_every_exporter_arrives_in_order_with_marks_behind_it(tmp_path: Path) -> None:
    port = free_port()
    site, policy = files(tmp_path, port)
    with bench(tmp_path, sources=(FLOWS, LOGS)) as desk:
        start(desk, site, policy)
        until(desk, lambda beat: True)
        sent: dict[str, list[bytes]] = {}
        for address in (*EXPORTERS, "127.0.9.9"):
            with sender(address, port) as out:
                sent[address] = [netflow5(3 * number) for number in range(100)]
                for one in sent[address]:
                    out.send(one)
        stranger = sent.pop("127.0.9.9")
        refused = f"{FLOWS}: {len(stranger)} refused of senders not listed: 127.0.9.9 {len(stranger)}"
        beat = until(desk, lambda beat: total(beat, "received") == 400 and beat.notes == (refused,))
        assert desk.end("ears", signal.SIGTERM) == 0
        found = received(desk)
    assert found == sent
    assert (total(beat, "missed"), total(beat, "lost")) == (0, 0)


def test_two_processes_share_the_port_and_each_partition_has_one_writer(tmp_path: Path) -> None:
    port = free_port()
    site, policy = files(tmp_path, port)
    with bench(tmp_path, sources=(FLOWS, LOGS)) as desk:
        start(desk, site, policy, "--workers", "2")
        last = latest(desk, lambda last: len(last) == 2)
        sent = {address: [netflow5(3 * number) for number in range(200)] for address in EXPORTERS}
        for address, datagrams in sent.items():
            with sender(address, port) as out:
                for one in datagrams:
                    out.send(one)
        last = latest(desk, lambda last: sum(total(beat, "received") for beat in last.values()) == 800)
        assert desk.end("ears", signal.SIGTERM) == 0
        assert received(desk) == sent
    assert all(total(beat, "received") for beat in last.values())
    assert not set.intersection(*(set(beat.exporters) for beat in last.values()))


def test_when_one_of_the_processes_is_killed_all_end_and_can_be_started_again(tmp_path: Path) -> None:
    port = free_port()
    site, policy = files(tmp_path, port)
    with bench(tmp_path, sources=(FLOWS, LOGS)) as desk:
        start(desk, site, policy, "--workers", "2")
        latest(desk, lambda last: len(last) == 2)
        listener = desk.workers.pop("ears")
        [helper] = children(listener.pid)
        os.kill(helper, signal.SIGKILL)
        assert listener.wait(DEADLINE_S) == 1
        start(desk, site, policy)
        until(desk, lambda beat: True)
        with sender(EXPORTERS[0], port) as out:
            out.send(netflow5(0))
        until(desk, lambda beat: total(beat, "received") == 1)


def test_while_the_broker_stands_still_memory_is_bounded_and_every_loss_is_counted(tmp_path: Path) -> None:
    port = free_port()
    site, policy = files(tmp_path, port)
    with bench(tmp_path, sources=(FLOWS, LOGS)) as desk:
        start(desk, site, policy)
        until(desk, lambda beat: True)
        os.kill(desk.broker.pid, signal.SIGSTOP)
        try:
            with sender(EXPORTERS[0], port) as out:
                for number in range(50_000):
                    out.send(netflow5(30 * number, 30))
                    if number % 1_000 == 0:
                        threading.Event().wait(0.02)  # no faster than a busy machine reads
            peak = resident_kib(desk.workers["ears"].pid)
        finally:
            os.kill(desk.broker.pid, signal.SIGCONT)
        beat = until(desk, lambda beat: total(beat, "received") + total(beat, "dropped") == 50_000)
        with sender(EXPORTERS[0], port) as out:
            out.send(netflow5(30 * 50_000, 30))
        beat = until(desk, lambda beat: total(beat, "received") + total(beat, "dropped") == 50_001)
        assert desk.end("ears", signal.SIGTERM) == 0
        arrived = received(desk)[EXPORTERS[0]]
    assert total(beat, "lost") > 0
    assert len(arrived) + total(beat, "lost") + total(beat, "dropped") == 50_001
    assert arrived[-1] == netflow5(30 * 50_000, 30)
    assert total(beat, "missed") == 30 * total(beat, "dropped")
    assert peak < 400 * 1024


def test_a_port_that_is_taken_is_said_in_one_line_and_status_1(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as other:
        other.bind(("::", 0))
        port = other.getsockname()[1]
        site, policy = files(tmp_path, port)
        with bench(tmp_path, sources=(FLOWS, LOGS)) as desk:
            start(desk, site, policy)
            assert desk.workers.pop("ears").wait(DEADLINE_S) == 1
            assert f":: port {port} (udp): Address already in use" in desk.log()
