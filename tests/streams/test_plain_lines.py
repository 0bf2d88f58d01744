"""Flat JSON read without a parser says what the parser says of it, or leaves it to the parser."""

import json
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.lab.rates.crowd import EXPORTERS
from deploy.lab.rates.lines import dated, frames
from streams.decode import goflow2, pmacct
from streams.decode.columns import Columns, Flows
from streams.decode.fields import Layout, Wanted
from streams.decode.flows import Trust
from streams.decode.plainlines import LONGEST, PAIRS
from streams.decode.values import LIST, NUMBER, STAMP, TOKEN
from tests.streams.world import EDGE, EDGE2, SECOND, START, frame, record

TRUST = Trust(frozenset({EDGE, EDGE2, *EXPORTERS}), "t", START, 86_400 * 10**9)
INDICES = {"exporter": "exporters", "src": "addresses", "dst": "addresses", "src_mac": "macs", "dst_mac": "macs"}
TABLES = ("exporters", "words", "macs")
ADDRESSES = ("203.0.113.9", "2001:db8::1", "", "198.18.0.255", "::ffff:203.0.113.9", "1.2.3", "01.2.3.4", "1.2.3.4.5")
MACS = ("02:00:00:00:00:0a", "02:00:00:00:00:0A", "", "0200.0000.000a", "02:00:00:00:00:0", "00:00:00:00:00:00", "zz")
STAMPS = (0, START, "", "1700000000.250000", "0.000000", "1700000000", "2023-11-14 22:13:20", "9" * 18 + ".5", "5.")

layout = Layout([Wanted("bytes", NUMBER, 1 << 62), Wanted("text"), Wanted("list", LIST), Wanted("any", TOKEN)])

Decode = Callable[[bytes, Trust], Flows]


def fitting(of: random.Random, usual: Any, *others: Any) -> Any:
    """Mostly what the line before has, too."""
    return usual if of.random() < 0.7 else of.choice(others)


def goflow2_lines(seed: int, count: int) -> bytes:
    of = random.Random(seed)
    made = []
    for _ in range(count):
        over: dict[str, Any] = {
            "bytes": of.choice((0, 64, 1400, 1 << 47)),
            "src_port": of.randrange(1 << 16),
            "dst_addr": fitting(of, "203.0.113.9", *ADDRESSES),
            "sampler_address": of.choice((EDGE, EDGE2)),
            "proto": of.choice(("TCP", "UDP", "GRE")),
            "src_mac": fitting(of, "02:00:00:00:00:07", *MACS),
            "time_flow_end_ns": fitting(of, START + 5, *STAMPS),
            "extra": of.choice((0, "text", [], ["a", "b"], [1, 22, 0])),
        }
        made.append(record(START + of.randrange(1000), f"198.18.0.{of.randrange(1, 21)}", **over))
    return frame(made)


def pmacct_lines(seed: int, count: int) -> bytes:
    of = random.Random(seed)
    custom = of.random() < 0.5
    made: list[dict[str, Any]] = []
    for _ in range(count):
        one = {
            "event_type": fitting(of, "purge", "purge_init", "purge_close"),
            "mac_src": fitting(of, "02:00:00:00:00:07", *MACS), "mac_dst": "02:00:00:00:00:09",
            "etype": fitting(of, "800", "86dd", "0x0800", "", "88cc"), "peer_ip_src": fitting(of, EDGE, EDGE2, "", "x"),
            "iface_in": of.randrange(20), "iface_out": fitting(of, 7, 1 << 30, 1 << 32),
            "ip_src": f"198.18.0.{of.randrange(1, 21)}", "ip_dst": fitting(of, "203.0.113.9", *ADDRESSES),
            "port_src": of.randrange(1 << 16), "port_dst": 53,
            "tcp_flags": fitting(of, "18", 18, 27, ["SYN", "ACK"], [], ["XYZ"], [1], "x"),
            "ip_proto": fitting(of, "tcp", "udp", "6", 6, 300, "", ["tcp"]), "sampling_rate": 1,
            "timestamp_arrival": fitting(of, f"{START // SECOND}.{of.randrange(1_000_000):06}", *STAMPS),
            "timestamp_start": fitting(of, f"{START // SECOND - 2}.000000", *STAMPS),
            "timestamp_end": of.choice(STAMPS), "stamp_inserted": of.choice(STAMPS),
            "stamp_updated": of.choice(STAMPS), "packets": of.choice((1, 20)), "bytes": of.randrange(1, 1 << 40),
            "writer_id": "default_kafka/1",
        }  # fmt: skip
        if custom:
            one |= {"frag_off": fitting(of, "0", "185", 0, 0x2000, "x"), "icmp_type": fitting(of, "0", 8, "700000")}
        if of.random() < 0.1:
            del one[of.choice(list(one))]
        made.append(one)
    return frame(made)


FORMATS: list[tuple[Decode, Callable[[int, int], bytes]]] = [
    (goflow2.decode, goflow2_lines),
    (pmacct.decode, pmacct_lines),
]
formats = pytest.mark.parametrize(("decode", "lines"), FORMATS, ids=("goflow2", "pmacct"))


