"""Nights on which somebody could be accused wrongly: scenarios 3, 4 and 5. None of them has an offender."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from controller.domain.estate import HostRole
from deploy.lab.device import Traffic
from deploy.lab.journeys import SECOND_NS, Tick
from deploy.lab.provider import GATEWAY_MAC, OPEN_SPEED_TEST, WORLD, Machine, Provider
from deploy.lab.records import LogLine
from deploy.lab.traffic import Flow, inbound, outbound

SYN, SYN_ACK, RST_ACK = 2, 18, 20
BROADCAST = "ff:ff:ff:ff:ff:ff"
SILENT_FROM_S = 15.0
CHANGED_FROM_S = 2.0
STRANGER = "203.0.113.66"


@dataclass(frozen=True, slots=True)
class _Rate:
    """So many packets a second of so many octets."""

    packets: float
    octets: int

    def of(self, tick: Tick) -> tuple[int, int]:
        """Packets and octets of one tick."""
        packets = max(1, int(self.packets * tick.seconds))
        return packets, packets * self.octets


class BusyNight:
    """Scenario 3: everything at once that is loud and right, and a storage server that is sick."""

    number = 3

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        draw = self._draw = Random(f"{provider.seed} journey {self.number}")
        dedicated = list(provider.of_role(HostRole.DEDICATED))
        draw.shuffle(dedicated)
        self._backups, self._tester, self._victim, self._looping = dedicated[:3], *dedicated[3:6]
        self._web = provider.of_role(HostRole.WEB)
        self._mail = draw.choice(provider.of_role(HostRole.MAIL))
        self._storage = provider.of_role(HostRole.STORAGE)
        self._balancers = provider.of_role(HostRole.LOAD_BALANCER)
        self._dns = provider.of_role(HostRole.DNS)[0]
        self._vpn = provider.of_role(HostRole.VPN)[0]
        self._nat = provider.of_role(HostRole.NAT)[0]
        self.silent, self._changed = (provider.exporters[name] for name in draw.sample(("hv01", "hv02", "hv03"), 2))

    def history(self, *, start_ns: int, end_ns: int) -> Sequence[LogLine]:
        """Nothing led up to it."""
        return ()

    def yesterday(self, *, at_ns: int, seconds: float) -> Sequence[Flow]:
        """Nothing led up to it."""
        return ()

    def flows(self, tick: Tick) -> Sequence[Flow]:
        """Backups, a flash crowd, a speed test, a newsletter, an attack from outside, a loop, gateways, migration."""
        return tuple(
            flow
            for told in (
                self._late_backups,
                self._flash_crowd,
                self._speed_test,
                self._newsletter,
                self._attack,
                self._loop,
                self._gateways,
                self._migration,
            )
            for flow in told(tick)
        )

    def lines(self, tick: Tick, arrived: int) -> Sequence[LogLine]:
        """The load balancers pull every web server, for the storage behind them is sick."""
        number = int(tick.elapsed_s * 4)
        if number % 2 or number // 2 > len(self._web):
            return ()
        web = self._web[number // 2 % len(self._web)]
        balancer = self._balancers[0]
        text = f"Server grid/{web.name} is DOWN, reason: Layer7 timeout, check duration: 2001ms. 0 active servers left."
        return (LogLine(tick.at_ns, balancer.ipv4, balancer.name, "haproxy", text, 129),)

    def witnessed(self, flow: Flow, tick: Tick) -> Flow | None:
        """One exporter falls silent; another begins to sample half as many packets, and says so."""
        if flow.exporter == self.silent and tick.elapsed_s > SILENT_FROM_S:
            return None
        if flow.exporter == self._changed and tick.elapsed_s > CHANGED_FROM_S:
            return replace(flow, sampling=flow.sampling * 2)
        return flow

    def _late_backups(self, tick: Tick) -> Iterator[Flow]:
        for machine, store in zip(self._backups, self._storage, strict=False):
            yield self._out(machine, store.ipv4, _Rate(9_000, 1_400), tick, dst_port=873)

    def _flash_crowd(self, tick: Tick) -> Iterator[Flow]:
        for machine in self._web[:6]:
            for client in self._world(8):
                yield self._out(machine, client, _Rate(150, 1_200), tick, src_port=443, dst_port=self._port())
                yield inbound(
                    machine, self._provider, src=client, packets=20, octets=1_600, seconds=tick.seconds,
                    src_port=self._port(),
                )  # fmt: skip

    def _speed_test(self, tick: Tick) -> Iterator[Flow]:
        if 2.0 <= tick.elapsed_s <= 10.0:
            yield self._out(self._tester, OPEN_SPEED_TEST, _Rate(18_000, 1_400), tick, dst_port=8080)

    def _newsletter(self, tick: Tick) -> Iterator[Flow]:
        for client in self._world(6):
            yield self._out(self._mail, client, _Rate(60, 900), tick, src_port=self._port(), dst_port=25)

    def _attack(self, tick: Tick) -> Iterator[Flow]:
        """A customer under a flood of SYN and DNS questions: what he sends are answers."""
        for client in self._world(30):
            packets, octets = _Rate(700, 60).of(tick)
            yield inbound(
                self._victim, self._provider, src=client, packets=packets, octets=octets, seconds=tick.seconds,
                protocol=6, src_port=self._port(), dst_port=443, tcp_flags=SYN,
            )  # fmt: skip
            answer = self._out(self._victim, client, _Rate(450, 60), tick, src_port=443, dst_port=self._port())
            yield replace(answer, tcp_flags=SYN_ACK)
            refusal = self._out(self._victim, client, _Rate(150, 60), tick, src_port=80, dst_port=self._port())
            yield replace(refusal, tcp_flags=RST_ACK)
        for client in self._world(10):
            packets, octets = _Rate(600, 70).of(tick)
            yield inbound(
                self._dns, self._provider, src=client, packets=packets, octets=octets, seconds=tick.seconds,
                protocol=17, src_port=self._port(), dst_port=53,
            )  # fmt: skip
            yield self._out(self._dns, client, _Rate(600, 400), tick, protocol=17, src_port=53, dst_port=self._port())

    def _loop(self, tick: Tick) -> Iterator[Flow]:
        """One machine's broadcasts come back on its neighbours' ports, the same count on each."""
        same = [one for one in self._provider.machines if one.port.device == self._looping.port.device]
        doors = [self._looping, *[one for one in same if not one.shared and one is not self._looping][:2]]
        packets, octets = _Rate(9_000, 80).of(tick)
        for door in doors:
            flow = outbound(
                door, self._provider, dst="255.255.255.255", packets=packets, octets=octets, seconds=tick.seconds,
                protocol=17, src_port=68, dst_port=67, src=self._looping.ipv4, src_mac=self._looping.mac,
            )  # fmt: skip
            yield replace(flow, packets=replace(flow.packets, dst_mac=BROADCAST))

    def _gateways(self, tick: Tick) -> Iterator[Flow]:
        """They speak for others: a one-armed balancer with its clients' addresses, NAT, and the end of a tunnel."""
        balancer = self._balancers[-1]
        for client in self._world(10):
            yield outbound(
                balancer, self._provider, dst=self._web[0].ipv4, packets=250, octets=100_000, seconds=tick.seconds,
                protocol=6, src_port=self._port(), dst_port=80, src=client,
            )  # fmt: skip
        for client in self._world(25):
            yield self._out(self._nat, client, _Rate(80, 500), tick, src_port=self._port(), dst_port=443)
        yield self._out(self._vpn, self._world(1)[0], _Rate(6_000, 1_200), tick, protocol=50, src_port=0, dst_port=0)

    def _migration(self, tick: Tick) -> Iterator[Flow]:
        """A storage server's disks move to the next; the sick one says nothing."""
        first, second = self._storage[1], self._storage[2]
        yield self._out(first, second.ipv4, _Rate(35_000, 1_400), tick, dst_port=49_152)

    def _out(
        self,
        machine: Machine,
        dst: str,
        rate: _Rate,
        tick: Tick,
        *,
        protocol: int = 6,
        src_port: int = 40_000,
        dst_port: int = 443,
    ) -> Flow:
        packets, octets = rate.of(tick)
        return outbound(
            machine, self._provider, dst=dst, packets=packets, octets=octets, seconds=tick.seconds,
            protocol=protocol, src_port=src_port, dst_port=dst_port,
        )  # fmt: skip

    def _world(self, count: int) -> list[str]:
        return [str(self._draw.choice(WORLD)[self._draw.randrange(1, 255)]) for _ in range(count)]

    def _port(self) -> int:
        return self._draw.randrange(1_025, 65_000)


