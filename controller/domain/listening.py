"""Where Cordon listens itself, as its owner declares it in `[[listeners]]` of site.toml."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv6Address

from controller.domain.address import Address

ANY = IPv6Address(0)


class Carrier(StrEnum):
    """How datagrams and lines come in."""

    UDP = "udp"  # flow datagrams; syslog (RFC 5426)
    TCP = "tcp"  # syslog in both framings of RFC 6587
    TLS = "tls"  # syslog (RFC 5425)


@dataclass(frozen=True, slots=True)
class Listener:
    """One address, some ports, and the source topic that what comes in there is written to."""

    topic: str
    ports: tuple[int, ...]
    carrier: Carrier = Carrier.UDP
    address: Address = ANY  # ::, which hears IPv4 too
    frame_ms: int = 50  # how long datagrams or lines wait for others before they are handed on together
    budget: int = 200_000  # datagrams a second that one sender may send for long, so that others are heard
    buffer_kib: int = 16_384  # of the kernel, for each sender; beyond net.core.rmem_max for the privileged alone
    certificate_file: str = ""  # TLS: ours, with the chain
    key_file: str = ""
    client_ca_file: str = ""  # TLS: who must have signed a sender's certificate; empty: senders need none

    def __post_init__(self) -> None:
        if not self.ports or len(set(self.ports)) < len(self.ports) or not all(0 <= p < 65_536 for p in self.ports):
            raise ValueError("ports from 0 to 65535, each once (0: one that is free)")
        if not 1 <= self.frame_ms <= 1_000:
            raise ValueError("frame_ms from 1 to 1000")
        if self.budget < 100:
            raise ValueError("a budget of at least 100")
        if not 64 <= self.buffer_kib <= 1_048_576:
            raise ValueError("buffer_kib from 64 to 1048576")
        if (self.carrier is Carrier.TLS) != bool(self.certificate_file and self.key_file):
            raise ValueError("certificate_file and key_file with carrier tls, and with no other")
