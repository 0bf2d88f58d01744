"""Carries combine's parts to cordon.activity, and knows up to which source message everything has arrived.

What comes gathers for a moment and goes out as one message, so that the cost of messages does not grow with the load.
It is sent earlier when the marks of all origins stand in it: a tick is over, and nothing more has to be waited for.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from controller.domain import wire
from streams.agents import Combination
from streams.envelope import Part, messages

Post: TypeAlias = Callable[[str, int, bytes, bytes | None], Awaitable["asyncio.Future[Any]"]]
"""Sends (topic, partition, value, key); the future is done when the broker has the message for good."""

MESSAGE = 512 * 1024
WAITING = 8 * 1024 * 1024
ON_THE_WAY = 4
GATHER_S = 0.02
"""How long a batch gathers: a reader fetches about as often, and some brokers hand out but one batch a fetch."""


@dataclass(slots=True)
class _Batch:
    parts: list[list[Part]]
    letters: list[wire.DeadLetter] = field(default_factory=list)
    upto: dict[str, int] = field(default_factory=dict)  # origin → offset of the next message to read
    marked: set[str] = field(default_factory=set)  # origins of which a clock mark stands in it
    size: int = 0


class Relay:
    """One assignment's way to the activity topic. Parts of one origin arrive in the order in which they were put.

    `origins` are those that the assignment reads.
    """

    def __init__(
        self, post: Post, *, partitions: int, origins: Collection[str] = (), gather_s: float = GATHER_S
    ) -> None:
        self._post, self._partitions, self._origins, self._gather_s = post, partitions, len(origins), gather_s
        self._gathering = self._batch()
        self._travelling: deque[tuple[dict[str, int], asyncio.Future[list[Any]]]] = deque()
        self._arrived: dict[str, int] = {}
        self._something, self._whole, self._room = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._room.set()

    def _batch(self) -> _Batch:
        return _Batch([[] for _ in range(self._partitions)])

    def put(self, origin: str, offset: int, combination: Combination) -> None:
        """Take over what is to be sent after the source message at `offset`; nothing where a stretch goes on."""
        if not (combination.parts or combination.letters):
            return
        batch = self._gathering
        for partition, parts in enumerate(combination.parts):
            batch.parts[partition] += parts
            batch.size += sum(part.size for part in parts)
        batch.letters += combination.letters
        batch.size += sum(len(letter.kept) for letter in combination.letters)
        if combination.parts:
            batch.upto[origin] = offset + 1
        self._something.set()
        if combination.marks:
            batch.marked.add(origin)
            if len(batch.marked) == self._origins:
                self._whole.set()
        if batch.size > WAITING:
            self._room.clear()

    async def room(self) -> None:
        """Wait while too much is waiting to be sent."""
        await self._room.wait()

    async def run(self) -> None:
        """Send, for as long as the assignment lasts. Raises what the broker refuses: then nothing after it counts."""
        while True:
            await self._something.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._gather_s):
                    await self._whole.wait()
            self._something.clear()
            self._whole.clear()
            batch, self._gathering = self._gathering, self._batch()
            self._room.set()
            self._travelling.append((batch.upto, asyncio.gather(*await self._send(batch))))
            while len(self._travelling) > ON_THE_WAY:
                await self._travelling[0][1]
                self._note()

    async def _send(self, batch: _Batch) -> Sequence[asyncio.Future[Any]]:
        sent = [
            await self._post(wire.ACTIVITY, partition, message, None)
            for partition, parts in enumerate(batch.parts)
            for message in messages(parts, limit=MESSAGE)
        ]
        return sent + [
            await self._post(wire.DEAD, 0, wire.dead_letter_json(letter), letter.source.encode())
            for letter in batch.letters
        ]

    def _note(self) -> None:
        while self._travelling and self._travelling[0][1].done():
            upto, arrived = self._travelling.popleft()
            arrived.result()
            self._arrived |= upto

    def arrived(self) -> Mapping[str, int]:
        """By origin the offset from which a successor has to read. Raises what the broker refused."""
        self._note()
        return self._arrived
