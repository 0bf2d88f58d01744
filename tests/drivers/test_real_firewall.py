"""A real router: netmiko and SSH into the real bash, the real nft, and real packets between three namespaces.

The provider's ruleset accepts established traffic early, as most do: a fence must cut what is open all the same.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

import pytest

from controller.domain.crossing import Crossing, Side, Transport, separation
from controller.domain.errors import CommandRefused
from controller.domain.fence import Action, Effect, Entry, Slot, SlotKind, SlotState, fold
from controller.domain.verdict import TrafficClass
from drivers.conversation import SshSession
from drivers.driver import NetworkDriver
from drivers.loading import dialect_of
from drivers.session import Login

MISSING = [tool for tool in ("nft", "ip", "bash") if shutil.which(tool) is None]
MISSING += ["root"] if os.geteuid() else []
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(MISSING), reason=f"a real firewall needs {', '.join(MISSING)}"),
]
RULES = Slot("fw", SlotKind.FIREWALL, "cordon")
PASSWORD = "for the length of a test"
HERE = Path(__file__).parent
PROVIDER = """
table inet provider {
    chain forward {
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        ip saddr 10.20.0.0/24 accept
        ip6 saddr 2001:db8:5::/64 accept
    }
}
"""
WHOLE, FRAGMENTED = 10, 4_000  # octets of a datagram, on links that carry 1,500
ECHO = """
import select, socket, sys
heard = []
for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
    one = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    one.bind((address, 7007))
    heard.append(one)
sys.stdout.write("listening\\n"); sys.stdout.flush()
while True:
    for one in select.select(heard, [], [])[0]:
        one.sendto(b"x", one.recvfrom(65535)[1])
"""
SEND_AS = """
import socket, sys
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.bind((sys.argv[1], 0))
one.sendto(b"x", (sys.argv[2], 7007))
"""
ASK = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
one = socket.socket(family, socket.SOCK_DGRAM)
one.settimeout(1)
one.sendto(bytes(int(sys.argv[2])), (sys.argv[1], 7007))
one.recvfrom(10)
"""


@dataclass
class Net:
    """host — router — server, each in a namespace; the router is the firewall."""

    names: tuple[str, str, str]
    device: NetworkDriver

    def run(self, where: int, *command: str) -> int:
        inside = ("ip", "netns", "exec", self.names[where], *command)
        return subprocess.run(inside, capture_output=True, check=False, timeout=20).returncode

    def answers(self, address: str, size: int = WHOLE, *, asked_from: int = 0) -> bool:
        """Whether a datagram of `size` octets gets there and its answer back."""
        return self.run(asked_from, sys.executable, "-c", ASK, address, str(size)) == 0

    def fence(self, *entries: Entry) -> Callable[[], None]:
        have = self.device.observe(RULES)
        change = self.device.plan(fold(have.state, [Effect(entries=frozenset(entries))]), have)
        self.device.push(change.apply)
        assert self.device.observe(RULES).state == change.want
        return lambda: (self.device.push(change.undo), None)[1]


def setup(names: tuple[str, str, str]) -> str:
    host, router, server = names
    return f"""set -e
for one in {host} {router} {server}; do ip netns add $one; ip -n $one link set lo up; done
ip link add h0 netns {host} type veth peer name r0 netns {router}
ip link add s0 netns {server} type veth peer name r1 netns {router}
ip -n {host} addr add 10.20.0.5/24 dev h0; ip -n {host} addr add 2001:db8:5::5/64 dev h0 nodad
ip -n {router} addr add 10.20.0.1/24 dev r0; ip -n {router} addr add 2001:db8:5::1/64 dev r0 nodad
ip -n {server} addr add 192.0.2.9/24 dev s0; ip -n {server} addr add 2001:db8:9::9/64 dev s0 nodad
ip -n {router} addr add 192.0.2.1/24 dev r1; ip -n {router} addr add 2001:db8:9::1/64 dev r1 nodad
ip -n {host} link set h0 up; ip -n {router} link set r0 up; ip -n {router} link set r1 up; ip -n {server} link set s0 up
ip -n {host} route add default via 10.20.0.1; ip -n {host} route add default via 2001:db8:5::1
ip -n {server} route add default via 192.0.2.1; ip -n {server} route add default via 2001:db8:9::1
ip netns exec {router} sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
ip netns exec {router} nft -f - <<'EOF'
{PROVIDER}
EOF
"""


