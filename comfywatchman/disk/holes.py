"""Parts of a file that nobody ever wrote: room set aside by a download that comes later."""

from __future__ import annotations

import errno
import os

LEAST_SIZE = 1 << 20
"""Bytes: smaller files can lie inside the inode, and a hole in them costs nothing."""

_MOST_PIECES = 4096


def mostly_there(descriptor: int, size: int) -> bool:
    """Say whether at least seven eighths of a file were written.

    Some copying tools leave out runs of zeros, so a few holes mean nothing. Where the file system
    does not tell holes, everything counts as written. Source: lseek(2), SEEK_HOLE; room that was
    set aside with fallocate counts as a hole although it takes its blocks.
    """
    if size < LEAST_SIZE:
        return True
    try:
        return _holes(descriptor, size) <= size // 8
    except OSError:
        return True


def _holes(descriptor: int, size: int) -> int:
    """Return how many bytes lie in holes, as far as the first few thousand pieces tell."""
    missing = reached = 0
    for _ in range(_MOST_PIECES):
        hole = os.lseek(descriptor, reached, os.SEEK_HOLE)
        if hole >= size:
            return missing
        try:
            reached = os.lseek(descriptor, hole, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing follows but the hole
                return missing + size - hole
            raise
        missing += min(reached, size) - hole
        if reached >= size:
            return missing
    return missing
