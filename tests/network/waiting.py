"""Waiting for a state, with a deadline."""

import threading
import time
from collections.abc import Callable

LOOK_S = 0.2  # often enough for a person; a test that asks without rest slows down what it waits for


def until(
    state: Callable[[], bool], *, what: str, deadline_s: float = 15.0, shown: Callable[[], object] = lambda: ""
) -> float:
    """Seconds until a state came. Fails with what is shown when it does not come."""
    begun = time.monotonic()
    while not state():
        passed = time.monotonic() - begun
        assert passed < deadline_s, f"waited {deadline_s:.0f} s for {what}; {shown()}"
        threading.Event().wait(LOOK_S)
    return time.monotonic() - begun
