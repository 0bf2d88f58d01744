"""The hot loop: takes what the sockets hold, in turns, and hands it on as frames with clock marks behind them."""

import math
import select
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from controller.domain import wire
from streams.decode.compiled import borrowing
from streams.listen.bundles import EACH, FRAME, Bundle, Octets, bundles, bundles_of_lines
from streams.listen.inbox import Inbox, Lines
from streams.listen.senders import Listed, Strangers
from streams.listen.sequences import HEAD, Sequences
from streams.listen.slots import Slots
from streams.listen.steering import Place, drops, fold

BATCH = 256
"""Datagrams taken from one socket before it is the next one's turn."""

BATCH_OF_STRANGERS = 64
GUARD_NS = 2_000_000
"""Between the kernel's stamp on a datagram and the moment it lies at its socket."""

NAP_S, LONGEST_NAP_S = 0.001, 0.005
QUICK = 200_000_000
"""Octets of a socket's buffer that a sender fills in a second at most: a gigabit's, by which a nap is no longer."""

LONGEST_WAIT_S = 0.5

ENOUGH = FRAME * 15 // 16
"""Octets with which a frame waits for no others: frames that leave together are more than a broker takes at once."""

NEARLY = 0.25
"""Of a turn: a frame that will have enough so soon leaves at once."""


class Outlet(Protocol):
    """What takes messages; `streams.listen.outlet` has the one that speaks to Kafka."""

    def send(
        self, topic: str, value: Octets, *, partition: int = 0, key: bytes | None = None, lost: Callable[[], None] = ...
    ) -> bool:
        """Put a message on its way without waiting; False, or `lost` later on, when it will not arrive."""

    @property
    def room(self) -> int:
        """Octets that can be sent now."""

    def settle(self) -> None:
        """Hear what became of messages, and call `lost` for those that will not arrive."""


@dataclass(slots=True)
class Ear:
    """One socket, whose place in its group says who is heard there."""

    socket: socket.socket
    place: Place
    rate: int  # datagrams a second that may come for long; a second's worth at once
    tokens: float = 0.0
    filled_ns: int = 0
    last_ns: int = 0  # stamp of the datagram taken last
    behind: bool = False  # it may hold more than was taken


@dataclass(slots=True)
class Counts:
    """What became of each listed sender's datagrams: received = produced + lost + on their way."""

    received: NDArray[np.int64]
    octets: NDArray[np.int64]
    lost: NDArray[np.int64]
    last_ns: NDArray[np.int64]


def no_counts(senders: int) -> Counts:
    """Nothing heard of anybody."""
    return Counts(*(np.zeros(senders, np.int64) for _ in range(4)))


def tally(counts: Counts, number: NDArray[np.int64], lengths: NDArray[np.int64], stamps: NDArray[np.int64]) -> None:
    """Add datagrams to what is counted of their senders; those of strangers have the number -1."""
    _tally(number, lengths, stamps, counts.received, counts.octets, counts.last_ns)


@borrowing
def _tally(
    number: NDArray[np.int64],
    lengths: NDArray[np.int64],
    stamps: NDArray[np.int64],
    received: NDArray[np.int64],
    octets: NDArray[np.int64],
    last_ns: NDArray[np.int64],
) -> None:
    for at in range(len(number)):
        one = number[at]
        if one >= 0:
            received[one] += 1
            octets[one] += lengths[at]
            last_ns[one] = max(last_ns[one], stamps[at])