def started(running: ExitStack, *command: str) -> str:
    """Start a program that ends with `running`; the first line that it prints."""
    process = running.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    running.callback(process.kill)
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    folder = tmp_path_factory.mktemp("firewall")
    names = (f"cordon-h{os.getpid()}", f"cordon-r{os.getpid()}", f"cordon-s{os.getpid()}")
    command = (sys.executable, str(HERE / "bash_over_ssh.py"), names[1], str(folder), PASSWORD)
    try:
        subprocess.run(("bash", "-c", setup(names)), check=True)
        with ExitStack() as running:
            for name in (names[0], names[2]):
                started(running, "ip", "netns", "exec", name, sys.executable, "-c", ECHO)
            port = int(started(running, *command))
            dialect = dialect_of("linux_nftables")
            login = Login("fw", "127.0.0.1", port, "root", folder / "known_hosts", password=PASSWORD)
            device = NetworkDriver("fw", dialect, SshSession(login, dialect.talk, dialect.refusals))
            yield Net(names, device)
            device.close()
    finally:
        for name in names:
            subprocess.run(("ip", "netns", "del", name), check=False)


def drop(source: str, traffic: TrafficClass = TrafficClass.ALL, segment: str = "") -> Entry:
    return Entry(Action.DROP, ip_network(source), traffic, segment=segment)


def until(happens: Callable[[], bool]) -> bool:
    """Wait for a state, not for a time."""
    deadline = time.monotonic() + 10
    while not happens():
        if time.monotonic() > deadline:
            return False
    return True


@pytest.mark.parametrize(("address", "source"), [("192.0.2.9", "10.20.0.5/32"), ("2001:db8:9::9", "2001:db8:5::/64")])
def test_blocked_host_is_silent_until_it_is_released(net: Net, address: str, source: str) -> None:
    assert until(lambda: net.answers(address))
    release = net.fence(drop(source))
    assert not net.answers(address)
    release()
    assert net.answers(address)


def test_open_connection_is_cut_although_the_provider_accepts_what_is_established(net: Net) -> None:
    assert until(lambda: net.answers("192.0.2.9"))
    program = """
import socket, sys
server = socket.create_server(("192.0.2.9", 7777))
sys.stdout.write("listening\\n"); sys.stdout.flush()
client, _ = server.accept()
while True:
    client.sendall(client.recv(10))
"""
    client = """
import socket, sys
talk = socket.create_connection(("192.0.2.9", 7777), timeout=5)
talk.settimeout(2)
for line in sys.stdin:
    try:
        talk.sendall(b"x"); sys.stdout.write("heard\\n" if talk.recv(1) else "closed\\n")
    except TimeoutError:
        sys.stdout.write("silent\\n")
    sys.stdout.flush()
"""
    inside = ("ip", "netns", "exec")
    with (
        subprocess.Popen((*inside, net.names[2], sys.executable, "-c", program), stdout=subprocess.PIPE) as listener,
        subprocess.Popen(
            (*inside, net.names[0], "bash", "-c", 'read; exec "$0" -c "$1"', sys.executable, client),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        ) as talker,
    ):
        try:
            assert listener.stdout is not None
            assert talker.stdin is not None
            assert talker.stdout is not None
            assert listener.stdout.readline() == b"listening\n"

            def say() -> str:
                assert talker.stdin is not None
                assert talker.stdout is not None
                talker.stdin.write("\n")
                return talker.stdout.readline().strip()

            talker.stdin.write("\n")
            assert say() == "heard"
            release = net.fence(drop("10.20.0.5/32"))
            assert say() == "silent"
            release()
        finally:
            talker.kill()
            listener.kill()


@pytest.mark.parametrize(("address", "source"), [("192.0.2.9", "10.20.0.5/32"), ("2001:db8:9::9", "2001:db8:5::/64")])
def test_fragments_are_dropped_and_whole_packets_pass(net: Net, address: str, source: str) -> None:
    assert until(lambda: net.answers(address, FRAGMENTED))
    release = net.fence(drop(source, TrafficClass.FRAGMENTS))
    assert not net.answers(address, FRAGMENTED)
    assert net.answers(address)
    release()
    assert net.answers(address, FRAGMENTED)


def test_closed_segment_neither_sends_nor_hears(net: Net) -> None:
    def from_outside() -> bool:
        return net.answers("10.20.0.5", asked_from=2)

    assert net.run(1, "nft", "insert rule inet provider forward ip daddr 10.20.0.0/24 accept") == 0
    assert until(lambda: net.answers("192.0.2.9") and from_outside())
    release = net.fence(drop("10.20.0.0/24", segment="shared-1"))
    assert not net.answers("192.0.2.9")
    assert not from_outside()
    release()
    assert net.answers("192.0.2.9")
    assert from_outside()


SEGMENT = Slot("fw", SlotKind.SEGMENT, "hosting")
OURS = (ip_network("10.20.0.0/24"), ip_network("2001:db8:5::/64"))


