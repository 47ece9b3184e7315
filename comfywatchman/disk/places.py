"""What is wrong with a place in a tree, in words."""

from __future__ import annotations

import errno
from pathlib import Path

from comfywatchman.disk.answering import Silent
from comfywatchman.domain.errors import DiskFailed, FileUnreadable, RootOffline, Trouble

GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""Not there any more, or a link that leads nowhere; every other error proves nothing."""

_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM})


def no_file(path: Path, what: str) -> Trouble:
    return FileUnreadable(
        f"{path} {what}.",
        remedy="Remove it, or put a file in its place.",
    ).trouble()


def dead_link(link: Path) -> Trouble:
    return RootOffline(
        f"The link {link} leads to nothing.",
        remedy="Connect the drive it leads to, or remove the link.",
    ).trouble()


def told(error: OSError, path: Path) -> Trouble:
    """Tell a directory that is not there from one that is forbidden and from a disk that fails."""
    said = error.strerror or str(error)
    if isinstance(error, Silent):
        return RootOffline(
            f"The directory {path} does not answer.",
            remedy="Look at the drive or the server it lies on; it is tried again by itself.",
        ).trouble()
    if error.errno in GONE:
        return RootOffline(
            f"The directory {path} is not there ({said}).",
            remedy="Connect or mount it, or take it out of the settings or of "
            "extra_model_paths.yaml, whichever names it.",
        ).trouble()
    if error.errno in _FORBIDDEN:
        return FileUnreadable(
            f"The directory {path} may not be read ({said}).",
            remedy="Give the user that runs comfywatchman the right to read it.",
        ).trouble()
    return DiskFailed(
        f"Reading the directory {path} failed ({said}).",
        remedy="Look at the disk or the network share; it is tried again with the next sweep.",
    ).trouble()