@dataclass(slots=True)
class Channel:
    """One topic: the sockets that feed it, and what has come in and is not yet on its way."""

    topic: str
    partitions: int  # of the topic
    owned: tuple[int, ...]  # those that this process writes
    listed: Listed
    ears: Sequence[Ear]
    frame_ns: int  # how long a datagram or a line waits for others
    late_ns: int  # how long time may wait for a sender that is too loud to be kept up with
    slots: Slots
    inbox: Inbox | None = None  # lines of connections
    strangers: Strangers = field(default_factory=Strangers)
    counts: Counts = field(init=False)
    sequences: Sequences = field(init=False)
    home: NDArray[np.int64] = field(init=False)  # partition of each listed sender
    since_ns: int = 0  # when the oldest datagram in the slots was taken
    marked_ns: int = 0
    octets: int = 0  # of frames of what is in the slots
    _seen: int = 0  # of these, before the last turn
    _home_of_lines: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.counts = no_counts(len(self.listed))
        self.sequences = Sequences(len(self.listed))
        self.home = np.array([fold(one) % self.partitions for one in self.listed.addresses], np.int64)

        self._home_of_lines = np.array(self.owned, np.int64)[self.home % len(self.owned)]

    def take(self, ear: Ear, now_ns: int, out: Outlet) -> int:
        """Take a batch from a socket; how many datagrams it was."""
        allowed = self._allowance(ear, now_ns)
        if allowed < 1:
            return 0
        if self.slots.free < allowed:
            self.flush(now_ns, out)
        taken = self.slots.receive(ear.socket.fileno(), allowed)
        if taken:
            ear.tokens -= taken
            self.octets += self.slots.octets(taken) + taken * EACH
            self.since_ns = self.since_ns or now_ns
        ear.behind = taken == allowed
        if ear.behind:
            ear.last_ns = self.slots.last_stamp(now_ns)
        return taken

    def _allowance(self, ear: Ear, now_ns: int) -> int:
        rate = ear.rate
        ear.tokens = min(rate, ear.tokens + rate * (now_ns - ear.filled_ns) / 1e9) if ear.filled_ns else rate
        ear.filled_ns = now_ns
        return min(int(ear.tokens), BATCH_OF_STRANGERS if ear.place.partition is None else BATCH)

    def turns_left(self) -> float:
        """How many more turns like this one fill a frame of each partition; asked once a turn."""
        came, self._seen = self.octets - self._seen, self.octets
        return (len(self.owned) * ENOUGH - self.octets) / came if came > 0 else math.inf

    def look(self, now_ns: int) -> None:
        """Lines lie in the inbox: they may wait for others as datagrams do."""
        if self.inbox is not None:
            self.inbox.hush()
            self.since_ns = self.since_ns or now_ns

    def flush(self, now_ns: int, out: Outlet) -> None:
        """Hand on everything that was taken; lines stay in the inbox where there is no room for them."""
        self.since_ns = 0
        if self.slots.used:
            self._hand_on_datagrams(now_ns, out)
        if self.inbox is not None and self.inbox.oldest_ns:
            if out.room >= self.inbox.octets + FRAME:
                self._hand_on_lines(self.inbox.take(), out)
            else:
                self.since_ns = now_ns

    def _hand_on_datagrams(self, now_ns: int, out: Outlet) -> None:
        slots = self.slots
        senders, stamps, lengths = slots.senders, slots.stamps(now_ns), slots.lengths
        number = self.listed.numbers(senders)
        heard = number >= 0
        if not heard.all():
            self.strangers.refuse(senders[~heard])
        tally(self.counts, number, lengths, stamps)
        self.sequences.hear(number, slots.head(HEAD), lengths, slots.one)
        addresses = self.listed.addresses
        self._send(bundles(slots, number, stamps, addresses=addresses, partition=self.home), out)
        slots.clear()
        self.octets = self._seen = 0

    def _hand_on_lines(self, read: Sequence[Lines], out: Outlet) -> None:
        for one in read:
            self.counts.received[one.sender] += len(one.lines)
            self.counts.octets[one.sender] += one.octets
            self.counts.last_ns[one.sender] = max(one.at_ns, int(self.counts.last_ns[one.sender]))
        addresses = self.listed.addresses
        made = bundles_of_lines(read, addresses=addresses, partition=self._home_of_lines, since_ns=self.marked_ns)
        self._send(made, out)

    def _send(self, made: Iterable[Bundle], out: Outlet) -> None:
        for bundle in made:
            lost = partial(self._lose, bundle.senders, bundle.datagrams)
            if not out.send(self.topic, bundle.value, partition=bundle.partition, lost=lost):
                lost()

    def _lose(self, senders: NDArray[np.int64], datagrams: NDArray[np.int64]) -> None:
        self.counts.lost[senders] += datagrams

    def mark(self, at_ns: int, out: Outlet) -> None:
        """Say on every partition that nothing with an earlier stamp will follow, unless that was said already."""
        if at_ns > self.marked_ns:
            self.marked_ns = at_ns
            for partition in self.owned:
                out.send(self.topic, wire.mark(at_ns), partition=partition, key=wire.MARK_KEY)

    def exporters(self) -> dict[str, dict[str, int]]:
        """For each listed sender, what became of its datagrams and lines; `missed` by its own numbers.

        received = produced + lost + on their way. `dropped` are those for which the kernel had no room. Where several
        senders share a socket, nobody knows whose they were: each then bears the sum as `dropped_together`.
        """
        self._hear_refusals()
        counts, missed, restarts = self.counts, self.sequences.missed, self.sequences.restarts
        facts = {
            self.listed.names[at]: {
                "received": int(counts.received[at]),
                "octets": int(counts.octets[at]),
                "last_ns": int(counts.last_ns[at]),
                "lost": int(counts.lost[at]),
                "missed": int(missed[at]),
                "restarts": int(restarts[at]),
            }
            for at in np.flatnonzero(counts.received).tolist()
        }
        for ear in self.ears:
            dropped = drops(ear.socket)
            name = "dropped" if len(ear.place.senders) == 1 else "dropped_together"
            for sender in ear.place.senders if dropped else ():
                mine = facts.setdefault(self.listed.names[sender], {})
                mine[name] = mine.get(name, 0) + dropped
        for (name, fault), times in self.inbox.faults.items() if self.inbox is not None else ():
            facts.setdefault(name, {})[fault] = times
        return facts

    @property
    def dropped_strangers(self) -> int:
        """Datagrams of strangers for which the kernel had no room: refused, but nobody knows whose."""
        return sum(drops(ear.socket) for ear in self.ears if ear.place.partition is None)

    def _hear_refusals(self) -> None:
        for name, times in self.inbox.refused().items() if self.inbox is not None else ():
            self.strangers.refuse_one(name, times)


