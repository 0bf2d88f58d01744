"""What combine and score do to a message: once, in order, every record accounted for, whatever fails."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain import wire
from controller.domain.errors import BadInput
from controller.domain.estate import Source, SourceFormat
from controller.domain.verdict import Verdict
from streams.agents import LETTERS_A_MESSAGE, LONGEST, Combination, Combine, Message
from streams.checkpoint import Checkpoint
from streams.envelope import Kind, Part, pack
from streams.lanes import Lane
from streams.messages import Body, encode
from streams.shift import inputs_of, scored
from streams.tally import Counts, Tally
from tests.streams.fakes import ROWS, SECOND, CountingCombiner, CountingScorer, Heap

INPUTS = inputs_of({"flows": 2})
LATE = 2**62


def combine(partitions: int = 2) -> Combine[Heap]:
    return Combine(
        CountingCombiner(partitions=partitions), [Source("flows", SourceFormat.GOFLOW2_JSON)], partitions=partitions
    )


def lane(partition: int = 0, saved: Checkpoint | None = None) -> Lane:
    return Lane(CountingScorer(inputs=INPUTS), partition=partition, inputs=INPUTS, start=0, saved=saved)


def message(offset: int, value: bytes, *, partition: int = 0, key: bytes | None = None, at: int = LATE) -> Message:
    return Message("flows", partition, offset, key, value, kafka_ns=at)


def mark(offset: int, at_ns: int, *, partition: int = 0, kafka_ns: int = LATE) -> Message:
    return message(offset, wire.mark(at_ns), partition=partition, key=wire.MARK_KEY, at=kafka_ns)


def told(*messages: Message, agent: Combine[Heap] | None = None) -> list[Combination]:
    """What comes of messages, each partition's as if it were read by one worker from its beginning."""
    agent = agent or combine()
    stretches = {partition: agent.stretch("flows") for partition in (0, 1)}
    return [agent.message(one, stretches[one.partition]) for one in messages]


def parts(*messages: Message, partition: int = 0, agent: Combine[Heap] | None = None) -> list[Part]:
    """All parts for an activity partition."""
    return [part for one in told(*messages, agent=agent) if one.parts for part in one.parts[partition]]


def test_a_stretch_ends_at_a_mark_and_makes_a_part_for_each_activity_partition_also_an_empty_one() -> None:
    messages = (
        message(4, b""),
        message(5, b"198.18.0.1 7"),
        message(6, b"crash"),
        mark(7, 9),
        message(8, b"soon", key=wire.MARK_KEY),
        mark(9, 9),
    )
    made = told(*messages, agent=combine(3))
    assert [len(one.parts) for one in made] == [0, 0, 0, 3, 3, 3]
    for partition in range(3):
        said = [(part.kind, part.first, part.offset) for one in made if one.parts for part in one.parts[partition]]
        assert said == [(Kind.FRAME, 4, 6), (Kind.MARK, 7, 7), (Kind.VOID, 8, 8), (Kind.MARK, 9, 9)]


def test_a_stretch_without_marks_ends_where_its_messages_are_many_enough() -> None:
    made = parts(*(message(offset, b"198.18.0.1 7") for offset in range(3, 3 + 2 * LONGEST)))
    assert [(part.first, part.offset) for part in made if not part.piece] == [
        (3, LONGEST + 2),
        (LONGEST + 3, 2 * LONGEST + 2),
    ]


def test_a_stretch_that_comes_to_much_is_told_in_pieces_and_taken_whole() -> None:
    lines = b"\n".join(b"198.18.0.1 %d" % at for at in range(2 * ROWS + 1))
    agent = Combine(CountingCombiner(partitions=1), [Source("flows", SourceFormat.GOFLOW2_JSON)], partitions=1)
    made = parts(message(0, lines), mark(1, 0), agent=agent)
    assert [(part.piece, part.pieces) for part in made] == [(0, 3), (1, 3), (2, 3), (0, 1)]
    counting, first, second, third = lane(), *made[:3]
    for offset, sent in enumerate(([first], [first, second], [second], [second, third])):
        assert scored([counting]) == {}
        counting.message(offset, pack(sent), kafka_ns=0)
    assert scored([counting])["flows"]["scored"] == 2 * ROWS + 1
    assert not counting.faults.lost


def test_a_lane_that_is_saved_among_pieces_takes_the_rest_of_them_when_it_is_opened_again() -> None:
    lines = b"\n".join(b"198.18.0.1 %d" % at for at in range(ROWS + 1))
    agent = Combine(CountingCombiner(partitions=1), [Source("flows", SourceFormat.GOFLOW2_JSON)], partitions=1)
    first, second, _ = parts(message(0, lines), mark(1, 0), agent=agent)
    counting = lane()
    counting.message(0, pack([first]), kafka_ns=0)
    again = lane(saved=counting.save())
    again.message(1, pack([second]), kafka_ns=0)
    assert scored([again])["flows"]["scored"] == ROWS + 1


