"""The listener as a process, real sockets, a real broker: every datagram is in a frame or in a count."""

import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from controller.domain import wire
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


def free_port() -> int:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as one:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        one.bind(("::", 0))
        return int(one.getsockname()[1])


def files(directory: Path, port: int, more: str = "") -> tuple[Path, Path]:
    site, policy = directory / "site.toml", directory / "policy.toml"
    devices = "".join(DEVICE.format(number=n, address=address) for n, address in enumerate(EXPORTERS))
    site.write_text(SITE.format(port=port) + more + devices)
    policy.write_text("version = 1\n")
    return site, policy


def sender(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.bind((address, 0))
    made.connect(("::1" if ":" in address else "127.0.0.1", port))
    return made


def netflow5(sequence: int, records: int = 3) -> bytes:
    return struct.pack(">HHIIIIBBH", 5, records, 1, 2, 3, sequence, 0, 0, 0) + bytes(48 * records)


def start(desk: Bench, site: Path, policy: Path, name: str = "ears") -> None:
    where = ("--site", str(site), "--policy", str(policy), "--broker", desk.broker.bootstrap, "--embedded")
    desk.start(name, "-m", "streams", "listen", *where, "--name", name)


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
