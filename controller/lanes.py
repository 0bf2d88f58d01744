"""Who writes to which device when: one job at a time per device, the most urgent first."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

Failed = Callable[[str, Exception], None]


@dataclass(frozen=True, slots=True, order=True)
class _Job:
    rank: tuple[float, int]
    key: str = field(compare=False)
    devices: frozenset[str] = field(compare=False)
    run: Callable[[], object] = field(compare=False)


class Lanes:
    """Runs jobs in threads; no two jobs that name the same device run at once.

    Among the jobs that wait for a device the most urgent is next, then the oldest; a job that names several devices
    starts when all are free, and nothing less urgent overtakes it on one of them. A key is in hand once at a time: a
    job whose key waits or runs is not taken again. An exception ends its job only and goes to `failed`.
    """

    def __init__(self, failed: Failed, *, at_once: int = 12) -> None:
        self._failed, self._at_once = failed, at_once
        self._changed = threading.Condition()
        self._waiting: list[_Job] = []
        self._running: dict[str, _Job] = {}
        self._threads: list[threading.Thread] = []
        self._taken = 0
        self._closing = False

    def submit(self, key: str, devices: Sequence[str], run: Callable[[], object], *, urgency: float = 0.0) -> bool:
        """Take a job; False when its key is already in hand or the lanes are closing."""
        with self._changed:
            if self._closing or key in self._running or any(job.key == key for job in self._waiting):
                return False
            self._taken += 1
            self._waiting.append(_Job((-urgency, self._taken), key, frozenset(devices), run))
            self._waiting.sort()
            if len(self._threads) < min(self._at_once, len(self._running) + len(self._waiting)):
                thread = threading.Thread(target=self._work, name=f"lane-{len(self._threads) + 1}", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._changed.notify_all()
            return True

    def in_hand(self, key: str) -> bool:
        """True while a job with this key waits or runs."""
        with self._changed:
            return key in self._running or any(job.key == key for job in self._waiting)

    def idle(self, timeout_s: float) -> bool:
        """Wait until nothing waits or runs; False when that took longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._running, timeout_s)

    def close(self, timeout_s: float) -> bool:
        """Take nothing more, drop what waits, let what runs come to its end; False when that took longer."""
        with self._changed:
            self._closing = True
            self._waiting.clear()
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._running, timeout_s)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._next() is not None)
                job = self._next()
                if job is None:
                    return
                self._waiting.remove(job)
                self._running[job.key] = job
            try:
                job.run()
            except Exception as error:  # the lane outlives its jobs; the caller hears of each
                self._failed(job.key, error)
            finally:
                with self._changed:
                    del self._running[job.key]
                    self._changed.notify_all()

    def _next(self) -> _Job | None:
        """The first waiting job whose devices are neither written to nor wanted by a more urgent one."""
        taken = {device for job in self._running.values() for device in job.devices}
        for job in self._waiting:
            if not job.devices & taken:
                return job
            taken |= job.devices
        return None
