"""How much the kernel lets us watch, found out before it runs out."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from comfywatchman.domain.errors import DiskFailed, Trouble, WatchLimitReached
from comfywatchman.watch.kernel import inotify_limit, watched

MOST_TREES = 32
"""Trees watched one by one. Each costs a thread, and a unit may allow few; more are polled."""

_LEFT_TO_OTHERS = 64
"""Watches that are not taken: editors and the desktop of the same user want some, too."""

_NEAR = 4
"""Where we want less than one in so many of the watches, nobody counts those of others."""


COUNT_AGAIN_SECONDS = 600.0
"""When a tree that takes too many watches is counted again; sooner where the limit changes."""


@dataclass(frozen=True, slots=True)
class _Refused:
    trouble: Trouble
    allowed: int
    at: float


class Room:
    """Knows for which trees there are enough watches, without counting them all the time."""

    def __init__(self) -> None:
        self._refused: dict[Path, _Refused] = {}

    def lacking_for(self, real: Path, avoid: Collection[Path] = ()) -> Trouble | None:
        """Say why the tree *real*, but for what is to *avoid*, had better not be watched."""
        now, allowed = time.monotonic(), inotify_limit("max_user_watches")
        before = self._refused.get(real)
        recent = before is not None and now - before.at < COUNT_AGAIN_SECONDS
        if before is not None and recent and before.allowed == allowed:
            return before.trouble
        trouble = lacking_room(directories_in(real, avoid)) if allowed else None
        if trouble is None:
            self._refused.pop(real, None)
        else:
            self._refused[real] = _Refused(trouble, allowed, now)
        return trouble


def directories_in(real: Path, avoid: Collection[Path] = ()) -> int:
    """Return how many directories a watch on the tree *real* takes, links not followed.

    What is to *avoid* is not touched.
    """
    found, silent = 0, frozenset(map(os.fsencode, avoid))
    waiting = [os.fsencode(real)]
    while waiting:
        found += 1
        # What cannot be read is not watched either.
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            waiting += [
                entry.path
                for entry in entries
                if entry.path not in silent and entry.is_dir(follow_symlinks=False)
            ]
    return found


def lacking_room(needed: int) -> Trouble | None:
    """Say why *needed* more watches cannot be had, or ``None`` where they can.

    The limit counts all processes of a user, so a tree that fits in can still take what others
    need; then it is not watched, and polled.
    """
    allowed = inotify_limit("max_user_watches")
    ours = len(watched())
    if not allowed or (ours + needed) * _NEAR < allowed:
        return None
    others = watches_of_others()
    if others + ours + needed + _LEFT_TO_OTHERS <= allowed:
        return None
    return limit(others + ours + needed)


def watches_of_others() -> int:
    """Return how many watches the other processes of this user have."""
    found, user, ourselves = 0, os.getuid(), str(os.getpid())
    for process in _processes():
        if process.name == ourselves:
            continue
        with suppress(OSError):
            if process.stat().st_uid == user:
                found += _watches_in(process)
    return found


def _processes() -> list[Path]:
    try:
        return [entry for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    except OSError:
        return []


def _watches_in(process: Path) -> int:
    found = 0
    for descriptor in (process / "fd").iterdir():
        # Descriptors come and go while we look.
        with suppress(OSError):
            if str(descriptor.readlink()) == "anon_inode:inotify":
                told = (process / "fdinfo" / descriptor.name).read_bytes()
                found += told.count(b"inotify wd:")
    return found


def limit(needed: int) -> Trouble:
    allowed = inotify_limit("max_user_watches")
    return WatchLimitReached(needed=max(needed, allowed + 1), allowed=allowed).trouble()


def too_many_trees() -> Trouble:
    return Trouble(
        WatchLimitReached.code,
        f"{MOST_TREES} separate directory trees are watched, and each takes a thread.",
        "Nothing to do: the others are looked at every watch.polling_seconds.",
    )


def not_watched(real: Path, error: Exception) -> Trouble:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ENOSPC:
        return limit(len(watched()) + 1)
    if number == errno.EMFILE:
        allowed = inotify_limit("max_user_instances")
        return Trouble(
            WatchLimitReached.code,
            f"No inotify instance or file descriptor is left; {allowed} instances are allowed.",
            f"Set fs.inotify.max_user_instances to at least {allowed * 2}.",
        )
    return DiskFailed(
        f"The directory {real} cannot be watched ({error}).",
        remedy="It is looked at every watch.polling_seconds instead, and watching is tried again.",
    ).trouble()
