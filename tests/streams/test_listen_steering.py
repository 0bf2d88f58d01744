"""The kernel's program picks the socket that Python would, for IPv4 and IPv6, listed and not."""

import random
import select
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from controller.domain.address import Address, packed
from streams.listen.steering import MOST_LISTED, Place, drops, fold, open_group, places, program

LISTED: list[Address] = [*(ip_address(f"127.0.1.{number}") for number in range(1, 31)), ip_address("::1")]


def opened(listed: list[Address], *, partitions: int = 4, most: int = 64) -> tuple[list[socket.socket], list[Place]]:
    raw = [packed(one) for one in listed]
    dealt = places(raw, partitions=partitions, most=most)
    return open_group(IPv6Address("::"), 0, listed=raw, dealt=dealt, buffer_bytes=65_536), dealt


def say(sender: Address, port: int) -> None:
    family, to = (socket.AF_INET6, "::1") if sender.version == 6 else (socket.AF_INET, "127.0.0.1")
    with socket.socket(family, socket.SOCK_DGRAM) as out:
        out.bind((str(sender), 0))
        out.sendto(str(sender).encode(), (to, port))


def heard(group: list[socket.socket]) -> dict[str, int]:
    """Which socket each sender's datagram came to."""
    found: dict[str, int] = {}
    while ready := select.select(group, [], [], 0.2)[0]:
        found |= {one.recv(100).decode(): group.index(one) for one in ready}
    for one in group:
        one.close()
    return found


@pytest.mark.parametrize("most", [64, 8, 1])
def test_each_listed_sender_is_heard_at_its_place_and_strangers_at_the_last(most: int) -> None:
    group, dealt = opened(LISTED, most=most)
    strangers = [ip_address("127.0.2.7"), ip_address("127.9.9.9")]
    for one in (*LISTED, *strangers):
        say(one, group[0].getsockname()[1])
    found = heard(group)
    expected = {str(LISTED[number]): at for at, place in enumerate(dealt) for number in place.senders}
    assert found == expected | {str(one): len(dealt) - 1 for one in strangers}
    assert dealt[-1] == Place(None)
    for place in dealt[:-1]:
        assert {fold(packed(LISTED[number])) % 4 for number in place.senders} == {place.partition}


def test_with_few_senders_each_has_a_socket_of_its_own() -> None:
    raw = [packed(one) for one in LISTED]
    assert all(len(place.senders) == 1 for place in places(raw, partitions=4)[:-1])


def test_more_senders_than_a_program_can_name_are_dealt_out_by_their_fold_alone() -> None:
    many: list[Address] = [*LISTED, *(IPv4Address((10 << 24) + number) for number in range(MOST_LISTED))]
    group, dealt = opened(many)
    for one in LISTED:
        say(one, group[0].getsockname()[1])
    expected = {str(many[number]): at for at, place in enumerate(dealt) for number in place.senders}
    assert heard(group) == {str(one): expected[str(one)] for one in LISTED}
    assert all(place.partition == at % 4 for at, place in enumerate(dealt))


def test_the_largest_program_is_one_that_the_kernel_takes() -> None:
    draw = random.Random(1)
    folds = draw.sample(range(1 << 24), MOST_LISTED)
    assert len(program({value: at for at, value in enumerate(folds)}, others=MOST_LISTED)) <= 4_096
    group, _ = opened([IPv4Address(draw.randrange(1 << 32)) for _ in range(MOST_LISTED)])
    heard(group)


def test_folds_spread_neighbours_over_partitions() -> None:
    counts = [0] * 4
    for third in range(64):
        counts[fold(packed(IPv4Address(f"10.0.{third}.1"))) % 4] += 1
    assert min(counts) >= 8


def test_a_port_that_somebody_else_reads_is_refused_even_if_they_would_share_it() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="in use"):
            open_group(
                IPv4Address("127.0.0.1"), other.getsockname()[1], listed=[], dealt=[Place(None)], buffer_bytes=65_536
            )


def test_the_kernel_counts_what_one_sender_lost_as_its_own() -> None:
    listed = LISTED[:2]
    group, dealt = opened(listed)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.bind((str(listed[0]), 0))
        for _ in range(3_000):
            out.sendto(bytes(1_000), ("127.0.0.1", group[0].getsockname()[1]))
    say(listed[1], group[0].getsockname()[1])
    lost = {number: drops(one) for one, place in zip(group, dealt, strict=True) for number in place.senders}
    kept = dict.fromkeys(lost, 0)
    for one, place in zip(group, dealt, strict=True):
        while select.select([one], [], [], 0)[0]:
            one.recv(2_000)
            kept[place.senders[0]] += 1
        one.close()
    assert lost[0] + kept[0] == 3_000
    assert (lost[0] > 0, lost[1], kept[1]) == (True, 0, 1)
