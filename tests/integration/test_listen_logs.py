"""Syslog over UDP, TCP and TLS into a real broker: every line with the address it came from, whatever it claims."""

import errno
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from controller.domain import wire
from deploy.ports import free_port
from streams.decode.logs import LogReader
from streams.listen.framing import LONGEST
from tests.integration.bench import Bench, bench
from tests.integration.certificates import Authority
from tests.integration.test_listen import FLOWS, LOGS, files, received, sender, start, until

TABLES = """
[[listeners]]
topic = "cordon.syslog"
ports = [{udp}]
[[listeners]]
topic = "cordon.syslog"
carrier = "tcp"
ports = [{tcp}]
[[listeners]]
topic = "cordon.syslog"
carrier = "tls"
ports = [{tls}]
certificate_file = "{certificate}"
key_file = "{key}"
client_ca_file = "{ca}"
"""
FAILED = b"<38>Jan  1 00:00:00 db9 sshd[1]: Failed password for root from 198.18.0.7 port 22 ssh2"


class House:
    """A listener with every door open, and the certificates to come in by the last."""

    def __init__(self, directory: Path) -> None:
        self.ports = {"udp": free_port(), "tcp": free_port(), "tls": free_port()}
        self.authority = Authority(directory, "authority")
        certificate, key = self.authority.certify("server")
        tables = TABLES.format(**self.ports, certificate=certificate, key=key, ca=self.authority.file)
        self.site, self.policy = files(directory, free_port(), tables)

    def connect(self, address: str, door: str) -> socket.socket:
        to = "::1" if ":" in address else "127.0.0.1"
        end = time.monotonic() + 20
        while True:
            try:
                return socket.create_connection((to, self.ports[door]), timeout=20, source_address=(address, 0))
            except ConnectionRefusedError:
                assert time.monotonic() < end
                threading.Event().wait(0.05)

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority.file))


@contextmanager
def listening(directory: Path) -> Iterator[tuple[Bench, House]]:
    house = House(directory)
    with bench(directory, sources=(FLOWS, LOGS)) as desk:
        start(desk, house.site, house.policy)
        until(desk, lambda beat: True)
        yield desk, house


def heard(beat: wire.Heartbeat, address: str, fact: str = "received") -> int:
    return beat.exporters.get(address, {}).get(fact, 0)


def greet(raw: socket.socket, context: ssl.SSLContext) -> None:
    with context.wrap_socket(raw, server_hostname="127.0.0.1") as out:
        out.sendall(b"5 <1>no")
        while out.recv(1):  # with TLS 1.3 a server's refusal comes after the client has had its say
            pass


def ends(out: socket.socket, said: Callable[[socket.socket], object]) -> bool:
    """Whether the other side closes the connection, or resets it, whatever is said."""
    try:
        said(out)
        while out.recv(1_000):
            pass
    except (ConnectionError, ssl.SSLError):
        return True
    except OSError as error:
        return error.errno == errno.EBADF  # wrap_socket took it over and closed it
    return True


def test_lines_of_every_carrier_arrive_whole_with_the_address_they_came_from(tmp_path: Path) -> None:
    with listening(tmp_path) as (desk, house):
        with sender("127.0.1.1", house.ports["udp"]) as out:
            out.send(FAILED + b"\n")
        with house.connect("127.0.1.2", "tcp") as out:
            out.sendall(b"<13>one\n<13>two\r\n<13>unfinished")
        with house.connect("127.0.1.3", "tcp") as out:
            out.sendall(b"9 <13>a\nb c9 <13>to")
        context = house.context()
        context.load_cert_chain(*house.authority.certify("client"))
        with context.wrap_socket(house.connect("::1", "tls"), server_hostname="::1") as out:
            out.sendall(b"%d %s" % (len(FAILED), FAILED))
            out.unwrap()
        beat = until(desk, lambda beat: sum(heard(beat, one) for one in beat.exporters) == 7)
        assert desk.end("ears", signal.SIGTERM) == 0
        found = received(desk, LOGS)
        values = [value for partition in range(4) for value in desk.read(LOGS, partition) if value.startswith(b"CDG1")]
    assert found == {
        "127.0.1.1": [FAILED + b"\n"],
        "127.0.1.2": [b"<13>one", b"<13>two", b"<13>unfinished"],
        "127.0.1.3": [b"<13>a\nb c", b"<13>to"],
        "::1": [FAILED],
    }
    assert heard(beat, "127.0.1.3", "torn") == 1
    assert {name for value in values for name in LogReader().frame(value, kafka_ns=1).senders} == found.keys()


def test_tls_lets_in_only_who_shows_a_certificate_of_the_authority(tmp_path: Path) -> None:
    with listening(tmp_path) as (desk, house):
        impostor = house.context()
        impostor.load_cert_chain(*Authority(tmp_path, "elsewhere").certify("impostor"))
        for context in (house.context(), impostor):
            with house.connect("127.0.1.1", "tls") as raw:
                assert ends(raw, lambda raw, context=context: greet(raw, context))
        with house.connect("127.0.1.1", "tls") as plain:
            assert ends(plain, lambda plain: plain.sendall(b"<13>no TLS at all\n"))
        beat = until(desk, lambda beat: heard(beat, "127.0.1.1", "tls_refused") == 3)
    assert heard(beat, "127.0.1.1") == 0


def test_a_stranger_is_turned_away_at_every_door_and_counted(tmp_path: Path) -> None:
    with listening(tmp_path) as (desk, house):
        for door in ("tcp", "tls"):
            with house.connect("127.0.9.9", door) as out:
                assert ends(out, lambda out: None)
        until(desk, lambda beat: beat.notes == (f"{LOGS}: 2 refused of senders not listed: 127.0.9.9 2",))


def test_of_a_line_of_ten_megabytes_the_beginning_arrives_and_the_next_one_whole(tmp_path: Path) -> None:
    with listening(tmp_path) as (desk, house):
        with house.connect("127.0.1.1", "tcp") as out:
            out.sendall(b"<13>" + b"x" * 10_000_000 + b"\n<13>after\n")
        until(desk, lambda beat: heard(beat, "127.0.1.1") == 2 and heard(beat, "127.0.1.1", "cut") == 1)
        assert desk.end("ears", signal.SIGTERM) == 0
        [long, after] = received(desk, LOGS)["127.0.1.1"]
    assert (len(long), after) == (LONGEST, b"<13>after")


def until_held_back(out: socket.socket, octets: bytes) -> int:
    """How much the other side takes before it takes no more for a second."""
    out.settimeout(1.0)
    sent = 0
    try:
        while sent < len(octets):
            sent += out.send(octets[sent : sent + 65_536])
    except TimeoutError:
        pass
    return sent


def test_while_the_broker_stands_still_connections_are_held_back_and_nothing_they_say_is_lost(tmp_path: Path) -> None:
    lines = [b"<13>%07d " % number + b"x" * 1000 for number in range(80_000)]
    with listening(tmp_path) as (desk, house):
        os.kill(desk.broker.pid, signal.SIGSTOP)
        try:
            with house.connect("127.0.1.1", "tcp") as out:
                octets = b"\n".join(lines) + b"\n"
                sent = until_held_back(out, octets)
                assert sent < len(octets)
                os.kill(desk.broker.pid, signal.SIGCONT)
                out.settimeout(30.0)
                out.sendall(octets[sent:])
        finally:
            os.kill(desk.broker.pid, signal.SIGCONT)
        until(desk, lambda beat: heard(beat, "127.0.1.1") == len(lines))
        assert desk.end("ears", signal.SIGTERM) == 0
        assert received(desk, LOGS) == {"127.0.1.1": lines}
