"""The network as its owner describes it (site.toml): who is where, what is shared, what must never be touched.

`Site` is the file, field for field; `Estate` is the same with the look-ups that scoring, locating and limits need.
Addresses, not names: nothing here is resolved by DNS.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from ipaddress import IPv6Network
from typing import TypeVar

from controller.domain.address import Address, Mac, Port, Prefix, Vlan, covering_block, mac_of
from controller.domain.crossing import Crossing, passages, within
from controller.domain.errors import ConfigError
from controller.domain.listening import Carrier, Listener

K = TypeVar("K")
V = TypeVar("V")


SEGMENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
"""Names of segments that may stand in a device's lines."""


class PortRole(StrEnum):
    """What hangs on an interface."""

    EDGE = "edge"  # a tenant's host or hypervisor
    UPLINK = "uplink"  # towards the core or the outside
    TRUNK = "trunk"  # between our own devices
    MANAGEMENT = "management"


class HostRole(StrEnum):
    """What a host is for. Some roles are protected whatever the policy says."""

    VPS = "vps"
    DEDICATED = "dedicated"
    SHARED = "shared"  # a shared-hosting server
    WEB = "web"
    HYPERVISOR = "hypervisor"
    STORAGE = "storage"
    LOAD_BALANCER = "load_balancer"
    DNS = "dns"
    MAIL = "mail"
    FIREWALL = "firewall"
    ROUTER = "router"
    VIRTUAL_ROUTER = "virtual_router"
    NAT = "nat"
    VPN = "vpn"
    PROXY = "proxy"
    ANYCAST = "anycast"
    FORENSICS = "forensics"
    MANAGEMENT = "management"
    BACKUP = "backup"


GATEWAYS = frozenset(
    {HostRole.ROUTER, HostRole.VIRTUAL_ROUTER, HostRole.NAT, HostRole.VPN, HostRole.PROXY, HostRole.LOAD_BALANCER}
)
"""Hosts that speak for others: traffic with many sources is their trade."""

PROTECTED = GATEWAYS | {
    HostRole.STORAGE,
    HostRole.DNS,
    HostRole.FIREWALL,
    HostRole.ANYCAST,
    HostRole.FORENSICS,
    HostRole.MANAGEMENT,
    HostRole.HYPERVISOR,
}
"""Roles that no automatic fence may name."""


class SourceFormat(StrEnum):
    """Formats that a source may speak."""

    GOFLOW2_JSON = "goflow2-json"
    PMACCT_JSON = "pmacct-json"
    FASTNETMON_JSON = "fastnetmon-json"
    DATAGRAMS = "datagrams"  # frames of our own listener: NetFlow v5 and v9, IPFIX and sFlow v5 as they came
    SYSLOG = "syslog"  # RFC 3164/5424 lines, rsyslog or Vector JSON; Suricata EVE and access logs inside


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the network that is limited, moded and, behind a firewall of its own, isolated as one."""

    name: str
    prefixes: tuple[Prefix, ...]
    vlan: Vlan | None = None
    firewall: str = ""  # device that stands before this segment
    mode: str = ""  # enforce, approve or dry-run; empty: the policy's
    crossings: tuple[Crossing, ...] | None = None  # what may cross the firewall; empty: nothing; None: not declared
    inside: tuple[str, ...] = ()  # the firewall's interfaces towards the segment


@dataclass(frozen=True, slots=True)
class Device:
    """A switch, hypervisor or firewall that Cordon may log in to. Secrets are named, never written here."""

    name: str
    platform: str
    host: Address
    port: int = 22
    role: str = "access"  # access, hypervisor, firewall, core
    username: str = ""
    password_env: str = ""
    enable_env: str = ""
    key_file: str = ""
    exporter: Address | None = None  # the address its flow records and log lines come from
    quarantine_vlan: Vlan | None = None
    mode: str = ""
    options: dict[str, str] = field(default_factory=dict)  # what one dialect alone needs, e.g. bridge = "br0"


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface of one device."""

    device: str
    name: str
    if_index: int = 0
    role: PortRole = PortRole.EDGE
    shared: bool = False  # several tenants behind it
    storage: bool = False  # storage traffic crosses it: never throttled
    lag: str = ""  # the aggregate that this interface is a member of


@dataclass(frozen=True, slots=True)
class Host:
    """A tenant's or our own machine. `ports` are the switch ports it hangs on, several when it is dual-homed."""

    name: str
    addresses: tuple[Address, ...]
    tenant: str
    role: HostRole
    segment: str = ""
    mac: Mac | None = None
    ports: tuple[Port, ...] = ()
    guest: Port | None = None  # its own virtual interface on a hypervisor that Cordon can reach
    log_addresses: tuple[Address, ...] = ()  # addresses from which its own log lines come
    prefixes: tuple[Prefix, ...] = ()  # routed to it, IPv6 /64 for instance

    @property
    def protected(self) -> bool:
        """True when no automatic fence may name this host."""
        return self.role in PROTECTED


