"""Where loops over octets are compiled: Numba's `njit`, typed, cached beside the module."""

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile a function of arrays and numbers. It must not raise, and knows nothing but its arguments."""
    return cast("F", numba.njit(cache=True, nogil=True)(function))


def inlined(function: F) -> F:
    """The same for a small part of such a function: it becomes part of it, for a call with an array takes 20 ns."""
    return cast("F", numba.njit(inline="always")(function))
