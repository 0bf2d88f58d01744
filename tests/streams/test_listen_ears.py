"""Real sockets, a clock that is turned by hand, and an outlet that keeps what it is given: every datagram counted."""

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address

import pytest

from controller.domain import wire
from controller.domain.address import packed
from streams.decode.datagrams import Datagrams, unframed
from streams.listen.bundles import FRAME, Octets
from streams.listen.ears import BATCH, LONGEST_NAP_S, NAP_S, Channel, Ear, Listener, facts, longest_nap
from streams.listen.inbox import Inbox, Lines
from streams.listen.running import Named, heartbeat
from streams.listen.senders import Listed
from streams.listen.slots import Slots
from streams.listen.steering import drops, open_group, places

QUIET, LOUD, STRANGER = "127.0.1.1", "127.0.1.2", "127.0.9.9"
TICK, LATE = 250_000_000, 300_000_000
SECOND = 1_000_000_000


@dataclass
class Kept:
    """An outlet with so much room."""

    room: int = 1 << 30
    values: list[bytes] = field(default_factory=list)
    marks: list[tuple[int, int]] = field(default_factory=list)  # partition, time
    on_the_way: list[Callable[[], None]] = field(default_factory=list)

    def send(
        self,
        topic: str,
        value: Octets,
        *,
        partition: int = 0,
        key: bytes | None = None,
        lost: Callable[[], None] = lambda: None,
    ) -> bool:
        if key == wire.MARK_KEY:
            self.marks.append((partition, wire.mark_time(bytes(value))))
        elif len(value) > self.room:
            return False
        else:
            self.values.append(bytes(value))
            self.on_the_way.append(lost)
        return True

    def settle(self) -> None:
        """Nothing is heard of anything."""

    @property
    def frames(self) -> list[Datagrams]:
        return [unframed(value) for value in self.values]

    def said(self, sender: str) -> list[bytes]:
        raw = packed(ip_address(sender))
        return [
            frame.one(at)
            for frame in self.frames
            for at in range(len(frame))
            if frame.exporters[int(frame.exporter[at])] == raw
        ]


