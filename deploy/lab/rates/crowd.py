"""Who talks in a measurement: hosts behind exporters on loopback, and what each record or sample says of them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

import numpy as np
from numpy.typing import NDArray

EXPORTERS = tuple(f"127.0.1.{last}" for last in (1, 2, 3, 4, 5, 6, 7, 12))
"""Addresses that the listener deals out to its four partitions evenly."""

NETWORK = IPv4Network("198.18.0.0/20")
HOSTS = NETWORK.num_addresses
SHARE = HOSTS // len(EXPORTERS)
"""Hosts behind each exporter: port n of exporter e is that of host e × SHARE + n - 1."""

UPLINK = 1_000
OUTSIDE = int(IPv4Address("203.0.113.0"))
PEERS = 4
"""How many addresses of the outside a host talks to."""

UDP, TCP = 17, 6
LONGEST_MS = 4_000
NEAR_PORTS = range(32_768, 60_000)
"""Of which a host takes one for each conversation."""


@dataclass(frozen=True, slots=True)
class Talk:
    """n records, a column each. Addresses are numbers; durations in ms."""

    src: NDArray[np.int64]
    dst: NDArray[np.int64]
    src_port: NDArray[np.int64]
    dst_port: NDArray[np.int64]
    protocol: NDArray[np.int64]
    entry: NDArray[np.int64]  # interface index
    exit: NDArray[np.int64]
    packets: NDArray[np.int64]
    octets: NDArray[np.int64]
    duration_ms: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.src)


def talk(exporter: int, count: int, *, seed: int = 0) -> Talk:
    """What the hosts behind an exporter say in `count` records, the same for the same seed.

    Half goes out and half comes in; half are single packets, the others last up to LONGEST_MS.
    """
    draw = np.random.default_rng((exporter, seed))
    host = draw.integers(0, SHARE, count)
    mine = int(NETWORK.network_address) + exporter * SHARE + host
    peer = OUTSIDE + (host * 7 + draw.integers(0, PEERS, count)) % 250 + 1
    out = draw.random(count) < 0.5
    near, far = draw.integers(NEAR_PORTS.start, NEAR_PORTS.stop, count), draw.choice(np.array([53, 80, 443]), count)
    single = draw.random(count) < 0.5
    packets = np.where(single, 1, draw.integers(2, 40, count))
    return Talk(
        src=np.where(out, mine, peer),
        dst=np.where(out, peer, mine),
        src_port=np.where(out, near, far),
        dst_port=np.where(out, far, near),
        protocol=np.where(far == 53, UDP, TCP),
        entry=np.where(out, host + 1, UPLINK),
        exit=np.where(out, UPLINK, host + 1),
        packets=packets,
        octets=packets * draw.integers(64, 1_400, count),
        duration_ms=np.where(single, 0, draw.integers(1, LONGEST_MS, count)),
    )


def addresses(numbers: NDArray[np.int64]) -> Sequence[str]:
    """Numbers as IPv4 addresses are written."""
    return [str(IPv4Address(one)) for one in numbers.tolist()]
