"""Which number is which story."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from deploy.lab.journeys import Fragments, Journey, Saturation
from deploy.lab.night import BusyNight, FrameUp, MadSensor
from deploy.lab.provider import Provider

SCENARIOS: Mapping[int, Callable[[Provider], Journey]] = MappingProxyType(
    {story.number: story for story in (Saturation, Fragments, BusyNight, MadSensor, FrameUp)}
)


def journey(provider: Provider, number: int) -> Journey:
    """The journey of a scenario. Raises ValueError for a number that has none."""
    if number not in SCENARIOS:
        raise ValueError(f"no scenario {number} can be shown live; {', '.join(map(str, SCENARIOS))} can")
    return SCENARIOS[number](provider)