class MadSensor:
    """Scenario 4: one exporter multiplies its counts by a thousand."""

    number = 4
    FACTOR = 1_000

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self.device = Random(f"{provider.seed} journey {self.number}").choice(("sw01", "sw02", "sw03", "sw04"))
        self._exporter = provider.exporters[self.device]

    def history(self, *, start_ns: int, end_ns: int) -> Sequence[LogLine]:
        """Nothing led up to it."""
        return ()

    def yesterday(self, *, at_ns: int, seconds: float) -> Sequence[Flow]:
        """Nothing led up to it."""
        return ()

    def flows(self, tick: Tick) -> Sequence[Flow]:
        """Nothing that was not there before."""
        return ()

    def lines(self, tick: Tick, arrived: int) -> Sequence[LogLine]:
        """It does not say that it is mad."""
        return ()

    def witnessed(self, flow: Flow, tick: Tick) -> Flow | None:
        """The mad exporter's records say that each sample stands for a thousand times as many packets."""
        return replace(flow, claimed=flow.sampling * self.FACTOR) if flow.exporter == self._exporter else flow


class FrameUp:
    """Scenario 5: somebody who is no sensor of ours names an innocent host, in log lines and in flow records."""

    number = 5

    def __init__(self, provider: Provider) -> None:
        draw = Random(f"{provider.seed} journey {self.number}")
        self._provider = provider
        self.innocent = draw.choice(provider.of_role(HostRole.DEDICATED))
        self._neighbour = draw.choice(provider.of_role(HostRole.VPS))

    def history(self, *, start_ns: int, end_ns: int) -> Sequence[LogLine]:
        """Nothing led up to it."""
        return ()

    def yesterday(self, *, at_ns: int, seconds: float) -> Sequence[Flow]:
        """Nothing led up to it."""
        return ()

    def flows(self, tick: Tick) -> Sequence[Flow]:
        """Records of a flood that nobody sends, from an exporter that nobody knows."""
        flow = outbound(
            self.innocent, self._provider, dst="203.0.113.7", packets=int(30_000 * tick.seconds),
            octets=int(30_000 * tick.seconds) * 1_400, seconds=tick.seconds, protocol=17, src_port=9, dst_port=80,
            traffic=Traffic.PLAIN,
        )  # fmt: skip
        return (replace(flow, exporter=STRANGER, path=(), firewall=""),)

    def lines(self, tick: Tick, arrived: int) -> Sequence[LogLine]:
        """A stranger's firewall lines, a tenant's about another tenant, and one true firewall's: syslog alone."""
        text = (
            f"IN=eth1 OUT=eth0 MAC={GATEWAY_MAC}:{self.innocent.mac}:08:00 SRC={self.innocent.ipv4} DST=203.0.113.7 "
            "LEN=1400 TOS=0x00 PREC=0x00 TTL=63 ID=1 PROTO=UDP SPT=9 DPT=80 LEN=1380"
        )
        tellers = ((STRANGER, "fw99"), (self._neighbour.ipv4, self._neighbour.name))
        lines = [
            LogLine(tick.at_ns, sender, name, "kernel", f"[1.0] DROP {text}", 4)
            for sender, name in tellers
            for _ in range(10)
        ]
        if tick.at_ns % SECOND_NS == 0:
            true = self._provider.exporters["fw01"]
            lines += [LogLine(tick.at_ns, true, "fw01", "kernel", f"[1.0] cordon-test DROP {text}", 4)] * 10
        return lines

    def witnessed(self, flow: Flow, tick: Tick) -> Flow | None:
        """Our own exporters are in order."""
        return flow
