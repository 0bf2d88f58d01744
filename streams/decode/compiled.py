"""Where loops over octets are compiled: Numba's `njit`, typed, cached beside the module."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile a function of arrays and numbers. It must not raise, and knows nothing but its arguments."""
    return cast("F", numba.njit(cache=True, nogil=True)(function))


def borrowing(function: F) -> F:
    """The same for a loop that makes no arrays, but only uses those it was given, which the caller holds anyway.

    It spares counting who holds an array each time that a part of the loop gets it: an atomic operation of 20 cycles.
    """
    options: dict[str, Any] = {"cache": True, "nogil": True, "_nrt": False}
    return cast("F", numba.njit(**options)(function))


def inlined(function: F) -> F:
    """The same for a small part of such a function: it becomes part of it, for a call with an array takes 20 ns."""
    return cast("F", numba.njit(inline="always")(function))
