"""A token bucket under bursts that are spread over time: what meters, policers and rate limits measure with."""

from dataclasses import dataclass


@dataclass(slots=True)
class Bucket:
    """Fills with `rate` units a second up to `capacity`; begins full."""

    rate: float
    capacity: float
    level: float | None = None
    filled: float = 0.0  # up to when the bucket has been filled, in seconds since the epoch

    def take(self, units: float, *, now: float, seconds: float) -> float:
        """Give the share (0 to 1) of a burst of `units`, spread over `seconds` from `now`, that finds room.

        The bucket goes on filling while the burst lasts; bursts of the same moment share what flows in.
        """
        if self.level is None:
            self.level, self.filled = self.capacity, now
        end = now + seconds
        idle, during = max(0.0, now - self.filled), max(0.0, end - max(self.filled, now))
        level = self.level
        if idle or during:
            level = min(self.capacity, level + idle * self.rate) + during * self.rate
        self.filled = max(self.filled, end)
        share = 1.0 if units <= 0 else min(1.0, max(0.0, level) / units)
        self.level = level - units * share
        return share
