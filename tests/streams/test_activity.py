"""Frames into rows: whoever is charged, every record is accounted for, and bodies come back as they were."""

from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from controller.domain.address import address_of, packed, subject_text
from controller.domain.errors import BadInput
from controller.domain.estate import Estate
from controller.domain.rulebook import Rulebook
from streams import keys, messages, packing, rows
from streams.activity import Combined, Combiner
from streams.messages import Body
from streams.places import Charged, Places
from streams.rows import Arrivals, Col, Flag, Rows, Vantage
from tests.streams.world import (
    CORE,
    EDGE,
    FLOWS,
    GATEWAY_MAC,
    PMACCT,
    SHARED_IF,
    START,
    TICK,
    UPLINK_IF,
    frame,
    inbound,
    mac,
    record,
    site,
)

ESTATE = Estate(site())
COMBINER = Combiner(ESTATE, Rulebook(1), partitions=4)


def combined(records: list[dict[str, Any]]) -> Combined:
    return COMBINER.frame(frame(records), source=FLOWS, kafka_ns=START)


def subjects(combined: Combined) -> dict[str, Arrivals]:
    """Rows of each subject, over all partitions."""
    found: dict[str, list[int]] = {}
    parts: dict[str, Arrivals] = {}
    for body in combined.bodies:
        _, some = messages.decode(body) if body else (None, None)
        if some is None:
            continue
        for at, key in enumerate(some.key.tolist()):
            name = subject_text(keys.subject_of_key(key, {}))
            found.setdefault(name, []).append(at)
        for name in {subject_text(keys.subject_of_key(key, {})) for key in some.key.tolist()}:
            parts[name] = some.pick(np.array(found[name]))
    return parts


def count(part: Arrivals, column: Col) -> int:
    return int(part.counts.some(column).sum())


def test_each_record_is_counted_in_one_partition_and_no_other() -> None:
    records = [record(START + n, f"198.18.0.{n % 20 + 1}", dst=f"198.18.1.{n % 5 + 1}") for n in range(200)]
    records += [record(START, "192.0.2.1", in_if=UPLINK_IF, src_mac=GATEWAY_MAC) for _ in range(7)]
    result = combined(records)
    heard = [sum(n for _, n in messages.decode(body)[0].heard) for body in result.bodies if body]
    assert (result.received, sum(heard), result.dead, result.skipped) == (207, 207, 0, 0)


def test_sampling_is_multiplied_out_and_the_samples_are_kept() -> None:
    part = subjects(combined([record(START, "198.18.0.7", sampling_rate=1000, packets=3, bytes=4200)]))[
        "host:198.18.0.7"
    ]
    assert (count(part, Col.PACKETS), count(part, Col.BYTES), count(part, Col.SAMPLES)) == (3000, 4_200_000, 3)
    assert count(part, Col.VARIANCE) == 3 * 1000 * 999


def test_renormalised_source_is_not_multiplied_again() -> None:
    source = replace(PMACCT, renormalised=True)
    line = {"ip_src": "198.18.0.7", "packets": 9, "bytes": 900, "peer_ip_src": EDGE, "sampling_rate": 50}
    part = subjects(COMBINER.frame(frame([line]), source=source, kafka_ns=START))["host:198.18.0.7"]
    assert count(part, Col.PACKETS) == 9


