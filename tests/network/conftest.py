"""A lab for each module: a hosting network in namespaces, up for as long as the module's tests run."""

import os
import threading
import time
from collections.abc import Iterator

import pytest

from deploy.lab.net.aside import Witnesses
from deploy.lab.net.lab import Lab, Wishes, missing
from deploy.lab.net.lock import Lock, holder, sweep
from tests.network.looking import NEIGHBOURS

ANOTHER_LAB_S = 90.0


@pytest.fixture(scope="session", autouse=True)
def equipped() -> None:
    """Skips where the machine cannot carry a lab; waits while somebody else's is up; removes what dead ones left."""
    if lacking := missing():
        why = f"a lab with real packets needs {', '.join(lacking)} (deploy/apt.txt)"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    end = time.monotonic() + ANOTHER_LAB_S
    while holder():
        if time.monotonic() > end:
            pytest.fail(f"process {holder()} keeps another lab up on this machine")
        threading.Event().wait(0.2)
    lock = Lock()
    lock.take()
    try:
        sweep()
    finally:
        lock.leave()


@pytest.fixture(scope="module")
def wishes() -> Wishes:
    """How the module wants its lab."""
    return Wishes()


@pytest.fixture(scope="module")
def lab(wishes: Wishes) -> Iterator[Lab]:
    with Lab(wishes) as up:
        yield up


@pytest.fixture
def witnesses(lab: Lab) -> Iterator[Witnesses]:
    """Sniffers everywhere, and probes between neighbours."""
    with Witnesses(lab, [*lab.plan.by_name, "world", "fw1/inside"], NEIGHBOURS) as there:
        yield there
