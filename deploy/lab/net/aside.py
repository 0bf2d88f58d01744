"""Our own helpers in the lab as others use them: a flood that is sent, witnesses that are asked."""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from deploy.lab.net.floods import KINDS
from deploy.lab.net.plan import Network
from deploy.lab.net.routing import WORLD_HOST, WORLD_HOST6
from deploy.supervisor import die_with_parent

WORLD_PLACE = "world"


class Up(Protocol):
    """A lab that is up, ours or somebody else's."""

    @property
    def plan(self) -> Network:
        """What it was built from."""
        ...

    def namespace(self, place: str) -> str:
        """The name of a place's namespace."""
        ...


class Child:
    """A process of ours that talks in lines of JSON and ends with us."""

    def __init__(self, *command: str) -> None:
        self._process = subprocess.Popen(
            (sys.executable, *command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent(),
        )

    def tell(self, document: object) -> None:
        """Send a line."""
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps(document) + "\n")
            self._process.stdin.flush()

    def hear(self) -> Mapping[str, Any]:
        """The next line. Raises EOFError when it has ended without one."""
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise EOFError(f"{self._process.args!r} ended with status {self._process.wait()}")
        return dict(json.loads(line))

    def end(self) -> None:
        """Ask it to end, and wait."""
        self._process.terminate()

    def close(self) -> None:
        """End it, whatever it does."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


class Attack:
    """A flood under way, from `with` to its end."""

    def __init__(self, lab: Up, name: str, *, origin: str = "", pps: float = 0.0, seconds: float = 30.0) -> None:
        self.stamp = KINDS[name].stamp
        self.origin = origin or KINDS[name].origin
        self.begun_ns = self.ended_ns = self.sent = 0
        self._command = (
            *("-m", "deploy.lab.net.sender", lab.namespace(self.origin), name, self.origin),
            *(str(pps), str(seconds), str(len([one for one in lab.plan.machines if one.hypervisor]))),
        )
        self._child: Child | None = None

    def __enter__(self) -> Self:
        """Begin; returns when the first frame is on its way."""
        self._child = Child(*self._command)
        self.begun_ns = int(self._child.hear()["at_ns"])
        return self

    def stop(self) -> None:
        """End it; `sent` and `ended_ns` are known afterwards. Harmless when it has ended."""
        if self._child is not None:
            self._child.end()
            self.wait()

    def wait(self) -> None:
        """Wait for its own end."""
        if self._child is not None:
            told = self._child.hear()
            self.sent, self.ended_ns = int(told["sent"]), int(told["at_ns"])
            self._child.close()
            self._child = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


@dataclass(frozen=True, slots=True)
class Seen:
    """Frames of one flood at one place; times in nanoseconds since the epoch, 0 where none came."""

    count: int = 0
    first_ns: int = 0
    last_ns: int = 0
    first_number: int = 0
    last_number: int = 0


@dataclass(frozen=True, slots=True)
class Passage:
    """What became of the packets between two neighbours."""

    sent: int
    received: int
    lost: int
    worst_gap_s: float


@dataclass(frozen=True, slots=True)
class Testimony:
    """What the witnesses have seen so far."""

    floods: Mapping[str, Mapping[int, Seen]]
    passages: Mapping[str, Passage]

    def of(self, attack: Attack, place: str) -> Seen:
        """What arrived of a flood at a place."""
        return self.floods[place].get(attack.stamp, Seen())

    @property
    def lost(self) -> Mapping[str, int]:
        """Bystanders who lost packets, with how many."""
        return {name: passage.lost for name, passage in self.passages.items() if passage.lost}


class Witnesses:
    """Sniffers at `places`, and probes between the pairs of `bystanders`, `rate` packets a second each.

    A place is a machine's name, or place/interface where there are several.
    """

    def __init__(
        self, lab: Up, places: Iterable[str], bystanders: Sequence[tuple[str, str]] = (), *, rate: float = 100.0
    ) -> None:
        self._asked = {
            "watch": {place: _card(lab, place) for place in places},
            "probes": [
                {
                    "name": f"{one}-{other}-ipv{version}",
                    "from": lab.namespace(one),
                    "to": lab.namespace(other),
                    "src": address(lab.plan, one, version),
                    "dst": address(lab.plan, other, version),
                }
                for one, other in bystanders
                for version in (4, 6)
            ],
            "every_s": 1.0 / rate,
        }
        self._child: Child | None = None

    def __enter__(self) -> Self:
        """Begin to look; returns when everybody is in place."""
        self._child = Child("-m", "deploy.lab.net.witnesses")
        self._child.tell(self._asked)
        self._child.hear()
        return self

    def testimony(self) -> Testimony:
        """What was seen until now. Probes count as lost half a second after they were sent."""
        if self._child is None:
            raise RuntimeError("the witnesses are not there")
        self._child.tell("report")
        told = self._child.hear()
        return Testimony(
            {
                place: {int(stamp): Seen(**seen) for stamp, seen in floods.items()}
                for place, floods in told["floods"].items()
            },
            {name: Passage(**passage) for name, passage in told["probes"].items()},
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.close()


def _card(lab: Up, place: str) -> tuple[str, str]:
    where, _, interface = place.partition("/")
    return lab.namespace(where), interface or "eth0"


def address(plan: Network, place: str, version: int) -> str:
    """A place's own address."""
    if place == WORLD_PLACE:
        return str(WORLD_HOST if version == 4 else WORLD_HOST6)
    machine = plan.by_name[place]
    return str(machine.ipv4 if version == 4 else machine.ipv6)
