"""Where loops over octets are compiled: Numba's `njit`, typed, cached beside the module."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

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


_numba: Any = cgutils  # which says nothing of types


@intrinsic
def _fetch(_: Any, array: Any, row: Any, column: Any) -> tuple[Any, Any]:
    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        kind, *indices = signature.args
        room = context.make_array(kind)(context, builder, given[0])
        place = [context.cast(builder, one, index, types.intp) for one, index in zip(given[1:], indices, strict=True)]
        line = _numba.get_item_pointer(context, builder, kind, room, place[: kind.ndim], wraparound=False)
        octet, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        asked = ir.FunctionType(ir.VoidType(), [octet, number, number, number])
        ask = builder.module.declare_intrinsic("llvm.prefetch", [octet], asked)
        builder.call(ask, [builder.bitcast(line, octet), number(0), number(3), number(1)])  # to read, to stay, no code
        return context.get_dummy_value()

    return types.void(array, row, column), code


fetch: Callable[[Any, Any, int], None] = cast("Any", _fetch)
"""`fetch(array, row, column)` has the line of memory brought to the cache in which that stands, and waits for nothing.

Arrays of one dimension take no heed of the column.
"""