def test_a_stretch_that_was_cut_otherwise_before_is_not_taken_twice_and_told() -> None:
    counting = lane()
    counting.message(0, pack([Part(Kind.FRAME, "flows/0", 5, before=5)]), kafka_ns=0)
    counting.message(1, pack([Part(Kind.FRAME, "flows/0", 8, b"", b'["flows", [["h", 1]]]', before=4)]), kafka_ns=0)
    assert scored([counting]) == {}
    assert counting.faults.lost == {"flows/0": 3}


def test_a_lane_says_a_canary_once_all_inputs_have_come_so_far_and_once_only() -> None:
    one = lane(1)
    times = enumerate([(11, 0), (9, 1), (12, 1), (19, 0), (19, 1), (45, 0), (45, 1)])
    made = parts(*(mark(offset, at_s * 10**9, partition=partition) for offset, (at_s, partition) in times), partition=1)
    said = [one.message(offset, pack([part]), kafka_ns=LATE).canary for offset, part in enumerate(made)]
    third, last = wire.Canary(1, 11 * 10**9), wire.Canary(1, 45 * 10**9)
    assert said == [None, None, third, None, None, None, last]
    assert wire.canary_from(wire.canary_json(last)) == last


def test_counts_travel_to_one_partition_only() -> None:
    sent = message(0, b"198.18.0.1 7\nbad\nskip", partition=1), mark(1, 9, partition=1)
    (_, made) = told(*sent, agent=combine(3))
    assert [[bool(part.tally) for part in one] for one in made.parts] == [[False] * 2, [True, False], [False] * 2]


def test_a_frame_that_breaks_decoding_is_kept_and_its_lines_count_as_dead() -> None:
    broken, ended = told(message(3, b"198.18.0.1 7\ncrash\n198.18.0.2 8"), mark(4, 9))
    assert [(one.reason, one.count, one.source) for one in broken.letters] == [
        ("combine: RuntimeError: told to", 3, "flows/0@3")
    ]
    counting = lane()
    counting.message(0, pack(ended.parts[0]), kafka_ns=0)
    assert scored([counting])["flows"] == {"received": 3, "scored": 0, "dead": 3, "skipped": 0, "late": 0}


@pytest.mark.parametrize("value", [b"", b"-5", b"soon", b"9" * 30])
def test_a_clock_mark_that_is_no_number_moves_no_clock(value: bytes) -> None:
    (made,) = told(message(0, value, key=wire.MARK_KEY))
    assert [part.kind for one in made.parts for part in one] == [Kind.VOID] * 2
    assert [letter.count for letter in made.letters] == [0]


def test_a_clock_of_the_year_2100_moves_no_clock_and_one_of_yesterday_does() -> None:
    now = 1_000 * SECOND
    said = [now + 61 * SECOND, now + 1 * SECOND, SECOND]
    made = parts(*(mark(offset, at_ns, kafka_ns=now) for offset, at_ns in enumerate(said)))
    assert [part.kind for part in made] == [Kind.VOID, Kind.MARK, Kind.MARK]


def test_a_frame_full_of_bad_lines_keeps_a_few_and_counts_all() -> None:
    (made,) = told(message(0, b"\n".join(b"bad %d x" % number for number in range(500))))
    assert len(made.letters) == LETTERS_A_MESSAGE
    assert sum(letter.count for letter in made.letters) == 500


def test_repeats_are_dropped_and_what_never_came_is_an_alarm() -> None:
    said = message(0, b"198.18.0.2 5"), message(1, b"198.18.0.2 6"), mark(2, 1), message(4, b"198.18.0.2 7"), mark(5, 2)
    first, marked, later, ended = parts(*said)
    counting = lane()
    counting.message(0, pack([first, marked]), kafka_ns=0)
    counting.message(1, pack([first, marked, later, ended]), kafka_ns=0)
    assert counting.faults.repeats == 2
    assert counting.faults.lost == {"flows/0": 1}
    assert scored([counting])["flows"]["received"] == 3


def test_a_part_that_the_scorer_refuses_is_kept_and_the_next_one_is_taken() -> None:
    agent = Combine(CountingCombiner(partitions=1), [Source("flows", SourceFormat.GOFLOW2_JSON)], partitions=1)
    made = parts(message(0, b"poison 5"), mark(1, 1), message(2, b"198.18.0.1 5"), mark(3, 2), agent=agent)
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
    begins = [at for at, (part,) in enumerate(calm) if part.piece == 0]
    for at, _ in enumerate(calm):
        back = at  # or sent again from where some stretch began, in order
        if chance.random() < 0.3:
            back = chance.choice([one for one in begins if one <= at])
        rough.append([part for one in calm[back : at + 1] for part in one])
    wanted, calmly = run(calm)
    found, roughly = run(rough, save_every=save_every)
    assert found == wanted
    assert scored([roughly]) == scored([calmly])
    assert not roughly.faults.lost