@dataclass
class House:
    channel: Channel
    listener: Listener
    out: Kept
    port: int
    clock: list[int]

    def say(self, sender: str, *datagrams: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.bind((sender, 0))
            for datagram in datagrams:
                one.sendto(datagram, ("127.0.0.1", self.port))

    def pass_time(self, ns: int) -> None:
        """So much time goes by, and then one turn is taken."""
        self.clock[0] += ns
        self.listener.turn()

    def dropped(self, sender: str) -> int:
        number = self.channel.listed.names.index(sender)
        return sum(drops(ear.socket) for ear in self.channel.ears if number in ear.place.senders)

    def received(self, sender: str) -> int:
        return int(self.channel.counts.received[self.channel.listed.names.index(sender)])


def house(*, rate: int = 10**9, slots: int = 1024, buffer: int = 1 << 20, inbox: Inbox | None = None) -> House:
    listed = [packed(ip_address(one)) for one in (QUIET, LOUD)]
    dealt = places(listed, partitions=2)
    group = open_group(IPv4Address("127.0.0.1"), 0, listed=listed, dealt=dealt, buffer_bytes=buffer)
    ears = [Ear(one, place, rate) for one, place in zip(group, dealt, strict=True)]
    port = int(group[0].getsockname()[1])
    channel = Channel("flows", 2, (0, 1), Listed(listed), ears, 20_000_000, LATE, Slots(slots), inbox)
    clock, out = [4_000_000_000 * SECOND + 1], Kept()  # after every stamp that the kernel gives, which tells of today
    listener = Listener([channel], out, tick_ns=TICK, wall_ns=lambda: clock[0], nap=lambda _: None)
    return House(channel, listener, out, port, clock)


@pytest.fixture
def made() -> Iterator[Callable[..., House]]:
    houses: list[House] = []

    def make(**how: object) -> House:
        houses.append(house(**how))  # type: ignore[arg-type]  # what a test asks for
        return houses[-1]

    yield make
    for one in houses:
        one.listener.finish()


def test_what_is_said_stands_in_frames_in_the_order_in_which_each_said_it(made: Callable[..., House]) -> None:
    one = made()
    said = [b"%d" % number * (1 + number % 7 * 300) for number in range(300)]
    one.say(QUIET, *said)
    one.say(LOUD, *said[::-1])
    for _ in range(4):
        one.pass_time(30_000_000)
    assert (one.out.said(QUIET), one.out.said(LOUD)) == (said, said[::-1])
    assert facts([one.channel])[QUIET]["octets"] == sum(map(len, said))


def test_a_flood_of_one_sender_takes_nothing_from_another_and_every_datagram_is_accounted_for(
    made: Callable[..., House],
) -> None:
    one = made(buffer=65_536)
    said = [b"quiet %d" % number for number in range(40)]
    for number in range(40):
        one.say(LOUD, *([bytes(1_200)] * 500))
        one.say(QUIET, said[number])
        one.say(STRANGER, *([b"no"] * 10))
        one.listener.turn()
    for _ in range(20):
        one.pass_time(30_000_000)
    assert one.out.said(QUIET) == said
    assert one.dropped(LOUD) > 0
    assert one.received(LOUD) + one.dropped(LOUD) == 20_000 == len(one.out.said(LOUD)) + one.dropped(LOUD)
    assert one.channel.strangers.total + one.channel.dropped_strangers == 400
    assert facts([one.channel])[LOUD]["dropped"] == one.dropped(LOUD)


def test_a_sender_over_its_budget_waits_and_the_others_do_not(made: Callable[..., House]) -> None:
    one = made(rate=100)
    one.say(LOUD, *([b"loud"] * 300))
    one.say(QUIET, *([b"quiet"] * 50))
    for _ in range(5):
        one.pass_time(1)
    one.pass_time(30_000_000)
    assert (one.received(QUIET), one.received(LOUD)) == (50, 100)
    for _ in range(3):
        one.pass_time(SECOND // 2)
    one.pass_time(30_000_000)
    assert 100 < one.received(LOUD) <= 100 + 156  # what 1.56 s allow


def test_a_mark_stands_behind_all_that_was_said_before_it_and_never_goes_back(made: Callable[..., House]) -> None:
    one = made()
    one.say(QUIET, b"a")
    for _ in range(8):
        one.pass_time(TICK // 4)
    times = [at for partition, at in one.out.marks if partition == 0]
    assert times == [at for partition, at in one.out.marks if partition == 1]
    assert times == sorted(set(times))
    assert all(at % TICK == 0 and at <= one.clock[0] for at in times)
    assert one.clock[0] - times[-1] < TICK + TICK // 4


def test_a_mark_waits_for_no_datagram(made: Callable[..., House]) -> None:
    """A network at rest says nothing: that a tick has ended is told all the same, before the next one has."""
    one = made()
    began = time.monotonic_ns()
    one.listener = Listener(
        [one.channel],
        one.out,
        tick_ns=TICK,
        wall_ns=lambda: one.clock[0] + time.monotonic_ns() - began,
        nap=lambda _: None,
    )
    in_time = 0
    for _ in range(12):
        before = len(one.out.marks)
        one.listener.turn()
        told = one.out.marks[before:]
        in_time += sum(mark + TICK > one.clock[0] + time.monotonic_ns() - began for _, mark in told)
    assert in_time


def test_a_mark_waits_for_a_loud_sender_but_not_longer_than_the_lateness(made: Callable[..., House]) -> None:
    one = made(rate=100)
    one.listener.turn()
    one.say(LOUD, *([b"loud"] * 1_000))
    for _ in range(12):
        one.pass_time(TICK // 4)
    behind = one.clock[0] - one.out.marks[-1][1]
    assert LATE <= behind < LATE + TICK


def test_what_the_outlet_refuses_or_loses_later_is_counted_for_each_sender(made: Callable[..., House]) -> None:
    one = made()
    one.out.room = 0
    one.say(QUIET, b"a", b"b")
    one.pass_time(1)
    one.pass_time(30_000_000)
    one.out.room = 1 << 30
    one.say(QUIET, b"c", b"d", b"e")
    one.pass_time(1)
    one.pass_time(30_000_000)
    assert facts([one.channel])[QUIET]["lost"] == 2
    for lost in one.out.on_the_way:
        lost()
    found = facts([one.channel])[QUIET]
    assert (found["received"], found["lost"]) == (5, 5)


def test_more_than_the_slots_hold_is_handed_on_in_between(made: Callable[..., House]) -> None:
    one = made(slots=BATCH)
    said = [b"%d" % number for number in range(1_000)]
    one.say(QUIET, *said)
    for _ in range(10):
        one.pass_time(1)
    one.pass_time(30_000_000)
    assert one.out.said(QUIET) == said


def test_a_datagram_of_the_greatest_length_and_an_empty_one_come_whole(made: Callable[..., House]) -> None:
    one = made()
    said = [b"x" * 65_507, b"", b"y"]
    one.say(QUIET, *said)
    one.pass_time(1)
    one.pass_time(30_000_000)
    assert one.out.said(QUIET) == said


def test_frames_are_no_larger_than_a_message_may_be(made: Callable[..., House]) -> None:
    one = made(buffer=16 << 20)
    one.say(QUIET, *([b"x" * 65_000] * 40))
    one.pass_time(1)
    one.pass_time(30_000_000)
    assert len(one.out.said(QUIET)) == 40
    assert max(map(len, one.out.values)) <= 1_000_000


def test_a_frame_leaves_when_it_is_full_and_waits_for_no_others(made: Callable[..., House]) -> None:
    """Frames that leave together are more than a broker takes at once."""
    one, each = made(slots=4_096, buffer=8 << 20), 1_400
    one.pass_time(10_000_000)  # the first mark
    for _ in range(6):
        one.say(LOUD, *([bytes(each)] * 240))
        one.pass_time(1_000_000)  # much less than a frame may wait
    sizes = [len(value) for value in one.out.values]
    assert len(sizes) == 2, "what two partitions hold, here of one of them"
    assert all(2 * size > FRAME for size in sizes)
    one.pass_time(30_000_000)
    assert len(one.out.said(LOUD)) == one.received(LOUD) == 6 * 240


def test_lines_wait_in_the_inbox_while_there_is_no_room_and_are_not_dated_before_a_mark(
    made: Callable[..., House],
) -> None:
    one = made(inbox=(inbox := Inbox()))
    one.out.room = 10
    inbox.put(Lines(0, 5, [b"<13>a", b"<13>b"], 10))
    one.pass_time(1)
    one.pass_time(30_000_000)
    assert (one.out.values, inbox.octets) == ([], 10)
    one.out.room = 1 << 30
    one.pass_time(TICK)
    one.pass_time(TICK)
    assert (one.out.said(QUIET), inbox.octets) == ([b"<13>a", b"<13>b"], 0)
    assert int(one.out.frames[0].receipt_ns.min()) >= one.out.marks[0][1]


def test_a_heartbeat_names_exporters_with_their_losses_and_the_worst_strangers(made: Callable[..., House]) -> None:
    one = made(inbox=(inbox := Inbox()))
    one.say(QUIET, b"a")
    one.say(STRANGER, b"x", b"y")
    inbox.fault(LOUD, "torn", 3)
    inbox.refuse("192.0.2.1")
    one.pass_time(1)
    one.pass_time(30_000_000)
    beat = heartbeat(one.listener.channels, Named("ears", "1"), 7, lost=("flows: 1 messages lost, why",))
    assert wire.heartbeat_from(wire.heartbeat_json(beat)) == beat
    assert beat.exporters[QUIET]["received"] == 1
    assert beat.exporters[LOUD] == {"torn": 3}
    assert beat.notes == (
        "flows: 3 refused of senders not listed: 127.0.9.9 2, 192.0.2.1 1",
        "flows: 1 messages lost, why",
    )


def test_a_nap_is_short_where_a_buffer_is_small_or_frames_shall_be_young(made: Callable[..., House]) -> None:
    one = made(buffer=4 << 20)
    asked = int(one.channel.ears[0].socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)) >= 4 << 20
    assert not asked or longest_nap(one.channel) == pytest.approx(0.004)  # a fifth of a frame's 20 ms
    one.channel.frame_ns = 1_000_000_000
    assert not asked or longest_nap(one.channel) == LONGEST_NAP_S
    assert longest_nap(made(buffer=4_096).channel) == NAP_S
