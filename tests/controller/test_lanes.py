import threading
from collections.abc import Iterator

import pytest

from controller.lanes import Lanes

PATIENCE_S = 20.0


@pytest.fixture
def failures() -> list[tuple[str, Exception]]:
    return []


@pytest.fixture
def lanes(failures: list[tuple[str, Exception]]) -> Iterator[Lanes]:
    made = Lanes(lambda key, error: failures.append((key, error)), at_once=4)
    yield made
    assert made.close(PATIENCE_S)


class Gate:
    """A job that says when it has begun and ends when it is told to."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.begun.set()
        assert self.go.wait(PATIENCE_S)


def test_a_device_has_one_writer_at_a_time(lanes: Lanes) -> None:
    one, other = Gate(), Gate()
    lanes.submit("a", ["sw1"], one)
    lanes.submit("b", ["sw1"], other)
    assert one.begun.wait(PATIENCE_S)
    assert not other.begun.is_set()
    assert lanes.in_hand("b")
    one.go.set()
    assert other.begun.wait(PATIENCE_S)
    other.go.set()
    assert lanes.idle(PATIENCE_S)


def test_different_devices_are_written_to_at_once(lanes: Lanes) -> None:
    gates = [Gate() for _ in range(3)]
    for number, gate in enumerate(gates):
        lanes.submit(f"job {number}", [f"sw{number}"], gate)
    assert all(gate.begun.wait(PATIENCE_S) for gate in gates)
    for gate in gates:
        gate.go.set()


def test_the_most_urgent_goes_first_and_then_the_oldest(lanes: Lanes) -> None:
    order: list[str] = []
    gate = Gate()
    lanes.submit("first", ["sw1"], gate)
    assert gate.begun.wait(PATIENCE_S)
    for key, urgency in (("calm", 10.0), ("worst", 99.0), ("bad", 90.0), ("also bad", 90.0)):
        lanes.submit(key, ["sw1"], lambda key=key: order.append(key), urgency=urgency)
    gate.go.set()
    assert lanes.idle(PATIENCE_S)
    assert order == ["worst", "bad", "also bad", "calm"]


def test_nothing_less_urgent_overtakes_a_job_that_waits_for_two_devices(lanes: Lanes) -> None:
    order: list[str] = []
    gate = Gate()
    lanes.submit("first", ["sw1"], gate)
    assert gate.begun.wait(PATIENCE_S)
    lanes.submit("both", ["sw1", "sw2"], lambda: order.append("both"), urgency=90.0)
    lanes.submit("later", ["sw2"], lambda: order.append("later"), urgency=10.0)
    elsewhere = Gate()
    lanes.submit("elsewhere", ["sw3"], elsewhere, urgency=1.0)
    assert elsewhere.begun.wait(PATIENCE_S)
    assert order == []
    elsewhere.go.set()
    gate.go.set()
    assert lanes.idle(PATIENCE_S)
    assert order == ["both", "later"]


def test_a_key_is_in_hand_once(lanes: Lanes) -> None:
    gate = Gate()
    assert lanes.submit("a", ["sw1"], gate)
    assert not lanes.submit("a", ["sw2"], gate)
    gate.go.set()
    assert lanes.idle(PATIENCE_S)
    assert lanes.submit("a", ["sw1"], lambda: None)


def test_a_job_that_breaks_off_ends_alone_and_is_told(lanes: Lanes, failures: list[tuple[str, Exception]]) -> None:
    def broken() -> None:
        raise OSError("broken")

    done = threading.Event()
    lanes.submit("a", ["sw1"], broken)
    lanes.submit("b", ["sw1"], done.set)
    assert done.wait(PATIENCE_S)
    assert lanes.idle(PATIENCE_S)
    assert [key for key, _ in failures] == ["a"]


def test_closing_lets_what_runs_end_and_drops_the_rest(failures: list[tuple[str, Exception]]) -> None:
    lanes = Lanes(lambda key, error: failures.append((key, error)))
    gate, never = Gate(), threading.Event()
    lanes.submit("a", ["sw1"], gate)
    lanes.submit("b", ["sw1"], never.set)
    assert gate.begun.wait(PATIENCE_S)
    closing = threading.Thread(target=lambda: lanes.close(PATIENCE_S))
    closing.start()
    gate.go.set()
    closing.join(PATIENCE_S)
    assert not never.is_set()
    assert not lanes.submit("c", ["sw1"], never.set)


def test_a_storm_of_five_hundred_on_a_hundred_switches_is_written_in_order(lanes: Lanes) -> None:
    written: dict[str, list[float]] = {f"sw{n}": [] for n in range(100)}
    writing: set[str] = set()
    clashes: list[str] = []
    guard = threading.Lock()

    def write(device: str, urgency: float) -> None:
        with guard:
            clashes.extend([device] if device in writing else [])
            writing.add(device)
        written[device].append(urgency)
        with guard:
            writing.discard(device)

    gates = [Gate() for _ in range(4)]
    for number, gate in enumerate(gates):
        lanes.submit(f"gate {number}", [f"gate{number}"], gate)
    assert all(gate.begun.wait(PATIENCE_S) for gate in gates)
    for n in range(500):
        urgency = 80 + (n * 7919 % 500) / 25
        lanes.submit(
            f"d{n}", [f"sw{n % 100}"], lambda n=n, urgency=urgency: write(f"sw{n % 100}", urgency), urgency=urgency
        )
    for gate in gates:
        gate.go.set()
    assert lanes.idle(PATIENCE_S)
    assert clashes == []
    assert all(order == sorted(order, reverse=True) and len(order) == 5 for order in written.values())
