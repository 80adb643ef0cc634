"""Memory that was freed and that the C library keeps for the next time."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache


@cache
def malloc_trim() -> Callable[[int], object] | None:
    """Return glibc's `malloc_trim`, None where the C library knows nothing of the kind."""
    try:
        trim: Callable[[int], object] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        return None
    return trim


def give_back() -> None:
    """Have the C library give the system what it keeps of freed memory; takes milliseconds."""
    trim = malloc_trim()
    if trim is not None:
        trim(0)
