"""Steps of traffic and what is told of them. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

KEEPS_UP_S = 2.0
"""A worker keeps up that is no further behind the clock than this at the end of a step; idle it is 0.5 to 0.8 s."""

GROWTH = (1.25, 4.0)
"""By how much a rate that was held grows, at least and at most."""

CLOSE = 1.15
"""A rate that was held and one that was not are close enough."""


@dataclass(frozen=True, slots=True)
class Step:
    """Traffic at one rate, all figures in records. `cpu_s` is by `listener`, `worker` and `broker`."""

    asked_per_s: float
    sent_per_s: float
    sent: int
    received: int  # by the listener
    scored: int  # by the workers
    lost: int  # that the listener had no room for
    behind_s: float
    cpu_s: Mapping[str, float]

    @property
    def held(self) -> bool:
        """True when nothing was lost and nothing piled up."""
        return self.sent == self.received == self.scored and not self.lost and self.behind_s <= KEEPS_UP_S

    @property
    def piled(self) -> bool:
        """True when the workers have not yet taken in all that reached the topic."""
        return self.scored + self.lost < self.received

    @property
    def share(self) -> float:
        """Of a core, that the busier process of ours took."""
        return max(self.cpu_s["listener"], self.cpu_s["worker"]) / (self.sent / self.sent_per_s)

    @property
    def reached(self) -> bool:
        """True when the sender was as fast as it was asked to be."""
        return self.sent_per_s > 0.95 * self.asked_per_s


def ramp(measure: Callable[[float], Step], *, first: float, most: int) -> list[Step]:
    """Steps at growing rates until one is not held, then between the last two.

    Ends early where the sender can do no more, and where a backlog is left that would spoil what comes after.
    """
    steps: list[Step] = []
    rate, floor, ceiling = first, 0.0, 0.0
    while len(steps) < most:
        step = measure(rate)
        steps.append(step)
        if step.piled or (step.held and not step.reached):
            break
        if step.held:
            floor = rate
        else:
            ceiling = rate
        if ceiling and floor and ceiling / floor < CLOSE:
            break
        if ceiling:
            rate = sqrt(floor * ceiling) if floor else rate / 2
        else:
            rate *= min(GROWTH[1], max(GROWTH[0], 1.0 / step.share))
    return steps


def pace(seen: Sequence[tuple[int, int]], *, wanted: int) -> float | None:
    """Records a second between moments (ns, records so far): while there was work left, if that can be told.

    None where all moments are one.
    """
    busy = [one for one in seen if one[1] < wanted]
    chosen = busy if len({at for at, _ in busy}) > 2 else list(seen)
    (begun, first), (ended, last) = chosen[0], chosen[-1]
    return (last - first) / ((ended - begun) / 1e9) if ended > begun else None


def per_cpu_s(records: int, seconds: float) -> int | None:
    """Records a CPU-second; None where nothing was measured."""
    return round(records / seconds) if records and seconds > 0 else None


def summed(*rates: int | None) -> int | None:
    """Records a CPU-second of stages that each record passes one after the other: 1 / Σ 1/rate over those there are."""
    there = [rate for rate in rates if rate]
    return round(1.0 / sum(1.0 / rate for rate in there)) if there else None


def best(steps: Sequence[Step]) -> Step | None:
    """The step of the highest rate that was held."""
    return max((step for step in steps if step.held), key=lambda step: step.sent_per_s, default=None)


def _cost(step: Step) -> float:
    return (step.cpu_s["listener"] + step.cpu_s["worker"]) / step.scored


def of_steps(steps: Sequence[Step]) -> dict[str, Any]:
    """What is told of a format.

    Shares of CPU are those of the step that was held with the least for a record, as a peer's are those of its best
    step; where none was held, those of the lowest rate tried.
    """
    held = best(steps)
    step = min((one for one in steps if one.held), key=_cost, default=min(steps, key=lambda one: one.sent_per_s))
    listener, worker, broker = (per_cpu_s(step.scored, step.cpu_s[name]) for name in ("listener", "worker", "broker"))
    return {
        "records_per_cpu_s": summed(listener, worker),
        "listener_records_per_cpu_s": listener,
        "worker_records_per_cpu_s": worker,
        "broker_records_per_cpu_s": broker,
        "loss_free_records_per_s": round(held.sent_per_s) if held else None,
        "steps": [told(one) for one in steps],
    }


def told(step: Step) -> dict[str, Any]:
    """A step as it stands in the file."""
    return {
        "sent_per_s": round(step.sent_per_s),
        "sent": step.sent,
        "received": step.received,
        "scored": step.scored,
        "behind_s": round(step.behind_s, 2) if step.behind_s < 1e6 else None,
        "held": step.held,
        "cpu_s": {name: round(spent, 2) for name, spent in step.cpu_s.items()},
    }
