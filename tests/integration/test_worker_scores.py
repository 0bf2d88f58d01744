"""The real worker, as the supervisor starts it, killed while it learns: its scores are those of an undisturbed run."""

import dataclasses
import json
import random
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.domain import wire
from controller.domain.verdict import Level
from streams.activity import Combiner
from streams.agents import Combine
from streams.lanes import Lane
from streams.score import Scorer
from streams.settings import Settings, load
from streams.shift import inputs_of
from tests.integration.bench import PARTITIONS, SECOND, Bench, Input, Outcome, bench, publish_slowly, through

FLOWS, LOGS = "cordon.flows.goflow2", "cordon.syslog"
COUNTS = {FLOWS: PARTITIONS, LOGS: PARTITIONS}
BEGIN = 1_700_000_000 * SECOND
STEPS, STEP, HOSTS, OFFENDER = 80, 30 * SECOND, 24, 7

SITE = """
version = 1
name = "test"
prefixes = ["198.18.0.0/16"]
sources = [
  { topic = "cordon.flows.goflow2", format = "goflow2-json" },
  { topic = "cordon.syslog", format = "syslog" },
]
[[devices]]
name = "sw1"
platform = "cisco_ios"
host = "10.0.0.1"
exporter = "10.0.0.1"
"""
HOST = """
[[interfaces]]
device = "sw1"
name = "p{number}"
if_index = {number}
[[hosts]]
name = "h{number}"
addresses = ["198.18.0.{number}"]
tenant = "t{number}"
role = "vps"
ports = ["sw1/p{number}"]
"""
POLICY = """
version = 1
[scoring]
baseline_min_age_s = 1200.0
checkpoint_s = 0.5
"""


def files(directory: Path) -> tuple[Path, Path]:
    site, policy = directory / "site.toml", directory / "policy.toml"
    site.write_text(SITE + "".join(HOST.format(number=number) for number in range(1, HOSTS + 1)))
    policy.write_text(POLICY)
    return site, policy


def record(at_ns: int, number: int, *, octets: int, packets: int) -> bytes:
    return json.dumps(
        {
            "type": "SFLOW_5",
            "time_received_ns": at_ns,
            "sampling_rate": 1,
            "sampler_address": "10.0.0.1",
            "time_flow_start_ns": at_ns,
            "time_flow_end_ns": at_ns,
            "bytes": octets,
            "packets": packets,
            "src_addr": f"198.18.0.{number}",
            "dst_addr": f"203.0.113.{number}",
            "etype": "IPv4",
            "proto": "UDP",
            "src_port": 4000,
            "dst_port": 4001,
            "in_if": number,
            "out_if": 1000,
            "layer_stack": ["Ethernet", "IPv4", "UDP"],
        }
    ).encode()


def day() -> Iterator[Input]:
    """Forty minutes in which everybody says a little every half minute; then one of them floods for five seconds."""
    chance = random.Random(3)
    for step in range(STEPS):
        at = BEGIN + step * STEP
        everybody = range(1, HOSTS + 1)
        lines = [record(at + n, n, octets=180_000 + chance.randrange(9_000), packets=240) for n in everybody]
        yield Input(FLOWS, step % PARTITIONS, b"\n".join([*lines, b"{torn"]), kafka_ns=at)
        yield from marks(at + STEP)
    flood = BEGIN + STEPS * STEP
    for tick in range(20):
        at = flood + tick * SECOND // 4
        yield Input(FLOWS, tick % PARTITIONS, record(at + 5, OFFENDER, octets=2_900_000, packets=2_100), kafka_ns=at)
        yield from marks(at + SECOND // 4)
    yield from marks(flood + 20 * SECOND)


def marks(at_ns: int) -> list[Input]:
    return [
        Input(topic, partition, wire.mark(at_ns), wire.MARK_KEY, kafka_ns=at_ns)
        for topic, count in COUNTS.items()
        for partition in range(count)
    ]


def undisturbed(settings: Settings, inputs: list[Input]) -> Outcome:
    names = inputs_of(COUNTS)
    estate, rules = settings.estate, settings.rules
    combine = Combine(Combiner(estate, rules, partitions=PARTITIONS), estate.site.sources, partitions=PARTITIONS)
    lanes = [
        Lane(
            Scorer(estate, rules, partition=p, partitions=PARTITIONS, inputs=names),
            partition=p,
            inputs=names,
            start=0,
        )
        for p in range(PARTITIONS)
    ]
    return through(inputs, combine, lanes)


def start(desk: Bench, name: str, *, site: Path, policy: Path) -> None:
    where = ("--site", str(site), "--policy", str(policy), "--broker", desk.broker.bootstrap, "--embedded")
    run = ("--data-dir", str(desk.directory / name), "--name", name, "--group", f"group-{name}")
    desk.start(name, "-m", "streams", "worker", *where, *run)


@pytest.mark.timeout(300)
def test_the_worker_killed_in_the_warm_up_scores_as_if_nothing_had_happened(tmp_path: Path) -> None:
    site, policy = files(tmp_path)
    inputs = list(day())
    wanted = undisturbed(load(site, policy), inputs)
    assert any(says[1] is Level.ISOLATE for says in wanted.verdicts.values())
    with bench(tmp_path, sources=tuple(COUNTS)) as desk:
        start(desk, "w0", site=site, policy=policy)
        publishing = publish_slowly(desk, inputs, seconds=6)
        desk.wait(lambda last: last["w0"].event_ns > BEGIN)
        threading.Event().wait(random.Random(1).uniform(0.0, 1.5))  # any moment will do
        desk.end("w0", signal.SIGKILL)
        start(desk, "w1", site=site, policy=policy)
        publishing.join()
        beats = desk.drained(BEGIN + STEPS * STEP + 20 * SECOND)
        found = desk.outcome(beats)
    assert found.counts == wanted.counts
    assert found.counts[FLOWS]["dead"] == STEPS
    assert dataclasses.replace(found, counts={}) == dataclasses.replace(wanted, counts={})
