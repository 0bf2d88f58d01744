"""What an agent's counters tell of its links: use, discards and errors between two readings."""

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain.address import packed
from controller.domain.estate import Estate, Source, SourceFormat
from controller.domain.rulebook import Attribution
from streams.decode.counters import REMEMBERED, Link, Links, Told, readings
from streams.decode.datagrams import Datagrams, frame, unframed
from streams.decode.flows import Trust
from streams.decode.received import decode
from streams.decode.templates import Templates
from streams.lessons import Memory
from streams.links import suffering
from tests.streams.sflow_cases import counters, cut, datagram, ethernet, flipped, interface, ipv4, raw, sample, udp
from tests.streams.world import EDGE, SECOND, SHARED_IF, START, UPLINK_IF, Bench, flood, of, record, site, warm
from tests.streams.world import frame as lines

GIGABIT = 10**9
SFLOW = Source("sflow", SourceFormat.DATAGRAMS, exporters=(ip_address(EDGE),))
HOUSE = Estate(replace(site(), sources=(*site().sources, SFLOW)))


def framed(*datagrams: bytes, at_ns: int = START) -> Datagrams:
    return unframed(frame([packed(ip_address(EDGE))], [0] * len(datagrams), [at_ns] * len(datagrams), datagrams))


def heard(links: Links, *datagrams: bytes) -> list[Link]:
    made = framed(*datagrams)
    return links.heard(made, np.arange(len(made)))


def at(seconds: float, **counted: Any) -> bytes:
    return datagram(counters(interface(UPLINK_IF, **counted)), uptime_ms=round(1_000 * seconds) % 2**32)


@pytest.mark.parametrize("long", [False, True])
def test_a_reading_is_taken_as_the_agent_wrote_it(long: bool) -> None:
    record_ = interface(9, octets=(2**40, 7), discards=(1, 2), errors=(3, 2**32 - 1), speed=10**11)
    other = b"\0\0\0\2" + (4).to_bytes(4, "big") + bytes(4)  # Ethernet's own counters are not read
    made = framed(datagram(counters(other, record_, long=long), uptime_ms=77), datagram(counters(interface(10))))
    assert dict(zip(Told, readings(made, np.arange(2))[:, 0].tolist(), strict=True)) == {
        Told.DATAGRAM: 0, Told.UPTIME_MS: 77, Told.INTERFACE: 9, Told.SPEED: 10**11, Told.IN_OCTETS: 2**40,
        Told.OUT_OCTETS: 7, Told.IN_DISCARDS: 1, Told.OUT_DISCARDS: 2, Told.IN_ERRORS: 3, Told.OUT_ERRORS: 2**32 - 1,
    }  # fmt: skip
    assert readings(made, np.arange(2))[Told.INTERFACE].tolist() == [9, 10]


def test_two_readings_make_rates() -> None:
    links = Links()
    assert heard(links, at(10, octets=(1_000, 5))) == []
    (link,) = heard(links, at(30, octets=(1_000 + 20 * 10**6, 5), discards=(40, 60), errors=(1, 1)))
    assert (link.seconds, link.in_bits_per_s, link.out_bits_per_s) == (20.0, 8e6, 0.0)
    assert (link.discards_per_s, link.errors_per_s, link.use) == (5.0, 0.1, 0.008)