@contextmanager
def separated(net: Net, *crossings: Crossing, inside: tuple[str, ...] = ("r0",)) -> Iterator[None]:
    have = net.device.observe(SEGMENT)
    change = net.device.plan(SlotState(separation=separation(OURS, crossings, inside)), have)
    net.device.push(change.apply)
    assert net.device.observe(SEGMENT).state == change.want
    try:
        yield
    finally:
        net.device.push(change.undo)
        assert net.device.observe(SEGMENT).state == have.state


@pytest.mark.parametrize(("address", "peer"), [("192.0.2.9", "192.0.2.0/24"), ("2001:db8:9::9", "2001:db8:9::9/128")])
def test_only_declared_connections_cross_and_their_answers_with_them(net: Net, address: str, peer: str) -> None:
    begun_inside = Crossing(Side.INSIDE, (ip_network(peer),), Transport.UDP, ("7000-7010",))
    assert until(lambda: net.answers(address))
    with separated(net):
        assert not net.answers(address)
    with separated(net, begun_inside):
        assert net.answers(address)
        assert net.answers(address, FRAGMENTED)
    with separated(net, Crossing(Side.INSIDE, (ip_network(peer),), Transport.UDP, ("53",))):
        assert not net.answers(address)
    with separated(net, Crossing(Side.OUTSIDE, (ip_network(peer),), Transport.UDP, ("7007",))):
        assert not net.answers(address), "who may answer may not begin"
    assert until(lambda: net.answers(address))


def test_others_begin_only_what_may_cross_inwards(net: Net) -> None:
    assert net.run(1, "nft", "insert rule inet provider forward ip daddr 10.20.0.0/24 accept") == 0
    assert until(lambda: net.answers("10.20.0.5", asked_from=2))
    everybody = (ip_network("0.0.0.0/0"),)
    with separated(net, Crossing(Side.INSIDE, everybody)):
        assert not net.answers("10.20.0.5", asked_from=2)
    with separated(
        net, Crossing(Side.OUTSIDE, everybody, Transport.UDP, ("7007",), hosts=(ip_network("10.20.0.5/32"),))
    ):
        assert net.answers("10.20.0.5", asked_from=2)
    with separated(net, Crossing(Side.OUTSIDE, everybody, Transport.UDP, hosts=(ip_network("10.20.0.8/32"),))):
        assert not net.answers("10.20.0.5", asked_from=2)


def test_forged_sources_do_not_cross_where_the_segments_side_is_known(net: Net) -> None:
    forged = ("ip", "-n", net.names[0], "addr", "add", "10.77.0.1/32", "dev", "h0")
    assert subprocess.run(forged, check=False).returncode == 0
    assert net.run(1, "nft", "insert rule inet provider forward ip saddr 10.77.0.1 counter accept") == 0

    def crossed() -> int:
        net.run(0, sys.executable, "-c", SEND_AS, "10.77.0.1", "192.0.2.9")
        listed = subprocess.run(
            ("ip", "netns", "exec", net.names[1], "nft", "list", "chain", "inet", "provider", "forward"),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        return int(re.search(r"10\.77\.0\.1 counter packets (\d+)", listed)[1])  # type: ignore[index]

    assert crossed() == 1
    with separated(net, inside=()):
        assert crossed() == 2, "a rule by prefix does not know whose it is"
    with separated(net, Crossing(Side.INSIDE, (ip_network("0.0.0.0/0"),)), inside=("r0",)):
        assert crossed() == 2, "it entered from the segment and bears none of its addresses"


def test_router_shows_both_families_of_what_it_is_connected_to(net: Net) -> None:
    seen = {(str(one.prefix), one.interface, one.via) for one in net.device.look().routes}
    assert seen >= {("10.20.0.0/24", "r0", None), ("2001:db8:5::/64", "r0", None), ("192.0.2.0/24", "r1", None)}


def test_line_that_nft_refuses_changes_nothing_and_is_named(net: Net) -> None:
    before = net.device.observe(RULES)
    with pytest.raises(CommandRefused, match="no_such_type"):
        net.device.push(["nft 'add table inet cordon; add set inet cordon x { type no_such_type; }'"])
    assert net.device.observe(RULES).state == before.state
    assert net.run(1, "nft", "list table inet cordon") != 0


def test_change_longer_than_a_terminal_is_wide_arrives_whole(net: Net) -> None:
    entries = [drop(f"10.99.{number}.1/32") for number in range(200)]
    release = net.fence(*entries)
    release()
    assert net.device.observe(RULES).state.entries == frozenset()


def test_nothing_listens_where_no_firewall_is(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    (tmp_path / "known_hosts").write_text("")
    dialect = dialect_of("linux_nftables")
    login = Login("fw", "127.0.0.1", port, "root", tmp_path / "known_hosts", password=PASSWORD)
    with pytest.raises(ConnectionError):
        NetworkDriver("fw", dialect, SshSession(login, dialect.talk, dialect.refusals)).observe(RULES)
