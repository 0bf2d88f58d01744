"""A small provider and records about it, for tests: what an exporter would say, in goflow2's words."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from controller.domain.address import Mac, Port
from controller.domain.estate import (
    Device,
    Estate,
    Expected,
    Host,
    HostRole,
    Interface,
    PortRole,
    Segment,
    Site,
    Source,
    SourceFormat,
)
from controller.domain.rulebook import Rulebook
from controller.domain.verdict import Verdict
from streams.activity import Combined, Combiner
from streams.score import Scorer

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
TICK = SECOND // 4
START = 1_700_000_000 * SECOND

FLOWS = Source("flows", SourceFormat.GOFLOW2_JSON)
PMACCT = Source("pmacct", SourceFormat.PMACCT_JSON)
LOGS = Source("logs", SourceFormat.SYSLOG)

EDGE, EDGE2, CORE, FIREWALL = "10.0.0.1", "10.0.0.2", "10.0.0.9", "10.0.0.20"
OUTSIDE = "203.0.113.9"
GATEWAY_MAC = "00:00:5e:00:01:0a"
UPLINK_IF, SHARED_IF, UNKNOWN_IF = 1000, 50, 0


def mac(number: int) -> str:
    return f"02:00:00:00:00:{number:02x}"


def site(*, expected: tuple[Expected, ...] = ()) -> Site:
    """sw1: ports 1..20 with a host each, 50 with three guests, 60 a router; sw2: ports 1..5; a core switch; a firewall
    before the segment of s1..s3, which hang on sw2 10..12."""
    hosts: list[Host] = []
    interfaces = [
        Interface("sw1", "uplink", UPLINK_IF, PortRole.UPLINK),
        Interface("sw2", "uplink", UPLINK_IF, PortRole.UPLINK),
        Interface("sw1", "shared", SHARED_IF, shared=True),
        Interface("sw1", "router", 60),
        Interface("core", "to-sw1", 1, PortRole.TRUNK),
        Interface("core", "to-sw2", 2, PortRole.TRUNK),
        Interface("core", "world", 3, PortRole.UPLINK),
    ]
    for number in range(1, 21):
        interfaces.append(Interface("sw1", f"p{number}", number))
        role = {17: HostRole.MAIL, 18: HostRole.DNS, 19: HostRole.STORAGE, 20: HostRole.WEB}.get(number, HostRole.VPS)
        six = (IPv6Address(f"2001:db8:1:{number:x}::1"),) if number <= 5 else ()
        hosts.append(
            Host(
                f"h{number}",
                (IPv4Address(f"198.18.0.{number}"), *six),
                f"tenant{number}",
                role,
                mac=Mac(mac(number)),
                ports=(Port("sw1", f"p{number}"),),
                prefixes=(ip_network(f"2001:db8:1:{number:x}::/64"),) if six else (),
            )
        )
    for number in range(51, 54):
        hosts.append(
            Host(
                f"g{number}",
                (IPv4Address(f"198.18.0.{number}"),),
                f"tenant{number}",
                HostRole.VPS,
                mac=Mac(mac(number)),
                ports=(Port("sw1", "shared"),),
            )
        )
    hosts.append(
        Host(
            "router",
            (IPv4Address("198.18.0.254"),),
            "us",
            HostRole.ROUTER,
            mac=Mac(mac(254)),
            ports=(Port("sw1", "router"),),
        )
    )
    for number in range(1, 6):
        interfaces.append(Interface("sw2", f"p{number}", number))
        hosts.append(
            Host(
                f"k{number}",
                (IPv4Address(f"198.18.1.{number}"),),
                f"customer{number}",
                HostRole.DEDICATED,
                mac=Mac(mac(100 + number)),
                ports=(Port("sw2", f"p{number}"),),
            )
        )
    for number in range(1, 4):
        interfaces.append(Interface("sw2", f"s{number}", 9 + number))
        hosts.append(
            Host(
                f"s{number}",
                (IPv4Address(f"198.18.2.{number}"),),
                f"shop{number}",
                HostRole.SHARED,
                segment="shared",
                mac=Mac(mac(200 + number)),
                ports=(Port("sw2", f"s{number}"),),
            )
        )
    # A host whose own device exports nothing: only the core sees it.
    interfaces.append(Interface("dumb", "p1", 1))
    hosts.append(Host("d1", (IPv4Address("198.18.3.1"),), "quiet", HostRole.DEDICATED, ports=(Port("dumb", "p1"),)))
    devices = (
        Device("sw1", "cisco_ios", ip_address(EDGE), exporter=ip_address(EDGE)),
        Device("sw2", "juniper_junos", ip_address(EDGE2), exporter=ip_address(EDGE2)),
        Device("core", "cisco_ios", ip_address(CORE), role="core", exporter=ip_address(CORE)),
        Device("fw1", "linux_nftables", ip_address(FIREWALL), role="firewall", exporter=ip_address(FIREWALL)),
        Device("dumb", "cisco_ios", ip_address("10.0.0.30")),
    )
    return Site(
        version=1,
        name="test",
        prefixes=(ip_network("198.18.0.0/16"), ip_network("2001:db8:1::/48")),
        segments=(Segment("shared", (ip_network("198.18.2.0/24"),), firewall="fw1"),),
        devices=devices,
        interfaces=tuple(interfaces),
        hosts=tuple(hosts),
        sources=(FLOWS, PMACCT, LOGS),
        expected=expected,
    )


def record(at_ns: int, src: str, dst: str = OUTSIDE, **over: Any) -> dict[str, Any]:
    """One sFlow sample that enters at sw1, on the port of host 198.18.0.N or of what `over` says."""
    number = int(src.rsplit(".", 1)[-1]) if src.startswith("198.18.0.") else 0
    plain: dict[str, Any] = {
        "type": "SFLOW_5",
        "time_received_ns": at_ns,
        "sampling_rate": 1,
        "sampler_address": EDGE,
        "time_flow_start_ns": at_ns,
        "time_flow_end_ns": at_ns,
        "bytes": 1400,
        "packets": 1,
        "src_addr": src,
        "dst_addr": dst,
        "etype": "IPv6" if ":" in src else "IPv4" if src else "",
        "proto": "UDP" if src else "",
        "src_port": 4000,
        "dst_port": 4001,
        "in_if": SHARED_IF if 51 <= number <= 53 else number or UPLINK_IF,
        "out_if": UPLINK_IF,
        "src_mac": mac(number) if number else GATEWAY_MAC,
        "dst_mac": GATEWAY_MAC,
        "ip_flags": 2,
        "tcp_flags": 0,
        "fragment_offset": 0,
    }
    made = plain | over
    names = {"UDP": "UDP", "TCP": "TCP", "ICMP": "ICMP", "IPv6-ICMP": "ICMPv6"}
    layers = [
        "Ethernet",
        *([made["etype"]] if made["etype"] else []),
        *([names[made["proto"]]] if made["proto"] in names else []),
    ]
    return {"layer_stack": layers} | made


def inbound(at_ns: int, dst: str, src: str = OUTSIDE, **over: Any) -> dict[str, Any]:
    """One sample that enters sw1 from the outside."""
    return record(at_ns, src, dst, **{"in_if": UPLINK_IF, "out_if": 1, "src_mac": GATEWAY_MAC} | over)


def frame(records: Iterable[dict[str, Any]]) -> bytes:
    return b"\n".join(json.dumps(one, separators=(",", ":")).encode() for one in records)


def sent(
    at_ns: int, src: str, *, bits_per_s: float, seconds: float = 0.25, octets: int = 1400, **over: Any
) -> list[dict[str, Any]]:
    """What a host sends in a tick at this rate, as one unsampled record received in it."""
    packets = max(round(bits_per_s * seconds / 8 / octets), 1)
    return [record(at_ns, src, **{"bytes": packets * octets, "packets": packets} | over)]


@dataclass
class Bench:
    """Combiner and scorers side by side: two partitions of flows, one of logs, two of activity."""

    estate: Estate = field(default_factory=lambda: Estate(site()))
    rules: Rulebook = field(default_factory=lambda: Rulebook(1))
    partitions: int = 2
    verdicts: list[Verdict] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inputs = ("flows/0", "flows/1", "logs/0")
        self.combiner = Combiner(self.estate, self.rules, partitions=self.partitions)
        self.scorers = [self.scorer(partition) for partition in range(self.partitions)]
        self.combined: list[Combined] = []

    def scorer(self, partition: int) -> Scorer:
        return Scorer(
            self.estate, self.rules, partition=partition, partitions=self.partitions, inputs=self.inputs, digest="test"
        )

    def feed(self, value: bytes, *, source: Source = FLOWS, origin: str = "flows/0", kafka_ns: int = 0) -> Combined:
        combined = self.combiner.frame(value, source=source, kafka_ns=kafka_ns)
        for scorer, body in zip(self.scorers, combined.bodies, strict=True):
            scorer.apply(body, origin=origin)
        self.combined.append(combined)
        return combined

    def mark(self, at_ns: int) -> list[Verdict]:
        said: list[Verdict] = []
        for origin in self.inputs:
            for scorer in self.scorers:
                said += scorer.mark(origin, at_ns)
        self.verdicts += said
        return said

    def run(self, records: Iterable[dict[str, Any]], *, until_ns: int, step_ns: int = TICK) -> list[Verdict]:
        """Feed records in order of receipt, marking after each step, up to `until_ns`."""
        said: list[Verdict] = []
        waiting = sorted(records, key=lambda one: int(one["time_received_ns"]))
        at, place = (int(waiting[0]["time_received_ns"]) // step_ns * step_ns if waiting else until_ns), 0
        while at < until_ns:
            at += step_ns
            chosen = []
            while place < len(waiting) and int(waiting[place]["time_received_ns"]) < at:
                chosen.append(waiting[place])
                place += 1
            if chosen:
                self.feed(frame(chosen), kafka_ns=at)
            said += self.mark(at)
        return said

    def warm_up(
        self, addresses: Iterable[str], *, bits_per_s: float = 47_000.0, hours: int = 5, until_ns: int = START
    ) -> None:
        """Hours of records of a minute each, one for each host, in frames of half an hour."""
        for block in range(hours * 2, 0, -1):
            records = []
            for minute in range(30 * block, 30 * (block - 1), -1):
                at = until_ns - minute * MINUTE + MINUTE // 2
                octets = int(bits_per_s * 60 / 8)
                for address in addresses:
                    plain: dict[str, Any] = {"time_flow_start_ns": at - MINUTE, "time_flow_end_ns": at, "bytes": octets}
                    plain |= {"packets": octets // 700, "proto": "TCP", "tcp_flags": 24, "src_port": 443}
                    records.append(record(at, address, **plain, **_port_of(address)))
            self.feed(frame(records), kafka_ns=until_ns)
            self.mark(until_ns - 30 * (block - 1) * MINUTE)

    def saved(self) -> list[tuple[list[tuple[int, bytes]], bytes]]:
        """The state of every scorer."""
        return [(scorer.changed(), scorer.meta()) for scorer in self.scorers]

    def become(self, saved: list[tuple[list[tuple[int, bytes]], bytes]]) -> "Bench":
        """Restore every scorer."""
        for scorer, (buckets, meta) in zip(self.scorers, saved, strict=True):
            scorer.restore(buckets, meta)
        return self


def _port_of(address: str) -> dict[str, Any]:
    """Where a host that is not on sw1 enters."""
    if address.startswith("198.18.2."):
        number = int(address.rsplit(".", 1)[-1])
        return {"sampler_address": EDGE2, "in_if": 9 + number, "src_mac": mac(200 + number)}
    if address.startswith("198.18.1."):
        number = int(address.rsplit(".", 1)[-1])
        return {"sampler_address": EDGE2, "in_if": number, "src_mac": mac(100 + number)}
    return {}


EVERYBODY = (
    *(f"198.18.0.{number}" for number in range(1, 21)),
    *(f"198.18.0.{number}" for number in range(51, 54)),
    *(f"198.18.1.{number}" for number in range(1, 6)),
    *(f"198.18.2.{number}" for number in range(1, 4)),
)


@cache
def warm_state() -> list[tuple[list[tuple[int, bytes]], bytes]]:
    """The state of `warm`."""
    bench = Bench()
    bench.warm_up(EVERYBODY)
    return bench.saved()


def warm(**over: Any) -> Bench:
    """A bench whose scorers have heard everybody for five hours up to START."""
    return Bench(**over).become(warm_state())


def flood(
    src: str, *, begin_ns: int = START, seconds: float = 5.0, bits_per_s: float = 92.4e6, **over: Any
) -> list[dict[str, Any]]:
    """A flood in records of a tick each, 10 ms after each tick began."""
    ticks = round(seconds * SECOND / TICK)
    return [
        one
        for tick in range(ticks)
        for one in sent(begin_ns + tick * TICK + 10_000_000, src, bits_per_s=bits_per_s, **_port_of(src) | over)
    ]


def of(verdicts: Iterable[Verdict], subject: str) -> list[Verdict]:
    """Verdicts on a subject, by the text of its key."""
    return [verdict for verdict in verdicts if str(verdict.subject) == subject]
