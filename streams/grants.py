"""Who may do what on Kafka: one principal a process, and for each no more than its work needs.

Whoever can write verdicts could cut anyone off, and whoever can write flows could accuse anyone: so the table stands in
one place, derived from the topics. The API has no principal, for it needs no Kafka.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from controller.domain import wire

PREFIX = "User:cordon-"


class Role(StrEnum):
    """The processes that come to Kafka, by the last part of their principals' names."""

    STREAMS = "streams"
    LISTEN = "listen"
    CLOCK = "clock"  # `cordon send` comes as the clock too: it writes where the clock writes
    CONTROLLER = "controller"

    @property
    def principal(self) -> str:
        """Its name as access lists have it."""
        return f"{PREFIX}{self.value}"


def collector(topic: str) -> str:
    """The principal of what feeds a topic (goflow2, pmacct, rsyslog, Vector): it may write this one and no other."""
    return f"{PREFIX}collector-{topic}"


class Operation(StrEnum):
    """What is allowed, in Kafka's words: https://kafka.apache.org/documentation/#operations_in_kafka."""

    READ = "READ"
    WRITE = "WRITE"
    DESCRIBE = "DESCRIBE"
    DESCRIBE_CONFIGS = "DESCRIBE_CONFIGS"
    CREATE = "CREATE"
    DELETE = "DELETE"
    ALTER = "ALTER"
    ALTER_CONFIGS = "ALTER_CONFIGS"
    ALL = "ALL"


HARMLESS = frozenset({Operation.READ, Operation.DESCRIBE, Operation.DESCRIBE_CONFIGS})
"""What changes nothing for anybody who is judged."""


class Kind(StrEnum):
    """What something is allowed on."""

    TOPIC = "TOPIC"
    GROUP = "GROUP"


class Match(StrEnum):
    """Whether a name stands for itself or for all that begin with it; the literal `*` stands for every name."""

    LITERAL = "LITERAL"
    PREFIXED = "PREFIXED"


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """A principal may do one thing on one kind of things, from anywhere."""

    principal: str
    operation: Operation
    kind: Kind
    name: str
    match: Match = Match.LITERAL

    def covers(self, topic: str) -> bool:
        """True when it is about this topic too."""
        if self.kind is not Kind.TOPIC:
            return False
        return topic.startswith(self.name) if self.match is Match.PREFIXED else self.name in (topic, "*")

    def __str__(self) -> str:
        more = "…" if self.match is Match.PREFIXED else ""
        return f"{self.principal} may {self.operation} {self.kind.lower()} {self.name}{more}"


def grants(sources: Collection[str], heard: Collection[str], *, group: str = "cordon-streams") -> tuple[Grant, ...]:
    """All that Cordon's processes need. `heard` are the topics of our own listener, which nobody else may write."""
    return tuple(sorted(_grants(sources, heard, group)))


def fed(sources: Collection[str], heard: Collection[str]) -> tuple[str, ...]:
    """Source topics that collectors write."""
    return tuple(topic for topic in dict.fromkeys(sources) if topic not in heard)


def beyond(
    held: Iterable[Grant], wanted: Collection[Grant], *, sources: Collection[str], heard: Collection[str]
) -> list[Grant]:
    """What a broker allows and should not: to change one of our topics by anybody whom the table does not name.

    Who else feeds a topic of collectors is its owner's to say; who else reads, too.
    """
    ours = [plan.name for plan in wire.topics(tuple(sources)) if plan.name not in fed(sources, heard)]
    return sorted(
        one
        for one in held
        if one.operation not in HARMLESS and one not in wanted and any(one.covers(topic) for topic in ours)
    )


def _grants(sources: Collection[str], heard: Collection[str], group: str) -> Iterator[Grant]:
    collected = fed(sources, heard)
    work: dict[str, tuple[Iterable[str], Iterable[str]]] = {  # reads, writes
        Role.STREAMS.principal: (
            (*dict.fromkeys(sources), wire.ACTIVITY, wire.STATE, wire.LESSONS, wire.DECISIONS),
            (wire.ACTIVITY, wire.STATE, wire.LESSONS, wire.VERDICTS, wire.HEALTH, wire.DEAD),
        ),
        Role.LISTEN.principal: ((), (*dict.fromkeys(heard), wire.HEALTH) if heard else ()),
        Role.CLOCK.principal: ((), (*collected, wire.HEALTH)),
        Role.CONTROLLER.principal: ((wire.VERDICTS, wire.HEALTH, wire.DEAD), (wire.DECISIONS,)),
        **{collector(topic): ((), (topic,)) for topic in collected},
    }
    for principal, (reads, writes) in work.items():
        for operation, topics in ((Operation.READ, reads), (Operation.WRITE, writes)):
            yield from (Grant(principal, operation, Kind.TOPIC, topic) for topic in topics)
    yield Grant(Role.STREAMS.principal, Operation.READ, Kind.GROUP, group, Match.PREFIXED)  # and its -positions
