"""Addresses in ranges, against the standard library's prefixes."""

from ipaddress import IPv6Address, ip_network
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.address import MAPPED, Prefix, packed, unpacked
from streams.ranges import ranges, within

PREFIXES = [
    ip_network(one)
    for one in (
        "10.0.0.0/8", "10.3.0.0/16", "11.0.0.0/8", "198.18.0.0/20", "203.0.113.7", "255.255.255.255", "224.0.0.0/4",
        "2001:db8::/32", "2001:db8:ffff::/48", "2001:db9::1", "fe80::/10", "ffff:ffff:ffff:ffff::/64",
    )
]  # fmt: skip
EDGES = [
    number + step
    for one in PREFIXES
    for number in (int.from_bytes(packed(one[0]), "big"), int.from_bytes(packed(one[-1]), "big"))
    for step in (-1, 0, 1)
]
NUMBERS = st.one_of(
    st.sampled_from([one for one in EDGES if 0 <= one < 1 << 128]),
    st.integers(0, (1 << 32) - 1).map(MAPPED.__or__),
    st.integers(0, (1 << 128) - 1),
)


def lies_in(number: int, prefixes: list[Prefix]) -> bool:
    address, plain = unpacked(number.to_bytes(16, "big")), IPv6Address(number)
    return any((address if one.version == 4 else plain) in one for one in prefixes)


@given(st.lists(st.sampled_from(PREFIXES)), st.lists(NUMBERS, min_size=1))
def test_what_lies_in_ranges_is_what_lies_in_one_of_the_prefixes(prefixes: list[Prefix], numbers: list[int]) -> None:
    words = np.array([(one >> 64, one & (1 << 64) - 1) for one in numbers], np.uint64)
    assert within(words, ranges(prefixes)).tolist() == [lies_in(one, prefixes) for one in numbers]


def test_ranges_are_ascending_and_do_not_overlap_or_touch() -> None:
    made = ranges(PREFIXES)
    ends = [(int(a) << 64 | int(b), int(c) << 64 | int(d)) for a, b, c, d in made.tolist()]
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(ends))
    assert len(ends) < len(PREFIXES)