class Listener:
    """All channels of a process. Call `turn` for ever; it waits where there is nothing to do."""

    def __init__(
        self,
        channels: Sequence[Channel],
        out: Outlet,
        *,
        tick_ns: int,
        wall_ns: Callable[[], int],
        nap: Callable[[float], None],
    ) -> None:
        self.channels = tuple(channels)
        self._out, self._tick, self._wall, self._nap = out, tick_ns, wall_ns, nap
        self._rest_s = min((longest_nap(channel) for channel in channels), default=NAP_S)
        self._poll = select.epoll()
        self._by_descriptor: dict[int, tuple[Channel, Ear]] = {}
        self._bells: dict[int, Channel] = {}
        for channel in self.channels:
            if channel.inbox is not None:
                self._poll.register(channel.inbox.bell, select.EPOLLIN)
                self._bells[channel.inbox.bell] = channel
            for ear in channel.ears:
                self._poll.register(ear.socket.fileno(), select.EPOLLIN)
                self._by_descriptor[ear.socket.fileno()] = channel, ear

    def turn(self) -> None:
        """Wait until something is there or due, take a batch from every socket that holds something, hand on."""
        before = self._wall()
        wait_s = min(LONGEST_WAIT_S, (self._wakes_ns(before) - before) / 1e9)
        ready = self._poll.poll(max(0.0, wait_s), len(self._by_descriptor) + len(self._bells))
        now = self._wall()
        clear = {channel.topic: before - GUARD_NS for channel in self.channels}
        most = 0
        for descriptor, _ in ready:
            if descriptor in self._bells:
                self._bells[descriptor].look(now)
                continue
            channel, ear = self._by_descriptor[descriptor]
            most = max(most, channel.take(ear, now, self._out))
            if ear.behind:
                clear[channel.topic] = min(clear[channel.topic], ear.last_ns)
        left = [self._hand_on(channel, now, clear[channel.topic]) for channel in self.channels]
        self._out.settle()
        if ready and most < BATCH:  # so that datagrams gather, and a call brings many of them
            rest_s = self._rest_s * min((1.0, *left))
            self._nap(max(0.0, min(rest_s, (self._wakes_ns(now) - now) / 1e9)))

    def _hand_on(self, channel: Channel, now: int, clear_ns: int) -> float:
        """Hand on what is due, or fills a frame; in how many turns like this one the next one is full."""
        mark = max(clear_ns, now - channel.late_ns) // self._tick * self._tick
        old = channel.since_ns and now - channel.since_ns >= channel.frame_ns
        left = channel.turns_left()
        if mark > channel.marked_ns or old or left < NEARLY:
            channel.flush(now, self._out)
            channel.mark(mark, self._out)
            return math.inf
        return left

    def _wakes_ns(self, now: int) -> int:
        """When something is due, though nothing may come in: at once where a tick has ended that is not marked."""
        ended = (now - GUARD_NS) // self._tick * self._tick
        if any(channel.marked_ns < ended for channel in self.channels):
            return now
        due = ended + self._tick + GUARD_NS
        waiting = [channel.since_ns + channel.frame_ns for channel in self.channels if channel.since_ns]
        return min([due, *waiting])

    def finish(self) -> None:
        """Hand on what was taken, and close the sockets."""
        for channel in self.channels:
            channel.flush(self._wall(), self._out)
            for ear in channel.ears:
                ear.socket.close()
            if channel.inbox is not None:
                channel.inbox.close()
        self._poll.close()


def longest_nap(channel: Channel) -> float:
    """For how long nobody need look at a channel, in seconds: buffers hold what comes meanwhile, and frames stay young.

    The buffer of strangers does not count.
    """
    heard = [ear.socket for ear in channel.ears if ear.place.senders]
    smallest = min((one.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) for one in heard), default=0)
    return max(NAP_S, min(LONGEST_NAP_S, smallest / QUICK, channel.frame_ns / 5e9))


def facts(channels: Sequence[Channel]) -> Mapping[str, Mapping[str, int]]:
    """Exporters as a heartbeat shows them, over all channels."""
    together: dict[str, dict[str, int]] = {}
    for channel in channels:
        for name, one in channel.exporters().items():
            into = together.setdefault(name, {})
            for fact, value in one.items():
                into[fact] = max(value, into.get(fact, 0)) if fact == "last_ns" else value + into.get(fact, 0)
    return together
