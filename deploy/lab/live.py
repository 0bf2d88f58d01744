"""From what machines offer to what is recorded: the devices are asked first, and only what they let in goes on.

Every flow is sent through the running configuration of the devices in its way. The edge exporter samples what it lets
pass; Open vSwitch goes on sampling what one of its rules drops, and says so in the output interface. Packets in the
quarantine VLAN have not entered the network, and nothing past the edge hears of them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from deploy.lab.control import Arrival, Burst
from deploy.lab.device import Traffic
from deploy.lab.journeys import Journey, Tick
from deploy.lab.provider import QUARANTINE, Provider
from deploy.lab.records import DISCARDED, MORE_FRAGMENTS, LogLine, Shape, template
from deploy.lab.traffic import Flow, Normal


class Plant(Protocol):
    """The devices, as far as traffic is concerned."""

    def forward(self, bursts: Sequence[Burst], *, now: float) -> list[Arrival]:
        """What of each burst left its last hop."""
        ...


class Cables:
    """A plant in which nothing holds anything back: what a file of records is made with."""

    def forward(self, bursts: Sequence[Burst], *, now: float) -> list[Arrival]:
        """All of everything."""
        return [Arrival(burst.packets.packets, burst.packets.octets, burst.packets.vlan) for burst in bursts]


@dataclass(frozen=True, slots=True)
class Passage:
    """What became of one flow: packets that its exporter let pass, that are past the edge, and behind the firewall."""

    flow: Flow
    passed: int
    edge: int
    entered: int
    discarded: int = 0  # dropped by a rule of the exporter, which samples them all the same
    quarantined: bool = False
    why: str = ""

    @property
    def burdens(self) -> int:
        """Packets that still reach whom they hurt: fragments and broken ones the firewall, all others the network."""
        return self.entered if self.flow.packets.traffic is Traffic.PLAIN else self.edge


def pass_through(plant: Plant, provider: Provider, flows: Sequence[Flow], *, now: float) -> list[Passage]:
    """Send flows through the edge, and what is left of them through the firewalls inside."""
    edge = [index for index, flow in enumerate(flows) if flow.path]
    arrivals = dict(
        zip(edge, plant.forward([Burst(flows[i].path, flows[i].packets) for i in edge], now=now), strict=True)
    )
    found = [_unhindered(flow) for flow in flows]
    inside, bursts = [], []
    for index, arrival in arrivals.items():
        flow = flows[index]
        found[index] = passage = _at_the_edge(provider, flow, arrival)
        if flow.firewall and passage.edge:
            octets = flow.packets.octets * passage.edge // max(flow.packets.packets, 1)
            rest = replace(flow.packets, packets=passage.edge, octets=octets, vlan=None)
            inside.append(index)
            bursts.append(Burst(((flow.firewall, "eth1"),), rest))
    for index, arrival in zip(inside, plant.forward(bursts, now=now) if bursts else (), strict=True):
        found[index] = replace(found[index], entered=arrival.packets, why=arrival.why or found[index].why)
    return found


def _unhindered(flow: Flow) -> Passage:
    packets = flow.packets.packets
    return Passage(flow, passed=packets, edge=packets, entered=packets)


def _at_the_edge(provider: Provider, flow: Flow, arrival: Arrival) -> Passage:
    exporter = flow.path[0][0]
    offered = flow.packets.packets
    stopped_here = arrival.stopped_by == exporter
    seen = arrival.packets if stopped_here else offered
    samples_drops = stopped_here and provider.platform(exporter) == "ovs_linux" and arrival.why.startswith("flow ")
    quarantined = arrival.vlan == QUARANTINE and bool(arrival.packets)
    edge = 0 if quarantined else arrival.packets
    return Passage(
        flow,
        passed=seen,
        edge=edge,
        entered=edge,
        discarded=offered - seen if samples_drops else 0,
        quarantined=quarantined,
        why=arrival.why or ("in the quarantine VLAN" if quarantined else ""),
    )


class Sampler:
    """Takes every n-th packet at random and writes it down as goflow2 does."""

    def __init__(self, draw: np.random.Generator) -> None:
        self._draw = draw
        self._templates: dict[Shape, bytes] = {}

    def each(self, passage: Passage, *, start_ns: int, end_ns: int) -> tuple[list[bytes], int]:
        """A record per sample, spread over the tick, and the earliest receipt stamp among them (0: none)."""
        flow, lines, first = passage.flow, [], 0
        vlan = QUARANTINE if passage.quarantined else 0
        for packets, out_if in ((passage.passed, flow.out_if), (passage.discarded, DISCARDED)):
            samples = int(self._draw.binomial(packets, 1 / flow.sampling)) if packets else 0
            if not samples:
                continue
            size = flow.packets.octets / max(flow.packets.packets, 1)
            stamps = np.sort(self._draw.integers(start_ns, end_ns, samples)).tolist()
            sizes = (size * self._draw.uniform(0.95, 1.05, samples)).astype(np.int64).tolist()
            shapes = [self._template(shape) for shape in _shapes(flow, out_if=out_if, vlan=vlan)]
            dst, port = flow.packets.dst.encode(), flow.packets.dst_port
            lines += [
                shapes[index % len(shapes)] % (stamp, stamp, stamp, octets, 1, dst, port)
                for index, (stamp, octets) in enumerate(zip(stamps, sizes, strict=True))
            ]
            first = min(first or stamps[0], stamps[0])
        return lines, first

    def whole(self, flow: Flow, *, start_ns: int, end_ns: int) -> list[bytes]:
        """One record of all the samples of a longer time, or none."""
        samples = int(self._draw.binomial(flow.packets.packets, 1 / flow.sampling))
        if not samples:
            return []
        octets = flow.packets.octets * samples // flow.packets.packets
        shape = self._template(_shapes(flow, out_if=flow.out_if, vlan=0)[0])
        return [shape % (end_ns, start_ns, end_ns, octets, samples, flow.packets.dst.encode(), flow.packets.dst_port)]

    def _template(self, shape: Shape) -> bytes:
        known = self._templates.get(shape)
        if known is None:
            known = self._templates[shape] = template(shape)
        return known


def _shapes(flow: Flow, *, out_if: int, vlan: int) -> tuple[Shape, ...]:
    """The kinds of records that a flow's packets turn up as, in turn."""
    packets = flow.packets
    plain = Shape(
        sampler=flow.exporter,
        in_if=flow.in_if,
        out_if=out_if,
        src=packets.src,
        dst="",
        protocol=packets.protocol,
        src_mac=packets.src_mac,
        dst_mac=packets.dst_mac,
        sampling=flow.claimed or flow.sampling,
        src_port=packets.src_port,
        tcp_flags=flow.tcp_flags,
        vlan=vlan,
    )
    if packets.traffic is Traffic.FRAGMENT:
        first = replace(plain, ip_flags=MORE_FRAGMENTS)
        return (first, *(replace(first, fragment_offset=185 * n) for n in (1, 2, 3)))
    if packets.traffic is Traffic.MALFORMED:
        return (replace(plain, ip_flags=0, broken=True),)
    return (plain,)


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of one scenario's flows in a tick: packets offered, and those that still reach whom they hurt."""

    offered: int
    entered: int
    first_ns: int  # receipt stamp of the first record of them; 0: none was sampled
    why: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """All that collectors write down for one tick."""

    records: tuple[bytes, ...]
    lines: tuple[LogLine, ...]
    seen: dict[int, Seen] = field(default_factory=dict)


