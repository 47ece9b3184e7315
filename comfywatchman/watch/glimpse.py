"""One look at a path, as `Settling` wants it."""

from __future__ import annotations

import stat
from pathlib import Path

from comfywatchman.disk.files import being_written, stamp_of
from comfywatchman.domain.files import Stamp


def glimpse(path: Path) -> tuple[Stamp, bool | None] | None:
    """Return the stamp of the file and whether somebody writes to it.

    ``None`` where there is no regular file, or the disk does not say: whoever waits for it to
    settle forgets it then, and the next sweep finds it again.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return stamp_of(status), being_written(path)
