"""What a port has carried, and its smoothed input rate."""

from dataclasses import dataclass, field

_LOAD_INTERVAL = 300.0


@dataclass(slots=True)
class Counters:
    """What one port has carried since the start, and its five-minute rates."""

    packets_in: int = 0
    octets_in: int = 0
    packets_out: int = 0
    octets_out: int = 0
    rates: list[float] = field(default_factory=lambda: [0.0, 0.0])  # input bit/s, packet/s
    last_in: float | None = None

    def received(self, packets: int, octets: int, now: float, seconds: float) -> None:
        """Count one burst; the rates follow as the device's load interval smooths them."""
        self.packets_in += packets
        self.octets_in += octets
        passed = max(seconds, now - self.last_in if self.last_in is not None else seconds)
        weight = min(1.0, passed / _LOAD_INTERVAL)
        for place, amount in enumerate((octets * 8 / passed, packets / passed)):
            self.rates[place] += (amount - self.rates[place]) * weight
        self.last_in = now
