"""What collectors should never write, through real topics and the real worker: counted, kept, and the rest goes on."""

import gzip
import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kafka import KafkaProducer

from controller.domain import wire
from controller.domain.verdict import Finding
from tests.integration.bench import PARTITIONS, ROOT, Bench, Input, bench
from tests.streams.fakes import SECOND

FLOWS, PMACCT, LOGS = "cordon.flows.goflow2", "cordon.flows.pmacct", "cordon.syslog"
SOURCES = (FLOWS, PMACCT, LOGS)
NOW = 1_750_000_000 * SECOND
LATER = NOW + 2 * SECOND
END = NOW + 10 * SECOND
INIT, CLOSE = b'{"event_type": "purge_init"}', b'{"event_type": "purge_close"}'
MIB = 1 << 20
KEPT = 64 * 1024
IN_1970, IN_2100 = 5 * SECOND, 4_102_444_800 * SECOND

SITE = """
version = 1
name = "test"
prefixes = ["198.18.0.0/16", "2001:db8:1::/48"]
sources = [
  { topic = "cordon.flows.goflow2", format = "goflow2-json" },
  { topic = "cordon.flows.pmacct", format = "pmacct-json", exporters = ["10.0.0.1"] },
  { topic = "cordon.syslog", format = "syslog" },
]
[[devices]]
name = "sw1"
platform = "cisco_ios"
host = "10.0.0.1"
exporter = "10.0.0.1"
[[interfaces]]
device = "sw1"
name = "p1"
if_index = 1
[[hosts]]
name = "h1"
addresses = ["198.18.0.1", "2001:db8:1:1::1"]
tenant = "t1"
role = "vps"
ports = ["sw1/p1"]
"""


def goflow2(**over: Any) -> bytes:
    """One record of 198.18.0.1, received at NOW."""
    plain = {
        "type": "NETFLOW_V9",
        "time_received_ns": NOW,
        "sampling_rate": 1,
        "sampler_address": "10.0.0.1",
        "bytes": 4000,
        "packets": 4,
        "src_addr": "198.18.0.1",
        "dst_addr": "203.0.113.9",
        "etype": "IPv4",
        "proto": "UDP",
        "in_if": 1,
    }
    return json.dumps(plain | over).encode()


