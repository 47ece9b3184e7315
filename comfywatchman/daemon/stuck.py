"""Threads that do not come back from a disk: told at the end, and not waited for."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable

import structlog

from comfywatchman.daemon.pulse import held_by_a_disk


def stuck(about: Iterable[str], known: Collection[threading.Thread] = ()) -> list[str]:
    """Return which threads will not end by themselves: what they ask, or their names.

    Args:
        about: the trees of which questions were left behind.
        known: threads that were told to end, and waited for.
    """
    asking = [f"ask {each}" for each in about]
    late = {thread.name for thread in known if thread.is_alive()}
    held = {
        thread.name
        for thread in threading.enumerate()
        if thread.native_id is not None and held_by_a_disk(thread.native_id)
    }
    short = {each[:60] for each in asking}
    return sorted({*asking, *late, *(name for name in held if name not in short)})


def tell_stuck(names: Collection[str]) -> None:
    """Log which threads are left behind, whatever becomes of them."""
    if names:
        log = structlog.get_logger("service")
        log.warning("thread.left_behind", threads=sorted(names))
