"""Kafka's access lists: written as the table of grants says, and read back for comparison. As the administrator."""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    KafkaAdminClient,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)
from kafka.errors import KafkaError, SecurityDisabledError

from controller.domain.errors import BrokerUnavailable
from streams.broker import Access
from streams.grants import Grant, Kind, Match, Operation
from streams.publish import BOOTSTRAP_MS

ANYWHERE = "*"


def grant(access: Access, wanted: Collection[Grant]) -> tuple[Grant, ...]:
    """Allow what is not allowed yet, wait until the broker knows, and say what it was. Raises BrokerUnavailable."""
    missing = tuple(sorted(set(wanted) - held(access)))
    with _administrator(access) as admin:
        failed = admin.create_acls([_acl(one) for one in missing])["failed"] if missing else ()
    if failed:
        raise BrokerUnavailable(f"{access.settings.bootstrap}: access lists were not written: {failed[0].__name__}")
    end = time.monotonic() + BOOTSTRAP_MS / 1000
    while unknown := set(missing) - held(access):
        if time.monotonic() > end:
            raise BrokerUnavailable(f"{access.settings.bootstrap}: written and not in force: {min(unknown)}")
        time.sleep(0.1)
    return missing


def held(access: Access) -> set[Grant]:
    """All that the lists allow on topics and groups. Raises BrokerUnavailable, also when the broker keeps no lists.

    Super users, and `allow.everyone.if.no.acl.found`, are settings of the brokers that no list shows.
    """
    everything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
    with _administrator(access) as admin:
        found, _ = admin.describe_acls(ACLFilter(None, None, ACLOperation.ANY, ACLPermissionType.ALLOW, everything))
    return {_grant(one) for one in found if one.resource_pattern.resource_type.name in Kind.__members__}


def _acl(one: Grant) -> Any:
    pattern = ResourcePattern(ResourceType[one.kind], one.name, ACLResourcePatternType[one.match])
    return ACL(one.principal, ANYWHERE, ACLOperation[one.operation], ACLPermissionType.ALLOW, pattern)


def _grant(acl: Any) -> Grant:
    pattern = acl.resource_pattern
    return Grant(
        acl.principal,
        Operation(acl.operation.name),
        Kind(pattern.resource_type.name),
        pattern.resource_name,
        Match(pattern.pattern_type.name),
    )


@contextmanager
def _administrator(access: Access) -> Iterator[Any]:
    where = access.settings.bootstrap
    try:
        with KafkaAdminClient(**access.client(), bootstrap_timeout_ms=BOOTSTRAP_MS) as admin:
            yield admin
    except SecurityDisabledError:
        raise BrokerUnavailable(
            f"{where}: the broker has no authorizer: whoever reaches it may do everything"
        ) from None
    except KafkaError as error:
        raise BrokerUnavailable(f"{where}: {error!r}") from error
