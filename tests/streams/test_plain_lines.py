"""Flat JSON read without a parser says what the parser says of it, or leaves it to the parser."""

import json
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.decode import goflow2
from streams.decode.columns import Columns, Flows
from streams.decode.flows import Trust
from streams.decode.plainlines import read
from tests.streams.world import EDGE, EDGE2, START, frame, record

TRUST = Trust(frozenset({EDGE, EDGE2}), "t", START, 86_400 * 10**9)
TABLES = ("exporters", "words", "macs")


def lines(seed: int, count: int) -> bytes:
    of = random.Random(seed)
    made = []
    for _ in range(count):
        over: dict[str, Any] = {
            "bytes": of.choice((0, 64, 1400, 1 << 47)),
            "src_port": of.randrange(1 << 16),
            "dst_addr": of.choice(("203.0.113.9", "2001:db8::1", "", "198.18.0.255")),
            "sampler_address": of.choice((EDGE, EDGE2)),
            "proto": of.choice(("TCP", "UDP", "GRE")),
            "extra": of.choice((0, "text", [], ["a", "b"], [1, 22, 0])),
        }
        made.append(record(START + of.randrange(1000), f"198.18.0.{of.randrange(1, 21)}", **over))
    return frame(made)


def by_parser(value: bytes) -> Flows:
    """A line of nothing but a space is no record, and more than is understood without the parser."""
    assert read(value + b"\n ", ("bytes",)) is None
    return goflow2.decode(value + b"\n ", TRUST)


def shown(flows: Flows) -> list[Any]:
    """Everything but the order of the tables."""
    one = flows.columns
    said: list[Any] = [flows.received, flows.skipped, [(reject.reason, reject.count) for reject in flows.rejects]]
    if one is None:
        return said
    said += [getattr(one, name).tolist() for name in Columns.__slots__ if name not in (*TABLES, *INDICES)]
    for name, table in INDICES.items():
        values = [*getattr(one, table), None]
        said.append([values[at] for at in getattr(one, name).tolist()])
    return said


INDICES = {"exporter": "exporters", "src": "addresses", "dst": "addresses", "src_mac": "macs", "dst_mac": "macs"}


def test_what_collectors_write_is_read_without_the_parser() -> None:
    value = lines(1, 50)
    fields = read(value, ("bytes", "src_addr", "nothing"))
    assert fields is not None
    told = [json.loads(line) for line in value.splitlines()]
    assert fields.numbers(0, -1).tolist() == [one["bytes"] for one in told]
    found = fields.texts(1)
    assert [found.values[at] for at in found.index] == [one["src_addr"] for one in told]
    assert fields.numbers(2, -7).tolist() == [-7] * 50


@given(st.integers(0, 1 << 30), st.integers(1, 12))
@settings(deadline=None, derandomize=True)
def test_lines_mean_the_same_with_and_without_the_parser(seed: int, count: int) -> None:
    value = lines(seed, count)
    assert shown(goflow2.decode(value, TRUST)) == shown(by_parser(value))


@given(
    st.integers(0, 1 << 30),
    st.integers(0, 1 << 30),
    st.integers(1, 3),
    st.sampled_from(sorted(b'{}[]":,0129.-eE tn\n\\x')),
)
@settings(deadline=None, derandomize=True, max_examples=400)
def test_damaged_lines_mean_the_same_with_and_without_the_parser(seed: int, at: int, octets: int, by: int) -> None:
    value = bytearray(lines(seed, 3))
    place = at % len(value)
    value[place : place + octets] = bytes([by]) * (at % 3)
    assert shown(goflow2.decode(bytes(value), TRUST)) == shown(by_parser(bytes(value)))


@pytest.mark.parametrize(
    "line",
    [
        b'{"bytes":1,"bytes":2}', b'{"bytes": 1}', b'{"bytes":01}', b'{"bytes":-1}', b'{"bytes":1.5}', b'{"bytes":1e3}',
        b'{"bytes":99999999999999999999}', b'{"bytes":9300000000000000000}', b'{"bytes":null}', b'{"bytes":{}}', b"{}",
        b'{"bytes":[1,]}', b'{"bytes":[1 ]}', b'{"bytes":1,}', b'{"bytes":1', b'{"bytes"', b'{"bytes":"a', b"[1]", b"1",
        b'{"text":"\\n"}', b'{"text":"\xc3\xa4"}', b'{"text":"\t"}', b'{"bytes":1}\r', b'{"bytes":1}{"bytes":1}', b"",
    ],
)  # fmt: skip
def test_everything_else_is_left_to_the_parser(line: bytes) -> None:
    assert read(line, ("bytes",)) is None
    assert read(b'{"bytes":1}\n' + line, ("bytes",)) is None or not line


def test_pairs_may_change_from_line_to_line() -> None:
    fields = read(
        b'{"a":1,"b":"x"}\n{"b":"x","a":1}\n{"a":1}\n\n{"c":[],"b":"x","a":12}\n{"c":[],"b":"xy","a":1}\n', ("a", "b")
    )
    assert fields is not None
    assert fields.numbers(0, 0).tolist() == [1, 1, 1, 12, 1]
    found = fields.texts(1)
    assert np.array(found.values)[found.index].tolist() == ["x", "x", "", "x", "xy"]
