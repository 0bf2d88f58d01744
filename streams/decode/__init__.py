"""Bytes from the wire to columns and claims. Pure: text in, arrays and rejects out."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reject:
    """Records that could not be used, with a reason short enough to be counted. `count` records were lost with it."""

    raw: bytes
    reason: str
    count: int = 1
    where: str = ""