class Live:
    """The provider's traffic by the tick, with the journeys that run."""

    def __init__(self, provider: Provider, normal: Normal, plant: Plant, *, seed: int) -> None:
        self._provider, self._normal, self._plant = provider, normal, plant
        self._sampler = Sampler(np.random.default_rng([seed, 2]))
        self._running: dict[int, tuple[Journey, int]] = {}

    def start(self, journey: Journey, *, at_ns: int) -> None:
        """From `at_ns` on the journey takes part."""
        self._running[journey.number] = (journey, at_ns)

    def stop(self, number: int) -> None:
        """The journey is over."""
        self._running.pop(number, None)

    def tick(self, *, at_ns: int, seconds: float) -> Heard:
        """What happens in the `seconds` before `at_ns`."""
        start_ns = at_ns - int(seconds * 1e9)
        ticks = {number: Tick(at_ns, seconds, (at_ns - begun) / 1e9) for number, (_, begun) in self._running.items()}
        flows: list[Flow] = list(self._normal.tick(at_ns=at_ns, seconds=seconds))
        for number, (journey, _) in self._running.items():
            flows += journey.flows(ticks[number])
        passages = pass_through(self._plant, self._provider, flows, now=at_ns / 1e9)
        records: list[bytes] = []
        firsts: dict[int, int] = {}
        for passage in self._witnessed(passages, ticks):
            made, first = self._sampler.each(passage, start_ns=start_ns, end_ns=at_ns)
            records += made
            number = passage.flow.scenario
            if number and first:
                firsts[number] = min(firsts.get(number, first), first)
        lines: list[LogLine] = []
        seen: dict[int, Seen] = {}
        for number, (journey, _) in self._running.items():
            own = [passage for passage in passages if passage.flow.scenario == number]
            seen[number] = _seen(own, firsts.get(number, 0))
            lines += journey.lines(ticks[number], _reaching_a_firewall(own, seconds))
        return Heard(tuple(records), tuple(lines), seen)

    def _witnessed(self, passages: Sequence[Passage], ticks: Mapping[int, Tick]) -> Iterator[Passage]:
        """What the exporters make of it: some are silent, some mad, while a journey has it so."""
        odd = [(journey, ticks[number]) for number, (journey, _) in self._running.items()]
        for passage in passages:
            flow: Flow | None = passage.flow
            for journey, tick in odd:
                flow = journey.witnessed(flow, tick) if flow is not None else None
            if flow is not None:
                yield passage if flow is passage.flow else replace(passage, flow=flow)


def _seen(passages: Iterable[Passage], first_ns: int) -> Seen:
    own = list(passages)
    return Seen(
        offered=sum(one.flow.packets.packets for one in own),
        entered=sum(one.burdens for one in own),
        first_ns=first_ns,
        why="; ".join(sorted({one.why for one in own if one.why})),
    )


def _reaching_a_firewall(passages: Iterable[Passage], seconds: float) -> int:
    return int(sum(one.edge for one in passages if one.flow.firewall) / seconds)