def test_flow_of_a_minute_spreads_over_its_ticks() -> None:
    part = subjects(combined([record(START, "198.18.0.7", time_flow_start_ns=START - 60 * 10**9)]))["host:198.18.0.7"]
    assert (part.tick.tolist(), part.span.tolist()) == ([START // TICK], [240])


def test_traffic_between_two_of_ours_counts_for_both() -> None:
    found = subjects(combined([record(START, "198.18.0.7", dst="198.18.0.8")]))
    assert count(found["host:198.18.0.7"], Col.PACKETS) == 1
    assert count(found["host:198.18.0.7"], Col.PACKETS_IN) == 0
    assert count(found["host:198.18.0.8"], Col.PACKETS_IN) == 1
    assert count(found["host:198.18.0.8"], Col.PACKETS) == 0


@pytest.mark.parametrize(
    ("fields", "column"),
    [
        ({"proto": "TCP", "tcp_flags": 0x12}, Col.ANSWERS),
        ({"proto": "TCP", "tcp_flags": 0x14}, Col.ANSWERS),
        ({"proto": "ICMP", "icmp_type": 3}, Col.ANSWERS),
        ({"proto": "UDP", "src_port": 53}, Col.ANSWERS),
        ({"proto": "TCP", "tcp_flags": 0x02}, Col.SYN_ONLY),
        ({"proto": "ICMP", "icmp_type": 8}, Col.PROBES),
        ({"fragment_offset": 9}, Col.FRAGMENTS),
        ({"proto": "unassigned", "layer_stack": []}, Col.ODD),
        ({"bytes": 60}, Col.SMALL),
        ({"proto": "TCP", "tcp_flags": 0x02, "dst_port": 25}, Col.MAIL),
        ({"out_if": 0x40000102}, Col.DISCARDED_PACKETS),
    ],
)
def test_classes_of_packets_are_told_apart(fields: dict[str, Any], column: Col) -> None:
    part = subjects(combined([record(START, "198.18.0.7", **fields)]))["host:198.18.0.7"]
    assert count(part, column) == 1


@pytest.mark.parametrize("fields", [{}, {"proto": "TCP", "tcp_flags": 24}, {"proto": "ESP", "layer_stack": []}])
def test_plain_packets_belong_to_no_class(fields: dict[str, Any]) -> None:
    part = subjects(combined([record(START, "198.18.0.7", **fields)]))["host:198.18.0.7"]
    for column in (Col.ANSWERS, Col.SYN_ONLY, Col.PROBES, Col.FRAGMENTS, Col.MALFORMED, Col.ODD, Col.MAIL, Col.LOOPED):
        assert count(part, column) == 0, column.name


# charging

PLACES = Places(ESTATE)


def charged(exporter: str, in_if: int, source: str | None, mac_text: str = "") -> tuple[Charged, str, int]:
    owner = None if source is None else PLACES.owner(packed(address_of(source)), bytes(5))
    number = int(mac_text.replace(":", ""), 16) if mac_text else 0
    charge = PLACES.charge(exporter=exporter, in_if=in_if, source=owner, mac=number)
    name = subject_text(keys.subject_of_key(charge.key, {})) if charge.key else ""
    return charge.who, name, charge.flags


SPOOFED, NO_MAC = int(Flag.SPOOFED), int(Flag.SHARED_NO_MAC)


@pytest.mark.parametrize(
    ("case", "exporter", "in_if", "source", "mac_text", "name", "flags"),
    [
        ("own port", EDGE, 7, "198.18.0.7", mac(7), "host:198.18.0.7", 0),
        ("own port, a MAC nobody wrote down", EDGE, 7, "198.18.0.7", "02:aa:aa:aa:aa:aa", "host:198.18.0.7", 0),
        ("another's port", EDGE, 8, "198.18.0.7", mac(8), f"attachment:{EDGE}#8/{mac(8)}", SPOOFED),
        ("another's port, forged MAC", EDGE, 8, "198.18.0.7", mac(7), f"attachment:{EDGE}#8", SPOOFED),
        ("outside source at an edge", EDGE, 7, "192.0.2.1", mac(7), f"attachment:{EDGE}#7/{mac(7)}", SPOOFED),
        ("shared, true MAC", EDGE, SHARED_IF, "198.18.0.51", mac(51), "host:198.18.0.51", 0),
        ("shared, neighbour's address", EDGE, SHARED_IF, "198.18.0.52", mac(51),
         f"attachment:{EDGE}#{SHARED_IF}/{mac(51)}", SPOOFED),
        ("shared, MAC of nobody", EDGE, SHARED_IF, "198.18.0.52", "02:aa:aa:aa:aa:aa",
         f"attachment:{EDGE}#{SHARED_IF}", SPOOFED),
        ("shared, no MAC in the records", EDGE, SHARED_IF, "198.18.0.52", "", "host:198.18.0.52", NO_MAC),
        ("not IP", EDGE, 7, None, mac(7), f"attachment:{EDGE}#7/{mac(7)}", SPOOFED),
        ("uplink, our source", EDGE, UPLINK_IF, "198.18.0.7", GATEWAY_MAC, "", 0),
        ("uplink, outside source", EDGE, UPLINK_IF, "192.0.2.1", GATEWAY_MAC, "", 0),
        ("trunk", CORE, 1, "198.18.0.7", "", "host:198.18.0.7", 0),
        ("trunk, outside source", CORE, 1, "192.0.2.1", "", "", 0),
        ("interface unknown", EDGE, 0, "198.18.0.7", "", "host:198.18.0.7", 0),
        ("interface of nobody", EDGE, 4711, "198.18.0.7", "", "host:198.18.0.7", 0),
        ("no exporter", "pmacct", 7, "198.18.0.7", "", "host:198.18.0.7", 0),
        ("routed /64, any address in it", EDGE, 3, "2001:db8:1:3::beef", mac(3), "host:2001:db8:1:3::", 0),
        ("routed /64 at another's port", EDGE, 4, "2001:db8:1:3::beef", mac(4),
         f"attachment:{EDGE}#4/{mac(4)}", SPOOFED),
    ],
)  # fmt: skip
def test_address_is_charged_only_where_the_estate_ties_it(
    case: str, exporter: str, in_if: int, source: str | None, mac_text: str, name: str, flags: int
) -> None:
    who, found, found_flags = charged(exporter, in_if, source, mac_text)
    assert (found, found_flags) == (name, flags), case
    assert (who is Charged.NOBODY) == (name == "")


def test_router_may_send_with_any_source() -> None:
    who, name, flags = charged(EDGE, 60, "192.0.2.1", mac(254))
    assert (who, name, flags) == (Charged.ATTACHMENT, f"attachment:{EDGE}#60", int(Flag.GATEWAY))


def test_vantage_tells_the_own_port_from_the_way() -> None:
    owner = PLACES.owner(packed(address_of("198.18.0.7")), bytes(5))
    seen = [
        PLACES.charge(exporter=exporter, in_if=in_if, source=owner, mac=0).vantage
        for exporter, in_if in ((EDGE, 7), (EDGE, 4711), (CORE, 1), (CORE, 0))
    ]
    assert seen == [Vantage.EDGE, Vantage.EDGE, Vantage.CROSSING, Vantage.UNPLACED]


def test_same_address_in_two_scopes_is_two_hosts() -> None:
    raw = packed(address_of("198.18.0.7"))
    red = PLACES.owner(raw, keys.scope_digest("red")).key
    assert red != PLACES.owner(raw, bytes(5)).key
    assert subject_text(keys.subject_of_key(red, {keys.scope_digest("red"): "red"})) == "host:red%198.18.0.7"


# bodies

small = st.integers(0, 2**40)


@st.composite
def some_rows(draw: st.DrawFn) -> Rows:
    n = draw(st.integers(1, 12))
    hosts = [keys.host_key(packed(address_of(f"198.18.0.{draw(st.integers(1, 6))}"))) for _ in range(n)]

    def column(low: int, high: int, kind: Any) -> Any:
        return draw(hnp.arrays(np.int64, n, elements=st.integers(low, high))).astype(kind)

    peers, bits = draw(st.integers(0, 9)), draw(st.integers(0, 20))
    return Rows(
        key=keys.key_array(hosts),
        exporter=column(0, 2, np.int32),
        tick=column(10**9, 10**10, np.int64),
        span=column(1, 5000, np.int32),
        vantage=column(0, 2, np.int8),
        flags=column(0, 15, np.int8),
        interface=column(0, 2**32 - 1, np.int64),
        mac=column(0, 2**48 - 1, np.int64),
        first_ns=column(START, START + 10**12, np.int64),
        counts=draw(hnp.arrays(np.int64, (n, rows.NCOL), elements=small)),
        peer_row=draw(hnp.arrays(np.int32, peers, elements=st.integers(0, n - 1))),
        peer=np.array([packed(address_of(f"203.0.113.{k}")) for k in range(peers)], "S16"),
        peer_bytes=draw(hnp.arrays(np.int64, peers, elements=small)),
        bit_row=draw(hnp.arrays(np.int32, bits, elements=st.integers(0, n - 1))),
        bit=draw(hnp.arrays(np.int16, bits, elements=st.integers(0, 511))),
    )


@given(some_rows())
@settings(deadline=None, derandomize=True)
def test_rows_come_back_as_they_were(one: Rows) -> None:
    body, read = messages.decode(messages.encode(Body("t", [(1, 2)], ["a", "b", "c"]), one))
    assert (body.topic, body.heard, body.names) == ("t", [(1, 2)], ["a", "b", "c"])
    assert read is not None
    assert_alike(read, one, np.arange(len(one)))


def assert_alike(read: Arrivals, told: Rows, chosen: NDArray[np.int64]) -> None:
    """What was read are these rows of what was told, with all that belongs to them."""
    for name in ("key", "exporter", "tick", "span", "vantage", "flags", "interface", "mac", "first_ns"):
        np.testing.assert_array_equal(getattr(read, name), getattr(told, name)[chosen], err_msg=name)
    np.testing.assert_array_equal(read.counts.table(rows.NCOL), told.counts[chosen])
    for owner, names in (("peer_row", ("peer", "peer_bytes")), ("bit_row", ("bit",))):
        mine = np.isin(getattr(told, owner), chosen)
        places = np.searchsorted(chosen, getattr(told, owner)[mine]).tolist()
        wanted = sorted(zip(places, *(getattr(told, name)[mine].tolist() for name in names), strict=True))
        assert sorted(zip(*(getattr(read, name).tolist() for name in (owner, *names)), strict=True)) == wanted


@given(some_rows(), st.lists(st.integers(0, 11), unique=True), st.integers(0, 12))
@settings(deadline=None, derandomize=True)
def test_rows_that_are_taken_apart_and_put_together_again_are_the_same(one: Rows, wanted: list[int], cut: int) -> None:
    read = messages.decode(messages.encode(Body("t", [], ["a", "b", "c"]), one))[1]
    assert read is not None
    every = np.arange(len(one))
    assert_alike(rows.joined([read.pick(every[:cut]), read.pick(every[cut:])]), one, every)
    chosen = np.array(sorted(place for place in wanted if place < len(one)), np.int64)
    assert_alike(read.pick(chosen), one, chosen)
    again = messages.decode(messages.encode(Body("t", [], ["a", "b", "c"]), read))[1]
    assert again is not None
    assert_alike(again, one, every)


@given(some_rows(), st.integers(1, 4), st.randoms(use_true_random=False))
@settings(deadline=None, derandomize=True)
def test_each_partition_reads_its_own_rows_of_a_frame(one: Rows, partitions: int, of: Random) -> None:
    _, number = np.unique(one.key, return_inverse=True)
    home = np.array([of.randrange(partitions) for _ in range(int(number.max()) + 1)])[number]
    heads = [Body("t", [(partition, 2)], ["a", "b", "c"]) for partition in range(partitions)]
    for partition, raw in enumerate(packing.bodies(heads, one, number, home)):
        body, read = messages.decode(raw)
        mine = np.flatnonzero(home == partition)
        assert body.heard == [(partition, 2)]
        assert (read is None) == (len(mine) == 0)
        if read is not None:
            assert_alike(read, one, mine)


def test_body_that_would_not_fit_a_message_is_squeezed() -> None:
    count = 20_000
    one = Rows(
        key=np.repeat(keys.key_array([keys.host_key(packed(address_of("198.18.0.1")))]), count),
        **{name: np.zeros(count, kind) for name, kind in _KINDS.items()},
        counts=np.full((count, rows.NCOL), 1 << 40),
    )
    (raw,) = packing.bodies([Body("t", [], ["a"])], one, np.zeros(count, np.int64), np.zeros(count, np.int64))
    read = messages.decode(raw)[1]
    assert len(raw) < 900_000
    assert read is not None
    np.testing.assert_array_equal(read.counts.table(rows.NCOL), one.counts)


_KINDS: dict[str, Any] = {
    "exporter": np.int32, "tick": np.int64, "span": np.int32, "vantage": np.int8, "flags": np.int8,
    "interface": np.int64, "mac": np.int64, "first_ns": np.int64,
}  # fmt: skip


@given(some_rows(), st.binary(max_size=40), st.integers(0, 200))
@settings(deadline=None, derandomize=True)
def test_damaged_body_is_refused_or_read_and_nothing_else_happens(one: Rows, noise: bytes, at: int) -> None:
    raw = bytearray(messages.encode(Body("t", [], ["a", "b", "c"]), one))
    raw[at : at + len(noise)] = noise
    try:
        messages.decode(bytes(raw))
    except BadInput:
        return


@given(st.sampled_from(["198.18.0.7", "2001:db8::7", "10.0.0.1"]), st.integers(0, 2**32 - 1), st.integers(0, 2**48 - 1))
@settings(deadline=None, derandomize=True)
def test_keys_come_back_as_the_subject_they_were_made_of(address: str, interface: int, number: int) -> None:
    for key in (
        keys.host_key(packed(address_of(address))),
        keys.attachment_key(address_of(address), interface, number),
    ):
        assert len(key) == keys.WIDTH
        assert bytes(keys.key_array([key])[0]) == key
        assert keys.key_of_subject(keys.subject_of_key(key, {})) == key


def test_bucket_of_a_key_is_the_same_in_every_process() -> None:
    key = keys.host_key(packed(address_of("198.18.0.7")))
    assert keys.bucket_of(key, 4096) == 1518
    assert keys.buckets_of(keys.key_array([key] * 3), 4096).tolist() == [1518] * 3


def test_frame_of_the_brokers_largest_size_makes_no_body_beyond_it() -> None:
    lines, size, number = [], 0, 0
    while size < 1_000_000:
        low, high = number % 250, number // 250
        src, dst = f"198.18.{low}.{high}", f"198.18.{high}.{low}"
        lines.append(f'{{"ip_src":"{src}","ip_dst":"{dst}","packets":{low + 1},"bytes":{number * 37 % 100000}}}')
        size += len(lines[-1]) + 1
        number += 1
    result = Combiner(ESTATE, Rulebook(1), partitions=1).frame("\n".join(lines).encode(), source=PMACCT, kafka_ns=START)
    assert result.received > 10_000
    assert max(map(len, result.bodies)) < 900_000


def test_an_exporter_is_one_however_it_is_spelled() -> None:
    spellings = (EDGE, f"::ffff:{EDGE}", EDGE)
    result = combined([record(START + at, "198.18.0.7", sampler_address=one) for at, one in enumerate(spellings)])
    assert {name: seen.records for name, seen in result.exporters.items()} == {EDGE: 3}


def test_what_came_in_is_told_of_the_exporters() -> None:
    result = combined([record(START, "198.18.0.7"), inbound(START + 5, "198.18.0.7", time_flow_end_ns=START - 10**12)])
    seen = result.exporters[EDGE]
    assert (seen.records, seen.last_ns, seen.fragments_visible, seen.skewed) == (2, START + 5, True, 1)
    assert result.latest_ns == START + 5
