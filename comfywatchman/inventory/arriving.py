"""Whether more may come of a file that is not all there, or nobody writes to it any more."""

from __future__ import annotations

import os
import time
from pathlib import Path

from comfywatchman.disk.files import being_written
from comfywatchman.domain.errors import ModelIncomplete, Trouble
from comfywatchman.domain.files import Stamp
from comfywatchman.inventory.names import COMPANIONS

PATIENCE_SECONDS = 60.0
"""How long after its last write a file that is too short may be one that somebody copies here over
a network: who writes it there is not to be seen, and transfers pause."""


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
    """Say whether a companion beside *path* says that a program fetches it."""
    return any(os.path.lexists(f"{path}{suffix}") for suffix in COMPANIONS)


def _written_within(stamp: Stamp, seconds: float) -> bool:
    """Writing sets the time of the last change of the bytes; one in the future proves nothing."""
    now = time.time_ns()
    written = stamp.ctime_ns if stamp.mtime_ns > now else stamp.mtime_ns
    return now - written < seconds * 1e9
