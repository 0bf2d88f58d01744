"""The clock and `send` as processes: what they write is what a worker needs."""

import signal
import subprocess
import sys
from pathlib import Path

from controller.domain import wire
from tests.integration.bench import PARTITIONS, ROOT, SECOND, Bench, bench
from tests.integration.test_worker_scores import BEGIN, COUNTS, FLOWS, files, record


def options(desk: Bench, site: Path, policy: Path) -> tuple[str, ...]:
    return ("--site", str(site), "--policy", str(policy), "--broker", desk.broker.bootstrap, "--embedded")


def streams(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "streams", *command], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_clock_marks_every_partition_in_order_and_behind_the_wall_clock(tmp_path: Path) -> None:
    site, policy = files(tmp_path)
    with bench(tmp_path, sources=tuple(COUNTS)) as desk:
        desk.start("clock", "-m", "streams", "clock", *options(desk, site, policy))
        beats = desk.heartbeats()
        beat = next(one for one in beats if one is not None and one.process == "clock")
        later = next(one for one in beats if one is not None and one.event_ns > beat.event_ns)
        beats.close()  # type: ignore[attr-defined]  # it is a generator
        assert desk.end("clock", signal.SIGTERM) == 0
        assert later.at_ns - later.event_ns >= 0.3 * SECOND
        for topic, count in COUNTS.items():
            for partition in range(count):
                marks = [wire.mark_time(value) for value in desk.read(topic, partition)]
                assert marks == sorted(set(marks))
                assert marks[-1] >= later.event_ns
                assert not any(mark % (SECOND // 4) for mark in marks)


def test_send_puts_many_lines_into_few_messages_with_marks_behind_them(tmp_path: Path) -> None:
    site, policy = files(tmp_path)
    path = tmp_path / "flows.ndjson"
    lines = [record(BEGIN + number, 1 + number % 5, octets=100, packets=1) for number in range(2500)]
    path.write_bytes(b"\n".join(lines))
    with bench(tmp_path, sources=tuple(COUNTS)) as desk:
        done = streams("send", str(path), "--source", FLOWS, *options(desk, site, policy))
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("2500 records in ")
        sent = [desk.read(FLOWS, partition) for partition in range(PARTITIONS)]
    assert all(values[-1].isdigit() for values in sent)
    flows = [value for values in sent for value in values if not value.isdigit()]
    assert len(flows) < 10
    assert sorted(b"\n".join(flows).split(b"\n")) == sorted(lines)


def test_send_to_a_topic_that_no_source_declares_is_refused(tmp_path: Path) -> None:
    site, policy = files(tmp_path)
    where = ("--site", str(site), "--policy", str(policy), "--broker", "127.0.0.1:9")
    done = streams("send", str(site), "--source", "elsewhere", *where)
    assert done.returncode == 2
    assert "cordon.flows.goflow2 or cordon.syslog" in done.stderr


def test_what_is_wrong_with_the_files_is_one_line_and_status_2(tmp_path: Path) -> None:
    site, policy = files(tmp_path)
    site.write_text(site.read_text().replace("goflow2-json", "goflow3-json"))
    done = streams("clock", "--site", str(site), "--policy", str(policy), "--broker", "127.0.0.1:9")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "sources[0].format" in done.stderr
