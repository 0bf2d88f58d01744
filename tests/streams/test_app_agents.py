"""What combine and score do to a message: once, in order, every record accounted for, whatever fails."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain import wire
from controller.domain.errors import BadInput
from controller.domain.estate import Source, SourceFormat
from controller.domain.verdict import Verdict
from streams.agents import LETTERS_A_MESSAGE, Combine, Lane, Message
from streams.checkpoint import Checkpoint
from streams.envelope import Kind, Part, pack
from streams.messages import Body, encode
from streams.shift import inputs_of, scored
from streams.tally import Counts, Tally
from tests.streams.fakes import SECOND, CountingCombiner, CountingScorer

INPUTS = inputs_of({"flows": 2})
LATE = 2**62


def combine(partitions: int = 2) -> Combine:
    return Combine(
        CountingCombiner(partitions=partitions), [Source("flows", SourceFormat.GOFLOW2_JSON)], partitions=partitions
    )


def lane(partition: int = 0, saved: Checkpoint | None = None) -> Lane:
    return Lane(CountingScorer(inputs=INPUTS), partition=partition, inputs=INPUTS, start=0, saved=saved)


def message(offset: int, value: bytes, *, partition: int = 0, key: bytes | None = None, at: int = LATE) -> Message:
    return Message("flows", partition, offset, key, value, kafka_ns=at)


def mark(offset: int, at_ns: int, *, partition: int = 0, kafka_ns: int = LATE) -> Message:
    return message(offset, wire.mark(at_ns), partition=partition, key=wire.MARK_KEY, at=kafka_ns)


def parts(*messages: Message, partition: int = 0) -> list[Part]:
    agent = combine()
    return [agent.message(one).parts[partition] for one in messages]


def test_every_message_makes_one_part_for_each_activity_partition_also_an_empty_one() -> None:
    for one in (message(4, b""), message(5, b"198.18.0.1 7"), mark(6, 9), message(7, b"crash"), mark(8, -0)):
        made = combine(3).message(one).parts
        assert [(part.origin, part.offset) for part in made] == [("flows/0", one.offset)] * 3


def test_a_lane_says_a_canary_once_all_inputs_have_come_so_far_and_once_only() -> None:
    one, agent = lane(1), combine()
    said = []
    for offset, (at_s, partition) in enumerate([(11, 0), (9, 1), (12, 1), (19, 0), (19, 1), (45, 0), (45, 1)]):
        part = agent.message(mark(offset, at_s * 10**9, partition=partition)).parts[1]
        said.append(one.message(offset, pack([part]), kafka_ns=LATE).canary)
    third, last = wire.Canary(1, 11 * 10**9), wire.Canary(1, 45 * 10**9)
    assert said == [None, None, third, None, None, None, last]
    assert wire.canary_from(wire.canary_json(last)) == last


def test_counts_travel_to_one_partition_only() -> None:
    made = combine(3).message(message(0, b"198.18.0.1 7\nbad\nskip", partition=1)).parts
    assert [bool(part.tally) for part in made] == [False, True, False]


def test_a_frame_that_breaks_decoding_is_kept_and_its_lines_count_as_dead() -> None:
    made = combine().message(message(3, b"198.18.0.1 7\ncrash\n198.18.0.2 8"))
    assert [(one.reason, one.count, one.source) for one in made.letters] == [
        ("combine: RuntimeError: told to", 3, "flows/0@3")
    ]
    counting = lane()
    counting.message(0, pack([made.parts[0]]), kafka_ns=0)
    assert scored([counting])["flows"] == {"received": 3, "scored": 0, "dead": 3, "skipped": 0, "late": 0}


@pytest.mark.parametrize("value", [b"", b"-5", b"soon", b"9" * 30])
def test_a_clock_mark_that_is_no_number_moves_no_clock(value: bytes) -> None:
    made = combine().message(message(0, value, key=wire.MARK_KEY))
    assert {part.kind for part in made.parts} == {Kind.VOID}
    assert [letter.count for letter in made.letters] == [0]


def test_a_clock_of_the_year_2100_moves_no_clock_and_one_of_yesterday_does() -> None:
    now = 1_000 * SECOND
    assert {part.kind for part in combine().message(mark(0, now + 61 * SECOND, kafka_ns=now)).parts} == {Kind.VOID}
    assert {part.kind for part in combine().message(mark(0, now + 1 * SECOND, kafka_ns=now)).parts} == {Kind.MARK}
    assert {part.kind for part in combine().message(mark(0, SECOND, kafka_ns=now)).parts} == {Kind.MARK}


def test_a_frame_full_of_bad_lines_keeps_a_few_and_counts_all() -> None:
    made = combine().message(message(0, b"\n".join(b"bad %d x" % number for number in range(500))))
    assert len(made.letters) == LETTERS_A_MESSAGE
    assert sum(letter.count for letter in made.letters) == 500


def test_repeats_are_dropped_and_what_never_came_is_an_alarm() -> None:
    first, second, third = parts(message(0, b"198.18.0.2 5"), message(1, b"198.18.0.2 6"), message(3, b"198.18.0.2 7"))
    counting = lane()
    counting.message(0, pack([first, second]), kafka_ns=0)
    counting.message(1, pack([first, second, third]), kafka_ns=0)
    assert counting.faults.repeats == 2
    assert counting.faults.lost == {"flows/0": 1}
    assert scored([counting])["flows"]["received"] == 3


def test_a_part_that_the_scorer_refuses_is_kept_and_the_next_one_is_taken() -> None:
    agent = Combine(CountingCombiner(partitions=1), [Source("flows", SourceFormat.GOFLOW2_JSON)], partitions=1)
    made = [agent.message(message(n, b"%s 5" % host)).parts[0] for n, host in enumerate((b"poison", b"198.18.0.1"))]
    counting = lane()
    said = counting.message(0, pack(made), kafka_ns=77)
    assert [(letter.reason, letter.at_ns) for letter in said.letters] == [("score: BadInput: poison", 77)]
    assert counting.scorer.counts()["flows"]["scored"] == 1


class RefusingScorer(CountingScorer):
    """A scorer that takes nothing, as one would with a fault in it."""

    def apply(self, body: bytes, *, origin: str = "") -> None:
        raise ZeroDivisionError(origin)


def test_records_of_activity_that_the_scorer_could_not_take_are_dead_and_not_lost() -> None:
    body = encode(Body("flows", [(4, 70), (5, 7)], []), None)
    part = Part(Kind.FRAME, "flows/0", 0, Tally({"flows": Counts(received=77)}).encode(), body)
    counting = Lane(RefusingScorer(inputs=("flows/0",)), partition=0, inputs=("flows/0",), start=0)
    said = counting.message(0, pack([part]), kafka_ns=77)
    assert [(letter.reason, letter.count) for letter in said.letters] == [("score: ZeroDivisionError: flows/0", 77)]
    assert counting.tally.sources["flows"] == Counts(received=77, dead=77)


def test_activity_that_cannot_be_read_is_kept() -> None:
    said = lane().message(0, b"\x07?", kafka_ns=5)
    assert [letter.source for letter in said.letters] == ["cordon.activity/0@0"]


def test_marks_of_a_source_that_is_no_longer_declared_are_passed_over() -> None:
    gone = Part(Kind.MARK, "removed/0", 5, b"", wire.mark(10**18))
    assert lane().message(0, pack([gone]), kafka_ns=0).verdicts == ()


def test_a_saved_state_that_is_not_one_is_refused() -> None:
    with pytest.raises(BadInput):
        lane(saved=Checkpoint(3, {}, b"\xff", b"[{}, [], {}, 0]", {}))


@st.composite
def streams_of_messages(draw: st.DrawFn) -> list[Message]:
    """Frames and marks on two partitions, offsets without holes, some of it bad."""
    offsets, clocks, made = [0, 0], [0, 0], []
    for _ in range(draw(st.integers(1, 40))):
        partition = draw(st.integers(0, 1))
        if draw(st.booleans()):
            clocks[partition] += draw(st.integers(0, 3)) * SECOND
            made.append(mark(offsets[partition], clocks[partition], partition=partition))
        else:
            at = clocks[partition] + draw(st.integers(0, 2 * SECOND))
            lines = draw(st.lists(st.sampled_from([*(b"198.18.0.%d %d" % (n, at) for n in range(6)), b"bad", b"skip"])))
            made.append(message(offsets[partition], b"\n".join(lines), partition=partition))
        offsets[partition] += 1
    return made


def run(sent: list[list[Part]], *, save_every: int = 0) -> tuple[dict[str, Verdict], Lane]:
    """Take in messages of these parts; with `save_every`, the process dies and is replaced from its last checkpoint."""
    verdicts: dict[str, Verdict] = {}
    counting = lane()
    whole: Checkpoint | None = None
    offset = 0
    crashed = 0
    while offset < len(sent):
        for verdict in counting.message(offset, pack(sent[offset]), kafka_ns=0).verdicts:
            assert verdicts.setdefault(verdict.id, verdict) == verdict
        offset += 1
        if save_every and offset % save_every == 0:
            delta = counting.save()
            whole = whole.then(delta) if whole else delta
        if save_every and offset % (save_every + 2) == 0 and crashed < 5:
            crashed += 1
            counting = lane(saved=whole)
            offset = counting.last + 1
    return verdicts, counting


@given(streams_of_messages(), st.randoms(use_true_random=False), st.integers(1, 7))
@settings(deadline=None, derandomize=True, max_examples=150)
def test_repeats_packing_and_crashes_change_neither_verdicts_nor_counts(
    given_messages: list[Message], chance: random.Random, save_every: int
) -> None:
    calm = [[part] for part in parts(*given_messages)]
    rough: list[list[Part]] = []
    for at, _ in enumerate(calm):
        back = chance.randrange(at + 1) if chance.random() < 0.3 else at  # sent again from some way back, in order
        rough.append([part for one in calm[back : at + 1] for part in one])
    wanted, calmly = run(calm)
    found, roughly = run(rough, save_every=save_every)
    assert found == wanted
    assert scored([roughly]) == scored([calmly])
    assert not roughly.faults.lost
