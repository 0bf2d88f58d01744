"""Frames that are amiss after a worker was killed are found by exporter."""

from pathlib import Path

from deploy.lab.rates.crowd import EXPORTERS
from deploy.lab.rates.lines import FRAME_RECORDS
from deploy.lab.rates.plots import draw
from deploy.lab.rates.scaling import balance


def counted(frames: int) -> dict[str, int]:
    return {one: FRAME_RECORDS * len(range(at, frames, len(EXPORTERS))) for at, one in enumerate(EXPORTERS)}


def test_all_frames_counted_once_are_in_balance() -> None:
    for frames in (3, 8, 133):
        assert balance(frames, counted(frames)) == {"frames_lost": 0, "frames_doubled": 0}


def test_a_lost_frame_does_not_make_up_for_a_doubled_one() -> None:
    found = counted(133)
    found[EXPORTERS[0]] -= 2 * FRAME_RECORDS
    found[EXPORTERS[1]] += FRAME_RECORDS
    assert balance(133, found) == {"frames_lost": 2, "frames_doubled": 1}


def test_a_frame_of_which_a_part_is_missing_is_lost() -> None:
    found = counted(20)
    found[EXPORTERS[7]] -= 1
    assert balance(20, found)["frames_lost"] == 1


def test_pictures_are_drawn_of_what_was_measured(tmp_path: Path) -> None:
    rates = {
        "records_per_cpu_s": 900_000,
        "listener_records_per_cpu_s": 4_000_000,
        "worker_records_per_cpu_s": 1_200_000,
        "loss_free_records_per_s": None,
        "fastnetmon_records_per_cpu_s": None,
    }
    document = {
        "netflow5": rates,
        "goflow2_json": rates | {"listener_records_per_cpu_s": None},
        "syslog": {"lines_per_cpu_s": 200_000, "fail2ban_lines_per_cpu_s": 20_000},
        "state": {"tick_ms": {"1000": 2.0, "10000": 15.0}},
        "scale": {"one_worker": 500_000, "two_workers": 900_000},
        "frames": {"10": rates | {"records_per_frame": 100}, "50": rates | {"records_per_frame": 500}},
    }
    made = draw(document, tmp_path)
    assert {one.suffix for one in made} == {".png", ".svg"}
    assert len(made) == 12
    assert all(one.stat().st_size for one in made)
    assert draw({}, tmp_path) == []
