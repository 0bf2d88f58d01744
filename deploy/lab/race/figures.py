"""Many runs in a few figures. Pure."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from deploy.lab.race.runs import Run


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = max(1, -(-int(share * len(ordered) * 1_000_000) // 1_000_000))
    return ordered[rank - 1]


def spread(runs: Sequence[Run]) -> dict[str, Any]:
    """Median, p95 and maximum of the seconds until nothing got through any more, and who was not stopped at all."""
    stopped = [run.stopped_s for run in runs if run.stopped_s is not None]
    if not stopped:
        return {"median_s": None, "p95_s": None, "max_s": None, "missed": len(runs)}
    return {
        "median_s": round(median(stopped), 3),
        "p95_s": round(percentile(stopped, 0.95), 3),
        "max_s": round(max(stopped), 3),
        "missed": len(runs) - len(stopped),
    }


def stages(runs: Sequence[Run]) -> dict[str, float]:
    """The median of each stage over all runs, ms."""
    told = [run.stages_ms for run in runs if run.stages_ms]
    return {name: round(median(one[name] for one in told), 1) for name in told[0]} if told else {}


def of_cordon(runs: Sequence[Run]) -> dict[str, Any]:
    """All that is told of Cordon's runs."""
    verified = [run.verified_s for run in runs if run.verified_s is not None]
    return {
        **spread(runs),
        "verified_median_s": round(median(verified), 3) if verified else None,
        "packets_through_median": round(median(run.through for run in runs)) if runs else None,
        "stages_ms": stages(runs),
    }


def ratio(mine: Sequence[Run], theirs: Sequence[Run]) -> float | None:
    """Median of the first over median of the second."""
    one, other = spread(mine)["median_s"], spread(theirs)["median_s"]
    return round(one / other, 3) if one and other else None


def pairs(mine: Sequence[Run], theirs: Sequence[Run]) -> list[float]:
    """The ratio in each pair of runs in which both stopped the flood."""
    return [
        round(one.stopped_s / other.stopped_s, 3)
        for one, other in zip(mine, theirs, strict=False)
        if one.stopped_s and other.stopped_s
    ]


def lost(runs: Mapping[str, Sequence[Run]]) -> int:
    """Packets of bystanders that did not arrive, over all runs of Cordon."""
    return sum(sum(run.lost.values()) for some in runs.values() for run in some)
