"""What the operating system's errors mean for us."""

from __future__ import annotations

import errno
from pathlib import Path

from comfywatchman.domain.errors import (
    DiskFailed,
    DiskFull,
    FileUnreadable,
    FolderNotWritable,
    WatchmanError,
)

ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_FILE_TO_READ = ABSENT | _FORBIDDEN | {errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ENODEV}


def reading_failed(error: OSError, path: Path) -> WatchmanError:
    """Tell a file that cannot be had from a disk that fails."""
    said = error.strerror or str(error)
    if error.errno in _NO_FILE_TO_READ:
        return FileUnreadable(
            f"{path} cannot be read ({said}).",
            remedy="See that it is there and that the user who runs comfywatchman may read it.",
        )
    return DiskFailed(
        f"Reading {path} failed ({said}).",
        remedy="Check the disk or the network share it lies on.",
    )


def writing_failed(error: OSError, path: Path) -> WatchmanError:
    """Tell a full disk and a forbidden directory from a disk that fails."""
    said = error.strerror or str(error)
    if error.errno in _FULL:
        return DiskFull(
            f"No room is left for {path} ({said}).",
            remedy=f"Free some space, or raise the quota, on the disk of {path.parent}.",
        )
    if error.errno in _FORBIDDEN:
        return FolderNotWritable(
            f"{path.parent} cannot be written ({said}).",
            remedy=f"Give the user who runs comfywatchman the right to write {path.parent}.",
        )
    if error.errno in ABSENT:
        return FolderNotWritable(
            f"{path.parent} is not there ({said}).",
            remedy=f"Create {path.parent}, or mount the disk it lies on.",
        )
    return DiskFailed(
        f"Writing {path} failed ({said}).",
        remedy="Check the disk or the network share it lies on.",
    )
