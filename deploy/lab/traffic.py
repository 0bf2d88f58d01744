"""What the provider's machines send and receive when nobody offends, by the day and by the tick.

A day is drawn in blocks of minutes with NumPy and written as frames of more than a thousand sampled records: every
machine has some conversations at a time, and each is reported once a block, as an active timeout has it. Live, the
same machines offer bursts for each tick, so that the devices can say which of them pass. Machines follow a daily
rhythm with its peak in the evening; mail comes in bursts, hosts fetch what they need, and backups run at night.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv6Address
from math import cos, pi

import numpy as np
from numpy.typing import NDArray

from controller.domain.estate import HostRole
from deploy.lab.device import Packets, Traffic
from deploy.lab.provider import GATEWAY_MAC, SAMPLING, WORLD, WORLD6, Machine, Provider
from deploy.lab.records import Shape, template

MINUTE_NS = 60_000_000_000
BLOCK_MINUTES = 5  # a long flow is reported this often (active timeout)
CONVERSATIONS = 5  # of each machine at a time
FRAME_RECORDS = 1_500  # at most: below 900 kB
IPV6_SHARE = 0.25
INBOUND_SHARE = 0.1  # of the minutes of a day in which a machine's incoming traffic is sampled into a record
PEAK_HOUR = 20


@dataclass(frozen=True, slots=True)
class Block:
    """Some minutes of a day: frames as (lines, records), and the receipt stamp that nothing of them comes after."""

    frames: tuple[tuple[bytes, int], ...]
    until_ns: int


@dataclass(frozen=True, slots=True)
class Flow:
    """Like packets of one sender within one tick, and where a sampled record of them is taken.

    `path` is what stands in their way up to the network, `firewall` what they meet inside it. Both are empty for
    what comes from outside.
    """

    packets: Packets
    exporter: str
    in_if: int
    out_if: int
    path: tuple[tuple[str, str], ...] = ()
    firewall: str = ""
    sender: str = ""  # name of the machine
    scenario: int = 0  # 0: nothing is wrong with it
    tcp_flags: int = 24
    sampling: int = SAMPLING
    claimed: int = 0  # sampling rate that its exporter writes down; 0: the true one


def rhythm(at_ns: int) -> float:
    """Share of a machine's mean rate at a time of the UTC day: 0.55 at its lowest, 1.45 at the peak."""
    hour = at_ns / (60 * MINUTE_NS) % 24
    return 1.0 + 0.45 * cos((hour - PEAK_HOUR) / 24 * 2 * pi)


def world(draw: np.random.Generator, count: int) -> list[str]:
    """Addresses of the world outside, IPv4."""
    nets = [WORLD[int(which)] for which in draw.integers(0, len(WORLD), count)]
    return [str(net[int(host)]) for net, host in zip(nets, draw.integers(1, 255, count), strict=True)]


def world6(draw: np.random.Generator, count: int) -> list[str]:
    """Addresses of the world outside, IPv6."""
    base = int(WORLD6.network_address)
    return [str(IPv6Address(base + (int(net) << 64) + 1)) for net in draw.integers(0, 1 << 20, count)]


def outbound(
    machine: Machine,
    provider: Provider,
    *,
    dst: str,
    packets: int,
    octets: int,
    seconds: float,
    protocol: int = 0,
    src_port: int | None = None,
    dst_port: int = 443,
    src: str = "",
    src_mac: str = "",
    traffic: Traffic = Traffic.PLAIN,
    scenario: int = 0,
) -> Flow:
    """Packets that a machine sends; `src` and `src_mac` are its own unless it lies."""
    own = machine.ipv6 if ":" in dst and machine.ipv6 else machine.ipv4
    kind = protocol or machine.service[0]
    device = machine.entry.device
    return Flow(
        packets=Packets(
            interface=machine.entry.interface,
            src_mac=src_mac or machine.mac,
            dst_mac=GATEWAY_MAC,
            src=src or own,
            dst=dst,
            protocol=kind,
            src_port=machine.service[1] if src_port is None else src_port,
            dst_port=dst_port,
            packets=packets,
            octets=octets,
            seconds=seconds,
            traffic=traffic,
        ),
        exporter=machine.exporter,
        in_if=machine.if_index,
        out_if=provider.uplinks[device][1],
        path=machine.path[:-1] if provider.firewall_of(machine) else machine.path,
        firewall=provider.firewall_of(machine),
        sender=machine.name,
        scenario=scenario,
        tcp_flags=24 if kind == 6 else 0,
    )


