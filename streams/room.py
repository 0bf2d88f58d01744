"""Memory that the C library keeps for later is given back to the system, where a scorer has many subjects."""

import ctypes

LARGE = 1 << 16
"""Subjects; with fewer there is little to give back."""


def given_back(subjects: int) -> None:
    """Give back what is free, where there were so many subjects. Does nothing where there is no glibc.

    Tables that grew have left holes which only others of their size would fill: at a million hosts half of what the
    process held.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if subjects >= LARGE else None  # malloc_trim(3)
    if trim is not None:
        trim(0)
