"""The table of grants: enough for every process, and nothing that would let a stranger accuse anybody."""

import pytest

from controller.domain import wire
from streams.grants import Grant, Kind, Match, Operation, Role, beyond, collector, grants

SOURCES = ("cordon.flows", "cordon.flows.goflow2", "cordon.syslog")
HEARD = ("cordon.flows",)
TABLE = grants(SOURCES, HEARD)


def writers(topic: str) -> set[str]:
    return {one.principal for one in TABLE if one.operation is Operation.WRITE and one.covers(topic)}


def readers(topic: str) -> set[str]:
    return {one.principal for one in TABLE if one.operation is Operation.READ and one.covers(topic)}


@pytest.mark.parametrize("topic", [wire.VERDICTS, wire.ACTIVITY, wire.STATE])
def test_what_is_decided_on_is_written_by_the_worker_alone(topic: str) -> None:
    assert writers(topic) == {Role.STREAMS.principal}


def test_a_collector_writes_its_own_topic_and_the_listeners_topic_is_the_listeners() -> None:
    own = collector("cordon.flows.goflow2")
    assert {one.name for one in TABLE if one.principal == own} == {"cordon.flows.goflow2"}
    assert writers("cordon.flows") == {Role.LISTEN.principal}
    assert writers("cordon.syslog") == {Role.CLOCK.principal, collector("cordon.syslog")}


def test_every_topic_has_somebody_who_writes_it_and_somebody_who_reads_it() -> None:
    for plan in wire.topics(SOURCES):
        if plan.name in {
            *SOURCES,
            wire.ACTIVITY,
            wire.STATE,
            wire.LESSONS,
            wire.VERDICTS,
            wire.DECISIONS,
            wire.HEALTH,
            wire.DEAD,
        }:
            assert writers(plan.name), plan.name
            assert readers(plan.name), plan.name


@pytest.mark.parametrize(
    ("more", "too_much"),
    [
        (Grant("User:mallory", Operation.WRITE, Kind.TOPIC, wire.VERDICTS), True),
        (Grant("User:mallory", Operation.ALL, Kind.TOPIC, "*"), True),
        (Grant("User:mallory", Operation.WRITE, Kind.TOPIC, "cordon.", Match.PREFIXED), True),
        (Grant("User:mallory", Operation.ALTER_CONFIGS, Kind.TOPIC, wire.STATE), True),
        (Grant(Role.CONTROLLER.principal, Operation.WRITE, Kind.TOPIC, wire.VERDICTS), True),
        (Grant("User:mallory", Operation.WRITE, Kind.TOPIC, "cordon.flows"), True),
        (Grant("User:mallory", Operation.READ, Kind.TOPIC, wire.VERDICTS), False),
        (Grant("User:mallory", Operation.WRITE, Kind.TOPIC, "mallory"), False),
        (Grant("User:another-collector", Operation.WRITE, Kind.TOPIC, "cordon.syslog"), False),
        (Grant("User:mallory", Operation.ALL, Kind.GROUP, "*"), False),
    ],
)
def test_whoever_may_change_a_topic_of_ours_and_is_not_in_the_table_is_named(more: Grant, too_much: bool) -> None:
    assert beyond([*TABLE, more], TABLE, sources=SOURCES, heard=HEARD) == ([more] if too_much else [])