def inbound(
    machine: Machine,
    provider: Provider,
    *,
    src: str,
    packets: int,
    octets: int,
    seconds: float,
    protocol: int = 0,
    src_port: int = 50_000,
    dst_port: int | None = None,
    tcp_flags: int = 16,
    scenario: int = 0,
) -> Flow:
    """Packets from outside to a machine, sampled where they enter its edge device: at the uplink."""
    out = outbound(machine, provider, dst=src, packets=packets, octets=octets, seconds=seconds, protocol=protocol)
    port = machine.service[1] if dst_port is None else dst_port
    return Flow(
        packets=replace(
            out.packets,
            interface="",
            src_mac=GATEWAY_MAC,
            dst_mac=machine.mac,
            src=src,
            dst=out.packets.src,
            src_port=src_port,
            dst_port=port,
        ),
        exporter=out.exporter,
        in_if=out.out_if,
        out_if=out.in_if,
        scenario=scenario,
        tcp_flags=tcp_flags if out.packets.protocol == 6 else 0,
    )


class Normal:
    """Everybody's usual traffic. Deterministic for a provider and a seed."""

    def __init__(self, provider: Provider, *, seed: int) -> None:
        self._provider = provider
        self._draw = np.random.default_rng([seed, 1])
        self._machines = [machine for machine in provider.machines if machine.bits_per_s > 0]
        self._octets = np.array([machine.octets for machine in self._machines])
        self._pps = np.array([machine.bits_per_s for machine in self._machines]) / 8 / self._octets
        self._bursty = np.array([machine.role is HostRole.MAIL for machine in self._machines])
        self._four, self._six = world(self._draw, 700), world6(self._draw, 300)
        self._peers = [one.encode() for one in self._four], [one.encode() for one in self._six]
        self._templates = [self._lines(machine) for machine in self._machines]
        self._night = self._backups()

    def _lines(self, machine: Machine) -> tuple[bytes, bytes, bytes]:
        """Templates of one machine's records: out over IPv4, out over IPv6, in over IPv4."""
        out_if = self._provider.uplinks[machine.entry.device][1]
        protocol, port = machine.service
        flags = 24 if protocol == 6 else 0
        four = Shape(
            machine.exporter, machine.if_index, out_if, machine.ipv4, "", protocol, machine.mac, GATEWAY_MAC, SAMPLING
        )
        four = replace(four, src_port=port, tcp_flags=flags)
        back = replace(four, in_if=out_if, out_if=machine.if_index, src_mac=GATEWAY_MAC, dst_mac=machine.mac)
        # An incoming record has the world as its source: the two addresses change places in the finished template.
        turned = template(replace(back, src="%b", src_port=0)).replace(
            b'"dst_addr":"%b"', f'"dst_addr":"{machine.ipv4}"'.encode()
        )
        six = replace(four, src=machine.ipv6) if machine.ipv6 else four
        return template(four), template(six), turned

    def _backups(self) -> NDArray[np.float64]:
        """Factor on each machine's rate by minute of the night: some run a backup for some minutes, up to 15 times."""
        factor = np.ones((24 * 60, len(self._machines)))
        for index, machine in enumerate(self._machines):
            if machine.role in {HostRole.DEDICATED, HostRole.SHARED} and self._draw.random() < 0.4:
                start, length = int(self._draw.integers(60, 240)), int(self._draw.integers(4, 12))
                factor[start : start + length, index] = self._draw.uniform(5, 15)
        return factor

    def _factors(self, at_ns: int) -> NDArray[np.float64]:
        """Every machine's rate at a minute, as a factor on its mean."""
        draw, count = self._draw, len(self._machines)
        factor: NDArray[np.float64] = rhythm(at_ns) * draw.lognormal(0.0, 0.25, count)
        factor[self._bursty & (draw.random(count) < 0.05)] *= 5.0  # a mail burst
        night: NDArray[np.float64] = self._night[at_ns // MINUTE_NS % (24 * 60)]
        return factor * night

    def day(self, *, start_ns: int, end_ns: int) -> Iterator[Block]:
        """The records received in [start, end): one per conversation and block."""
        step = BLOCK_MINUTES * MINUTE_NS
        for until_ns in range(start_ns + step, end_ns + 1, step):
            lines = [line for _ in range(CONVERSATIONS) for line in self._conversation(until_ns - MINUTE_NS // 60)]
            frames = (lines[first : first + FRAME_RECORDS] for first in range(0, len(lines), FRAME_RECORDS))
            yield Block(tuple((b"".join(frame), len(frame)) for frame in frames), until_ns)

    def _conversation(self, at_ns: int) -> list[bytes]:
        """A record of each machine, received at `at_ns`; quiet ones have none, sampled as they are."""
        draw = self._draw
        seconds = BLOCK_MINUTES * 60 / CONVERSATIONS
        samples = draw.poisson(self._factors(at_ns) * self._pps * seconds / SAMPLING)
        heard = np.flatnonzero(samples)
        count = len(heard)
        octets = (samples[heard] * self._octets[heard] * draw.uniform(0.8, 1.2, count)).astype(np.int64)
        six = draw.random(count) < IPV6_SHARE
        peers = draw.integers(0, 300, count)
        ports = draw.integers(1025, 65_000, count)
        four_peers, six_peers = self._peers
        templates, made = self._templates, []
        begun = at_ns - BLOCK_MINUTES * MINUTE_NS
        for index, packets, size, is_six, peer, port in zip(
            heard.tolist(), samples[heard].tolist(), octets.tolist(), six.tolist(), peers.tolist(), ports.tolist(),
            strict=True,
        ):  # fmt: skip
            line = templates[index]
            if is_six and self._machines[index].ipv6:
                made.append(line[1] % (at_ns, begun, at_ns, size, packets, six_peers[peer], port))
            else:
                made.append(line[0] % (at_ns, begun, at_ns, size, packets, four_peers[peer + index % 400], port))
        for index in heard[draw.random(count) < INBOUND_SHARE].tolist():
            packets = int(samples[index])
            peer = four_peers[int(draw.integers(0, 700))]
            port = self._machines[index].service[1]
            made.append(templates[index][2] % (at_ns, begun, at_ns, packets * 90, packets, peer, port))
        return made

    def tick(self, *, at_ns: int, seconds: float) -> Sequence[Flow]:
        """What everybody offers in the `seconds` before `at_ns`, and what comes in for them."""
        draw = self._draw
        counts = draw.poisson(self._factors(at_ns) * self._pps * seconds)
        six = draw.random(len(counts)) < IPV6_SHARE
        peers = draw.integers(0, 300, len(counts))
        flows = []
        for index in np.flatnonzero(counts).tolist():
            machine, packets = self._machines[index], int(counts[index])
            dst = self._six[peers[index]] if six[index] and machine.ipv6 else self._four[peers[index] + index % 400]
            flows.append(
                outbound(
                    machine,
                    self._provider,
                    dst=dst,
                    packets=packets,
                    octets=packets * machine.octets,
                    seconds=seconds,
                    dst_port=1025 + (index * 977 + int(peers[index])) % 60_000,
                )
            )
            flows.append(
                inbound(
                    machine, self._provider, src=dst, packets=packets // 2 + 1, octets=90 * packets, seconds=seconds
                )
            )
        return flows
