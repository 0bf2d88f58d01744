"""On Apache Kafka: two workers in one group, one of them ended again and again, and every record counted once."""

import random
import signal
import threading
from pathlib import Path

import pytest

from tests.integration.apache import apache_kafka
from tests.integration.bench import SECOND, Bench, bench, story, undisturbed

PER_SECOND = len(story(1))
PACE_S = 0.08  # for a second of the story


@pytest.mark.timeout(240)
def test_three_takeovers_on_apache_kafka_count_every_record_once(tmp_path: Path) -> None:
    ended_and_exact(tmp_path, times=3, seed=3)


@pytest.mark.full
@pytest.mark.timeout(900)
def test_twenty_takeovers_on_apache_kafka_count_every_record_once(tmp_path: Path) -> None:
    ended_and_exact(tmp_path, times=20, seed=20)


def ended_and_exact(directory: Path, *, times: int, seed: int) -> None:
    """End one of two workers so often, at moments by chance, and compare with a run in which nobody was ended."""
    chance = random.Random(seed)
    signals = [signal.SIGKILL, signal.SIGTERM] * times
    with bench(directory, on=apache_kafka(directory)) as desk:
        for name in ("w0", "w1"):
            desk.worker(name, group="both")
        desk.wait(lambda last: all(beat.lag for beat in last.values()))
        telling = Telling(desk)
        for number in range(times):
            if number % 3 != 2:  # else in the unrest that the last one left
                desk.wait(lambda last: all(beat.lag for beat in last.values()))
            threading.Event().wait(chance.uniform(0.0, 4.0))  # any moment will do
            desk.end(chance.choice(sorted(desk.workers)), signals[number])
            desk.worker(f"w{number + 2}", group="both")
        seconds = telling.finish()
        beats = desk.drained((seconds + 1) * SECOND)
        found, wanted = desk.outcome(beats), undisturbed(story(seconds))
    assert found.counts == wanted.counts
    assert found.verdicts == wanted.verdicts
    assert not [note for beat in beats for note in beat.notes]


class Telling:
    """Publishes the story in the background, second by second, until it is finished."""

    def __init__(self, desk: Bench) -> None:
        self._desk, self._seconds, self._enough = desk, 0, threading.Event()
        self._thread = threading.Thread(target=self._tell)
        self._thread.start()

    def finish(self) -> int:
        """How many seconds were told."""
        self._enough.set()
        self._thread.join()
        return self._seconds

    def _tell(self) -> None:
        inputs = story(20_000)
        while not self._enough.wait(PACE_S):
            self._desk.publish(inputs[self._seconds * PER_SECOND : (self._seconds + 1) * PER_SECOND])
            self._seconds += 1