def pmacct(**over: Any) -> bytes:
    plain = {"event_type": "purge", "ip_src": "198.18.0.1", "ip_dst": "203.0.113.9", "ip_proto": "udp"}
    return json.dumps(plain | {"packets": 4, "bytes": 4000, "timestamp_arrival": str(NOW // SECOND)} | over).encode()


def syslog(**over: Any) -> bytes:
    return json.dumps(
        {"msg": "link up", "fromhost-ip": "10.0.0.1", "timegenerated": "2025-06-15T15:06:40Z"} | over
    ).encode()


GOOD_FLOWS = {
    "plain": goflow2(),
    "IPv6": goflow2(src_addr="2001:db8:1:1::1", dst_addr="2001:db8:f::1", etype="IPv6"),
    "mapped addresses": goflow2(src_addr="::ffff:198.18.0.1", sampler_address="::ffff:10.0.0.1"),
    "a field that nobody knows": goflow2(moon="full"),
    "nothing but counts": goflow2(src_addr="", dst_addr="", etype="", proto="", in_if=0),
    "a clock of 1970": goflow2(time_received_ns=IN_1970, time_flow_start_ns=1, time_flow_end_ns=IN_1970),
    "a clock of 2100": goflow2(time_received_ns=IN_2100, time_flow_end_ns=IN_2100),
    "no clock": goflow2(time_received_ns=0),
}
BAD_FLOWS = {
    goflow2()[:100]: "not JSON",
    goflow2(bytes="many"): "wrong type or range: bytes",
    goflow2(packets=-4): "wrong type or range: packets",
    goflow2(in_if=1 << 40): "wrong type or range: in_if",
    goflow2(src_addr="198.18.0.256"): "bad address",
    goflow2(sampler_address="192.0.2.66"): "unknown exporter",
    goflow2(sampler_address="sw1"): "unknown exporter",
    json.dumps({"sampler_address": "10.0.0.1"}).encode(): "no counts",
    b"[1, 2]": "not a record",
    b"7": "not a record",
    b'{"note": ' + b"[" * 5000: "nested too deep",
    b"\x00\xff\xfe\x80 no text": "not JSON",
}


def marks(at_ns: int) -> list[Input]:
    return [
        Input(topic, partition, wire.mark(at_ns), wire.MARK_KEY, kafka_ns=at_ns)
        for topic in SOURCES
        for partition in range(PARTITIONS)
    ]


def start(desk: Bench) -> None:
    site, policy = write(desk.directory)
    where = ("--site", str(site), "--policy", str(policy), "--broker", desk.broker.bootstrap, "--embedded")
    desk.start("only", "-m", "streams", "worker", *where, "--data-dir", str(desk.directory / "only"), "--name", "only")


def write(directory: Path) -> tuple[Path, Path]:
    site, policy = directory / "site.toml", directory / "policy.toml"
    site.write_text(SITE)
    policy.write_text("version = 1\n[detectors.flood]\npackets_per_s = 2000.0\n")
    return site, policy


def letters(desk: Bench) -> list[wire.DeadLetter]:
    return [wire.dead_letter_from(value) for value in desk.read(wire.DEAD)]


def lost(dead: list[wire.DeadLetter], topic: str) -> int:
    """Records that the dead letters of a topic speak for."""
    return sum(one.count for one in dead if one.source.startswith(f"{topic}/"))


def at(dead: list[wire.DeadLetter], place: str) -> list[wire.DeadLetter]:
    """The dead letters of one message."""
    return [one for one in dead if one.source.split()[0] == place]


def exact(counts: Mapping[str, int]) -> None:
    assert counts["received"] == counts["scored"] + counts["dead"] + counts["skipped"]


def test_bad_records_are_kept_with_their_reasons_and_every_record_is_accounted_for(tmp_path: Path) -> None:
    frame = b"\n".join([*GOOD_FLOWS.values(), *BAD_FLOWS])
    inputs = [
        Input(FLOWS, 0, frame, kafka_ns=NOW),
        Input(FLOWS, 1, b"", kafka_ns=NOW),
        Input(FLOWS, 1, b" \n\n", kafka_ns=NOW),
        Input(FLOWS, 1, bytes(range(256)) * 4, kafka_ns=NOW),
        Input(FLOWS, 2, b"half past nine", wire.MARK_KEY, kafka_ns=NOW),
        Input(FLOWS, 2, wire.mark(IN_2100), wire.MARK_KEY, kafka_ns=NOW),
        Input(FLOWS, 2, wire.mark(IN_1970), wire.MARK_KEY, kafka_ns=NOW),
        Input(FLOWS, 3, b"x" * 900_000, kafka_ns=NOW),
        Input(PMACCT, 0, b"\n".join([INIT, pmacct(), CLOSE]), kafka_ns=NOW),
        Input(PMACCT, 1, pmacct(ip_proto=None) + b"\n" + pmacct(peer_ip_src="192.0.2.66"), kafka_ns=NOW),
        Input(PMACCT, 1, pmacct(timestamp_arrival="4102444800") + b"\n" + pmacct(timestamp_arrival="5"), kafka_ns=NOW),
        Input(PMACCT, 1, pmacct(ip_src="2001:db8:1:1::1", ip_dst="2001:db8::9", ip_proto="ipv6-icmp"), kafka_ns=NOW),
        Input(LOGS, 0, syslog() + b"\n" + syslog(**{"fromhost-ip": "192.0.2.66"}), kafka_ns=NOW),
        Input(LOGS, 1, b'{"msg": "cut he', kafka_ns=NOW),
        Input(LOGS, 1, b"\xff\xfe\x00\x01\x02", kafka_ns=NOW),
        Input(LOGS, 2, b"", kafka_ns=NOW),
        *marks(NOW + SECOND),
        Input(FLOWS, 1, goflow2(packets=9000, bytes=9_000_000, time_received_ns=LATER), kafka_ns=LATER),
        *marks(END),
    ]  # fmt: skip
    with bench(tmp_path, sources=SOURCES) as desk:
        start(desk)
        desk.publish(inputs)
        [beat] = desk.drained(END - SECOND)
        dead, verdicts = letters(desk), [wire.verdict_from(value) for value in desk.read(wire.VERDICTS)]
        assert desk.end("only", signal.SIGTERM) == 0

    for counts in beat.sources.values():
        exact(counts)
    flows, aggregates, logs = (beat.sources[topic] for topic in SOURCES)
    assert flows["scored"] == len(GOOD_FLOWS) + 1
    assert flows["dead"] == lost(dead, FLOWS)
    assert (aggregates["scored"], aggregates["skipped"], aggregates["dead"]) == (4, 2, 2)
    assert logs["dead"] == lost(dead, LOGS)
    assert logs["scored"] == 1

    assert {one.kept: one.reason for one in at(dead, f"{FLOWS}/0@0")} == BAD_FLOWS
    for place, reason in (
        (f"{FLOWS}/1@0", "empty frame"),
        (f"{FLOWS}/1@1", "empty frame"),
        (f"{FLOWS}/2@0", "clock mark is not a decimal number"),
        (f"{FLOWS}/2@1", "clock mark from the future"),
        (f"{FLOWS}/3@0", "not JSON"),
        (f"{PMACCT}/1@0", "unknown exporter"),
    ):
        assert reason in {one.reason for one in at(dead, place)}, place
    assert any(b"192.0.2.66" in one.kept for one in at(dead, f"{LOGS}/0@0"))

    [long] = at(dead, f"{FLOWS}/3@0")
    assert (long.length, long.sha256) == (900_000, hashlib.sha256(b"x" * 900_000).hexdigest())
    assert long.kept == b"x" * KEPT

    assert beat.exporters["10.0.0.1"]["skewed"] == 4, "clocks of 1970 and 2100, of goflow2 and of pmacct"
    assert {(str(one.subject), one.finding) for one in verdicts if one.evidence} >= {("198.18.0.1", Finding.OFFENDER)}
    assert all(NOW <= one.tick_end_ns <= END for one in verdicts), "no clock but the trusted ones moved time"


def test_a_line_of_ten_megabytes_is_cut_by_who_sends_it_and_kept_whole_in_its_digest_by_who_does_not(
    tmp_path: Path,
) -> None:
    line = goflow2(note="y" * 10 * MIB)
    path = tmp_path / "flows.json.gz"
    path.write_bytes(gzip.compress(goflow2() + b"\n" + line + b"\n" + goflow2() + b"\n", 1))
    with bench(tmp_path, sources=SOURCES) as desk:
        start(desk)
        site, policy = write(tmp_path)
        where = ("--site", str(site), "--policy", str(policy), "--broker", desk.broker.bootstrap, "--embedded")
        send = (sys.executable, "-m", "streams", "send", str(path), *where, "--source", FLOWS, "--marks", "none")
        sent = subprocess.run(send, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert sent.returncode == 0, sent.stderr
        refused = oversized(desk, line)
        desk.publish([Input(LOGS, 0, syslog(), kafka_ns=NOW), *marks(END)])
        [beat] = desk.drained(END - SECOND)
        dead = letters(desk)
        assert desk.end("only", signal.SIGTERM) == 0
    flows = beat.sources[FLOWS]
    exact(flows)
    assert (flows["scored"], flows["dead"]) == (2, 1 if refused else 2)
    cut = next(one for one in dead if one.reason == "not JSON")
    assert (cut.length, len(cut.kept)) == (900_000, KEPT)
    assert line.startswith(cut.kept)
    if not refused:
        whole = next(one for one in dead if one.reason == "line over 1 MiB")
        assert (whole.length, whole.sha256, whole.kept) == (len(line), hashlib.sha256(line).hexdigest(), line[:KEPT])


def oversized(desk: Bench, line: bytes) -> bool:
    """Write a message far above what the topic takes, as a collector may; True when the broker refuses it."""
    producer = KafkaProducer(**desk.broker.access.client(), max_request_size=32 * MIB)
    try:
        future = producer.send(FLOWS, line, partition=3, timestamp_ms=NOW // 1_000_000)
        producer.flush(30)
        return not future.succeeded()
    finally:
        producer.close(5)