@dataclass(frozen=True, slots=True)
class Source:
    """One Kafka topic and what stands on it. `exporters` empty: every device of the estate."""

    topic: str
    format: SourceFormat
    exporters: tuple[Address, ...] = ()
    scope: str = ""
    renormalised: bool = False  # bytes and packets were already multiplied by the sampling rate
    sampling_rate: int = 0  # used where records carry none; 0: unsampled
    lateness_ms: int = 0  # how long a tick waits for records of this source; 0: the policy's lateness_ms

    def __post_init__(self) -> None:
        if not 0 <= self.lateness_ms <= 600_000:
            raise ValueError("lateness_ms from 0 to 600000")


@dataclass(frozen=True, slots=True)
class Expected:
    """Bulk traffic that is wanted: a backup window. Times are UTC minutes of the day; `until` may pass midnight."""

    name: str
    sources: tuple[Prefix, ...]
    destinations: tuple[Prefix, ...] = ()
    from_minute: int = 0
    until_minute: int = 1440

    def covers(self, minute: int) -> bool:
        """True when `minute` of the UTC day lies in the window."""
        if self.from_minute <= self.until_minute:
            return self.from_minute <= minute < self.until_minute
        return minute >= self.from_minute or minute < self.until_minute


@dataclass(frozen=True, slots=True)
class Site:
    """site.toml, field for field."""

    version: int
    name: str
    prefixes: tuple[Prefix, ...]  # ours; everything else is outside
    segments: tuple[Segment, ...] = ()
    devices: tuple[Device, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    hosts: tuple[Host, ...] = ()
    sources: tuple[Source, ...] = ()
    listeners: tuple[Listener, ...] = ()
    expected: tuple[Expected, ...] = ()
    protected: tuple[Prefix, ...] = ()  # addresses that are never fenced, by name of the owner's choice
    management: tuple[Prefix, ...] = ()  # out-of-band network: exporters there are trusted witnesses


class Estate:
    """Look-ups over a site. Built once; raises ConfigError naming the entry that points nowhere or stands twice."""

    def __init__(self, site: Site, *, file: str = "site.toml") -> None:
        self.site = site
        self.segments = _unique(((s.name, s) for s in site.segments), file=file, key="segments")
        self.devices = _unique(((d.name, d) for d in site.devices), file=file, key="devices")
        self.hosts = _unique(((h.name, h) for h in site.hosts), file=file, key="hosts")
        self.interfaces = _unique(((Port(i.device, i.name), i) for i in site.interfaces), file=file, key="interfaces")
        self.by_address = _unique(
            ((address, host) for host in site.hosts for address in host.addresses), file=file, key="hosts.addresses"
        )
        self.exporters = _unique(
            ((d.exporter, d) for d in site.devices if d.exporter is not None), file=file, key="devices.exporter"
        )
        self._check(file)

    def _check(self, file: str) -> None:
        for index, interface in enumerate(self.site.interfaces):
            if interface.device not in self.devices:
                raise ConfigError(
                    file=file,
                    key=f"interfaces[{index}].device",
                    expected="the name of a device",
                    got=repr(interface.device),
                )
        self._check_listeners(file)
        for index, segment in enumerate(self.site.segments):
            if segment.firewall and segment.firewall not in self.devices:
                raise ConfigError(
                    file=file,
                    key=f"segments[{index}].firewall",
                    expected="the name of a device",
                    got=repr(segment.firewall),
                )
            _check_crossings(segment, file=file, key=f"segments[{index}]")
        for index, host in enumerate(self.site.hosts):
            if host.segment and host.segment not in self.segments:
                raise ConfigError(
                    file=file, key=f"hosts[{index}].segment", expected="the name of a segment", got=repr(host.segment)
                )
            for port in (*host.ports, *((host.guest,) if host.guest else ())):
                if port not in self.interfaces:
                    raise ConfigError(
                        file=file,
                        key=f"hosts[{index}].ports",
                        expected="device/interface that stands in interfaces",
                        got=str(port),
                    )

    def _check_listeners(self, file: str) -> None:
        formats = {source.topic: source.format for source in self.site.sources}
        taken: set[tuple[bool, Address, int]] = set()
        for index, listener in enumerate(self.site.listeners):
            fits = {SourceFormat.SYSLOG}
            if listener.carrier is Carrier.UDP:
                fits.add(SourceFormat.DATAGRAMS)
            if formats.get(listener.topic) not in fits:
                expected = "the topic of a source with format " + " or ".join(sorted(fits))
                raise ConfigError(
                    file=file, key=f"listeners[{index}].topic", expected=expected, got=repr(listener.topic)
                )
            for port in filter(None, listener.ports):
                place = listener.carrier is Carrier.UDP, listener.address, port
                if place in taken:
                    raise ConfigError(
                        file=file, key=f"listeners[{index}].ports", expected="each port once", got=f"{port} twice"
                    )
                taken.add(place)

    @cached_property
    def by_mac(self) -> dict[Mac, Host]:
        """Hosts by MAC; of two hosts with one MAC the first."""
        found: dict[Mac, Host] = {}
        for host in self.site.hosts:
            if host.mac:
                found.setdefault(mac_of(host.mac), host)
        return found

    @cached_property
    def by_port(self) -> dict[Port, tuple[Host, ...]]:
        """Who hangs on a switch port or guest interface."""
        found: dict[Port, tuple[Host, ...]] = {}
        for host in self.site.hosts:
            for port in (*host.ports, *((host.guest,) if host.guest else ())):
                found[port] = (*found.get(port, ()), host)
        return found

    @cached_property
    def by_if_index(self) -> dict[tuple[Address, int], Interface]:
        """Interfaces by (exporter address, ifIndex); ifIndex 0 is unknown and never stands here."""
        return {
            (exporter, interface.if_index): interface
            for interface in self.site.interfaces
            if interface.if_index and (exporter := self.devices[interface.device].exporter) is not None
        }

    def host_at(self, address: Address) -> Host | None:
        """The host that owns an address, by exact match or by a prefix routed to it."""
        host = self.by_address.get(address)
        if host is None:
            for candidate in self._with_prefixes:
                if any(address.version == prefix.version and address in prefix for prefix in candidate.prefixes):
                    return candidate
        return host

    @cached_property
    def _with_prefixes(self) -> tuple[Host, ...]:
        return tuple(host for host in self.site.hosts if host.prefixes)

    def is_ours(self, address: Address) -> bool:
        """True when the address lies in one of the site's prefixes."""
        return any(address.version == prefix.version and address in prefix for prefix in self.site.prefixes)

    def is_protected(self, address: Address) -> bool:
        """True when a protected prefix or a host of a protected role owns the address."""
        host = self.host_at(address)
        named = any(address.version == prefix.version and address in prefix for prefix in self.site.protected)
        return named or (host is not None and host.protected)

    def segment_of(self, address: Address) -> Segment | None:
        """The segment with the longest matching prefix."""
        matching = [
            (prefix.prefixlen, segment)
            for segment in self.site.segments
            for prefix in segment.prefixes
            if address.version == prefix.version and address in prefix
        ]
        return max(matching, key=lambda found: found[0])[1] if matching else None

    def neighbours(self, host: Host) -> tuple[Host, ...]:
        """Other hosts on the same switch ports."""
        seen = {other.name: other for port in host.ports for other in self.by_port[port] if other.name != host.name}
        return tuple(seen.values())

    def behind(self, device: str) -> Iterator[Host]:
        """Hosts whose traffic crosses a device: on its ports, or in the segments that it stands before."""
        guarded = {segment.name for segment in self.site.segments if segment.firewall == device}
        for host in self.site.hosts:
            if host.segment in guarded or any(port.device == device for port in host.ports):
                yield host


def attachment_prefixes(host: Host) -> tuple[Prefix, ...]:
    """All that a block of a host by address has to cover: each IPv4 address and, for IPv6, the /64 around each."""
    blocks = {covering_block(address) for address in host.addresses} | {
        prefix for prefix in host.prefixes if not isinstance(prefix, IPv6Network) or prefix.prefixlen <= 64
    }
    return tuple(sorted(blocks, key=lambda prefix: (prefix.version, int(prefix.network_address), prefix.prefixlen)))


def _check_crossings(segment: Segment, *, file: str, key: str) -> None:
    """What a crossing's own fields cannot tell: whether they fit the segment that it belongs to."""
    if segment.crossings is None and not segment.inside:
        return
    if not segment.firewall:
        raise ConfigError(file=file, key=f"{key}.firewall", expected="the device that holds the crossings", got="none")
    if not SEGMENT_NAME.fullmatch(segment.name):
        expected = "letters, digits, '.', '_' and '-', 32 at most, in the name of a segment with crossings"
        raise ConfigError(file=file, key=f"{key}.name", expected=expected, got=repr(segment.name))
    for index, crossing in enumerate(segment.crossings or ()):
        place = f"{key}.crossings[{index}]"
        for host in crossing.hosts:
            if not within(host, segment.prefixes):
                raise ConfigError(
                    file=file, key=f"{place}.hosts", expected="prefixes within the segment's", got=str(host)
                )
        if not any(passages(crossing, segment.prefixes)):
            raise ConfigError(
                file=file, key=f"{place}.peers", expected="a prefix of an address family that the segment has"
            )


def _unique(pairs: Iterator[tuple[K, V]], *, file: str, key: str) -> dict[K, V]:
    found: dict[K, V] = {}
    for name, value in pairs:
        if name in found:
            raise ConfigError(file=file, key=key, expected="each name and address once", got=f"{name} twice")
        found[name] = value
    return found