def by_parser(decode: Decode, value: bytes) -> Flows:
    """A line of nothing but a space is no record, and more than is understood without the parser."""
    assert layout.read(value + b"\n ") is None
    return decode(value + b"\n ", TRUST)


def shown(flows: Flows) -> list[Any]:
    """Everything but the order of the tables."""
    one = flows.columns
    said: list[Any] = [flows.received, flows.skipped, {(reject.reason, reject.count) for reject in flows.rejects}]
    if one is None:
        return said
    said += [getattr(one, name).tolist() for name in Columns.__slots__ if name not in (*TABLES, *INDICES)]
    for name, table in INDICES.items():
        values = [*getattr(one, table), None]
        said.append([values[at] for at in getattr(one, name).tolist()])
    return said


def told(flows: Flows) -> list[Any]:
    return [*shown(flows), [reject.raw for reject in flows.rejects]]


def test_what_collectors_write_is_read_without_the_parser() -> None:
    assert goflow2.LAYOUT.read(frame([record(START, "198.18.0.7")] * 3)) is not None
    for kind, read in (("goflow2_json", goflow2.LAYOUT), ("pmacct_json", pmacct.LAYOUT)):
        for value in frames(kind, records=40, pool=1):
            fields = read.read(dated(value, START))
            assert fields is not None
            assert len(fields) == 40


def test_fields_are_what_stands_in_the_lines() -> None:
    made = [{"a": at, "text": f"t{at % 3}", "list": [at], "any": at % 4, "bytes": at * 10**16} for at in range(200)]
    fields = layout.read(frame(made))
    assert fields is not None
    assert fields.numbers("bytes").tolist() == [one["bytes"] for one in made]
    for name in ("text", "list", "any"):
        found = fields.texts(name)
        said = [one[name] if name == "text" else json.dumps(one[name]) for one in made]
        assert [found.values[at] for at in found.index] == said
        assert len(set(found.values)) == len(found.values)


@pytest.mark.parametrize("count", [1, 2, 7, 500, 4000])
@formats
def test_frames_of_every_size_mean_the_same(decode: Decode, lines: Callable[[int, int], bytes], count: int) -> None:
    value = lines(count, count)
    assert shown(decode(value, TRUST)) == shown(by_parser(decode, value))


@formats
@given(st.integers(0, 1 << 30), st.integers(1, 12))
@settings(deadline=None, derandomize=True, max_examples=200)
def test_lines_mean_the_same_with_and_without_the_parser(
    decode: Decode, lines: Callable[[int, int], bytes], seed: int, count: int
) -> None:
    value = lines(seed, count)
    assert told(decode(value, TRUST)) == told(by_parser(decode, value))


@formats
@given(
    st.integers(0, 1 << 30),
    st.integers(0, 1 << 30),
    st.integers(1, 3),
    st.sampled_from(sorted(b'{}[]":,0129.-eE tn\n\\x\x00\x7f\x80\xc3')),
)
@settings(deadline=None, derandomize=True, max_examples=400)
def test_damaged_lines_mean_the_same_with_and_without_the_parser(
    decode: Decode, lines: Callable[[int, int], bytes], seed: int, at: int, octets: int, by: int
) -> None:
    value = bytearray(lines(seed, 3))
    place = at % len(value)
    value[place : place + octets] = bytes([by]) * (at % 3)
    assert shown(decode(bytes(value), TRUST)) == shown(by_parser(decode, bytes(value)))


VALUES = st.one_of(
    st.integers(-(1 << 65), 1 << 65),
    st.integers(0, 300),
    st.floats(allow_nan=False, allow_infinity=False),
    st.none(),
    st.booleans(),
    st.text(max_size=9),
    st.sampled_from([*ADDRESSES, *MACS, *STAMPS, 10**18, 10**19 - 1, 1 << 62, (1 << 62) - 1, (1 << 63) - 1, "²", "\\"]),
    st.lists(st.one_of(st.text(max_size=3), st.integers(0, 9)), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(0, 3), max_size=1),
)


@formats
@given(st.integers(0, 1 << 30), st.integers(0, 1 << 30), VALUES, st.booleans())
@settings(deadline=None, derandomize=True, max_examples=400)
def test_odd_values_and_orders_mean_the_same_with_and_without_the_parser(
    decode: Decode, lines: Callable[[int, int], bytes], seed: int, at: int, odd: Any, ascii_only: bool
) -> None:
    of = random.Random(at)
    records = [json.loads(line) for line in lines(seed, 4).splitlines()]
    one = of.choice(records)
    one[of.choice(list(one))] = odd
    if of.random() < 0.3:
        place = records.index(one)
        records[place] = dict(of.sample(list(one.items()), len(one)))
    said = [json.dumps(one, separators=(",", ":"), ensure_ascii=ascii_only).encode() for one in records]
    value = b"\n".join(said)
    assert shown(decode(value, TRUST)) == shown(by_parser(decode, value))


