"""What the collectors write: a day at full speed, then ticks of which only that is recorded which devices let in."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from deploy.lab.collectors import Collectors, warm_up
from deploy.lab.control import Arrival, Burst
from deploy.lab.generator import TICK_NS, Stage
from deploy.lab.journeys import Fragments, Saturation
from deploy.lab.live import Cables, Live, Sampler, pass_through
from deploy.lab.provider import FLOW_TOPIC, LOG_TOPIC, QUARANTINE, Provider, provider
from deploy.lab.records import DISCARDED
from deploy.lab.scenarios import journey
from deploy.lab.traffic import MINUTE_NS, Normal, outbound

NOON_NS = 20_000 * 24 * 60 * MINUTE_NS + 12 * 60 * MINUTE_NS


@dataclass
class Kept:
    """A sink that remembers."""

    partitions: int = 4
    frames: list[tuple[str, int, bytes, int]] = field(default_factory=list)
    marks: list[tuple[int, int]] = field(default_factory=list)  # (frames before it, time)

    def frame(self, topic: str, partition: int, value: bytes, *, at_ns: int) -> None:
        self.frames.append((topic, partition, value, at_ns))

    def mark(self, at_ns: int) -> None:
        self.marks.append((len(self.frames), at_ns))

    def records(self, topic: str) -> list[dict[str, Any]]:
        return [json.loads(line) for name, _, value, _ in self.frames if name == topic for line in value.splitlines()]


@dataclass
class Gate:
    """A plant that holds back what it is told to."""

    stopped: dict[str, Arrival] = field(default_factory=dict)  # by source MAC

    def forward(self, bursts: Sequence[Burst], *, now: float) -> list[Arrival]:
        return [
            self.stopped.get(burst.packets.src_mac, Arrival(burst.packets.packets, burst.packets.octets))
            for burst in bursts
        ]


@pytest.fixture(scope="module")
def source() -> Provider:
    return provider(1)


def test_a_day_is_written_in_frames_of_a_thousand_and_more_and_no_message_passes_900_kilobytes(
    source: Provider,
) -> None:
    day = Normal(source, seed=1).day(start_ns=NOON_NS, end_ns=NOON_NS + 60 * MINUTE_NS)
    frames = [frame for block in day for frame in block.frames]
    assert sum(records for _, records in frames) / len(frames) > 1_000
    assert all(value.count(b"\n") == records for value, records in frames)
    assert max(len(value) for value, _ in frames) < 900_000


def test_nothing_on_the_topics_precedes_a_mark_that_was_written_before_it(source: Provider) -> None:
    kept = Kept()
    start_ns, end_ns = NOON_NS, NOON_NS + 120 * MINUTE_NS
    shares = list(
        warm_up(
            source, Normal(source, seed=1), [Saturation(source)], Collectors(kept), start_ns=start_ns, end_ns=end_ns
        )
    )
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert kept.marks[-1] == (len(kept.frames), end_ns)
    for place, mark_ns in kept.marks:
        later = [json.loads(line) for _, _, value, _ in kept.frames[place:] for line in value.splitlines()[:50]]
        assert all(one["time_received_ns"] >= mark_ns for one in later if "time_received_ns" in one)


def test_the_break_in_and_its_open_socket_stand_in_the_day_before_the_flood(source: Provider) -> None:
    kept, offender = Kept(), source.offender(1)
    assert offender
    end_ns = NOON_NS + 24 * 60 * MINUTE_NS
    list(
        warm_up(source, Normal(source, seed=1), [Saturation(source)], Collectors(kept), start_ns=NOON_NS, end_ns=end_ns)
    )
    exploit = [one for one in kept.records(LOG_TOPIC) if "timthumb.php?src=http" in one["msg"]]
    assert [one["fromhost-ip"] for one in exploit] == [offender.ipv4]
    flows = [line for name, _, value, _ in kept.frames if name == FLOW_TOPIC for line in value.splitlines()]
    socket = [json.loads(line) for line in flows if b'"src_port":52114,"dst_port":6667' in line]
    assert {one["src_addr"] for one in socket} == {offender.ipv4}
    assert len(socket) > 300
    assert 400_000 <= len(flows) <= 700_000


def test_a_flood_of_90_megabit_is_sampled_as_such(source: Provider) -> None:
    live = Live(source, Normal(source, seed=1), Cables(), seed=1)
    live.start(journey(source, 1), at_ns=NOON_NS)
    offender = source.offender(1)
    assert offender
    octets = 0
    for tick in range(1, 41):
        heard = live.tick(at_ns=NOON_NS + tick * TICK_NS, seconds=0.25)
        records = [json.loads(line) for line in heard.records]
        flood = [one for one in records if one["src_addr"] == offender.ipv4 and one["proto"] == "UDP"]
        octets += sum(one["bytes"] * one["sampling_rate"] for one in flood)
        assert all(
            NOON_NS + (tick - 1) * TICK_NS <= one["time_received_ns"] < NOON_NS + tick * TICK_NS for one in flood
        )
        assert heard.seen[1].first_ns == min(one["time_received_ns"] for one in flood)
    assert octets * 8 / 10 == pytest.approx(90e6, rel=0.15)


def test_fragments_are_shown_as_goflow2_shows_them(source: Provider) -> None:
    offender = source.offender(2)
    assert offender
    live = Live(source, Normal(source, seed=1), Cables(), seed=1)
    live.start(journey(source, 2), at_ns=NOON_NS)
    heard = live.tick(at_ns=NOON_NS + TICK_NS, seconds=0.25)
    own = [json.loads(line) for line in heard.records]
    own = [one for one in own if one["src_addr"] == offender.ipv4 and one["proto"] == "UDP"]
    fragments = [one for one in own if one["fragment_offset"] > 0 or one["ip_flags"] & 1]
    malformed = [one for one in own if one["proto"] not in one["layer_stack"] and one not in fragments]
    assert len(fragments) * 64 * 4 == pytest.approx(Fragments.FRAGMENTS_PER_S, rel=0.4)
    assert len(fragments) + len(malformed) == len(own)


def test_the_firewall_complains_only_while_too_much_arrives_at_it(source: Provider) -> None:
    offender = source.offender(2)
    assert offender
    gate = Gate()
    live = Live(source, Normal(source, seed=1), gate, seed=1)
    live.start(journey(source, 2), at_ns=NOON_NS)

    def senders(first: int, last: int) -> set[str]:
        ticks = [live.tick(at_ns=NOON_NS + n * TICK_NS, seconds=0.25) for n in range(first, last)]
        return {line.hostname for heard in ticks for line in heard.lines}

    assert senders(1, 2) == set()
    assert senders(2, 12) == {source.firewall_of(offender), "core01"}
    gate.stopped[offender.mac] = Arrival(0, 0, None, offender.port.device, "an ACL")
    assert senders(12, 24) == set()


def test_what_a_switch_drops_is_not_recorded_and_what_open_vswitch_drops_is_marked_discarded(source: Provider) -> None:
    guest = next(one for one in source.machines if one.guest)
    wired = next(one for one in source.machines if one.port.device == "sw01" and not one.guest)
    gate = Gate(
        {
            guest.mac: Arrival(0, 0, None, guest.entry.device, "flow priority=40000 actions=drop"),
            wired.mac: Arrival(0, 0, None, wired.entry.device, "ip access-group"),
        }
    )
    flows = [
        outbound(one, source, dst="203.0.113.7", packets=6_400, octets=640_000, seconds=0.25) for one in (guest, wired)
    ]
    sampler = Sampler(np.random.default_rng(1))
    passages = pass_through(gate, source, flows, now=0.0)
    assert [passage.entered for passage in passages] == [0, 0]
    lines = [sampler.each(one, start_ns=0, end_ns=TICK_NS)[0] for one in passages]
    assert {json.loads(line)["out_if"] for line in lines[0]} == {DISCARDED}
    assert lines[1] == []


def test_packets_in_the_quarantine_vlan_have_not_entered_and_reach_no_firewall(source: Provider) -> None:
    server = next(one for one in source.machines if source.firewall_of(one))
    gate = Gate({server.mac: Arrival(640, 64_000, QUARANTINE)})
    flow = outbound(server, source, dst="203.0.113.7", packets=640, octets=64_000, seconds=0.25)
    (passage,) = pass_through(gate, source, [flow], now=0.0)
    assert (passage.entered, passage.quarantined) == (0, True)


def test_the_truth_is_told_once_when_it_begins_and_once_when_it_falls(source: Provider) -> None:
    offender = source.offender(1)
    assert offender
    gate, told = Gate(), list[tuple[str, dict[str, object]]]()
    stage = Stage(
        source,
        Live(source, Normal(source, seed=1), gate, seed=1),
        {1: journey(source, 1)},
        Collectors(Kept()),
        say=lambda event, **facts: told.append((event, facts)),
    )
    assert stage.obey('{"start": 1}', at_ns=NOON_NS)
    for tick in range(1, 20):
        if tick == 10:
            gate.stopped[offender.mac] = Arrival(0, 0, None, offender.port.device, "shutdown")
        stage.tick(at_ns=NOON_NS + tick * TICK_NS, clock=lambda: 5)
    told = [one for one in told if one[0] != "passing"]
    assert [(event, facts["scenario"]) for event, facts in told] == [("bad", 1), ("fell", 1)]
    assert NOON_NS <= int(str(told[0][1]["received_ns"])) < NOON_NS + TICK_NS
    assert told[1][1]["why"] == "shutdown"
    assert not stage.obey('{"end": true}', at_ns=NOON_NS)


def test_a_throttled_offender_is_recorded_at_the_rate_that_passes(source: Provider) -> None:
    offender = source.offender(1)
    assert offender
    flow = outbound(offender, source, dst="203.0.113.7", packets=2_000, octets=2_800_000, seconds=0.25)
    first = flow.path[0][0]
    gate = Gate({offender.mac: Arrival(200, 280_000, None, first, "policer")})
    (passage,) = pass_through(gate, source, [replace(flow)], now=0.0)
    assert (passage.passed, passage.entered, passage.discarded) == (200, 200, 0)