def test_use_is_that_of_the_fuller_direction_and_none_where_no_speed_is_told() -> None:
    links = Links()
    heard(links, at(0), at(20, octets=(10**9, 2 * 10**9)))
    (full,) = heard(links, at(40, octets=(10**9, 2 * 10**9 + 20 * GIGABIT // 8)))
    assert full.use == 1.0
    (unsaid,) = heard(links, at(60, octets=(10**9, 2 * 10**9 + 40 * GIGABIT // 8), speed=0))
    assert unsaid.use == 0.0


def test_counters_of_32_bits_and_the_agents_clock_begin_anew() -> None:
    links = Links()
    heard(links, at(2**32 / 1_000 - 5, discards=(2**32 - 100, 0)))
    (link,) = heard(links, at(2**32 / 1_000 + 5, discards=(100, 0)))
    assert (link.seconds, link.discards_per_s) == (10.0, 20.0)


@pytest.mark.parametrize(
    "later",
    [at(30, octets=(5, 0)), at(5, octets=(2_000, 0)), at(700, octets=(2_000, 0))],
    ids=["set back", "agent restarted", "long silence"],
)
def test_what_begins_anew_is_told_only_from_there_on(later: bytes) -> None:
    links = Links()
    heard(links, at(10, octets=(1_000, 0)))
    assert heard(links, later) == []


@pytest.mark.parametrize("counter", ["octets", "discards", "errors"])
@pytest.mark.parametrize("way", [0, 1])
def test_a_counter_that_goes_back_by_one_is_no_wrap(counter: str, way: int) -> None:
    before = {"octets": (5_000, 5_000), "discards": (500, 500), "errors": (50, 50)}
    back = tuple(value - (place == way) for place, value in enumerate(before[counter]))
    links = Links()
    heard(links, at(10, **before))
    assert heard(links, at(30, **(before | {counter: back}))) == []
    (link,) = heard(links, at(50, **before))
    assert link.seconds == 20.0


UNKNOWN = {"octets": (2**64 - 1,) * 2, "discards": (2**32 - 1,) * 2, "errors": (2**32 - 1,) * 2}
KNOWN = {"octets": (10**9, 10**9), "discards": (500, 500), "errors": (50, 50)}


@pytest.mark.parametrize(("before", "now"), [(KNOWN, UNKNOWN), (UNKNOWN, KNOWN), (UNKNOWN, UNKNOWN)])
def test_what_the_agent_does_not_know_tells_nothing(before: dict[str, Any], now: dict[str, Any]) -> None:
    links = Links()
    heard(links, at(10, **before))
    (link,) = heard(links, at(30, **now))
    assert (link.use, link.in_bits_per_s, link.discards_per_s, link.errors_per_s) == (0.0, 0.0, 0.0, 0.0)


def test_one_counter_that_the_agent_does_not_have_hides_no_other() -> None:
    links = Links()
    heard(links, at(10, discards=(2**32 - 1, 0)))
    (link,) = heard(links, at(20, octets=(10**7, 0), discards=(2**32 - 1, 50), errors=(20, 0)))
    assert (link.in_bits_per_s, link.discards_per_s, link.errors_per_s) == (8e6, 5.0, 2.0)


@pytest.mark.parametrize("speed", [0, 2**32 - 1, 2**64 - 1, 10**7], ids=["none", "ifSpeed", "ones", "one member's"])
def test_a_speed_that_is_not_that_of_the_link_makes_no_use(speed: int) -> None:
    links = Links()
    heard(links, at(0))
    (link,) = heard(links, at(20, octets=(20 * 4_200_000_000 // 8, 0), speed=speed))
    assert (link.in_bits_per_s, link.use) == (4.2e9, 0.0)


MOVES = st.tuples(st.integers(0, 2**32 - 2), st.integers(0, 2**31 - 1))


@given(st.integers(0, 2**32 - 1), st.integers(1_000, 600_000), st.integers(0, 2**62), st.integers(0, 2**40), MOVES)
def test_rates_are_what_was_counted_whatever_wraps(
    uptime_ms: int, lapsed_ms: int, octets: int, more: int, errors: tuple[int, int]
) -> None:
    links, (early, moved) = Links(), errors
    late = (early + moved) % 2**32
    first = counters(interface(1, octets=(octets, 0), errors=(early, 0)))
    second = counters(interface(1, octets=(octets + more, 0), errors=(late, 0)))
    heard(links, datagram(first, uptime_ms=uptime_ms))
    (link,) = heard(links, datagram(second, uptime_ms=(uptime_ms + lapsed_ms) % 2**32))
    assert link.in_bits_per_s == 8 * more / (lapsed_ms / 1_000)
    assert link.errors_per_s == (0 if late == 2**32 - 1 else moved / (lapsed_ms / 1_000))


def test_readings_that_stand_close_together_are_one() -> None:
    links = Links()
    heard(links, at(10))
    assert heard(links, at(10), at(10.5, octets=(10**9, 0))) == []
    (link,) = heard(links, at(20, octets=(10**7, 0)))
    assert link.in_bits_per_s == 8e6


def test_what_is_remembered_is_bounded_and_the_longest_silent_goes_first() -> None:
    links = Links(remembered=3)
    for number in (1, 2, 3):
        heard(links, datagram(counters(interface(number)), uptime_ms=1_000))
    heard(links, datagram(counters(interface(1)), uptime_ms=3_000), datagram(counters(interface(4))))
    assert len(links) == 3
    every = datagram(*(counters(interface(number)) for number in (1, 3, 4)), uptime_ms=5_000)
    assert [link.interface for link in heard(links, every)] == [1, 3, 4]
    assert heard(links, datagram(counters(interface(2)), uptime_ms=5_000)) == []
    assert REMEMBERED > 1_000


def test_an_exporter_that_tells_of_ever_more_links_pushes_out_none_of_anothers() -> None:
    links = Links(remembered=100)
    names = [packed(ip_address(name)) for name in (EDGE, "192.0.2.99")]

    def tell(sender: int, numbers: range, seconds: int) -> list[Link]:
        made = [datagram(counters(interface(number)), uptime_ms=1_000 * seconds) for number in numbers]
        grams = unframed(frame(names, [sender] * len(made), [START] * len(made), made))
        return links.heard(grams, np.arange(len(made)))

    tell(0, range(1, 21), 10)
    for start in range(1, 1_000, 50):
        tell(1, range(start, start + 50), 10)
        assert len(links) <= 100
    assert [one.interface for one in tell(0, range(1, 21), 30)] == list(range(1, 21))
    assert [one.interface for one in tell(1, range(996, 1_001), 30)] == list(range(996, 1_001))


def test_more_exporters_than_there_is_room_for_are_forgotten_too() -> None:
    links = Links(remembered=3)
    names = [packed(ip_address("192.0.2.1") + number) for number in range(9)]
    made = [datagram(counters(interface(1)))] * 9
    links.heard(unframed(frame(names, range(9), [START] * 9, made)), np.arange(9))
    assert len(links) == 3


def spoilt(made: bytes, place: int, value: int) -> bytes:
    """The same with another number of 32 bits in the body of the sample."""
    return made[: 8 + place] + value.to_bytes(4, "big") + made[12 + place :]


@pytest.mark.parametrize("long", [False, True])
def test_counters_that_are_cut_short_are_refused_and_no_part_of_them_is_read(long: bool) -> None:
    head = 16 if long else 12
    sound = counters(interface(1), interface(2), long=long)
    kind = (4 if long else 2).to_bytes(4, "big")
    for bad in (
        spoilt(sound, head - 4, 3),  # a record more than there are
        spoilt(sound, head + 96 + 4, 89),  # the last record longer than its sample
        spoilt(sound, head + 4, 2**32 - 1),
        kind + (head - 4).to_bytes(4, "big") + bytes(head - 4),
    ):
        known = Templates()
        payload = frame([packed(ip_address(EDGE))], [0], [START], [datagram(bad, sample(raw(ethernet(ipv4(udp())))))])
        flows = decode(payload, Trust(frozenset({EDGE}), "", START, 10**18), known)
        assert flows.columns is not None
        assert (len(flows.columns), flows.skipped) == (1, 0)
        assert [(one.reason, one.count) for one in flows.rejects] == [("datagram cut short", 1)]
        assert readings(unframed(payload), np.arange(1)).shape[1] == 0


MADE = datagram(counters(interface(1), interface(2)), counters(interface(3), long=True), sample(), uptime_ms=9_000)


@settings(deadline=None)
@given(st.integers(0, len(MADE)), st.lists(st.tuples(st.integers(0, len(MADE)), st.integers(0, 255)), max_size=6))
def test_no_datagram_makes_it_fall(left: int, places: list[tuple[int, int]]) -> None:
    made = framed(flipped(cut(MADE, left), places) if left < len(MADE) else b"", MADE)
    told = readings(made, np.arange(2))
    assert told[Told.INTERFACE, told[Told.DATAGRAM] == 1].tolist() == [1, 2, 3]
    assert len(Links().heard(made, np.arange(2))) <= told.shape[1]


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from([2, 4]))
def test_noise_in_a_counters_sample_is_counted_once(noise: bytes, kind: int) -> None:
    body = kind.to_bytes(4, "big") + len(noise).to_bytes(4, "big") + noise
    payload = frame([packed(ip_address(EDGE))], [0], [START], [datagram(body)])
    flows = decode(payload, Trust(frozenset({EDGE}), "", START, 10**18), Templates())
    assert flows.columns is None
    assert flows.received == flows.skipped + sum(one.count for one in flows.rejects) == 1


def link(interface_: int, **over: float) -> Link:
    told = {"in_bits_per_s": 0.0, "out_bits_per_s": 0.0, "discards_per_s": 0.0, "errors_per_s": 0.0} | over
    return Link(exporter=0, interface=interface_, receipt_ns=START, seconds=20.0, speed=GIGABIT, **told)


@pytest.mark.parametrize(
    ("told", "kinds"),
    [
        (link(UPLINK_IF, in_bits_per_s=9.5e8), ["link-full uplink"]),
        (link(UPLINK_IF, out_bits_per_s=9.0e8), ["link-full uplink"]),
        (link(UPLINK_IF, in_bits_per_s=8.9e8), []),
        (link(UPLINK_IF, discards_per_s=100.0, errors_per_s=10.0), ["link-discards uplink", "link-errors uplink"]),
        (link(UPLINK_IF, discards_per_s=99.0, errors_per_s=9.0), []),
        (link(SHARED_IF, in_bits_per_s=9.5e8), ["link-full shared"]),
        (link(7, in_bits_per_s=9.5e8, errors_per_s=1e3), []),  # one tenant's own
        (link(4_711, in_bits_per_s=9.5e8), []),  # nobody knows it
    ],
)
def test_links_that_many_share_suffer_and_the_port_of_one_tenant_does_not(told: Link, kinds: list[str]) -> None:
    found = suffering([told], (EDGE,), HOUSE, Attribution())
    assert [(one.device, one.kind) for one in found] == [("sw1", kind) for kind in kinds]


def test_a_full_uplink_says_how_full_it_is() -> None:
    (found,) = suffering([link(UPLINK_IF, in_bits_per_s=9.5e8)], (EDGE,), HOUSE, Attribution())
    assert found.text == "uplink 95% full: 950.0 Mbit/s in and 0.0 bit/s out of 1.0 Gbit/s"
    assert found.at_ns == START


@pytest.mark.parametrize(
    "over", [{"link_use": 0.0}, {"link_use": 90.0}, {"link_errors_per_s": 0.0}, {"link_discards_per_s": -1.0}]
)
def test_a_threshold_that_every_link_or_none_would_reach_is_refused(over: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="link_"):
        Attribution(**over)


def test_an_agent_that_fails_to_read_its_counters_makes_no_symptom() -> None:
    links = Links()
    spoken = [at(20 * step, **now) for step, now in enumerate((KNOWN, UNKNOWN, KNOWN, UNKNOWN, UNKNOWN, KNOWN))]
    told = heard(links, *spoken)
    assert len(told) == 5
    assert suffering(told, (EDGE,), HOUSE, Attribution()) == []


def tell(bench: Bench, memory: Memory | None, seconds: float, octets: int, *, flows: bytes = b"") -> None:
    """Let the uplink's counters stand at so many octets."""
    samples = [counters(interface(UPLINK_IF, octets=(octets, 0))), *([flows] if flows else [])]
    at_ns = START + round(seconds * SECOND)
    made = frame(
        [packed(ip_address(EDGE))], [0], [at_ns], [datagram(*samples, uptime_ms=round((100 + seconds) * 1_000))]
    )
    combined = bench.combiner.frame(made, source=SFLOW, kafka_ns=at_ns, memory=memory)
    assert combined.received == combined.skipped + bool(flows)
    for scorer, body in zip(bench.scorers, combined.bodies, strict=True):
        scorer.apply(body, origin="flows/0")


@pytest.mark.parametrize("share", [0.95, 0.5])
@pytest.mark.parametrize("flows", [b"", sample(raw(ethernet(ipv4(udp()))))], ids=["alone", "beside samples"])
def test_behind_a_full_uplink_the_host_is_named_that_is_louder_than_usual(share: float, flows: bytes) -> None:
    bench = warm(estate=HOUSE)
    memory = bench.combiner.memory(SFLOW)
    tell(bench, memory, -20.0, 0, flows=flows)
    tell(bench, memory, 0.1, round(20.1 * share * GIGABIT / 8), flows=flows)
    bench.run(flood("198.18.0.7", bits_per_s=40e6, seconds=3.0), until_ns=START + 4 * SECOND)
    explained = [verdict.explains for verdict in of(bench.verdicts, "198.18.0.7") if verdict.explains]
    assert bool(explained) == (share == 0.95)
    if explained:
        assert explained[-1][0].startswith("sw1: uplink 95% full")


def test_a_symptom_that_no_host_explains_is_said_as_such_and_accuses_nobody() -> None:
    bench = warm(estate=HOUSE)
    memory = bench.combiner.memory(SFLOW)
    tell(bench, memory, -20.0, 0)
    tell(bench, memory, 0.1, round(20.1 * 0.95 * GIGABIT / 8))
    bench.feed(lines([record(START, "198.18.0.8")]), kafka_ns=START)
    bench.mark(START + 200 * SECOND)
    accused = [verdict for verdict in bench.verdicts if verdict.score > 0]
    assert not accused
    assert any("uplink 95% full" in one.text for verdict in bench.verdicts for one in verdict.evidence)


def test_a_reading_from_the_far_future_counts_as_of_now() -> None:
    bench = warm(estate=HOUSE)
    memory = bench.combiner.memory(SFLOW)
    for seconds, octets in ((0, 0), (20, round(20 * 0.95 * GIGABIT / 8))):
        made = frame(
            [packed(ip_address(EDGE))], [0], [START + 10**18],
            [datagram(counters(interface(UPLINK_IF, octets=(octets, 0))), uptime_ms=1_000 * (100 + seconds))],
        )  # fmt: skip
        combined = bench.combiner.frame(made, source=SFLOW, kafka_ns=START, memory=memory)
    for scorer, body in zip(bench.scorers, combined.bodies, strict=True):
        scorer.apply(body, origin="flows/0")
    bench.mark(START + 200 * SECOND)
    assert any("uplink 95% full" in one.text for verdict in bench.verdicts for one in verdict.evidence)