@pytest.mark.parametrize(
    "line",
    [
        b'{"bytes":1,"bytes":2}', b'{"bytes": 1}', b'{"bytes":01}', b'{"bytes":-1}', b'{"bytes":1.5}', b'{"bytes":1e3}',
        b'{"bytes":99999999999999999999}', b'{"bytes":9300000000000000000}', b'{"bytes":null}', b'{"bytes":{}}', b"{}",
        b'{"bytes":[1,]}', b'{"bytes":[1 ]}', b'{"bytes":1,}', b'{"bytes":1', b'{"bytes"', b'{"bytes":"a', b"[1]", b"1",
        b'{"text":"\\n"}', b'{"text":"\xc3\xa4"}', b'{"text":"\t"}', b'{"bytes":1}\r', b'{"bytes":1}{"bytes":1}', b"",
        b'{"bytes":"1"}', b'{"bytes":[1]}', b'{"text":1}', b'{"text":["a"]}', b'{"list":"a"}', b'{"any":true}',
        b'{"bytes":4611686018427387905}', b'{"x":"' + b"a" * LONGEST + b'"}', b'{"bytes":1},', b'{"bytes":1}}',
        b"{" + b",".join(b'"%d":0' % at for at in range(PAIRS + 1)) + b"}",
    ],
    ids=lambda line: line[:24].decode("latin-1"),
)  # fmt: skip
def test_everything_else_is_left_to_the_parser(line: bytes) -> None:
    assert layout.read(line) is None
    for before in (b'{"bytes":1}\n', b'{"bytes":1}\n{"bytes":2}\n', b'{"text":"a"}\n{"text":"b"}\n'):
        assert layout.read(before + line) is None or not line
        assert layout.read(before + line + b"\n" + before) is None or not line


def test_pairs_may_change_from_line_to_line() -> None:
    fields = layout.read(
        b'{"bytes":1,"text":"x"}\n{"text":"x","bytes":1}\n{"bytes":1}\n\n{"c":[],"text":"x","bytes":12}\n'
        b'{"c":[],"text":"xy","bytes":1}\n'
    )
    assert fields is not None
    assert fields.numbers("bytes").tolist() == [1, 1, 1, 12, 1]
    found = fields.texts("text")
    assert np.array(found.values)[found.index].tolist() == ["x", "x", "", "x", "xy"]


def test_first_line_that_is_longer_than_the_others_says_nothing_of_how_many_there_are() -> None:
    made = [{"x": "y" * 9000, "text": "first"}, *({"text": f"one{at}", "any": f"other{at}"} for at in range(3000))]
    fields = layout.read(frame(made))
    assert fields is not None
    assert len(fields.texts("any").values) == 3001
    assert [fields.texts("text").values[at] for at in fields.texts("text").index] == [one["text"] for one in made]


@pytest.mark.parametrize("size", [*range(1, 40)])
def test_numbers_and_texts_of_every_length_are_read_whole(size: int) -> None:
    number, text = "123456789012345678"[:size], "abcdefghij" * 4
    made = [
        f'{{"text":"{text[:size]}","bytes":{number}}}',
        f'{{"text":"{text[: size - 1]}","bytes":{number[:-1] or 0}}}',
    ]
    for lines in (made, made[::-1], made * 3):
        fields = layout.read("\n".join(lines).encode())
        assert fields is not None
        found = fields.texts("text")
        assert [found.values[at] for at in found.index] == [json.loads(line)["text"] for line in lines]
        assert fields.numbers("bytes").tolist() == [json.loads(line)["bytes"] for line in lines]


def test_stamps_are_ns_where_they_are_plain_and_else_as_they_are_written() -> None:
    read = Layout([Wanted("at", STAMP, 1 << 62)])
    made = [{"at": one} for one in (5, "1.5", "1.123456789", "x", "", "1.1234567891", "4611686018.000000", 0, "x")]
    fields = read.read(frame([*made, {"other": 1}]))
    assert fields is not None
    assert fields.numbers("at").tolist() == [5, 1_500_000_000, 1_123_456_789, -1, 0, -2, -3, 0, -1, 0]
    assert fields.written("at") == ['"x"', '"1.1234567891"', '"4611686018.000000"']


def test_markers_of_pmacct_leave_nothing_behind() -> None:
    plain = {"event_type": "purge", "peer_ip_src": EDGE, "ip_src": "198.18.0.7", "packets": 1, "bytes": 60}
    bad = plain | {"peer_ip_src": "192.0.2.66"}
    flows = pmacct.decode(frame([{"event_type": "purge_init"}, plain, bad, {"event_type": "purge_close"}]), TRUST)
    assert flows.columns is not None
    assert (flows.received, flows.skipped, len(flows.columns)) == (4, 2, 1)
    assert flows.columns.exporters[flows.columns.exporter[0]] == EDGE
    assert [(json.loads(one.raw), one.reason) for one in flows.rejects] == [(bad, "unknown exporter")]
    only = pmacct.decode(frame([{"event_type": "purge_init"}, {"event_type": "purge_close"}]), TRUST)
    assert (only.received, only.skipped, only.rejects, only.columns) == (2, 2, (), None)
