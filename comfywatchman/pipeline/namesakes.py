"""Hard links and symlinks: what was written through one name was written under all of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman.disk.answering import Silent
from comfywatchman.disk.files import stamp_of
from comfywatchman.domain.errors import WatchmanError
from comfywatchman.domain.files import Stamp
from comfywatchman.domain.messages import Event
from comfywatchman.pipeline.sweeping import found_model

if TYPE_CHECKING:
    from comfywatchman.pipeline.reach import Reach
    from comfywatchman.state.lookups import Lookups


def other_names(path: Path, stamp: Stamp, known: Lookups, reach: Reach) -> list[Event]:
    """Say of every other known name of the file at *path* what is there now.

    The kernel tells of a write under the name through which it came, and of no other.

    Args:
        path: at which the file has come to rest.
        stamp: as it is now.
        known: the rows.
        reach: looks at what may not answer.
    """
    found: list[Event] = []
    for other, was, links in known.names_of(stamp):
        if other != path and was != stamp and _was_written(other, stamp, was, links, reach):
            try:
                found += reach.at(other, found_model)
            except (WatchmanError, OSError):
                continue  # the sweep says what is wrong with it
    return found


def _was_written(other: Path, stamp: Stamp, was: Stamp, links: int | None, reach: Reach) -> bool:
    """Whether *other* still names the file, and more happened to that than a name given or taken.

    An inode has the number of one that is gone, and devices change theirs, so the disk is asked.
    """
    try:
        status = reach.at(other, Path.stat)
    except (OSError, Silent):
        return False
    if stamp_of(status) != stamp:
        return False
    same = (was.size, was.mtime_ns) == (stamp.size, stamp.mtime_ns)
    return not (same and links is not None and status.st_nlink != links)
