"""Whom answers are asked about, and that strangers cost no question however many there are."""

from collections.abc import Iterable
from ipaddress import ip_address

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.address import MAPPED, packed
from controller.domain.estate import Estate
from streams.answers import REMEMBERED, Answers
from streams.decode import goflow2
from streams.decode.columns import Columns
from streams.decode.flows import Trust
from streams.keys import scope_digest
from streams.places import STRANGER, Charge, Owner, Places
from tests.streams.world import EDGE, START, frame, inbound, record, site

ESTATE, SCOPE = Estate(site()), scope_digest("")
PLACES = Places(ESTATE)
TRUST = Trust(frozenset({EDGE}), "", START, 10**18)
EDGES = [
    int.from_bytes(packed(address), "big") + step
    for prefix in (*PLACES.prefixes, *(one for segment in ESTATE.site.segments for one in segment.prefixes))
    for address in (prefix[0], prefix[-1])
    for step in (-1, 0, 1)
]
GROUPS = [int.from_bytes(packed(ip_address(one)), "big") for one in ("255.255.255.255", "239.1.2.3", "ff02::1")]
NUMBERS = st.one_of(
    st.sampled_from(EDGES + GROUPS), st.integers(0, (1 << 32) - 1).map(MAPPED.__or__), st.integers(0, (1 << 128) - 1)
)


class Asked(Places):
    """Counts what it is asked."""

    owners = charges = 0

    def owner(self, raw: bytes, scope: bytes) -> Owner:
        self.owners += 1
        return super().owner(raw, scope)

    def charge(self, *, exporter: str, in_if: int, source: Owner | None, mac: int) -> Charge:
        self.charges += 1
        return super().charge(exporter=exporter, in_if=in_if, source=source, mac=mac)


def flood(numbers: Iterable[int]) -> Columns:
    """What spoofed sources send by one port, each in one record, and an uplink brings to a host of ours."""
    made = []
    for number in numbers:
        source = str(ip_address((11 << 24) + number))
        made += [record(START, source), inbound(START, "198.18.0.7", src_addr=source)]
    columns = goflow2.decode(frame(made), TRUST).columns
    assert columns is not None
    return columns


def answers(places: Places, *, remembered: int = REMEMBERED) -> Answers:
    return Answers(places, SCOPE, lambda keys: np.zeros(len(keys), np.int64), remembered=remembered)


@given(st.lists(NUMBERS, min_size=1))
def test_who_need_not_be_asked_about_is_a_stranger(numbers: list[int]) -> None:
    words = np.array([(one >> 64, one & (1 << 64) - 1) for one in numbers], np.uint64)
    for number, told_of in zip(numbers, PLACES.told_of(words).tolist(), strict=True):
        owner = PLACES.owner(number.to_bytes(16, "big"), SCOPE)
        assert told_of or owner == STRANGER
        assert not told_of or owner.ours or owner.group


def test_a_flood_of_spoofed_sources_asks_no_more_than_a_flood_from_one() -> None:
    one, many = Asked(ESTATE), Asked(ESTATE)
    answers(one).hear(flood([1]))
    whom = answers(many)
    for start in range(0, 4_000, 1_000):
        whom.hear(flood(range(start, start + 1_000)))
    assert (many.owners, many.charges) == (one.owners, one.charges)


def test_addresses_are_forgotten_before_they_are_too_many_and_owners_are_kept() -> None:
    asked = Asked(ESTATE)
    whom = answers(asked, remembered=100)
    charges = []
    for start in range(0, 4_000, 400):
        whom.room()
        _, charge = whom.hear(flood(range(start, start + 400)))
        assert len(whom.words) <= 100 * 5 + 401
        charges.append((whom.charges.key[charge].tolist(), whom.named.key.tolist()[:3]))
    assert whom.age > 3
    assert asked.owners == 1
    assert all(one == charges[0] for one in charges)


def test_who_is_asked_about_anew_after_forgetting_is_told_of_alike() -> None:
    columns = goflow2.decode(frame([record(START, f"198.18.0.{n % 50 + 1}") for n in range(300)]), TRUST).columns
    assert columns is not None
    whom = answers(PLACES, remembered=10)
    place, charge = whom.hear(columns)
    whom.room()
    again, charged = whom.hear(columns)
    assert whom.age == 1
    assert (place.tolist(), charge.tolist()) == (again.tolist(), charged.tolist())
