"""Apache Kafka for a test, or the reason why there is none on this machine."""

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from deploy import apache

SOCKETS_MAY_BE_LEFT = pytest.mark.filterwarnings(
    "ignore:unclosed <socket:ResourceWarning",
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning",
)
"""kafka-python leaves a socket open for each attempt to connect to a broker that is dead."""


@cache
def why_not() -> str:
    """What stands in the way of Apache Kafka on this machine, once everything was tried; or nothing."""
    return apache.missing() or apache.fetch()


def apache_kafka(directory: Path, *, nodes: int = 1, more: Mapping[str, str] | None = None) -> apache.ApacheKafka:
    """A cluster that was not started yet. Without Java or Maven the test is skipped."""
    without(why_not())
    return apache.ApacheKafka(directory, nodes, more or {})


def without(why: str) -> None:
    """Skip the test for what the machine lacks, if anything; in CI nothing may be lacking."""
    if why and os.environ.get("CI"):
        pytest.fail(why)
    if why:
        pytest.skip(why)
