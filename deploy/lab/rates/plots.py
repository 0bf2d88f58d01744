"""The figures of bench/streams.json as pictures, each as PNG and SVG."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

OURS, THEIRS, PALE = "#1f6f8b", "#c8553d", "#9fc5d1"
FLOWS = ("netflow5", "netflow9", "ipfix", "sflow", "goflow2_json", "pmacct_json")
MILLION = 1e6


def draw(document: Mapping[str, Any], folder: Path) -> list[Path]:
    """A picture of everything that was measured; what was not is left out."""
    made: list[Path] = []
    flows = {kind: document[kind] for kind in FLOWS if kind in document}
    if flows:
        with _picture(folder, "streams-formats", made) as axes:
            _formats(axes, flows)
        with _picture(folder, "streams-rates", made) as axes:
            _rates(axes, flows)
    syslog = document.get("syslog", {})
    if syslog:
        with _picture(folder, "streams-syslog", made) as axes:
            _syslog(axes, syslog)
    if document.get("state", {}).get("tick_ms"):
        with _picture(folder, "streams-hosts", made) as axes:
            _hosts(axes, document["state"])
    if document.get("frames"):
        with _picture(folder, "streams-frames", made) as axes:
            _frames(axes, document["frames"])
    if document.get("scale", {}).get("two_workers"):
        with _picture(folder, "streams-workers", made) as axes:
            _workers(axes, document["scale"])
    return made


@contextmanager
def _picture(folder: Path, name: str, made: list[Path]) -> Iterator[Axes]:
    """An empty picture, which is written once it is drawn."""
    with mpl.rc_context({"svg.hashsalt": name, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(8.0, 4.5), layout="constrained")
        axes = figure.add_subplot()
        yield axes
        for kind in ("png", "svg"):
            path = folder / f"{name}.{kind}"
            figure.savefig(path, dpi=144, metadata={"Date": None} if kind == "svg" else None)
            made.append(path)


def _numbers(values: Sequence[float | None]) -> list[float]:
    """In millions; 0 where there is no figure."""
    return [(value or 0) / MILLION for value in values]


def _formats(axes: Axes, flows: Mapping[str, Mapping[str, Any]]) -> None:
    names = (
        ("listener_records_per_cpu_s", "listener", PALE),
        ("worker_records_per_cpu_s", "worker", "#5b9aae"),
        ("records_per_cpu_s", "both", OURS),
        ("fastnetmon_records_per_cpu_s", "FastNetMon", THEIRS),
        ("fastnetmon_same_flows_records_per_cpu_s", "FastNetMon, the same flows again", "#e3a99a"),
    )
    for place, (key, label, color) in enumerate(names):
        at = [number + (place - 2) * 0.17 for number in range(len(flows))]
        axes.bar(at, _numbers([one.get(key) for one in flows.values()]), 0.16, label=label, color=color)
    axes.set_xticks(range(len(flows)), list(flows))
    axes.set_ylabel("million records a CPU-second")
    axes.legend(frameon=False)


def _rates(axes: Axes, flows: Mapping[str, Mapping[str, Any]]) -> None:
    axes.bar(list(flows), _numbers([one.get("loss_free_records_per_s") for one in flows.values()]), color=OURS)
    axes.set_ylabel("million records a second without loss")


def _syslog(axes: Axes, syslog: Mapping[str, Any]) -> None:
    both = {"Cordon": syslog.get("lines_per_cpu_s"), "fail2ban": syslog.get("fail2ban_lines_per_cpu_s")}
    axes.bar(list(both), [(value or 0) / 1e3 for value in both.values()], color=[OURS, THEIRS])
    axes.set_ylabel("thousand log lines a CPU-second")


def _hosts(axes: Axes, state: Mapping[str, Any]) -> None:
    ticks = state["tick_ms"]
    axes.loglog([int(count) for count in ticks], list(ticks.values()), marker="o", color=OURS)
    axes.set_xlabel("hosts")
    axes.set_ylabel("ms of CPU a tick")
    axes.grid(visible=True, which="both", alpha=0.2)


def _frames(axes: Axes, frames: Mapping[str, Mapping[str, Any]]) -> None:
    sizes = [one["records_per_frame"] for one in frames.values()]
    for key, label, color in (
        ("listener_records_per_cpu_s", "listener", PALE),
        ("worker_records_per_cpu_s", "worker", "#5b9aae"),
        ("records_per_cpu_s", "both", OURS),
    ):
        axes.plot(sizes, _numbers([one.get(key) for one in frames.values()]), marker="o", label=label, color=color)
    axes.set_xscale("log")
    axes.set_xlabel("records a frame")
    axes.set_ylabel("million records a CPU-second")
    axes.legend(frameon=False)


def _workers(axes: Axes, scale: Mapping[str, Any]) -> None:
    both = {"one worker": scale["one_worker"], "two workers": scale["two_workers"]}
    axes.bar(list(both), _numbers(list(both.values())), color=[PALE, OURS])
    axes.set_ylabel("million records a second")
