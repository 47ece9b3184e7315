"""Whether more may come of a file that is not all there, or nobody writes to it any more."""

from __future__ import annotations

import os
import time
from pathlib import Path

from comfywatchman.disk.files import being_written, stamp_of
from comfywatchman.domain.errors import ModelIncomplete, Trouble
from comfywatchman.domain.files import Stamp
from comfywatchman.inventory.names import COMPANIONS

PATIENCE_SECONDS = 60.0
"""How long after its last write a file that is too short may be one that somebody copies here over
a network: who writes it there is not to be seen, and transfers pause."""


FRESH_SECONDS = 86_400.0
"""How long after the last write to a file, or to a companion of it, whoever fetches it may go on: a
download that was paused over night is one, what lies there for days was left behind."""


def may_still_arrive(
    path: Path, stamp: Stamp, trouble: Trouble, patience: float = PATIENCE_SECONDS
) -> bool:
    """Say whether somebody may still be writing a file of which *trouble* is known.

    Args:
        path: of the file.
        stamp: as it is now.
        trouble: why no loader can use it; what is too short may grow, a web page does not.
        patience: seconds since the last write within which it may; 0 where somebody has waited for
            it to come to rest already.
    """
    if is_being_fetched(path) or being_written(path):
        return True
    return trouble.code == ModelIncomplete.code and _written_within(stamp, patience)


def is_at_rest(path: Path, stamp: Stamp) -> bool:
    """Say whether nobody writes to *path*, as far as can be told, and nobody did a moment ago."""
    if is_being_fetched(path) or being_written(path):
        return False
    return not _written_within(stamp, PATIENCE_SECONDS)


def is_being_fetched(path: Path) -> bool:
    """Say whether a companion beside *path* says that a program fetches it.

    A companion to which nobody has written for `FRESH_SECONDS`, nor to the file, was left behind.
    """
    text = str(path)
    beside = [seen for suffix in COMPANIONS if (seen := _changed_ns(text + suffix)) is not None]
    if not beside:
        return False
    newest = max(*beside, _changed_ns(text) or 0)
    return time.time_ns() - newest < FRESH_SECONDS * 1e9


def _changed_ns(path: str) -> int | None:
    """Return when the bytes of *path* last changed; ``None`` where nothing is there."""
    try:
        return _written_ns(stamp_of(os.lstat(path)))
    except OSError:
        return None


def _written_within(stamp: Stamp, seconds: float) -> bool:
    return time.time_ns() - _written_ns(stamp) < seconds * 1e9


def _written_ns(stamp: Stamp) -> int:
    """Writing sets the time of the last change of the bytes; one in the future proves nothing."""
    return stamp.ctime_ns if stamp.mtime_ns > time.time_ns() else stamp.mtime_ns
