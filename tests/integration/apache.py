"""Apache Kafka for a test, or the reason why there is none on this machine."""

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from deploy import apache


@cache
def _why_not() -> str:
    return apache.missing() or apache.fetch()


def apache_kafka(directory: Path, *, nodes: int = 1, more: Mapping[str, str] | None = None) -> apache.ApacheKafka:
    """A cluster that was not started yet. Where Java or Maven are missing the test is skipped, but not in CI."""
    if why := _why_not():
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    return apache.ApacheKafka(directory, nodes, more or {})
