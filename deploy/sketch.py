"""A small site made up for a quick look: the addresses that are ours hang on the edge ports of one switch.

Where the records name an exporter and an input interface, these become the switch and the ports; where they do not,
one exporter is assumed, and each address has a port of its own.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import msgspec

from controller.domain.address import Address, Mac, Port, Prefix, Vlan, address_of, covering_block, mac_of
from controller.domain.errors import BadInput, ConfigError
from controller.domain.estate import Device, Host, HostRole, Interface, PortRole, Segment, Site, Source, SourceFormat
from deploy.recordings import Recording

MOST_HOSTS = 400
UNNAMED = IPv4Address("192.0.2.1")  # RFC 5737: who exports where the records do not say
QUARANTINE = Vlan(999)
TENANTS = Vlan(100)
UNKNOWN_INTERFACES = frozenset({0, 0x3FFFFFFF, 0xFFFFFFFF})
_ADDRESS = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7})(?![\w:])")


class _Record(msgspec.Struct):
    """The fields of goflow2 and pmacct records that say who sent, and where it entered."""

    src_addr: str = ""
    dst_addr: str = ""
    src_mac: str = ""
    dst_mac: str = ""
    sampler_address: str = ""
    in_if: int = 0
    out_if: int = 0
    ip_src: str = ""
    ip_dst: str = ""
    mac_src: str = ""
    mac_dst: str = ""
    peer_ip_src: str = ""
    iface_in: int = 0
    iface_out: int = 0


_DECODER = msgspec.json.Decoder(_Record)


@dataclass(slots=True)
class _Trace:
    """What the records tell of one address."""

    entries: Counter[tuple[str, int]] = field(default_factory=Counter)
    macs: Counter[str] = field(default_factory=Counter)


def sketch(recordings: Iterable[Recording], ours: tuple[Prefix, ...]) -> Site:
    """Make a site in which `ours` are the provider's. Raises ConfigError when none of it occurs."""
    traces: dict[Address, _Trace] = {}
    kinds, exporters = [], Counter[str]()
    for recording in recordings:
        kinds.append(recording.format)
        if recording.format is SourceFormat.SYSLOG:
            for _, line in recording.lines:
                _read_log(line.decode(errors="replace"), ours, traces)
        else:
            for _, line in recording.lines:
                _read_record(line, ours, traces, exporters)
    for prefix in ours:
        if prefix.num_addresses == 1:
            traces.setdefault(prefix.network_address, _Trace())
    if not traces:
        raise ConfigError(file="--ours", key="addresses", expected="addresses that occur in the records")
    if len(traces) > MOST_HOSTS:
        traces = dict(sorted(traces.items(), key=lambda one: -one[1].entries.total())[:MOST_HOSTS])
    return _site(ours, traces, [address_of(name) for name in exporters] or [UNNAMED], tuple(dict.fromkeys(kinds)))


def _read_record(line: bytes, ours: tuple[Prefix, ...], traces: dict[Address, _Trace], exporters: Counter[str]) -> None:
    try:
        record = _DECODER.decode(line)
    except msgspec.DecodeError:
        return
    exporter = record.sampler_address or record.peer_ip_src
    if exporter and _ours(exporter, ()) is not None:
        exporters[exporter] += 1
    ends = (
        (record.src_addr or record.ip_src, record.src_mac or record.mac_src, record.in_if or record.iface_in),
        (record.dst_addr or record.ip_dst, record.dst_mac or record.mac_dst, record.out_if or record.iface_out),
    )
    for text, mac, interface in ends:
        address = _ours(text, ours) if text else None
        if address is not None:
            trace = traces.setdefault(address, _Trace())
            trace.entries[exporter, interface] += 1
            if mac:
                trace.macs[mac] += 1


def _read_log(line: str, ours: tuple[Prefix, ...], traces: dict[Address, _Trace]) -> None:
    for text in _ADDRESS.findall(line):
        address = _ours(text, ours)
        if address is not None:
            traces.setdefault(address, _Trace())


def _ours(text: str, ours: tuple[Prefix, ...]) -> Address | None:
    """The address, if it is one and lies in one of the prefixes; with no prefixes, if it is one."""
    try:
        address = address_of(text)
    except BadInput:
        return None
    inside = any(address.version == prefix.version and address in prefix for prefix in ours)
    return address if inside or not ours else None


def _site(
    ours: tuple[Prefix, ...], traces: dict[Address, _Trace], exporters: list[Address], kinds: tuple[SourceFormat, ...]
) -> Site:
    names = {address: f"sw{number}" for number, address in enumerate(exporters, 1)}
    interfaces, hosts = _wired(traces, names)
    return Site(
        version=1,
        name="sketch",
        prefixes=tuple(dict.fromkeys((*ours, *(covering_block(address) for address in traces)))),
        segments=(Segment("ours", tuple(ours), TENANTS),),
        devices=tuple(
            Device(name, "ovs_linux", address, exporter=address, quarantine_vlan=QUARANTINE, options={"bridge": "br0"})
            for address, name in names.items()
        ),
        interfaces=(*interfaces, *(Interface(name, "uplink", 1_000_000, PortRole.UPLINK) for name in names.values())),
        hosts=hosts,
        sources=tuple(
            Source(f"cordon.replay.{kind.value}", kind, exporters=_writers(kind, exporters)) for kind in kinds
        ),
        management=tuple(covering_block(address) for address in exporters),
    )


def _writers(kind: SourceFormat, exporters: list[Address]) -> tuple[Address, ...]:
    """Log lines come from devices and hosts alike; flow records that name no exporter are the only one's."""
    return () if kind is SourceFormat.SYSLOG or len(exporters) > 1 else tuple(exporters)


def _wired(traces: dict[Address, _Trace], names: dict[Address, str]) -> tuple[tuple[Interface, ...], tuple[Host, ...]]:
    """Each address on the port by which its own records entered most often, or on one of its own."""
    first = next(iter(names.values()))
    places: dict[Address, Port] = {}
    indices: dict[Port, int] = {}
    free = _free_numbers({number for trace in traces.values() for _, number in trace.entries})
    for address, trace in traces.items():
        known = [
            (exporter, number)
            for (exporter, number), _ in trace.entries.most_common()
            if number not in UNKNOWN_INTERFACES
        ]
        exporter, number = known[0] if known else ("", next(free))
        device = names.get(ip_address(exporter), first) if exporter else first
        places[address] = Port(device, f"port{number}")
        indices[places[address]] = number
    shared = Counter(places.values())
    interfaces = tuple(
        Interface(port.device, port.interface, number, shared=shared[port] > 1) for port, number in indices.items()
    )
    hosts = tuple(
        Host(
            name=str(address),
            addresses=(address,),
            tenant=f"tenant of {address}",
            role=HostRole.DEDICATED,
            segment="ours",
            mac=_mac(trace, alone=shared[places[address]] == 1),
            ports=(places[address],),
            log_addresses=(address,),
            prefixes=(IPv6Network((address, 64), strict=False),) if isinstance(address, IPv6Address) else (),
        )
        for address, trace in traces.items()
    )
    return interfaces, hosts


def _free_numbers(taken: set[int]) -> Iterator[int]:
    return (number for number in range(1, 1 << 20) if number not in taken)


def _mac(trace: _Trace, *, alone: bool) -> Mac | None:
    """A MAC that only this address uses; behind a router all have the router's."""
    if len(trace.macs) != 1 or not alone:
        return None
    try:
        return mac_of(next(iter(trace.macs)))
    except BadInput:
        return None
