"""How a run that stays up is told to end."""

import signal
import weakref
from collections.abc import Iterator

import pytest

from deploy.commands import interrupts


class Thing:
    """Something that a weak reference can be made to."""


@pytest.fixture
def ignored() -> Iterator[signal.Signals]:
    """A hang-up that whoever started us had ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield signal.SIGHUP
    signal.signal(signal.SIGHUP, before)


def tended_until(number: signal.Signals, *, at: int = 3) -> int:
    """How often the wait tended what runs, when a signal strikes in a weak reference's callback of one turn."""
    turns = 0

    def tend() -> None:
        nonlocal turns
        turns += 1
        if turns == at:
            thing = Thing()
            reference = weakref.ref(thing, lambda _: signal.raise_signal(number))
            del thing
            assert reference() is None
        if turns == at + 2:
            raise KeyboardInterrupt

    with interrupts() as until_interrupted:
        until_interrupted(tend)
    return turns


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_even_where_python_drops_what_its_handler_raises(number: signal.Signals) -> None:
    assert tended_until(number) == 3


def test_what_was_ignored_before_stays_ignored(ignored: signal.Signals) -> None:
    assert tended_until(ignored) == 5
