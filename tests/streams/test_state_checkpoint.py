"""Of a state log only whole checkpoints of the rightful owner count, whatever else stands in it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.checkpoint import CLAIM, DELTA, FULL, Checkpoint, Fold, pieces

Record = tuple[bytes, bytes]


def saved(offset: int, **buckets: bytes) -> Checkpoint:
    return Checkpoint(
        offset, {"t/0": offset}, b"tally", b"meta%d" % offset, {int(key[1:]): raw for key, raw in buckets.items()}
    )


class Log:
    """A state log as Kafka keeps it: offsets without holes."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def claim(self) -> int:
        self.records.append((CLAIM, b"somebody"))
        return len(self.records) - 1

    def write(self, kind: bytes, checkpoint: Checkpoint, *, epoch: int, number: int) -> int:
        start = len(self.records)
        self.records += [(kind, piece) for piece in pieces(checkpoint, epoch=epoch, number=number, size=16)]
        return start

    def fold(self, start: int = 0) -> Fold:
        fold = Fold()
        for offset, (key, value) in enumerate(self.records):
            if offset >= start:
                fold.record(offset, key, value)
        return fold


def test_an_empty_log_says_nothing() -> None:
    assert Log().fold().checkpoint is None


def test_a_delta_is_laid_over_the_checkpoint_before_it() -> None:
    log = Log()
    epoch = log.claim()
    log.write(FULL, saved(5, b1=b"a", b2=b"b"), epoch=epoch, number=0)
    log.write(DELTA, saved(9, b2=b"c"), epoch=epoch, number=1)
    assert log.fold().checkpoint == saved(9, b1=b"a", b2=b"c")


def test_a_checkpoint_of_which_a_piece_is_missing_is_ignored() -> None:
    log = Log()
    epoch = log.claim()
    log.write(FULL, saved(5, b1=b"a"), epoch=epoch, number=0)
    log.write(DELTA, saved(9, b1=b"later"), epoch=epoch, number=1)
    del log.records[-1]
    assert log.fold().checkpoint == saved(5, b1=b"a")
    taken_over = log.claim()
    log.write(FULL, saved(7, b1=b"again"), epoch=taken_over, number=0)
    assert log.fold().checkpoint == saved(7, b1=b"again")


def test_what_a_superseded_writer_adds_does_not_count() -> None:
    log = Log()
    old = log.claim()
    log.write(FULL, saved(5, b1=b"a"), epoch=old, number=0)
    new = log.claim()
    log.write(DELTA, saved(50, b1=b"late"), epoch=old, number=1)
    assert log.fold().checkpoint == saved(5, b1=b"a")
    log.write(FULL, saved(6, b1=b"mine"), epoch=new, number=0)
    log.write(FULL, saved(60, b1=b"later still"), epoch=old, number=2)
    assert log.fold().checkpoint == saved(6, b1=b"mine")


def test_a_late_writer_in_the_middle_of_the_owners_checkpoint_does_not_break_it() -> None:
    log = Log()
    old = log.claim()
    log.write(FULL, saved(5, b1=b"a"), epoch=old, number=0)
    new = log.claim()
    log.write(FULL, saved(6, b1=b"mine"), epoch=new, number=0)
    middle = len(log.records) - 1
    intruder = list(pieces(saved(9, b1=b"late"), epoch=old, number=1, size=16))
    log.records[middle:middle] = [(DELTA, piece) for piece in intruder]
    assert log.fold().checkpoint == saved(6, b1=b"mine")


def test_a_delta_whose_predecessor_is_missing_does_not_count() -> None:
    log = Log()
    epoch = log.claim()
    log.write(FULL, saved(5, b1=b"a", b2=b"b"), epoch=epoch, number=0)
    gone = log.write(DELTA, saved(7, b2=b"x"), epoch=epoch, number=1)
    log.write(DELTA, saved(9, b1=b"c"), epoch=epoch, number=2)
    del log.records[gone]
    assert log.fold().checkpoint == saved(5, b1=b"a", b2=b"b")


def test_pieces_that_were_sent_twice_count_once() -> None:
    log = Log()
    epoch = log.claim()
    full = log.write(FULL, saved(5, b1=b"a"), epoch=epoch, number=0)
    log.records.append(log.records[full])
    delta = log.write(DELTA, saved(9, b2=b"c"), epoch=epoch, number=1)
    log.records += log.records[delta:]
    assert log.fold().checkpoint == saved(9, b1=b"a", b2=b"c")


def test_reading_may_begin_at_a_full_checkpoint_and_gives_the_same() -> None:
    log = Log()
    epoch = log.claim()
    log.write(FULL, saved(5, b1=b"a"), epoch=epoch, number=0)
    log.write(DELTA, saved(6, b2=b"b"), epoch=epoch, number=1)
    start = log.write(FULL, saved(7, b1=b"a", b2=b"c"), epoch=epoch, number=2)
    log.write(DELTA, saved(8, b3=b"d"), epoch=epoch, number=3)
    log.claim()
    whole, short = log.fold(), log.fold(start)
    assert whole.checkpoint == short.checkpoint == saved(8, b1=b"a", b2=b"c", b3=b"d")
    assert whole.rests_on == short.rests_on == start


def test_a_log_whose_beginning_has_expired_says_nothing_rather_than_half() -> None:
    log = Log()
    epoch = log.claim()
    log.write(FULL, saved(5, b1=b"a"), epoch=epoch, number=0)
    expired = log.write(DELTA, saved(6, b2=b"b"), epoch=epoch, number=1)
    assert log.fold(expired).checkpoint is None


@given(st.lists(st.tuples(st.sampled_from([CLAIM, FULL, DELTA, b"x", None]), st.binary(max_size=60)), max_size=20))
@settings(deadline=None, derandomize=True)
def test_nothing_in_a_log_can_make_reading_it_fail(records: list[tuple[bytes | None, bytes]]) -> None:
    fold = Fold()
    for offset, (key, value) in enumerate(records):
        fold.record(offset, key, value)
    assert fold.checkpoint is None
