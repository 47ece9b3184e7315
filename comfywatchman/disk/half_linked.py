"""What a linking leaves that was cut off: hidden names, and whether they may go."""

from __future__ import annotations

import os
import re
import stat
import threading
from pathlib import Path

from comfywatchman.disk.errors import reading_failed, writing_failed
from comfywatchman.disk.files import being_written, measure
from comfywatchman.disk.linking import SUFFIX

_LEFT_OVER = re.compile(rf"\.(.+)\.[0-9a-f]{{12}}{re.escape(SUFFIX)}")


def leftovers(directory: Path) -> list[Path]:
    """Return the hidden names in *directory* that a linking which was cut off left there."""
    try:
        with os.scandir(directory) as entries:
            return [Path(entry.path) for entry in entries if _LEFT_OVER.fullmatch(entry.name)]
    except OSError:
        return []


def remove_leftover(leftover: Path, stop: threading.Event | None = None) -> bool:
    """Remove what a linking left, if its bytes are there under the name that it was made for.

    Returns whether it is gone. It stays where its bytes are nowhere else: then it is told.

    Raises:
        Interrupted: *stop* was set.
        FileUnreadable, DiskFailed, FolderNotWritable
    """
    match = _LEFT_OVER.fullmatch(leftover.name)
    if match is None:
        raise ValueError(f"{leftover} is no leftover of a linking")
    path = leftover.with_name(match[1])
    try:
        here = os.lstat(leftover)
        there = os.lstat(path)
    except OSError as error:
        raise reading_failed(error, path) from error
    if not (stat.S_ISREG(here.st_mode) and stat.S_ISREG(there.st_mode)):
        return False
    empty = here.st_size == 0  # a clone that was never made
    same = os.path.samestat(here, there)
    if not (empty or same) and not _equal(leftover, path, stop):
        return False
    try:
        leftover.unlink()
    except OSError as error:
        raise writing_failed(error, leftover) from error
    return True


def _equal(one: Path, other: Path, stop: threading.Event | None) -> bool:
    if one.stat().st_size != other.stat().st_size:
        return False
    if being_written(one) or being_written(other):
        return False
    return measure(one, stop=stop) == measure(other, stop=stop)
