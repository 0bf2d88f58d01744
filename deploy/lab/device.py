"""What every emulated device is: a CLI to log in to, and a forwarding plane that obeys its running configuration.

The two halves meet in the device's own state and nowhere else. `Cli` turns one typed line into the text that
the platform would print; `forward` decides from the running configuration which packets pass. Nothing here knows
what Cordon sends: grammar, refusals and effects come from the vendor's documentation and recorded sessions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Traffic(StrEnum):
    """Classes of packets that a filter can tell apart."""

    PLAIN = "plain"
    FRAGMENT = "fragment"  # IPv4 MF or offset > 0, IPv6 fragment header (first and later fragments alike)
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True)
class Packets:
    """A burst of like packets that enters a device by one interface within one generator tick."""

    interface: str
    src_mac: str  # aa:bb:cc:dd:ee:ff, lower case
    dst_mac: str
    src: str  # IPv4 or IPv6 text; "" for frames that are not IP
    dst: str
    protocol: int  # IANA number; 6 TCP, 17 UDP, 1 ICMP, 58 ICMPv6
    src_port: int
    dst_port: int
    packets: int
    octets: int
    seconds: float = 0.25  # over which the burst is spread: what a policer or meter compares with its rate
    traffic: Traffic = Traffic.PLAIN
    vlan: int | None = None  # None: untagged, the access VLAN of the interface decides


@dataclass(frozen=True, slots=True)
class Passed:
    """How much of a burst left the device again, and where to; `why` names the configuration that stopped the rest."""

    packets: int
    octets: int
    vlan: int | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What one input line makes the device print.

    `text` is everything before the next prompt, without the echo; `close` ends the session after it (exit, reload).
    `pages`, when not empty, are shown one by one behind the platform's pager prompt and `text` is then empty.
    """

    text: str = ""
    close: bool = False
    pages: tuple[str, ...] = ()
    accepted: bool = True
    configured: bool = False  # the line changed candidate or running configuration: counted as a configuration line


class Cli(Protocol):
    """One login session. Pure: a line in, a reply out, no sockets and no clock of its own."""

    @property
    def mode(self) -> str:
        """Name of the current mode, for the journal: exec, enable, config, config-if, shell, operational and so on."""
        ...

    @property
    def prompt(self) -> str:
        """The prompt that stands before the next input line."""
        ...

    def greeting(self) -> str:
        """Banner and message of the day, printed before the first prompt."""
        ...

    def line(self, text: str, *, now: float) -> Reply:
        """Execute one input line at `now` (seconds since the epoch)."""
        ...

    def refusal(self, text: str) -> Reply:
        """How this platform refuses `text` in the current mode, whatever the text is; nothing is executed."""
        ...

    def closed(self) -> None:
        """The session ended, however it ended: locks and private candidates are given back."""
        ...


class EmulatedDevice(Protocol):
    """One device with its state: startup, running and candidate configuration, tables and counters."""

    name: str
    platform: str

    def login(self, user: str) -> Cli:
        """Open one session; several may be open at once and share the device's state."""
        ...

    def forward(self, bursts: Sequence[Packets], *, now: float) -> list[Passed]:
        """Move counters and MAC/ARP tables, and say what of each burst passes under the running configuration."""
        ...

    def configuration(self) -> list[str]:
        """Running configuration in canonical lines, order included: equal lists mean an equal configuration."""
        ...

    def tick(self, *, now: float) -> None:
        """Let the device's own timers act: commit confirm, revert timer, rules with a timeout."""
        ...

    def power_cycle(self, *, now: float) -> None:
        """Lose power: running configuration becomes what was saved; every session is cut by the server."""
        ...


@dataclass(frozen=True, slots=True)
class PortPlan:
    """One interface of an emulated device, as the provider wired it."""

    name: str  # the platform's canonical spelling: GigabitEthernet1/0/7, ge-0/0/7, veth7, eth1
    if_index: int
    vlan: int | None = None  # access VLAN; None on a trunk or routed port
    trunk: bool = False
    description: str = ""
    addresses: tuple[str, ...] = ()  # of a routed port, with prefix length
    neighbours: tuple[tuple[str, str], ...] = ()  # (MAC, IP) seen behind the port


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """All that is needed to build one emulated device."""

    name: str
    platform: str  # ovs_linux, cisco_ios, juniper_junos, linux_nftables, checkpoint_gaia
    hostname: str
    ports: tuple[PortPlan, ...]
    vlans: tuple[tuple[int, str], ...] = ()  # VLANs that exist and are active
    segments: tuple[tuple[str, tuple[str, ...]], ...] = ()  # behind a firewall: (name, prefixes)
    options: dict[str, str] = field(default_factory=dict)  # what one platform alone needs, e.g. bridge = "br0"
