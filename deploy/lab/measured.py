"""A measurement's file: the figures, and beside them what somebody needs who wants to compare or repeat them."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

BENCH = Path("bench")
PACKAGES = ("faust-streaming", "aiokafka", "kafka-python", "netmiko", "numpy", "msgspec")


def write(name: str, figures: Mapping[str, Any], *, at: datetime, versions: Mapping[str, str] | None = None) -> Path:
    """Write bench/NAME.json, whole or not at all. `versions` names what took part beside the project's packages."""
    BENCH.mkdir(exist_ok=True)
    document = {
        **figures,
        "machine": machine(),
        "commit": commit(),
        "time": at.isoformat(timespec="seconds"),
        "versions": {
            "python": platform.python_version(),
            **{one: version(one) for one in PACKAGES},
            **(versions or {}),
        },
    }
    path = BENCH / f"{name}.json"
    draft = path.with_suffix(f".json.{os.getpid()}")
    draft.write_text(json.dumps(document, indent=2) + "\n")
    draft.replace(path)
    return path


def machine() -> dict[str, Any]:
    """The machine in a few words."""
    facts = Path("/proc/cpuinfo")
    models = [
        line.partition(":")[2].strip() for line in facts.read_text().splitlines() if line.startswith("model name")
    ]
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
    }


def commit() -> str:
    """The commit that is measured, marked when the tree differs from it; empty outside a repository."""
    done = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12"], capture_output=True, check=False)
    return done.stdout.decode().strip()


def said_version(command: Sequence[str]) -> str:
    """The first line that a program says of itself; empty when it is not there."""
    try:
        done = subprocess.run(list(command), capture_output=True, check=False, timeout=10)
    except OSError:
        return ""
    lines = (done.stdout or done.stderr).decode(errors="replace").strip().splitlines()
    return lines[0] if lines else ""
