"""One flood told as it happens: what arrives where from second to second, and what bystanders lose."""

import time
from collections.abc import Iterator

from deploy.lab.net.aside import WORLD_PLACE, Attack, Testimony, Up, Witnesses
from deploy.lab.net.floods import KINDS

PAIRS = (("c1", "d3"), ("d2", "world"), ("d4", "dns1"), ("s1", "store1"), ("s3", "world"))
EVERY_S = 1.0
SETTLED_S = 0.7  # after it a probe that is missing is lost


def story(lab: Up, name: str, *, origin: str, pps: float, seconds: float) -> Iterator[str]:
    """A line for each second, and the count at the end. Ends early when it is interrupted."""
    sender = origin or KINDS[name].origin
    pairs = [pair for pair in PAIRS if sender not in pair]
    with Witnesses(lab, [*lab.plan.by_name, WORLD_PLACE], pairs) as witnesses:
        try:
            with Attack(lab, name, origin=sender, pps=pps, seconds=seconds) as flood:
                yield f"{sender} floods: {KINDS[name].about}"
                end, before = time.monotonic() + seconds, dict[str, int]()
                while time.monotonic() < end:
                    time.sleep(EVERY_S)
                    now = _arrived(witnesses.testimony(), flood)
                    yield "  " + (
                        ", ".join(f"{place} {count - before.get(place, 0)}/s" for place, count in now.items())
                        or "nothing arrives anywhere"
                    )
                    before = now
        except KeyboardInterrupt:
            yield "ended early"
        time.sleep(SETTLED_S)
        told = witnesses.testimony()
    through = ", ".join(f"{count} at {place}" for place, count in _arrived(told, flood).items()) or "none arrived"
    yield f"{flood.sent} packets sent in {(flood.ended_ns - flood.begun_ns) / 1e9:.1f} s; {through}"
    lost = ", ".join(f"{pair} {count}" for pair, count in told.lost.items())
    yield f"bystanders lost {lost}" if lost else "bystanders lost no packet"


def _arrived(told: Testimony, flood: Attack) -> dict[str, int]:
    return {place: seen.count for place in told.floods if (seen := told.of(flood, place)).count}
